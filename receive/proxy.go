package receive

import (
	"errors"
	"io"
	"net/netip"
	"strconv"
	"syscall"

	"postern/config"
	"postern/internal/eventid"
	"postern/internal/wire"
)

// proxied is where a connection came through.
type proxied struct {
	by     netip.AddrPort // the proxy
	header wire.ProxyHeader
}

// takesProxy reports whether a connection from remote to local must begin with
// a PROXY header because of this connector.
func takesProxy(c *config.ReceiveConnector, local, remote netip.AddrPort) bool {
	if !c.Enabled || len(c.ProxyProtocolFrom) == 0 {
		return false
	}
	if _, ok := matchRange(c.ProxyProtocolFrom, plainAddr(remote.Addr())); !ok {
		return false
	}
	_, ok := matchBinding(c.Bindings, plain(local))
	return ok
}

// unwrap reads the PROXY header of a connection that comes from a proxy of any
// connector with that binding, and puts the client that it names in the place
// of the proxy. While it waits the connection counts as a session of such a
// connector. It reports false when the connection is to be closed without a
// word: a proxy without a header is none that we know, and what it sent first
// may be meant for another protocol.
func (s *session) unwrap(bound netip.AddrPort) bool {
	var c *connector
	for i := range s.snapshot.connectors {
		if !takesProxy(&s.snapshot.configs[i], bound, s.remote) {
			continue
		}
		c = &s.snapshot.connectors[i]
		if s.countIn(c) {
			break
		}
	}
	if c == nil {
		return true
	}
	if s.counted == nil {
		s.refuseProxy(c, limitConnections, errors.New("as many sessions as the connector may have"))
		return false
	}
	err := s.deadlines.proxyHeader()
	var h wire.ProxyHeader
	if err == nil {
		h, err = wire.ReadProxyHeader(s.conn)
		err = s.deadlines.afterRead(0, err)
	}
	if err != nil {
		limit := limitProxyHeader
		if timeout, ok := errors.AsType[*timeoutError](err); ok {
			limit = timeout.limit
		}
		s.refuseProxy(c, limit, err)
		return false
	}
	s.proxy = &proxied{by: s.remote, header: h}
	if h.Source.IsValid() {
		s.remote = h.Source
	}
	return true
}

// refuseProxy notes why a connection from a proxy is closed. One that the proxy
// closed itself, before its header, was to see whether somebody listens, and is
// no news.
func (s *session) refuseProxy(c *connector, limit string, err error) {
	s.connector = c
	if c.ProtocolLogging != "none" {
		s.log = s.server.log.Session(c.Name, s.id, s.local, s.remote)
	}
	s.log.Connect()
	switch {
	case errors.Is(err, errStopped), errors.Is(err, errAborted):
		s.log.Info("", "the server is stopping")
	case err == io.EOF, errors.Is(err, syscall.ECONNRESET):
		s.log.Disconnect("Remote")
		return
	default:
		s.countLimit(limit)
		s.server.countRefused(c.Name, limit)
		reason := errorText(err)
		s.log.Info(reason, "limit "+limit)
		s.server.proxies.of(kind(limit+" "+reason)).tell(s.server.logger.Warn, "a connection from a proxy is closed", nil, eventid.ProxyRefused.Attr(),
			"reason", reason, "connector", c.Name, "session", s.id, "limit", limit, "local", s.local.String(), "proxy", s.remote.String())
	}
	s.log.Disconnect("Local")
}

// logProxy notes the proxy that the connection came through.
func (s *session) logProxy() {
	if s.proxy == nil || s.log == nil {
		return
	}
	text := s.proxy.by.String() + " for itself"
	if h := s.proxy.header; h.Source.IsValid() {
		text = s.proxy.by.String() + " for " + h.Source.String() + " to " + h.Destination.String()
	}
	s.log.Info(text, "PROXY protocol v"+strconv.Itoa(s.proxy.header.Version))
}

// countIn makes the session one of the connector's and no other's. It reports
// false when the connector has as many as it may; then it is nobody's.
func (s *session) countIn(c *connector) bool {
	if s.counted == c {
		return true
	}
	ok := c.enter()
	s.countOut()
	if ok {
		s.counted = c
	}
	return ok
}

// countOut makes the session nobody's.
func (s *session) countOut() {
	if s.counted != nil {
		s.counted.leave()
		s.counted = nil
	}
}

// name is the connector's, as far as it is known.
func (s *session) name() string {
	if s.connector == nil {
		return ""
	}
	return s.connector.Name
}
