package ptls

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// lockName is the file of a certificate directory that is locked while it is
// changed; changePrefix begins the names of files that are not in place yet.
// Readers of the directory pass over both.
const (
	lockName     = ".lock"
	changePrefix = ".change-"
)

// Directory is a certificate directory that is being changed, by one process at
// a time. It is for one goroutine. What a gateway that runs does with the
// directory needs no lock: it reads files that are put in place whole.
type Directory struct {
	path  string
	disk  disk
	owner owner
	lock  io.Closer
}

// OpenDirectory locks a certificate directory, which is made with mode 0700 if
// it is missing (its parents too, unless root asks), and clears away what a change that was cut short has left.
// Files that root makes belong to the owner of the directory. The error wraps
// ErrLocked when another process is changing it.
func OpenDirectory(path string) (*Directory, error) { return openDirectory(path, osDisk{}) }

func openDirectory(path string, on disk) (*Directory, error) {
	d := &Directory{path: path, disk: on}
	if err := d.make(path); err != nil {
		return nil, unwritable(path, err)
	}
	var err error
	if d.lock, err = on.Lock(filepath.Join(path, lockName), d.owner); err != nil {
		if errors.Is(err, ErrLocked) {
			return nil, fmt.Errorf("%w in %s; try again when it has finished", err, path)
		}
		return nil, unwritable(path, err)
	}
	if err := d.clear(); err != nil {
		return nil, errors.Join(unwritable(path, err), d.Close())
	}
	return d, nil
}

// unwritable says what to do about a directory that can't be changed.
func unwritable(path string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("the certificate directory %s can't be changed: %w; call as root or as the user the gateway runs as", path, err)
	}
	return fmt.Errorf("the certificate directory %s can't be changed: %w", path, err)
}

// make makes the directories that are missing, and finds out who owns the last.
func (d *Directory) make(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := d.makeAbove(path); err != nil {
			return err
		}
		if err := d.disk.Mkdir(path); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return d.owner.giveDirectory(path)
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no directory", path)
	}
	d.owner = ownerOf(info)
	return nil
}

// makeAbove makes what a directory lies in. Root does not: nobody knows whom the
// gateway's own directory is to belong to.
func (d *Directory) makeAbove(path string) error {
	above := filepath.Dir(path)
	if _, err := os.Stat(above); errors.Is(err, fs.ErrNotExist) && os.Geteuid() == 0 {
		return fmt.Errorf("%s is not there; start the gateway once, or make it with the owner and mode that it needs: install -d -m 0700 -o USER %s", above, above)
	}
	return d.make(above)
}

// clear removes what a change that was cut short has left. What it had put in
// place is complete.
func (d *Directory) clear() error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, n := range names {
		if strings.HasPrefix(n, changePrefix) {
			if err := d.disk.Remove(filepath.Join(d.path, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// Path is where the directory is.
func (d *Directory) Path() string { return d.path }

// Read is ReadDirectory, which nobody changes before Close.
func (d *Directory) Read() (*Listing, error) { return ReadDirectory(d.path) }

// Close lets others change the directory.
func (d *Directory) Close() error { return d.lock.Close() }

// change is what becomes of files. Those that are new are put in place first,
// then those that take another's place, then files are removed, so that after a
// crash each certificate is there with its key.
type change struct {
	write  map[string][]byte // by name
	remove []string          // paths in the directory
}

// step is a part of a change that has been done, and how to undo it.
type step struct{ undo func() error }

// apply carries out a change, or undoes what was done of it and says why. What
// it returns nil for survives a power cut.
func (d *Directory) apply(c change) error {
	var done []step
	err := d.applySteps(c, &done)
	if err == nil {
		return nil
	}
	err = unwritable(d.path, err)
	for _, s := range slices.Backward(done) {
		if undo := s.undo(); undo != nil {
			err = fmt.Errorf("%w; and what was done before could not be undone: %w", err, undo)
			break
		}
	}
	return err
}

func (d *Directory) applySteps(c change, done *[]step) error {
	names := make([]string, 0, len(c.write))
	old := make(map[string][]byte)
	for name := range c.write {
		names = append(names, name)
		text, err := readOwn(filepath.Join(d.path, name))
		if err == nil {
			old[name] = text
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if (old[a] == nil) != (old[b] == nil) {
			if old[a] == nil {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	// All content is on the disk before anything is in place.
	for _, name := range names {
		tmp := filepath.Join(d.path, changePrefix+name)
		if err := d.disk.Write(tmp, c.write[name], d.owner); err != nil {
			return err
		}
		*done = append(*done, step{func() error {
			if err := d.disk.Remove(tmp); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return nil
		}})
	}
	for _, name := range names {
		if err := d.put(name, old[name], done); err != nil {
			return err
		}
	}
	if len(names) > 0 {
		if err := d.disk.SyncDir(d.path); err != nil {
			return err
		}
	}
	return d.removeAll(c.remove, done)
}

// readOwn reads a file of the directory that is to be replaced. A link is left
// to whoever put it there: what it points to is not ours to replace.
func readOwn(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is a link or no file; put a file in its place first", path)
	}
	return os.ReadFile(path)
}

// put moves a file to its place.
func (d *Directory) put(name string, old []byte, done *[]step) error {
	path, tmp := filepath.Join(d.path, name), filepath.Join(d.path, changePrefix+name)
	if err := d.disk.Rename(tmp, path); err != nil {
		return err
	}
	*done = append(*done, step{func() error {
		if old == nil {
			return d.disk.Remove(path)
		}
		if err := d.disk.Write(tmp, old, d.owner); err != nil {
			return err
		}
		return d.disk.Rename(tmp, path)
	}})
	return nil
}

// removeAll takes files out of sight first, so that they can come back should
// one of them not go.
func (d *Directory) removeAll(paths []string, done *[]step) error {
	if len(paths) == 0 {
		return nil
	}
	var hidden []string
	for _, path := range paths {
		aside := filepath.Join(filepath.Dir(path), changePrefix+"gone-"+filepath.Base(path))
		if err := d.disk.Rename(path, aside); err != nil {
			return err
		}
		hidden = append(hidden, aside)
		*done = append(*done, step{func() error { return d.disk.Rename(aside, path) }})
	}
	if err := d.disk.SyncDir(d.path); err != nil {
		return err
	}
	// Out of sight and on the way out: what does not go now goes at the next
	// change.
	for _, path := range hidden {
		_ = d.disk.Remove(path)
	}
	return nil
}
