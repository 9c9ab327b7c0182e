package review

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"runtime"
	"sync"
	"time"
)

const (
	// blockSize is how much of a file is read at a time, octets.
	blockSize = 1 << 20
	// aftermath is how long behind Until lines are read for the ends of
	// sessions that began before.
	aftermath = 2 * time.Hour
	// disorder is how far a clock may have been set back without lines being
	// missed by their time.
	disorder = 10 * time.Minute
)

// openFile is what is known of a file that is being read.
type openFile struct {
	path   string
	head   []byte
	format *format
}

// scan is one review under way. It owns the goroutines that read.
type scan[W any] struct {
	ctx     context.Context
	cancel  context.CancelFunc
	p       *Progress
	workers chan W
	buffers chan []byte
	wait    sync.WaitGroup
}

func newScan[W any](ctx context.Context, p *Progress, worker func() W) *scan[W] {
	n := runtime.GOMAXPROCS(0)
	s := &scan[W]{p: p, workers: make(chan W, n), buffers: make(chan []byte, n+1)}
	s.ctx, s.cancel = context.WithCancel(ctx)
	for range n {
		s.workers <- worker()
	}
	for range n + 1 {
		s.buffers <- nil // made when it is needed
	}
	return s
}

// close stops the review and waits until nothing of it goes on.
func (s *scan[W]) close() {
	s.cancel()
	s.wait.Wait()
}

// blocks reads the files of a set, the newest block first, and hands each to
// work; the results come in the same order. Work must keep no part of the block.
func blocks[W, R any](s *scan[W], set fileSet, since, until time.Time, work func(W, *block) R) <-chan R {
	order := make(chan chan R, 1)
	out := make(chan R)
	s.wait.Go(func() {
		defer close(order)
		r := &setReader{ctx: s.ctx, p: s.p, buffers: s.buffers, until: until}
		for i := len(set.files) - 1; i >= 0 && s.ctx.Err() == nil; i-- {
			f := &set.files[i]
			if !until.IsZero() && !f.day.IsZero() && f.day.After(until.Add(aftermath)) {
				continue
			}
			r.read(f, i == len(set.files)-1, func(b *block) bool {
				result := make(chan R, 1)
				s.wait.Go(func() {
					defer func() { s.buffers <- b.buf }()
					select {
					case w := <-s.workers:
						result <- work(w, b)
						s.workers <- w
					case <-s.ctx.Done():
						close(result)
					}
				})
				select {
				case order <- result:
					return true
				case <-s.ctx.Done():
					return false
				}
			})
		}
	})
	s.wait.Go(func() {
		defer close(out)
		for result := range order {
			r, ok := <-result
			if !ok {
				return
			}
			select {
			case out <- r:
			case <-s.ctx.Done():
				return
			}
		}
	})
	for _, f := range set.files {
		if since.IsZero() || f.day.IsZero() || !f.day.Add(f.span).Before(since.Add(-disorder)) {
			s.p.addTotal(f.size)
		}
	}
	return out
}

// setReader cuts files into blocks, from the end to the beginning.
type setReader struct {
	ctx     context.Context
	p       *Progress
	buffers chan []byte
	until   time.Time
	scratch []byte // for what was compressed
}

// read reads one file. Newest says that it may still be written. Yield takes a
// block, whose buffer is its own from then on, and returns false to stop.
func (r *setReader) read(f *logFile, newest bool, yield func(*block) bool) {
	c, err := openContent(r.ctx, f, r.p, &r.scratch)
	if err != nil {
		switch {
		case r.ctx.Err() != nil:
		case errors.Is(err, fs.ErrNotExist):
			r.p.trouble("%s was removed before it was read", f.path)
		default:
			r.p.trouble("%v", err)
		}
		return
	}
	defer c.close()
	head, err := c.read(make([]byte, headSize), 0, min(headSize, c.size))
	if err != nil {
		r.p.trouble("%v", err)
		return
	}
	w := &backward{c: c, file: &openFile{path: f.path, head: head, format: formatIn(head)}, p: r.p, end: c.size, partial: true}
	if !r.until.IsZero() {
		w.end = c.before(r.until.Add(aftermath).UnixMilli())
	}
	w.expected = newest || w.end < c.size
	r.p.addTotal(w.end - f.size)
	for {
		var buf []byte
		select {
		case buf = <-r.buffers:
		case <-r.ctx.Done():
			return
		}
		if want := min(blockSize, w.end); int64(cap(buf)) < want {
			buf = make([]byte, want)
		}
		b := w.next(buf[:cap(buf)])
		if b == nil {
			r.buffers <- buf
			return
		}
		if !yield(b) {
			return
		}
	}
}

// backward walks through a file from its end to its beginning.
type backward struct {
	c    *content
	file *openFile
	p    *Progress
	end  int64 // where the lines that are left end
	// partial says that what stands behind the last line end before end is no
	// whole line; expected, that this is no wonder in the file's last line.
	partial, expected bool
	begun             bool
}

// next returns the block of lines before the last one; nil at the beginning of
// the file.
func (w *backward) next(buf []byte) *block {
	for w.end > 0 {
		from := max(w.end-int64(len(buf)), 0)
		b, err := w.c.read(buf, from, w.end)
		if err != nil {
			w.p.trouble("%v", err)
			return nil
		}
		if int64(len(b)) < w.end-from {
			w.p.trouble("%s became shorter while it was read", w.file.path)
			w.partial, w.begun = true, true
		}
		if !w.begun && b[len(b)-1] != '\n' && !w.expected {
			w.p.badLine(w.file.path, w.end, "the last line is cut off")
		}
		w.begun = true
		if w.partial {
			if b = b[:bytes.LastIndexByte(b, '\n')+1]; len(b) == 0 {
				w.end = from
				continue
			}
			w.partial, w.end = false, from+int64(len(b))
		}
		first := 0
		if from > 0 { // the first line may begin before
			if first = bytes.IndexByte(b[:len(b)-1], '\n') + 1; first == 0 {
				if len(b) < len(buf) {
					continue // there is room for more of it
				}
				w.p.badLine(w.file.path, from, "the line is too long")
				w.end, w.partial = from, true
				continue
			}
		}
		w.end = from + int64(first)
		return &block{file: w.file, offset: w.end, lines: b[first:], buf: buf}
	}
	return nil
}
