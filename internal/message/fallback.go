package message

import "time"

// Fallback says that another Send connector has taken over for some recipients.
type Fallback struct {
	// Recipients are indexes into Envelope.Recipients.
	Recipients []int
	// Connector is the name of the one that has; empty when they go as they are
	// routed again.
	Connector string
	// Tries is how many attempts the recipients have had until then.
	Tries int
}

// Fallen is which connector has taken over for a recipient, since when, and
// after how many tries; the zero value is that of nearly all recipients.
type Fallen struct {
	Connector string
	At        time.Time
	Tries     int
}

// The tags of a Fallback and of a Fallen.
const (
	fallRecipients = iota + 1
	fallConnector
	fallAt
	fallTries
)

func appendFallback(b []byte, tag uint64, l *Fallback) []byte {
	return appendNested(b, tag, func(b []byte) []byte {
		b = appendInts(b, fallRecipients, l.Recipients)
		b = appendString(b, fallConnector, l.Connector)
		return appendInt(b, fallTries, int64(l.Tries))
	})
}

func appendFallen(b []byte, tag uint64, l *Fallen) []byte {
	if *l == (Fallen{}) {
		return b
	}
	return appendNested(b, tag, func(b []byte) []byte {
		b = appendString(b, fallConnector, l.Connector)
		b = appendTime(b, fallAt, l.At)
		return appendInt(b, fallTries, int64(l.Tries))
	})
}

func (f *fields) fallback() (l Fallback) {
	g := fields{s: f.v}
	for g.next() {
		switch g.tag {
		case fallRecipients:
			l.Recipients = g.ints()
		case fallConnector:
			l.Connector = g.v
		case fallTries:
			l.Tries = int(g.int())
		}
	}
	f.fail(g.err)
	return l
}

func (f *fields) fallen() (l Fallen) {
	g := fields{s: f.v}
	for g.next() {
		switch g.tag {
		case fallConnector:
			l.Connector = g.v
		case fallAt:
			l.At = g.time()
		case fallTries:
			l.Tries = int(g.int())
		}
	}
	f.fail(g.err)
	return l
}
