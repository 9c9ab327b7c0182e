// Package exporter answers GET /metrics over TCP, for monitoring systems that
// can't reach the control socket. It knows HTTP and nothing of what the figures
// are; it serves internal/server, which has them.
package exporter

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"postern/internal/eventid"
	"postern/internal/metrics"
)

// Path is the only one that is answered.
const Path = "/metrics"

// The bounds of what strangers may cost. A monitoring system asks a few times a
// minute.
const (
	maxConnections = 16
	maxHeader      = 8 << 10 // octets
	readTimeout    = 5 * time.Second
	writeTimeout   = 20 * time.Second
	idleTimeout    = 2 * time.Minute
	retryInterval  = 30 * time.Second
	closeTimeout   = time.Second
)

// Options are what an Exporter is made of. Families is needed.
type Options struct {
	// Families gathers the figures. It is called by one request at a time.
	Families func() []metrics.Family
	// Logger takes what an administrator should know; nil discards it.
	Logger *slog.Logger
	// Listen opens the listener; nil means TCP.
	Listen func(network, address string) (net.Listener, error)
}

// Exporter listens where it is told to. All methods may be called concurrently.
type Exporter struct {
	o         Options
	gathering sync.Mutex
	answer    http.Handler

	mu      sync.Mutex
	closed  bool
	address netip.AddrPort // the wanted one
	open    *listening     // nil: none
	failed  error          // why not
	retry   context.CancelFunc
	work    sync.WaitGroup
}

// listening is an open listener with its server.
type listening struct {
	address netip.AddrPort // as configured
	local   net.Addr
	server  *http.Server
	done    chan struct{}
}

// New returns an Exporter that listens nowhere until Configure.
func New(o Options) *Exporter {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Listen == nil {
		o.Listen = net.Listen
	}
	e := &Exporter{o: o, retry: func() {}}
	e.answer = http.HandlerFunc(e.serve)
	return e
}

// Configure listens at an address, and no more at the one before; the zero value
// is none. What can't be opened is logged and tried again every 30 seconds.
func (e *Exporter) Configure(address netip.AddrPort) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || address == e.address {
		return
	}
	e.retry()
	e.address, e.failed, e.retry = address, nil, func() {}
	e.shut()
	if !address.IsValid() {
		return
	}
	if e.failed = e.listen(); e.failed == nil {
		return
	}
	e.o.Logger.Error("the figures for monitoring can't be offered; it is tried again every 30 seconds", eventid.MetricsFailed.Attr(), "address", address.String(), "error", e.failed)
	ctx, cancel := context.WithCancel(context.Background())
	e.retry = cancel
	e.work.Go(func() { e.insist(ctx, address) })
}

// insist tries again to listen until it works or ctx ends.
func (e *Exporter) insist(ctx context.Context, address netip.AddrPort) {
	ticker := time.NewTicker(retryInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		e.mu.Lock()
		if ctx.Err() != nil {
			e.mu.Unlock()
			return
		}
		e.failed = e.listen()
		done := e.failed == nil
		e.mu.Unlock()
		if done {
			e.o.Logger.Info("the figures for monitoring are offered now", eventid.MetricsOpen.Attr(), "address", address.String())
			return
		}
	}
}

// listen opens the wanted address. Called with mu held.
func (e *Exporter) listen() error {
	l, err := e.o.Listen("tcp", e.address.String())
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: e.answer, ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(e.o.Logger.Handler(), slog.LevelDebug),
		DisableGeneralOptionsHandler: true,
	}
	open := &listening{address: e.address, local: l.Addr(), server: server, done: make(chan struct{})}
	e.open = open
	e.work.Go(func() {
		defer close(open.done)
		if err := server.Serve(netutil.LimitListener(l, maxConnections)); !errors.Is(err, http.ErrServerClosed) {
			e.o.Logger.Error("the figures for monitoring are offered no more", eventid.MetricsLost.Attr(), "address", open.address.String(), "error", err)
		}
	})
	return nil
}

// shut closes what is open, within a second. Called with mu held.
func (e *Exporter) shut() {
	if e.open == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if e.open.server.Shutdown(ctx) != nil {
		_ = e.open.server.Close()
	}
	<-e.open.done
	e.open = nil
}

// Addr is where it listens; nil when it does not. The error says why not, where
// it should.
func (e *Exporter) Addr() (net.Addr, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.open == nil {
		return nil, e.failed
	}
	return e.open.local, nil
}

// Close ends it within a second or so, and returns when no goroutine of its own
// is left.
func (e *Exporter) Close() {
	e.mu.Lock()
	e.closed = true
	e.retry()
	e.shut()
	e.mu.Unlock()
	e.work.Wait()
}

// serve answers one request.
func (e *Exporter) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch {
	case r.URL.Path != Path:
		say(w, http.StatusNotFound, "only "+Path+" is here")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		say(w, http.StatusMethodNotAllowed, Path+" is only read")
	default:
		e.gathering.Lock()
		families := e.o.Families()
		e.gathering.Unlock()
		w.Header().Set("Content-Type", metrics.ContentType)
		_ = metrics.Write(w, families) // nobody is left to tell
	}
}

// say answers with one line of text.
func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") // nobody is left to tell
}
