// Package faultfs is a file system in memory for tests of the spool and of
// what stands on it. It can fail any operation, write short, run out of space,
// and cut the power: what was not synced is then lost, torn by sector or
// reordered, and names that were not synced with their directory are lost too.
package faultfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"postern/queue/spool"
)

// ErrPowerCut is what every operation returns after the power was cut.
var ErrPowerCut = errors.New("faultfs: the power is cut")

// Kind names an operation.
type Kind string

// The operations. All but Read change something and are counted.
const (
	Read    Kind = "read"
	Write   Kind = "write"
	Sync    Kind = "sync"
	Create  Kind = "create"
	Mkdir   Kind = "mkdir"
	Remove  Kind = "remove"
	Rename  Kind = "rename"
	SyncDir Kind = "syncdir"
)

// Op is one operation, as a hook sees it before it is carried out.
type Op struct {
	// N counts the operations that change something, from 1; for a Read it is
	// the number of the latest of them.
	N    int
	Kind Kind
	// Path is the file's path; Offset and Size are those of a Read or Write.
	Path   string
	Offset int64
	Size   int
}

// Fault is what a hook makes of an operation. The zero value lets it pass.
type Fault struct {
	// Err is returned. A write that fails has written Short octets before; a
	// sync that fails leaves open whether what it was for is on the disk.
	Err   error
	Short int
	// Cut cuts the power after the operation.
	Cut bool
}

// FS is a file system in memory. It is safe for concurrent use.
type FS struct {
	mu       sync.Mutex
	current  map[string]*node // what programs see
	durable  map[string]*node // what a power cut leaves for certain
	names    []nameOp         // changes of names that are not durable
	locks    map[string]bool
	capacity int64
	used     int64
	ops      int
	cut      bool
	hook     func(Op) Fault
}

// node is a file or directory.
type node struct {
	dir     bool
	data    []byte // what programs see
	synced  []byte // what is durable
	pending []write
	changed time.Time // when it was last written; zero for files put there from outside
}

// write is one that is not durable. After a failed sync it is lost to later
// syncs, but may be on the disk all the same.
type write struct {
	off  int64
	data []byte
	lost bool
}

// nameOp is a change of names: a file appears, disappears, or both.
type nameOp struct {
	add, remove string
	node        *node
}

func (o nameOp) in(dir string) bool {
	return o.add != "" && filepath.Dir(o.add) == dir || o.remove != "" && filepath.Dir(o.remove) == dir
}

// New returns an empty file system on a volume of so many octets; zero means
// 1 GB.
func New(capacity int64) *FS {
	if capacity <= 0 {
		capacity = 1 << 30
	}
	root := &node{dir: true}
	return &FS{
		current: map[string]*node{"/": root, ".": root}, durable: map[string]*node{"/": root, ".": root},
		locks: map[string]bool{}, capacity: capacity,
	}
}

// SetHook has fn asked before every operation; nil ends that.
func (f *FS) SetHook(fn func(Op) Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = fn
}

// SetCapacity changes the size of the volume.
func (f *FS) SetCapacity(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.capacity = n
}

// Fill leaves so many octets free on the volume.
func (f *FS) Fill(free int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.capacity = f.used + free
}

// Ops returns how many operations have changed something.
func (f *FS) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops
}

// CutPower cuts the power now.
func (f *FS) CutPower() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut = true
}

// PowerIsCut reports whether the power is cut.
func (f *FS) PowerIsCut() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cut
}

// Used returns the octets that files take.
func (f *FS) Used() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.used
}

// ReadFile returns what programs see of a file.
func (f *FS) ReadFile(path string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.current[filepath.Clean(path)]
	if n == nil || n.dir {
		return nil, notExist("read", path)
	}
	return slices.Clone(n.data), nil
}

// WriteFile replaces a file, durably and unseen by hooks, to do damage with.
func (f *FS) WriteFile(path string, b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path = filepath.Clean(path)
	n := f.current[path]
	if n == nil {
		n = &node{}
		f.current[path], f.durable[path] = n, n
	}
	f.used += int64(len(b) - len(n.data))
	n.data, n.synced, n.pending = slices.Clone(b), slices.Clone(b), nil
}

// Names returns the paths of all files, sorted.
func (f *FS) Names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for path, n := range f.current {
		if !n.dir {
			names = append(names, path)
		}
	}
	slices.Sort(names)
	return names
}

// begin asks the hook; cut says that the power goes after the operation.
func (f *FS) begin(kind Kind, path string, off int64, size int) (fault Fault, err error) {
	if f.cut {
		return fault, ErrPowerCut
	}
	if kind != Read {
		f.ops++
	}
	if f.hook != nil {
		fault = f.hook(Op{N: f.ops, Kind: kind, Path: path, Offset: off, Size: size})
	}
	return fault, nil
}

func (f *FS) end(fault Fault) {
	if fault.Cut {
		f.cut = true
	}
}

func notExist(op, path string) error { return &os.PathError{Op: op, Path: path, Err: fs.ErrNotExist} }

// MkdirAll implements spool.FS.
func (f *FS) MkdirAll(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cut {
		return ErrPowerCut
	}
	var missing []string
	for p := filepath.Clean(path); f.current[p] == nil; p = filepath.Dir(p) {
		missing = append(missing, p)
	}
	for _, p := range slices.Backward(missing) {
		fault, err := f.begin(Mkdir, p, 0, 0)
		if err != nil {
			return err
		}
		if fault.Err == nil {
			n := &node{dir: true}
			f.current[p] = n
			f.names = append(f.names, nameOp{add: p, node: n})
		}
		f.end(fault)
		if fault.Err != nil {
			return &os.PathError{Op: "mkdir", Path: p, Err: fault.Err}
		}
	}
	return nil
}

// OpenFile implements spool.FS.
func (f *FS) OpenFile(path string, flag int) (spool.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cut {
		return nil, ErrPowerCut
	}
	path = filepath.Clean(path)
	n := f.current[path]
	switch {
	case n != nil && n.dir:
		return nil, &os.PathError{Op: "open", Path: path, Err: syscall.EISDIR}
	case n != nil && flag&os.O_EXCL != 0:
		return nil, &os.PathError{Op: "open", Path: path, Err: fs.ErrExist}
	case n != nil && flag&os.O_TRUNC != 0:
		f.used -= int64(len(n.data))
		n.data, n.synced, n.pending = nil, nil, nil
	case n == nil && flag&os.O_CREATE == 0:
		return nil, notExist("open", path)
	case n == nil:
		if p := f.current[filepath.Dir(path)]; p == nil || !p.dir {
			return nil, notExist("open", path)
		}
		fault, err := f.begin(Create, path, 0, 0)
		if err != nil {
			return nil, err
		}
		if fault.Err == nil {
			n = &node{changed: time.Now()}
			f.current[path] = n
			f.names = append(f.names, nameOp{add: path, node: n})
		}
		f.end(fault)
		if fault.Err != nil {
			return nil, &os.PathError{Op: "open", Path: path, Err: fault.Err}
		}
	}
	return &file{fs: f, node: n, path: path}, nil
}

// ReadDir implements spool.FS.
func (f *FS) ReadDir(path string) ([]fs.DirEntry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cut {
		return nil, ErrPowerCut
	}
	path = filepath.Clean(path)
	if n := f.current[path]; n == nil || !n.dir {
		return nil, notExist("readdir", path)
	}
	var list []fs.DirEntry
	for p, n := range f.current {
		if p != path && filepath.Dir(p) == path {
			list = append(list, fs.FileInfoToDirEntry(n.info(p)))
		}
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}

// Stat implements spool.FS.
func (f *FS) Stat(path string) (fs.FileInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cut {
		return nil, ErrPowerCut
	}
	n := f.current[filepath.Clean(path)]
	if n == nil {
		return nil, notExist("stat", path)
	}
	return n.info(path), nil
}

// Remove implements spool.FS.
func (f *FS) Remove(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	path = filepath.Clean(path)
	n := f.current[path]
	if n == nil && !f.cut {
		return notExist("remove", path)
	}
	fault, err := f.begin(Remove, path, 0, 0)
	if err != nil {
		return err
	}
	if fault.Err == nil {
		delete(f.current, path)
		f.used -= int64(len(n.data))
		f.names = append(f.names, nameOp{remove: path, node: n})
	}
	f.end(fault)
	return pathError("remove", path, fault.Err)
}

// Rename implements spool.FS.
func (f *FS) Rename(oldPath, newPath string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	oldPath, newPath = filepath.Clean(oldPath), filepath.Clean(newPath)
	n := f.current[oldPath]
	if n == nil && !f.cut {
		return notExist("rename", oldPath)
	}
	fault, err := f.begin(Rename, newPath, 0, 0)
	if err != nil {
		return err
	}
	if fault.Err == nil {
		if old := f.current[newPath]; old != nil {
			f.used -= int64(len(old.data))
		}
		delete(f.current, oldPath)
		f.current[newPath] = n
		f.names = append(f.names, nameOp{add: newPath, remove: oldPath, node: n})
	}
	f.end(fault)
	return pathError("rename", newPath, fault.Err)
}

// SyncDir implements spool.FS.
func (f *FS) SyncDir(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	path = filepath.Clean(path)
	fault, err := f.begin(SyncDir, path, 0, 0)
	if err != nil {
		return err
	}
	if fault.Err == nil {
		f.names = slices.DeleteFunc(f.names, func(o nameOp) bool {
			if o.in(path) {
				o.apply(f.durable)
				return true
			}
			return false
		})
	}
	f.end(fault)
	return pathError("syncdir", path, fault.Err)
}

func (o nameOp) apply(names map[string]*node) {
	if o.remove != "" {
		delete(names, o.remove)
	}
	if o.add != "" {
		names[o.add] = o.node
	}
}

// Lock implements spool.FS.
func (f *FS) Lock(path string) (io.Closer, error) {
	c, err := f.OpenFile(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	c.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.locks[path] {
		return nil, spool.ErrLocked
	}
	f.locks[path] = true
	return lock{f, path}, nil
}

type lock struct {
	fs   *FS
	path string
}

func (l lock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	delete(l.fs.locks, l.path)
	return nil
}

// Volume implements spool.FS.
func (f *FS) Volume(string) (total, free int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.capacity, max(f.capacity-f.used, 0), nil
}

func pathError(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: path, Err: err}
}
