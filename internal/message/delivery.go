package message

import (
	"context"
	"io"
	"time"
)

// Content is a stored message's content, readable more than once and from any
// place. It is closed after use.
type Content interface {
	io.Reader
	io.ReaderAt
	io.Seeker
	io.Closer
	// Size is the number of octets, trace fields included.
	Size() int64
}

// Delivery is one message on its way to one next hop.
type Delivery struct {
	ID       ID
	Envelope *Envelope
	// Recipients are indexes into Envelope.Recipients: those of this next hop.
	Recipients []int
	// Size is the content's size in octets, for SIZE=.
	Size int64
	// Open opens the content.
	Open func() (Content, error)
	// Place is the delivery's among those that run at a time; nil where nobody
	// counts them.
	Place Place
}

// Place is what a delivery has that runs. One that is about to wait for
// something that it shares with many others, a connection to a host say, gives
// its place back meanwhile, so that they don't keep the rest waiting. The
// delivery's goroutine alone uses it.
type Place interface {
	// Leave gives the place back. It reports false, and changes nothing, when too
	// many have left theirs already.
	Leave() bool
	// Return takes a place again after Leave, and waits until there is one. When
	// the context ends before, it returns at once, and the delivery is to end.
	Return(ctx context.Context)
}

// Backlog is what a Place may be besides: it tells how many messages wait for
// the same next hop.
type Backlog interface{ Waiting() int }

// Report is what a delivery came to.
type Report struct {
	// Outcomes name every recipient of the delivery exactly once.
	Outcomes []Outcome
	// Attempts are the connections tried, in order.
	Attempts []Attempt
	// Unreachable says that no host of the next hop took the connection, so
	// that its other messages need not try now.
	Unreachable bool
	// Congested says that the next hop did not stand another delivery just then,
	// rather than refuse the message: connections or handshakes failed, or a
	// host said before the first recipient that it has too much to do, and no
	// other host heard the message. The queue then delivers fewer at a time.
	Congested bool
	// RetryAfter is how long to wait at least before the next try; zero leaves
	// it to the queue's schedule.
	RetryAfter time.Duration
}
