package queue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"postern/queue/spool"
)

// maxSmallFile bounds what is read of a file of the queue.
const maxSmallFile = 4 << 20

// files are the queue's own small files. The zero value keeps nothing.
type files struct {
	fs  spool.FS
	dir string
}

func (f files) kept() bool              { return f.dir != "" }
func (f files) path(name string) string { return filepath.Join(f.dir, name) }

// read returns a file's content; nil when there is no such file.
func (f files) read(name string) ([]byte, error) {
	file, err := f.fs.OpenFile(f.path(name), os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return contentOf(file)
}

func contentOf(file spool.File) ([]byte, error) {
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	if size > maxSmallFile {
		return nil, fmt.Errorf("it has %d octets, which is too much", size)
	}
	b := make([]byte, size)
	n, err := file.ReadAt(b, 0)
	if err != nil && !(errors.Is(err, io.EOF) && n == len(b)) {
		return nil, err
	}
	return b, nil
}

// replace puts a new file in the place of an old one, so that after a crash
// there is one or the other.
func (f files) replace(name string, content []byte) error {
	tmp := f.path(name + ".new")
	file, err := f.fs.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(content, 0)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := f.fs.Rename(tmp, f.path(name)); err != nil {
		return err
	}
	return f.fs.SyncDir(f.dir)
}
