package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// waiting is how long anything here may take to start, to stop, or to relay
// one more message.
const waiting = 30 * time.Second

// warmUp is how many messages a gateway relays before it is measured.
const warmUp = 500

// bench is the frame of all measurements: a directory and a sink.
type bench struct {
	*settings
	dir  string
	sink *sink
}

func newBench(ctx context.Context, s *settings) (b *bench, err error) {
	dir, err := os.MkdirTemp(s.dir, "relay-")
	if err != nil {
		return nil, err
	}
	b = &bench{settings: s, dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if err = os.Chmod(dir, 0o755); err != nil { // Postfix enters it as another user
		return nil, err
	}
	if s.binary == "" {
		b.binary = filepath.Join(dir, "postern")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", b.binary, "postern/cmd/postern").CombinedOutput(); err != nil {
			return b, fmt.Errorf("go build: %w\n%s", err, out)
		}
	} else if b.binary, err = filepath.Abs(s.binary); err != nil {
		return b, err
	}
	b.sink, err = newSink(ctx)
	return b, err
}

func (b *bench) close() error {
	if b.sink != nil {
		b.sink.stop()
	}
	return os.RemoveAll(b.dir)
}

// measured is what one measurement gave.
type measured struct {
	accepted time.Duration // until smtp-source had ended
	total    time.Duration // until the last message was at the sink
	cpu      time.Duration // of the gateway for one message, with its start and stop spread over all
}

// measure starts a contender, warms it up, and times the messages through it.
func (b *bench) measure(ctx context.Context, c contender) (m measured, err error) {
	addr := b.sink.addr
	stop := func() time.Duration { return 0 }
	if c.start != nil {
		addr = freeAddr()
		if stop, err = c.start(ctx, addr); err != nil {
			return m, err
		}
	}
	defer func() { m.cpu = stop() / time.Duration(warmUp+b.messages) }()
	if err = await(ctx, addr); err != nil {
		return m, err
	}
	if _, _, err = b.relay(ctx, addr, warmUp); err != nil {
		return m, err
	}
	m.accepted, m.total, err = b.relay(ctx, addr, b.messages)
	return m, err
}

// relay sends messages to an address and waits until all are at the sink.
func (b *bench) relay(ctx context.Context, addr string, messages int) (accepted, total time.Duration, err error) {
	program, err := lookPath("smtp-source")
	if err != nil {
		return 0, 0, err
	}
	args := []string{"-s", strconv.Itoa(b.sessions), "-m", strconv.Itoa(messages), "-l", strconv.Itoa(b.size),
		"-f", "source@contoso.example", "-t", "sink@fabrikam.example"}
	if b.reuse {
		args = append(args, "-d")
	}
	goal := b.sink.count.Load() + int64(messages)
	began := time.Now()
	if out, err := exec.CommandContext(ctx, program, append(args, "inet:"+addr)...).CombinedOutput(); err != nil {
		return 0, 0, fmt.Errorf("smtp-source: %w\n%s", err, out)
	}
	accepted = time.Since(began)
	last, since := int64(-1), time.Now()
	for {
		n := b.sink.count.Load()
		if n >= goal {
			return accepted, b.sink.at(began), nil
		}
		if n != last {
			last, since = n, time.Now()
		}
		if time.Since(since) > waiting || ctx.Err() != nil {
			return 0, 0, fmt.Errorf("%d messages did not arrive within %v of the one before: %w", goal-n, waiting, errors.Join(ctx.Err(), b.sink.ended()))
		}
		time.Sleep(time.Millisecond)
	}
}

// sink is smtp-sink, whose running counters are read as it prints them.
type sink struct {
	addr   string
	cmd    *exec.Cmd
	count  atomic.Int64 // messages so far
	latest atomic.Int64 // when the latest came, in nanoseconds since the epoch
	done   chan struct{}
	errors bytes.Buffer
}

func newSink(ctx context.Context) (*sink, error) {
	program, err := lookPath("smtp-sink")
	if err != nil {
		return nil, err
	}
	s := &sink{addr: freeAddr(), done: make(chan struct{})}
	args := []string{"-c"}
	if os.Geteuid() == 0 {
		args = append(args, "-u", "postfix")
	}
	s.cmd = exec.Command(program, append(args, s.addr, "1000")...)
	s.cmd.Stderr = &s.errors
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go s.read(out)
	if err := await(ctx, s.addr); err != nil {
		s.stop()
		return nil, fmt.Errorf("smtp-sink: %w\n%s", err, s.errors.String())
	}
	return s, nil
}

// read follows the counters: "sess=5 quit=5 mesg=5\r".
func (s *sink) read(out io.Reader) {
	defer close(s.done)
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\r')
		if err != nil {
			return
		}
		_, number, _ := strings.Cut(line, "mesg=")
		if n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64); err == nil && n > s.count.Load() {
			s.latest.Store(time.Now().UnixNano())
			s.count.Store(n)
		}
	}
}

// at is when the latest message came, as the time since began.
func (s *sink) at(began time.Time) time.Duration { return time.Unix(0, s.latest.Load()).Sub(began) }

// ended tells whether the sink has stopped by itself.
func (s *sink) ended() error {
	select {
	case <-s.done:
		return errors.New("smtp-sink has ended")
	default:
		return nil
	}
}

func (s *sink) stop() {
	_ = s.cmd.Process.Kill()
	<-s.done
	_ = s.cmd.Wait()
}

// freeAddr is an address of loopback that nothing listens on, with a port
// below those that the system gives to outgoing connections.
func freeAddr() string {
	for port := 12000 + os.Getpid()%10000; ; port++ {
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
}

// await waits until a server greets at an address.
func await(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, waiting)
	defer cancel()
	for {
		if c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr); err == nil {
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			n, err := c.Read(make([]byte, 4))
			c.Close()
			if n == 4 && err == nil {
				return nil
			}
		}
		if ctx.Err() != nil {
			return fmt.Errorf("no greeting at %s: %w", addr, ctx.Err())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// lookPath finds a program also where only root's path leads.
func lookPath(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
			if p, e := exec.LookPath(filepath.Join(dir, program)); e == nil {
				return p, nil
			}
		}
		return "", fmt.Errorf("%w; install Postfix", err)
	}
	return path, nil
}

// start runs a program until the returned function is called.
// It returns the processor time that the program and its children have used.
func start(logPath, name string, args ...string) (stop func() time.Duration, err error) {
	log, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return func() time.Duration {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(waiting, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		timer.Stop()
		log.Close()
		return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}, nil
}
