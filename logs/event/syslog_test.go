package event

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"postern/config"
	"postern/internal/eventid"
	"postern/logs"
)

// message is a message of RFC 5424, taken apart.
type message struct {
	facility, severity        int
	time                      time.Time
	host, app, process, msgID string
	data                      logs.Pairs // of the one element, its SD-ID as "id"
	text                      string
	marked                    bool // a byte order mark stood before the text
}

// parseMessage reads SYSLOG-MSG by the letter of RFC 5424 6.
func parseMessage(s string) (m message, err error) {
	fail := func(what string) (message, error) { return m, fmt.Errorf("%s at %.40q", what, s) }
	end := strings.IndexByte(s, '>')
	if !strings.HasPrefix(s, "<") || end < 2 || end > 4 {
		return fail("no PRI")
	}
	pri, err := strconv.Atoi(s[1:end])
	if err != nil || pri < 0 || pri > 191 || strconv.Itoa(pri) != s[1:end] {
		return fail("no PRI")
	}
	m.facility, m.severity, s = pri/8, pri%8, s[end+1:]
	fields := strings.SplitN(s, " ", 7)
	if len(fields) != 7 || fields[0] != "1" {
		return fail("no header of version 1")
	}
	if m.time, err = time.Parse(time.RFC3339Nano, fields[1]); err != nil {
		return fail("no TIMESTAMP")
	}
	if _, fraction, ok := strings.Cut(fields[1], "."); ok && strings.IndexAny(fraction, "Z+-") > 6 {
		return fail("a fraction of more than six digits")
	}
	for i, most := range []int{255, 48, 128, 32} {
		f := fields[2+i]
		if f == "" || len(f) > most || strings.IndexFunc(f, func(r rune) bool { return r < '!' || r > '~' }) >= 0 {
			return fail("a header field")
		}
	}
	m.host, m.app, m.process, m.msgID, s = fields[2], fields[3], fields[4], fields[5], fields[6]
	if m.data, s, err = parseData(s); err != nil {
		return m, err
	}
	switch {
	case s == "":
		return m, nil
	case s[0] != ' ':
		return fail("no space before MSG")
	}
	m.text, m.marked = strings.CutPrefix(s[1:], byteOrderMark)
	if !utf8.ValidString(m.text) {
		return fail("MSG is not UTF-8")
	}
	return m, nil
}

// parseData reads one SD-ELEMENT.
func parseData(s string) (data logs.Pairs, rest string, err error) {
	if strings.HasPrefix(s, "-") {
		return nil, s[1:], nil
	}
	name := func() (string, error) {
		n := strings.IndexAny(s, " =]\"")
		if n < 1 || n > 32 || strings.IndexFunc(s[:n], func(r rune) bool { return r < '!' || r > '~' }) >= 0 {
			return "", fmt.Errorf("no SD-NAME at %.40q", s)
		}
		found := s[:n]
		s = s[n:]
		return found, nil
	}
	if !strings.HasPrefix(s, "[") {
		return nil, s, fmt.Errorf("no STRUCTURED-DATA at %.40q", s)
	}
	s = s[1:]
	id, err := name()
	if err != nil {
		return nil, s, err
	}
	data = logs.Pairs{{Key: "id", Value: id}}
	for strings.HasPrefix(s, " ") {
		s = s[1:]
		key, err := name()
		if err != nil {
			return nil, s, err
		}
		if !strings.HasPrefix(s, `="`) {
			return nil, s, fmt.Errorf("no value at %.40q", s)
		}
		value, rest, err := parseValue(s[2:])
		if err != nil {
			return nil, s, err
		}
		s = rest
		data = append(data, logs.Pair{Key: key, Value: value})
	}
	if !strings.HasPrefix(s, "]") {
		return nil, s, fmt.Errorf("no end of the element at %.40q", s)
	}
	return data, s[1:], nil
}

// parseValue reads PARAM-VALUE and the quote behind it (RFC 5424 6.3.3).
func parseValue(s string) (value, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], nil
		case c == ']':
			return "", s, errors.New("a bracket that is not escaped")
		case c == '\\' && i+1 < len(s) && strings.IndexByte(`"\]`, s[i+1]) >= 0:
			i++
			b.WriteByte(s[i])
		case c == '\\':
			return "", s, errors.New("a backslash that escapes nothing")
		default:
			b.WriteByte(c)
		}
	}
	return "", s, errors.New("a value does not end")
}

func someEvent() *Event {
	e := &Event{Time: time.Date(2026, 11, 22, 8, 15, 30, 123456789, time.FixedZone("", 3600)), Level: slog.LevelWarn, ID: eventid.MessageDeferred, Area: eventid.Queue, Text: "message deferred"}
	e.add("", slog.String("host", "mx.example.net"))
	e.add("", slog.String("reply", `450 "no" \ ]`))
	return e
}

// TestSyslogFormat holds a message to the letter.
func TestSyslogFormat(t *testing.T) {
	f := newSyslogFormat("unix", "mail", "edge.contoso.example")
	f.process = "4711"
	want := `<20>1 2026-11-22T08:15:30.123456+01:00 edge.contoso.example postern 4711 22000 [postern@32473 area="queue" level="warn" host="mx.example.net" reply="450 \"no\" \\ \]"] ` +
		`message deferred event_id=22000 host=mx.example.net reply="450 \"no\" \\ ]"`
	if got := string(f.append(nil, someEvent())); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	f.counted = true
	if got := string(f.append([]byte("x"), someEvent())); got != "x"+strconv.Itoa(len(want))+" "+want {
		t.Errorf("counted: %s", got)
	}
	for level, severity := range map[slog.Level]int{slog.LevelDebug: 7, slog.LevelInfo: 6, slog.LevelWarn: 4, slog.LevelError: 3} {
		e := Event{Level: level, Text: "grün"}
		m, err := parseMessage(string(newSyslogFormat("udp", "local7", "").message(nil, &e)))
		if err != nil || m.facility != 23 || m.severity != severity || m.host != "-" || m.msgID != "-" || m.text != "grün" || !m.marked {
			t.Errorf("%v: %+v, %v", level, m, err)
		}
	}
}

// TestSyslogLength: a message is no longer than it may be, and whole up to its
// end.
func TestSyslogLength(t *testing.T) {
	for network, most := range map[string]int{"udp": 2048, "tcp": 8192, "unix": 8192} {
		f := newSyslogFormat(network, "mail", strings.Repeat("host", 100))
		for n := range 300 {
			e := someEvent()
			e.add("", slog.String("large", strings.Repeat("ü", 10*n)))
			e.add("", slog.String("last", strings.Repeat("]", n)))
			b := f.message(nil, e)
			m, err := parseMessage(string(b))
			if err != nil || len(b) > most || m.data.Get("host") != "mx.example.net" || !strings.HasPrefix(m.text, "message deferred event_id=22000") {
				t.Fatalf("%s, %d: %d octets, %v", network, n, len(b), err)
			}
			if value := m.data.Get("large"); value != "" && value != strings.Repeat("ü", 10*n) {
				t.Fatalf("%s, %d: a value is cut", network, n)
			}
		}
	}
}

// FuzzSyslog: whatever an event says, RFC 5424 holds, and values come back.
func FuzzSyslog(f *testing.F) {
	f.Add("message deferred", "reply", "450 \"no\" \\ ]", "edge", 22000)
	f.Add("\x1b\n", "a=b]\"", "\xff\\x41\u202e", "ü host", 0)
	f.Add("", "", strings.Repeat("\\", 5000), "", -1)
	f.Fuzz(func(t *testing.T, text, key, value, host string, id int) {
		for _, network := range []string{"udp", "tcp", "unix"} {
			e := Event{Time: time.Unix(int64(id), 999999999), ID: eventid.ID(id), Area: eventid.Queue, Text: text}
			if year := e.Time.UTC().Year(); year < 1 || year > 9998 {
				return
			}
			e.Attributes = logs.Pairs{{Key: key, Value: value}}
			form := newSyslogFormat(network, "mail", host)
			b := form.message(nil, &e)
			m, err := parseMessage(string(b))
			if err != nil || len(b) > form.most {
				t.Fatalf("%v, %d octets: %q", err, len(b), b)
			}
			if len(m.data) == 4 && logs.Unescape(m.data[3].Value) != value {
				t.Fatalf("%q came back as %q", value, m.data[3].Value)
			}
			if len(m.data) != 4 && len(value) < 200 {
				t.Fatalf("a short value is left out: %q", b)
			}
			for _, r := range m.text {
				if !strconv.IsPrint(r) {
					t.Fatalf("%q is not printable", m.text)
				}
			}
		}
	})
}

// server is a scripted syslog server.
type server struct {
	t        *testing.T
	network  string
	address  string
	listener net.Listener   // TCP
	packets  net.PacketConn // UDP and Unix
	conn     net.Conn
	reader   *bufio.Reader
}

func serve(t *testing.T, network string) *server {
	t.Helper()
	s := &server{t: t, network: network}
	var err error
	switch network {
	case "tcp":
		s.listener, err = net.Listen("tcp", "127.0.0.1:0")
	case "udp":
		s.packets, err = net.ListenPacket("udp", "127.0.0.1:0")
	case "unix":
		s.packets, err = net.ListenPacket("unixgram", filepath.Join(t.TempDir(), "log"))
	case "unix stream":
		s.listener, err = net.Listen("unix", filepath.Join(t.TempDir(), "log"))
	}
	if err != nil {
		t.Fatal(err)
	}
	switch network {
	case "tcp":
		s.address = "tcp://" + s.listener.Addr().String()
	case "udp":
		s.address = "udp://" + s.packets.LocalAddr().String()
	case "unix":
		s.address = "unix:" + s.packets.LocalAddr().String()
	case "unix stream":
		s.address = "unix:" + s.listener.Addr().String()
	}
	t.Cleanup(s.close)
	return s
}

func (s *server) close() {
	for _, c := range []io.Closer{s.listener, s.packets, s.conn} {
		switch c := c.(type) {
		case net.Listener:
			if c != nil {
				c.Close()
			}
		case net.PacketConn:
			if c != nil {
				c.Close()
			}
		case net.Conn:
			if c != nil {
				c.Close()
			}
		}
	}
}

// next reads one message.
func (s *server) next() message {
	s.t.Helper()
	end := time.Now().Add(20 * time.Second)
	var text string
	if s.packets != nil {
		b := make([]byte, 1<<16)
		if err := s.packets.SetReadDeadline(end); err != nil {
			s.t.Fatal(err)
		}
		n, _, err := s.packets.ReadFrom(b)
		if err != nil {
			s.t.Fatal(err)
		}
		text = string(b[:n])
	} else {
		text = s.stream(end)
	}
	m, err := parseMessage(text)
	if err != nil {
		s.t.Fatalf("%v: %q", err, text)
	}
	return m
}

func (s *server) stream(end time.Time) string {
	s.t.Helper()
	if s.conn == nil {
		conn, err := s.listener.Accept()
		if err != nil {
			s.t.Fatal(err)
		}
		s.conn, s.reader = conn, bufio.NewReader(conn)
	}
	if err := s.conn.SetReadDeadline(end); err != nil {
		s.t.Fatal(err)
	}
	if s.network == "unix stream" {
		line, err := s.reader.ReadString('\n')
		if err != nil {
			s.t.Fatal(err)
		}
		return strings.TrimSuffix(line, "\n")
	}
	// RFC 6587 3.4.1: MSG-LEN SP SYSLOG-MSG.
	length, err := s.reader.ReadString(' ')
	if err != nil {
		s.t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSuffix(length, " "))
	if err != nil {
		s.t.Fatal(err)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(s.reader, b); err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// TestSyslogServers: every kind of server gets every event, whole and in order.
func TestSyslogServers(t *testing.T) {
	for _, network := range []string{"tcp", "udp", "unix", "unix stream"} {
		t.Run(network, func(t *testing.T) {
			s := serve(t, network)
			l := Open(Options{Config: config.EventLog{Syslog: s.address, SyslogFacility: "mail"}, Host: "edge.contoso.example"})
			defer closeLog(t, l)
			logger := l.Logger(eventid.Control)
			for n := range 50 {
				logger.Info("control socket", eventid.ControlRequest.Attr(), "n", n, "text", "a\nb")
				m := s.next()
				if m.facility != 2 || m.host != "edge.contoso.example" || m.app != "postern" || m.msgID != "20202" || m.data.Get("n") != strconv.Itoa(n) || m.data.Get("text") != `a\x0Ab` ||
					m.text != `control socket event_id=20202 n=`+strconv.Itoa(n)+` text="a\nb"` || m.marked {
					t.Fatalf("%+v", m)
				}
			}
		})
	}
}

// TestSyslogComesBack: a server that goes away gets what it missed once it is
// back, and the trouble is told.
func TestSyslogComesBack(t *testing.T) {
	s := serve(t, "tcp")
	p := new(paper)
	l := Open(Options{Config: config.EventLog{Syslog: s.address, SyslogFacility: "mail"}, Stderr: p})
	defer closeLog(t, l)
	logger := l.Logger(eventid.Control)
	logger.Info("control socket", eventid.ControlRequest.Attr(), "n", 0)
	if m := s.next(); m.data.Get("n") != "0" {
		t.Fatalf("%+v", m)
	}
	address := s.listener.Addr().String()
	s.listener.Close()
	s.conn.Close()
	sink := (*l.sinks.Load())[1]
	<-sink.out.(*syslogOutput).gone
	for n := 1; n <= 3; n++ {
		logger.Info("control socket", eventid.ControlRequest.Attr(), "n", n)
	}
	told := func(text string) bool { return strings.Contains(p.String(), text) }
	for end := time.Now().Add(20 * time.Second); !told("event_id=20302"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the trouble is not told: %s", p)
		}
	}
	var err error
	if s.listener, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	s.conn = nil
	// The trouble may have been told before all of the others were.
	trouble := 0
	for n := 1; n <= 3 || trouble == 0; {
		switch m := s.next(); {
		case m.msgID == "20302" && strings.Contains(m.text, "refused") && trouble == 0:
			trouble++
		case n <= 3 && m.data.Get("n") == strconv.Itoa(n):
			n++
		default:
			t.Fatalf("%d: %+v", n, m)
		}
	}
	if m := s.next(); m.msgID != "20303" || m.data.Get("events_lost") != "0" {
		t.Errorf("%+v", m)
	}
}
