package logs

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// fileSystem is what a log needs of the disk, so that a test can break it.
type fileSystem interface {
	MkdirAll(path string, mode fs.FileMode) error
	// OpenAppend opens a file for reading and for writing at its end, and makes
	// it when it is not there.
	OpenAppend(path string, mode fs.FileMode) (file, error)
	Stat(path string) (fs.FileInfo, error)
	ReadDir(path string) ([]fs.DirEntry, error)
	Remove(path string) error
}

type file interface {
	io.Writer
	io.ReaderAt
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
	Close() error
}

// osFS is the disk.
type osFS struct{}

func (osFS) MkdirAll(path string, mode fs.FileMode) error { return os.MkdirAll(path, mode) }
func (osFS) Stat(path string) (fs.FileInfo, error)        { return os.Stat(path) }
func (osFS) ReadDir(path string) ([]fs.DirEntry, error)   { return os.ReadDir(path) }
func (osFS) Remove(path string) error                     { return os.Remove(path) }
func (osFS) OpenAppend(path string, mode fs.FileMode) (file, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, mode)
}

// Log files are for the gateway and its group: administrators read them.
const (
	directoryMode = 0o750
	fileMode      = 0o640
)

var newline = []byte("\n")

// The ends of file names.
const (
	suffixCSV  = ".log"
	suffixJSON = ".jsonl"
)

// fileSet is the files of one log: PREFIXyyyymmdd-n.log, or .jsonl, n counting
// from 1 each day (UTC). It belongs to one goroutine.
type fileSet struct {
	*target
	fs fileSystem

	file file // nil when none is open
	info fs.FileInfo
	name string
	day  int64
	n    int
	size int64 // of what is whole; a torn line behind it is cut off
	bare bool  // nothing but the header stands in the file
}

// write appends lines of one day. It returns how many octets of b stand in
// whole lines in the files; the rest is to be given again. Opened says that a
// file was begun.
func (s *fileSet) write(day int64, b []byte) (n int, opened bool, err error) {
	for len(b) > 0 {
		fresh, err := s.ready(day)
		opened = opened || fresh
		if err != nil {
			return n, opened, err
		}
		part := s.fitting(b)
		if len(part) == 0 {
			s.close()
			if err := s.open(day, s.n+1); err != nil {
				return n, opened, err
			}
			opened = true
			continue
		}
		m, err := s.file.Write(part)
		whole := bytes.LastIndexByte(part[:m], '\n') + 1
		n += whole
		b = b[whole:]
		s.size += int64(whole)
		s.bare = s.bare && whole == 0
		if err != nil {
			s.close() // adopt cuts off what stands behind the last whole line
			return n, opened, fmt.Errorf("write %s: %w", filepath.Join(s.directory, s.name), err)
		}
	}
	return n, opened, nil
}

// fitting returns as many whole lines as the file has room for. A line that is
// larger than a file gets one of its own.
func (s *fileSet) fitting(b []byte) []byte {
	room := s.maxFile - s.size
	if int64(len(b)) <= room {
		return b
	}
	if room > 0 {
		if i := bytes.LastIndexByte(b[:room], '\n'); i >= 0 {
			return b[:i+1]
		}
	}
	if s.bare {
		return b[:bytes.IndexByte(b, '\n')+1]
	}
	return nil
}

// ready makes sure that a file of that day is open and still has its name.
func (s *fileSet) ready(day int64) (opened bool, err error) {
	if s.file != nil && s.day == day {
		if info, err := s.fs.Stat(filepath.Join(s.directory, s.name)); err == nil && os.SameFile(info, s.info) {
			return false, nil
		}
		// Someone moved or deleted the file, or the whole directory.
	}
	s.close()
	return true, s.open(day, 1)
}

// open opens the last file of a day, or the one with number atLeast when that
// is later. It goes on in a file of an earlier run that has room.
func (s *fileSet) open(day int64, atLeast int) error {
	if err := s.fs.MkdirAll(s.directory, directoryMode); err != nil {
		return fmt.Errorf("make the directory: %w", err)
	}
	files, err := s.list()
	if err != nil {
		return err
	}
	n := atLeast
	for _, f := range files {
		if f.day == day && f.suffix == s.suffix() {
			n = max(n, f.n)
		}
	}
	for ; ; n++ {
		adopted, err := s.openFile(day, n)
		if err != nil {
			return err
		}
		if adopted {
			return nil
		}
	}
}

// openFile opens one file. It is not adopted when it is not ours.
func (s *fileSet) openFile(day int64, n int) (adopted bool, err error) {
	name := s.layout.Prefix + time.Unix(day*86400, 0).UTC().Format("20060102") + "-" + strconv.Itoa(n) + s.suffix()
	f, err := s.fs.OpenAppend(filepath.Join(s.directory, name), fileMode)
	if err != nil {
		return false, fmt.Errorf("open: %w", err)
	}
	info, err := f.Stat()
	if err == nil {
		s.file, s.info, s.name, s.day, s.n, s.size, s.bare = f, info, name, day, n, info.Size(), false
		adopted, err = s.adopt()
	}
	if err != nil || !adopted {
		f.Close()
		s.file = nil
	}
	if err != nil {
		err = fmt.Errorf("open %s: %w", filepath.Join(s.directory, name), err)
	}
	return adopted, err
}

// tail is how much of a file's end is searched for the end of its last whole
// line. It is more than the longest line.
const tail = 256 << 10

// adopt makes the open file one that lines can be appended to: it writes the
// header of a new one, and cuts a torn line, the mark of a crash or a full
// disk, off an old one.
func (s *fileSet) adopt() (bool, error) {
	if s.size == 0 {
		return true, s.writeHeader()
	}
	head := make([]byte, min(s.size, 1024))
	if _, err := s.file.ReadAt(head, 0); err != nil && err != io.EOF {
		return false, err
	}
	switch s.recognise(head) {
	case foreign:
		return false, nil
	case cutShort:
		if err := s.file.Truncate(0); err != nil {
			return false, err
		}
		s.size = 0
		return true, s.writeHeader()
	}
	end := make([]byte, min(s.size, tail))
	if _, err := s.file.ReadAt(end, s.size-int64(len(end))); err != nil && err != io.EOF {
		return false, err
	}
	last := bytes.LastIndexByte(end, '\n')
	if last < 0 {
		return false, nil
	}
	if torn := len(end) - 1 - last; torn > 0 {
		s.size -= int64(torn)
		if err := s.file.Truncate(s.size); err != nil {
			return false, err
		}
	}
	return true, nil
}

// What the first octets of a file tell.
type recognised uint8

const (
	foreign  recognised = iota
	cutShort            // by a crash, so that there is nothing else in the file
	ours
)

func (s *fileSet) recognise(head []byte) recognised {
	if s.mode == modeJSON {
		begin := []byte(`{"log":"` + s.kind.String() + `",`)
		switch {
		case !bytes.HasPrefix(head, begin[:min(len(begin), len(head))]):
			return foreign
		case s.size < tail && s.size == int64(len(head)) && bytes.IndexByte(head, '\n') < 0:
			return cutShort
		}
		return ours
	}
	if bytes.Contains(head, []byte("\n#Fields: "+strings.Join(s.layout.Columns, ",")+"\n")) {
		return ours
	}
	short := s.size < int64(len(s.header(time.Time{})))
	if !short || !bytes.HasPrefix(head, []byte(software)[:min(len(head), len(software))]) {
		return foreign
	}
	return cutShort
}

func (s *fileSet) suffix() string {
	if s.mode == modeJSON {
		return suffixJSON
	}
	return suffixCSV
}

// The head of each file of CSV. The field names and the version are Exchange's, whose
// format it is.
const (
	software      = "#Software: Postern\n"
	formatVersion = "#Version: 15.0.0.0\n"
)

func (s *fileSet) header(now time.Time) []byte { return s.layout.appendHead(nil, now) }

// writeHeader begins a file; one of JSON has no header.
func (s *fileSet) writeHeader() error {
	if s.mode == modeJSON {
		s.size, s.bare = 0, true
		return nil
	}
	h := s.header(time.Now())
	if _, err := s.file.Write(h); err != nil {
		return err
	}
	s.size, s.bare = int64(len(h)), true
	return nil
}

func (s *fileSet) close() {
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
}

// logFile is the name of a file of the set, taken apart.
type logFile struct {
	name   string
	day    int64
	n      int
	suffix string
	entry  fs.DirEntry
}

// list returns the set's files of both formats, oldest first. Other files in the directory are
// passed over.
func (s *fileSet) list() ([]logFile, error) {
	entries, err := s.fs.ReadDir(s.directory)
	if err != nil {
		return nil, fmt.Errorf("list the directory: %w", err)
	}
	var files []logFile
	for _, e := range entries {
		if f, ok := s.parseName(e.Name()); ok && !e.IsDir() {
			f.entry = e
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b logFile) int {
		return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.n, b.n), cmp.Compare(a.suffix, b.suffix))
	})
	return files, nil
}

// parseName reads PREFIXyyyymmdd-n.log, or .jsonl.
func (s *fileSet) parseName(name string) (logFile, bool) {
	rest, ok := strings.CutPrefix(name, s.layout.Prefix)
	suffix := suffixCSV
	rest, isLog := strings.CutSuffix(rest, suffixCSV)
	if !isLog {
		suffix = suffixJSON
		rest, isLog = strings.CutSuffix(rest, suffixJSON)
	}
	date, number, dashed := strings.Cut(rest, "-")
	if !ok || !isLog || !dashed {
		return logFile{}, false
	}
	t, err := time.Parse("20060102", date)
	n, err2 := strconv.Atoi(number)
	if err != nil || err2 != nil || n < 1 || strconv.Itoa(n) != number {
		return logFile{}, false
	}
	return logFile{name: name, day: dayOf(t), n: n, suffix: suffix}, true
}

// prune deletes the oldest files: those whose day ended more than maxAge ago,
// and those that leave no room for a whole new file in the directory. The file
// that is being written stays.
func (s *fileSet) prune(now time.Time) error {
	files, err := s.list()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil // who writes there says so
	}
	if err != nil {
		return err
	}
	sizes := make([]int64, len(files))
	var total int64
	for i, f := range files {
		if info, err := f.entry.Info(); err == nil {
			sizes[i] = info.Size()
		}
		if s.file != nil && f.name == s.name && s.maxFile <= s.maxDirectory {
			sizes[i] = s.maxFile // what it may grow to
		}
		total += sizes[i]
	}
	var failed error
	for i, f := range files {
		if s.file != nil && f.name == s.name {
			continue
		}
		ended := time.Unix((f.day+1)*86400, 0)
		if total <= s.maxDirectory && (s.maxAge == 0 || now.Sub(ended) <= s.maxAge) {
			continue
		}
		if err := s.fs.Remove(filepath.Join(s.directory, f.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, err)
			continue
		}
		total -= sizes[i]
	}
	return failed
}
