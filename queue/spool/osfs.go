package spool

import (
	"fmt"
	"io"
	"io/fs"
	"os"
)

// OS returns the operating system's file system. On Linux a sync leaves out
// times (fdatasync); elsewhere it is a whole fsync.
func OS() FS { return osFS{} }

type osFS struct{}

type osFile struct{ *os.File }

func (osFS) MkdirAll(path string) error { return os.MkdirAll(path, 0o700) }

func (osFS) OpenFile(path string, flag int) (File, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) ReadDir(path string) ([]fs.DirEntry, error)      { return os.ReadDir(path) }
func (osFS) Stat(path string) (fs.FileInfo, error)           { return os.Stat(path) }
func (osFS) Remove(path string) error                        { return os.Remove(path) }
func (osFS) Rename(oldPath, newPath string) error            { return os.Rename(oldPath, newPath) }
func (osFS) SyncDir(path string) error                       { return syncDir(path) }
func (osFS) Volume(path string) (total, free int64, e error) { return volume(path) }

// Lock locks the file as a whole. The lock belongs to the open file, so it
// ends with the process however that ends.
func (osFS) Lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return f, nil
}

func (f osFile) Size() (int64, error) {
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

func (f osFile) Sync() error { return syncData(f.File) }
