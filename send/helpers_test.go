package send

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postern/config"
	"postern/internal/message"
	"postern/internal/resolver"
	"postern/routing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// names is a Resolver of fixed answers. A name that it does not have does not
// exist.
type names struct {
	mx    map[string]any // resolver.MXResult, "host,host" by preference 10, 20, ..., or an error
	addrs map[string]any // "addr addr", an error, or a function that gives one
	slow  time.Duration  // that each look-up takes; zero: all answers are known
}

func (n *names) KnowsMX(string) bool { return n.slow == 0 }

func (n *names) KnowsHost(string, resolver.Families) bool { return n.slow == 0 }

func (n *names) MX(_ context.Context, domain string) (resolver.MXResult, error) {
	time.Sleep(n.slow)
	switch v := n.mx[domain].(type) {
	case resolver.MXResult:
		return v, nil
	case error:
		return resolver.MXResult{}, v
	case string:
		var res resolver.MXResult
		for i, group := range strings.Split(v, ",") {
			for h := range strings.SplitSeq(group, "=") {
				res.Records = append(res.Records, resolver.MX{Host: h, Preference: uint16(10 * (i + 1))})
			}
		}
		return res, nil
	}
	if n.addrs[domain] != nil {
		return resolver.MXResult{Records: []resolver.MX{{Host: domain}}, Implicit: true}, nil
	}
	return resolver.MXResult{}, &resolver.Error{Name: domain, Type: "MX", Kind: resolver.NXDomain}
}

func (n *names) Host(_ context.Context, host string, want resolver.Families) (resolver.HostAddresses, error) {
	time.Sleep(n.slow)
	switch v := n.addrs[host].(type) {
	case func() error:
		return resolver.HostAddresses{}, v()
	case error:
		return resolver.HostAddresses{}, v
	case string:
		var h resolver.HostAddresses
		for text := range strings.FieldsSeq(v) {
			if a := netip.MustParseAddr(text); want == resolver.BothFamilies || a.Is4() == (want == resolver.OnlyIPv4) {
				h.Addrs = append(h.Addrs, a)
			}
		}
		if len(h.Addrs) == 0 {
			return h, &resolver.Error{Name: host, Type: "A", Kind: resolver.NoData}
		}
		return h, nil
	}
	return resolver.HostAddresses{}, &resolver.Error{Name: host, Type: "A+AAAA", Kind: resolver.NXDomain}
}

func dnsTrouble(kind resolver.Kind) error {
	return &resolver.Error{Name: "x", Type: "MX", Kind: kind, Err: errors.New("trouble")}
}

// bench is a Sender with a network and names to try it on.
type bench struct {
	t         *testing.T
	net       *memNet
	names     *names
	config    *config.Config
	connector *config.SendConnector
	options   Options
	s         *Sender
}

// newBench has one host, mx.test at 192.0.2.25, for the domain example.test,
// and the connector "Internet".
func newBench(t *testing.T, mx *fakeMX) *bench {
	t.Helper()
	b := &bench{t: t, net: newMemNet(), names: &names{
		mx:    map[string]any{"example.test": "mx.test"},
		addrs: map[string]any{"mx.test": "192.0.2.25"},
	}}
	b.config = &config.Config{
		Server: config.Server{FQDN: "edge.contoso.example"},
		ReceiveConnectors: []config.ReceiveConnector{{Name: "In", Enabled: true, FQDN: "mail.contoso.example",
			Bindings: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:25"), netip.MustParseAddrPort("192.0.2.1:587")}}},
		SendConnectors: []config.SendConnector{{Name: "Internet", Enabled: true, TLS: config.TLSOpportunistic,
			FQDN: "out.contoso.example", Port: 25, MessagesPerConnection: 20, SendHeadersRouting: true}},
	}
	b.connector = &b.config.SendConnectors[0]
	b.options.LocalAddrs = func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("192.0.2.1")} }
	if mx != nil {
		b.host("192.0.2.25:25", mx)
	}
	return b
}

func (b *bench) host(addr string, mx *fakeMX) { b.net.hosts[netip.MustParseAddrPort(addr)] = mx.serve }

// start makes the Sender; the end of the test closes it and waits for the
// network.
func (b *bench) start() *Sender {
	if b.s == nil {
		o := b.options
		o.Config, o.Resolver = b.config, b.names
		if o.Dial == nil {
			o.Dial = b.net.dial
		}
		b.s = New(o)
		b.s.shuffle = func(int, func(i, j int)) {}
	}
	return b.s
}

func (b *bench) stop() {
	if b.s == nil {
		return
	}
	if err := b.s.Close(context.Background()); err != nil {
		b.t.Error(err)
	}
	if n := len(b.s.pool.open) + b.s.pool.idleCount + b.s.pool.quitting; n != 0 {
		b.t.Errorf("after Close the pool still counts connections: %v", b.s.pool.open)
	}
	b.net.wg.Wait()
}

func hop() routing.NextHop {
	return routing.NextHop{Connector: "Internet", Kind: routing.MX, Domain: "example.test"}
}

// send delivers to the recipients a, b, ... of example.test.
func (b *bench) send(recipients ...string) message.Report {
	b.t.Helper()
	return b.deliver(b.t.Context(), hop(), mail("Subject: hello\r\n\r\nhello\r\n", recipients...))
}

func (b *bench) deliver(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
	b.t.Helper()
	r := b.start().Deliver(ctx, hop, d)
	checkReport(b.t, d, r)
	return r
}

// checkReport holds what every report must keep: each recipient has exactly
// one outcome, which is complete.
func checkReport(t *testing.T, d *message.Delivery, r message.Report) {
	t.Helper()
	var got []int
	for _, o := range r.Outcomes {
		got = append(got, o.Recipients...)
		class := map[message.Status]int{message.Delivered: 2, message.Deferred: 4, message.Failed: 5}[o.Status]
		if class == 0 || o.Reply.Code/100 != class {
			t.Errorf("outcome %v with reply %v", o.Status, o.Reply)
		}
		if e := o.Reply.Enhanced[0]; e != 0 && e != class {
			t.Errorf("outcome %v with enhanced code %v", o.Status, o.Reply.EnhancedString())
		}
	}
	slices.Sort(got)
	want := slices.Sorted(slices.Values(d.Recipients))
	if !slices.Equal(got, want) {
		t.Errorf("outcomes for recipients %v, want %v", got, want)
	}
}

// mail makes a delivery. Recipients without domain are at example.test.
func mail(content string, recipients ...string) *message.Delivery {
	e := &message.Envelope{From: message.Address{Local: "sender", Domain: "contoso.example"}, MessageID: "<1@contoso.example>"}
	d := &message.Delivery{ID: 12345, Envelope: e, Size: int64(len(content))}
	if len(recipients) == 0 {
		recipients = []string{"a"}
	}
	for i, rcpt := range recipients {
		e.Recipients = append(e.Recipients, message.Recipient{Address: message.Address{Local: rcpt, Domain: "example.test"}})
		d.Recipients = append(d.Recipients, i)
	}
	d.Open = func() (message.Content, error) { return &stored{Reader: bytes.NewReader([]byte(content))}, nil }
	return d
}

type stored struct{ *bytes.Reader }

func (s *stored) Close() error { return nil }

// broken is content that fails when it is read from an offset on.
type broken struct {
	stored
	from int64
}

func (b *broken) ReadAt(p []byte, at int64) (int, error) {
	if at >= b.from {
		return 0, io.ErrClosedPipe
	}
	return b.stored.ReadAt(p, at)
}

// sum writes a report in a line: "0,1 delivered 250 2.6.0 Queued; 2 failed ...".
func sum(r message.Report) string {
	var parts []string
	for _, o := range r.Outcomes {
		parts = append(parts, fmt.Sprintf("%s %s %s", strings.Trim(strings.ReplaceAll(fmt.Sprint(o.Recipients), " ", ","), "[]"), o.Status, o.Reply))
	}
	slices.Sort(parts)
	s := strings.Join(parts, "; ")
	if r.Unreachable {
		s += "; unreachable"
	}
	return s
}

// commands returns what the host was told, in order.
func (m *fakeMX) commands() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.lines)
}

func (m *fakeMX) got() []received {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.messages)
}

func (m *fakeMX) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sessions
}

const soon = time.Second
