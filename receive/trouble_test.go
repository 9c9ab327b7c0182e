package receive

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
	"postern/internal/metrics"
)

// TestTroubleIsToldOnceAMinute: a full disk does not fill the event log.
func TestTroubleIsToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&out, nil))
		var tr trouble
		for range 150 { // one a second
			tr.tell(logger.Error, "can't store a message", errors.New("full"), "session", "A")
			time.Sleep(time.Second)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 3 {
			t.Fatalf("%d lines for 150 refusals:\n%s", len(lines), out.String())
		}
		if strings.Contains(lines[0], "refused_meanwhile") || !strings.Contains(lines[0], "session=A error=full") {
			t.Errorf("first: %s", lines[0])
		}
		for _, l := range lines[1:] {
			if !strings.Contains(l, "refused_meanwhile=59") {
				t.Errorf("later: %s", l)
			}
		}
	})
}

// TestTroublesAreToldApart: each kind has its own minute, whatever numbers and
// quotations a reason has, and there is no end of kinds in memory.
func TestTroublesAreToldApart(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, nil))
	var tr troubles
	for _, reason := range []string{
		"there is no PROXY header", `the PROXY header has "x" for a port`, `the PROXY header has "y\"z" for a port`, "the PROXY header has checksum 0000abc1, but",
		"there is no PROXY header", "the PROXY header has checksum 1234abcd, but", "proxy_header_timeout reached",
	} {
		tr.of(kind(reason)).tell(logger.Warn, "closed", nil, "reason", reason)
	}
	if n := strings.Count(out.String(), "\n"); n != 4 {
		t.Errorf("%d lines for four kinds:\n%s", n, out.String())
	}
	for i := range 1000 {
		tr.of(strings.Repeat("x", i))
	}
	if n := len(tr.kinds); n > maxKinds+1 {
		t.Errorf("%d kinds are kept", n)
	}
}

// TestStrangersAreToldOfOnceAMinute: neither does a client that no connector
// wants, however often it comes.
func TestStrangersAreToldOfOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, testConnector(func(c *config.ReceiveConnector) {
			c.RemoteIPRanges = []config.Range{ipRange("10.0.0.0/8")}
		}))
		for range 65 { // one a second
			c := b.dial(strangerAddr)
			c.play(`
				S: 421 4\.3\.2 Service not available
				END`)
			c.close()
			time.Sleep(time.Second)
		}
		lines := strings.Split(strings.TrimSpace(b.logged.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "remote=198.51.100.7:40122") || !strings.HasSuffix(lines[1], "refused_meanwhile=59") {
			t.Errorf("logged:\n%s", strings.Join(lines, "\n"))
		}
		if n := b.metrics.Counter("receive_connections_refused", metrics.Label{Name: "connector"}, metrics.Label{Name: "reason", Value: "no_connector"}).Value(); n != 65 {
			t.Errorf("%d refusals are counted", n)
		}
	})
}
