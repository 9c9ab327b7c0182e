package faultfs

import (
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// file is an open file.
type file struct {
	fs   *FS
	node *node
	path string
}

// ReadAt implements spool.File.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	fault, err := f.fs.begin(Read, f.path, off, len(p))
	if err != nil {
		return 0, err
	}
	f.fs.end(fault)
	if fault.Err != nil {
		return 0, pathError("read", f.path, fault.Err)
	}
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements spool.File. A volume that is full takes what fits.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	fault, err := f.fs.begin(Write, f.path, off, len(p))
	if err != nil {
		return 0, err
	}
	n, werr := len(p), fault.Err
	if werr != nil {
		n = min(fault.Short, n)
	}
	grow := off + int64(n) - int64(len(f.node.data))
	if free := f.fs.capacity - f.fs.used; grow > max(free, 0) {
		n = max(int(int64(n)-(grow-max(free, 0))), 0)
		if werr == nil {
			werr = syscall.ENOSPC
		}
	}
	if n > 0 {
		f.fs.used += f.node.write(p[:n], off)
	}
	f.fs.end(fault)
	return n, pathError("write", f.path, werr)
}

// write applies a write to what programs see and remembers it.
func (n *node) write(p []byte, off int64) (grown int64) {
	before := len(n.data)
	n.data = overlay(n.data, p, off)
	n.pending = append(n.pending, write{off: off, data: slices.Clone(p)})
	n.changed = time.Now()
	return int64(len(n.data) - before)
}

// overlay writes p at off into b, which grows as need be.
func overlay(b, p []byte, off int64) []byte {
	if end := int(off) + len(p); end > len(b) {
		b = append(b, make([]byte, end-len(b))...)
	}
	copy(b[off:], p)
	return b
}

// Sync implements spool.File.
func (f *file) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	fault, err := f.fs.begin(Sync, f.path, 0, 0)
	if err != nil {
		return err
	}
	n := f.node
	if fault.Err != nil {
		for i := range n.pending {
			n.pending[i].lost = true
		}
	} else {
		// What a failed sync was for stays uncertain, until it is written
		// over.
		var left []write
		for _, w := range n.pending {
			if w.lost {
				left = append(left, w)
				continue
			}
			n.synced = overlay(n.synced, w.data, w.off)
			left = slices.DeleteFunc(left, func(l write) bool {
				return w.off <= l.off && l.off+int64(len(l.data)) <= w.off+int64(len(w.data))
			})
		}
		n.pending = left
	}
	f.fs.end(fault)
	return pathError("sync", f.path, fault.Err)
}

// Size implements spool.File.
func (f *file) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.fs.cut {
		return 0, ErrPowerCut
	}
	return int64(len(f.node.data)), nil
}

// Close implements spool.File.
func (f *file) Close() error { return nil }

// info describes a file.
type info struct {
	name    string
	dir     bool
	size    int64
	changed time.Time
}

func (n *node) info(path string) info {
	return info{filepath.Base(path), n.dir, int64(len(n.data)), n.changed}
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) ModTime() time.Time { return i.changed }
func (i info) IsDir() bool        { return i.dir }
func (i info) Sys() any           { return nil }
func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o700
	}
	return 0o600
}
