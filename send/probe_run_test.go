package send

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
)

// runProbes tries every case in clear text and after STARTTLS.
func runProbes(t *testing.T, cases []probeCase) {
	server := testServerTLS(t, "mx.test")
	for _, c := range cases {
		for _, variant := range []string{"clear", "tls"} {
			if c.only != "" && c.only != variant {
				continue
			}
			t.Run(c.name+"/"+variant, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { c.run(t, server, variant == "tls") })
			})
		}
	}
}

func (c *probeCase) run(t *testing.T, server *tls.Config, secure bool) {
	b := newBench(t, nil)
	var mu sync.Mutex
	var hops []*probeHop
	b.net.hosts[netip.MustParseAddrPort("192.0.2.25:25")] = func(nc net.Conn) {
		mu.Lock()
		k := &cork{Conn: nc}
		h := &probeHop{n: len(hops), c: nc.(*memConn), cork: k, wire: k, tls: func(h *probeHop) error {
			tc := tls.Server(k, server)
			h.wire = tc
			return tc.Handshake()
		}}
		hops = append(hops, h)
		mu.Unlock()
		if h.n >= len(c.conns) {
			h.trace = append(h.trace, "a connection too many")
			return
		}
		h.run(expand(c.conns[h.n], secure))
	}
	d := mail(probeText, c.to...)
	for _, w := range c.with {
		tweak := tweaks[w]
		if tweak == nil {
			t.Fatalf("there is no tweak %q", w)
		}
		tweak(b, d)
	}
	if d.Envelope.RequireTLS {
		b.options.Roots = testRoots()
	}
	d.Open = func() (message.Content, error) { return &stored{Reader: bytes.NewReader([]byte(probeText))}, nil }
	start := time.Now()
	to := hop()
	if len(b.connector.SmartHosts) > 0 {
		to = smartHop("mx.test:25")
	}
	r := b.deliver(t.Context(), to, d)
	took := time.Since(start)
	b.stop()
	if err := c.judge(r); err != nil {
		t.Error(err)
	}
	if took > c.within {
		t.Errorf("took %v, want %v at most", took, c.within)
	}
	if len(hops) != len(c.conns) && !strings.Contains(c.conns[0][0], "no connection") {
		t.Errorf("%d connections, want %d", len(hops), len(c.conns))
	}
	for _, h := range hops {
		for _, line := range h.trace {
			t.Error(line)
		}
	}
}
