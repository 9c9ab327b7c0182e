package review

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"postern/internal/message"
	"postern/logs"
)

// builder puts a session together from its lines, oldest first.
type builder struct {
	m *matcher
	s *Session
	// waiting are the commands that have no reply yet, oldest first, from
	// answered on.
	waiting  []command
	answered int
	// tx is the transaction that is going on, an index; -1 for none.
	tx         int
	recipients int
	// queueID and messageID are those of the next transaction, which a send
	// session tells before MAIL.
	queueID, messageID string
	started            bool
	remote, local      string // the last, as in the log
	accepted, refused  int
	broken             string // what broke the session
	lost               bool   // that was the connection, in the midst of a dialog
	refusal            string // the last reply that refused
	acceptance         string
	// goodbye is a 421 that nobody had asked for.
	goodbye string
}

// verb is what a command is, as far as it matters.
type verb uint8

const (
	verbOther verb = iota
	verbMail
	verbRcpt
	verbData
	verbContent // what DATA was answered with 354 for
	verbChunk
	verbLastChunk
	verbReset
)

// command is a command that waits for its reply.
type command struct {
	verb verb
	tx   int // the transaction it belongs to
	rcpt int // of a RCPT, the recipient
}

// maxWaiting bounds the commands that wait: what pipelines more is no SMTP.
const maxWaiting = 20000

func newBuilder(m *matcher, id string) *builder {
	return &builder{m: m, s: &Session{ID: id, Direction: m.direction}, tx: -1, waiting: make([]command, 0, 8)}
}

// add takes the next line.
func (b *builder) add(f *format, v *view) {
	s := b.s
	if !b.started {
		s.Connector = f.text(v.connector)
		b.started = true
	}
	if len(v.remote) > 0 && string(v.remote) != b.remote {
		b.remote = string(v.remote)
		s.Remote = f.endpoint(v.remote)
	}
	if len(v.local) > 0 && string(v.local) != b.local {
		b.local = string(v.local)
		s.Local = f.endpoint(v.local)
	}
	switch v.event {
	case b.m.client:
		b.command(f, v)
	case b.m.server:
		b.reply(f, v)
	case logs.EventInfo:
		b.info(f, v)
	}
	if b.m.q.Lines {
		s.Lines = append(s.Lines, f.line(v))
	}
}

func (b *builder) wait(c command) {
	if b.answered == len(b.waiting) {
		b.waiting, b.answered = b.waiting[:0], 0
	}
	if len(b.waiting) < maxWaiting {
		b.waiting = append(b.waiting, c)
	}
}

// again puts a command in the place of the one that was just answered.
func (b *builder) again(c command) {
	b.answered--
	b.waiting[b.answered] = c
}

// command looks at what the client said.
func (b *builder) command(f *format, v *view) {
	line := f.octets(v.data)
	c := command{tx: b.tx, rcpt: -1}
	if name, ok := heloName(line); ok {
		b.s.HELO = string(name)
		c.verb = verbReset
	} else if path, rest, ok := pathOf(line, "mail from:"); ok {
		b.begin(string(path), string(rest), v.time)
		c.verb, c.tx = verbMail, b.tx
	} else if path, _, ok := pathOf(line, "rcpt to:"); ok {
		c.verb, c.rcpt = verbRcpt, b.recipient(string(path))
	} else if word, rest := firstWord(line); equalFold(word, "data") {
		c.verb = verbData
	} else if equalFold(word, "bdat") {
		c.verb = verbChunk
		if strings.HasSuffix(lower(strings.TrimSpace(string(rest))), " last") {
			c.verb = verbLastChunk
		}
	} else if equalFold(word, "rset") {
		c.verb = verbReset
	}
	b.touch(c.tx, v.time)
	b.wait(c)
}

func firstWord(line []byte) (word, rest []byte) {
	for i, c := range line {
		if c == ' ' {
			return line[:i], line[i+1:]
		}
	}
	return line, nil
}

// begin begins a transaction.
func (b *builder) begin(from, parameters string, at int64) {
	if len(b.s.Messages) >= MaxTransactions {
		b.s.Omitted = true
		b.tx = -1
		return
	}
	t := Transaction{Time: time.UnixMilli(at).UTC(), From: from, QueueID: b.queueID, MessageID: b.messageID}
	t.End = t.Time
	for p := range strings.FieldsSeq(parameters) {
		if size, ok := strings.CutPrefix(lower(p), "size="); ok {
			t.Octets, _ = strconv.ParseInt(size, 10, 64) // 0 for what is no size
		}
	}
	b.queueID, b.messageID = "", ""
	b.s.Messages = append(b.s.Messages, t)
	b.tx = len(b.s.Messages) - 1
}

// recipient adds a recipient to the transaction, and returns its place.
func (b *builder) recipient(address string) int {
	if b.tx < 0 {
		return -1
	}
	if b.recipients >= MaxRecipients {
		b.s.Omitted = true
		return -1
	}
	b.recipients++
	t := &b.s.Messages[b.tx]
	t.To = append(t.To, Recipient{Address: address})
	return len(t.To) - 1
}

// touch notes that a line belongs to a transaction.
func (b *builder) touch(tx int, at int64) {
	if tx >= 0 {
		b.s.Messages[tx].End = time.UnixMilli(at).UTC()
	}
}

// reply looks at what the server said.
func (b *builder) reply(f *format, v *view) {
	if !isReply(v.data) || len(v.data) > 3 && v.data[3] == '-' {
		return
	}
	code := v.data[0]
	if b.answered == len(b.waiting) { // a greeting, or 421 out of the blue
		switch {
		case code < '4':
		case string(v.data[:3]) == "421":
			b.goodbye = f.text(v.data)
		default:
			b.refuse(f.text(v.data))
		}
		return
	}
	c := b.waiting[b.answered]
	b.answered++
	text := ""
	if c.verb != verbOther && c.verb != verbReset || code >= '4' {
		text = f.text(v.data)
	}
	b.touch(c.tx, v.time)
	if code >= '4' {
		b.refuse(text)
	}
	b.settle(c, code, text)
}

func (b *builder) refuse(reply string) {
	b.refused++
	b.refusal = reply
}

// settle does what the reply to a command does to its transaction.
func (b *builder) settle(c command, code byte, text string) {
	var t *Transaction
	if c.tx >= 0 {
		t = &b.s.Messages[c.tx]
	}
	switch {
	case t == nil && c.verb == verbData && code == '3':
		b.again(command{verb: verbContent, tx: -1, rcpt: -1})
	case t == nil && (c.verb == verbContent || c.verb == verbLastChunk) && code == '2':
		b.accepted++ // of a transaction that is not kept, or begins before the log
		b.acceptance = text
	case t == nil:
	case c.verb == verbMail:
		if code >= '4' {
			t.Reply = text
			b.end(c.tx)
		}
	case c.verb == verbRcpt:
		if c.rcpt >= 0 {
			t.To[c.rcpt].Reply = text
		}
	case c.verb == verbData && code == '3':
		b.again(command{verb: verbContent, tx: c.tx, rcpt: -1})
	case c.verb == verbData && code >= '4', c.verb == verbChunk && code >= '4':
		t.Reply = text
	case c.verb == verbContent, c.verb == verbLastChunk:
		t.Reply = text
		if code == '2' {
			t.Accepted = true
			b.accepted++
			b.acceptance = text
			if b.m.direction == logs.Receive { // what a next hop calls it is its own affair
				t.QueueID = cmp.Or(internalID(text), t.QueueID)
				t.MessageID = cmp.Or(quotedMessageID(text), t.MessageID)
			}
		}
		b.end(c.tx)
	case c.verb == verbReset && code == '2':
		b.end(c.tx)
	}
}

// end ends a transaction, unless another has begun.
func (b *builder) end(tx int) {
	if b.tx == tx {
		b.tx = -1
	}
}

// info looks at a line of information.
func (b *builder) info(f *format, v *view) {
	if described, ok := tlsOf(f, v); ok {
		b.s.TLS = described
		return
	}
	if user, ok := userOf(f, v); ok {
		b.s.User = user
		return
	}
	switch context := string(v.context); {
	case context == contextReceiving:
		// "<id>;<time>;<number>", where Exchange has the session's id.
		id, _, _ := strings.Cut(f.text(v.data), ";")
		if _, err := message.ParseID(id); err == nil && b.tx >= 0 {
			b.s.Messages[b.tx].QueueID = id
		}
	case strings.HasPrefix(context, contextSending):
		b.sending(f.text(v.data), f.text(v.context))
	case isFailure(v.context):
		b.broken = f.text(v.data)
		if b.broken == "" {
			b.broken = f.text(v.context)
		}
		b.lost = context == contextLost
	}
}

// sending reads what is sent next: a queue id here, a Message-ID of Exchange's,
// whose newer servers tell both in the context.
func (b *builder) sending(data, context string) {
	if _, err := message.ParseID(data); err == nil {
		b.queueID = data
	} else if strings.HasPrefix(data, "<") {
		b.messageID = data
	}
	words := strings.Fields(context)
	for i := 0; i+1 < len(words); i++ {
		switch words[i] {
		case "RecordId":
			b.queueID = words[i+1]
		case "InternetMessageId":
			b.messageID = words[i+1]
		}
	}
}

// internalID finds the queue id in the reply that accepted a message.
func internalID(reply string) string {
	_, rest, ok := strings.Cut(reply, "[InternalId=")
	if !ok {
		return ""
	}
	end := strings.IndexAny(rest, ",]")
	if end <= 0 {
		return ""
	}
	return rest[:end]
}

// quotedMessageID finds the Message-ID that this side says back when it accepts
// a message: "250 2.6.0 <id> [InternalId=...".
func quotedMessageID(reply string) string {
	start := strings.IndexByte(reply, '<')
	end := strings.Index(reply, "> [InternalId=")
	if start < 0 || end < start {
		return ""
	}
	return reply[start : end+1]
}

// finish returns the session, or nil when it is not wanted after all.
func (b *builder) finish(p *part) *Session {
	s := b.s
	s.Start, s.End = time.UnixMilli(p.first).UTC(), time.UnixMilli(p.last).UTC()
	if s.End.Before(s.Start) { // the clock was set back
		s.End = s.Start
	}
	s.LineCount, s.Headless, s.Open = p.count, !p.begins, !p.ends
	s.Missing = max(p.high+1-p.count, 0)
	s.Omitted = s.Omitted || p.dropped > 0
	b.judge()
	if b.m.q.Failed && !s.Failed && !(s.Omitted && p.hits&hitFailure != 0) {
		return nil
	}
	return s
}

// judge says how the session went.
func (b *builder) judge() {
	s := b.s
	if b.broken == "" && !s.Open && b.unanswered() {
		b.broken = "the connection ended before the content was accepted"
	}
	if b.lost && b.accepted > 0 && b.tx < 0 {
		b.broken = "" // a client that goes without QUIT once it is done
	}
	switch {
	case b.accepted > 0 && b.refused == 0 && b.broken == "":
		s.Outcome, s.Reply = Accepted, b.acceptance
		return
	case b.refused > 0:
		s.Outcome, s.Reply = Refused, b.refusal
	case b.broken != "":
		s.Outcome, s.Reply = Broken, b.broken
	case b.goodbye != "":
		s.Outcome, s.Reply = Refused, b.goodbye
	default:
		s.Outcome = NoMail
		return
	}
	if b.accepted > 0 {
		s.Outcome = Partly
	}
	s.Failed = true
}

// unanswered reports whether content was under way and got no reply.
func (b *builder) unanswered() bool {
	for _, c := range b.waiting[b.answered:] {
		if c.verb == verbContent || c.verb == verbLastChunk {
			return true
		}
	}
	return false
}
