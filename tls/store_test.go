package ptls

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestSelfSignedAtFirstStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certificates")
	names := []string{"edge.contoso.example", "mail.contoso.example"}
	s, err := OpenStore(StoreOptions{Directory: dir, Names: names})
	if err != nil {
		t.Fatal(err)
	}
	leaf := s.Current().Leaf
	for _, n := range names {
		if err := leaf.VerifyHostname(n); err != nil {
			t.Error(err)
		}
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, selfSignedFile): 0o600} {
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := fi.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}

	again, err := OpenStore(StoreOptions{Directory: dir, Names: names[:1]})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := Thumbprint(again.Current().Leaf), Thumbprint(leaf); got != want {
		t.Errorf("a second start made a new certificate %s, want the old one %s", got, want)
	}
	if err := again.Cover([]string{"new.contoso.example"}); err != nil {
		t.Fatal(err)
	}
	if err := again.Current().Leaf.VerifyHostname("new.contoso.example"); err != nil {
		t.Error("a name that was added:", err)
	}
}

func TestSelfSignedIsReplacedBeforeItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := StoreOptions{Directory: t.TempDir(), Names: []string{"edge.contoso.example"}}
		s, err := OpenStore(o)
		if err != nil {
			t.Fatal(err)
		}
		first := Thumbprint(s.Current().Leaf)
		time.Sleep(selfSignedLife - selfSignedRenew - time.Hour)
		if err := s.Cover(o.Names); err != nil {
			t.Fatal(err)
		}
		if Thumbprint(s.Current().Leaf) != first {
			t.Error("replaced although it is valid for more than a month")
		}
		time.Sleep(2 * time.Hour)
		// By nothing but a handshake: the gateway may run for years.
		cert, err := s.ServerConfig().GetCertificate(nil)
		if err != nil || Thumbprint(cert.Leaf) == first {
			t.Errorf("not replaced although it expires within a month (%v)", err)
		}
		if err := cert.Leaf.VerifyHostname(o.Names[0]); err != nil {
			t.Error(err)
		}
	})
}

func TestDamagedCertificateIsReplaced(t *testing.T) {
	o := StoreOptions{Directory: t.TempDir(), Names: []string{"edge.contoso.example"}}
	if err := os.WriteFile(filepath.Join(o.Directory, selfSignedFile), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := OpenStore(o)
	if err != nil {
		t.Fatal(err)
	}
	if s.Current() == nil {
		t.Error("no certificate")
	}
}

func TestStoreNeedsAName(t *testing.T) {
	if _, err := OpenStore(StoreOptions{Directory: t.TempDir()}); err == nil {
		t.Error("a certificate for no name at all was made")
	}
}
