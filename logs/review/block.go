package review

import (
	"bytes"
	"cmp"
	"slices"

	"postern/logs"
)

// block is some whole lines of a file, as they follow one another.
type block struct {
	file   *openFile
	offset int64 // of the first line in the file
	lines  []byte
	buf    []byte // what lines is a part of, to be used again
}

// parsed is what is in a block: sessions that are whole and wanted, and parts of
// sessions that may go on in other blocks.
type parsed struct {
	// items are in the order of their first lines, the newest first.
	items []item
	// newest and oldest are the times of the lines; known says that there are
	// any.
	newest, oldest int64
	known          bool
}

// item is a session or a part of one; the other is nil.
type item struct {
	offset  int
	session *Session
	part    *part
}

// part is some lines of one session that follow one another, as far as it goes.
type part struct {
	id          string
	begins      bool // with the session's first line
	ends        bool // with its last
	hits        hits
	first, last int64 // times
	count       int   // lines
	high        int   // the largest sequence number
	dropped     int   // lines that are counted and no longer there
	format      *format
	lines       []byte // with their line ends
}

// scanner reads blocks of a protocol log. It belongs to one worker.
type scanner struct {
	r     lineReader
	low   []byte
	cands []candidate
	table map[string]int32 // session id to its fragment
	parts []fragment
	refs  []ref
	chain []int32

	// Of the block at hand.
	m      *matcher
	b      *block
	p      *Progress
	out    *parsed
	format *format
	lastID []byte
	last   int32
	count  int64
}

// fragment is a part while its block is being read.
type fragment struct {
	part
	offset   int // of the first line in the block
	lastRef  int32
	unwanted bool // of another connector
	// remote and local are those of the last line.
	remote, local []byte
	content       underway
}

// ref is one line of a fragment: where it is in the block, the ref of the line
// before it, or -1, and what need not be looked for again.
type ref struct {
	start, end, before int32
	data, context      span
	event              logs.Event
	// same says that the ends of the connection are those of the line before.
	same bool
	time int64
}

// span is a part of a line.
type span struct{ from, to int32 }

// spanOf returns where a field is in its line, of which it is a part.
func spanOf(line, field []byte) span {
	if len(field) == 0 {
		return span{}
	}
	from := int32(cap(line) - cap(field))
	return span{from, from + int32(len(field))}
}

var jsonFormat = &format{json: true}

// read reads a block.
func (s *scanner) read(m *matcher, b *block, p *Progress) *parsed {
	s.m, s.b, s.p, s.out, s.format = m, b, p, new(parsed), b.file.format
	s.reset()
	if len(m.needles) > 0 {
		s.low = appendLower(s.low[:0], b.lines)
		s.cands = m.scan(s.low, s.cands)
	}
	if m.scanned&hitSession != 0 {
		s.readCandidates()
	} else {
		s.readAll()
	}
	p.addRead(int64(len(b.lines)), s.count)
	s.finish()
	out := s.out
	s.out, s.b, s.m = nil, nil, nil
	return out
}

func (s *scanner) reset() {
	if s.table == nil {
		s.table = make(map[string]int32)
	}
	clear(s.table)
	clear(s.parts)
	s.parts, s.refs, s.cands = s.parts[:0], s.refs[:0], s.cands[:0]
	s.lastID, s.count = nil, 0
}

// readAll reads every line.
func (s *scanner) readAll() {
	text := s.b.lines
	next := 0
	for start := 0; start < len(text); {
		end := bytes.IndexByte(text[start:], '\n')
		if end < 0 {
			end = len(text)
		} else {
			end += start
		}
		hit := hits(0)
		for next < len(s.cands) && s.cands[next].offset < end {
			hit |= s.cands[next].hit
			next++
		}
		s.line(start, end, hit)
		start = end + 1
	}
}

// readCandidates reads the lines alone that may be of a session asked for, and
// whatever says how lines are to be read.
func (s *scanner) readCandidates() {
	text := s.b.lines
	for next := 0; next < len(s.cands); {
		at := s.cands[next].offset
		start := bytes.LastIndexByte(text[:at], '\n') + 1
		end := bytes.IndexByte(text[at:], '\n')
		if end < 0 {
			end = len(text)
		} else {
			end += at
		}
		hit := hits(0)
		for next < len(s.cands) && s.cands[next].offset < end {
			hit |= s.cands[next].hit
			next++
		}
		if hit&hitSession != 0 {
			s.line(start, end, hit)
		}
	}
}

// line reads one line of the block. Hit are the parts of the Query that it may
// meet by what was searched for.
func (s *scanner) line(start, end int, hit hits) {
	if s.b.offset == 0 && start == 0 && bytes.HasPrefix(s.b.lines, []byte(byteOrderMark)) {
		start = len(byteOrderMark)
	}
	if end > start && s.b.lines[end-1] == '\r' {
		end--
	}
	line := s.b.lines[start:end]
	if len(line) == 0 {
		return
	}
	if line[0] == '#' {
		s.format = s.format.header(line)
		return
	}
	s.count++
	f := s.format
	if line[0] == '{' {
		f = jsonFormat
	}
	var v view
	if len(line) > maxLine || !s.r.parse(f, line, &v) {
		s.unreadable(start, line)
		return
	}
	if !s.out.known {
		s.out.newest, s.out.oldest, s.out.known = v.time, v.time, true
	}
	s.out.newest, s.out.oldest = max(s.out.newest, v.time), min(s.out.oldest, v.time)
	p := s.fragment(f, &v, start)
	if p.unwanted {
		return
	}
	p.add(&v)
	sameRemote := p.count > 1 && bytes.Equal(p.remote, v.remote)
	s.refs = append(s.refs, ref{
		start: int32(start), end: int32(end), before: p.lastRef, data: spanOf(line, v.data), context: spanOf(line, v.context),
		event: v.event, time: v.time, same: sameRemote && bytes.Equal(p.local, v.local),
	})
	p.lastRef = int32(len(s.refs) - 1)
	p.remote, p.local = v.remote, v.local
	ask := s.m.perLine | hit
	if sameRemote {
		ask &^= hitPeer
	}
	if ask == 0 {
		return
	}
	p.hits |= s.m.line(f, &v, ask)
	if ask&hitFailure != 0 {
		p.content = s.m.content(&v, p.content)
	}
}

// unreadable counts a line that is none of a session, unless it is a note of the
// log itself.
func (s *scanner) unreadable(start int, line []byte) {
	if line[0] == '{' {
		note := false
		if eachPair(line, func(key, _ []byte) { note = note || string(key) == "dropped" }) && note {
			return
		}
	}
	s.p.badLine(s.b.file.path, s.b.offset+int64(start), describe(line))
}

// describe says why a line can't be read.
func describe(line []byte) string {
	switch {
	case len(line) > maxLine:
		return "the line is too long"
	case bytes.IndexByte(line, 0) >= 0:
		return "the line has NULs"
	}
	const some = 40
	if len(line) > some {
		line = line[:some]
	}
	return "not a line of this log: " + logs.Escape(string(line))
}

// fragment returns the fragment that a line belongs to.
func (s *scanner) fragment(f *format, v *view, start int) *fragment {
	at, ok := s.last, s.lastID != nil && bytes.Equal(s.lastID, v.session)
	if !ok {
		at, ok = s.table[string(v.session)]
	}
	if ok {
		// The first line of another session with this id, or a file in which
		// the form changes.
		p := &s.parts[at]
		ok = !(v.sequence == 0 && p.seen()) && (p.unwanted || p.format == f)
	}
	if !ok {
		at = int32(len(s.parts))
		s.parts = append(s.parts, fragment{offset: start, lastRef: -1})
		p := &s.parts[at]
		p.id, p.format = f.text(v.session), f
		p.unwanted = !s.m.connector(f.octets(v.connector)) || s.m.want&hitSession != 0 && !s.m.session(v.session)
		p.begins = v.sequence == 0
		s.table[string(v.session)] = at
	}
	s.lastID, s.last = v.session, at
	return &s.parts[at]
}

// seen reports whether the fragment has lines, whether they are kept or not.
func (p *fragment) seen() bool { return p.count > 0 || p.unwanted }

// add takes a line into account.
func (p *part) add(v *view) {
	if p.count == 0 {
		p.first = v.time
	}
	p.last = v.time
	p.count++
	p.high = max(p.high, v.sequence)
	p.ends = p.ends || ends(v)
}

// ends reports whether a line is the last of a session: the connection was
// closed, or could not be made.
func ends(v *view) bool {
	return v.event == logs.EventDisconnect || v.event == logs.EventInfo && string(v.context) == contextNoConnect
}

// finish makes sessions of fragments that are whole, and parts of the others.
func (s *scanner) finish() {
	for i := range s.parts {
		p := &s.parts[i]
		switch {
		case p.unwanted || p.count == 0:
		case p.begins && p.ends:
			if session := s.session(p); session != nil {
				s.out.items = append(s.out.items, item{offset: p.offset, session: session})
			}
		default:
			s.out.items = append(s.out.items, item{offset: p.offset, part: s.copy(p)})
		}
	}
	slices.SortFunc(s.out.items, func(a, b item) int { return cmp.Compare(b.offset, a.offset) })
}

// session builds the session of a fragment; nil when it is not wanted.
func (s *scanner) session(p *fragment) *Session {
	if !s.m.overall(p.hits, p.first, p.last) || s.m.q.Failed && p.hits&hitFailure == 0 && p.content == noContent {
		return nil
	}
	b := newBuilder(s.m, p.id)
	var v view
	for _, i := range s.linesOf(p) {
		r := &s.refs[i]
		line := s.b.lines[r.start:r.end]
		if !s.m.q.Lines && r.same {
			v = view{time: r.time, event: r.event, data: line[r.data.from:r.data.to], context: line[r.context.from:r.context.to]}
		} else if !s.r.parse(p.format, line, &v) {
			continue
		}
		b.add(p.format, &v)
	}
	return b.finish(&p.part)
}

// linesOf returns the refs of a fragment, oldest first.
func (s *scanner) linesOf(p *fragment) []int32 {
	s.chain = s.chain[:0]
	for i := p.lastRef; i >= 0; i = s.refs[i].before {
		s.chain = append(s.chain, i)
	}
	slices.Reverse(s.chain)
	return s.chain
}

// maxPart is how many octets of a session's lines a part holds at most.
const maxPart = 256 << 10

// copy makes a part of a fragment that outlives the block.
func (s *scanner) copy(p *fragment) *part {
	out := p.part
	chain := s.linesOf(p)
	size := 0
	for _, i := range chain {
		size += int(s.refs[i].end-s.refs[i].start) + 1
	}
	buf := make([]byte, 0, min(size, maxPart+maxLine))
	skip := size - maxPart
	for _, i := range chain {
		r := s.refs[i]
		if n := int(r.end-r.start) + 1; skip > 0 && len(buf) >= maxPart/2 {
			skip -= n
			out.dropped++
			continue
		}
		buf = append(append(buf, s.b.lines[r.start:r.end]...), '\n')
	}
	out.lines = buf
	return &out
}
