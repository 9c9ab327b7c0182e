package review

import (
	"bytes"
	"io"
	"os"
	"slices"
)

const (
	// maxPast is how many of the files that were followed are known again under
	// another name.
	maxPast = 64
	// identityHead is how much of a file's beginning is no other file's,
	// octets: the header's date or the time and ids of the first line.
	identityHead = 512
)

// pastFile is what a file that was followed is known by. An inode alone may be
// that of a new file once the old one is removed.
type pastFile struct {
	info os.FileInfo
	head []byte
}

// remember keeps what the file at hand is known by.
func (t *tail) remember() {
	info, err := t.file.Stat()
	if err != nil {
		return
	}
	if len(t.past) == maxPast {
		t.past = slices.Delete(t.past, 0, 1)
	}
	t.past = append(t.past, pastFile{info, beginning(t.file)})
}

// hasRead reports whether a file of another name is one that is or was followed:
// it was renamed.
func (t *tail) hasRead(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	if t.file != nil {
		if now, err := t.file.Stat(); err == nil && os.SameFile(now, info) {
			return true
		}
	}
	i := slices.IndexFunc(t.past, func(p pastFile) bool { return os.SameFile(p.info, info) })
	if i < 0 || len(t.past[i].head) == 0 {
		return false
	}
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	return bytes.HasPrefix(beginning(file), t.past[i].head)
}

// beginning returns the first octets of a file.
func beginning(file *os.File) []byte {
	b := make([]byte, identityHead)
	n, err := file.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return nil
	}
	return b[:n]
}
