package event

import (
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"postern/config"
	"postern/logs"
)

// The largest messages, in octets. Every receiver of RFC 5424 should take 2048
// (6.1), and datagrams that are much larger get lost in fragments (RFC 5426
// 3.2); others take 8192 in practice.
const (
	maxDatagram = 2048
	maxMessage  = 8192
)

// structuredDataID names our structured data. 32473 is the enterprise number
// for those who have none (RFC 5612).
const structuredDataID = "postern@32473"

// byteOrderMark goes before a text in UTF-8 (RFC 5424 6.4).
const byteOrderMark = "\ufeff"

// syslogFormat writes events as RFC 5424 wants them.
type syslogFormat struct {
	facility int
	host     string
	process  string
	most     int
	// counted frames with the length before it (RFC 6587 3.4.1).
	counted bool
}

func newSyslogFormat(network, facility, host string) *syslogFormat {
	f := &syslogFormat{facility: config.SyslogFacility(facility), host: printable(host, 255), process: strconv.Itoa(os.Getpid()), most: maxMessage}
	switch network {
	case "udp":
		f.most = maxDatagram
	case "tcp":
		f.counted = true
	}
	return f
}

// printable is a text as a field of the header: printable ASCII without spaces,
// or "-" (RFC 5424 6).
func printable(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s[:min(len(s), most)]
}

func (f *syslogFormat) append(b []byte, e *Event) []byte {
	m := f.message(make([]byte, 0, 512), e)
	if f.counted {
		b = strconv.AppendInt(b, int64(len(m)), 10)
		b = append(b, ' ')
	}
	return append(b, m...)
}

// message is SYSLOG-MSG of RFC 5424 6. The text has the attributes again, for
// readers that show nothing else.
func (f *syslogFormat) message(b []byte, e *Event) []byte {
	b = append(b, '<')
	b = strconv.AppendInt(b, int64(f.facility*8+e.priority()), 10) // 6.2.1
	b = append(b, ">1 "...)
	b = e.Time.AppendFormat(b, "2006-01-02T15:04:05.000000Z07:00")
	b = append(append(b, ' '), f.host...)
	b = append(append(b, " postern "...), f.process...)
	if e.ID != 0 {
		b = strconv.AppendInt(append(b, ' '), int64(e.ID), 10)
	} else {
		b = append(b, " -"...)
	}
	b = f.structuredData(append(b, ' '), e)
	text := string(appendMessage(nil, e))
	b = append(b, ' ')
	if !ascii(text) {
		b = append(b, byteOrderMark...)
	}
	return append(b, trim(text, f.most-len(b))...)
}

// structuredData is one element (RFC 5424 6.3). Values that find no room within
// half of the message are left out: they stand in the text again.
func (f *syslogFormat) structuredData(b []byte, e *Event) []byte {
	b = append(b, '[')
	b = append(b, structuredDataID...)
	b = appendParameter(b, logs.Pair{Key: "area", Value: string(e.Area)})
	b = appendParameter(b, logs.Pair{Key: "level", Value: LevelName(e.Level)})
	for _, a := range e.attributes() {
		if with := appendParameter(b, a); len(with) < f.most/2 {
			b = with
		}
	}
	return append(b, ']')
}

// appendParameter appends a parameter (RFC 5424 6.3.3): '"', '\' and ']' are
// escaped by a backslash, once what does not print is escaped as in all logs.
func appendParameter(b []byte, a logs.Pair) []byte {
	name := strings.Map(func(r rune) rune {
		if r == '=' || r == ']' || r == '"' {
			return '_'
		}
		return r
	}, printable(a.Key, 32))
	b = append(append(b, ' '), name...)
	b = append(b, `="`...)
	value := logs.Escape(a.Value)
	for i := 0; i < len(value); i++ {
		if c := value[i]; c == '"' || c == '\\' || c == ']' {
			b = append(b, '\\')
		}
		b = append(b, value[i])
	}
	return append(b, '"')
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// trim cuts a text to so many octets, between two characters.
func trim(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most = max(most, 0); most > 0 && !utf8.RuneStart(s[most]); most-- {
	}
	return s[:most]
}

// Times that bound the wait for a syslog server.
const (
	syslogDial  = 5 * time.Second
	syslogWrite = 10 * time.Second
)

// syslogOutput sends messages to a syslog server.
type syslogOutput struct {
	network, address string

	conn net.Conn
	gone chan struct{} // closed when the server has closed a TCP connection
	// lines says that a Unix stream wants a line end behind each message.
	lines bool
}

func (o *syslogOutput) write(b []byte) error {
	if o.conn != nil && o.gone != nil {
		select {
		case <-o.gone: // what is written now would be lost without a word
			o.close()
		default:
		}
	}
	if o.conn == nil {
		if err := o.dial(); err != nil {
			return err
		}
	}
	if o.lines {
		b = append(b[:len(b):len(b)], '\n')
	}
	err := o.conn.SetWriteDeadline(time.Now().Add(syslogWrite))
	if err == nil {
		_, err = o.conn.Write(b)
	}
	if err != nil {
		o.close()
	}
	return err
}

func (o *syslogOutput) dial() error {
	dialer := &net.Dialer{Timeout: syslogDial}
	network := o.network
	if network == "unix" {
		network = "unixgram"
	}
	conn, err := dialer.Dial(network, o.address)
	if network == "unixgram" && errors.Is(err, syscall.EPROTOTYPE) {
		conn, err = dialer.Dial("unix", o.address)
		o.lines = err == nil
	}
	if err != nil {
		return err
	}
	o.conn = conn
	if o.network == "tcp" {
		o.gone = make(chan struct{})
		go func(gone chan struct{}) { // ends with the connection
			defer close(gone)
			_, _ = io.Copy(io.Discard, conn)
		}(o.gone)
	}
	return nil
}

func (o *syslogOutput) close() {
	if o.conn == nil {
		return
	}
	o.conn.Close()
	if o.gone != nil {
		<-o.gone
	}
	o.conn, o.gone, o.lines = nil, nil, false
}
