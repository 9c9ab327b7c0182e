// Package control is the local administration interface: HTTP with JSON over a
// Unix socket, one file per noun. It knows how to open the socket safely, who
// is on the other end, and what may be asked; what is asked is done by the
// Gateway that it is given. It serves the commands that speak to a running
// gateway.
package control
