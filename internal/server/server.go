package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"postern/backpressure"
	"postern/config"
	"postern/internal/eventid"
	"postern/internal/exporter"
	"postern/internal/metrics"
	"postern/logs"
	"postern/logs/event"
	"postern/pickup"
	"postern/queue"
	"postern/queue/spool"
	"postern/receive"
	"postern/receive/logon"
	"postern/routing"
	"postern/send"
	ptls "postern/tls"
)

// Options are what a Server is built from. Config is needed; the rest has
// working zero values.
type Options struct {
	Config *config.Config
	// File is the configuration file's name; empty for one that is built in.
	File string
	// Load reads the configuration again for Reload. The configuration is nil
	// when it has errors.
	Load   func() (*config.Config, []config.Finding, error)
	Logger *slog.Logger
	// Events is the event log behind Logger, to be given other settings at a
	// reload; nil when it is none of ours. Metrics is the registry to count in;
	// nil makes one.
	Events  *event.Log
	Metrics *metrics.Registry
	// Line sees every line of the protocol logs as it is logged. It must not
	// block.
	Line func(kind logs.Kind, line logs.Line)
	// OnEvent hears what becomes of messages; see queue.Options.
	OnEvent func(queue.Event)
	// Version and Revision are the program's, for those who watch it.
	Version, Revision string
	// Meters take the place of those that measure the gateway's resources.
	Meters map[backpressure.Name]backpressure.Meter
}

// logTimeout bounds the wait for the last lines of the logs.
const logTimeout = 5 * time.Second

// Server is one gateway. Its methods may be called concurrently, but for
// Start and Stop, which are called once each.
type Server struct {
	options  Options
	logger   *slog.Logger
	metrics  *metrics.Registry
	certs    *ptls.Presenter
	material *ptls.Material // the files of certificates and authorities
	store    *spool.Store
	journals journals
	routed   []byte // the latest snapshot of the routing configuration
	tracker  *tracker
	sessions logs.SessionIDs // names the sessions of both directions
	names    names
	sender   *send.Sender
	queue    *queue.Queue
	receive  *receive.Server
	pickup   *pickup.Pickup
	pressure *backpressure.Monitor
	outflow  outflow
	exporter *exporter.Exporter
	accounts *logon.Store     // those of the configuration in force
	intake   receive.Snapshot // what Start gives to receive
	lists    lists
	read     marks // how the files of entries looked when they were read
	started  time.Time

	queueLogger *slog.Logger // for what is logged of every message

	table  atomic.Pointer[routing.Table] // the routes in force
	mu     sync.Mutex                    // one reload at a time
	config *config.Config

	refused atomic.Pointer[refusedReload] // the latest reload was
}

// Build makes the parts of a gateway and reads its spool. Nothing listens and
// nothing is sent before Start. An error says what to do about it; everything
// that was opened is closed again.
func Build(o Options) (s *Server, err error) {
	s = &Server{options: o, logger: o.Logger, metrics: o.Metrics, config: o.Config, started: time.Now()}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.metrics == nil {
		s.metrics = new(metrics.Registry)
	}
	s.queueLogger = s.log(eventid.Queue)
	s.outflow.registry = s.metrics
	s.exporter = exporter.New(exporter.Options{Families: s.Metrics, Logger: s.log(eventid.Logs)})
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(context.Background()))
		}
	}()
	if err := s.readLists(); err != nil {
		return s, err
	}
	if err := os.MkdirAll(o.Config.Server.DataDir, 0o700); err != nil {
		return s, fmt.Errorf("data directory: %w; make it writable for the gateway's user or set server.data_dir", err)
	}
	for _, open := range []func() error{s.openSpool, s.openCertificates, s.openLogs, s.buildDelivery} {
		if err := open(); err != nil {
			return s, err
		}
	}
	s.buildPressure()
	s.receive = receive.New(receive.Options{
		Queue: s.queue, Pressure: s.pressure, Log: s.journals.received, Agents: s.journals.agent, SessionIDs: &s.sessions, Metrics: s.metrics, Logger: s.log(eventid.Receive),
		TLS: s.certs.ServerConfig,
	})
	if s.intake, err = s.receiveSnapshot(s.config, s.table.Load()); err != nil {
		return s, err
	}
	return s, s.buildPickup()
}

// log is the logger of an area.
func (s *Server) log(area eventid.Area) *slog.Logger {
	return s.logger.With(eventid.AreaKey, string(area))
}

func (s *Server) openSpool() error {
	var err error
	s.store, err = spool.Open(s.config.Queue.Directory, spool.Options{SyncTimes: s.metrics.Histogram("spool_sync_seconds", syncBounds()), Logger: s.log(eventid.Spool), Ask: pickup.InHand(s.config.Pickup)})
	if err != nil {
		return err
	}
	r := s.store.Recovery()
	s.log(eventid.Spool).Info("spool is open", eventid.SpoolOpen.Attr(), "directory", s.config.Queue.Directory, "messages", r.Messages, "octets", r.Bytes, "took", r.Took)
	for _, d := range r.Damage {
		s.log(eventid.Spool).Error("part of the spool is damaged", eventid.SpoolDamaged.Attr(), "damage", d.String())
	}
	return nil
}

func (s *Server) openCertificates() error {
	s.material = ptls.NewMaterial(ptls.MaterialOptions{Directory: ptls.StoreDirectory(s.config), Logger: s.log(eventid.TLS)})
	var err error
	s.certs, err = ptls.OpenPresenter(ptls.PresenterOptions{Config: s.config, Material: s.material, Metrics: s.metrics, Logger: s.log(eventid.TLS)})
	return err
}

// Start begins to deliver what the spool holds, then opens the listeners. A
// binding that can't be opened is reported and tried again; see Bindings.
func (s *Server) Start(ctx context.Context) error {
	for _, f := range slices.Concat(send.CheckSources(s.config), send.CheckKeys(s.config), ptls.CheckFiles(s.config)) {
		s.log(eventid.Config).Warn("the configuration deserves a look", eventid.ConfigurationFinding.Attr(), "finding", f.Format(f.In(s.config)))
	}
	s.logRoutes("start", nil)
	if err := s.queue.Start(ctx); err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	s.pressure.Start()
	s.receive.Configure(s.intake)
	s.pickup.Start()
	s.certs.Start()
	s.lists.start(s.read)
	s.exporter.Configure(s.config.Metrics.Address)
	return nil
}

// Bindings tells which bindings are open, and why the others are not.
func (s *Server) Bindings() []receive.Binding { return s.receive.Bindings() }

// File is the configuration file's name; empty for one that is built in.
func (s *Server) File() string { return s.options.File }

// Stop ends the gateway: listeners close, idle sessions get 421, sessions in
// the midst of a message and deliveries in flight may finish until ctx ends.
// Then they are cut off, which is no error but reported to the logger: the
// clients keep their messages, and the spool those whose delivery was cut. What
// is queued stays in the spool.
func (s *Server) Stop(ctx context.Context) error { return s.close(ctx) }

// close ends the parts in the order in which mail flows, so that none meets
// another that is gone.
func (s *Server) close(ctx context.Context) error {
	var errs []error
	add := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
	}
	cut := func(what string, err error) {
		if err != nil && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
			add(what, err)
		} else if err != nil {
			s.log(eventid.Server).Warn("cut off at the stop, since shutdown_timeout was over", eventid.CutOff.Attr(), "what", what)
		}
	}
	s.exporter.Close()
	s.lists.stop()
	if s.certs != nil {
		cut("a look at the certificates", s.certs.Stop(ctx))
	}
	if s.receive != nil {
		// A client that takes all the time there is to finish its message must
		// not take that of the deliveries.
		ctx, cancel := share(ctx)
		cut("sessions in the midst of a message; their clients will try again", s.receive.Shutdown(ctx))
		cancel()
	}
	if s.pickup != nil {
		s.pickup.Stop()
	}
	if s.pressure != nil {
		cut("the measurement of a resource", s.pressure.Stop(ctx))
	}
	if s.queue != nil {
		cut("deliveries; they are tried again at the next start", s.queue.Stop(ctx))
	}
	if s.sender != nil {
		cut("connections to next hops", s.sender.Close(ctx))
	}
	// Where no time is left, what was cut off has just been logged: that is
	// worth a moment more.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logTimeout)
	defer cancel()
	add("logs", s.journals.close(ctx))
	if s.store != nil {
		add("spool", s.store.Close())
	}
	return errors.Join(errs...)
}

// share is a context with three quarters of the time that is left in ctx.
func share(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, time.Until(end)*3/4)
}
