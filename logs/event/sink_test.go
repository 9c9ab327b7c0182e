package event

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
	"postern/internal/eventid"
	"postern/internal/metrics"
)

// pipe is a writer that fails or hangs when it is told to.
type pipe struct {
	paper
	err  error
	hang chan struct{}
}

func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	hang, err := p.hang, p.err
	p.mu.Unlock()
	if hang != nil {
		<-hang
	}
	if err != nil {
		return 0, err
	}
	return p.paper.Write(b)
}

func (p *pipe) set(err error, hang chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err, p.hang = err, hang
}

// TestSinkHangs: a sink that takes nothing holds nobody up; what finds no room
// is counted, and told once.
func TestSinkHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(pipe)
		hang := make(chan struct{})
		p.set(nil, hang)
		registry := new(metrics.Registry)
		l := Open(Options{Stderr: p, Metrics: registry})
		logger := l.Logger(eventid.Control)
		const all = 20_000
		began := time.Now()
		for range all {
			logger.Info("control socket", eventid.ControlRequest.Attr(), "request", strings.Repeat("x", 100))
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("the gateway waited for %v", d)
		}
		synctest.Wait()
		lost := registry.Counter("event_log_lost_events", metrics.Label{Name: "sink", Value: "stderr"}).Value()
		if waiting := (*l.sinks.Load())[0].waiting; waiting > maxWaiting || lost < all/2 {
			t.Errorf("%d octets wait, %d events are lost", waiting, lost)
		}
		if tr := l.Trouble(); len(tr) != 1 || tr[0].ID != eventid.EventSinkFailed || !strings.Contains(tr[0].Attributes.Get("error"), "slower than events come") {
			t.Errorf("told: %+v", tr)
		}
		p.set(nil, nil)
		close(hang)
		time.Sleep(time.Second)
		synctest.Wait()
		if tr := l.Trouble(); len(tr) != 2 || tr[0].ID != eventid.EventSinkBack || tr[0].Attributes.Get("events_lost") != fmt.Sprint(lost) {
			t.Errorf("told: %+v", tr[0])
		}
		closeLog(t, l)
		if n := int64(len(p.lines())); n < all-lost || n > all-lost+2 {
			t.Errorf("%d lines of %d, %d lost", n, all, lost)
		}
	})
}

// TestSinkFails: a sink that fails is tried again, slower and slower, and loses
// nothing that finds room.
func TestSinkFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(pipe)
		p.set(errors.New("no reader"), nil)
		l := Open(Options{Stderr: p})
		logger := l.Logger(eventid.Control)
		for n := range 100 {
			logger.Info("control socket", eventid.ControlRequest.Attr(), "n", n)
			time.Sleep(time.Second)
		}
		p.set(nil, nil)
		time.Sleep(2 * maxBackoff)
		tr := l.Trouble()
		if len(tr) != 2 || tr[1].ID != eventid.EventSinkFailed || !strings.Contains(tr[1].Attributes.Get("error"), "no reader; it is tried again") || tr[0].Attributes.Get("events_lost") != "0" {
			t.Errorf("told: %+v", tr)
		}
		closeLog(t, l)
		if n := len(p.lines()); n != 102 {
			t.Errorf("%d lines", n)
		}
	})
}

// TestCloseGivesUp: neither a sink that fails nor one that hangs keeps the
// gateway from ending, and Close says what is lost.
func TestCloseGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(pipe)
		p.set(errors.New("no reader"), nil)
		l := Open(Options{Stderr: p})
		l.Logger(eventid.Queue).Info("one")
		l.Logger(eventid.Queue).Info("two")
		time.Sleep(10 * time.Second)
		if err := l.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "stderr: 3 events are lost") {
			t.Errorf("close: %v", err)
		}
		hang := make(chan struct{})
		p.set(nil, hang)
		l = Open(Options{Stderr: p})
		l.Logger(eventid.Queue).Info("one")
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 3*time.Second {
			t.Errorf("close: %v after %v", err, time.Since(began))
		}
		close(hang)
	})
}

// TestReconfigure: another format holds from the next event on, and nothing is
// lost.
func TestReconfigure(t *testing.T) {
	l, p := openLog(t, config.EventLog{})
	logger := l.Logger(eventid.Control)
	for n := range 100 {
		l.Configure(config.EventLog{Format: []string{"text", "json"}[n%2]})
		logger.Info("control socket", eventid.ControlRequest.Attr(), "n", n)
	}
	closeLog(t, l)
	lines := p.lines()
	for n := range 100 {
		want := fmt.Sprintf(" n=%d", n)
		if n%2 == 1 {
			want = fmt.Sprintf(`"n":"%d"`, n)
		}
		if len(lines) != 100 || !strings.Contains(lines[n], want) {
			t.Fatalf("%d lines; line %d: %s", len(lines), n, lines[n])
		}
	}
}
