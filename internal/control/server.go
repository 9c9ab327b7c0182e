package control

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"postern/backpressure"
	"postern/config"
	"postern/internal/eventid"
	"postern/internal/message"
	"postern/internal/metrics"
	"postern/queue/spool"
	"postern/receive"
	"postern/routing"
	ptls "postern/tls"
)

// Gateway is what can be asked of the running gateway.
type Gateway interface {
	// Reload reads the configuration file again and puts it in force. When the
	// file has errors the running configuration stays; the findings say why. The
	// event log tells by whose order, such as "uid 0".
	Reload(ctx context.Context, by string) ([]config.Change, []config.Finding, *config.Config, error)
	// File is the configuration file's name; empty for one that is built in.
	File() string
	// FQDN is the gateway's name, Started when it began to run.
	FQDN() string
	Started() time.Time
	// Bindings tells which bindings are open, and why the others are not.
	Bindings() []receive.Binding
	// SpoolStats are the figures of the store.
	SpoolStats() spool.Stats
	// Metrics are all figures, for monitoring systems.
	Metrics() []metrics.Family
	// LinesDropped counts the lines that the logs on disk had no room for.
	LinesDropped() int64
	// ReloadRefused is why the latest reload was refused, and when.
	ReloadRefused() (time.Time, error)
	// Pressure says how short resources are, and what is refused for that.
	Pressure() backpressure.Status
	// Certificates are those that peers are shown, the first to expire first.
	Certificates() []ptls.Shown
	// Route chooses the next hop of a recipient as the queue would now.
	Route(routing.Query) routing.Decision
	// Import takes a message with the envelope and the content that it is
	// given, and returns its queue id. Of the envelope it fills in what it
	// learns from the content. Content of more than limit octets, and content
	// that could not be sent on, is refused with a *wire.Reply; a limit of zero
	// is none.
	Import(ctx context.Context, e *message.Envelope, content io.Reader, limit int64) (message.ID, error)
	// MaxMessageSize is the largest message that an import takes when its
	// caller doesn't lift the limit, in octets.
	MaxMessageSize() int64
}

// Options are what a Server is made of.
type Options struct {
	Gateway Gateway
	Queues  Queues
	// Events is the event log; nil when there is none whose levels could be
	// changed.
	Events Events
	// Version is the program's, for "postern status".
	Version Version
	// Logger is told who asked for what; nil discards it.
	Logger *slog.Logger
}

// Server answers on the control socket.
type Server struct {
	http   *http.Server
	logger *slog.Logger
	trends trends
}

// NewServer returns a server for a gateway.
func NewServer(o Options) *Server {
	s := &Server{logger: o.Logger}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	s.trends.now = o.count
	mux := http.NewServeMux()
	mux.Handle("POST /v1/configuration/reload", reloadHandler{o.Gateway})
	mux.HandleFunc("GET /v1/status", bounded(statusHandler{o, &s.trends}.status))
	f := metricsHandler{o.Gateway}
	mux.HandleFunc("GET /metrics", f.text)
	mux.HandleFunc("GET /v1/metrics", bounded(f.list))
	l := logLevelHandler{o.Events, s.logger}
	mux.HandleFunc("GET /v1/log-levels", bounded(l.list))
	mux.HandleFunc("POST /v1/log-levels", bounded(l.order))
	q := queueHandler{o.Queues, s.logger}
	mux.HandleFunc("GET /v1/queues", bounded(q.list))
	mux.HandleFunc("GET /v1/queues/ages", bounded(q.ages))
	mux.HandleFunc("POST /v1/queues/{verb}", bounded(q.order))
	m := messageHandler{queues: o.Queues, gateway: o.Gateway, logger: s.logger}
	mux.HandleFunc("GET /v1/messages", bounded(m.list))
	mux.HandleFunc("GET /v1/messages/{id}", bounded(m.show))
	mux.HandleFunc("GET /v1/messages/{id}/content", m.content)
	mux.HandleFunc("POST /v1/messages/{verb}", bounded(m.order))
	mux.HandleFunc("POST /v1/messages", m.importMessage)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "nothing answers to "+r.Method+" "+r.URL.Path+"; docs/queue.md has what does")
	})
	s.http = &http.Server{
		Handler:           s.admit(mux),
		ConnContext:       withPeer,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       requestTime + transferIdle,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.logger.With(eventid.ControlTrouble.Attr()).Handler(), slog.LevelWarn),
	}
	return s
}

// Serve answers until Close. It closes the listener, which removes the socket.
func (s *Server) Serve(l net.Listener) error {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { s.trends.run(ctx) })
	defer work.Wait()
	defer cancel()
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close waits for the requests in hand until ctx ends, then cuts them.
func (s *Server) Close(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil {
		return s.http.Close()
	}
	return nil
}

// admit turns away whoever is neither the gateway's user nor root, and notes
// the others in the event log: those who change something, and at the level of
// debugging those who look, as a screen does every two seconds.
func (s *Server) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := r.Context().Value(peerKey{}).(peer)
		if !ok || !p.allowed() {
			s.logger.Warn("control socket: caller turned away", eventid.CallerRefused.Attr(), "uid", p.UID, "pid", p.PID, "request", r.Method+" "+r.URL.Path)
			fail(w, http.StatusForbidden, "only root and the user the gateway runs as may use its control socket")
			return
		}
		level := slog.LevelInfo
		if r.Method == http.MethodGet {
			level = slog.LevelDebug
		}
		s.logger.Log(r.Context(), level, "control socket", eventid.ControlRequest.Attr(), "uid", p.UID, "pid", p.PID, "request", r.Method+" "+r.URL.Path)
		next.ServeHTTP(w, r)
	})
}

// caller names who is at the other end, for the events of what was ordered.
func caller(r *http.Request) string {
	p, ok := r.Context().Value(peerKey{}).(peer)
	if !ok {
		return "unknown"
	}
	return "uid " + strconv.Itoa(p.UID)
}
