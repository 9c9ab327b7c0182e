package send

import (
	"context"
	"net/netip"
	"strings"

	"postern/internal/tcp"
	"postern/internal/wire"
	ptls "postern/tls"
)

// open connects to a host and brings the session to where MAIL can be said:
// banner, EHLO, STARTTLS, AUTH. With clear TLS is not tried. The connection is
// returned with a failure too once there is one, for its facts; it is then
// closed unless the failure says that it is intact.
func (r *run) open(ctx context.Context, k key, clear bool) (*conn, *failure) {
	c, f := r.dial(ctx, k)
	if f != nil {
		return c, f
	}
	r.span.watch(c.raw)
	defer r.span.leave(c.raw)
	f = c.establish(ctx, clear)
	if f != nil {
		c.why = whyEnded(f)
	}
	if f != nil && !f.canceled {
		r.s.counts.failed(r.connector.Name, f.phase)
	}
	if f != nil && !f.intact {
		c.close(closedBy(f))
	}
	return c, f
}

// dial makes the TCP connection. After a failure there is nothing to close.
func (r *run) dial(ctx context.Context, k key) (*conn, *failure) {
	c := &conn{s: r.s, key: k, connector: r.connector, generation: r.generation, session: r.s.o.SessionIDs.Next(),
		logsOn: authenticates(r.connector) && r.ownHosts()}
	if strings.EqualFold(r.connector.ProtocolLogging, "verbose") {
		local := netip.AddrPort{}
		if k.endpoint.source.IsValid() {
			local = netip.AddrPortFrom(k.endpoint.source, 0)
		}
		c.log = r.s.o.Log.Session(r.connector.Name, c.session, local, k.endpoint.addr)
	}
	c.link = r.link(c.session)
	c.log.Info("", "attempting to connect")
	patience := r.s.timeouts.Connect
	if r.hurry {
		patience = min(patience, r.s.timeouts.OtherFamily)
	}
	dialing, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	raw, err := r.s.o.Dial(dialing, k.endpoint.source, k.endpoint.addr)
	if err != nil {
		f := lost(ctx, phaseConnect, err)
		if !f.canceled {
			r.s.counts.failed(r.connector.Name, f.phase)
		}
		f.late = r.hurry && dialing.Err() != nil && !f.canceled
		c.log.Info(f.reply.String(), "failed to connect")
		return c, f
	}
	c.counted = r.s.counts.of(r.connector.Name)
	c.counted.opened.Inc()
	c.counted.open.Add(1)
	c.raw = newLine(tcp.New(raw))
	c.nc, c.r = c.raw, wire.NewReader(c.raw, wire.DefaultBuffer)
	if a, err := netip.ParseAddrPort(raw.LocalAddr().String()); err == nil {
		c.local = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	c.log.SetEndpoints(c.local, k.endpoint.addr)
	c.log.Connect()
	c.link.established(k.endpoint)
	return c, nil
}

func closedBy(f *failure) string {
	if f.reply.Enhanced == codeDropped && !f.said {
		return "Remote"
	}
	return "Local"
}

func (c *conn) establish(ctx context.Context, clear bool) *failure {
	policy := c.key.policy
	if policy.Implicit() {
		if f := c.handshake(ctx); f != nil {
			return f
		}
	}
	if f := c.greet(ctx); f != nil {
		return f
	}
	if f := c.hello(ctx); f != nil {
		return f
	}
	switch {
	case c.tls != "" || !policy.Uses():
	case clear:
		c.log.Info("TLS failed on the connection before", "going on in clear")
	case c.ext.StartTLS:
		if f := c.startTLS(ctx); f != nil {
			return f
		}
	case policy.Required():
		c.peer = new(ptls.Session)
		return &failure{phase: phaseSTARTTLS, intact: true,
			reply: ours(451, codeNoTLS, "TLS is required, but the host does not offer STARTTLS%s", because(policy))}
	}
	return c.authenticate(ctx)
}
