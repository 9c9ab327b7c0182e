package pickup

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// files is what the package does to a directory. Tests put something else in its
// place.
type files interface {
	// list calls fn for the names in a directory until it returns false.
	list(dir string, fn func(name string) bool) error
	// stat describes a file and follows no link.
	stat(path string) (fs.FileInfo, error)
	// open opens a file for reading. It follows no link and waits for nothing.
	open(path string) (*os.File, error)
	// rename never replaces another file: the error is then fs.ErrExist.
	rename(from, to string) error
	remove(path string) error
	// sync makes the names in a directory durable.
	sync(dir string) error
}

type osFiles struct{}

// listed is how many names are held in memory at a time.
const listed = 256

func (osFiles) list(dir string, fn func(name string) bool) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(listed)
		for _, n := range names {
			if !fn(n) {
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (osFiles) stat(path string) (fs.FileInfo, error) { return os.Lstat(path) }
func (osFiles) open(path string) (*os.File, error)    { return openFile(path) }
func (osFiles) rename(from, to string) error          { return rename(from, to) }
func (osFiles) remove(path string) error              { return os.Remove(path) }
func (osFiles) sync(dir string) error                 { return syncDir(dir) }

// renameUnless renames a file unless the new name is taken. Between the two
// somebody else may take it; where the system knows better, this is not used.
func renameUnless(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrExist}
	}
	return os.Rename(from, to)
}
