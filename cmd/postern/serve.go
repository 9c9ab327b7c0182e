package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"postern/config"
	"postern/internal/control"
	"postern/internal/eventid"
	"postern/internal/metrics"
	"postern/internal/server"
	"postern/logs/event"
	"postern/receive"
)

func (a *app) serve() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the gateway",
		Long: `Serve runs the gateway until SIGTERM or SIGINT, which let sessions and
deliveries in hand finish, for server.shutdown_timeout at most; what is queued
stays in the spool for the next start. A second signal ends it at once.
SIGHUP makes it read its file again, as "postern reload" does.

Without a file it runs the embedded default: it listens on 127.0.0.1:2525, takes
mail from this host alone, delivers by MX, and keeps everything under
./postern-data.`,
		Example: `  postern serve
  postern serve --config /etc/postern/postern.toml`,
		Args: a.noArguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, findings, err := a.load()
			if err != nil {
				return err
			}
			if config.HasErrors(findings) {
				a.report(cfg, findings, config.Error)
				return errReported
			}
			return a.runGateway(cmd.Context(), cfg, findings)
		},
	}
}

func (a *app) runGateway(ctx context.Context, cfg *config.Config, findings []config.Finding) error {
	ctx, stopNotify := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stopNotify()
	// Nobody may be left to read standard error: that must not end the gateway.
	signal.Ignore(syscall.SIGPIPE)
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)

	heap := reserveHeap()
	defer runtime.KeepAlive(heap)
	registry := new(metrics.Registry)
	events := a.openEvents(cfg, registry)
	defer a.closeEvents(events)
	logger := events.Logger(eventid.Server)
	for _, f := range config.Urgent(findings) {
		events.Logger(eventid.Config).Warn("the configuration deserves a look", eventid.ConfigurationFinding.Attr(), "finding", f.Format(cfg.Position(f.Path)))
	}
	path, version := a.absolutePath(), readVersion()
	g, err := server.Build(server.Options{
		Config: cfg, File: path, Logger: logger, Events: events, Metrics: registry, Version: version.Version, Revision: version.Revision,
		Load: func() (*config.Config, []config.Finding, error) { return load(path) },
	})
	if err != nil {
		return err
	}
	// The gateway's own life does not end with the signal, but with Stop.
	if err := g.Start(context.WithoutCancel(ctx)); err != nil {
		return errors.Join(err, stop(g, logger))
	}
	admin := openControl(cfg, g, events)
	started(cfg, g, logger)
	manager := newSystemd(os.Getenv)
	manager.ready(logger)
	defer manager.keepWatch(g)()
	for {
		select {
		case <-hup:
			_, _, _, _ = g.Reload(ctx, "SIGHUP") // it tells the event log how it went
		case <-ctx.Done():
			stopNotify() // a second signal ends the program at once
			logger.Info("stopping; sessions and deliveries in hand may finish", eventid.Stopping.Attr(), "at_most", g.ShutdownTimeout())
			_ = manager.tell("STOPPING=1")
			admin.close(events.Logger(eventid.Control))
			return stop(g, logger)
		}
	}
}

// openEvents opens the event log, whose files are below the data directory:
// that is made here, so that nobody else can read what is in it.
func (a *app) openEvents(cfg *config.Config, registry *metrics.Registry) *event.Log {
	_ = os.MkdirAll(cfg.Server.DataDir, 0o700) // server.Build says why not
	return event.Open(event.Options{
		Config: cfg.Logs.Event, Stderr: a.err, JournalStream: os.Getenv("JOURNAL_STREAM"), Host: cfg.Server.FQDN, Metrics: registry,
	})
}

// closeTimeout bounds the wait for the last events.
const closeTimeout = 5 * time.Second

func (a *app) closeEvents(events *event.Log) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := events.Close(ctx); err != nil {
		fmt.Fprintf(a.err, "postern: %v\n", err)
	}
}

func started(cfg *config.Config, g *server.Server, logger *slog.Logger) {
	if !slices.ContainsFunc(g.Bindings(), func(b receive.Binding) bool { return b.Addr != nil }) {
		logger.Error("no binding could be opened: the gateway takes no mail until one can; it delivers what is queued", eventid.NoBinding.Attr())
	}
	data, err := filepath.Abs(cfg.Server.DataDir)
	if err != nil {
		data = cfg.Server.DataDir
	}
	logger.Info("gateway is running", eventid.Started.Attr(), "version", readVersion().Version, "fqdn", cfg.Server.FQDN, "data_dir", data, "pid", os.Getpid())
}

func stop(g *server.Server, logger *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), g.ShutdownTimeout())
	defer cancel()
	if err := g.Stop(ctx); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	logger.Info("stopped", eventid.Stopped.Attr())
	return nil
}

// administration is the control socket while the gateway runs.
type administration struct {
	server   *control.Server
	listener net.Listener
	done     chan error
}

// openControl opens the control socket. Without it mail flows all the same, so
// a failure is reported and no more.
func openControl(cfg *config.Config, g *server.Server, events *event.Log) *administration {
	logger := events.Logger(eventid.Control)
	l, err := control.Listen(cfg.Control.Socket)
	if err != nil {
		logger.Error("the gateway runs without its control socket; SIGHUP reloads it all the same", eventid.ControlUnavailable.Attr(), "error", err)
		return nil
	}
	a := &administration{
		server:   control.NewServer(control.Options{Gateway: g, Queues: g.Queue(), Events: events, Version: control.Version(readVersion()), Logger: logger}),
		listener: l, done: make(chan error, 1),
	}
	go func() { a.done <- a.server.Serve(l) }()
	return a
}

// close ends the control socket within a second; a nil administration has
// none.
func (a *administration) close(logger *slog.Logger) {
	if a == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := errors.Join(a.server.Close(ctx), <-a.done); err != nil {
		logger.Warn("the control socket did not end in an orderly way", eventid.ControlNotClosed.Attr(), "error", err)
	}
}
