package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"postern/config"
)

// maxRequest bounds the body of a request, in octets.
const maxRequest = 1 << 20

// Gateway is what can be asked of the running gateway.
type Gateway interface {
	// Reload reads the configuration file again and puts it in force. When the
	// file has errors the running configuration stays; the findings say why.
	Reload(ctx context.Context) ([]config.Change, []config.Finding, *config.Config, error)
	// File is the configuration file's name; empty for one that is built in.
	File() string
}

// Server answers on the control socket.
type Server struct {
	http   *http.Server
	logger *slog.Logger
}

// NewServer returns a server for a gateway. The name of who asked for what
// goes to logger.
func NewServer(g Gateway, logger *slog.Logger) *Server {
	mux := http.NewServeMux()
	s := &Server{logger: logger}
	mux.Handle("POST /v1/configuration/reload", reloadHandler{g})
	s.http = &http.Server{
		Handler:           s.admit(mux),
		ConnContext:       withPeer,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	return s
}

// Serve answers until Close. It closes the listener, which removes the socket.
func (s *Server) Serve(l net.Listener) error {
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
// the others in the event log.
func (s *Server) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := r.Context().Value(peerKey{}).(peer)
		if !ok || !p.allowed() {
			s.logger.Warn("control socket: caller turned away", "uid", p.UID, "pid", p.PID, "request", r.Method+" "+r.URL.Path)
			fail(w, http.StatusForbidden, "only root and the user the gateway runs as may use its control socket")
			return
		}
		s.logger.Info("control socket", "uid", p.UID, "pid", p.PID, "request", r.Method+" "+r.URL.Path)
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		next.ServeHTTP(w, r)
		_, _ = io.Copy(io.Discard, r.Body)
	})
}

// failure is the body of every answer that is not a success.
type failure struct {
	Error string `json:"error"`
}

func fail(w http.ResponseWriter, status int, text string) { answer(w, status, failure{text}) }

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The caller may be gone; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(v)
}
