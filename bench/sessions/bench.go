package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"postern/bench/internal/rig"
)

// warmUp is how many messages a gateway relays before it is measured.
const warmUp = 1000

// bench is the frame of all measurements: a directory and a sink.
type bench struct {
	*settings
	dir  string
	sink *rig.Sink
}

func newBench(ctx context.Context, s *settings) (b *bench, err error) {
	dir, err := os.MkdirTemp(s.dir, "sessions-")
	if err != nil {
		return nil, err
	}
	b = &bench{settings: s, dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if b.binary, err = rig.Binary(ctx, s.binary, dir); err != nil {
		return b, err
	}
	b.sink, err = rig.NewSink(ctx, rig.FreeAddr())
	return b, err
}

func (b *bench) close() error {
	if b.sink != nil {
		b.sink.Stop()
	}
	return os.RemoveAll(b.dir)
}

// measured is what one round gave.
type measured struct {
	before, crowded rig.Usage
	peak            int64         // octets, of the whole round
	opening         time.Duration // until the last session of the crowd was what it should be
	load            float64       // of a processor that the crowd alone takes
	alone           [2]float64    // messages a second before the crowd and after it
	among           float64
}

// change is how much faster or slower the gateway relays among the crowd than
// before and after it, in percent.
func (m *measured) change() float64 {
	return 100 * (2*m.among/(m.alone[0]+m.alone[1]) - 1)
}

// measure is one round, with a gateway of its own.
func (b *bench) measure(ctx context.Context) (m measured, err error) {
	g, addr, err := b.start(ctx)
	if err != nil {
		return m, err
	}
	defer g.Stop()
	if _, err = b.relay(ctx, addr, warmUp); err != nil {
		return m, err
	}
	if m.alone[0], err = b.relay(ctx, addr, b.messages); err != nil {
		return m, err
	}
	if m.before, err = g.Usage(); err != nil {
		return m, err
	}
	c := &crowd{addr: addr}
	defer c.close()
	began := time.Now()
	if err = c.gather(ctx, b.settings); err != nil {
		return m, err
	}
	m.opening = time.Since(began)
	if m.crowded, m.load, err = rest(ctx, g); err != nil {
		return m, err
	}
	if m.among, err = b.relay(ctx, addr, b.messages); err != nil {
		return m, err
	}
	if err = c.check(ctx); err != nil {
		return m, err
	}
	c.close()
	if m.alone[1], err = b.relay(ctx, addr, b.messages); err != nil {
		return m, err
	}
	after, err := g.Usage()
	m.peak = after.Peak
	return m, err
}

// rest lets the gateway come to rest and measures what the crowd takes then.
func rest(ctx context.Context, g *rig.Process) (u rig.Usage, load float64, err error) {
	const settle, watch = 2 * time.Second, 5 * time.Second
	var before rig.Usage
	for _, wait := range []time.Duration{settle, watch} {
		before = u
		select {
		case <-ctx.Done():
			return u, 0, ctx.Err()
		case <-time.After(wait):
		}
		if u, err = g.Usage(); err != nil {
			return u, 0, err
		}
	}
	return u, (u.CPU - before.CPU).Seconds() / watch.Seconds(), nil
}

func (b *bench) relay(ctx context.Context, addr string, messages int) (float64, error) {
	_, total, err := rig.Load{Sessions: b.sessions, Size: b.size}.Relay(ctx, addr, b.sink, messages)
	return float64(messages) / total.Seconds(), err
}

// start starts a gateway. Its Receive connectors share one binding: one relays
// for smtp-source, the other has the crowd, with the defaults for strangers but
// that there may be many and that nobody is sent away while he is counted.
func (b *bench) start(ctx context.Context) (g *rig.Process, addr string, err error) {
	dir := filepath.Join(b.dir, "postern.d")
	if err = errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
		return nil, "", err
	}
	file, addr := filepath.Join(dir, "postern.toml"), rig.FreeAddr(b.sink.Addr)
	text := fmt.Sprintf(`[server]
fqdn = "gateway.contoso.example"
data_dir = %q

[queue]
max_outbound_connections = "unlimited"
max_per_domain_outbound_connections = 20

[[accepted_domain]]
domain = "contoso.example"
type = "internal_relay"

[[receive_connector]]
name = "Source"
bindings = [%[2]q]
remote_ip_ranges = ["127.0.0.1"]
permission_groups = ["anonymous"]
grant = ["accept_any_recipient"]
auth_mechanism = ["none"]
max_inbound_connection_per_source = "unlimited"
max_inbound_connection_percentage_per_source = "unlimited"
message_rate_limit = "unlimited"
max_idle_commands = "unlimited"

[[receive_connector]]
name = "Crowd"
bindings = [%[2]q]
remote_ip_ranges = ["127.0.0.0/8"]
permission_groups = ["anonymous"]
max_inbound_connection = 100000
connection_timeout = "12h"
connection_inactivity_timeout = "11h"
tarpit_interval = "10m"

[[send_connector]]
name = "Out"
address_spaces = ["*"]
smart_hosts = [%[3]q]
tls = "ignore_starttls"
messages_per_connection = "unlimited"
`, filepath.Join(dir, "data"), addr, b.sink.Addr)
	if err = os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, "", err
	}
	output := filepath.Join(dir, "output")
	if g, err = rig.Launch(output, b.binary, "serve", "--config", file); err != nil {
		return nil, "", err
	}
	if err = rig.Await(ctx, addr); err != nil {
		g.Stop()
		log, _ := os.ReadFile(output)
		return nil, "", fmt.Errorf("%w; the gateway printed:\n%s", err, log)
	}
	return g, addr, nil
}
