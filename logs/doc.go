// Package logs knows the gateway's logs on disk: their format, which is
// Exchange's, their rotation, and how to read one's own lines back. It serves
// the engines of both directions, which write what they say and hear, and the
// commands that show it.
//
// A log never holds mail up. Lines are put together in memory and written by
// one goroutine; when the disk is slow, full or broken, lines that find no room
// are counted and dropped, the trouble is reported once, and writing is tried
// again until it works.
//
// Nothing here knows what a secret is. Who logs an AUTH exchange passes
// Redacted in its place, and the content of DATA and BDAT is not logged at all.
package logs
