package review

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"time"

	"postern/logs"
)

const (
	// pollInterval is how often files are asked for more.
	pollInterval = 200 * time.Millisecond
	// listInterval is how often new files are looked for.
	listInterval = time.Second
	// lookBack is how much of a file is read, from before the moment at which
	// following begins, to know the sessions that are open, octets.
	lookBack = 1 << 20
)

// Follow returns what is logged from now on; see Source. Lines come where the
// Query asks for them: those of a session as soon as it is known that it is
// wanted, with those before. Since and Until are not looked at.
func (f *Files) Follow(ctx context.Context, q *Query, p *Progress) iter.Seq2[*Live, error] {
	return func(yield func(*Live, error) bool) {
		var kinds []logs.Kind
		for _, d := range []logs.Direction{logs.Receive, logs.Send} {
			if q.wants(d) {
				kinds = append(kinds, d.Kind())
			}
		}
		timeless := *q
		timeless.Since, timeless.Until = time.Time{}, time.Time{}
		w := &follower{files: f, kinds: kinds, q: &timeless, p: p, tails: make(map[string]*tail), buf: make([]byte, 256<<10)}
		defer w.close()
		w.list(true)
		tick := time.NewTicker(pollInterval)
		defer tick.Stop()
		listed := time.Now()
		for {
			again := time.Since(listed) >= listInterval
			if again {
				listed = time.Now()
			}
			if !w.poll(ctx, again, func(l *Live) bool { return yield(l, nil) }) {
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}
}

// follower follows several sets of files.
type follower struct {
	files *Files
	kinds []logs.Kind
	q     *Query
	p     *Progress
	tails map[string]*tail // by set
	buf   []byte
}

func (w *follower) close() {
	for _, t := range w.tails {
		if t.file != nil {
			t.file.Close()
		}
	}
}

// list looks for files. At first each set is followed from its end, later found
// ones from their beginning.
func (w *follower) list(first bool) {
	for _, set := range w.files.sets(w.kinds, w.p) {
		t := w.tails[set.key]
		if t == nil {
			t = &tail{live: live{m: newMatcher(w.q, directionOf(set.kind)), sessions: make(map[string]*liveSession)}}
			w.tails[set.key] = t
			if first && len(set.files) > 0 {
				t.at = len(set.files) - 1
				t.name = set.files[t.at]
				t.openAtEnd(w.p)
			}
		}
		t.newer = t.newer[:0]
		for _, f := range set.files {
			if (t.name.path == "" || t.name.before(&f)) && !t.hasRead(f.path) {
				t.newer = append(t.newer, f)
			}
		}
	}
}

// poll takes in what is new. It returns false to stop.
func (w *follower) poll(ctx context.Context, again bool, yield func(*Live) bool) bool {
	if again {
		w.list(false)
	}
	for _, t := range w.tails {
		for ctx.Err() == nil {
			more, ok := t.read(w.buf, w.p, yield)
			if !ok {
				return false
			}
			if !more && (!again || !t.advance(w.p)) {
				break
			}
		}
		if again && !t.live.flush(time.Now(), yield) {
			return false
		}
	}
	return ctx.Err() == nil
}

// before reports whether a file comes before another of its set.
func (f *logFile) before(o *logFile) bool {
	switch {
	case f.path == o.path || f.path+".gz" == o.path:
		return false
	case f.path == o.path+".gz":
		return o.beside // begun anew under the name of what was compressed
	case f.date != o.date:
		return f.date < o.date
	case f.json != o.json:
		return f.began < o.began
	}
	return f.n < o.n
}

// tail is the end of the file that a set is written to.
type tail struct {
	live
	at     int
	name   logFile
	file   *os.File
	offset int64 // what comes next, the beginning of a line
	// quiet is where what is told begins: sessions before it are looked at
	// alone.
	quiet  int64
	format *format
	newer  []logFile // files behind this one
	past   []pastFile
}

// openAtEnd opens the file that a set ends with, shortly before its end.
func (t *tail) openAtEnd(p *Progress) {
	if t.open(p); t.file == nil {
		return
	}
	info, err := t.file.Stat()
	if err != nil {
		return
	}
	t.quiet = info.Size()
	t.offset = max(t.quiet-lookBack, 0)
	if t.offset > 0 { // in the midst of a line
		buf := make([]byte, maxLine)
		n, _ := t.file.ReadAt(buf, t.offset)
		t.offset += int64(bytes.IndexByte(buf[:n], '\n') + 1)
	}
}

// open opens the file by its name, at its beginning.
func (t *tail) open(p *Progress) {
	if t.file != nil {
		t.remember()
		t.file.Close()
		t.file = nil
	}
	t.offset, t.quiet, t.format = 0, 0, nil
	if t.name.zipped {
		return // nobody writes to it
	}
	file, err := os.Open(t.name.path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			p.trouble("%v", err)
		}
		return
	}
	t.file = file
}

// advance goes on to the next file once this one is read. It reports whether
// there is another to read.
func (t *tail) advance(p *Progress) bool {
	if t.file != nil {
		now, err := os.Stat(t.name.path)
		was, err2 := t.file.Stat()
		switch {
		case err == nil && err2 == nil && !os.SameFile(now, was):
			t.open(p) // it was moved away and begun anew
			return true
		case err2 == nil && was.Size() < t.offset:
			p.trouble("%s became shorter; it is read from its beginning", t.name.path)
			t.offset, t.quiet = 0, 0
			return true
		}
	}
	if len(t.newer) == 0 {
		if t.file == nil && t.name.path != "" && !t.name.zipped {
			t.open(p)
		}
		return t.file != nil && t.offset == 0
	}
	t.name, t.newer = t.newer[0], t.newer[1:]
	t.open(p)
	return true
}

// read takes in some lines. More says that there may be others.
func (t *tail) read(buf []byte, p *Progress, yield func(*Live) bool) (more, ok bool) {
	if t.file == nil {
		return false, true
	}
	n, err := t.file.ReadAt(buf, t.offset)
	if err != nil && err != io.EOF {
		p.trouble("%v", err)
		return false, true
	}
	b := buf[:n]
	if t.format == nil {
		if n == 0 {
			return false, true
		}
		head, err := readHead(t.name.path, false)
		if err != nil {
			head = nil
		}
		t.format = formatIn(head)
	}
	whole := bytes.LastIndexByte(b, '\n') + 1
	if whole == 0 {
		if n == len(buf) { // no line is that long
			p.badLine(t.name.path, t.offset, "the line is too long")
			t.offset += int64(n)
			return true, true
		}
		return false, true
	}
	start := t.offset
	t.offset += int64(whole)
	count := int64(0)
	for line := range bytes.Lines(b[:whole]) {
		at := start
		start += int64(len(line))
		line = bytes.TrimRight(line, "\r\n")
		if at == 0 {
			line = bytes.TrimPrefix(line, []byte(byteOrderMark))
		}
		if len(line) == 0 {
			continue
		}
		if line[0] == '#' {
			t.format = t.format.header(line)
			continue
		}
		count++
		if len(line) > maxLine || !t.live.line(t.format, line, at >= t.quiet, yield) {
			if t.live.stopped {
				return false, false
			}
			if line[0] != '{' || !bytes.Contains(line, []byte(`"dropped"`)) {
				p.badLine(t.name.path, at, describe(line))
			}
		}
	}
	p.addRead(int64(whole), count)
	return true, true
}

// live puts sessions together from their first line to their last.
type live struct {
	m        *matcher
	r        lineReader
	sessions map[string]*liveSession
	stopped  bool
}

// liveSession is a session that is going on.
type liveSession struct {
	part   // without format and lines
	size   int
	chunks []chunk     // its lines
	held   []logs.Line // that wait until it is known that the session is wanted
	shown  bool
	seen   time.Time // the last line, by our clock
}

// chunk is lines of one format.
type chunk struct {
	format *format
	lines  []byte
}

// keep keeps a line, as long as there are not too many.
func (s *liveSession) keep(f *format, line []byte) {
	if s.size += len(line) + 1; s.size > maxPart {
		s.dropped++
		return
	}
	if n := len(s.chunks); n == 0 || s.chunks[n-1].format != f {
		s.chunks = append(s.chunks, chunk{format: f})
	}
	last := &s.chunks[len(s.chunks)-1]
	last.lines = append(append(last.lines, line...), '\n')
}

// maxHeld is how many lines of a session wait at most.
const maxHeld = 2000

// line takes a line, and reports whether it was one. Told says that it is to be
// told of.
func (l *live) line(f *format, line []byte, told bool, yield func(*Live) bool) bool {
	if line[0] == '{' {
		f = jsonFormat
	}
	var v view
	if !l.r.parse(f, line, &v) {
		return false
	}
	if !l.m.connector(f.octets(v.connector)) {
		return true
	}
	id := f.text(v.session)
	s := l.sessions[id]
	if s != nil && v.sequence == 0 {
		if !l.end(s, told, yield) {
			return false
		}
		s = nil
	}
	if s == nil {
		if len(l.sessions) >= maxPending && !l.flushOldest(yield) {
			return false
		}
		s = &liveSession{part: part{id: id, begins: v.sequence == 0}}
		l.sessions[id] = s
	}
	s.seen = time.Now()
	s.add(&v)
	s.keep(f, line)
	s.hits |= l.m.line(f, &v, l.m.perLine|l.m.scanned)
	if l.m.q.Lines && told && !l.tell(s, f.line(&v), yield) {
		return false
	}
	if s.ends {
		return l.end(s, told, yield)
	}
	return true
}

// tell tells of a line, or keeps it until it is known that the session is
// wanted.
func (l *live) tell(s *liveSession, line logs.Line, yield func(*Live) bool) bool {
	q := l.m.q
	s.shown = s.shown || l.m.overall(s.hits, s.first, s.last) && !q.TLS.Without && (!q.Failed || s.hits&hitFailure != 0)
	if !s.shown {
		if len(s.held) < maxHeld {
			s.held = append(s.held, line)
		}
		return true
	}
	return l.release(s, yield) && l.give(&Live{Direction: l.m.direction, Line: &line}, yield)
}

func (l *live) release(s *liveSession, yield func(*Live) bool) bool {
	for i := range s.held {
		if !l.give(&Live{Direction: l.m.direction, Line: &s.held[i]}, yield) {
			return false
		}
	}
	s.held = nil
	return true
}

func (l *live) give(v *Live, yield func(*Live) bool) bool {
	l.stopped = l.stopped || !yield(v)
	return !l.stopped
}

// end tells of a session that is over.
func (l *live) end(s *liveSession, told bool, yield func(*Live) bool) bool {
	delete(l.sessions, s.id)
	if !told || !l.m.overall(s.hits, s.first, s.last) {
		return true
	}
	b := newBuilder(l.m, s.id)
	var v view
	for _, c := range s.chunks {
		for line := range lines(c.lines) {
			if l.r.parse(c.format, line, &v) {
				b.add(c.format, &v)
			}
		}
	}
	session := b.finish(&s.part)
	if session == nil {
		return true
	}
	return l.release(s, yield) && l.give(&Live{Direction: l.m.direction, Session: session}, yield)
}

// flush tells of sessions of which nothing was heard for long.
func (l *live) flush(now time.Time, yield func(*Live) bool) bool {
	for _, s := range l.sessions {
		if now.Sub(s.seen) > time.Duration(quietSpan)*time.Millisecond && !l.end(s, true, yield) {
			return false
		}
	}
	return true
}

// flushOldest makes room for another session.
func (l *live) flushOldest(yield func(*Live) bool) bool {
	var oldest *liveSession
	for _, s := range l.sessions {
		if oldest == nil || s.seen.Before(oldest.seen) {
			oldest = s
		}
	}
	return oldest == nil || l.end(oldest, true, yield)
}
