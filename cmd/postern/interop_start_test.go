//go:build linux

package main_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// picture is everything that can be seen of the files below a directory: names,
// types, modes, owners, content.
func picture(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		st := fi.Sys().(*syscall.Stat_t)
		line := fmt.Sprintf("%v %d:%d", fi.Mode(), st.Uid, st.Gid)
		if fi.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %d %x", len(b), sha256.Sum256(b))
		}
		all[path] = line
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// unlike says what differs between two pictures.
func unlike(before, after map[string]string) string {
	var b strings.Builder
	for path, was := range before {
		if is, ok := after[path]; !ok {
			fmt.Fprintf(&b, "%s is gone\n", path)
		} else if is != was {
			fmt.Fprintf(&b, "%s was %s\n    and is %s\n", path, was, is)
		}
	}
	for path := range after {
		if _, ok := before[path]; !ok {
			fmt.Fprintf(&b, "%s is new\n", path)
		}
	}
	return b.String()
}

// TestUnusableSpool: where the gateway can't work it says why and what to do,
// ends with exit code 1, and touches nothing of the spool; once that is mended
// it goes on with what it had.
func TestUnusableSpool(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		root  bool
		spoil func(t *testing.T, spool string) (mend func())
		says  []string
	}{
		{"newer format", false, func(t *testing.T, spool string) func() {
			file := filepath.Join(spool, "VERSION")
			was, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, file, "postern-spool 999\n")
			return func() { writeFile(t, file, string(was)) }
		}, []string{"newer"}},
		{"second instance", false, func(t *testing.T, spool string) func() {
			f, err := os.Open(filepath.Join(spool, "lock"))
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
				t.Fatal(err)
			}
			return func() { f.Close() }
		}, []string{"in use by another process"}},
		{"wrong owner", true, func(t *testing.T, spool string) func() {
			own := func(uid int) {
				for path := range picture(t, spool) {
					if err := os.Lchown(path, uid, -1); err != nil {
						t.Fatal(err)
					}
				}
			}
			own(12345)
			return func() { own(os.Getuid()) }
		}, []string{"user id 12345", "change the owner"}},
		{"read-only volume", true, func(t *testing.T, spool string) func() {
			if err := syscall.Mount(spool, spool, "", syscall.MS_BIND, ""); err != nil {
				lacking(t, "no bind mount can be made: %v", err)
			}
			unmount := func() { _ = syscall.Unmount(spool, 0) }
			t.Cleanup(unmount)
			if err := syscall.Mount("", spool, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
			return unmount
		}, []string{"read-only file system"}},
		{"a file in its place", false, func(t *testing.T, spool string) func() {
			if err := os.Rename(spool, spool+".away"); err != nil {
				t.Fatal(err)
			}
			writeFile(t, spool, "")
			return func() {
				if err := errors.Join(os.Remove(spool), os.Rename(spool+".away", spool)); err != nil {
					t.Fatal(err)
				}
			}
		}, []string{"not a directory"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.root {
				needRoot(t)
			}
			s := newSink(t, sinkOptions{})
			s.close()
			e := newEdge(t)
			e.top = impatient
			e.route("out", "*", s.addr, "")
			g := e.serve(t)
			for i := range int64(3) {
				dial(t, e.addr).deliver(t, "a@contoso.example", fmt.Sprintf("m%d@y.example", i), string(numbered(i)))
			}
			g.stop(t)
			spool := filepath.Join(e.dataDir, "spool")
			mend := c.spoil(t, spool)
			before := picture(t, e.dataDir)
			for try := range 3 { // as a service manager does
				code, stdout, stderr := e.postern(t, "serve")
				if code != 1 {
					t.Fatalf("try %d: exit code %d, want 1\n%s%s", try, code, stdout, stderr)
				}
				for _, want := range append(c.says, spool) {
					if !strings.Contains(stderr, want) {
						t.Errorf("it does not say %q:\n%s", want, stderr)
					}
				}
				if strings.Contains(stderr, "goroutine ") {
					t.Errorf("it prints goroutines:\n%s", stderr)
				}
			}
			if d := unlike(before, picture(t, e.dataDir)); d != "" {
				t.Errorf("it touched what it could not use:\n%s", d)
			}
			mend()
			s.listen(t)
			g = e.serve(t)
			s.await(t, 3)
			g.stop(t)
			emptySpool(t, e)
		})
	}
}
