package rig

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Sink is smtp-sink, whose running counters are read as it prints them.
type Sink struct {
	Addr   string
	cmd    *exec.Cmd
	count  atomic.Int64
	latest atomic.Int64 // in nanoseconds since the epoch
	done   chan struct{}
	errors bytes.Buffer
}

// NewSink starts smtp-sink at an address of loopback and waits until it greets.
func NewSink(ctx context.Context, addr string) (*Sink, error) {
	program, err := LookPath("smtp-sink")
	if err != nil {
		return nil, err
	}
	s := &Sink{Addr: addr, done: make(chan struct{})}
	args := []string{"-c"}
	if os.Geteuid() == 0 {
		args = append(args, "-u", "postfix")
	}
	s.cmd = exec.Command(program, append(args, s.Addr, "1000")...)
	s.cmd.Stderr = &s.errors
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go s.read(out)
	if err := Await(ctx, s.Addr); err != nil {
		s.Stop()
		return nil, fmt.Errorf("smtp-sink: %w\n%s", err, s.errors.String())
	}
	return s, nil
}

// read follows the counters: "sess=5 quit=5 mesg=5\r".
func (s *Sink) read(out io.Reader) {
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

// Count is how many messages came so far.
func (s *Sink) Count() int64 { return s.count.Load() }

// At is when the latest message came, as the time since began.
func (s *Sink) At(began time.Time) time.Duration { return time.Unix(0, s.latest.Load()).Sub(began) }

// Ended tells whether the sink has stopped by itself.
func (s *Sink) Ended() error {
	select {
	case <-s.done:
		return errors.New("smtp-sink has ended")
	default:
		return nil
	}
}

// Stop ends the sink, as a host that goes down.
func (s *Sink) Stop() {
	_ = s.cmd.Process.Kill()
	<-s.done
	_ = s.cmd.Wait()
}
