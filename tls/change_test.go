//go:build unix

package ptls

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
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
// TestExportRefused: what may not leave does not, in any form.
// TestSelfSign: the certificate that signs itself is one of a server, for its
// names.
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

// FuzzSetAttribute: whatever stands around them, the blocks of a file stay as
// they are, and what is read back is what was set.
func FuzzSetAttribute(f *testing.F) {
	block := "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	f.Add("Bag Attributes\n    friendlyName: x\n" + block)
	f.Add("friendlyName: no\n" + block + " Bag Attributes\r\n" + block)
	f.Add("-----BEGIN X\n" + block + "Bag Attributes")
	read := func(text []byte) (b bag, blocks []string) {
		for {
			p, rest := pem.Decode(text)
			if p == nil {
				return b, blocks
			}
			b.read(text[:len(text)-len(rest)])
			blocks = append(blocks, p.Type+" "+string(p.Bytes))
			text = rest
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "posternEnabled") {
			return // it may stand in the middle of what is no block, and taking it out may make one
		}
		_, before := read([]byte(text))
		for _, value := range []string{"no", "", "no"} {
			out := setAttribute([]byte(text), "posternEnabled", value)
			b, after := read(out)
			if len(before) > 0 && (b.disabled != (value == "no") || !slices.Equal(before, after)) {
				t.Errorf("%q with %q becomes %q", text, value, out)
			}
			text = string(out)
		}
	})
}
