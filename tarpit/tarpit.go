// Package tarpit knows how long a reply is held back, and for whom. Slow
// refusals make it dear to try out recipients, relays and passwords, and cost
// an honest client next to nothing. It serves the Receive connectors, which do
// the waiting; what is here keeps no clock and waits for nobody.
package tarpit

import (
	"fmt"
	"time"
)

// Kind says what a reply tells the client.
type Kind uint8

// The kinds of reply.
const (
	// Other replies are never held back: good ones and those of trouble that
	// will pass.
	Other Kind = iota
	// Refusal is a refusal for good (5yz): an unknown recipient, an attempt to
	// relay, a command that is none.
	Refusal
	// FailedLogon is the answer to an AUTH that failed.
	FailedLogon
)

// Client is what a session has shown of the client.
type Client struct {
	// Authenticated: it has proven who it is.
	Authenticated bool
	// Trusted: it may send to any recipient, as our own hosts may.
	Trusted bool
	// Refused is how many recipients from its source were refused of late.
	Refused int
}

// Policy holds the intervals of a Receive connector. 0 switches one off; the
// zero value holds nothing back.
type Policy struct {
	// Interval is how long a refusal is held back.
	Interval time.Duration
	// AuthInterval is how long the answer to a failed AUTH is held back.
	AuthInterval time.Duration
}

// What a client has to wait longer that tries out recipients.
const (
	// Step is by how much the delay grows each time that StepRecipients more
	// were refused.
	Step           = 5 * time.Second
	StepRecipients = 10
	// MaxGrown is how far it grows: well within the minutes that a client waits
	// for a reply (RFC 5321 4.5.3.2.3).
	MaxGrown = 55 * time.Second
)

// Delay returns how long a reply is held back from the client. Refusals are
// held back from whoever has neither authenticated nor is trusted; failed
// logons from everyone, since whom they come from is what they leave open.
func (p Policy) Delay(kind Kind, c Client) time.Duration {
	switch {
	case kind == FailedLogon:
		return p.AuthInterval
	case kind != Refusal, c.Authenticated, c.Trusted, p.Interval <= 0:
		return 0
	}
	steps := min(max(c.Refused, 0)/StepRecipients, int(MaxGrown/Step))
	return max(p.Interval, min(p.Interval+time.Duration(steps)*Step, MaxGrown))
}

// Text returns the delay as Exchange writes it in the protocol log:
// "0.00:00:05" is days, hours, minutes and seconds, with milliseconds where
// there are some.
func Text(d time.Duration) string {
	d = max(d, 0).Round(time.Millisecond)
	s := fmt.Sprintf("%d.%02d:%02d:%02d", d/(24*time.Hour), d/time.Hour%24, d/time.Minute%60, d/time.Second%60)
	if ms := d % time.Second / time.Millisecond; ms > 0 {
		s += fmt.Sprintf(".%03d", ms)
	}
	return s
}
