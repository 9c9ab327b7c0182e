package review

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strings"
)

// content is the octets of a log file, uncompressed, as many as there were when
// it was opened.
type content struct {
	io.ReaderAt
	size  int64
	close func() error
}

const (
	// headSize is how much of a file is read for its header lines, octets.
	headSize = 32 << 10
	// zippedInMemory is the largest compressed file, uncompressed, that is held
	// in memory, octets.
	zippedInMemory = 12 << 20
)

// openContent opens a file. A file that was compressed since it was found is
// taken in that form. The content may rest in *scratch until the next call.
func openContent(ctx context.Context, f *logFile, p *Progress, scratch *[]byte) (*content, error) {
	file, err := os.Open(f.path)
	zipped := f.zipped
	if errors.Is(err, fs.ErrNotExist) && !zipped && !f.beside {
		if other, otherErr := os.Open(f.path + ".gz"); otherErr == nil {
			file, err, zipped = other, nil, true
		}
	}
	if err != nil {
		return nil, err
	}
	if zipped {
		defer file.Close()
		return unzip(ctx, file, f.path, p, scratch)
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &content{ReaderAt: file, size: info.Size(), close: file.Close}, nil
}

// unzip reads a compressed file: a small one into memory, a large one into a
// temporary file, compressed again in parts, so that it can be read from its end.
// Of a damaged file it takes what can be read.
func unzip(ctx context.Context, file *os.File, path string, p *Progress, scratch *[]byte) (*content, error) {
	z, err := gzip.NewReader(bufio.NewReaderSize(file, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	damaged := func(err error) {
		p.trouble("%s: %v; what comes before that place was read", path, err)
	}
	var all io.Reader = z
	if size := unzippedSize(file); size < zippedInMemory {
		if int64(cap(*scratch)) <= size {
			*scratch = make([]byte, size+1)
		}
		b := (*scratch)[:size+1]
		n, err := fill(z, b)
		if err != nil {
			if err != io.EOF {
				damaged(err)
			}
			return &content{ReaderAt: bytes.NewReader(b[:n]), size: int64(n), close: func() error { return nil }}, nil
		}
		all = io.MultiReader(bytes.NewReader(b), z) // it holds more than it says
	}
	s, err := newSpool()
	if err != nil {
		return nil, fmt.Errorf("a temporary file for %s: %w; TMPDIR says where it goes", path, err)
	}
	for ctx.Err() == nil {
		n, readErr := fill(all, s.part[:])
		if err := s.add(n); err != nil {
			s.close()
			return nil, fmt.Errorf("a temporary file for %s: %w; TMPDIR says where it goes", path, err)
		}
		if readErr == io.EOF {
			break
		}
		if readErr != nil {
			damaged(readErr)
			break
		}
	}
	return &content{ReaderAt: s, size: s.size, close: s.close}, ctx.Err()
}

// unzippedSize returns the size that a compressed file says it has, which need
// not be true (RFC 1952 2.3.1).
func unzippedSize(file *os.File) int64 {
	info, err := file.Stat()
	if err != nil || info.Size() < 18 {
		return 0
	}
	var b [4]byte
	if _, err := file.ReadAt(b[:], info.Size()-4); err != nil {
		return 0
	}
	return int64(binary.LittleEndian.Uint32(b[:]))
}

// fill reads until b is full or there is an error, which is io.EOF at the end.
func fill(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = r.Read(b[n:])
		n += m
	}
	return n, err
}

// spool is a stream kept in a temporary file, compressed in parts. It belongs to
// one goroutine.
type spool struct {
	file *os.File
	ends []int64 // of the parts in the file
	size int64

	part   [spoolPart]byte // the part at hand, uncompressed
	at     int             // which that is; -1 for none
	length int             // of it
	packed []byte
	writer *flate.Writer
}

const spoolPart = 1 << 20

func newSpool() (*spool, error) {
	file, err := os.CreateTemp("", "postern-logs-*")
	if err != nil {
		return nil, err
	}
	// Where the system allows it the file has no name any more from here on, so
	// that nothing is left of it whatever happens.
	os.Remove(file.Name())
	w, err := flate.NewWriter(io.Discard, flate.BestSpeed)
	return &spool{file: file, at: -1, writer: w}, err
}

// add appends the first n octets of s.part.
func (s *spool) add(n int) error {
	if n == 0 {
		return nil
	}
	packed := bytes.NewBuffer(s.packed[:0])
	s.writer.Reset(packed)
	if _, err := s.writer.Write(s.part[:n]); err != nil {
		return err
	}
	if err := s.writer.Close(); err != nil {
		return err
	}
	s.packed = packed.Bytes()
	var end int64
	if len(s.ends) > 0 {
		end = s.ends[len(s.ends)-1]
	}
	if _, err := s.file.WriteAt(s.packed, end); err != nil {
		return err
	}
	s.ends = append(s.ends, end+int64(len(s.packed)))
	s.size += int64(n)
	return nil
}

// ReadAt reads what was added.
func (s *spool) ReadAt(b []byte, offset int64) (n int, err error) {
	for n < len(b) {
		at := int((offset + int64(n)) / spoolPart)
		if at >= len(s.ends) {
			return n, io.EOF
		}
		if err := s.load(at); err != nil {
			return n, err
		}
		from := int((offset + int64(n)) % spoolPart)
		if from >= s.length {
			return n, io.EOF
		}
		n += copy(b[n:], s.part[from:s.length])
	}
	return n, nil
}

func (s *spool) load(at int) error {
	if s.at == at {
		return nil
	}
	start := int64(0)
	if at > 0 {
		start = s.ends[at-1]
	}
	r := flate.NewReader(io.NewSectionReader(s.file, start, s.ends[at]-start))
	defer r.Close()
	n, err := io.ReadFull(r, s.part[:])
	if err != nil && err != io.ErrUnexpectedEOF {
		s.at = -1
		return err
	}
	s.at, s.length = at, n
	return nil
}

func (s *spool) close() error {
	err := s.file.Close()
	os.Remove(s.file.Name()) // where it could not be removed while it was open
	return err
}

// readHead reads the beginning of a file.
func readHead(path string, zipped bool) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var r io.Reader = file
	if zipped {
		if r, err = gzip.NewReader(file); err != nil {
			return nil, err
		}
	}
	head := make([]byte, headSize)
	n, err := io.ReadFull(r, head)
	if n == 0 && err != io.EOF {
		return nil, err
	}
	return head[:n], nil
}

const byteOrderMark = "\xef\xbb\xbf"

// lines returns the lines of a text without their ends, and without a byte order
// mark before the first.
func lines(b []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		b = bytes.TrimPrefix(b, []byte(byteOrderMark))
		for len(b) > 0 {
			line := b
			if i := bytes.IndexByte(b, '\n'); i >= 0 {
				line, b = b[:i], b[i+1:]
			} else {
				b = nil
			}
			if !yield(bytes.TrimSuffix(line, []byte("\r"))) {
				return
			}
		}
	}
}

// lineTime returns the time of a line of any log, milliseconds since 1970.
func lineTime(c *clock, line []byte) (int64, bool) {
	if len(line) > 0 && line[0] == '{' {
		at, ok := int64(0), false
		eachPair(line, func(key, value []byte) {
			if string(key) == "time" {
				at, ok = c.parse(value)
			}
		})
		return at, ok
	}
	i := bytes.IndexByte(line, ',')
	if i < 0 {
		return 0, false
	}
	return c.parse(line[:i])
}

// formatIn reads the header lines at the head of a file.
func formatIn(head []byte) *format {
	foreign := false
	fields := strings.Join(protocolNames[:], ",")
	for line := range lines(head) {
		if len(line) == 0 || line[0] != '#' {
			break
		}
		name, value, _ := strings.Cut(string(line), ":")
		switch lower(name) {
		case "#software":
			foreign = strings.TrimSpace(value) != "Postern"
		case "#fields":
			fields = value
		}
	}
	return formatOf(fields, foreign)
}

// read reads the part of a content from one place to another. It returns less
// where the file has become shorter.
func (c *content) read(buf []byte, from, to int64) ([]byte, error) {
	buf = buf[:to-from]
	n, err := c.ReadAt(buf, from)
	if err == io.EOF {
		err = nil
	}
	return buf[:n], err
}

// before returns a place at or behind which all lines are of a time or later, as
// far as the lines are in order of time. It looks at some places alone.
func (c *content) before(t int64) int64 {
	const near = 1 << 20
	var k clock
	buf := make([]byte, maxLine*2)
	lo, hi := int64(0), c.size
	for hi-lo > near {
		middle := lo + (hi-lo)/2
		b, err := c.read(buf, middle, min(middle+int64(len(buf)), c.size))
		if err != nil {
			return c.size
		}
		at, found := int64(0), false
		first := true
		for line := range lines(b) {
			if !first {
				if at, found = lineTime(&k, line); found {
					break
				}
			}
			first = false
		}
		switch {
		case !found:
			return c.size
		case at < t:
			lo = middle
		default:
			hi = middle
		}
	}
	return hi
}
