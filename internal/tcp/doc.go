// Package tcp reads and writes TCP connections at less cost than net does, for
// receive and send, whose sessions do little else.
package tcp
