//go:build linux

package main_test

import (
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// newUnbound starts a resolver that knows these records and no others, and
// returns its address.
func newUnbound(t testing.TB, records ...string) string {
	t.Helper()
	return newUnboundIn(t, home(), records...)
}

func newUnboundIn(t testing.TB, p *place, records ...string) string {
	t.Helper()
	program := need(t, "unbound")
	addr, dir := freeAddr(t), tempDir(t)
	var data strings.Builder
	for _, r := range records {
		fmt.Fprintf(&data, "  local-data: '%s'\n", r)
	}
	file := writeFile(t, filepath.Join(dir, "unbound.conf"), fmt.Sprintf(`server:
  interface: 127.0.0.1
  port: %s
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "%s"
  pidfile: ""
  use-syslog: no
  logfile: ""
  module-config: "iterator"
  num-threads: 1
  local-zone: "." static
%sremote-control:
  control-enable: no
`, port(t, addr), dir, data.String()))
	pr := launch(t, p, &output{}, program, "-d", "-c", file)
	until(t, "unbound listening", func() bool {
		select {
		case <-pr.exited:
			t.Fatalf("unbound ended at start: %v\n%s", pr.err, pr.output)
		default:
		}
		c, err := p.dial("", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return addr
}

// hostsOn25 returns addresses of loopback of which the first n can be listened
// on at port 25, where MX delivery goes.
func hostsOn25(t testing.TB, n int) []string {
	t.Helper()
	hosts := make([]string, n)
	second, third := 64+mathrand.IntN(64), mathrand.IntN(250)
	for i := range hosts {
		hosts[i] = fmt.Sprintf("127.%d.%d.%d", second, third, 10+i)
		l, err := net.Listen("tcp", hosts[i]+":25")
		if err != nil {
			lacking(t, "port 25 can't be listened on: %v", err)
		}
		l.Close()
	}
	return hosts
}

// Delivery by MX asks a real resolver, takes exchangers by preference, and
// goes on to the next where one is down.
func TestDeliveryByMX(t *testing.T) {
	t.Parallel()
	h := hostsOn25(t, 5)
	resolver := newUnbound(t,
		"failover.example. MX 30 far.failover.example.", "failover.example. MX 10 down.failover.example.", "failover.example. MX 20 up.failover.example.",
		"down.failover.example. A "+h[0], "up.failover.example. A "+h[1], "far.failover.example. A "+h[2],
		"implicit.example. A "+h[2],
		"addresses.example. MX 10 both.addresses.example.", "both.addresses.example. A "+h[0], "both.addresses.example. A "+h[3],
		"null.example. MX 0 .",
		"busy.example. MX 10 busy.busy.example.", "busy.example. MX 20 up.failover.example.", "busy.busy.example. A "+h[4],
	)
	up, far, second := newSink(t, sinkOptions{Addr: h[1] + ":25"}), newSink(t, sinkOptions{Addr: h[2] + ":25"}), newSink(t, sinkOptions{Addr: h[3] + ":25"})
	busy := newSink(t, sinkOptions{Addr: h[4] + ":25", Answer: func(_ int, line string) string {
		if line == "" {
			return "421 4.3.2 busy"
		}
		return ""
	}})
	inside := newSink(t, sinkOptions{})
	e := newEdge(t)
	e.top = fmt.Sprintf("[dns]\nservers = [%q]\n%s", resolver, impatient)
	e.route("inside", "contoso.example", inside.addr, "")
	e.send += "\n[[send_connector]]\nname = \"Internet\"\naddress_spaces = [\"*\"]\n"
	e.serve(t)
	c := dial(t, e.addr)
	for _, domain := range []string{"failover", "implicit", "addresses", "null", "missing", "busy"} {
		c.deliver(t, "kim@contoso.example", "bob@"+domain+".example", letter(domain))
	}
	at := func(s *sink, n int) string {
		var to []string
		for _, d := range s.await(t, n) {
			to = append(to, d.Rcpt...)
		}
		return strings.Join(to, " ")
	}
	if got := at(up, 2); !strings.Contains(got, "bob@failover.example") || !strings.Contains(got, "bob@busy.example") {
		t.Errorf("the second exchanger has %s", got)
	}
	if got := at(far, 1); !strings.Contains(got, "bob@implicit.example") {
		t.Errorf("the host without MX has %s", got)
	}
	if got := at(second, 1); !strings.Contains(got, "bob@addresses.example") {
		t.Errorf("the second address has %s", got)
	}
	if busy.sessionCount() == 0 {
		t.Error("the preferred exchanger was not asked first")
	}
	// A domain that takes no mail (RFC 7505) and one that is not there.
	var notes []string
	for _, d := range inside.await(t, 2) {
		notes = append(notes, string(d.Data))
	}
	all := strings.Join(notes, "\n")
	for _, want := range []string{"bob@null.example", "5.1.10", "bob@missing.example"} {
		if !strings.Contains(all, want) {
			t.Errorf("no notification names %s:\n%s", want, all)
		}
	}
}
