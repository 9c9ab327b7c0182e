package send

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"postern/config"
	"postern/internal/resolver"
	"postern/logs"
)

// connectivity gives the Sender a connectivity log, and returns what was logged
// once the Sender is stopped: "session direction description", where sessions
// count from 1.
func (b *bench) connectivity() func() string {
	b.t.Helper()
	dir := b.t.TempDir()
	log, err := logs.OpenConnectivity(logs.Options{Log: config.Log{Enabled: true, Directory: dir}, OnError: func(err error) { b.t.Error(err) }})
	if err != nil {
		b.t.Fatal(err)
	}
	b.options.Connectivity = log
	return func() string {
		b.stop()
		if err := log.Close(b.t.Context()); err != nil {
			b.t.Error(err)
		}
		var out []string
		sessions := map[string]int{}
		files, _ := filepath.Glob(filepath.Join(dir, "CONNECTLOG*.log"))
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				b.t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				l, err := logs.ParseConnectivity(line)
				if err == logs.ErrComment {
					continue
				}
				if err != nil || l.Source != "SMTP" {
					b.t.Fatalf("%s: %v", line, err)
				}
				if sessions[l.Session] == 0 {
					sessions[l.Session] = len(sessions) + 1
				}
				out = append(out, fmt.Sprintf("%d %s %c %s", sessions[l.Session], l.Destination, l.Direction, l.Description))
			}
		}
		return strings.Join(out, "\n")
	}
}

// TestConnectivity: what becomes of a search for somebody to take the mail.
func TestConnectivity(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(b *bench)
		send int
		want string // a pattern
	}{
		{"two messages on one connection", func(b *bench) { b.host("192.0.2.25:25", &fakeMX{}) }, 2,
			`1 example.test \+ DnsConnectorDelivery Internet;
1 example.test > mx.test\[192.0.2.25\]
1 example.test > Established connection to 192.0.2.25
1 example.test - Messages: 2 Bytes: 50 \(\)`},
		{"the first host is down", func(b *bench) {
			b.names.mx["example.test"] = "a.test,mx.test"
			b.names.addrs["a.test"] = "192.0.2.26"
			b.host("192.0.2.25:25", &fakeMX{})
		}, 1, `1 example.test \+ DnsConnectorDelivery Internet;
1 example.test > a.test\[192.0.2.26\]
1 example.test > Failed connection to 192.0.2.26:25 \(4.*\)\[TargetHost:a.test\|MarkedUnhealthy\|NextRetryTime:20.*Z\]
1 example.test - Messages: 0 Bytes: 0 \(Retry : Unable to connect\)
2 example.test \+ DnsConnectorDelivery Internet;
2 example.test > mx.test\[192.0.2.25\]
2 example.test > Established connection to 192.0.2.25
2 example.test - Messages: 1 Bytes: 25 \(\)`},
		{"refused in the greeting", func(b *bench) { b.host("192.0.2.25:25", &fakeMX{greeting: "421 4.3.2 not now"}) }, 1,
			`1 example.test \+ DnsConnectorDelivery Internet;
1 example.test > mx.test\[192.0.2.25\]
1 example.test > Established connection to 192.0.2.25
1 example.test - Messages: 0 Bytes: 0 \(Retry : 421 4.3.2 not now\)`},
		{"no such domain", func(b *bench) { delete(b.names.mx, "example.test") }, 1,
			`1 example.test \+ DnsConnectorDelivery Internet;
1 example.test - Messages: 0 Bytes: 0 \(Failed : 550 5.4.4 Nonexistent domain example.test\)`},
		{"DNS is broken", func(b *bench) { b.names.mx["example.test"] = dnsTrouble(resolver.Temporary) }, 1,
			`1 example.test \+ DnsConnectorDelivery Internet;
1 example.test - Messages: 0 Bytes: 0 \(Retry : 451 4.4.0 DNS query failed: .*\)`},
		{"a host has no address", func(b *bench) { delete(b.names.addrs, "mx.test") }, 1,
			`1 example.test \+ DnsConnectorDelivery Internet;
1 example.test > .*Nonexistent domain mx.test
1 example.test - Messages: 0 Bytes: 0 \(Failed : .*Nonexistent domain mx.test\)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, nil)
			b.connector.MessagesPerConnection = 20
			b.connector.ConnectionInactivityTimeout = 1 << 40
			lines := b.connectivity()
			c.set(b)
			for range c.send {
				b.send("a")
			}
			if got := lines(); !regexp.MustCompile("^" + c.want + "$").MatchString(got) {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}
