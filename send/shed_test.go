package send

import (
	"testing"
	"testing/synctest"
)

// TestShed: connections that are kept for reuse are closed at once, politely,
// and the next delivery opens another.
func TestShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mx := &fakeMX{}
		b := newBench(t, mx)
		for i := range 3 {
			if got := sum(b.send()); got != took {
				t.Errorf("outcome %q", got)
			}
			b.s.Shed()
			synctest.Wait()
			b.s.pool.mu.Lock()
			idle, open := b.s.pool.idleCount, len(b.s.pool.open)
			b.s.pool.mu.Unlock()
			if idle != 0 || open != 0 {
				t.Errorf("%d idle connections, %d hosts with open ones", idle, open)
			}
			if mx.count() != i+1 {
				t.Errorf("%d connections, want %d", mx.count(), i+1)
			}
		}
		b.s.Shed() // of nothing
		b.stop()
	})
}
