//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

// A next hop that is down for a while gets its mail when it is back.
func TestNextHopDown(t *testing.T) {
	t.Parallel()
	s := newSink(t, sinkOptions{})
	s.close()
	e := newEdge(t)
	e.top = impatient
	e.route("out", "*", s.addr, "")
	g := e.serve(t)
	c := dial(t, e.addr)
	for i := range 10 {
		c.deliver(t, "a@contoso.example", fmt.Sprintf("b%d@y.example", i), letter("waits"))
	}
	// Waiting mail survives an orderly restart too.
	g.stop(t)
	g = e.serve(t)
	dial(t, e.addr).deliver(t, "a@contoso.example", "b10@y.example", letter("waits"))
	s.listen(t)
	seen := map[string]bool{}
	for _, d := range s.await(t, 11) {
		seen[d.Rcpt[0]] = true
	}
	if len(seen) != 11 || s.count() != 11 {
		t.Errorf("%d messages for %d recipients, want 11", s.count(), len(seen))
	}
	g.stop(t)
}

// Temporary failures of single recipients are retried, those that were taken
// get their mail once, and a refused one makes a notification.
func TestMixedOutcomes(t *testing.T) {
	t.Parallel()
	var tries atomic.Int32
	s := newSink(t, sinkOptions{Answer: func(_ int, line string) string {
		switch {
		case strings.Contains(line, "RCPT TO:<later@") && tries.Add(1) <= 2:
			return "450 4.2.1 mailbox busy"
		case strings.Contains(line, "RCPT TO:<never@"):
			return "550 5.1.1 no such user here"
		}
		return ""
	}})
	home := newSink(t, sinkOptions{})
	e := newEdge(t)
	e.top = impatient
	e.route("out", "*", s.addr, "")
	e.route("inside", "contoso.example", home.addr, "")
	g := e.serve(t)
	r, err := dial(t, e.addr).submit("<kim@contoso.example>", []string{"now@y.example", "later@y.example", "never@y.example"}, []byte(letter("mixed")))
	if err != nil || r.code != 250 {
		t.Fatal(r, err)
	}
	got := map[string]int{}
	for _, d := range s.await(t, 2) {
		for _, to := range d.Rcpt {
			got[to]++
		}
	}
	if got["TO:<now@y.example>"] != 1 || got["TO:<later@y.example>"] != 1 {
		t.Errorf("copies: %v", got)
	}
	checkNotification(t, home.await(t, 1)[0], "never@y.example", "550 5.1.1 no such user here")
	g.stop(t)
	if s.count() != 2 || home.count() != 1 {
		t.Errorf("%d messages and %d notifications, want 2 and 1", s.count(), home.count())
	}
}

// A refusal at DATA, and a recipient whose domain no Send connector serves.
func TestNotificationOfRefusedContent(t *testing.T) {
	t.Parallel()
	s := newSink(t, sinkOptions{Answer: func(_ int, line string) string {
		if line == "." {
			return "554 5.6.0 content refused"
		}
		return ""
	}})
	home := newSink(t, sinkOptions{})
	e := newEdge(t)
	e.route("out", "y.example", s.addr, "")
	e.route("inside", "contoso.example", home.addr, "")
	e.serve(t)
	c := dial(t, e.addr)
	c.deliver(t, "kim@contoso.example", "bob@y.example", letter("refused"))
	checkNotification(t, home.await(t, 1)[0], "bob@y.example", "554 5.6.0 content refused")
	// A message from the null reverse path makes none.
	r, err := c.submit("<>", []string{"bob@y.example"}, []byte(letter("silent")))
	if err != nil || r.code != 250 {
		t.Fatal(r, err)
	}
	c.deliver(t, "kim@contoso.example", "bob@y.example", letter("refused-again"))
	home.await(t, 2)
	if n := home.count(); n != 2 {
		t.Errorf("%d notifications, want 2", n)
	}
}

// parseNotification reads a delivery status notification with Python's email
// package, which shares nothing with ours.
const parseNotification = `import email, email.policy, json, sys
m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
parts = list(m.iter_parts())
status = [dict((k.lower(), str(v)) for k, v in p.items()) for p in parts[1].get_payload()]
print(json.dumps({
    "type": m.get_content_type(), "report": m.get_param("report-type"), "parts": [p.get_content_type() for p in parts],
    "status": status, "defects": [repr(d) for p in m.walk() for d in p.defects], "auto": m["auto-submitted"], "to": m["to"],
    "text": parts[0].get_content(), "date": str(m["date"]), "id": str(m["message-id"]), "received": len(m.get_all("received") or []),
}))`

func checkNotification(t testing.TB, d *delivery, recipient, diagnostic string) {
	t.Helper()
	if !strings.HasPrefix(d.Mail, "FROM:<>") || len(d.Rcpt) != 1 || !strings.HasPrefix(d.Rcpt[0], "TO:<kim@contoso.example>") {
		t.Errorf("the notification went from %s to %v", d.Mail, d.Rcpt)
	}
	code, stdout, stderr := runCommand(t, string(d.Data), need(t, "python3"), "-c", parseNotification)
	if code != 0 {
		t.Fatalf("Python can't read the notification: %s\n%s", stderr, d.Data)
	}
	var n struct {
		Type, Report, Auto, To, Text, Date, ID string
		Parts, Defects                         []string
		Status                                 []map[string]string
	}
	if err := json.Unmarshal([]byte(stdout), &n); err != nil {
		t.Fatal(err)
	}
	if n.Type != "multipart/report" || n.Report != "delivery-status" || len(n.Parts) < 2 || n.Parts[1] != "message/delivery-status" || len(n.Defects) > 0 ||
		n.Auto == "" || n.Date == "None" || n.ID == "None" || len(n.Status) != 2 {
		t.Fatalf("the notification is %s\n%s", stdout, d.Data)
	}
	rcpt := n.Status[1]
	if !strings.HasSuffix(rcpt["final-recipient"], recipient) || rcpt["action"] != "failed" || !strings.HasPrefix(rcpt["status"], "5.") ||
		!strings.Contains(rcpt["diagnostic-code"], diagnostic) || !strings.HasSuffix(n.Status[0]["reporting-mta"], "edge.contoso.example") {
		t.Errorf("the status is %v, want %s failed with %s", n.Status, recipient, diagnostic)
	}
	if !strings.Contains(n.Text, recipient) {
		t.Errorf("the text does not name %s:\n%s", recipient, n.Text)
	}
}
