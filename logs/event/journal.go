package event

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"postern/logs"
)

// journalSocket is where journald takes events (systemd, "Native Journal
// Protocol").
const journalSocket = "/run/systemd/journal/socket"

// journalTimeout bounds the wait for journald.
const journalTimeout = 5 * time.Second

// messageID is the MESSAGE_ID of an event without its last eight digits, which
// are its number.
const messageID = "b3d4e1f05c2a4e6f8a1b9c7d"

// appendJournal appends an event as a datagram for journald: fields, one a
// line. Values are escaped, so that none has a line end in it.
func appendJournal(b []byte, e *Event) []byte {
	b = append(b, "MESSAGE="...)
	b = appendMessage(b, e)
	b = append(b, "\nPRIORITY="...)
	b = strconv.AppendInt(b, int64(e.priority()), 10)
	b = append(b, "\nSYSLOG_IDENTIFIER=postern\nPOSTERN_AREA="...)
	b = append(b, logs.Escape(string(e.Area))...)
	b = append(b, '\n')
	if e.ID != 0 {
		b = append(b, "POSTERN_EVENT_ID="...)
		b = strconv.AppendInt(b, int64(e.ID), 10)
		b = fmt.Appendf(append(b, '\n'), "MESSAGE_ID=%s%08x\n", messageID, uint32(e.ID))
	}
	for _, a := range e.attributes() {
		b = append(b, "POSTERN_"...)
		b = append(b, fieldName(a.Key)...)
		b = append(b, '=')
		b = append(b, logs.Escape(a.Value)...)
		b = append(b, '\n')
	}
	return b
}

// maxFieldName is how long the name of a field may be, less our prefix.
const maxFieldName = 64 - len("POSTERN_")

// fieldName is a key as the name of a field: capital letters, digits and
// underscores.
func fieldName(key string) string {
	key = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, key)
	return key[:min(len(key), maxFieldName)]
}

// journalOutput sends datagrams to journald. Where it does not answer, the
// event goes to standard error with the prefix of its priority, which systemd
// understands (sd-daemon(3)).
type journalOutput struct {
	path      string
	otherwise io.Writer
	conn      net.Conn
}

func (o *journalOutput) write(b []byte) error {
	if o.conn == nil {
		conn, err := (&net.Dialer{Timeout: journalTimeout}).Dial("unixgram", o.path)
		if err != nil {
			return o.fallBack(b)
		}
		o.conn = conn
	}
	if err := o.conn.SetWriteDeadline(time.Now().Add(journalTimeout)); err == nil {
		if _, err = o.conn.Write(b); err == nil {
			return nil
		}
	}
	o.close() // journald may have been restarted
	return o.fallBack(b)
}

// fallBack writes the message of a datagram to standard error.
func (o *journalOutput) fallBack(b []byte) error {
	message, fields, _ := strings.Cut(string(b), "\nPRIORITY=")
	priority, _, _ := strings.Cut(fields, "\n")
	_, err := io.WriteString(o.otherwise, "<"+priority+">"+strings.TrimPrefix(message, "MESSAGE=")+"\n")
	return err
}

func (o *journalOutput) close() {
	if o.conn != nil {
		o.conn.Close()
		o.conn = nil
	}
}
