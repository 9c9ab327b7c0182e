package spool

import (
	"io"
	"io/fs"
)

// FS is the file system a spool stands on. All I/O of a Store goes through
// it, so that tests can fail any operation, fill the disk or cut the power.
// Paths are those of package os. Errors satisfy errors.Is with fs.ErrNotExist
// and syscall.ENOSPC where these are meant. Methods are safe for concurrent
// use.
type FS interface {
	// MkdirAll makes a directory and its parents with mode 0700.
	MkdirAll(path string) error
	// OpenFile is os.OpenFile; new files get mode 0600.
	OpenFile(path string, flag int) (File, error)
	// ReadDir lists a directory by name.
	ReadDir(path string) ([]fs.DirEntry, error)
	// Stat describes a file.
	Stat(path string) (fs.FileInfo, error)
	// Remove removes a file.
	Remove(path string) error
	// Rename moves a file over whatever is there.
	Rename(oldPath, newPath string) error
	// SyncDir makes the entries of a directory durable.
	SyncDir(path string) error
	// Lock takes an exclusive lock on a file, making it if need be, until the
	// closer is closed or the process ends. It returns ErrLocked when another
	// holder has it.
	Lock(path string) (io.Closer, error)
	// Volume returns the size of the volume that holds path and what is free
	// on it for us, in octets.
	Volume(path string) (total, free int64, err error)
}

// File is an open file of an FS. Methods are safe for concurrent use.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size returns the length in octets.
	Size() (int64, error)
	// Sync makes content and length durable. Where the system has a cheaper
	// call that leaves out times (fdatasync), it is used.
	Sync() error
}
