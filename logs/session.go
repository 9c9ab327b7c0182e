package logs

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Session writes the lines of one SMTP session. A nil Session takes every call
// and does nothing, which is how protocol_logging = "none" looks. All methods
// may be called concurrently; none waits for the disk.
//
// A line that finds no room is dropped with its sequence number, so that the
// gap shows.
type Session struct {
	protocol      *Protocol
	connector, id string

	mu            sync.Mutex
	sequence      int
	local, remote netip.AddrPort
	// head and ends are what does not change from line to line, on either side
	// of the sequence number, as it stands in files of this mode.
	mode       mode
	head, ends []byte
}

// Connect notes that the connection stands ("+").
func (s *Session) Connect() { s.log(EventConnect, "", "") }

// Disconnect notes the end of the connection ("-"); context is "Local" or
// "Remote", whoever closed it.
func (s *Session) Disconnect(context string) { s.log(EventDisconnect, "", context) }

// Sent notes one line that went to the peer (">"), without its CRLF. A line
// that holds credentials is given as Redacted.
func (s *Session) Sent(line string) { s.log(EventSent, line, "") }

// Received notes one line that came from the peer ("<"), without its CRLF. A
// line that holds credentials is given as Redacted.
func (s *Session) Received(line string) { s.log(EventReceived, line, "") }

// SentLines is Sent for lines that went together.
func (s *Session) SentLines(lines []string) { s.logLines(EventSent, lines) }

// ReceivedLines is Received for lines that came together.
func (s *Session) ReceivedLines(lines []string) { s.logLines(EventReceived, lines) }

func (s *Session) logLines(e Event, lines []string) {
	if s == nil || len(lines) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write(e, lines, "")
}

// Info notes something that is not on the wire ("*"): text in data, a label in
// context, or the context alone (reference 7.1).
func (s *Session) Info(data, context string) { s.log(EventInfo, data, context) }

// SetEndpoints says where the two ends of the connection are from now on: a
// Send connector knows its local end only once it is connected.
func (s *Session) SetEndpoints(local, remote netip.AddrPort) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.local, s.remote = local, remote
	s.mode = modeOff // head and ends are made anew
}

func (s *Session) log(e Event, data, context string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write(e, []string{data}, context)
}

// write hands lines to the writer, all at once, unless the log is off. The
// caller holds the lock.
func (s *Session) write(e Event, lines []string, context string) {
	w := s.protocol.writer
	buf := s.protocol.buffers.Get().(*lineBuffer)
	var at time.Time
	logged := false
	for mode := w.mode(); mode != modeOff && !logged; mode = w.mode() {
		s.prepare(mode)
		buf.reset()
		for i, data := range lines {
			buf.begin(w.stampSize(mode))
			b := append(buf.b, s.head...)
			b = strconv.AppendInt(b, int64(s.sequence+i), 10)
			b = append(b, s.ends...)
			if mode == modeJSON {
				buf.b = appendTailJSON(b, e, data, context)
			} else {
				buf.b = appendTail(b, e, data, context)
			}
		}
		at, logged = w.append(mode, buf)
	}
	s.protocol.buffers.Put(buf.kept())
	if s.protocol.tee != nil {
		if !logged {
			at = time.Now()
		}
		for i, data := range lines {
			s.protocol.tee(Line{
				Time: at.UTC().Truncate(time.Millisecond), Connector: s.connector, Session: s.id, Sequence: s.sequence + i,
				Local: s.local, Remote: s.remote, Event: e, Data: data, Context: context,
			})
		}
	}
	s.sequence += len(lines)
}

// prepare makes head and ends.
func (s *Session) prepare(m mode) {
	if s.mode == m {
		return
	}
	s.mode = m
	if s.head == nil {
		n := len(s.connector) + len(s.id) + 48
		both := make([]byte, n+72)
		s.head, s.ends = both[:0:n], both[n:n]
	}
	if m == modeJSON {
		s.head = appendString(appendKey(s.head[:0], "connector"), s.connector)
		s.head = appendString(appendKey(s.head, "session"), s.id)
		s.head = appendKey(s.head, "sequence")
		s.ends = appendEnd(appendEnd(s.ends[:0], "local", s.local), "remote", s.remote)
		return
	}
	s.head = append(s.head[:0], ',')
	s.head = appendField(s.head, s.connector)
	s.head = append(s.head, ',')
	s.head = appendField(s.head, s.id)
	s.head = append(s.head, ',')
	s.ends = append(s.ends[:0], ',')
	s.ends = appendEndpoint(s.ends, s.local)
	s.ends = append(s.ends, ',')
	s.ends = appendEndpoint(s.ends, s.remote)
}

func appendEnd(b []byte, key string, a netip.AddrPort) []byte {
	if !a.Addr().IsValid() {
		return b
	}
	return appendJSONEndpoint(appendKey(b, key), a)
}

// appendTailJSON appends what differs from line to line of a session.
func appendTailJSON(b []byte, e Event, data, context string) []byte {
	b = append(b, `,"event":"`...)
	b = append(b, byte(e), '"')
	if data != "" {
		b = appendString(appendKey(b, "data"), cut(data))
	}
	if context != "" {
		b = appendString(appendKey(b, "context"), cut(context))
	}
	return append(b, "}\n"...)
}

// SessionIDs gives out session ids: 16 upper-case hexadecimal digits that grow
// with time, as Exchange's do, which count ticks of 100 ns since the year 1.
// The zero value works; one value serves the whole gateway. Next may be called
// concurrently.
//
// The low ten bits are drawn once for each SessionIDs and the others are the
// time, or one more than the last id where that is later. So ids stay unique
// over restarts as long as the clock runs forward, and a clock that was set
// back repeats ids only if the same ten bits are drawn again.
type SessionIDs struct {
	once  sync.Once
	nonce uint64
	last  atomic.Uint64
}

// nonceBits is the number of bits that tell one run of the gateway from
// another. 2^10 ticks are 102.4 µs: up to 9765 sessions a second the ids keep
// step with the clock, beyond that they run ahead of it.
const nonceBits = 10

// unixTicks is 1 January 1970 in ticks of 100 ns since 1 January of the year 1.
const unixTicks = 621_355_968_000_000_000

// Next returns an id that was not given out before.
func (g *SessionIDs) Next() string {
	g.once.Do(func() {
		var b [8]byte
		rand.Read(b[:]) // never fails
		g.nonce = binary.BigEndian.Uint64(b[:]) & (1<<nonceBits - 1)
	})
	// UnixMicro, unlike UnixNano, is right for every year a clock may show.
	ticks := uint64(unixTicks + time.Now().UnixMicro()*10)
	for {
		last := g.last.Load()
		id := max(ticks>>nonceBits, last>>nonceBits+1)<<nonceBits | g.nonce
		if g.last.CompareAndSwap(last, id) {
			return fmt.Sprintf("%016X", id)
		}
	}
}
