package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"postern/bench/internal/rig"
	"postern/queue/spool"
)

// bench is the frame of all measurements: a directory, a name server, and the
// gateway that runs.
type bench struct {
	*settings
	dir   string
	names *nameServer
	port  int // of all next hops
}

func newBench(ctx context.Context, s *settings) (b *bench, err error) {
	dir, err := os.MkdirTemp(s.dir, "queue-")
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
	_, port, _ := strings.Cut(rig.FreeAddr(), ":")
	if b.port, err = strconv.Atoi(port); err != nil {
		return b, err
	}
	b.names, err = serveNames()
	return b, err
}

func (b *bench) close() error {
	var err error
	if b.names != nil {
		err = b.names.close()
	}
	return errors.Join(err, os.RemoveAll(b.dir))
}

// room refuses to begin what the disk can't hold.
func (b *bench) room(octets int64) error {
	_, free, err := spool.OS().Volume(b.dir)
	if err != nil {
		return err
	}
	if free < octets {
		return fmt.Errorf("%s has %s free, and this may take %s: give another -dir or less to measure", b.dir, size(free), size(octets))
	}
	return nil
}

// sink is the address where smtp-sink listens.
func (b *bench) sink() string { return fmt.Sprintf("127.0.0.1:%d", b.port) }

// gateway is a running binary.
type gateway struct {
	*rig.Process
	b             *bench
	file, addr    string
	began         time.Time
	ready         time.Duration // from the start of the process to its greeting
	data, logPath string
}

// start starts a gateway over the spool of a name, and waits until it greets,
// for so long at most.
func (b *bench) start(ctx context.Context, name, queue string, patience time.Duration) (*gateway, error) {
	dir := filepath.Join(b.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	g := &gateway{b: b, file: filepath.Join(dir, "postern.toml"), addr: rig.FreeAddr(b.sink()), data: filepath.Join(dir, "data"), logPath: filepath.Join(dir, "output")}
	if err := os.WriteFile(g.file, b.config(g, queue), 0o600); err != nil {
		return nil, err
	}
	progress := newProgress("starting " + name)
	defer progress.end()
	var err error
	g.began = time.Now()
	if g.Process, err = rig.Launch(g.logPath, b.binary, "serve", "--config", g.file); err != nil {
		return nil, err
	}
	for !rig.Greets(ctx, g.addr) {
		if time.Since(g.began) > patience || ctx.Err() != nil {
			log, _ := os.ReadFile(g.logPath)
			g.Stop()
			return nil, errors.Join(fmt.Errorf("no greeting within %v; it printed:\n%s", patience, log), ctx.Err())
		}
		progress.show("%v", time.Since(g.began).Round(time.Second))
		time.Sleep(5 * time.Millisecond)
	}
	g.ready = time.Since(g.began)
	return g, nil
}

func (b *bench) config(g *gateway, queue string) []byte {
	return fmt.Appendf(nil, `[server]
fqdn = "gateway.contoso.example"
data_dir = %[1]q

[dns]
servers = [%[2]q]

[queue]
%[3]s

[[receive_connector]]
name = "In"
bindings = [%[4]q]
remote_ip_ranges = ["127.0.0.1"]
permission_groups = ["anonymous"]
grant = ["accept_any_recipient"]
auth_mechanism = ["none"]
max_inbound_connection = "unlimited"
max_inbound_connection_per_source = "unlimited"
max_inbound_connection_percentage_per_source = "unlimited"
message_rate_limit = "unlimited"

[[send_connector]]
name = "To the sink"
address_spaces = ["fabrikam.example"]
smart_hosts = [%[5]q]
tls = "ignore_starttls"
messages_per_connection = "unlimited"

[[send_connector]]
name = "By MX"
address_spaces = ["*"]
port = %[6]d
tls = "ignore_starttls"
`, g.data, b.names.addr, queue, g.addr, b.sink(), b.port)
}

// ask runs a command of the gateway and tells what it printed and how long it
// took.
func (g *gateway) ask(ctx context.Context, args ...string) (stdout []byte, took time.Duration, err error) {
	cmd := exec.CommandContext(ctx, g.b.binary, append(args, "--config", g.file)...)
	began := time.Now()
	stdout, err = cmd.Output()
	took = time.Since(began)
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		err = fmt.Errorf("postern %s: %w\n%s", strings.Join(args, " "), err, exit.Stderr)
	}
	return stdout, took, err
}

// best is the shortest of several runs of a command, and the longest.
func (g *gateway) best(ctx context.Context, args ...string) (shortest, longest time.Duration, err error) {
	for i := range 5 {
		_, took, err := g.ask(ctx, args...)
		if err != nil {
			return 0, 0, err
		}
		if longest = max(longest, took); i == 0 || took < shortest {
			shortest = took
		}
	}
	return shortest, longest, nil
}

// rest waits until the gateway uses next to no processor time, for a minute at
// most, and measures how much it uses then.
func (g *gateway) rest(ctx context.Context) (u rig.Usage, load float64, err error) {
	progress := newProgress("waiting for rest")
	defer progress.end()
	const step = 5 * time.Second
	last, err := g.Usage()
	for began := time.Now(); err == nil; {
		select {
		case <-ctx.Done():
			return u, 0, ctx.Err()
		case <-time.After(step):
		}
		if u, err = g.Usage(); err != nil {
			break
		}
		load = (u.CPU - last.CPU).Seconds() / step.Seconds()
		last = u
		progress.show("%.1f %% of a processor", 100*load)
		if load < 0.01 || time.Since(began) > time.Minute {
			return u, load, nil
		}
	}
	return u, 0, err
}

// disk is what the files below a directory take.
func disk(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		fi, err := d.Info()
		if err == nil {
			n += fi.Size()
		}
		return err
	})
	return n, err
}

// size prints octets for people.
func size(n int64) string {
	if n >= 1<<30 {
		return fmt.Sprintf("%.2f GB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%.0f MB", float64(n)/(1<<20))
}

// progress shows on a terminal how far something is, when it takes longer than
// two seconds.
type progress struct {
	what        string
	began, last time.Time
}

func newProgress(what string) *progress { return &progress{what: what, began: time.Now()} }

func (p *progress) show(format string, args ...any) {
	now := time.Now()
	if term.IsTerminal(int(os.Stderr.Fd())) && now.Sub(p.began) > 2*time.Second && now.Sub(p.last) > time.Second/2 {
		p.last = now
		fmt.Fprintf(os.Stderr, "\r%s: %s\x1b[K", p.what, fmt.Sprintf(format, args...))
	}
}

func (p *progress) end() {
	if !p.last.IsZero() {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}
