package send

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// dialTCP is the DialFunc of the network.
func dialTCP(ctx context.Context, source netip.Addr, remote netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{KeepAlive: 30 * time.Second}
	if source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
		d.Control = leavePort
	}
	return d.DialContext(ctx, "tcp", remote.String())
}
