package exporter

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"postern/internal/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func families() []metrics.Family {
	return []metrics.Family{{Name: "postern_test", Kind: metrics.KindGauge, Help: "A figure.", Series: []metrics.Series{{Value: 1}}}}
}

// anyPort listens on a free port, whatever port is asked for.
func anyPort(_, address string) (net.Listener, error) {
	host, _, _ := net.SplitHostPort(address)
	return net.Listen("tcp", net.JoinHostPort(host, "0"))
}

var configured = netip.MustParseAddrPort("127.0.0.1:9187")

func started(t *testing.T) (*Exporter, string) {
	t.Helper()
	e := New(Options{Families: families, Listen: anyPort})
	t.Cleanup(e.Close)
	e.Configure(configured)
	a, err := e.Addr()
	if err != nil || a == nil {
		t.Fatalf("it listens at %v: %v", a, err)
	}
	return e, a.String()
}

func TestAnswers(t *testing.T) {
	_, addr := started(t)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	for _, tt := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/metrics", 200, "# HELP postern_test A figure.\n# TYPE postern_test gauge\npostern_test 1\n"},
		{"GET", "/metrics?collect[]=x", 200, "# HELP postern_test A figure.\n# TYPE postern_test gauge\npostern_test 1\n"},
		{"HEAD", "/metrics", 200, ""},
		{"POST", "/metrics", 405, "/metrics is only read\n"},
		{"GET", "/", 404, "only /metrics is here\n"},
		{"GET", "/metrics/", 404, "only /metrics is here\n"},
		{"GET", "/v1/status", 404, "only /metrics is here\n"},
		{"POST", "/v1/configuration/reload", 404, "only /metrics is here\n"},
		{"GET", "/debug/pprof/", 404, "only /metrics is here\n"},
		{"GET", "//metrics", 404, "only /metrics is here\n"},
	} {
		req, err := http.NewRequest(tt.method, "http://"+addr+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != tt.status || string(body) != tt.body {
			t.Errorf("%s %s: %d %q", tt.method, tt.path, resp.StatusCode, body)
		}
		if tt.status == 200 && resp.Header.Get("Content-Type") != metrics.ContentType {
			t.Errorf("content type %s", resp.Header.Get("Content-Type"))
		}
	}
}

// A request that is too long gets an answer and no memory, one of another
// protocol an end.
func TestBounds(t *testing.T) {
	_, addr := started(t)
	for request, want := range map[string]string{
		"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 1<<20) + "\r\n\r\n": "431 ",
		"EHLO x\r\n\r\n": "400 ",
	} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		go func() { _, _ = io.WriteString(c, request) }()
		answer := make([]byte, 64)
		n, _ := io.ReadAtLeast(c, answer, 20)
		if !strings.Contains(string(answer[:n]), want) {
			t.Errorf("%.20q: %q", request, answer[:n])
		}
		c.Close()
	}
}

// It moves, stops and comes back with the configuration.
func TestConfigure(t *testing.T) {
	e, first := started(t)
	e.Configure(configured)
	if a, _ := e.Addr(); a.String() != first {
		t.Errorf("the same configuration moved it from %s to %s", first, a)
	}
	idle, err := net.Dial("tcp", first) // says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	e.Configure(netip.MustParseAddrPort("127.0.0.1:9188"))
	second, err := e.Addr()
	if err != nil || second.String() == first {
		t.Fatalf("it listens at %v: %v", second, err)
	}
	if c, err := net.Dial("tcp", first); err == nil {
		c.Close()
		t.Error("the old address is still open")
	}
	e.Configure(netip.AddrPort{})
	if a, err := e.Addr(); a != nil || err != nil {
		t.Errorf("switched off it listens at %v: %v", a, err)
	}
	e.Close()
	e.Configure(configured)
	if a, _ := e.Addr(); a != nil {
		t.Error("it listens after its end")
	}
}

// What can't be opened is tried again, until it works or is no longer wanted.
func TestRetry(t *testing.T) {
	var tries atomic.Int32
	free := make(chan struct{})
	var log strings.Builder
	e := New(Options{Families: families, Logger: slog.New(slog.NewTextHandler(&log, nil)), Listen: func(network, address string) (net.Listener, error) {
		tries.Add(1)
		select {
		case <-free:
			return anyPort(network, address)
		default:
			return nil, errors.New("address already in use")
		}
	}})
	defer e.Close()
	e.Configure(configured)
	if a, err := e.Addr(); a != nil || err == nil {
		t.Errorf("it listens at %v: %v", a, err)
	}
	e.Configure(netip.AddrPort{})
	if _, err := e.Addr(); err != nil {
		t.Errorf("not wanted, and yet: %v", err)
	}
	close(free)
	e.Configure(configured)
	if a, err := e.Addr(); a == nil || err != nil || tries.Load() != 2 {
		t.Errorf("it listens at %v: %v, after %d tries", a, err, tries.Load())
	}
	if !strings.Contains(log.String(), "address already in use") {
		t.Errorf("the event log: %s", log.String())
	}
}

// silent is a listener that nobody connects to.
type silent struct{ closed chan struct{} }

func (l silent) Accept() (net.Conn, error) { <-l.closed; return nil, net.ErrClosed }
func (l silent) Close() error              { close(l.closed); return nil }
func (l silent) Addr() net.Addr            { return net.TCPAddrFromAddrPort(configured) }

// It insists every 30 seconds.
func TestInsists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, tries := time.Now(), 0
		e := New(Options{Families: families, Listen: func(string, string) (net.Listener, error) {
			if tries++; tries < 4 {
				return nil, errors.New("address already in use")
			}
			return silent{make(chan struct{})}, nil
		}})
		e.Configure(configured)
		for range 1000 {
			if a, _ := e.Addr(); a != nil {
				break
			}
			time.Sleep(time.Second)
		}
		if took := time.Since(began); tries != 4 || took < 90*time.Second || took > 92*time.Second {
			t.Errorf("%d tries in %v", tries, took)
		}
		e.Close()
	})
}
