//go:build linux

package main_test

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// slowSink is a next hop that holds back its reply to the end of data until it
// is let.
func slowSink(t *testing.T) (s *sink, holding *atomic.Int32, release func()) {
	t.Helper()
	gate := make(chan struct{})
	holding = new(atomic.Int32)
	s = newSink(t, sinkOptions{Answer: func(_ int, line string) string {
		if line == "." {
			holding.Add(1)
			<-gate
		}
		return ""
	}})
	release = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	return s, holding, release
}

// awaitExit is how a gateway that was asked to stop ended.
func (g *gateway) awaitExit(t *testing.T) error {
	t.Helper()
	select {
	case <-g.exited:
	case <-time.After(patience):
		t.Fatalf("the gateway still runs; it printed:\n%s", tail(g.output.String()))
	}
	return g.err
}

// TestStopLetsFinish: after SIGTERM the message that a client is sending is
// taken and the delivery in hand is finished; idle sessions get 421, nobody is
// greeted any more, and the exit code is 0.
func TestStopLetsFinish(t *testing.T) {
	t.Parallel()
	s, holding, release := slowSink(t)
	e := newEdge(t)
	e.top = impatient
	e.route("out", "*", s.addr, "")
	g := e.serve(t)
	dial(t, e.addr).deliver(t, "a@contoso.example", "m1@y.example", string(numbered(1)))
	until(t, "the delivery", func() bool { return holding.Load() == 1 })
	idle, busy := dial(t, e.addr), dial(t, e.addr)
	idle.want(t, 250, "EHLO idle.example")
	busy.want(t, 250, "EHLO busy.example")
	busy.want(t, 250, "MAIL FROM:<a@contoso.example>")
	busy.want(t, 250, "RCPT TO:<m2@y.example>")
	busy.want(t, 354, "DATA")

	g.signal(syscall.SIGTERM)
	if r, err := idle.read(); err != nil || r.code != 421 {
		t.Errorf("an idle session: %v %v, want 421", r, err)
	}
	until(t, "the listener's end", func() bool { return !greets(home(), e.addr) })
	if err := busy.send(append(numbered(2), ".\r\n"...)); err != nil {
		t.Fatal(err)
	}
	if r, err := busy.read(); err != nil || r.code != 250 {
		t.Errorf("the message under way: %v %v, want 250", r, err)
	}
	release()
	if err := g.awaitExit(t); err != nil {
		t.Errorf("the gateway ended with %v, want exit code 0; it printed:\n%s", err, tail(g.output.String()))
	}
	g = e.serve(t) // the second message may have been left for this one
	s.await(t, 2)
	g.stop(t)
	for id, at := range newTally(t, s.all()).copies {
		if len(at) != 1 {
			t.Errorf("message %d was delivered %d times", id, len(at))
		}
	}
	emptySpool(t, e)
}

// TestStopCutsOff: what takes longer than shutdown_timeout is cut off: that is
// no failure of the gateway, and nothing is lost.
func TestStopCutsOff(t *testing.T) {
	t.Parallel()
	s, holding, release := slowSink(t)
	e := newEdge(t)
	e.top = "shutdown_timeout = \"1s\"\n" + impatient
	e.route("out", "*", s.addr, "")
	g := e.serve(t)
	const messages = 3
	for i := range int64(messages) {
		dial(t, e.addr).deliver(t, "a@contoso.example", fmt.Sprintf("m%d@y.example", i), string(numbered(i)))
	}
	until(t, "the deliveries", func() bool { return holding.Load() == messages })
	slow := dial(t, e.addr)
	slow.want(t, 250, "EHLO slow.example")
	slow.want(t, 250, "MAIL FROM:<a@contoso.example>")
	slow.want(t, 250, "RCPT TO:<m9@y.example>")
	slow.want(t, 354, "DATA")
	began := time.Now()
	g.signal(syscall.SIGTERM)
	if err := g.awaitExit(t); err != nil {
		t.Errorf("the gateway ended with %v, want exit code 0; it printed:\n%s", err, tail(g.output.String()))
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the stop took %v with a shutdown_timeout of 1 s", took)
	}
	if r, err := slow.read(); err == nil && r.code < 400 {
		t.Errorf("a message that was cut off: %v", r)
	}
	if out := g.output.String(); !strings.Contains(out, "shutdown_timeout was over") {
		t.Errorf("nothing says what was cut off:\n%s", tail(out))
	}
	release()
	s.await(t, messages) // by then the sink has taken what nobody waits for any more
	g = e.serve(t)
	s.await(t, 2*messages) // no 250 had been heard: it is sent again, and once
	g.stop(t)
	for id, at := range newTally(t, s.all()).copies {
		if len(at) != 2 || id == 9 {
			t.Errorf("message %d was taken %d times", id, len(at))
		}
	}
	emptySpool(t, e)
}

// TestSecondSignal: who asks twice means now.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	s, holding, _ := slowSink(t)
	e := newEdge(t)
	e.route("out", "*", s.addr, "")
	g := e.serve(t)
	dial(t, e.addr).deliver(t, "a@contoso.example", "m1@y.example", string(numbered(1)))
	until(t, "the delivery", func() bool { return holding.Load() == 1 })
	g.signal(syscall.SIGTERM)
	until(t, "word of the stop", func() bool { return strings.Contains(g.output.String(), "stopping") })
	select {
	case <-g.exited:
		t.Fatalf("it ended with a delivery in hand: %v", g.err)
	default:
	}
	began := time.Now()
	g.signal(syscall.SIGTERM)
	err := g.awaitExit(t)
	exit := new(exec.ExitError)
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM || time.Since(began) > 5*time.Second {
		t.Errorf("after a second SIGTERM: %v after %v", err, time.Since(began))
	}
}
