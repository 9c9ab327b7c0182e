package send

import "time"

// Timeouts bound each phase of a session, so that a next hop that hangs holds
// nothing for ever. A field left zero has the default named beside it. A next
// hop that answers octet by octet gains nothing: each bound holds for a whole
// reply.
type Timeouts struct {
	// Connect bounds the TCP connection, 30 s.
	Connect time.Duration
	// OtherFamily is how long the TCP connection may take while the host has an
	// address of the other family to try, 5 s. When none of the others takes the
	// message either, it is made again and may take as long as Connect.
	OtherFamily time.Duration
	// Greeting bounds the wait for the banner, 2 min. RFC 5321 4.5.3.2.1 has
	// 5 min; with other hosts to try, less serves the mail better.
	Greeting time.Duration
	// EHLO bounds EHLO, HELO, STARTTLS, each step of AUTH and RSET, 2 min.
	EHLO time.Duration
	// TLS bounds the handshake, 1 min.
	TLS time.Duration
	// Mail and Rcpt bound the reply to each command, 5 min
	// (RFC 5321 4.5.3.2.2, 4.5.3.2.3).
	Mail time.Duration
	Rcpt time.Duration
	// Envelope bounds the commands of a transaction together, up to the reply
	// to DATA, 30 min.
	Envelope time.Duration
	// DataInit bounds the reply to DATA, 2 min (RFC 5321 4.5.3.2.4).
	DataInit time.Duration
	// DataBlock bounds the writing of each block of content, 3 min
	// (RFC 5321 4.5.3.2.5).
	DataBlock time.Duration
	// DataEnd bounds the reply to the end of the content, 10 min
	// (RFC 5321 4.5.3.2.6).
	DataEnd time.Duration
	// Quit bounds QUIT and its reply, 5 s. Nothing waits for it.
	Quit time.Duration
	// Idle is how long a connection is kept for reuse, 5 s, unless the
	// connector's connection_inactivity_timeout is shorter.
	Idle time.Duration
	// Slot bounds the wait for one of the connections that a host is allowed,
	// 1 min.
	Slot time.Duration
	// Dead is how long a host that did not take a connection is tried after
	// all others, 1 min.
	Dead time.Duration
	// MinRate is how many octets of content a next hop must take in a second,
	// on average and after the first DataBlock, 4096.
	MinRate int64
}

func (t Timeouts) withDefaults() Timeouts {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Connect, 30 * time.Second},
		{&t.OtherFamily, 5 * time.Second},
		{&t.Greeting, 2 * time.Minute},
		{&t.EHLO, 2 * time.Minute},
		{&t.TLS, time.Minute},
		{&t.Mail, 5 * time.Minute},
		{&t.Rcpt, 5 * time.Minute},
		{&t.Envelope, 30 * time.Minute},
		{&t.DataInit, 2 * time.Minute},
		{&t.DataBlock, 3 * time.Minute},
		{&t.DataEnd, 10 * time.Minute},
		{&t.Quit, 5 * time.Second},
		{&t.Idle, 5 * time.Second},
		{&t.Slot, time.Minute},
		{&t.Dead, time.Minute},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if t.MinRate == 0 {
		t.MinRate = 4096
	}
	return t
}
