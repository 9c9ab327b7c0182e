package server

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// silentDomains are more domains than deliveries may run at a time.
const silentDomains = 1500

// TestSilentHosts: mail for more domains than deliveries may run, whose one host
// takes connections and says nothing, or whose DNS server never answers, keeps
// no mail for others waiting.
func TestSilentHosts(t *testing.T) {
	for _, tt := range []struct {
		name string
		// quiet sets up what never answers, and returns the rest of the file.
		quiet func(t *testing.T, port int) string
	}{
		{"host", silentHost},
		{"dns", silentDNS},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			healthy, port := newSink(t, "127.0.0.1:0"), freePort(t)
			file := fmt.Sprintf(edge, t.TempDir(), port, "grant = [\"accept_any_recipient\"]\nmessage_rate_limit = \"unlimited\"", freePort(t)) + fmt.Sprintf(`
[[send_connector]]
name = "Internet"
address_spaces = ["*"]
port = %d
`, healthy.port) + tt.quiet(t, healthy.port)
			s := start(t, Options{Config: parse(t, file)})
			defer stopNow(t, s)
			submitAll(t, port, silentDomains)
			for deadline := time.Now().Add(wait); s.queue.Stats().InFlight < 950 && time.Now().Before(deadline); {
				time.Sleep(10 * time.Millisecond)
			}
			began := time.Now()
			for i := range 20 {
				if err := submit(port, "bob@fabrikam.example", fmt.Sprintf("kim%d@healthy.example", i), text); err != nil {
					t.Fatal(err)
				}
				healthy.next(t)
			}
			took := time.Since(began)
			t.Logf("20 messages one after the other took %v beside %+v", took, s.queue.Stats())
			if took > 5*time.Second {
				t.Errorf("mail to a healthy host took %v", took)
			}
		})
	}
}

// silentHost takes connections at 127.0.0.2 and says nothing.
func silentHost(t *testing.T, port int) string {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.2:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
		}
	})
	t.Cleanup(func() {
		l.Close()
		done.Wait()
		for _, c := range open {
			c.Close()
		}
	})
	var hosts strings.Builder
	hosts.WriteString("[dns.hosts]\n\"healthy.example\" = [\"127.0.0.1\"]\n")
	for i := range silentDomains {
		fmt.Fprintf(&hosts, "\"d%d.example\" = [\"127.0.0.2\"]\n", i)
	}
	return hosts.String()
}

// silentDNS takes questions and answers none.
func silentDNS(t *testing.T, _ int) string {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return fmt.Sprintf("[dns]\nservers = [%q]\nhosts = { \"healthy.example\" = [\"127.0.0.1\"] }\n", c.LocalAddr())
}

// submitAll sends a message to each of so many domains.
func submitAll(t *testing.T, port, domains int) {
	t.Helper()
	var done sync.WaitGroup
	for part := range 10 {
		done.Go(func() {
			c, err := smtp.Dial(fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for i := part; i < domains; i += 10 {
				if err := c.SendMail("bob@fabrikam.example", []string{fmt.Sprintf("kim@d%d.example", i)}, strings.NewReader(text)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done.Wait()
}

// stopNow ends a gateway without time for what is under way.
func stopNow(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_ = s.Stop(ctx)
}
