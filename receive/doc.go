// Package receive knows Receive connectors: where the gateway listens, which
// connector takes a connection, what a session may do there, and the server
// side of SMTP (RFC 5321). It serves the composition root, which hands it a
// queue, the accepted domains, certificates and a log; it knows neither where
// messages go nor how they are stored.
//
// A Server holds listeners and sessions. A session is one goroutine that reads
// commands through one wire.Reader and answers through one function,
// (*session).reply, which logs, counts and batches. Whatever stops a session
// from outside, a deadline or the end of the server, stops its reads, and a
// session that failed to read never reads again: what is left of a message can
// not become a command.
//
// Each concern has its file: rights.go what a session may do, select.go which
// connector takes it, limits.go how much of it, deadline.go how long, trace.go
// what is put on top of a message, and one file for each group of commands.
package receive
