package review

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"net/netip"
	"strings"
	"time"

	"postern/logs"
)

// reading is how the lines of a log that are records of their own are read: one
// is chosen or not by what it says itself.
type reading[R any] struct {
	kind  logs.Kind
	parse func(*logs.Header, string) (R, error)
	time  func(*R) time.Time
	match func(*Query, *R) bool
	// searched are the parts of a Query that can be searched for in whole
	// blocks, and met by one line alone.
	searched hits
}

// Tracking returns lines of the message tracking log; see Source.
func (f *Files) Tracking(ctx context.Context, q *Query, p *Progress) iter.Seq2[*logs.Tracking, error] {
	return records(ctx, f, q, p, reading[logs.Tracking]{
		kind: logs.MessageTracking, parse: (*logs.Header).Tracking, match: matchTracking, searched: hitHELO | hitFrom | hitTo | hitText | hitName | hitSession,
		time: func(t *logs.Tracking) time.Time { return t.Time },
	})
}

// Connectivity returns lines of the connectivity log; see Source.
func (f *Files) Connectivity(ctx context.Context, q *Query, p *Progress) iter.Seq2[*logs.ConnectivityLine, error] {
	return records(ctx, f, q, p, reading[logs.ConnectivityLine]{
		kind: logs.Connectivity, parse: (*logs.Header).Connectivity, match: matchConnectivity, searched: hitText | hitName | hitSession,
		time: func(l *logs.ConnectivityLine) time.Time { return l.Time },
	})
}

// Agent returns lines of the agent log; see Source.
func (f *Files) Agent(ctx context.Context, q *Query, p *Progress) iter.Seq2[*logs.AgentLine, error] {
	return records(ctx, f, q, p, reading[logs.AgentLine]{
		kind: logs.Agent, parse: (*logs.Header).Agent, match: matchAgent, searched: hitFrom | hitTo | hitText | hitName | hitSession,
		time: func(l *logs.AgentLine) time.Time { return l.Time },
	})
}

// found is what a block has of records, newest first.
type found[R any] struct {
	list   []*R
	newest int64
	known  bool
}

// records reads one log of records.
func records[R any](ctx context.Context, f *Files, q *Query, p *Progress, how reading[R]) iter.Seq2[*R, error] {
	return func(yield func(*R, error) bool) {
		kinds := []logs.Kind{how.kind}
		sets := f.sets(kinds, p)
		if len(sets) == 0 {
			yield(nil, f.nothing(kinds))
			return
		}
		s := newScan(ctx, p, func() *scanner { return new(scanner) })
		defer s.close()
		m := newMatcher(q, logs.Receive)
		streams := make([]*recordStream[R], len(sets))
		for i, set := range sets {
			streams[i] = &recordStream[R]{q: q, blocks: blocks(s, set, q.Since, q.Until, func(w *scanner, b *block) found[R] {
				return readRecords(w, m, b, p, how)
			})}
		}
		for {
			newest := -1
			for i, st := range streams {
				if st.fill() && (newest < 0 || how.time(st.queue[0]).After(how.time(streams[newest].queue[0]))) {
					newest = i
				}
			}
			if ctx.Err() != nil {
				yield(nil, ctx.Err())
				return
			}
			if newest < 0 {
				return
			}
			st := streams[newest]
			first := st.queue[0]
			st.queue = st.queue[1:]
			if !yield(first, nil) {
				return
			}
		}
	}
}

// recordStream is the records of one set of files.
type recordStream[R any] struct {
	q      *Query
	blocks <-chan found[R]
	queue  []*R
	over   bool
}

func (s *recordStream[R]) fill() bool {
	for len(s.queue) == 0 && !s.over {
		b, ok := <-s.blocks
		s.queue = b.list
		s.over = !ok || !s.q.Since.IsZero() && b.known && b.newest < s.q.Since.Add(-disorder).UnixMilli()
	}
	return len(s.queue) > 0
}

// readRecords reads the records of a block, from its last line to its first.
func readRecords[R any](s *scanner, m *matcher, b *block, p *Progress, how reading[R]) (out found[R]) {
	header := logs.NewHeader(how.kind)
	for line := range lines(b.file.head) {
		if !header.Read(string(line)) {
			break
		}
	}
	s.reset()
	need := m.scanned & how.searched
	if need != 0 {
		s.low = appendLower(s.low[:0], b.lines)
		s.cands = m.scan(s.low, s.cands)
	}
	text, count := b.lines, int64(0)
	for len(text) > 0 {
		text = bytes.TrimSuffix(text, []byte("\n"))
		start := bytes.LastIndexByte(text, '\n') + 1
		line := text[start:]
		text = text[:start]
		hit := hits(0)
		for n := len(s.cands); n > 0 && s.cands[n-1].offset >= start; n-- {
			hit |= s.cands[n-1].hit
			s.cands = s.cands[:n-1]
		}
		if start == 0 && b.offset == 0 {
			line = bytes.TrimPrefix(line, []byte(byteOrderMark))
		}
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		count++
		at, ok := lineTime(&s.r.clock, line)
		if ok && (!out.known || at > out.newest) {
			out.newest, out.known = at, true
		}
		if ok && (hit&need != need || !m.during(at)) {
			continue
		}
		if len(line) > maxLine {
			p.badLine(b.file.path, b.offset+int64(start), describe(line))
			continue
		}
		r, err := how.parse(header, string(line))
		switch {
		case errors.Is(err, logs.ErrComment):
		case err != nil:
			p.badLine(b.file.path, b.offset+int64(start), describe(line))
		case how.match(m.q, &r):
			out.list = append(out.list, &r)
		}
	}
	p.addRead(int64(len(b.lines)), count)
	return out
}

// during reports whether a moment is in the time asked for.
func (m *matcher) during(at int64) bool {
	return (m.q.Since.IsZero() || at >= m.q.Since.UnixMilli()) && (m.q.Until.IsZero() || at < m.q.Until.UnixMilli())
}

// matchTracking tells whether a line of the tracking log is wanted.
func matchTracking(q *Query, t *logs.Tracking) bool {
	session, _, _ := strings.Cut(t.SourceContext, ";")
	ids := []string{session, t.Custom.Get("session")}
	peer, host := t.ClientIP, t.ClientHostname
	if t.Event != logs.TrackReceive {
		peer, host = t.ServerIP, t.ServerHostname
	}
	failed := t.Event == logs.TrackFail || t.Event == logs.TrackDefer || t.Event == logs.TrackPoison
	return matchConnectorText(q, t.Connector) && q.matchPeerText(peer) &&
		(len(q.HELO) == 0 || anyOf(q.HELO, host)) &&
		(len(q.From) == 0 || anyOf(q.From, nullPath(t.ReturnPath)) || anyOf(q.From, nullPath(t.Sender))) &&
		(len(q.To) == 0 || anyOf(q.To, t.Recipients...)) &&
		(len(q.Replies) == 0 || anyOf(q.Replies, t.Statuses...)) &&
		(!q.Failed || failed) &&
		matchSessionIDs(q, ids...) &&
		matchNames(q, t.InternalID, t.MessageID, t.Reference, t.NetworkID) &&
		matchText(q, t.SourceContext, t.Connector, t.Source, t.Event, t.InternalID, t.MessageID, t.Subject, t.Sender, t.ReturnPath, t.Reference, t.Related,
			t.ClientHostname, t.ServerHostname, strings.Join(t.Recipients, ";"), strings.Join(t.Statuses, ";"), customText(t.Custom))
}

func customText(p logs.Pairs) string {
	var b strings.Builder
	for _, one := range p {
		b.WriteString(one.Key + "=" + one.Value + ";")
	}
	return b.String()
}

func matchConnectivity(q *Query, l *logs.ConnectivityLine) bool {
	return matchSessionIDs(q, l.Session) && matchNames(q, l.Description) && matchText(q, l.Destination, l.Description)
}

func matchAgent(q *Query, l *logs.AgentLine) bool {
	peer := l.EnteredOrgFromIP
	if l.Remote.IsValid() {
		peer = l.Remote.Addr().String()
	}
	return q.matchPeerText(peer) &&
		(len(q.From) == 0 || anyOf(q.From, nullPath(l.P1From))) &&
		(len(q.To) == 0 || anyOf(q.To, l.Recipient)) &&
		(len(q.Replies) == 0 || anyOf(q.Replies, l.Response)) &&
		matchSessionIDs(q, l.Session) && matchNames(q, l.MessageID) &&
		matchText(q, l.P1From, strings.Join(l.P2From, ";"), l.Recipient, l.Agent, l.Event, l.Action, l.Response, l.Reason, l.ReasonData)
}

// nullPath turns "<>" into the empty text that address patterns know.
func nullPath(s string) string {
	if s == "<>" {
		return ""
	}
	return s
}

func anyOf[P interface{ Match(string) bool }](list []P, texts ...string) bool {
	for _, p := range list {
		for _, text := range texts {
			if p.Match(text) {
				return true
			}
		}
	}
	return false
}

func matchConnectorText(q *Query, name string) bool {
	return len(q.Connectors) == 0 || anyOf(q.Connectors, name, name[strings.LastIndexByte(name, '\\')+1:])
}

func (q *Query) matchPeerText(address string) bool {
	if len(q.Peers) == 0 {
		return true
	}
	a, err := netip.ParseAddr(address)
	return err == nil && q.wantsPeer(a)
}

func matchSessionIDs(q *Query, ids ...string) bool {
	if len(q.Sessions) == 0 {
		return true
	}
	m := matcher{q: q}
	for _, id := range ids {
		if id != "" && m.session([]byte(id)) {
			return true
		}
	}
	return false
}

func matchNames(q *Query, texts ...string) bool {
	if len(q.Names) == 0 {
		return true
	}
	for _, name := range q.Names {
		for _, text := range texts {
			if strings.Contains(text, name) {
				return true
			}
		}
	}
	return false
}

func matchText(q *Query, texts ...string) bool {
	if q.Text == "" {
		return true
	}
	lowered := lower(q.Text)
	for _, text := range texts {
		if indexFold([]byte(text), lowered) >= 0 {
			return true
		}
	}
	return false
}
