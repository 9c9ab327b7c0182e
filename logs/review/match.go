package review

import (
	"bytes"
	"strings"

	"postern/logs"
)

// hits are the parts of a Query that lines have met, one bit each. A session's
// are those of its lines together, so they can be gathered in any order and from
// parts.
type hits uint16

const (
	hitPeer hits = 1 << iota
	hitHELO
	hitFrom
	hitTo
	hitReply
	hitText
	hitTLS
	hitUser
	hitName
	hitSession
	// hitVersion stands for TLS of the version asked for, hitFailure for a line
	// that tells of a failure; they are gathered besides.
	hitVersion
	hitFailure
)

// matcher is a Query made ready for the lines of one direction. It is not
// changed once made, and serves all workers.
type matcher struct {
	q         *Query
	direction logs.Direction
	client    logs.Event // what the client says in this direction
	server    logs.Event
	want      hits // all that must be met
	// needles are, for each part of the Query that can be searched for in whole
	// blocks, texts of which a line that meets it must hold one, lower case.
	needles []needle
	scanned hits // the parts that have needles
	// perLine are the parts that are looked for in each line.
	perLine hits
	text    string // Query.Text, lower case
}

type needle struct {
	hit  hits
	text string
}

func newMatcher(q *Query, d logs.Direction) *matcher {
	m := &matcher{q: q, direction: d, client: logs.EventReceived, server: logs.EventSent, text: lower(q.Text)}
	if d == logs.Send {
		m.client, m.server = m.server, m.client
	}
	m.part(hitPeer, len(q.Peers) > 0, nil)
	m.part(hitReply, len(q.Replies) > 0, nil)
	m.part(hitHELO, len(q.HELO) > 0, literals(q.HELO))
	m.part(hitFrom, len(q.From) > 0, literals(q.From))
	m.part(hitTo, len(q.To) > 0, literals(q.To))
	m.part(hitUser, len(q.Users) > 0, []string{"authenticated"})
	m.part(hitText, q.Text != "", []string{plainRun(m.text)})
	m.part(hitName, len(q.Names) > 0, plainRuns(q.Names))
	m.part(hitSession, len(q.Sessions) > 0, plainRuns(q.Sessions))
	m.part(hitTLS, q.TLS.With || q.TLS.Without, []string{"negotiation succeeded"})
	if q.Failed {
		m.perLine |= hitFailure // gathered, and judged when the session is put together
	}
	if q.TLS.Without {
		m.want &^= hitTLS
	}
	if q.TLS.Version != "" {
		m.want |= hitVersion
	}
	return m
}

// part adds a part of the Query. Texts of which one is empty are none that can be
// searched for.
func (m *matcher) part(hit hits, wanted bool, texts []string) {
	if !wanted {
		return
	}
	m.want |= hit
	for _, text := range texts {
		if text == "" {
			texts = nil
		}
	}
	if len(texts) == 0 || len(texts) > maxNeedles {
		m.perLine |= hit
		return
	}
	m.scanned |= hit
	for _, text := range texts {
		m.needles = append(m.needles, needle{hit, text})
	}
}

// maxNeedles is how many texts for one part are searched for in whole blocks;
// beyond, looking at each line is cheaper.
const maxNeedles = 8

func literals[P interface{ literal() string }](list []P) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.literal())
	}
	return out
}

func plainRuns(list []string) []string {
	var out []string
	for _, s := range list {
		out = append(out, plainRun(lower(s)))
	}
	return out
}

// connector reports whether the sessions of a connector are wanted.
func (m *matcher) connector(name []byte) bool {
	if len(m.q.Connectors) == 0 {
		return true
	}
	bare := name[bytes.LastIndexByte(name, '\\')+1:]
	for _, p := range m.q.Connectors {
		if p.match(name) || p.match(bare) {
			return true
		}
	}
	return false
}

// candidate is a line that may meet parts of the Query.
type candidate struct {
	offset int // within the block, in the midst of the line
	hit    hits
}

// scan finds the candidates of a block by searching for the needles; low is the
// block in lower case. They come in order of their places.
func (m *matcher) scan(low []byte, out []candidate) []candidate {
	for _, n := range m.needles {
		text := []byte(n.text)
		start := len(out)
		for from := 0; ; {
			i := bytes.Index(low[from:], text)
			if i < 0 {
				break
			}
			from += i
			out = append(out, candidate{from, n.hit})
			// One candidate a line is enough.
			end := bytes.IndexByte(low[from:], '\n')
			if end < 0 {
				break
			}
			from += end + 1
		}
		if start > 0 && len(out) > start {
			out = mergeCandidates(out, start)
		}
	}
	return out
}

// mergeCandidates puts two runs of candidates in order.
func mergeCandidates(list []candidate, second int) []candidate {
	a, b := append([]candidate(nil), list[:second]...), append([]candidate(nil), list[second:]...)
	out := list[:0]
	for len(a) > 0 && len(b) > 0 {
		if a[0].offset <= b[0].offset {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// line returns which of some parts of the Query a line meets.
func (m *matcher) line(f *format, v *view, ask hits) (met hits) {
	if ask&hitPeer != 0 && m.peer(f, v.remote) {
		met |= hitPeer
	}
	switch v.event {
	case m.client:
		met |= m.command(f, v, ask)
	case m.server:
		met |= m.reply(f, v, ask)
	case logs.EventInfo:
		met |= m.info(f, v, ask)
	}
	if ask&hitText != 0 && (containsFold(f, v.data, m.text) || containsFold(f, v.context, m.text)) {
		met |= hitText
	}
	if ask&hitName != 0 {
		for _, name := range m.q.Names {
			if contains(f, v.data, name) || contains(f, v.context, name) {
				met |= hitName
				break
			}
		}
	}
	if ask&hitSession != 0 && m.session(v.session) {
		met |= hitSession
	}
	return met
}

// shortestPart is how long a part of a session's id must be.
const shortestPart = 4

func (m *matcher) session(id []byte) bool {
	for _, s := range m.q.Sessions {
		if len(s) == len(id) && equalFold(id, lower(s)) {
			return true
		}
		if len(s) >= shortestPart && len(s) < len(id) && (equalFold(id[:len(s)], lower(s)) || equalFold(id[len(id)-len(s):], lower(s))) {
			return true
		}
	}
	return false
}

func (m *matcher) peer(f *format, remote []byte) bool {
	a := f.endpoint(remote)
	return a.Addr().IsValid() && m.q.wantsPeer(a.Addr())
}

// command looks at what the client said.
func (m *matcher) command(f *format, v *view, ask hits) (met hits) {
	if ask&(hitHELO|hitFrom|hitTo) == 0 || len(v.data) < 4 {
		return 0
	}
	switch lowerByte(v.data[0]) {
	case 'e', 'h':
		if name, ok := heloName(f.octets(v.data)); ok && ask&hitHELO != 0 && anyMatch(m.q.HELO, name) {
			met |= hitHELO
		}
	case 'm':
		if path, _, ok := pathOf(f.octets(v.data), "mail from:"); ok && ask&hitFrom != 0 && anyMatch(m.q.From, path) {
			met |= hitFrom
		}
	case 'r':
		if path, _, ok := pathOf(f.octets(v.data), "rcpt to:"); ok && ask&hitTo != 0 && anyMatch(m.q.To, path) {
			met |= hitTo
		}
	}
	return met
}

func anyMatch[P interface{ match([]byte) bool }](list []P, text []byte) bool {
	for _, p := range list {
		if p.match(text) {
			return true
		}
	}
	return false
}

// reply looks at what the server said.
func (m *matcher) reply(f *format, v *view, ask hits) (met hits) {
	if len(v.data) < 3 {
		return 0
	}
	if v.data[0] == '4' || v.data[0] == '5' {
		met |= hitFailure
	}
	if ask&hitReply != 0 && anyMatch(m.q.Replies, v.data) {
		met |= hitReply
	}
	return met
}

// underway says whether the content of a message may be under way.
type underway byte

const (
	noContent underway = iota
	dataContent
	chunkContent // once there was BDAT, for good: chunks are not counted here
)

// content tells whether content may be under way behind a line.
func (m *matcher) content(v *view, before underway) underway {
	switch {
	case before == chunkContent, v.event == m.client && hasPrefixFold(v.data, "bdat"):
		return chunkContent
	case v.event != m.server || !isReply(v.data):
		return before
	case v.data[0] == '3':
		return dataContent
	}
	return noContent
}

// info looks at a line of information.
func (m *matcher) info(f *format, v *view, ask hits) (met hits) {
	if ask&hitTLS != 0 {
		if described, ok := tlsOf(f, v); ok {
			met |= hitTLS
			if version := m.q.TLS.Version; version != "" && (described == version || strings.HasPrefix(described, version+" ")) {
				met |= hitVersion
			}
		}
	}
	if ask&hitUser != 0 {
		if user, ok := userOf(f, v); ok && anyMatch(m.q.Users, []byte(user)) {
			met |= hitUser
		}
	}
	if isFailure(v.context) {
		met |= hitFailure
	}
	return met
}

func containsFold(f *format, field []byte, lowered string) bool {
	if len(field) == 0 {
		return false
	}
	return indexFold(f.octets(field), lowered) >= 0
}

func contains(f *format, field []byte, text string) bool {
	if len(field) == 0 {
		return false
	}
	return bytes.Contains(f.octets(field), []byte(text))
}

// heloName returns the name in HELO or EHLO.
func heloName(line []byte) ([]byte, bool) {
	if len(line) < 5 || line[4] != ' ' || !equalFold(line[:4], "ehlo") && !equalFold(line[:4], "helo") {
		return nil, false
	}
	return bytes.TrimSpace(line[5:]), true
}

// pathOf returns the address in a MAIL or RCPT command, without its brackets and
// without a source route (RFC 5321 4.1.2), and the parameters behind it. It
// takes what clients write as well: white space before the path, no brackets.
func pathOf(line []byte, command string) (address, rest []byte, ok bool) {
	if !hasPrefixFold(line, command) {
		return nil, nil, false
	}
	s := bytes.TrimLeft(line[len(command):], " \t")
	if len(s) == 0 || s[0] != '<' {
		address, rest, _ = bytes.Cut(s, []byte(" "))
		return address, rest, true
	}
	end, quoted := -1, false
	for i := 1; i < len(s) && end < 0; i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '>' && !quoted:
			end = i
		}
	}
	if end < 0 {
		return bytes.TrimSpace(s[1:]), nil, true
	}
	address, rest = s[1:end], s[end+1:]
	if len(address) > 0 && address[0] == '@' { // RFC 5321 appendix C
		if i := bytes.IndexByte(address, ':'); i >= 0 {
			address = address[i+1:]
		}
	}
	return address, rest, true
}

// The contexts of information lines, of this gateway and of Exchange
// (reference 7.1).
const (
	contextTLS       = "TLS negotiation succeeded"
	contextLogon     = "authenticated"
	contextReceiving = "receiving message"
	contextSending   = "sending message"
	contextNoConnect = "failed to connect"
	contextLost      = "connection lost"
)

// tlsOf returns version and cipher when a line tells that TLS began.
func tlsOf(f *format, v *view) (string, bool) {
	switch {
	case string(v.context) == contextTLS:
		if len(v.data) == 0 {
			return "TLS", true
		}
		return f.text(v.data), true
	case bytes.HasPrefix(v.context, []byte("TLS protocol ")) && bytes.Contains(v.context, []byte(" negotiation succeeded")):
		return exchangeTLS(f.text(v.context)), true
	}
	return "", false
}

// exchangeTLS turns "TLS protocol SP_PROT_TLS1_2_SERVER negotiation succeeded
// using bulk encryption algorithm CALG_AES_256 with strength 256 bits, ..." into
// "TLS1.2 CALG_AES_256".
func exchangeTLS(text string) string {
	version := strings.Fields(text)[2]
	version = strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(version, "SP_PROT_"), "_SERVER"), "_CLIENT")
	if version == "TLS1" {
		version = "TLS1_0"
	}
	version = strings.ReplaceAll(version, "_", ".")
	if _, rest, ok := strings.Cut(text, "algorithm "); ok {
		if cipher, _, _ := strings.Cut(rest, " "); cipher != "" {
			version += " " + strings.TrimRight(cipher, ",")
		}
	}
	return version
}

// userOf returns who authenticated when a line tells it.
func userOf(f *format, v *view) (string, bool) {
	if bytes.HasPrefix(v.context, []byte(contextLogon)) &&
		(len(v.context) == len(contextLogon) || bytes.HasPrefix(v.context[len(contextLogon):], []byte(" by "))) {
		return f.text(v.data), true
	}
	return "", false
}

// isFailure reports whether the context of an information line tells of a
// failure.
func isFailure(context []byte) bool {
	if len(context) == 0 {
		return false
	}
	switch context[0] {
	case 'f', 'F':
		return hasPrefixFold(context, contextNoConnect)
	case 'T':
		return bytes.HasPrefix(context, []byte("TLS negotiation failed"))
	case 'C':
		return bytes.HasPrefix(context, []byte("Certificate validation failed"))
	case 'c':
		return bytes.Equal(context, []byte(contextLost))
	}
	return false
}

// overall tells by a session's hits, and by what holds for it as a whole, whether
// it is wanted. It leaves out what only the finished session tells.
func (m *matcher) overall(met hits, first, last int64) bool {
	if met&m.want != m.want || m.q.TLS.Without && met&hitTLS != 0 {
		return false
	}
	if least := m.q.MinDuration.Milliseconds(); least > 0 && last-first < least {
		return false
	}
	// Where the clock was set back in the midst, the first line is the later.
	first, last = min(first, last), max(first, last)
	if !m.q.Since.IsZero() && last < m.q.Since.UnixMilli() || !m.q.Until.IsZero() && first >= m.q.Until.UnixMilli() {
		return false
	}
	return true
}
