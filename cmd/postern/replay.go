package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"postern/internal/control"
	"postern/internal/message"
	"postern/internal/wire"
	"postern/queue/spool"
)

// The X-headers on top of a file for Exchange's Replay directory, which hold
// the envelope (reference 11).
const (
	headerSender   = "X-Sender:"
	headerReceiver = "X-Receiver:"
	// maxReplayHeader bounds them, in octets.
	maxReplayHeader = 1 << 20
)

// replayHeader writes an envelope for the recipients that are still to be
// delivered.
func replayHeader(d *spool.Description) ([]byte, error) {
	e, err := pendingEnvelope(d)
	if err != nil {
		return nil, err
	}
	m, err := e.Parse()
	if err != nil {
		return nil, err
	}
	// All that an envelope can ask for, in the words of SMTP.
	all := wire.Extensions{EightBitMIME: true, BinaryMIME: true, Chunking: true, SMTPUTF8: true, RequireTLS: true, DSN: true}
	line, err := wire.AppendMail(nil, m, all, -1)
	if err != nil {
		return nil, err
	}
	b := append([]byte(headerSender+" "), bytes.TrimPrefix(line, []byte("MAIL FROM:"))...)
	for i := range m.Recipients {
		if line, err = wire.AppendRcpt(nil, &m.Recipients[i], all); err != nil {
			return nil, err
		}
		b = append(append(b, headerReceiver+" "...), bytes.TrimPrefix(line, []byte("RCPT TO:"))...)
	}
	return b, nil
}

// pendingEnvelope is the envelope of what is left to deliver of a message.
func pendingEnvelope(d *spool.Description) (*control.Envelope, error) {
	e := &control.Envelope{Sender: d.Sender, EnvID: d.EnvID, Return: d.Return, Body: d.Body, SMTPUTF8: d.SMTPUTF8, RequireTLS: d.RequireTLS}
	for _, r := range d.Recipients {
		if r.Status == "" || r.Status == message.Pending.String() || r.Status == message.Deferred.String() {
			e.Recipients = append(e.Recipients, control.Recipient{Address: r.Address, Notify: r.Notify, ORcpt: r.ORcpt})
		}
	}
	if len(e.Recipients) == 0 {
		return nil, errors.New("none of its recipients is still to be delivered")
	}
	return e, nil
}

// readReplay takes the X-headers off the top of a file and reads the envelope.
// It is nil when the file does not begin with one.
func readReplay(r *bufio.Reader) (*control.Envelope, error) {
	var e message.Envelope
	senders := 0
	for total := 0; ; {
		name := replayField(r)
		if name == "" {
			break
		}
		line, err := r.ReadString('\n')
		if total += len(line); total > maxReplayHeader {
			return nil, fmt.Errorf("the X-headers on top are longer than %d octets", maxReplayHeader)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		value := strings.TrimSpace(line[len(name):])
		err = nil
		switch name {
		case headerSender:
			senders++
			err = readSender(&e, value)
		case headerReceiver:
			err = readReceiver(&e, value)
		}
		if err != nil {
			return nil, fmt.Errorf("%s %w", name, err)
		}
	}
	switch {
	case senders == 0 && len(e.Recipients) == 0:
		return nil, nil
	case senders != 1 || len(e.Recipients) == 0:
		return nil, errors.New("want one X-Sender and at least one X-Receiver on top")
	}
	d := spool.Describe(spool.Entry{Envelope: &e})
	return pendingEnvelope(&d)
}

// replayField tells which of the X-headers the next line is; "" is none.
func replayField(r *bufio.Reader) string {
	for _, name := range []string{
		headerSender, headerReceiver, "X-CreatedBy:", "X-HeloDomain:", "X-SourceIPAddress:", "X-Source:",
		"X-ExtendedMessageProps:", "X-EndOfInjectedXHeaders:",
	} {
		if b, _ := r.Peek(len(name)); strings.EqualFold(string(b), name) {
			return name
		}
	}
	return ""
}

// anything offers every parameter that an envelope knows.
func anything() wire.Features {
	return wire.Features{Size: true, EightBitMIME: true, BinaryMIME: true, SMTPUTF8: true, RequireTLS: true, DSN: true, Auth: true}
}

func readSender(e *message.Envelope, value string) error {
	m, err := wire.ParseMail("FROM:"+value, anything())
	if err != nil {
		return err
	}
	e.From, e.EnvID, e.SMTPUTF8, e.RequireTLS, e.Body, e.Return = m.Path, m.EnvID, m.SMTPUTF8, m.RequireTLS, m.Body, m.Ret
	return nil
}

func readReceiver(e *message.Envelope, value string) error {
	r, err := wire.ParseRcpt("TO:"+value, anything())
	if err != nil {
		return err
	}
	e.Recipients = append(e.Recipients, message.Recipient{Address: r.Path, Notify: r.Notify, ORcpt: r.ORcpt})
	return nil
}
