//go:build unix

package spool_test

import (
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"postern/queue/spool"
	"postern/queue/spool/faultfs"
)

// ownedFS says that every file belongs to somebody.
type ownedFS struct {
	*faultfs.FS
	uid uint32
}

type ownedInfo struct {
	fs.FileInfo
	uid uint32
}

func (i ownedInfo) Sys() any { return &syscall.Stat_t{Uid: i.uid} }

func (f ownedFS) Stat(path string) (fs.FileInfo, error) {
	fi, err := f.FS.Stat(path)
	if err != nil {
		return nil, err
	}
	return ownedInfo{fi, f.uid}, nil
}

// TestOwner: a spool of somebody else is refused with both users named, and
// nothing in it is touched.
func TestOwner(t *testing.T) {
	fsys := faultfs.New(0)
	mustClose(t, open(t, fsys))
	before := fsys.Ops()
	_, err := spool.Open("/spool", small(ownedFS{fsys, 64123}))
	if err == nil || !strings.Contains(err.Error(), "user id 64123") {
		t.Errorf("Open: %v", err)
	}
	if fsys.Ops() != before {
		t.Errorf("%d operations on somebody else's spool", fsys.Ops()-before)
	}
	s, err := spool.Open("/spool", small(ownedFS{fsys, uint32(os.Geteuid())}))
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
}
