package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"postern/internal/message"
)

// bodyDirs are the directories that content of its own file is spread over.
type bodyDirs struct {
	fs   FS
	root string
	mu   sync.Mutex
	made [256]bool
}

func (d *bodyDirs) init(fsys FS, root string) { d.fs, d.root = fsys, root }

// dir is the number of the directory of a message. Ids that follow one another
// differ in their low bits, ids of different moments in the middle ones.
func (d *bodyDirs) dir(id message.ID) byte {
	return byte((uint64(id) * 0x9e3779b97f4a7c15) >> 56)
}

func (d *bodyDirs) path(id message.ID) string {
	return filepath.Join(d.root, fmt.Sprintf("%02x", d.dir(id)), id.String())
}

// ensure makes the directory of a message durable.
func (d *bodyDirs) ensure(id message.ID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.dir(id)
	if d.made[n] {
		return nil
	}
	path := filepath.Dir(d.path(id))
	if err := d.fs.MkdirAll(path); err != nil {
		return err
	}
	if err := d.fs.SyncDir(d.root); err != nil {
		return err
	}
	d.made[n] = true
	return nil
}

// list returns the body files there are, with their paths within the spool's
// directory.
func (d *bodyDirs) list() (map[message.ID]string, error) {
	files := make(map[message.ID]string)
	dirs, err := d.fs.ReadDir(d.root)
	if errors.Is(err, fs.ErrNotExist) {
		return files, nil
	}
	if err != nil {
		return nil, err
	}
	for _, sub := range dirs {
		if !sub.IsDir() {
			continue
		}
		entries, err := d.fs.ReadDir(filepath.Join(d.root, sub.Name()))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if id, err := message.ParseID(e.Name()); err == nil {
				files[id] = filepath.Join(bodiesDir, sub.Name(), e.Name())
			}
		}
	}
	return files, nil
}

// bufferPool keeps content buffers of a few sizes.
type bufferPool struct{ pools [len(bufferSizes)]sync.Pool }

// bufferSizes are what a draft's buffer grows through: most messages fit into
// the first.
var bufferSizes = [...]int{16 << 10, 64 << 10, 256<<10 + 4096}

// get returns a buffer of at least n octets of capacity; nil when none is that
// large.
func (p *bufferPool) get(n int) []byte {
	for i, size := range bufferSizes {
		if n > size {
			continue
		}
		if b, ok := p.pools[i].Get().(*[]byte); ok {
			return (*b)[:0]
		}
		return make([]byte, 0, size)
	}
	return nil
}

func (p *bufferPool) put(b []byte) {
	for i, size := range bufferSizes {
		if cap(b) == size {
			p.pools[i].Put(&b)
			return
		}
	}
}
