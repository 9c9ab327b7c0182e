package message

import (
	"fmt"
	"testing"
)

// TestLatestAttempts: of more attempts than are kept the oldest go, but not the
// last one at any host as long as an older one at another can.
func TestLatestAttempts(t *testing.T) {
	st := NewState(1)
	add := func(host string, n int) {
		for i := range n {
			st.Apply(&Update{Attempts: []Attempt{{Host: host, Reply: Reply{Code: i}}}})
		}
	}
	add("old", 3)
	add("busy", 50)
	if len(st.Attempts) != MaxAttempts || st.Attempts[0].Host != "old" || st.Attempts[0].Reply.Code != 2 || st.Attempts[1].Host != "busy" ||
		st.Attempts[MaxAttempts-1].Reply.Code != 49 {
		t.Errorf("%+v", st.Attempts)
	}
	for i := range 30 {
		add(fmt.Sprint("h", i), 1)
	}
	if len(st.Attempts) != MaxAttempts || st.Attempts[0].Host != "h10" {
		t.Errorf("%+v", st.Attempts)
	}
}
