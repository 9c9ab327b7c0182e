package dkim

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var testNow = time.Unix(1_700_000_000, 0)

func TestKeyFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", FileName("Edge1", "Contoso.example"))
	if filepath.Base(path) != "edge1._domainkey.contoso.example.pem" {
		t.Errorf("the file is called %s", path)
	}
	first, second := testKeys()["rsa"], testKeys()["ed25519"]
	if err := WriteKey(path, first); err != nil {
		t.Fatal(err)
	}
	if err := WriteKey(path, second); err == nil {
		t.Error("a key was overwritten")
	}
	if list, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(list) > 0 {
		t.Errorf("left over: %v", list)
	}
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	var keys Keys
	if k, err := keys.Get(path); err != nil || !k.(*rsa.PrivateKey).Equal(first) {
		t.Fatalf("not the key that was written: %v", err)
	}
	again, err := keys.Get(path)
	if cached, _ := keys.Get(path); err != nil || again != cached {
		t.Error("a file that has not changed was read again")
	}
	// Replaced, as an administrator does it.
	other := path + ".new"
	if err := WriteKey(other, second); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	if k, err := keys.Get(path); err != nil || k.Public() == nil || !bytes.Equal(mustPublic(t, k), mustPublic(t, second)) {
		t.Errorf("the new key is not in use: %v", err)
	}
	if runtime.GOOS != "windows" {
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := keys.Get(path); err == nil || !strings.Contains(err.Error(), "open to everybody") {
			t.Errorf("a key that everybody may read: %v", err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Get(path); err == nil {
		t.Error("a key whose file is gone is still in use")
	}
	keys.Retain(nil)
	if len(keys.files) != 0 {
		t.Error("Retain retained")
	}
}

func mustPublic(t *testing.T, k crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestParseKey(t *testing.T) {
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := func(key any) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	for _, tt := range []struct {
		name, kind string
		der        []byte
		want       string
	}{
		{"RSA", "PRIVATE KEY", pkcs8(testKeys()["rsa"]), ""},
		{"RSA, PKCS #1", "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(testKeys()["rsa"].(*rsa.PrivateKey)), ""},
		{"Ed25519", "PRIVATE KEY", pkcs8(testKeys()["ed25519"]), ""},
		{"short", "PRIVATE KEY", pkcs8(short), "1024 bits; use one of 2048 to 4096"},
		{"another kind", "PRIVATE KEY", pkcs8(curve), "DKIM knows RSA and Ed25519"},
		{"encrypted", "ENCRYPTED PRIVATE KEY", []byte{1}, "not a private key without a password"},
		{"a certificate", "CERTIFICATE", []byte{1}, `it holds "CERTIFICATE"`},
		{"rubbish", "PRIVATE KEY", []byte{1}, "can't be read"},
	} {
		_, err := ParseKey(pem.EncodeToMemory(&pem.Block{Type: tt.kind, Bytes: tt.der}))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := ParseKey([]byte("hello")); err == nil || !strings.Contains(err.Error(), "no key in PEM") {
		t.Errorf("no PEM: %v", err)
	}
}

func TestRecord(t *testing.T) {
	for _, kind := range []string{"rsa", "ed25519"} {
		r, err := RecordFor("contoso.example.", "edge1", testKeys()[kind])
		if err != nil || r.Name != "edge1._domainkey.contoso.example" {
			t.Fatal(r, err)
		}
		list := r.Strings()
		if want := map[string]int{"rsa": 2, "ed25519": 1}[kind]; len(list) != want || strings.Join(list, "") != r.Text ||
			slices.ContainsFunc(list, func(s string) bool { return len(s) > 255 }) {
			t.Errorf("%s: strings %q", kind, list)
		}
		if zone := r.Zone(); !strings.HasPrefix(zone, "edge1._domainkey.contoso.example. IN TXT ") || strings.Count(zone, `"`) != 2*len(list) ||
			strings.Contains(zone, "(") != (len(list) > 1) {
			t.Errorf("%s: zone %s", kind, zone)
		}
		other := map[string]string{"rsa": "ed25519", "ed25519": "rsa"}[kind]
		o, _ := RecordFor("contoso.example", "edge1", testKeys()[other])
		for _, tt := range []struct {
			name    string
			answers []string
			want    string
		}{
			{"there", []string{r.Text}, ""},
			{"in another form", []string{" p = " + strings.Replace(r.Text[strings.Index(r.Text, "p=")+2:], "A", "A \t", 1) + " ; k=" + kind}, ""},
			{"beside something else", []string{"v=spf1 -all", r.Text}, ""},
			{"missing", nil, "there is no such record"},
			{"something else", []string{"v=spf1 -all"}, "there is no such record"},
			{"revoked", []string{"v=DKIM1; k=" + kind + "; p="}, "the key is revoked there: its p= is empty"},
			{"another key", []string{o.Text}, "another key stands there"},
			{"two", []string{r.Text, o.Text}, "there are 2 records of keys at this name; verifiers may take any"},
			{"another hash", []string{strings.Replace(r.Text, "sha256", "sha1", 1)}, "its h= does not allow sha256"},
		} {
			if got := r.Published(tt.answers); got != tt.want {
				t.Errorf("%s, %s: %q, want %q", kind, tt.name, got, tt.want)
			}
		}
	}
}
