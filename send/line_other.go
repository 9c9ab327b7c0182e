//go:build !unix

package send

import "net"

// readableSocket can't be had here.
func readableSocket(net.Conn) func() bool { return nil }
