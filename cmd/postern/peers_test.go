//go:build linux

// Package main_test tests the program from outside, as the binary that an
// administrator runs, between real peers: a sink and a client of its own that
// share no code with the gateway, and Postfix, swaks, smtp-source, unbound and
// Python where they are installed.
package main_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for something that takes milliseconds on
// an idle machine.
const patience = 20 * time.Second

// workshop is the directory that holds the binary while the tests run.
var workshop string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "postern-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	workshop = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// build makes the binary once, with the race detector when the tests have it.
var build = sync.OnceValues(func() (string, error) {
	path := filepath.Join(workshop, "postern")
	args := []string{"build", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "postern/cmd/postern")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

func binary(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// inCI tells whether everything must be there: what is skipped elsewhere fails
// in CI.
func inCI() bool { return os.Getenv("CI") == "true" }

// inFull tells whether the tests that take minutes run too.
func inFull() bool { return os.Getenv("POSTERN_TEST_FULL") == "true" }

// lacking ends a test that can't run on this machine.
func lacking(t testing.TB, format string, args ...any) {
	t.Helper()
	if inCI() {
		t.Fatalf("CI=true, but "+format, args...)
	}
	t.Skipf(format, args...)
}

// need returns the path of a peer's program.
func need(t testing.TB, program string) string {
	t.Helper()
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path
		}
	}
	lacking(t, "%s is not installed", program)
	return ""
}

// needRoot is for what only root may do: mounts, namespaces, Postfix, port 25.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		lacking(t, "this takes root")
	}
}

// place is a thread that starts processes and opens sockets. Its processes die
// with it, and so with the tests, however these end. A place may have a
// network of its own.
type place struct{ work chan func() }

// home is the place with the network of this machine.
var home = sync.OnceValue(func() *place { return newPlace() })

func newPlace() *place {
	p := &place{work: make(chan func())}
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		for f := range p.work {
			f()
		}
	}()
	return p
}

// run calls f on the place's thread.
func (p *place) run(f func()) {
	done := make(chan struct{})
	p.work <- func() { defer close(done); f() }
	<-done
}

func (p *place) start(cmd *exec.Cmd) (err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	p.run(func() { err = cmd.Start() })
	return err
}

func (p *place) listen(addr string) (l net.Listener, err error) {
	p.run(func() { l, err = net.Listen("tcp", addr) })
	return l, err
}

// dial connects from an address of this machine, or from any when local is
// empty.
func (p *place) dial(local, addr string) (c net.Conn, err error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	if local != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(local)}
	}
	p.run(func() { c, err = d.Dial("tcp", addr) })
	return c, err
}

// newNetwork returns a place whose network holds nothing but a loopback
// interface with these addresses besides 127.0.0.1.
func newNetwork(t testing.TB, addresses ...string) *place {
	t.Helper()
	needRoot(t)
	ip := need(t, "ip")
	p := newPlace()
	t.Cleanup(func() { close(p.work) })
	var err error
	p.run(func() {
		if err = syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
			return
		}
		err = exec.Command(ip, "link", "set", "lo", "up").Run()
		for _, a := range addresses {
			err = errors.Join(err, exec.Command(ip, "address", "add", a, "dev", "lo").Run())
		}
	})
	if err != nil {
		lacking(t, "no network namespace can be made: %v", err)
	}
	return p
}

// process is a program that runs beside the test.
type process struct {
	name   string
	cmd    *exec.Cmd
	output *output
	exited chan struct{}
	err    error // valid after exited
}

// output collects what a process prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// launch starts a program that is killed at the end of the test unless it has
// ended before.
func launch(t testing.TB, p *place, out *output, name string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = time.Second // a child may hold them open
	pr := &process{name: filepath.Base(name), cmd: cmd, output: out, exited: make(chan struct{})}
	if err := p.start(cmd); err != nil {
		t.Fatal(err)
	}
	go func() {
		pr.err = cmd.Wait()
		close(pr.exited)
	}()
	t.Cleanup(pr.kill)
	return pr
}

func (p *process) signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

// kill ends the process at once and waits for it.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.exited
}

// terminate asks the process to end and waits for it.
func (p *process) terminate(t testing.TB) error {
	t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.exited:
		return p.err
	case <-time.After(patience):
		p.signal(syscall.SIGABRT) // a Go program prints its goroutines and ends
		select {
		case <-p.exited:
		case <-time.After(patience):
		}
		t.Fatalf("%s still runs %v after SIGTERM; it printed:\n%s", p.name, patience, tail(p.output.String()))
		return nil
	}
}

// tail is the end of a long text.
func tail(s string) string {
	const most = 16 << 10
	if len(s) > most {
		return "[...]" + s[len(s)-most:]
	}
	return s
}

// runCommand runs a program to its end and returns its exit code and what it
// printed.
func runCommand(t testing.TB, stdin string, name string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), errors.Join(err, ctx.Err()), out.String(), errs.String())
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// until waits for a condition.
func until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	untilWithin(t, patience, what, condition)
}

func untilWithin(t testing.TB, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still waiting: %s", limit, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

var (
	portsMu   sync.Mutex
	portsUsed = map[int]bool{}
)

// freeAddr returns an address of loopback that nothing listens on. Its port is
// below those that the system gives to outgoing connections.
func freeAddr(t testing.TB) string {
	t.Helper()
	portsMu.Lock()
	defer portsMu.Unlock()
	for range 1000 {
		port := 12000 + mathrand.IntN(20000)
		if portsUsed[port] {
			continue
		}
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			portsUsed[port] = true
			return addr
		}
	}
	t.Fatal("no free port was found")
	return ""
}

// tempDir is a directory with a short path that other users may enter, as
// Unix sockets and Postfix need it.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeFile(t testing.TB, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// certificate is a self-signed one for a name.
type certificate struct {
	tls      tls.Certificate
	cert     string // PEM
	key      string // PEM
	fileCert string
	fileKey  string
}

func newCertificate(t testing.TB, dir, name string) *certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c := &certificate{
		cert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		key:  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})),
	}
	if c.tls, err = tls.X509KeyPair([]byte(c.cert), []byte(c.key)); err != nil {
		t.Fatal(err)
	}
	c.fileCert = writeFile(t, filepath.Join(dir, name+".crt"), c.cert)
	c.fileKey = writeFile(t, filepath.Join(dir, name+".key"), c.key)
	return c
}

func (c *certificate) server() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c.tls}, MinVersion: tls.VersionTLS12}
}
