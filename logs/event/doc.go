// Package event writes the event log: what happens to the gateway itself. It is
// the handler behind every *slog.Logger of the gateway.
//
// An event passes three gates. Its level is held against that of its area,
// which costs one atomic load when nobody wants it. Then repetitions are summed
// up: package internal/eventid says for each number how many are shown at once.
// What is left goes to every sink: standard error as text or JSON, or journald;
// a syslog server; files. Each sink has a goroutine and a bounded queue of its
// own, so that a sink that hangs holds neither the gateway nor the other sinks
// up; what it loses is counted and told.
//
// What peers said is escaped on every sink. Nothing here knows what a secret
// is: who logs must not hand one over.
package event
