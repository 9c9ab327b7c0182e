package queue

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestShowSaysSinceWhen: of a message that is being delivered Show knows to
// which next hop and since when, until the attempt ends.
func TestShowSaysSinceWhen(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.setDeliver(later(postpone))
		began := time.Now()
		id := w.submit(envelope("a@x.example", "b@y.example"))
		synctest.Wait()
		time.Sleep(10 * time.Second)
		info, err := w.q.Show(id)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"Internet/x.example", "Internet/y.example"} {
			if at := info.Begun[name]; !at.Equal(began) {
				t.Errorf("%s: in hand since %v, want %v", name, at, began)
			}
		}
		time.Sleep(50 * time.Second)
		synctest.Wait()
		if info, err = w.q.Show(id); err != nil || len(info.Begun) != 0 || info.Status != StatusRetry {
			t.Errorf("after the attempt: %v, %s, %v", info.Begun, info.Status, err)
		}
		w.setDeliver(nil)
		time.Sleep(10 * time.Minute)
		w.settled()
	})
}
