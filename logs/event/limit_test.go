package event

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"postern/config"
	"postern/internal/eventid"
)

// TestStorm: ten minutes of deferrals is a line a minute for each reason, the first
// at once, and none is lost from the sums.
func TestStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, p := openLog(t, config.EventLog{})
		logger := l.Logger(eventid.Queue)
		const each = 100
		for second := range 600 {
			for _, status := range []string{"421 4.4.1", "450 4.7.1"} {
				for n := range each {
					logger.Warn("message deferred", eventid.MessageDeferred.Attr(), "id", second*each+n, "connector", "Internet", "next_hop", "example.net", "host", "mx", "status", status)
				}
			}
			if second == 0 {
				synctest.Wait()
				if n := len(p.lines()); n != 2 {
					t.Fatalf("%d lines at once", n)
				}
			}
			time.Sleep(time.Second)
		}
		closeLog(t, l)
		sums := map[string]int{}
		for _, line := range p.lines() {
			n := 1
			if _, rest, ok := strings.Cut(line, " repeated="); ok {
				if _, err := fmt.Sscanf(rest, "%d repeated_in=1m0s", &n); err != nil {
					t.Fatal(line)
				}
			}
			_, status, _ := strings.Cut(line, "status=")
			sums[status[:10]] += n
		}
		if n := len(p.lines()); n < 20 || n > 24 || len(sums) != 2 {
			t.Errorf("%d lines, %v", n, sums)
		}
		for status, n := range sums {
			if n != 600*each {
				t.Errorf("%s: %d of %d", status, n, 600*each)
			}
		}
	})
}

// TestRepeated holds the summary to the letter, and what ends a spell.
func TestRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, p := openLog(t, config.EventLog{})
		logger := l.Logger(eventid.Server)
		fail := func(n int) {
			for i := range n {
				logger.Error("something fails", "n", i)
			}
			synctest.Wait()
		}
		expect := func(want ...string) {
			t.Helper()
			synctest.Wait()
			got := p.take()
			for i := range max(len(got), len(want)) {
				if i >= len(got) || i >= len(want) || !strings.HasSuffix(got[i], want[i]) {
					t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
		}
		fail(eventid.DefaultBurst - 1)
		expect("n=0", "n=1", "n=2", "n=3", "n=4", "n=5", "n=6", "n=7", "n=8")
		time.Sleep(eventid.DefaultEvery)
		expect()
		fail(1234 + eventid.DefaultBurst)
		expect("n=0", "n=1", "n=2", "n=3", "n=4", "n=5", "n=6", "n=7", "n=8", "n=9")
		time.Sleep(eventid.DefaultEvery)
		expect("area=server n=1243 repeated=1234 repeated_in=10s")
		fail(1) // it goes on
		expect()
		time.Sleep(eventid.DefaultEvery)
		expect("n=0") // which was one alone, and is written as it was
		time.Sleep(eventid.DefaultEvery)
		expect()
		fail(1) // it was over
		expect("n=0")
		fail(eventid.DefaultBurst + 4)
		closeLog(t, l) // tells what is not told yet
		expect("n=0", "n=1", "n=2", "n=3", "n=4", "n=5", "n=6", "n=7", "n=8", "n=13 repeated=5 repeated_in=0s")
	})
}

// TestManyCases: when everything differs, the number of lines is bounded all the
// same.
func TestManyCases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, p := openLog(t, config.EventLog{})
		logger := l.Logger(eventid.Queue)
		const all = 5000
		for n := range all {
			logger.Warn("message deferred", eventid.MessageDeferred.Attr(), "host", n)
		}
		synctest.Wait()
		if n := len(p.lines()); n != eventid.DefaultCases {
			t.Errorf("%d lines at once", n)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := len(p.lines()); n != eventid.DefaultCases+1 || !strings.Contains(p.lines()[n-1], fmt.Sprintf("repeated=%d repeated_in=1m0s", all-eventid.DefaultCases)) {
			t.Errorf("%d lines, the last %s", n, p.lines()[n-1])
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.limiter.cases) != 0 || len(l.limiter.count) != 0 {
			t.Errorf("%d cases are remembered", len(l.limiter.cases))
		}
	})
}

// TestNeverSummedUp: what an administrator did is written each time, and what
// is for debugging.
func TestNeverSummedUp(t *testing.T) {
	l, p := openLog(t, config.EventLog{Level: "debug"})
	for range 500 {
		l.Logger(eventid.Control).Info("queue suspended", eventid.QueueOrdered.Attr())
		l.Logger(eventid.Routing).Debug("a routing decision", eventid.RoutingDecision.Attr())
	}
	closeLog(t, l)
	if n := len(p.lines()); n != 1000 {
		t.Errorf("%d lines", n)
	}
}

// TestLimiter: whatever comes when, each event is shown or counted once, no
// spell lasts longer than it may, and in the end nothing is remembered.
func TestLimiter(t *testing.T) {
	ids := []eventid.ID{0, eventid.MessageDeferred, eventid.SpoolDamage, eventid.NoConnector, 99999}
	rapid.Check(t, func(t *rapid.T) {
		l := newLimiter()
		now := time.Unix(0, 0)
		came, told := map[string]int{}, map[string]int{}
		tell := func(events []*Event) {
			for _, e := range events {
				told[fmt.Sprint(e.ID)] += max(e.Repeated, 1)
			}
		}
		var next time.Time
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 30_000).Draw(t, "ms")) * time.Millisecond)
			if !next.IsZero() && !now.Before(next) {
				var due []*Event
				due, next = l.due(now, false)
				tell(due)
			}
			for range rapid.IntRange(0, 15).Draw(t, "burst") {
				e := Event{Level: slog.LevelWarn, ID: rapid.SampledFrom(ids).Draw(t, "id")}
				e.add("", slog.String("host", rapid.StringN(0, 1, 1).Draw(t, "host")))
				came[fmt.Sprint(e.ID)]++
				show, began := l.take(&e, now)
				if show {
					told[fmt.Sprint(e.ID)]++
				}
				if began {
					if _, at := l.due(now, false); next.IsZero() || at.Before(next) {
						next = at
					}
				}
			}
		}
		due, _ := l.due(now, true)
		tell(due)
		if fmt.Sprint(came) != fmt.Sprint(told) {
			t.Fatalf("%v came, %v were told", came, told)
		}
		for range 2 {
			now = now.Add(time.Hour)
			l.due(now, false)
		}
		if len(l.cases)+len(l.count) > 0 {
			t.Fatalf("%d cases and %d events are remembered", len(l.cases), len(l.count))
		}
	})
}
