//go:build unix

package ptls

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// faultyDisk fails one operation, or that and all that follow, as a disk is when
// the power is cut.
type faultyDisk struct {
	osDisk
	n, at int
	cut   bool
	log   []string
}

func (f *faultyDisk) step(what, path string) error {
	f.n++
	f.log = append(f.log, what+" "+filepath.Base(path))
	if f.n == f.at || f.cut && f.at > 0 && f.n > f.at {
		return &os.PathError{Op: what, Path: path, Err: syscall.ENOSPC}
	}
	return nil
}

func (f *faultyDisk) Write(path string, text []byte, o owner) error {
	if err := f.step("write", path); err != nil {
		if f.cut { // half of it is there
			_ = os.WriteFile(path, text[:len(text)/2], 0o600)
		}
		return err
	}
	return f.osDisk.Write(path, text, o)
}

func (f *faultyDisk) Rename(from, to string) error {
	if err := f.step("rename", to); err != nil {
		return err
	}
	return f.osDisk.Rename(from, to)
}

func (f *faultyDisk) Remove(path string) error {
	if err := f.step("remove", path); err != nil {
		return err
	}
	return f.osDisk.Remove(path)
}

func (f *faultyDisk) SyncDir(path string) error {
	if err := f.step("sync", path); err != nil {
		return err
	}
	return f.osDisk.SyncDir(path)
}

func (f *faultyDisk) Lock(path string, o owner) (io.Closer, error) {
	if err := f.step("lock", path); err != nil {
		return nil, err
	}
	return f.osDisk.Lock(path, o)
}

// contents are the files of a directory with what they hold.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, n := range names(t, dir) {
		text, err := os.ReadFile(filepath.Join(dir, n))
		if err != nil {
			t.Fatal(err)
		}
		all[n] = string(text)
	}
	return all
}

func sameContents(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}

// renewal makes a store with a certificate in use and the answer to the request
// that renews it, and returns what imports that: everything at once that a
// command may do.
func renewal(t testing.TB) (dir string, change func(*Directory) error) {
	t.Helper()
	root := newAuthority(t, "Root", nil)
	dir = filepath.Join(t.TempDir(), "certificates")
	d, err := OpenDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	w := ask(t, d, "edge.contoso.example")
	p := planOf(t, d)
	first, err := p.Import(bundle(root.sign(t, w.Request, nil)), ImportOptions{Roots: root.pool(), Enabled: true})
	if err != nil {
		t.Fatal(err)
	}
	p.Assign("From Internet", first.Entry.Thumbprint())
	commit(t, p)
	w = ask(t, d, "edge.contoso.example")
	answer := root.sign(t, w.Request, nil)
	return dir, func(d *Directory) error {
		p, err := d.Plan()
		if err != nil {
			return err
		}
		im, err := p.Import(bundle(answer), ImportOptions{Roots: root.pool(), Enabled: true})
		if err != nil {
			return err
		}
		p.Assign("From Internet", im.Entry.Thumbprint())
		old := p.Listing().withKey(first.Entry.Thumbprint())
		if old != nil {
			if err := p.SetEnabled(old, false); err != nil {
				return err
			}
		}
		return p.Commit()
	}
}

// TestChangeFails: whatever operation fails, a command that says so has left
// everything as it was.
func TestChangeFails(t *testing.T) {
	for at := 1; ; at++ {
		dir, change := renewal(t)
		before := contents(t, dir)
		disk := &faultyDisk{}
		d, err := openDirectory(dir, disk)
		if err != nil {
			t.Fatal(err)
		}
		disk.n, disk.at, disk.log = 0, at, nil
		err = change(d)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		after := contents(t, dir)
		if at > disk.n {
			if err != nil || at < 10 {
				t.Errorf("%d operations: %q, %v", disk.n, disk.log, err)
			}
			return
		}
		hidden := slices.ContainsFunc(names(t, dir), func(n string) bool { return strings.HasPrefix(n, changePrefix) })
		switch {
		case err == nil && strings.HasPrefix(disk.log[at-1], "remove"): // the last, of what is out of sight
		case err == nil:
			t.Errorf("%q failed, and nothing was said of it", disk.log[at-1])
		case !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), dir):
			t.Errorf("%q: %v", disk.log[at-1], err)
		case !sameContents(before, after) || hidden:
			t.Errorf("after %q there is %q, before %q", disk.log[at-1], names(t, dir), before)
		}
	}
}

// TestChangeIsCutShort: at whatever operation the power is cut, no key is lost,
// every certificate that is there has its key, what is assigned is there, and
// the same command carries it through.
func TestChangeIsCutShort(t *testing.T) {
	for at := 1; ; at++ {
		dir, change := renewal(t)
		disk := &faultyDisk{cut: true}
		d, err := openDirectory(dir, disk)
		if err != nil {
			t.Fatal(err)
		}
		disk.n, disk.at, disk.log = 0, at, nil
		_ = change(d)
		_ = d.Close()
		if at > disk.n {
			return
		}
		where := disk.log[at-1]
		check := func(entries int) {
			t.Helper()
			l, err := ReadDirectory(dir)
			if err != nil || len(l.Problems) > 0 {
				t.Errorf("%s: %v, %v", where, l.Problems, err)
			}
			assigned, err := ReadAssignments(dir)
			if err != nil {
				t.Errorf("%s: %v", where, err)
			}
			keys := len(l.Waiting)
			for _, e := range l.Entries {
				if e.Key == nil {
					t.Errorf("%s: %s has no key", where, e.File)
				}
				keys++
			}
			if keys != 2 || entries > 0 && len(l.Entries) != entries {
				t.Errorf("%s: %d certificates and %d waiting keys", where, len(l.Entries), len(l.Waiting))
			}
			if e := l.withKey(assigned.For("From Internet")); e == nil {
				t.Errorf("%s: what is assigned is not there", where)
			}
		}
		check(0)
		d, err = OpenDirectory(dir)
		if err != nil {
			t.Fatal(err)
		}
		check(0)
		if list := names(t, dir); slices.ContainsFunc(list, func(n string) bool { return strings.HasPrefix(n, changePrefix) }) {
			t.Errorf("%s: %q", where, list)
		}
		// Where it was cut after the key had been joined there is nothing to join
		// any more, and the certificate is in the store.
		if err := change(d); err != nil {
			t.Errorf("%s: again: %v", where, err)
		}
		check(2)
		_ = d.Close()
	}
}

// TestOneAtATime: a second command is told, and may when the first has ended.
func TestOneAtATime(t *testing.T) {
	d := openStore(t)
	if _, err := OpenDirectory(d.Path()); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "try again when it has finished") {
		t.Error(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := OpenDirectory(d.Path())
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
}

// TestOpenDirectory: what can't be opened, and links in its place.
func TestOpenDirectory(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDirectory(file); err == nil || !strings.Contains(err.Error(), "is no directory") {
		t.Error(err)
	}
	if _, err := OpenDirectory(filepath.Join(file, "below")); err == nil {
		t.Error("a directory below a file")
	}
	store := filepath.Join(dir, "a", "b")
	if os.Geteuid() == 0 {
		if _, err := OpenDirectory(store); err == nil || !strings.Contains(err.Error(), "start the gateway once, or make it") {
			t.Error(err)
		}
		if err := os.Mkdir(filepath.Dir(store), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	d, err := OpenDirectory(store)
	if err != nil {
		t.Fatal(err)
	}
	_ = d.Close()
	for _, path := range []string{store, filepath.Dir(store)} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	// A link in the place of the lock, or of the assignments, leads nowhere.
	if err := errors.Join(os.Remove(filepath.Join(store, lockName)), os.Symlink(file, filepath.Join(store, lockName))); err != nil {
		t.Skip(err)
	}
	if d, err := OpenDirectory(store); err == nil {
		_ = d.Close()
		t.Error("a link was followed to lock")
	}
	if err := errors.Join(os.Remove(filepath.Join(store, lockName)), os.Symlink(file, filepath.Join(store, AssignmentsFile))); err != nil {
		t.Fatal(err)
	}
	d, err = OpenDirectory(store)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	p := planOf(t, d)
	p.Assign("In", strings.Repeat("AB", 32))
	if err := p.Commit(); err == nil || !strings.Contains(err.Error(), "is a link or no file") {
		t.Error(err)
	}
	if text, err := os.ReadFile(file); err != nil || len(text) > 0 {
		t.Errorf("%q, %v", text, err)
	}
}

// TestAssign: what is written is read back, under any name.
func TestAssign(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		d, err := OpenDirectory(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		want := make(map[string]string)
		for _, name := range rapid.SliceOfNDistinct(rapid.StringN(1, 20, -1), 0, 5, strings.ToUpper).Draw(rt, "names") {
			want[name] = strings.ToUpper(fmt.Sprintf("%064x", rapid.Uint64().Draw(rt, "thumbprint")))
		}
		p := planOf(t, d)
		for name, thumbprint := range want {
			p.Assign(strings.ToUpper(name), strings.Repeat("0", 64))
			p.Assign(name, thumbprint)
		}
		p.Assign("gone", strings.Repeat("1", 64))
		p.Assign("GONE", "")
		commit(t, p)
		got, err := ReadAssignments(dir)
		if err != nil {
			rt.Fatal(err)
		}
		for name, thumbprint := range want {
			if got.For(name) != thumbprint {
				rt.Errorf("%q has %q, want %q", name, got.For(name), thumbprint)
			}
		}
		if got.For("gone") != "" {
			rt.Error("what was taken back is there")
		}
	})
}

// TestSetEnabled: whatever a file looks like, its attribute changes and nothing
// else does.
func TestSetEnabled(t *testing.T) {
	own := (*authority)(nil).issue(t, nil, nil, "edge.contoso.example")
	cert, key := string(pemOf(t, own.Leaf)), string(pemOf(t, own.PrivateKey))
	for name, text := range map[string]string{
		"plain":        cert + key,
		"ours":         "Bag Attributes\n    friendlyName: Mail\n    posternExportable: no\nsubject=CN=x\n" + cert + key,
		"of openssl":   "Bag Attributes\n    localKeyID: 01 \nsubject=CN = x\n\nissuer=CN = x\n\n" + cert + "Bag Attributes\n    localKeyID: 01 \nKey Attributes: <No Attributes>\n" + key,
		"empty":        "Bag Attributes: <Empty Attributes>\n" + cert + key,
		"off twice":    "posternEnabled: no\n" + cert + "    posternEnabled: no\n" + key,
		"CRLF":         strings.ReplaceAll("Bag Attributes\n    friendlyName: Mail\n"+cert+key, "\n", "\r\n"),
		"key first":    key + cert,
		"name in body": cert + key + "posternEnabled: maybe\n",
	} {
		d := openStore(t)
		path := filepath.Join(d.Path(), "edge.pem")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		was := planOf(t, d).Listing().Entries[0]
		for _, on := range []bool{true, false, false, true} {
			p := planOf(t, d)
			if err := p.SetEnabled(p.Listing().Entries[0], on); err != nil {
				t.Fatal(err)
			}
			commit(t, p)
			e := planOf(t, d).Listing().Entries[0]
			if e.Enabled != on || e.FriendlyName != was.FriendlyName || e.Exportable != was.Exportable || e.Key == nil || e.Thumbprint() != was.Thumbprint() {
				t.Errorf("%s, %v: %+v", name, on, e)
			}
		}
	}
}

// TestExportImport: what is exported is the same when it comes back.
func TestExportImport(t *testing.T) {
	root := newAuthority(t, "Root", nil)
	middle := newAuthority(t, "Middle", root)
	rsaKey, err := GenerateKey(RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	longKey, err := GenerateKey(ECDSA384)
	if err != nil {
		t.Fatal(err)
	}
	keys := []crypto.Signer{rsaKey, longKey, newKey(t)}
	rapid.Check(t, func(rt *rapid.T) {
		key := keys[rapid.IntRange(0, 2).Draw(rt, "key")]
		own := middle.issue(t, key, nil, rapid.StringMatching(`[a-z]{1,10}(\.[a-z]{1,10}){1,3}`).Draw(rt, "name"), "edge.contoso.example")
		from := Entry{Chain: []*x509.Certificate{own.Leaf, middle.cert}, Key: key, FriendlyName: rapid.String().Draw(rt, "friendly name"), Exportable: true, Enabled: rapid.Bool().Draw(rt, "enabled")}
		from.FriendlyName = friendly(from.FriendlyName)
		p12, password := rapid.IntRange(0, 30).Draw(rt, "format") == 17, rapid.String().Draw(rt, "password")
		var text []byte
		var err error
		if p12 {
			if text, err = from.PKCS12(password); err != nil { // not everything fits a BMPString
				return
			}
		} else if text, err = from.PEM(true); err != nil {
			rt.Fatal(err)
		}
		b, err := ParseBundle(text, say(password))
		if err != nil {
			rt.Fatal(err)
		}
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		d, err := OpenDirectory(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		p := planOf(t, d)
		im, err := p.Import(b, ImportOptions{Roots: root.pool()})
		if err != nil {
			rt.Fatal(err)
		}
		commit(t, p)
		to := planOf(t, d).Listing().Entries[0]
		want := from.FriendlyName
		if p12 || want == "" {
			want = own.Leaf.DNSNames[0]
		}
		if len(im.Findings) > 0 || to.FriendlyName != want || !fits(own.Leaf, to.Key) || !to.Exportable || to.Enabled ||
			!slices.EqualFunc(to.Chain, from.Chain, (*x509.Certificate).Equal) {
			rt.Errorf("%+v became %+v; %v", from, to, im.Findings)
		}
	})
}

// TestExportRefused: what may not leave does not, in any form.
func TestExportRefused(t *testing.T) {
	own := (*authority)(nil).issue(t, nil, nil, "edge.contoso.example")
	e := Entry{Chain: []*x509.Certificate{own.Leaf}, Key: own.PrivateKey.(crypto.Signer)}
	if _, err := e.PEM(true); !errors.Is(err, ErrNotExportable) {
		t.Error(err)
	}
	if _, err := e.PKCS12("x"); !errors.Is(err, ErrNotExportable) {
		t.Error(err)
	}
	text, err := e.PEM(false)
	if err != nil || strings.Contains(string(text), "PRIVATE KEY") || strings.Contains(string(text), "postern") {
		t.Errorf("%s, %v", text, err)
	}
}

// TestSelfSign: the certificate that signs itself is one of a server, for its
// names.
func TestSelfSign(t *testing.T) {
	for _, kind := range KeyKinds() {
		key, err := GenerateKey(kind)
		if err != nil {
			t.Fatal(err)
		}
		c, err := SelfSign(RequestOptions{Names: []string{"edge.contoso.example", "*.contoso.example"}, Key: key}, 90*24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if !IsSelfSigned(c) || c.IsCA || KindOf(c.PublicKey) != kind || c.Subject.CommonName != "edge.contoso.example" || len(c.DNSNames) != 2 ||
			checkKey(c.PublicKey) != nil || (c.KeyUsage&x509.KeyUsageKeyEncipherment != 0) != strings.HasPrefix(string(kind), "rsa") {
			t.Errorf("%s: %+v", kind, c)
		}
		if _, err := ParseKeyKind(strings.ToUpper(string(kind))); err != nil {
			t.Error(err)
		}
	}
}

func TestCertificateNames(t *testing.T) {
	for in, want := range map[string]string{
		"Edge.Contoso.Example.": "edge.contoso.example", "*.Contoso.example": "*.contoso.example", "bücher.example": "xn--bcher-kva.example",
		"*.bücher.example": "*.xn--bcher-kva.example", " a.example ": "a.example", "vm": "vm",
		"192.0.2.1": "", "2001:db8::1": "", "[192.0.2.1]": "", "a b.example": "", "": "", "*": "", "*.com": "", "a.*.example": "", "a*.example": "", "-a.example": "", "a_b.example": "",
	} {
		got, err := CertificateName(in)
		if (err == nil) != (want != "") || got != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
	if _, err := CertificateNames(nil); err == nil {
		t.Error("a certificate without names")
	}
	if got, err := CertificateNames([]string{"b.example", "a.example", "B.example."}); err != nil || strings.Join(got, " ") != "b.example a.example" {
		t.Error(got, err)
	}
}

func TestLookup(t *testing.T) {
	d := openStore(t)
	own := (*authority)(nil).issue(t, nil, nil, "edge.contoso.example")
	writePEM(t, d.Path(), "a.crt", own.Leaf)
	writePEM(t, d.Path(), "b.pem", own)
	w := ask(t, d, "edge.contoso.example")
	l := planOf(t, d).Listing()
	thumbprint := Thumbprint(own.Leaf)
	for _, name := range []string{thumbprint, strings.ToLower(thumbprint[:8]), colons(thumbprint)[:20], SHA1Thumbprint(own.Leaf)} {
		if e, _, err := l.Lookup(name); err != nil || e == nil || e.Key == nil {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	if e, found, err := l.Lookup(w.ID()[:10]); err != nil || e != nil || found.ID() != w.ID() {
		t.Error(e, found, err)
	}
	for name, want := range map[string]string{"": "too short", thumbprint[:7]: "too short", "edge.contoso.example": "is no thumbprint", "00000000": "no certificate has a thumbprint that begins with 00000000"} {
		if _, _, err := l.Lookup(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAssignedWithItsCertificate: a gateway that looks while a certificate and
// its assignment have just been put there takes up both or neither.
func TestAssignedWithItsCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openStore(t)
		first := (*authority)(nil).issue(t, nil, nil, "edge.contoso.example")
		second := (*authority)(nil).issue(t, nil, nil, "edge.contoso.example")
		assign := func(c *tls.Certificate) {
			p := planOf(t, d)
			if _, err := p.Add(Entry{Chain: []*x509.Certificate{c.Leaf}, Key: c.PrivateKey.(crypto.Signer), Exportable: true}); err != nil {
				t.Fatal(err)
			}
			p.Assign("In", Thumbprint(c.Leaf))
			commit(t, p)
		}
		assign(first)
		m := NewMaterial(MaterialOptions{Directory: d.Path()})
		there := func() (string, bool) {
			t.Helper()
			l, err := m.list()
			if err != nil {
				t.Fatal(err)
			}
			a, err := m.assigned()
			if err != nil {
				t.Fatal(err)
			}
			return a.For("In"), l.withKey(a.For("In")) != nil
		}
		if is, ok := there(); is != Thumbprint(first.Leaf) || !ok {
			t.Fatal("the first is not there")
		}
		assign(second)
		// The assignment is a moment older than the certificate's place in the
		// directory, and is at rest.
		m.assignments.seen, _ = stampOf(m.assignments.paths())
		for range 3 {
			time.Sleep(watchInterval)
			m.Generation()
			if is, ok := there(); !ok {
				t.Errorf("%s is assigned and not there", is)
			}
		}
		if is, _ := there(); is != Thumbprint(second.Leaf) {
			t.Error("the second was not taken up")
		}
	})
}
