//go:build unix

package ptls

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// noFollow opens what stands there itself and no link to elsewhere.
const noFollow = unix.O_NOFOLLOW

// owner is whom new files belong to: whoever the directory belongs to, where
// root makes them, since the gateway has to read them as its own user. The zero
// value leaves them to who makes them.
type owner struct {
	uid, gid int
	set      bool
}

// ownerOf is the owner of what is made in a directory.
func ownerOf(info fs.FileInfo) owner {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || s.Uid == 0 {
		return owner{}
	}
	return owner{int(s.Uid), int(s.Gid), true}
}

func (o owner) give(f *os.File) error {
	if !o.set {
		return nil
	}
	return f.Chown(o.uid, o.gid)
}

func (o owner) giveDirectory(path string) error {
	if !o.set {
		return nil
	}
	return os.Lchown(path, o.uid, o.gid)
}

func lockFile(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}
