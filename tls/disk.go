package ptls

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// ErrLocked says that another command is changing the certificate directory.
var ErrLocked = errors.New("another command is changing the certificates")

// disk is what a Directory does to files, so that tests can make any of it
// fail. Paths are those of package os.
type disk interface {
	// Mkdir makes a directory with mode 0700.
	Mkdir(path string) error
	// Write makes a new file with mode 0600, whole and durable, of an owner.
	Write(path string, text []byte, o owner) error
	Rename(from, to string) error
	Remove(path string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(path string) error
	// Lock takes an exclusive lock on a file, making it if need be, until the
	// closer is closed. It returns ErrLocked when another has it.
	Lock(path string, o owner) (io.Closer, error)
}

// osDisk is the disk of the system.
type osDisk struct{}

func (osDisk) Mkdir(path string) error { return os.Mkdir(path, 0o700) }

func (osDisk) Write(path string, text []byte, o owner) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err = o.give(f); err == nil {
		_, err = f.Write(text)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

func (osDisk) Rename(from, to string) error { return os.Rename(from, to) }

func (osDisk) Remove(path string) error { return os.Remove(path) }

func (osDisk) SyncDir(path string) error {
	if runtime.GOOS == "windows" { // NTFS journals names, and directories can't be synced
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (osDisk) Lock(path string, o owner) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case err == nil:
		err = o.give(f)
	case errors.Is(err, fs.ErrExist):
		// Whoever owns the directory may have put a link there, which root must
		// not follow.
		f, err = os.OpenFile(path, os.O_RDWR|noFollow, 0)
	}
	if err == nil {
		err = lockFile(f)
	}
	if err != nil {
		if f != nil {
			f.Close()
		}
		return nil, err
	}
	return f, nil
}
