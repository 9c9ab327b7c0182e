// Package logs knows the gateway's logs on disk: their formats, which are
// Exchange's and JSON, their columns, their rotation, and how to read lines
// back. It serves the engines of both directions, which write what they say and
// hear (Protocol), how next hops are reached (ConnectivityLine) and what is
// refused (AgentLine), internal/server, which tracks messages (Tracking) and
// keeps the routing table (Snapshots), and the commands that show all of it.
//
// A log never holds mail up. Lines are put together in memory and written by
// one goroutine; when the disk is slow, full or broken, lines that find no room
// are counted and dropped, the trouble is reported once, and writing is tried
// again until it works.
//
// Nothing here knows what a secret is. Who logs an AUTH exchange passes
// Redacted in its place, and the content of DATA and BDAT is not logged at all.
package logs
