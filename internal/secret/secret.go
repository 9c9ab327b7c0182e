// Package secret reads files that hold secrets: passwords and private keys. It
// knows who may be able to read them. It serves whoever keeps a secret in a
// file of its own.
package secret

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"syscall"
)

// open are the permissions that a file with a secret must not have: anything
// for others, and writing for its group.
const open fs.FileMode = 0o027

// Read returns the content of a file of at most most octets. A file that
// everybody may read, or others than its owner may write, is refused: what it
// holds is a secret no more. Its group may read it, so that root can own what
// the gateway's user reads. Where the system has no such permissions they are
// not looked at.
func Read(path string, most int64) ([]byte, error) {
	b, _, err := ReadInfo(path, most)
	return b, err
}

// ReadInfo is Read that also describes the file that was read.
func ReadInfo(path string, most int64) ([]byte, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // no pipe waits for its writer
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if err := Check(path, info); err != nil {
		return nil, nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, nil, err
	}
	if int64(len(b)) > most {
		return nil, nil, fmt.Errorf("%s has more than %d octets; it can't be the file that is meant", path, most)
	}
	return b, info, nil
}

// Check is the rule of Read for a file that was opened already and turns out to
// hold a secret.
func Check(path string, info fs.FileInfo) error {
	mode := info.Mode()
	switch {
	case mode.IsDir():
		return errors.New(path + " is a directory; name the file")
	case !mode.IsRegular():
		return errors.New(path + " is no regular file; name one")
	case runtime.GOOS == "windows" || mode.Perm()&open == 0:
		return nil
	case mode.Perm()&0o007 != 0:
		return fmt.Errorf("%s is open to everybody on this host (%v); chmod it to 0600, or to 0640 with a group that may read it", path, mode.Perm())
	}
	return fmt.Errorf("%s may be written by its group (%v); chmod it to 0600 or 0640", path, mode.Perm())
}
