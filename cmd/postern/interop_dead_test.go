//go:build linux

package main_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// processorTime is what a process has used since its start (proc(5)).
func (p *process) processorTime(t testing.TB) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100
}

// resident is how much memory a process has in use, in octets.
func (p *process) resident(t testing.TB) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// TestNextHopsDead keeps mail for next hops of which one refuses connections,
// one has a name that no name server answers for, and one greets nobody. While
// it waits the gateway does next to nothing; when they are back they are not
// run over.
func TestNextHopsDead(t *testing.T) {
	t.Parallel()
	const perHop = 5 // connections at a time
	var back *sink
	most := 0 // connections to it at a time, guarded by its lock
	back = newSink(t, sinkOptions{Delay: 2 * time.Millisecond, Answer: func(int, string) string {
		back.mu.Lock()
		defer back.mu.Unlock()
		most = max(most, len(back.conns))
		return ""
	}})
	back.close()
	mute := newSink(t, sinkOptions{Answer: func(int, string) string { return "421 4.3.2 not now" }})
	e := newEdge(t)
	// A name server that nobody runs.
	e.top = fmt.Sprintf("[dns]\nservers = [%q]\n[queue]\nretry = [\"2s\"]\nmax_per_domain_outbound_connections = %d\n", freeAddr(t), perHop)
	e.route("down", "y.example", back.addr, "")
	e.route("mute", "mute.example", mute.addr, "")
	e.send += "\n[[send_connector]]\nname = \"by MX\"\naddress_spaces = [\"*\"]\n"
	g := e.serve(t)
	many := 2000
	switch {
	case inFull():
		many = 20_000
	case raceEnabled:
		many = 500
	}
	l := startLoad(e.addr, 8)
	untilWithin(t, 5*time.Minute, "many messages", func() bool { return l.count() >= many })
	acked := l.end(t)
	for i := range 20 {
		dial(t, e.addr).deliver(t, "a@contoso.example", fmt.Sprintf("b@d%d.nowhere.example", i), letter("no name server"))
		dial(t, e.addr).deliver(t, "a@contoso.example", "b@mute.example", letter("mute"))
	}
	before, began := g.processorTime(t), time.Now()
	attempts := mute.sessionCount()
	const watched = 5 * time.Second // what a busy loop would use up
	timer := time.NewTimer(watched)
	defer timer.Stop()
	<-timer.C
	used, took := g.processorTime(t)-before, time.Since(began)
	if !raceEnabled && used > took/5 {
		t.Errorf("with nothing to be done the gateway used %v of processor time in %v", used, took)
	}
	if n := mute.sessionCount() - attempts; n > 2*int(took/(2*time.Second)+1) {
		t.Errorf("a next hop that greets nobody was tried %d times in %v, with a retry every 2 s", n, took)
	}
	if n := g.resident(t); !raceEnabled && n > 256<<20 {
		t.Errorf("%d MB are in use for %d messages", n>>20, len(acked))
	}
	back.listen(t)
	began = time.Now()
	var missing []int64
	awaitAll(t, back, acked, &missing)
	if len(missing) > 0 {
		t.Fatalf("%d of %d messages did not leave", len(missing), len(acked))
	}
	took = time.Since(began)
	g.stop(t)
	back.mu.Lock()
	// The sink may still be closing one when its successor comes.
	if most > 2*perHop {
		t.Errorf("the next hop that came back had %d connections at a time, with a limit of %d", most, perHop)
	}
	back.mu.Unlock()
	// A connection carries 20 messages at most.
	if n := back.sessionCount(); n > len(acked)/20*2+10*perHop {
		t.Errorf("%d connections for %d messages", n, len(acked))
	}
	t.Logf("%d messages waited with %v of processor time in %v and left in %v over %d connections, at most %d at a time", len(acked), used, watched, took.Round(time.Millisecond), back.sessionCount(), most)
	for id, at := range newTallyIDs(back.all()).copies {
		if len(at) > 1 {
			t.Errorf("message %d was sent %d times", id, len(at))
		}
	}
}
