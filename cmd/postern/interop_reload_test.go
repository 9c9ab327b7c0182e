//go:build linux

package main_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestReloadUnderTraffic adds, removes and renames connectors of both
// directions while clients send. Whatever was acknowledged arrives once.
func TestReloadUnderTraffic(t *testing.T) {
	t.Parallel()
	one, two := newSink(t, sinkOptions{Delay: time.Millisecond}), newSink(t, sinkOptions{Delay: time.Millisecond})
	e := newEdge(t)
	e.top = impatient
	extra := freeAddr(t)
	second := func(name string) string {
		return fmt.Sprintf("\n[[receive_connector]]\nname = %q\nbindings = [%q]\n%s%s", name, extra, unlimited, relay)
	}
	steps := []struct {
		what string
		set  func()
	}{
		{"a Send connector renamed", func() { e.send = ""; e.route("renamed", "*", one.addr, "") }},
		{"another host", func() { e.send = ""; e.route("renamed", "*", two.addr, "") }},
		{"a Send connector added", func() { e.route("for y", "y.example", one.addr, "") }},
		{"a Receive connector added", func() { e.more = second("Extra") }},
		{"the Send connector removed", func() { e.send = ""; e.route("renamed", "*", two.addr, "") }},
		{"the Receive connector renamed", func() { e.more = second("Other") }},
		{"no Send connector for y.example", func() { e.send = ""; e.route("elsewhere", "z.example", two.addr, "") }},
		{"the Receive connector removed", func() { e.more = "" }},
		{"and back", func() { e.send = ""; e.route("out", "*", one.addr, "") }},
	}
	e.route("out", "*", one.addr, "")
	g := e.serve(t)
	l := startLoad(e.addr, 3)
	x := startLoad(extra, 1) // whose binding comes and goes
	x.next.Store(1_000_000)
	rounds := 2
	switch {
	case inFull():
		rounds = 20
	case raceEnabled:
		rounds = 1
	}
	for round := range rounds {
		for _, step := range steps {
			step.set()
			if code, stdout, stderr := g.reload(t); code != 0 {
				t.Fatalf("%s: exit code %d\n%s%s", step.what, code, stdout, stderr)
			}
			n := l.count()
			until(t, "mail after "+step.what, func() bool { return l.count() >= n+10 })
			if strings.Contains(e.more, "Extra") {
				n := x.count()
				until(t, "mail by the added connector", func() bool { return x.count() > n })
			}
		}
		if round == 0 {
			e.wants(t, 0, "", "queue", "list") // nothing hangs
		}
	}
	acked := l.end(t)
	for id := range x.end(t) {
		acked[id] = true
	}
	deadline := time.Now().Add(2 * patience)
	all := func() []*delivery { return append(one.all(), two.all()...) }
	missing := newTallyIDs(all()).lost(acked)
	for len(missing) > 0 && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
		missing = newTallyIDs(all()).lost(acked)
	}
	if len(missing) > 0 {
		t.Errorf("%d of %d acknowledged messages are lost, such as %v", len(missing), len(acked), missing[:min(10, len(missing))])
	}
	g.stop(t)
	for id, at := range newTally(t, all()).copies {
		if len(at) > 1 {
			t.Errorf("message %d was sent %d times", id, len(at))
		}
	}
	t.Logf("%d messages over %d reloads; %d by one next hop, %d by the other", len(acked), rounds*len(steps), one.count(), two.count())
	if one.count() == 0 || two.count() == 0 {
		t.Error("one of the next hops got nothing: the reloads had no effect")
	}
	emptySpool(t, e)
}
