package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/backpressure"
	"postern/internal/message"
	"postern/queue"
	"postern/routing"
	ptls "postern/tls"
)

// TestJudge: each thing that can be wrong has its reason, its gravity and its
// remedy, and what is as it should be has none.
func TestJudge(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	smart := routing.NextHop{Connector: "Inside", Kind: routing.SmartHost, Domain: "hub.example:25"}
	mx := routing.NextHop{Connector: "Internet", Kind: routing.MX, Domain: "far.example"}
	retrying := func(hop routing.NextHop, messages int, since time.Duration) queue.QueueInfo {
		return queue.QueueInfo{Name: hop.String(), Hop: hop, Status: queue.Retry, Messages: messages, RetryCount: 3, FirstRetry: now.Add(-since), Oldest: now.Add(-since),
			LastError: message.Reply{Code: 421, Enhanced: [3]int{4, 4, 1}, Text: "Unable to connect"}}
	}
	old := func(hop routing.NextHop, age time.Duration) queue.QueueInfo {
		return queue.QueueInfo{Name: hop.String(), Hop: hop, Status: queue.Ready, Messages: 1, Oldest: now.Add(-age)}
	}
	pressed := func(name backpressure.Name, l backpressure.Level) func(*Status) {
		return func(s *Status) {
			s.BackPressure.Resources = append(s.BackPressure.Resources, backpressure.ResourceStatus{Name: name, State: backpressure.StateWatched, Level: l, ValueText: "39GB free of 100GB"})
		}
	}
	for _, tt := range []struct {
		name   string
		status func(*Status)
		queues []queue.QueueInfo
		lately Trend
		limits Thresholds
		want   []string // "condition about: part of the text"
	}{
		{name: "nothing"},
		{name: "all listen", status: func(s *Status) { s.Listeners = []Listener{{"a:25", true, ""}, {"b:25", true, ""}} }},
		{name: "one does not", status: func(s *Status) { s.Listeners = []Listener{{"a:25", true, ""}, {"b:25", false, "in use"}} }, want: []string{"look listeners: b:25 does not listen: in use"}},
		{name: "none does", status: func(s *Status) { s.Listeners = []Listener{{"a:25", false, "denied"}} }, want: []string{"trouble listeners: no mail comes in"}},
		{name: "pressure", status: pressed(backpressure.Disk, backpressure.Medium), want: []string{"look back_pressure: disk is short (medium): 39GB free"}},
		{name: "high pressure", status: pressed(backpressure.Disk, backpressure.High), want: []string{"trouble back_pressure: all mail is refused"}},
		{name: "no pressure", status: pressed(backpressure.Disk, backpressure.Normal)},
		{name: "full", status: func(s *Status) { s.Spool.NoSpace = true }, want: []string{"trouble spool: no room"}},
		{name: "failed writes", status: func(s *Status) { s.Spool.Failures, s.Spool.LastError = 2, "input/output error" }, want: []string{"look spool: input/output error"}},
		{name: "damage", status: func(s *Status) { s.Spool.Damaged = 1 }, want: []string{"look spool: could not be read back"}},
		{name: "unsaved", status: func(s *Status) { s.Queues.Unsaved = 1 }, want: []string{"trouble spool: could not be stored"}},
		{name: "reload", status: func(s *Status) { s.Server.ReloadError = "edge.toml:3:1: unknown key" }, want: []string{"look server: unknown key"}},
		{name: "a smart host for a moment", queues: []queue.QueueInfo{retrying(smart, 5, time.Minute)}},
		{name: "a smart host for longer", queues: []queue.QueueInfo{retrying(smart, 5, 3*time.Minute)}, want: []string{"look queues: has taken no connection for 3m00s, 5 messages wait: 421 4.4.1"}},
		{name: "a smart host for long", queues: []queue.QueueInfo{retrying(smart, 5, 20*time.Minute), retrying(smart, 1, 3*time.Minute)}, want: []string{"trouble queues: and 1 more queue of a smart host"}},
		{name: "a smart host without mail", queues: []queue.QueueInfo{retrying(smart, 0, time.Hour)}},
		{name: "a host on the Internet", queues: []queue.QueueInfo{retrying(mx, 5, 40*time.Hour)}},
		{name: "and with a threshold", queues: []queue.QueueInfo{retrying(mx, 5, 4*time.Hour)}, limits: Thresholds{MaxAge: 3 * time.Hour}, want: []string{"look queues: waits for 4h00m, more than 3h00m"}},
		{name: "far beyond the threshold", queues: []queue.QueueInfo{retrying(mx, 5, 40*time.Hour)}, limits: Thresholds{MaxAge: 3 * time.Hour}, want: []string{"trouble queues: waits for 40h00m"}},
		{name: "old mail inside", queues: []queue.QueueInfo{old(smart, 5*time.Hour)}, want: []string{"look queues: waits for 5h00m, more than 4h00m"}},
		{name: "with a longer threshold", queues: []queue.QueueInfo{old(smart, 5*time.Hour)}, limits: Thresholds{MaxAge: 6 * time.Hour}},
		{name: "many", status: func(s *Status) { s.Queues.Distinct = DefaultMaxQueue + 1 }, want: []string{"look queues: 10001 messages are queued"}},
		{name: "very many", status: func(s *Status) { s.Queues.Distinct = 31 }, limits: Thresholds{MaxQueue: 10}, want: []string{"trouble queues: 31 messages are queued, more than 10"}},
		{name: "as many as may be", status: func(s *Status) { s.Queues.Distinct = 10 }, limits: Thresholds{MaxQueue: 10}},
		{name: "poison", queues: []queue.QueueInfo{{Name: queue.PoisonName, Messages: 1, Oldest: now.Add(-1000 * time.Hour)}}, limits: Thresholds{MaxAge: time.Hour}, want: []string{"look queues: parked"}},
		{name: "unreachable", queues: []queue.QueueInfo{{Name: queue.UnreachableName, Messages: 2, LastError: message.Reply{Text: "no connector"}}}, want: []string{"look queues: 2 messages have no Send connector: no connector"}},
		{name: "suspended", queues: []queue.QueueInfo{{Name: "Inside/x", Suspended: true, Status: queue.Suspended, Messages: 3}, {Name: "Inside/y", Suspended: true}}, want: []string{"look queues: Inside/x is suspended, 3 messages wait"}},
		{name: "nothing leaves", lately: Trend{Seconds: 300, Deferrals: 20}, want: []string{"look queues: nothing leaves: 20 recipients were deferred in the last 5m00s"}},
		{name: "something leaves", lately: Trend{Seconds: 300, Deferrals: 200, Delivered: 1}},
		{name: "lost lines", lately: Trend{Seconds: 300, DroppedLines: 7}, want: []string{"look logs: 7 lines"}},
		{name: "certificates", status: func(s *Status) {
			s.Certificates = []ptls.Shown{
				{FriendlyName: "old", NotAfter: now.Add(-time.Hour), Own: true}, {FriendlyName: "late", NotAfter: now.Add(47 * time.Hour)},
				{FriendlyName: "soon", NotAfter: now.Add(13 * 24 * time.Hour), ReceiveConnectors: []string{"In"}}, {FriendlyName: "fine", NotAfter: now.Add(15 * 24 * time.Hour)},
				{FriendlyName: "own", NotAfter: now.Add(time.Hour), Own: true},
			}
		}, want: []string{"trouble certificates: old, for clients", "trouble certificates: expires in 47h00m", "look certificates: the certificate soon, shown by In, expires in 13d00h"}},
		{name: "a certificate before its time", status: func(s *Status) {
			s.Certificates = []ptls.Shown{{FriendlyName: "early", NotBefore: now.Add(time.Hour), NotAfter: now.Add(90 * 24 * time.Hour), ReceiveConnectors: []string{"In"}, SendConnectors: []string{"Mill"}}}
		}, want: []string{"trouble certificates: the certificate early, shown by In and for next hops of Mill, is not valid before 2026-11-22 04:00 UTC"}},
		{name: "to next hops alone", status: func(s *Status) {
			s.Certificates = []ptls.Shown{{FriendlyName: "Five days", Thumbprint: "29A56F80CF0595461111", NotAfter: now.Add(-time.Hour), SendConnectors: []string{"Mill"}}}
		}, want: []string{"trouble certificates: the certificate Five days, for next hops of Mill, has expired"}},
		{name: "for a name alone", status: func(s *Status) {
			s.Certificates = []ptls.Shown{{FriendlyName: "x", NotAfter: now.Add(-time.Hour), Names: []string{"a.example"}}}
		}, want: []string{"trouble certificates: the certificate x, for clients that ask for a.example, has expired"}},
		{name: "the gravest first", status: func(s *Status) { s.Spool.Damaged, s.Spool.NoSpace = 1, true }, want: []string{"trouble spool: no room", "look spool: read back"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s Status
			if tt.status != nil {
				tt.status(&s)
			}
			v := s.judge(tt.queues, tt.lately, tt.limits, now)
			want := Well
			for i, w := range tt.want {
				head, part, _ := strings.Cut(w, ": ")
				condition, about, _ := strings.Cut(head, " ")
				if Condition(condition).worse(want) {
					want = Condition(condition)
				}
				if i >= len(v.Reasons) {
					t.Errorf("no reason %q", w)
					continue
				}
				if r := v.Reasons[i]; r.Condition != Condition(condition) || r.About != about || !strings.Contains(r.Text, part) || r.Remedy == "" {
					t.Errorf("reason %d is %+v, want %q", i, r, w)
				}
			}
			if len(v.Reasons) != len(tt.want) || v.Condition != want {
				t.Errorf("the verdict is %s with %+v", v.Condition, v.Reasons)
			}
		})
	}
}

// TestStatusThresholds: they come with the request, and nonsense is refused.
func TestStatusThresholds(t *testing.T) {
	c, g := administer(t)
	g.refused = errors.New("edge.toml:3:1: unknown key")
	s, err := c.Status(t.Context(), Thresholds{MaxAge: time.Second, MaxQueue: 1})
	if err != nil {
		t.Fatal(err)
	}
	if s.Server.ReloadError == "" || s.Verdict.Condition == Well || s.Trend.Seconds < 0 {
		t.Errorf("%+v", s.Verdict)
	}
	for _, q := range []string{"max_age=0", "max_age=-1", "max_age=1h", "max_queue=0", "max_queue=x", "max_age=1&max_age=2", "age=1"} {
		resp, err := c.send(t.Context(), "GET", "/v1/status?"+q, nil, nil)
		if err == nil {
			_, err = answered[Status](resp)
		}
		wantError(t, err, 400, "")
	}
}

// TestTrends: a minute of the past, once there is one.
func TestTrends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		tr := trends{now: func() counted { // a message a second, a line lost every minute
			n := uint64(time.Since(began) / time.Second)
			return counted{at: time.Now(), submitted: n, delivered: 2 * n, dropped: int64(n / 60)}
		}}
		if tr.over(time.Minute) != (Trend{}) {
			t.Error("before the first note there is a trend")
		}
		ctx, cancel := context.WithCancel(t.Context())
		go tr.run(ctx)
		for _, tt := range []struct {
			at, over time.Duration
			want     Trend
		}{
			{5 * time.Second, time.Minute, Trend{Seconds: 5, Submitted: 5, Delivered: 10}},
			{25 * time.Second, time.Minute, Trend{Seconds: 25, Submitted: 25, Delivered: 50}},
			{65 * time.Second, time.Minute, Trend{Seconds: 65, Submitted: 65, Delivered: 130, DroppedLines: 1}},
			{75 * time.Second, time.Minute, Trend{Seconds: 65, Submitted: 65, Delivered: 130, DroppedLines: 1}},
			{time.Hour + 5*time.Second, time.Minute, Trend{Seconds: 65, Submitted: 65, Delivered: 130, DroppedLines: 1}},
			{2*time.Hour + 5*time.Second, 5 * time.Minute, Trend{Seconds: 305, Submitted: 305, Delivered: 610, DroppedLines: 5}},
		} {
			time.Sleep(time.Until(began.Add(tt.at)))
			synctest.Wait()
			if got := tr.over(tt.over); got != tt.want {
				t.Errorf("after %v: %+v, want %+v", tt.at, got, tt.want)
			}
		}
		if n := len(tr.past); n != 31 {
			t.Errorf("%d notes are kept", n)
		}
		cancel()
	})
}

func TestText(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m01s", 3 * time.Hour: "3h00m", 49 * time.Hour: "2d01h"} {
		if got := text(d); got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
	if fmt.Sprint(Trouble.worse(Look), Look.worse(Well), Well.worse(Well)) != "true true false" {
		t.Error("the conditions are out of order")
	}
}
