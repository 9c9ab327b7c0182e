package control

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postern/config"
)

// fakeGateway answers a reload with what it is given.
type fakeGateway struct {
	changes  []config.Change
	findings []config.Finding
	err      error
	file     string
	fakeMail
}

func (g *fakeGateway) File() string { return g.file }

func (g *fakeGateway) Reload(context.Context, string) ([]config.Change, []config.Finding, *config.Config, error) {
	return g.changes, g.findings, nil, g.err
}

// socketPath is a short path: the system's temporary directory may be too deep
// for a socket.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "postern")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "control.sock")
}

// start serves a gateway on a socket until the test ends.
func start(t *testing.T, g *fakeGateway) (*Client, string) {
	t.Helper()
	path := socketPath(t)
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(Options{Gateway: g, Queues: &g.queues, Logger: g.logger, Events: g.events, Version: Version{Version: "1.2.3"}})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := errors.Join(s.Close(ctx), <-served); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
		goleak.VerifyNone(t)
	})
	return NewClient(path), path
}

func TestReload(t *testing.T) {
	g := &fakeGateway{
		changes:  []config.Change{{Path: "server.fqdn", Old: "a.example", New: "b.example", Restart: true}},
		findings: []config.Finding{{Severity: config.Warning, Message: "odd", Remedy: "change it", Position: config.Position{File: "x.toml", Line: 3, Column: 1}}},
	}
	c, path := start(t, g)
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := fi.Mode().Perm(); got != 0o600 {
		t.Errorf("the socket has mode %o, want 600", got)
	}
	r, err := c.Reload(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if !r.Applied || len(r.Changes) != 1 || r.Changes[0] != (Change{"server.fqdn", "a.example", "b.example", true}) {
		t.Errorf("answer %+v", r)
	}
	if len(r.Findings) != 1 || r.Findings[0] != "x.toml:3:1: warning: odd; change it" {
		t.Errorf("findings %q", r.Findings)
	}

	g.err = errors.New("the configuration has errors")
	r, err = c.Reload(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if r.Applied || r.Error != g.err.Error() {
		t.Errorf("answer to a file with errors %+v", r)
	}
}

// TestReloadOfAnotherFile: a file that is not the gateway's is not taken for
// it, under whatever name its own goes.
func TestReloadOfAnotherFile(t *testing.T) {
	dir := t.TempDir()
	own, other, alias := filepath.Join(dir, "edge.toml"), filepath.Join(dir, "other.toml"), filepath.Join(dir, "alias.toml")
	for _, name := range []string{own, other} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(own, alias); err != nil {
		t.Fatal(err)
	}
	c, _ := start(t, &fakeGateway{file: own})
	for file, want := range map[string]bool{"": true, own: true, alias: true, other: false, "missing.toml": false} {
		r, err := c.Reload(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		if r.Applied != want || want != (r.Error == "") || !want && !strings.Contains(r.Error, "runs with "+own) {
			t.Errorf("%q: %+v", file, r)
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	_, err := NewClient(socketPath(t)).Reload(t.Context(), "")
	if !errors.Is(err, ErrNoServer) {
		t.Errorf("error %v, want ErrNoServer", err)
	}
}

func TestStaleSocketIsRemoved(t *testing.T) {
	path := socketPath(t)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close() // as after SIGKILL: the name stays, nobody answers
	again, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestListenRefuses(t *testing.T) {
	path := socketPath(t)
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ path, want string }{
		"a file that is no socket": {path, "no socket"},
		"a path that is too long":  {"/tmp/" + strings.Repeat("x", 110), "control.socket"},
		"a directory in the way":   {filepath.Join(path, "control.sock"), "not a directory"},
	} {
		if l, err := Listen(tt.path); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tt.want)
			if err == nil {
				l.Close()
			}
		}
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("the file was touched: %q, %v", text, err)
	}
	_, taken := start(t, &fakeGateway{})
	if l, err := Listen(taken); err == nil || !strings.Contains(err.Error(), "another gateway answers") {
		t.Errorf("a socket in use: error %v", err)
		if err == nil {
			l.Close()
		}
	}
}

// TestStrangersAreTurnedAway calls without the kernel's word on who calls, and
// as another user.
func TestStrangersAreTurnedAway(t *testing.T) {
	s := NewServer(Options{Gateway: &fakeGateway{}})
	for name, ctx := range map[string]context.Context{
		"unknown":      t.Context(),
		"another user": context.WithValue(t.Context(), peerKey{}, peer{UID: os.Geteuid() + 1000, PID: 1}),
	} {
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/configuration/reload", nil))
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "only root") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}
