package receive

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"postern/config"
	"postern/internal/eventid"
)

// rebindInterval is how long to wait before a binding that failed is tried
// again, and acceptPause how long after an Accept that failed, for want of
// file descriptors say.
const (
	rebindInterval = 30 * time.Second
	acceptPause    = 100 * time.Millisecond
)

// socket is one listening socket: its network and address, and whether it
// stands for both families.
type socket struct {
	network string // tcp4, tcp6, or tcp for the any-address of both
	address netip.AddrPort
}

func (k socket) String() string { return k.address.String() }

// listenAddress is what a listen function takes. Without a host, tcp falls back
// to IPv4 on a system that has no IPv6.
func (k socket) listenAddress() string {
	if k.network == "tcp" {
		return ":" + strconv.Itoa(int(k.address.Port()))
	}
	return k.address.String()
}

// socketsOf returns the sockets that the bindings of the enabled connectors
// need: one for each address, but where the any-address of a port is bound it
// serves the specific addresses of its family too, since a connection knows its
// local address, and both families share one.
func socketsOf(connectors []config.ReceiveConnector) []socket {
	var bindings []netip.AddrPort
	for i := range connectors {
		if !connectors[i].Enabled {
			continue
		}
		for _, b := range connectors[i].Bindings {
			bindings = append(bindings, netip.AddrPortFrom(b.Addr().Unmap(), b.Port()))
		}
	}
	var out []socket
	for _, b := range bindings {
		any4 := slices.Contains(bindings, netip.AddrPortFrom(netip.IPv4Unspecified(), b.Port()))
		any6 := slices.Contains(bindings, netip.AddrPortFrom(netip.IPv6Unspecified(), b.Port()))
		k := socket{network: "tcp6", address: b}
		if b.Addr().Is4() {
			k.network = "tcp4"
		}
		switch {
		case any4 && any6:
			k = socket{network: "tcp", address: netip.AddrPortFrom(netip.IPv6Unspecified(), b.Port())}
		case any4 && b.Addr().Is4():
			k.address = netip.AddrPortFrom(netip.IPv4Unspecified(), b.Port())
		case any6 && !b.Addr().Is4():
			k.address = netip.AddrPortFrom(netip.IPv6Unspecified(), b.Port())
		}
		if !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// listener keeps one socket open until it is closed.
type listener struct {
	socket
	cancel context.CancelFunc
	tried  chan struct{} // closed when the first attempt to listen is over
	first  sync.Once     // closes tried
	done   chan struct{} // closed when nothing is left of it

	// Guarded by Server.mu.
	addr net.Addr
	err  error
}

// Binding is the state of one listening socket.
type Binding struct {
	// Address is the socket's as configured; with Both it stands for the
	// any-address of both families.
	Address netip.AddrPort
	Both    bool
	// Addr is where it listens, nil while it does not.
	Addr net.Addr
	// Err is why it does not listen.
	Err error
}

// Bindings returns the state of all sockets that Configure asked for.
func (s *Server) Bindings() []Binding {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Binding, 0, len(s.listeners))
	for _, l := range s.listeners {
		out = append(out, Binding{Address: l.address, Both: l.network == "tcp", Addr: l.addr, Err: l.err})
	}
	slices.SortFunc(out, func(a, b Binding) int { return a.Address.Compare(b.Address) })
	return out
}

// bind makes the sockets that are open those that the connectors need. It
// returns when each new one listens or has failed for the first time. Those
// that fail are tried again until they are not wanted any more.
func (s *Server) bind(connectors []config.ReceiveConnector) {
	want := socketsOf(connectors)
	// What goes is closed first: a new socket may need its address.
	s.mu.Lock()
	var gone []*listener
	for k, l := range s.listeners {
		if !slices.Contains(want, k) {
			l.cancel()
			delete(s.listeners, k)
			gone = append(gone, l)
		}
	}
	s.mu.Unlock()
	for _, l := range gone {
		<-l.done
	}

	var fresh []*listener
	s.mu.Lock()
	for _, k := range want {
		if s.listeners[k] != nil || s.stopping {
			continue
		}
		ctx, cancel := context.WithCancel(s.ctx)
		l := &listener{socket: k, cancel: cancel, tried: make(chan struct{}), done: make(chan struct{})}
		s.listeners[k] = l
		fresh = append(fresh, l)
		s.work.Add(1)
		go func() {
			defer s.work.Done()
			defer close(l.done)
			s.keep(ctx, l)
		}()
	}
	s.mu.Unlock()
	for _, l := range fresh {
		<-l.tried
	}
}

// keep listens, and listens again when that fails, until the context ends.
func (s *Server) keep(ctx context.Context, l *listener) {
	over := func() { l.first.Do(func() { close(l.tried) }) }
	defer over()
	defer l.cancel()
	for ctx.Err() == nil {
		nl, err := s.listen(ctx, l.network, l.listenAddress())
		known := s.note(l, nl, err)
		over()
		if err == nil {
			s.logger.Info("listening", eventid.Listening.Attr(), "binding", l.String(), "address", nl.Addr().String())
			err = s.accept(ctx, nl, l.address.Port())
			if ctx.Err() != nil {
				return
			}
			s.note(l, nil, err)
			s.logger.Error("stopped listening; trying again", eventid.ListenLost.Attr(), "binding", l.String(), "error", err, "again_in", rebindInterval)
		} else if !known && ctx.Err() == nil {
			s.logger.Error("can't listen; the other bindings go on", eventid.ListenFailed.Attr(), "binding", l.String(), "error", err, "again_in", rebindInterval)
		}
		select {
		case <-ctx.Done():
		case <-time.After(rebindInterval):
		}
	}
}

// note keeps the state of a socket for Bindings, and reports whether the same
// error was there before.
func (s *Server) note(l *listener, nl net.Listener, err error) (known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known = err != nil && l.err != nil && l.err.Error() == err.Error()
	l.addr, l.err = nil, err
	if nl != nil {
		l.addr = nl.Addr()
	}
	return known
}

// accept takes connections until the context ends, which returns nil, or the
// listener is of no more use. It closes the listener. A port of 0 in the
// configuration stands for whatever port the listener got.
func (s *Server) accept(ctx context.Context, nl net.Listener, port uint16) error {
	stop := context.AfterFunc(ctx, func() { nl.Close() })
	defer func() {
		stop()
		nl.Close()
	}()
	for {
		conn, err := nl.Accept()
		if err == nil {
			s.spawn(arrival{conn, port})
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		var temporary interface{ Temporary() bool }
		if errors.Is(err, net.ErrClosed) || !errors.As(err, &temporary) || !temporary.Temporary() {
			return err
		}
		s.logger.Warn("can't accept a connection; pausing", eventid.AcceptFailed.Attr(), "listener", nl.Addr().String(), "error", err, "pause", acceptPause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(acceptPause):
		}
	}
}
