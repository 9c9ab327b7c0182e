//go:build !linux

package receive

import "net"

// awaitSocketHangup can't be had here.
func awaitSocketHangup(net.Conn) (error, bool) { return nil, false }
