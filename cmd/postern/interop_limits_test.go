//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A connector with a rate sends evenly, the list of queues says what they wait
// for, and another connector goes its own way.
func TestSendRate(t *testing.T) {
	t.Parallel()
	s := newSink(t, sinkOptions{})
	e := newEdge(t)
	e.route("slow", "slow.example", s.addr, "message_rate_limit = 60\n")
	e.route("fast", "fast.example", s.addr, "")
	e.serve(t)
	c := dial(t, e.addr)
	const n = 5
	for i := range n {
		for _, d := range []string{"slow", "fast"} {
			r, err := c.submit("<a@contoso.example>", []string{fmt.Sprintf("m%d@%s.example", i, d)}, []byte("Subject: rate\r\n\r\nhello\r\n"))
			if err != nil || r.code != 250 {
				t.Fatal(r, err)
			}
		}
	}
	out, err := exec.Command(binary(t), "queue", "list", "--config", e.path(), "-o", "json").Output()
	var list struct {
		Queues []struct {
			Connector string `json:"connector"`
			WaitsFor  string `json:"waits_for"`
		} `json:"queues"`
	}
	if err == nil {
		err = json.Unmarshal(out, &list)
	}
	if err != nil {
		t.Fatal(err)
	}
	left := n
	for _, d := range s.all() {
		if strings.Contains(d.Rcpt[0], "@slow.") {
			left--
		}
	}
	for _, q := range list.Queues {
		if left < 2 { // the machine was slower than the rate
			break
		}
		if want := map[string]string{"slow": `message_rate_limit (60 a minute) of send connector "slow"`}[q.Connector]; q.WaitsFor != want {
			t.Errorf("%s waits for %q, want %q", q.Connector, q.WaitsFor, want)
		}
	}
	var slow, fast []time.Time
	for _, d := range s.await(t, 2*n) {
		if strings.Contains(d.Rcpt[0], "@slow.") {
			slow = append(slow, d.At)
		} else {
			fast = append(fast, d.At)
		}
	}
	// The last of n leaves n-1 seconds behind the first, which a slow machine
	// may have got late itself.
	if took := slow[n-1].Sub(slow[0]); took < (n-2)*time.Second {
		t.Errorf("%d messages in %v, want a second for each", n, took)
	}
	if len(fast) != n || fast[n-1].After(slow[n-1]) {
		t.Errorf("the other connector waited too: %v and %v", slow, fast)
	}
}
