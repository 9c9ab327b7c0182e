//go:build linux

package main_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// killRounds is how often the gateway is killed: a few times in a quick run,
// fifty times in a full one.
func killRounds() int {
	if n, err := strconv.Atoi(os.Getenv("POSTERN_TEST_KILLS")); err == nil {
		return n
	}
	if inFull() {
		return 50
	}
	return 4
}

// load is a set of clients that send numbered messages and remember which of
// them were acknowledged.
type load struct {
	addr    string
	stop    chan struct{}
	workers sync.WaitGroup
	next    atomic.Int64

	mu    sync.Mutex
	acked map[int64]bool
	odd   []string // replies that a client must never see here
}

func startLoad(addr string, clients int) *load {
	l := &load{addr: addr, stop: make(chan struct{}), acked: map[int64]bool{}}
	for range clients {
		l.workers.Add(1)
		go func() {
			defer l.workers.Done()
			for !l.stopped() {
				l.session()
			}
		}()
	}
	return l
}

func (l *load) stopped() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

// session sends messages on one connection until it breaks or the load ends.
func (l *load) session() {
	conn, err := home().dial("", l.addr)
	if err != nil {
		select {
		case <-l.stop:
		case <-time.After(5 * time.Millisecond):
		}
		return
	}
	defer conn.Close()
	c, err := newClient(conn)
	if err != nil {
		return
	}
	if _, err := c.command("EHLO load.example"); err != nil {
		return
	}
	for !l.stopped() {
		id := l.next.Add(1)
		r, err := c.submit("<load@contoso.example>", []string{fmt.Sprintf("m%d@y.example", id)}, numbered(id))
		if err != nil {
			return
		}
		l.mu.Lock()
		switch {
		case r.code == 250:
			l.acked[id] = true
		case r.code >= 500:
			l.odd = append(l.odd, fmt.Sprintf("message %d: %v", id, r))
		}
		l.mu.Unlock()
		if r.code == 421 {
			return
		}
	}
}

// end stops the clients and returns the numbers of the acknowledged messages.
func (l *load) end(t testing.TB) map[int64]bool {
	t.Helper()
	close(l.stop)
	l.workers.Wait()
	for _, o := range l.odd {
		t.Errorf("a permanent refusal: %s", o)
	}
	return l.acked
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// numbered is the content of a message, which its number determines: mostly
// small, now and then too large to be kept in a journal segment.
func numbered(id int64) []byte {
	lines := 1 + int(id%40)
	if id%25 == 0 {
		lines = 6000
	}
	r := rand.New(rand.NewPCG(uint64(id), 7))
	b := fmt.Appendf(nil, "From: load@contoso.example\r\nDate: Tue, 4 Mar 2025 08:00:00 +0000\r\nMessage-ID: <%d@load.example>\r\nSubject: %d\r\n\r\n", id, id)
	for range lines {
		b = fmt.Appendf(b, "%016x%016x%016x%016x\r\n", r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64())
	}
	return b
}

// tally holds what a sink got against what was acknowledged.
type tally struct {
	copies map[int64][]time.Time // when each copy arrived
}

func newTally(t testing.TB, deliveries []*delivery) tally {
	t.Helper()
	y := tally{copies: map[int64][]time.Time{}}
	for _, d := range deliveries {
		id, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(d.Rcpt[0], "TO:<m"), "@y.example>"), 10, 64)
		if err != nil {
			t.Errorf("delivery to %v", d.Rcpt)
			continue
		}
		if _, rest, err := splitTrace(d.Data); err != nil || !bytes.Equal(rest, numbered(id)) {
			t.Errorf("message %d arrived changed: %v, %s", id, err, difference(numbered(id), rest))
		}
		y.copies[id] = append(y.copies[id], d.At)
	}
	return y
}

// lost returns the acknowledged messages that did not arrive.
func (y tally) lost(acked map[int64]bool) []int64 {
	var lost []int64
	for id := range acked {
		if len(y.copies[id]) == 0 {
			lost = append(lost, id)
		}
	}
	return lost
}

// inFlightWindow is how long before a kill a delivery may have happened whose
// outcome was not yet durable: the next hop's reply, the grouping of outcomes
// and one sync, on a machine under full load.
const inFlightWindow = time.Second

// TestKill kills the gateway at random moments under load. No acknowledged
// message is lost, none is sent twice but those in flight at a kill, and each
// next gateway starts and delivers at once.
func TestKill(t *testing.T) {
	t.Parallel()
	s := newSink(t, sinkOptions{Delay: 2 * time.Millisecond})
	e := newEdge(t)
	e.top = impatient
	e.route("out", "*", s.addr, "")
	rounds := killRounds()
	l := startLoad(e.addr, 4)
	var kills []time.Time
	var slowest time.Duration
	for round := range rounds {
		began := time.Now()
		g := e.serve(t)
		// The greeting has come: what is sent now must arrive at once.
		probe := -int64(round) - 1
		c := dial(t, e.addr)
		if r, err := c.submit("<load@contoso.example>", []string{fmt.Sprintf("m%d@y.example", probe)}, numbered(probe)); err != nil || r.code != 250 {
			t.Fatalf("round %d: the first message after the start: %v %v", round, r, err)
		}
		to := fmt.Sprintf("TO:<m%d@y.example>", probe)
		s.awaitThat(t, patience, "the first message after a start", func() bool {
			for i := len(s.deliveries) - 1; i >= 0; i-- {
				if s.deliveries[i].Rcpt[0] == to {
					return true
				}
			}
			return false
		})
		slowest = max(slowest, time.Since(began))
		c.close()
		life := time.Duration(rand.IntN(300)) * time.Millisecond // when to kill is the one thing left to chance
		if round%5 == 0 {
			life += inFlightWindow // what was delivered first is then beyond doubt
		}
		time.Sleep(life)
		kills = append(kills, time.Now())
		g.kill()
		if rand.IntN(3) == 0 { // and now and then during the start itself
			half := launch(t, home(), &output{}, binary(t), "serve", "--config", e.path())
			time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
			kills = append(kills, time.Now())
			half.kill()
		}
		if (round+1)%10 == 0 {
			t.Logf("round %d: %d acknowledged, %d delivered", round+1, l.count(), s.count())
		}
	}
	g := e.serve(t)
	acked := l.end(t)
	for round := range rounds {
		acked[-int64(round)-1] = true
	}
	var missing []int64
	awaitAll(t, s, acked, &missing)
	// What a kill kept from being acknowledged is mail all the same; after unclean
	// ends it may have to wait for its turn among the suspects.
	until(t, "the queues to empty", func() bool { return e.status(t).Queues.Messages == 0 })
	g.stop(t)
	if n := len(missing); n > 0 {
		t.Errorf("%d of %d acknowledged messages are lost, such as %v", n, len(acked), missing[:min(n, 10)])
	}
	y := newTally(t, s.all())
	twice := 0
	for id, at := range y.copies {
		for i := range len(at) - 1 {
			twice++
			if quiet := untilKill(at[i], kills); quiet > inFlightWindow {
				t.Errorf("message %d (%d octets) was sent again after %v, though no kill had come for %v after it was delivered",
					id, len(numbered(id)), at[i+1].Sub(at[i]).Round(time.Millisecond), quiet.Round(time.Millisecond))
			}
		}
	}
	t.Logf("%d kills, %d messages acknowledged, 0 wanted lost and %d were, %d sent twice; the slowest start to first delivery took %v",
		len(kills), len(acked), len(missing), twice, slowest.Round(time.Millisecond))
	if len(acked) < 20*rounds {
		t.Errorf("only %d messages were acknowledged in %d rounds: that is no load", len(acked), rounds)
	}
	emptySpool(t, e)
}

// untilKill is the time from a delivery to the next kill. What the sink had in
// hand at a kill, it takes a moment later.
func untilKill(at time.Time, kills []time.Time) time.Duration {
	const moment = 100 * time.Millisecond
	for _, k := range kills { // in order of time
		if k.After(at.Add(-moment)) {
			return k.Sub(at)
		}
	}
	return math.MaxInt64
}

// awaitAll waits until all acknowledged messages are at the sink, and gives
// those that are missing after a long time.
func awaitAll(t testing.TB, s *sink, acked map[int64]bool, missing *[]int64) {
	t.Helper()
	deadline := time.Now().Add(2 * patience)
	for {
		*missing = newTallyIDs(s.all()).lost(acked)
		if len(*missing) == 0 || time.Now().After(deadline) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// newTallyIDs is a tally without a look at the content.
func newTallyIDs(deliveries []*delivery) tally {
	y := tally{copies: map[int64][]time.Time{}}
	for _, d := range deliveries {
		if id, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(d.Rcpt[0], "TO:<m"), "@y.example>"), 10, 64); err == nil {
			y.copies[id] = append(y.copies[id], d.At)
		}
	}
	return y
}

// emptySpool insists that a stopped gateway keeps no message, parked or
// otherwise.
func emptySpool(t testing.TB, e *edge) {
	t.Helper()
	code, stdout, stderr := runCommand(t, "", binary(t), "spool", "dump", e.dataDir+"/spool", "--output", "json")
	if code != 0 {
		t.Fatalf("spool dump: exit code %d\n%s%s", code, stdout, stderr)
	}
	if strings.Contains(stdout, "y.example") {
		t.Errorf("messages are left in the spool:\n%s", tail(stdout))
	}
}

// An orderly stop under load ends with exit code 0 and loses nothing.
func TestTerminateUnderLoad(t *testing.T) {
	t.Parallel()
	s := newSink(t, sinkOptions{Delay: time.Millisecond})
	e := newEdge(t)
	e.top = impatient
	e.route("out", "*", s.addr, "")
	l := startLoad(e.addr, 4)
	for range 3 {
		g := e.serve(t)
		n := l.count()
		until(t, "some load", func() bool { return l.count() >= n+30 })
		g.stop(t)
	}
	g := e.serve(t)
	acked := l.end(t)
	var missing []int64
	awaitAll(t, s, acked, &missing)
	if len(missing) > 0 {
		t.Errorf("%d of %d acknowledged messages are lost", len(missing), len(acked))
	}
	g.stop(t)
	for id, at := range newTally(t, s.all()).copies {
		if len(at) > 1 {
			t.Errorf("message %d was sent %d times, though no gateway was killed", id, len(at))
		}
	}
	emptySpool(t, e)
}
