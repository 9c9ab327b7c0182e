//go:build linux

package main_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// edge writes the configuration file of a gateway under test. Its zero value
// is of no use; newEdge gives one.
type edge struct {
	dir     string
	dataDir string
	addr    string // the binding of the Receive connector "In"
	top     string // more tables, before the connectors
	receive string // more keys of "In"
	more    string // more tables, behind
	send    string // the Send connectors
}

func newEdge(t testing.TB) *edge {
	t.Helper()
	dir := tempDir(t)
	return &edge{dir: dir, dataDir: filepath.Join(dir, "data"), addr: freeAddr(t), receive: relay}
}

// relay lets everybody relay: the tests come from this host alone.
const relay = `
permission_groups = ["anonymous"]
grant = ["accept_any_recipient"]
`

// unlimited lifts the limits of a Receive connector that would hold a load
// test back.
const unlimited = `
max_inbound_connection = "unlimited"
max_inbound_connection_per_source = "unlimited"
max_inbound_connection_percentage_per_source = "unlimited"
message_rate_limit = "unlimited"
tarpit_interval = "0s"
auth_tarpit_interval = "0s"
max_idle_commands = "unlimited"
`

// route adds a Send connector to a smart host.
func (e *edge) route(name, space, host, keys string) {
	e.send += fmt.Sprintf("\n[[send_connector]]\nname = %q\naddress_spaces = [%q]\nsmart_hosts = [%q]\n%s\n", name, space, host, keys)
}

func (e *edge) toml() string {
	return fmt.Sprintf(`[server]
fqdn = "edge.contoso.example"
data_dir = %q
%s
[[accepted_domain]]
domain = "contoso.example"

[[receive_connector]]
name = "In"
bindings = [%q]
%s%s%s%s`, e.dataDir, e.top, e.addr, unlimited, e.receive, e.more, e.send)
}

func (e *edge) path() string { return filepath.Join(e.dir, "postern.toml") }

func (e *edge) write(t testing.TB) {
	t.Helper()
	writeFile(t, e.path(), e.toml())
}

// impatient makes the retry schedule as short as it goes.
const impatient = "[queue]\nretry = [\"1s\"]\n"

// gateway is a running binary.
type gateway struct {
	*process
	edge *edge
}

// serve writes the file, starts the gateway and waits for its greeting.
func (e *edge) serve(t testing.TB) *gateway {
	t.Helper()
	return e.serveIn(t, home())
}

func (e *edge) serveIn(t testing.TB, p *place) *gateway {
	t.Helper()
	e.write(t)
	g := &gateway{process: launch(t, p, &output{}, binary(t), "serve", "--config", e.path()), edge: e}
	g.awaitGreeting(t, p)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the gateway printed:\n%s", tail(g.output.String()))
		}
		if strings.Contains(g.output.String(), "DATA RACE") {
			t.Errorf("data race in the gateway:\n%s", tail(g.output.String()))
		}
	})
	return g
}

// awaitGreeting waits until the gateway answers at its address, and has tried
// all the others that it listens on.
func (g *gateway) awaitGreeting(t testing.TB, p *place) {
	t.Helper()
	until(t, "the gateway's greeting", func() bool {
		select {
		case <-g.exited:
			t.Fatalf("the gateway ended at start: %v\n%s", g.err, g.output)
		default:
		}
		return greets(p, g.edge.addr) && strings.Contains(g.output.String(), "gateway is running")
	})
}

// greets tells whether an SMTP server answers at an address.
func greets(p *place, addr string) bool {
	conn, err := p.dial("", addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	b := make([]byte, 4)
	n, err := conn.Read(b)
	return err == nil && n == 4 && string(b) == "220 "
}

// stop ends the gateway in good order and insists on exit code 0.
func (g *gateway) stop(t testing.TB) {
	t.Helper()
	if err := g.terminate(t); err != nil {
		t.Fatalf("after SIGTERM: %v, want exit code 0; it printed:\n%s", err, tail(g.output.String()))
	}
}

// postern runs a command with the gateway's file.
func (e *edge) postern(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return runCommand(t, "", binary(t), append(args, "--config", e.path())...)
}

// reload applies the edge's present settings with the command.
func (g *gateway) reload(t testing.TB) (code int, stdout, stderr string) {
	t.Helper()
	g.edge.write(t)
	return g.edge.postern(t, "reload")
}

// hup applies the edge's present settings with SIGHUP; it does not wait.
func (g *gateway) hup(t testing.TB) {
	t.Helper()
	g.edge.write(t)
	g.signal(syscall.SIGHUP)
}

// protocolLog returns all lines of all protocol logs.
func (e *edge) protocolLog(t testing.TB) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(filepath.Join(e.dataDir, "logs", "ProtocolLog"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all.Write(b)
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return all.String()
}

func port(t testing.TB, addr string) string {
	t.Helper()
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
