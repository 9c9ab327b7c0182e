package review

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/logs"
)

// shelf is a Source in memory, whose lines and sessions are oldest first.
type shelf struct {
	tracking []logs.Tracking
	sessions []*Session
	agent    []logs.AgentLine
	err      error
	asked    int
}

func (s *shelf) Sessions(ctx context.Context, q *Query, p *Progress) iter.Seq2[*Session, error] {
	s.asked++
	return func(yield func(*Session, error) bool) {
		if s.err != nil {
			yield(nil, s.err)
			return
		}
		for _, v := range slices.Backward(s.sessions) {
			named := slices.ContainsFunc(q.Names, func(n string) bool { return slices.Contains(v.QueueIDs(), n) || slices.Contains(v.MessageIDs(), n) })
			if len(q.Names) > 0 && !named || len(q.Sessions) > 0 && !slices.Contains(q.Sessions, v.ID) || !q.within(v.Start, v.End) {
				continue
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}

func (s *shelf) Tracking(ctx context.Context, q *Query, p *Progress) iter.Seq2[*logs.Tracking, error] {
	s.asked++
	return func(yield func(*logs.Tracking, error) bool) {
		if s.err != nil {
			yield(nil, s.err)
			return
		}
		for i := len(s.tracking) - 1; i >= 0; i-- {
			t := s.tracking[i]
			if len(q.Names) > 0 && !slices.Contains(q.Names, t.InternalID) && !slices.Contains(q.Names, t.MessageID) && !slices.Contains(q.Names, t.Reference) {
				continue
			}
			if !yield(&t, nil) {
				return
			}
		}
	}
}

func (s *shelf) Connectivity(context.Context, *Query, *Progress) iter.Seq2[*logs.ConnectivityLine, error] {
	return func(func(*logs.ConnectivityLine, error) bool) {}
}

func (s *shelf) Agent(_ context.Context, q *Query, _ *Progress) iter.Seq2[*logs.AgentLine, error] {
	return func(yield func(*logs.AgentLine, error) bool) {
		for _, l := range slices.Backward(s.agent) {
			if matchAgent(q, &l) && q.within(l.Time, l.Time) && !yield(&l, nil) {
				return
			}
		}
	}
}

func (s *shelf) Follow(context.Context, *Query, *Progress) iter.Seq2[*Live, error] {
	return func(func(*Live, error) bool) {}
}

var noon = time.Date(2026, 11, 17, 12, 0, 0, 0, time.UTC)

// at is a moment so many seconds after noon.
func at(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }

// a message that came from fabrikam.example, was deferred for one of its two
// recipients, and expired for her, of which the sender was told.
func expiredMail() *shelf {
	base := logs.Tracking{InternalID: "0AKWKNNHG0000", MessageID: "<m1@fabrikam.example>", Octets: 4210, ReturnPath: "lee@fabrikam.example", Sender: "lee@fabrikam.example"}
	line := func(seconds float64, source, event string, change func(*logs.Tracking)) logs.Tracking {
		t := base
		t.Time, t.Source, t.Event = at(seconds), source, event
		change(&t)
		return t
	}
	dsn := func(seconds float64, source, event string, change func(*logs.Tracking)) logs.Tracking {
		t := line(seconds, source, event, change)
		t.InternalID, t.MessageID, t.ReturnPath = "0AKWKNNHG0001", "<d1@edge.contoso.example>", "<>"
		return t
	}
	both := []string{"kim@contoso.example", "Ann@Contoso.example"}
	s := &shelf{tracking: []logs.Tracking{
		line(0, "SMTP", "RECEIVE", func(t *logs.Tracking) {
			t.ClientIP, t.ClientHostname, t.ServerIP, t.Connector = "198.51.100.7", "mx.fabrikam.example", "192.0.2.10", `EDGE\From Internet`
			t.SourceContext, t.Recipients, t.Statuses = "08DD5A0B1C2D3E4F;2026-11-17T12:00:00.000Z;0", both, []string{"250 2.1.5 Recipient OK", "250 2.1.5 Recipient OK"}
			t.Custom = logs.Pairs{{Key: "protocol", Value: "ESMTPS"}, {Key: "connector", Value: "To organization"}, {Key: "reason", Value: "the only candidate"},
				{Key: "problem", Value: "no connector"}, {Key: "reason", Value: "nobody takes it"}, {Key: "generation", Value: "abc"}}
		}),
		line(0.5, "SMTP", "SEND", func(t *logs.Tracking) {
			t.ServerIP, t.ServerHostname, t.Connector, t.Recipients = "10.0.0.11", "hub1.corp.contoso.example", "To organization", both[:1]
			t.Statuses = []string{"250 2.0.0 Queued"}
			t.Custom = logs.Pairs{{Key: "session", Value: "08DD5A0B1C2D3E50"}, {Key: "latency", Value: "0.500"}, {Key: "tls", Value: "TLS1.3 TLS_AES_128_GCM_SHA256"}, {Key: "tries", Value: "1"}}
		}),
		line(0.5, "SMTP", "DEFER", func(t *logs.Tracking) {
			t.ServerIP, t.ServerHostname, t.Connector, t.Recipients = "10.0.0.11", "hub1.corp.contoso.example", "To organization", []string{"ann@contoso.example"}
			t.Statuses = []string{"452 4.2.2 Mailbox full"}
			t.Custom = logs.Pairs{{Key: "session", Value: "08DD5A0B1C2D3E50"}, {Key: "tries", Value: "1"}, {Key: "due", Value: "2026-11-17T12:01:00.500Z"}}
		}),
		line(172800, "QUEUE", "FAIL", func(t *logs.Tracking) {
			t.Recipients, t.Statuses = []string{"ann@contoso.example"}, []string{"550 4.4.7 QUEUE.Expired; message expired"}
		}),
		dsn(172800.1, "DSN", "RECEIVE", func(t *logs.Tracking) {
			t.Reference, t.Recipients = "0AKWKNNHG0000", []string{"lee@fabrikam.example"}
		}),
		line(172800.1, "DSN", "DSN", func(t *logs.Tracking) {
			t.Reference, t.Related, t.Recipients = "0AKWKNNHG0001", "lee@fabrikam.example", []string{"ann@contoso.example"}
			t.Custom = logs.Pairs{{Key: "notification", Value: "failure"}}
		}),
		dsn(172801, "SMTP", "SEND", func(t *logs.Tracking) {
			t.Recipients, t.Statuses, t.ServerIP, t.Connector = []string{"lee@fabrikam.example"}, []string{"250 OK"}, "198.51.100.7", "Internet"
		}),
	}}
	s.sessions = []*Session{
		{ID: "08DD5A0B1C2D3E4F", Direction: logs.Receive, Connector: `EDGE\From Internet`, Start: at(-1), End: at(1), HELO: "mx.fabrikam.example", TLS: "TLS1.3 TLS_AES_256_GCM_SHA384",
			Messages: []Transaction{{Time: at(-0.5), End: at(0), From: "lee@fabrikam.example", To: []Recipient{{both[0], "250 ok"}, {both[1], "250 ok"}}, QueueID: "0AKWKNNHG0000", Reply: "250 2.6.0 Queued", Accepted: true}}},
		{ID: "08DD5A0B1C2D3E50", Direction: logs.Send, Connector: "To organization", Start: at(0.2), End: at(0.6), TLS: "TLS1.3 TLS_AES_128_GCM_SHA256",
			Messages: []Transaction{{QueueID: "0AKWKNNHG0000", Time: at(0.3), End: at(0.5), From: "lee@fabrikam.example",
				To: []Recipient{{both[0], "250 ok"}, {both[1], "452 4.2.2 Mailbox full"}}, Reply: "250 2.0.0 Queued", Accepted: true}}},
		{ID: "08DD5A0B1C2D3E99", Direction: logs.Send, Connector: "To organization", Start: at(60.5), End: at(61),
			Messages: []Transaction{{QueueID: "0AKWKNNHG0000", Time: at(60.6), End: at(60.7), From: "lee@fabrikam.example", To: []Recipient{{both[1], "452 4.2.2 Still full"}}}}},
	}
	return s
}

func (t *Trace) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s <%s> %d pending=%v\n", t.ID, t.Sender, t.Octets, t.Pending)
	for _, s := range t.Steps {
		fmt.Fprintf(&b, "+%.1f %s %s %s %v %v %s\n", s.After, s.Kind, s.Connector, hostText(s.Host, s.Address), s.Recipients, s.Replies, s.Notification)
	}
	for _, r := range t.Recipients {
		fmt.Fprintf(&b, "%s %s %q %s tries=%d %.1fs\n", r.Address, r.End, r.Reply, r.Host, r.Tries, r.Seconds)
	}
	for _, n := range t.Notifications {
		b.WriteString("about " + n.ReportOf + ": " + n.text())
	}
	return b.String()
}

func TestTraceOfAnExpiredMessage(t *testing.T) {
	const want = `0AKWKNNHG0000 <lee@fabrikam.example> 4210 pending=false
+0.0 received From Internet mx.fabrikam.example [198.51.100.7] [kim@contoso.example Ann@Contoso.example] [250 2.1.5 Recipient OK 250 2.1.5 Recipient OK] 
+0.5 delivered To organization hub1.corp.contoso.example [10.0.0.11] [kim@contoso.example] [250 2.0.0 Queued] 
+0.0 deferred To organization hub1.corp.contoso.example [10.0.0.11] [ann@contoso.example] [452 4.2.2 Mailbox full] 
+60.1 attempt To organization  [Ann@Contoso.example] [452 4.2.2 Still full] 
+172739.4 expired   [ann@contoso.example] [550 4.4.7 QUEUE.Expired; message expired] 
+0.1 notified   [ann@contoso.example] [] 0AKWKNNHG0001
kim@contoso.example delivered "250 2.0.0 Queued" hub1.corp.contoso.example [10.0.0.11] tries=1 0.5s
Ann@Contoso.example expired "550 4.4.7 QUEUE.Expired; message expired"  tries=1 172800.0s
about 0AKWKNNHG0000: 0AKWKNNHG0001 <> 4210 pending=false
+0.0 received   [lee@fabrikam.example] [] 
+0.9 delivered Internet 198.51.100.7 [lee@fabrikam.example] [250 OK] 
lee@fabrikam.example delivered "250 OK" 198.51.100.7 tries=1 0.9s
`
	for _, name := range []string{"0AKWKNNHG0000", "0akwknnhg0000", "<m1@fabrikam.example>", "m1@fabrikam.example"} {
		found, err := FindTraces(t.Context(), expiredMail(), name, TraceOptions{}, nil)
		if err != nil || len(found.Messages) != 1 || found.More {
			t.Fatalf("%s: %+v %v", name, found, err)
		}
		got := found.Messages[0]
		if text := got.text(); text != want {
			t.Errorf("%s:\n got %s\nwant %s", name, text, want)
		}
		if a := got.Arrival; a == nil || a.TLS != "TLS1.3 TLS_AES_256_GCM_SHA384" || a.Began != at(-1) || a.Reply != "250 2.6.0 Queued" {
			t.Errorf("%s: arrival %+v", name, a)
		}
		if want := []Route{{"To organization", "", "the only candidate", "abc"}, {"", "no connector", "nobody takes it", "abc"}}; !slices.Equal(got.Routes, want) {
			t.Errorf("%s: routes %+v", name, got.Routes)
		}
		if len(got.Sessions) != 3 || got.Sessions[0].ID != "08DD5A0B1C2D3E4F" {
			t.Errorf("%s: %d sessions", name, len(got.Sessions))
		}
	}
}

func TestTraceOfANotification(t *testing.T) {
	found, err := FindTraces(t.Context(), expiredMail(), "0AKWKNNHG0001", TraceOptions{}, nil)
	if err != nil || len(found.Messages) != 1 || found.Messages[0].ReportOf != "0AKWKNNHG0000" || found.Messages[0].Sender != "" {
		t.Fatalf("%+v %v", found, err)
	}
}

// Exchange writes one line of DSN, for the notification, with the Message-ID of
// what it is about.
func TestTraceOfExchange(t *testing.T) {
	s := &shelf{tracking: []logs.Tracking{
		{Time: at(0), Source: "SMTP", Event: "RECEIVE", InternalID: "73014444033", MessageID: "<a1@example.net>", Recipients: []string{"kim@example.org"}, ReturnPath: "bob@example.net",
			SourceContext: "08DD5A0B1C2D3E4F;2025-03-04T08:00:10.900Z;0", Connector: `EDGE01\From Internet`},
		{Time: at(1), Source: "SMTP", Event: "FAIL", InternalID: "73014444033", MessageID: "<a1@example.net>", Recipients: []string{"kim@example.org"}, Statuses: []string{"550 5.1.1 User unknown"}},
		{Time: at(2), Source: "DSN", Event: "DSN", InternalID: "73014444034", MessageID: "<d1@edge01.example.org>", Reference: "<a1@example.net>", Recipients: []string{"bob@example.net"}, ReturnPath: "<>"},
		{Time: at(3), Source: "SMTP", Event: "SEND", InternalID: "73014444034", MessageID: "<d1@edge01.example.org>", Recipients: []string{"bob@example.net"}, ReturnPath: "<>"},
	}}
	const want = `73014444033 <bob@example.net> 0 pending=false
+0.0 received From Internet  [kim@example.org] [] 
+1.0 failed   [kim@example.org] [550 5.1.1 User unknown] 
+1.0 notified   [] [] 73014444034
kim@example.org failed "550 5.1.1 User unknown"  tries=1 1.0s
about <a1@example.net>: 73014444034 <> 0 pending=false
+0.0 delivered   [bob@example.net] [] 
bob@example.net delivered ""  tries=1 0.0s
`
	for _, name := range []string{"73014444033", "a1@example.net"} {
		found, err := FindTraces(t.Context(), s, name, TraceOptions{}, nil)
		if err != nil || len(found.Messages) != 1 || found.Messages[0].text() != want {
			t.Fatalf("%s: %v\n got %s\nwant %s", name, err, found.Messages[0].text(), want)
		}
	}
}

// Without message tracking the protocol logs tell what they know.
func TestTraceUntracked(t *testing.T) {
	s := expiredMail()
	s.tracking = nil
	found, err := FindTraces(t.Context(), s, "0AKWKNNHG0000", TraceOptions{}, nil)
	if err != nil || len(found.Messages) != 1 {
		t.Fatalf("%+v %v", found, err)
	}
	const want = `0AKWKNNHG0000 <lee@fabrikam.example> 0 pending=true
+0.0 received From Internet mx.fabrikam.example [kim@contoso.example Ann@Contoso.example] [250 2.6.0 Queued] 
+0.5 delivered To organization  [kim@contoso.example] [250 2.0.0 Queued] 
+0.0 deferred To organization  [Ann@Contoso.example] [452 4.2.2 Mailbox full] 
+60.2 deferred To organization  [Ann@Contoso.example] [452 4.2.2 Still full] 
kim@contoso.example delivered "250 2.0.0 Queued"  tries=1 0.5s
Ann@Contoso.example deferred "452 4.2.2 Still full"  tries=2 0.0s
`
	if got := found.Messages[0]; got.text() != want || !got.Untracked {
		t.Errorf("got %s\nwant %s", got.text(), want)
	}
}

// What peers said meets no terminal as it was said.
func TestTraceIsEscaped(t *testing.T) {
	s := expiredMail()
	for i := range s.tracking {
		s.tracking[i].Statuses = []string{"550 \x1b[31mred\r\n"}
		s.tracking[i].Custom = append(s.tracking[i].Custom, logs.Pair{Key: "reason", Value: "\x07"})
	}
	found, err := FindTraces(t.Context(), s, "0AKWKNNHG0000", TraceOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	found.Messages[0].Sessions = nil
	if text := fmt.Sprintf("%+v", found.Messages[0]) + found.Messages[0].text(); strings.ContainsAny(text, "\x1b\r\x07") || !strings.Contains(text, `\x1B[31mred`) {
		t.Errorf("%q", text)
	}
}

// One Message-ID may be of several messages: the newest come first, within the
// limit.
func TestTraceOfSeveralMessages(t *testing.T) {
	s := &shelf{}
	for i := range 15 {
		s.tracking = append(s.tracking, logs.Tracking{
			Time: at(float64(i)), Source: "SMTP", Event: "RECEIVE", InternalID: fmt.Sprintf("0AKWKNNHG00%02d", i), MessageID: "<same@fabrikam.example>", Recipients: []string{"kim@contoso.example"},
		})
	}
	found, err := FindTraces(t.Context(), s, "same@fabrikam.example", TraceOptions{}, nil)
	if err != nil || len(found.Messages) != DefaultTraces || !found.More || found.Messages[0].ID != "0AKWKNNHG0014" || !found.Messages[9].Pending {
		t.Fatalf("%d messages, more %v: %v", len(found.Messages), found.More, err)
	}
	found, err = FindTraces(t.Context(), s, "same@fabrikam.example", TraceOptions{Since: at(3), Until: at(6), Limit: 2}, nil)
	if err != nil || len(found.Messages) != 2 || !found.More || found.Messages[0].ID != "0AKWKNNHG0005" {
		t.Fatalf("%+v: %v", found, err)
	}
}

func TestTraceOfNothing(t *testing.T) {
	found, err := FindTraces(t.Context(), &shelf{}, "0AKWKNNHG0000", TraceOptions{}, nil)
	if err != nil || len(found.Messages) != 0 || found.Messages == nil {
		t.Fatalf("%+v: %v", found, err)
	}
	broken := errors.New("no logs there")
	if _, err = FindTraces(t.Context(), &shelf{err: broken}, "x", TraceOptions{}, nil); !errors.Is(err, broken) {
		t.Fatal(err)
	}
}

// Events of administrators and of the queue are told as what they are.
func TestTraceKinds(t *testing.T) {
	for _, c := range []struct {
		line logs.Tracking
		want StepKind
	}{
		{logs.Tracking{Event: "FAIL", Source: "ADMIN"}, StepRemoved},
		{logs.Tracking{Event: "FAIL", Source: "SMTP", Statuses: []string{"550 5.1.1 no"}}, StepFailed},
		{logs.Tracking{Event: "FAIL", Source: "QUEUE", Statuses: []string{"550 4.4.7 QUEUE.Expired; message expired"}}, StepExpired},
		{logs.Tracking{Event: "REDIRECT", Source: "ADMIN"}, StepRedirected},
		{logs.Tracking{Event: "REDIRECT", Source: "ROUTING"}, StepFallback},
		{logs.Tracking{Event: "RESUBMIT", Source: "ADMIN"}, StepResubmit},
		{logs.Tracking{Event: "DELIVER", Source: "STOREDRIVER"}, StepDelivered},
		{logs.Tracking{Event: "HADISCARD"}, StepOther},
	} {
		if got := kindOf(&c.line); got != c.want {
			t.Errorf("%s by %s: %s, want %s", c.line.Event, c.line.Source, got, c.want)
		}
	}
}

// Whatever is asked for, and whatever the log has, there is an answer.
func FuzzFindTraces(f *testing.F) {
	f.Add("m1@fabrikam.example", "0AKWKNNHG0000", "<m1@fabrikam.example>", "connector=out;reason=x;problem=y", "550 4.4.7 QUEUE.Expired; message expired")
	f.Add("<>", "", "@", "due=yesterday;tries=many;latency=-1", "")
	f.Add("\x00", "\xff", "\x1b[31m", "notification=;session=08DD5A0B1C2D3E4F", "250")
	f.Fuzz(func(t *testing.T, name, id, messageID, custom, status string) {
		s := expiredMail()
		var pairs logs.Pairs
		for item := range strings.SplitSeq(custom, ";") {
			key, value, _ := strings.Cut(item, "=")
			pairs = append(pairs, logs.Pair{Key: key, Value: value})
		}
		for i, event := range []string{"RECEIVE", "SEND", "DEFER", "FAIL", "DSN", "REDIRECT", "SUSPEND", custom} {
			s.tracking = append(s.tracking, logs.Tracking{Time: at(float64(-i)), Source: []string{"SMTP", "DSN", "ADMIN"}[i%3], Event: event, InternalID: id, MessageID: messageID,
				Reference: name, SourceContext: custom, Recipients: []string{name, messageID}, Statuses: []string{status}, Custom: pairs})
		}
		for _, want := range []string{name, id, messageID} {
			found, err := FindTraces(t.Context(), s, want, TraceOptions{}, nil)
			if err != nil || found.Messages == nil {
				t.Fatalf("%q: %v", want, err)
			}
			for _, m := range found.Messages {
				for i := range m.Steps {
					if i > 0 && m.Steps[i].At.Before(m.Steps[i-1].At) || m.Steps[i].After < 0 {
						t.Fatalf("%q: the steps are not in order: %+v", want, m.Steps)
					}
				}
				if m.Sessions = nil; strings.ContainsAny(fmt.Sprintf("%+v", m), "\x00\x07\x1b\r\n") {
					t.Fatalf("%q: %q", want, fmt.Sprintf("%+v", m))
				}
			}
		}
	})
}
