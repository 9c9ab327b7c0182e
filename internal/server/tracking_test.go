package server

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/config"
	"postern/internal/message"
	"postern/logs"
	"postern/queue"
	"postern/routing"
)

// trackingLog opens a tracking log and returns a tracker, and what reads its
// lines once it is closed.
func trackingLog(t testing.TB) (*tracker, func() []logs.Tracking) {
	t.Helper()
	dir := t.TempDir()
	log, err := logs.OpenTracking(logs.Options{Log: config.Log{Enabled: true, Directory: dir}, OnError: func(err error) { t.Log(err) }})
	if err != nil {
		t.Fatal(err)
	}
	tr := newTracker(log, "EDGE")
	tr.subjects.Store(true)
	return tr, func() []logs.Tracking {
		if err := log.Close(context.Background()); err != nil {
			t.Error(err)
		}
		return trackingLines(t, dir)
	}
}

func trackingLines(t testing.TB, dir string) (out []logs.Tracking) {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(dir, "MSGTRK*.log"))
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(line, "#") {
				continue
			}
			r, err := logs.ParseTracking(line)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			out = append(out, r)
		}
	}
	return out
}

func trackedEnvelope() *message.Envelope {
	at := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	return &message.Envelope{
		From: message.Address{Local: "bob", Domain: "fabrikam.example"}, Size: 4210, Arrived: at, MessageID: "<1@fabrikam.example>", Subject: "hello",
		Recipients: []message.Recipient{{Address: message.Address{Local: "kim", Domain: "contoso.example"}}, {Address: message.Address{Local: "lee", Domain: "contoso.example"}}},
		Origin: message.Origin{
			Connector: "From Internet", Session: "08DE29A0C1B2D3E4", Client: netip.MustParseAddrPort("198.51.100.7:40122"), Local: netip.MustParseAddrPort("[::ffff:192.0.2.10]:25"),
			Helo: "mx.fabrikam.example", Protocol: "ESMTPS",
		},
	}
}

// TestTracking: each event of the queue and the line that it makes.
func TestTracking(t *testing.T) {
	v := trackedEnvelope()
	stranger := func(change func(*message.Origin)) *message.Envelope {
		c := *v
		change(&c.Origin)
		return &c
	}
	at := v.Arrived.Add(1234 * time.Millisecond)
	hop := routing.NextHop{Connector: "Hub", Domain: "[192.0.2.25]:25"}
	attempt := message.Attempt{Host: "hub.contoso.example", Address: "192.0.2.25:25", Source: "[2001:db8::1]:50000", TLS: "TLS1.3 TLS_AES_128_GCM_SHA256", Peer: "hub.contoso.example",
		Trust: "trusted", Client: "shown", Policy: "required by the connector", Session: "08DE29A0C1B2D3E5", Sender: "bob@out.example"}
	other := message.Attempt{Host: "[192.0.2.26]", Address: "192.0.2.26:25", Session: "08DE29A0C1B2D3E6"}
	outcome := func(s message.Status, r message.Reply, list ...int) message.Outcome {
		return message.Outcome{Recipients: list, Status: s, Reply: r, RemoteMTA: "hub.contoso.example [192.0.2.25]", Tries: 2}
	}
	yes, no := message.Reply{Code: 250, Enhanced: [3]int{2, 1, 5}, Text: "fine; thanks"}, message.Reply{Code: 550, Text: "no,\nnever"}
	deferred := outcome(message.Deferred, no, 0)
	deferred.Due = at.Add(time.Minute)

	sending := logs.Pairs{{Key: "session", Value: "08DE29A0C1B2D3E5"}, {Key: "receive_session", Value: "08DE29A0C1B2D3E4"}, {Key: "next_hop", Value: "[192.0.2.25]:25"},
		{Key: "tls", Value: attempt.TLS}, {Key: "peer", Value: attempt.Peer}, {Key: "trust", Value: "trusted"}, {Key: "client_certificate", Value: "shown"},
		{Key: "policy", Value: attempt.Policy}, {Key: "sender", Value: attempt.Sender}, {Key: "attempts", Value: "2"}, {Key: "tries", Value: "2"}}
	latency, generation := logs.Pair{Key: "latency", Value: "1.234"}, logs.Pair{Key: "generation", Value: "0a1b2c"}
	sent := logs.Tracking{
		ClientIP: "2001:db8::1", ClientHostname: "EDGE", ServerIP: "192.0.2.25", ServerHostname: "hub.contoso.example", SourceContext: "08DE29A0C1B2D3E5", Connector: "Hub",
		Custom: append(slices.Clone(sending), latency, generation),
	}
	of := func(base logs.Tracking, source, event string, recipients []string, status string, custom ...logs.Pair) logs.Tracking {
		base.Source, base.Event, base.Recipients = source, event, recipients
		if len(custom) > 0 {
			base.Custom = custom
		}
		for range recipients {
			if status != "" {
				base.Statuses = append(base.Statuses, status)
			}
		}
		return base
	}
	kim, both := []string{"kim@contoso.example"}, []string{"kim@contoso.example", "lee@contoso.example"}
	received := logs.Tracking{ClientIP: "198.51.100.7", ClientHostname: "mx.fabrikam.example", ServerIP: "192.0.2.10", ServerHostname: "EDGE",
		SourceContext: "08DE29A0C1B2D3E4;2026-11-22T08:00:00.000Z", Connector: `EDGE\From Internet`}
	routes := &routesOf{decisions: []routing.Decision{{Connector: "Hub", Reason: "The only one."}, {Problem: routing.ProblemNoConnector, Reason: "None."}}}
	tried := append(logs.Pairs{{Key: "receive_session", Value: "08DE29A0C1B2D3E4"}}, latency, generation)

	with := func(l logs.Tracking, change func(*logs.Tracking)) logs.Tracking { change(&l); return l }
	for _, c := range []struct {
		name  string
		event queue.Event
		want  logs.Tracking
	}{
		{"received", queue.Event{Kind: queue.Submitted}, of(received, "SMTP", "RECEIVE", both, "", logs.Pair{Key: "session", Value: "08DE29A0C1B2D3E4"}, logs.Pair{Key: "protocol", Value: "ESMTPS"},
			logs.Pair{Key: "connector", Value: "Hub"}, logs.Pair{Key: "reason", Value: "The only one."}, logs.Pair{Key: "problem", Value: "no_connector"}, logs.Pair{Key: "reason", Value: "None."},
			logs.Pair{Key: "took", Value: "1.234"}, generation)},
		{"delivered", queue.Event{Kind: queue.Delivered, Hop: hop, Outcome: outcome(message.Delivered, yes, 1, 0), Attempts: []message.Attempt{attempt, other}},
			of(sent, "SMTP", "SEND", []string{"lee@contoso.example", "kim@contoso.example"}, "250 2.1.5 fine; thanks")},
		{"deferred", queue.Event{Kind: queue.Deferred, Hop: hop, Outcome: deferred, Attempts: []message.Attempt{other, attempt}},
			of(sent, "SMTP", "DEFER", kim, "550 no,\nnever", append(slices.Clone(sending), logs.Pair{Key: "due", Value: "2026-11-22T08:01:01.234Z"}, latency, generation)...)},
		{"failed", queue.Event{Kind: queue.Failed, Hop: hop, Outcome: outcome(message.Failed, no, 0), Attempts: []message.Attempt{attempt, other}}, of(sent, "SMTP", "FAIL", kim, "550 no,\nnever")},
		{"no way", queue.Event{Kind: queue.Failed, Outcome: message.Outcome{Recipients: []int{0}, Reply: no}}, of(logs.Tracking{ClientHostname: "EDGE"}, "ROUTING", "FAIL", kim, "550 no,\nnever", tried...)},
		{"expired", queue.Event{Kind: queue.Expired, Outcome: message.Outcome{Recipients: []int{0}, Reply: no}}, of(logs.Tracking{ClientHostname: "EDGE"}, "QUEUE", "FAIL", kim, "550 no,\nnever", tried...)},
		{"removed", queue.Event{Kind: queue.Removed, By: "root", Outcome: message.Outcome{Recipients: []int{0}, Reply: no}}, of(logs.Tracking{ClientHostname: "EDGE"}, "ADMIN", "FAIL", kim, "550 no,\nnever",
			tried[0], latency, logs.Pair{Key: "by", Value: "root"}, generation)},
		{"fallen back", queue.Event{Kind: queue.FallenBack, Fallback: "Spare", Outcome: message.Outcome{Recipients: []int{0}}}, with(of(logs.Tracking{ClientHostname: "EDGE"}, "ROUTING", "REDIRECT", kim, "",
			tried[0], latency, logs.Pair{Key: "fallback", Value: "Spare"}, generation), func(l *logs.Tracking) { l.Related = "Spare" })},
		{"notified", queue.Event{Kind: queue.Notified, Delay: true, Notification: 33, Outcome: message.Outcome{Recipients: []int{0}}}, with(of(logs.Tracking{}, "DSN", "DSN", kim, "",
			logs.Pair{Key: "notification", Value: "delay"}, generation), func(l *logs.Tracking) {
			l.Reference, l.Related = message.ID(33).String(), "bob@fabrikam.example"
		})},
		{"suppressed", queue.Event{Kind: queue.Suppressed, Reason: "null", Outcome: message.Outcome{Recipients: []int{1}}}, of(logs.Tracking{}, "DSN", "SUPPRESSED", both[1:], "",
			logs.Pair{Key: "notification", Value: "failure"}, logs.Pair{Key: "reason", Value: "null"}, generation)},
		{"redirected", queue.Event{Kind: queue.Redirected, By: "root", Standing: message.Standing{Redirect: "h:25"}}, with(of(logs.Tracking{}, "ADMIN", "REDIRECT", both, "", logs.Pair{Key: "by", Value: "root"}, generation),
			func(l *logs.Tracking) { l.Related = "h:25" })},
		{"resubmitted", queue.Event{Kind: queue.Resubmitted}, of(logs.Tracking{}, "ADMIN", "RESUBMIT", both, "", generation)},
		{"suspended", queue.Event{Kind: queue.MessageSuspended}, of(logs.Tracking{}, "ADMIN", "SUSPEND", both, "", generation)},
		{"resumed", queue.Event{Kind: queue.Resumed}, of(logs.Tracking{}, "ADMIN", "RESUME", both, "", generation)},
		{"poisoned", queue.Event{Kind: queue.Poisoned, Standing: message.Standing{Panics: 2}}, of(logs.Tracking{}, "POISONMESSAGE", "POISONMESSAGE", both, "", logs.Pair{Key: "panics", Value: "2"}, generation)},
		{"submission", queue.Event{Kind: queue.Resumed, Envelope: stranger(func(o *message.Origin) { o.MayRelay = true })}, with(of(logs.Tracking{}, "ADMIN", "RESUME", both, "", generation),
			func(l *logs.Tracking) { l.Directionality = "Originating" })},
		{"finished", queue.Event{Kind: queue.Finished}, logs.Tracking{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr, lines := trackingLog(t)
			e := c.event
			e.At, e.ID = at, 32
			if e.Envelope == nil {
				e.Envelope = v
			}
			for range 2 { // the second one with a draft that was used before
				tr.event(e, routes, "0a1b2c")
			}
			got := lines()
			if c.want.Event == "" {
				if len(got) != 0 {
					t.Errorf("%+v", got)
				}
				return
			}
			w := c.want
			w.InternalID, w.MessageID, w.Octets, w.Subject, w.RecipientCount = message.ID(32).String(), v.MessageID, 4210, "hello", len(w.Recipients)
			w.Sender, w.ReturnPath, w.OriginalClientIP, w.OriginalServerIP = "bob@fabrikam.example", "bob@fabrikam.example", "198.51.100.7", "192.0.2.10"
			w.TrafficType, w.SchemaVersion = "Email", "15.0.0.0"
			if w.Directionality == "" {
				w.Directionality = "Incoming"
			}
			if len(got) != 2 {
				t.Fatalf("%d lines", len(got))
			}
			for _, g := range got {
				g.Time = time.Time{}
				if !reflect.DeepEqual(g, w) {
					t.Errorf("got\n%+v\nwant\n%+v", g, w)
				}
			}
		})
	}
}

// TestAttemptOf: the attempt of an outcome is the last one at the host that gave
// the reply.
func TestAttemptOf(t *testing.T) {
	attempts := []message.Attempt{
		{Session: "1", Host: "mx.example.net", Address: "192.0.2.2:25"}, {Session: "2", Host: "mx.example.net", Address: "192.0.2.22:25"},
		{Session: "3", Host: "192.0.2.3", Address: "192.0.2.3:25"}, {Session: "4", Host: "mx.example.net", Address: "[2001:db8::2]:25"}, {Session: "5", Host: "last", Address: "192.0.2.5:25"},
	}
	for remote, want := range map[string]string{
		"mx.example.net [192.0.2.2]": "1", "mx.example.net [192.0.2.22]": "2", "[192.0.2.3]": "3", "mx.example.net [2001:db8::2]": "4", "": "5", "mx.example.net [192.0.2.9]": "5",
	} {
		if a := attemptOf(&queue.Event{Attempts: attempts, Outcome: message.Outcome{RemoteMTA: remote}}); a == nil || a.Session != want {
			t.Errorf("%q: %+v, want %s", remote, a, want)
		}
	}
	if a := attemptOf(&queue.Event{}); a != nil {
		t.Errorf("%+v", a)
	}
}

// TestTrackingOrigins: where a message came from.
func TestTrackingOrigins(t *testing.T) {
	tr, lines := trackingLog(t)
	tr.subjects.Store(false)
	for _, o := range []message.Origin{
		{Internal: true, ReportOf: 7}, {Protocol: config.SourcePickup, MayRelay: true}, {Protocol: config.SourceReplay}, {Protocol: config.SourceImport, MayRelay: true}, {Protocol: "ESMTPA", Session: "S", User: "kim"},
	} {
		v := trackedEnvelope()
		v.From, v.Origin = message.Address{}, o
		tr.event(queue.Event{Kind: queue.Submitted, ID: 1, Envelope: v, At: v.Arrived}, &routesOf{}, "")
	}
	var got []string
	for _, l := range lines() {
		got = append(got, fmt.Sprintf("%s %s %q %s %q %q", l.Source, l.Event, l.Reference, l.Directionality, l.Subject, l.ReturnPath))
	}
	want := []string{
		fmt.Sprintf(`DSN RECEIVE %q Originating "" "<>"`, message.ID(7)), `PICKUP RECEIVE "" Originating "" "<>"`, `PICKUP RECEIVE "" Originating "" "<>"`,
		`ADMIN RECEIVE "" Originating "" "<>"`, `SMTP RECEIVE "" Originating "" "<>"`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestTrackingManyRecipients: what does not fit into one line takes several, and
// every recipient stands in one of them.
func TestTrackingManyRecipients(t *testing.T) {
	tr, lines := trackingLog(t)
	v := trackedEnvelope()
	v.Recipients = nil
	var list []int
	for i := range 5000 {
		v.Recipients = append(v.Recipients, message.Recipient{Address: message.Address{Local: fmt.Sprint("somebody", i), Domain: "contoso.example"}})
		list = append(list, i)
	}
	reply := message.Reply{Code: 250, Text: strings.Repeat("x", 400)}
	tr.event(queue.Event{Kind: queue.Submitted, Envelope: v}, &routesOf{}, "")
	tr.event(queue.Event{Kind: queue.Delivered, Envelope: v, Outcome: message.Outcome{Recipients: list, Reply: reply}}, nil, "")
	next := map[string]int{}
	n := 0
	for _, l := range lines() {
		n++
		if len(l.Append(nil)) > 40<<10 || l.RecipientCount != len(l.Recipients) || l.Event == logs.TrackSend && len(l.Statuses) != len(l.Recipients) {
			t.Fatalf("a line of %d octets, %d recipients, %d statuses", len(l.Append(nil)), len(l.Recipients), len(l.Statuses))
		}
		for _, r := range l.Recipients {
			if want := fmt.Sprintf("somebody%d@contoso.example", next[l.Event]); r != want {
				t.Fatalf("%s, want %s", r, want)
			}
			next[l.Event]++
		}
	}
	if next["RECEIVE"] != 5000 || next["SEND"] != 5000 || n < 10 {
		t.Errorf("%v in %d lines", next, n)
	}
}

func BenchmarkTracking(b *testing.B) {
	v := trackedEnvelope()
	v.Recipients = v.Recipients[:1]
	routes := &routesOf{decisions: []routing.Decision{{Connector: "Hub", Reason: `The address space "contoso.example" of Send connector "Hub" is the only one that matches.`}}}
	send := queue.Event{
		Kind: queue.Delivered, At: v.Arrived.Add(time.Second), Envelope: v, ID: 32, Hop: routing.NextHop{Connector: "Hub", Domain: "[192.0.2.25]:25"},
		Outcome: message.Outcome{Recipients: []int{0}, Reply: message.Reply{Code: 250, Enhanced: [3]int{2, 1, 5}, Text: "Recipient OK"}, RemoteMTA: "hub.contoso.example [192.0.2.25]", Tries: 1},
		Attempts: []message.Attempt{{Host: "hub.contoso.example", Address: "192.0.2.25:25", Source: "192.0.2.12:50000", TLS: "TLS1.3 TLS_AES_128_GCM_SHA256", Peer: "hub.contoso.example",
			Trust: "trusted", Policy: "required by the connector", Session: "08DE29A0C1B2D3E5"}},
	}
	for name, e := range map[string]queue.Event{"receive": {Kind: queue.Submitted, At: v.Arrived, Envelope: v, ID: 32}, "send": send} {
		b.Run(name, func(b *testing.B) {
			tr, _ := trackingLog(b)
			b.ReportAllocs()
			for b.Loop() {
				tr.event(e, routes, "0a1b2c3d4e5f")
			}
			tr.log.Close(context.Background())
		})
	}
}

// TestTrackingPage: the page on logs has every key of custom-data, event and
// source that the tracker writes, and no other key.
func TestTrackingPage(t *testing.T) {
	code, err := os.ReadFile("tracking.go")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../docs/logs.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "pairs joined by `;`:\n\n| key | meaning |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var documented, written []string
	for line := range strings.Lines(table) {
		documented = append(documented, strings.Trim(strings.Split(line, "|")[1], " `"))
	}
	for _, m := range regexp.MustCompile(`d\.(?:pair|made|elapsed)\("([a-z_]+)"`).FindAllStringSubmatch(string(code), -1) {
		written = append(written, m[1])
	}
	for _, list := range []*[]string{&documented, &written} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	if len(written) < 20 || !slices.Equal(documented, written) {
		t.Errorf("the page has %q, the code %q", documented, written)
	}
	for _, name := range []string{logs.TrackReceive, logs.TrackSend, logs.TrackDefer, logs.TrackFail, logs.TrackDSN, logs.TrackSuppressed, logs.TrackRedirect, logs.TrackResubmit, logs.TrackPoison,
		logs.TrackSuspend, logs.TrackResume, logs.SourceSMTP, logs.SourceRouting, logs.SourceQueue, logs.SourceAdmin, logs.SourcePickup} {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("the page has no %s", name)
		}
	}
}
