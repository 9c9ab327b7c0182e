package tarpit

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDelay(t *testing.T) {
	usual := Policy{Interval: 5 * time.Second, AuthInterval: 7 * time.Second}
	for _, tt := range []struct {
		name   string
		policy Policy
		kind   Kind
		client Client
		want   time.Duration
	}{
		{"a good reply", usual, Other, Client{Refused: 100}, 0},
		{"a stranger is refused", usual, Refusal, Client{}, 5 * time.Second},
		{"a few recipients", usual, Refusal, Client{Refused: 9}, 5 * time.Second},
		{"ten recipients", usual, Refusal, Client{Refused: 10}, 10 * time.Second},
		{"a hundred", usual, Refusal, Client{Refused: 100}, 55 * time.Second},
		{"a million", usual, Refusal, Client{Refused: 1e6}, 55 * time.Second},
		{"one who has authenticated", usual, Refusal, Client{Authenticated: true, Refused: 50}, 0},
		{"one who may relay", usual, Refusal, Client{Trusted: true, Refused: 50}, 0},
		{"a wrong password", usual, FailedLogon, Client{}, 7 * time.Second},
		{"a wrong password from a trusted host", usual, FailedLogon, Client{Trusted: true}, 7 * time.Second},
		{"a wrong password after many recipients", usual, FailedLogon, Client{Refused: 50}, 7 * time.Second},
		{"off", Policy{AuthInterval: time.Second}, Refusal, Client{Refused: 50}, 0},
		{"off for AUTH", Policy{Interval: time.Second}, FailedLogon, Client{}, 0},
		{"longer than anything grows", Policy{Interval: 10 * time.Minute}, Refusal, Client{Refused: 50}, 10 * time.Minute},
		{"nothing is configured", Policy{}, Refusal, Client{}, 0},
	} {
		if got := tt.policy.Delay(tt.kind, tt.client); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestDelayGrows: more refused recipients never shorten the delay, and no
// number of them makes it longer than the limit.
func TestDelayGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Policy{Interval: time.Duration(rapid.Int64Range(1, int64(10*time.Minute)).Draw(t, "interval"))}
		n := rapid.IntRange(-1, 1e9).Draw(t, "refused")
		less, more := p.Delay(Refusal, Client{Refused: n}), p.Delay(Refusal, Client{Refused: n + 1})
		if less > more || less < p.Interval || more > max(p.Interval, MaxGrown) {
			t.Fatalf("%d: %v, then %v", n, less, more)
		}
	})
}

func TestText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.00:00:00", 5 * time.Second: "0.00:00:05", 25*time.Second + 639*time.Millisecond: "0.00:00:25.639",
		10 * time.Minute: "0.00:10:00", 50*time.Hour + time.Minute: "2.02:01:00", -time.Second: "0.00:00:00", time.Nanosecond: "0.00:00:00",
		time.Millisecond: "0.00:00:00.001",
	} {
		if got := Text(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestHarvest(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	h := NewHarvest()
	a, b := netip.MustParsePrefix("198.51.100.7/32"), netip.MustParsePrefix("2001:db8:1::/64")
	for range 25 {
		h.Add(a, now)
	}
	h.Add(b, now)
	if h.Refused(a, now) != 25 || h.Refused(b, now) != 1 {
		t.Errorf("refused: %d and %d", h.Refused(a, now), h.Refused(b, now))
	}
	if got := h.Refused(a, now.Add(10*time.Minute)); got != 15 {
		t.Errorf("after ten minutes %d", got)
	}
	if got := h.Refused(a, now.Add(25*time.Minute)); got != 0 {
		t.Errorf("after 25 minutes %d", got)
	}
	for range 1000 {
		h.Add(a, now)
	}
	if got := h.Refused(a, now); got != maxRefused {
		t.Errorf("%d are remembered, want %d", got, maxRefused)
	}
	if got := h.Refused(a, now.Add(2*time.Hour)); got != 0 {
		t.Errorf("after two hours %d", got)
	}
}

func TestQueue(t *testing.T) {
	q := NewQueue(2)
	var gone []string
	enter := func(name string) *Place { return q.Enter(func() { gone = append(gone, name) }) }
	a, b, c := enter("a"), enter("b"), enter("c")
	if !slices.Equal(gone, []string{"a"}) || q.Len() != 2 {
		t.Fatalf("gone: %v, %d wait", gone, q.Len())
	}
	if q.Leave(a) || !q.Leave(b) || q.Leave(b) {
		t.Error("who left and who was let go is mixed up")
	}
	d := enter("d")
	if len(gone) != 1 || q.Len() != 2 || !q.Leave(c) || !q.Leave(d) || q.Len() != 0 {
		t.Errorf("gone: %v, %d wait", gone, q.Len())
	}
	if p := NewQueue(0).Enter(func() { gone = append(gone, "e") }); p == nil || gone[len(gone)-1] != "e" {
		t.Error("a queue without room keeps somebody")
	}
}

func TestQueueConcurrently(t *testing.T) {
	q := NewQueue(4)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 500 {
				let := make(chan struct{})
				p := q.Enter(func() { close(let) })
				if !q.Leave(p) {
					<-let // exactly one of the two
				}
			}
		})
	}
	wg.Wait()
	if q.Len() != 0 {
		t.Errorf("%d wait", q.Len())
	}
}
