package eventid

import (
	"log/slog"
	"slices"
	"time"
)

// Key is the attribute that holds the number of an event.
const Key = "event_id"

// ID is the number of an event. Zero is none.
type ID int

// Attr is the number as the attribute by which a call of a logger names it.
func (id ID) Attr() slog.Attr { return slog.Int(Key, int(id)) }

// Area is a part of the gateway, with a level of its own in the event log. A
// logger carries it as the attribute AreaKey.
type Area string

// AreaKey is the attribute that holds the area of a logger.
const AreaKey = "area"

// The areas.
const (
	Server       Area = "server"       // start, stop, reload, the certificate store's place
	Config       Area = "config"       // what the configuration says
	Control      Area = "control"      // the control socket and what is ordered through it
	Logs         Area = "logs"         // the logs on disk and the event log itself
	Receive      Area = "receive"      // Receive connectors: listeners, sessions, logons
	Queue        Area = "queue"        // the delivery queues and what becomes of messages
	Spool        Area = "spool"        // the store under the queue
	Send         Area = "send"         // Send connectors: connections to next hops
	Routing      Area = "routing"      // accepted domains, address spaces, decisions
	TLS          Area = "tls"          // certificates
	BackPressure Area = "backpressure" // resources that run short
	Pickup       Area = "pickup"       // the Pickup and Replay directories
	DNS          Area = "dns"          // look-ups
)

// Areas lists all areas, in the order in which they are shown.
func Areas() []Area {
	return []Area{Server, Config, Control, Logs, Receive, Queue, Spool, Send, Routing, TLS, BackPressure, Pickup, DNS}
}

// Event is what is known of an event before it happens.
type Event struct {
	ID ID
	// Level is the gravest level at which the event is logged.
	Level slog.Level
	Area  Area
	// Text is the message of its log line; "…" stands for what differs from one
	// time to the next.
	Text string
	// Meaning and Remedy say what has happened and what to do about it.
	Meaning, Remedy string
	// By are the attributes whose values tell the cases of the event apart
	// that are summed up apart; none: all cases are one.
	By []string
	// Burst is how many events of a case are shown at once before those that
	// follow are summed up once in Every; zero means DefaultBurst or
	// DefaultEvery. A negative Burst shows all: what an administrator did is
	// never summed up.
	Burst int
	Every time.Duration
	// Cases bounds the cases that are told apart at a time; those beyond are
	// one. Zero means DefaultCases.
	Cases int
}

// How often an event is shown where its entry says nothing.
const (
	DefaultBurst = 10
	DefaultEvery = 10 * time.Second
	DefaultCases = 100
)

// always shows every event.
const always = -1

// MaxCases returns how many cases are told apart at a time.
func (e Event) MaxCases() int {
	if e.Cases > 0 {
		return e.Cases
	}
	return DefaultCases
}

// Limits returns how many events of a case are shown at once, a negative number
// for all, and how often those beyond are summed up.
func (e Event) Limits() (burst int, every time.Duration) {
	burst, every = e.Burst, e.Every
	if burst == 0 {
		burst = DefaultBurst
	}
	if every == 0 {
		every = DefaultEvery
	}
	return burst, every
}

// All lists every event by number.
func All() []Event {
	list := slices.Concat(exchangeEvents(), serverEvents(), receiveEvents(), queueEvents(), spoolEvents(), sendEvents(), pickupEvents())
	slices.SortFunc(list, func(a, b Event) int { return int(a.ID - b.ID) })
	return list
}
