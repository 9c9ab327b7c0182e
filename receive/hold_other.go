//go:build !linux

package receive

import "net"

// awaitSocket can't be had here.
func awaitSocket(net.Conn, bool) (error, bool) { return nil, false }
