package control

import (
	"strings"
	"testing"
	"time"

	"postern/internal/message"
	"postern/queue"
	"postern/queue/spool"
	"postern/routing"
)

// TestWaits: the answer to why a message has not left names the cause, since
// when, what was said, the next try and what can be done.
func TestWaits(t *testing.T) {
	began := time.Date(2026, 11, 22, 1, 0, 0, 0, time.UTC)
	now := began.Add(30 * time.Minute)
	flew := began.Add(20 * time.Minute)
	hop := routing.NextHop{Connector: "To hubs", Domain: "hub.example:25"}
	reply := message.Reply{Code: 451, Enhanced: [3]int{4, 7, 1}, Text: "Greylisted"}
	deferred := message.RecipientState{Status: message.Deferred, Reply: reply, RemoteMTA: "hub.example [192.0.2.1]", At: began.Add(time.Minute), Due: now.Add(time.Minute), Tries: 2}
	info := queue.QueueInfo{Name: hop.String(), Hop: hop, Status: queue.Ready, Messages: 5, InFlight: 2}
	retry := info
	retry.Status, retry.RetryCount, retry.FirstRetry, retry.NextRetry = queue.Retry, 3, began, now.Add(time.Hour)
	retry.LastError = message.Reply{Code: 421, Enhanced: [3]int{4, 4, 1}, Text: "Unable to connect"}
	lost := retry
	lost.LastError = message.Reply{Code: 451, Enhanced: [3]int{4, 4, 0}, Text: "DNS query failed"}
	// ours is a state that no host brought about.
	ours := func(code int, enhanced ...int) message.RecipientState {
		st := deferred
		st.RemoteMTA, st.Reply = "", message.Reply{Code: code, Enhanced: [3]int(enhanced), Text: "x"}
		return st
	}
	limited := info
	limited.WaitsFor = `message_rate_limit (60 a minute) of send connector "To hubs"`
	limited.NextDue = now.Add(10 * time.Second)
	suspended := info
	suspended.Suspended, suspended.Status = true, queue.Suspended
	for name, tt := range map[string]struct {
		queue    queue.QueueInfo
		status   queue.MessageStatus
		standing message.Standing
		state    message.RecipientState
		reason   string
		since    time.Time
		said     string
		next     time.Time
		remedy   string
		text     string
		begun    bool
	}{
		"retry":           {queue: retry, status: queue.StatusRetry, state: deferred, reason: waitsRetry, since: began, said: "421 4.4.1", next: now.Add(time.Hour), remedy: "postern queue retry 'To hubs/hub.example:25'"},
		"deferred":        {queue: info, status: queue.StatusRetry, state: deferred, reason: waitsDeferred, since: deferred.At, said: "451 4.7.1", next: deferred.Due, remedy: "postern queue retry 0000000000001"},
		"limit":           {queue: limited, status: queue.StatusReady, reason: waitsLimit, since: began, next: now.Add(10 * time.Second), text: `its queue waits for message_rate_limit (60 a minute) of send connector "To hubs"`, remedy: "postern queue redirect"},
		"turn":            {queue: info, status: queue.StatusReady, reason: waitsTurn, since: began, remedy: "postern queue redirect"},
		"in flight":       {queue: info, status: queue.StatusActive, state: deferred, reason: waitsInFlight, since: deferred.At, said: "451", remedy: "postern queue remove"},
		"known to fly":    {queue: info, status: queue.StatusActive, state: deferred, begun: true, reason: waitsInFlight, since: flew, said: "451", text: "being delivered just now to a mail exchanger of hub.example:25", remedy: "postern queue remove"},
		"flies away":      {queue: info, status: queue.StatusPendingRemove, state: deferred, begun: true, reason: waitsInFlight, since: flew, said: "451", text: "and is removed when the attempt ends"},
		"redirected":      {queue: info, status: queue.StatusRetry, state: deferred, standing: message.Standing{Redirect: "[10.0.0.1]:25"}, reason: waitsDeferred, since: deferred.At, next: deferred.Due, remedy: "postern queue resubmit 0000000000001"},
		"no TLS":          {queue: info, status: queue.StatusRetry, state: ours(451, 4, 7, 4), reason: waitsFailed, since: deferred.At, next: deferred.Due, text: "TLS is required, and the host does not offer it; tried twice so far", remedy: "postern queue retry 0000000000001"},
		"no address":      {queue: info, status: queue.StatusRetry, state: ours(451, 4, 4, 4), reason: waitsFailed, since: deferred.At, next: deferred.Due, text: "could not be resolved", remedy: "postern queue retry"},
		"broken":          {queue: info, status: queue.StatusRetry, state: ours(421, 4, 4, 2), reason: waitsFailed, since: deferred.At, next: deferred.Due, text: "the connection broke", remedy: "postern queue retry"},
		"something else":  {queue: info, status: queue.StatusRetry, state: ours(451, 4, 3, 0), reason: waitsFailed, since: deferred.At, next: deferred.Due, text: "no host had asked", remedy: "postern queue retry"},
		"no DNS":          {queue: lost, status: queue.StatusRetry, state: ours(451, 4, 4, 0), reason: waitsRetry, since: began, said: "451 4.4.0", next: now.Add(time.Hour), text: "could not be resolved", remedy: "postern queue retry"},
		"queue suspended": {queue: suspended, status: queue.StatusReady, reason: waitsQueueSuspended, remedy: "postern queue resume 'To hubs/hub.example:25'"},
		"suspended":       {queue: retry, status: queue.StatusSuspended, standing: message.Standing{Suspended: true}, state: deferred, said: "451", reason: waitsSuspended, remedy: "postern queue resume 0000000000001"},
		"pending suspend": {queue: info, status: queue.StatusPendingSuspend, reason: waitsSuspended, remedy: "resume"},
		"pending remove":  {queue: info, status: queue.StatusPendingRemove, reason: waitsInFlight},
		"poison":          {queue: queue.QueueInfo{Name: queue.PoisonName}, status: queue.StatusPoison, standing: message.Standing{Poison: true, Panics: 2}, reason: waitsPoison, remedy: "postern queue export --to DIR --id 0000000000001"},
		"unreachable":     {queue: queue.QueueInfo{Name: queue.UnreachableName}, status: queue.StatusUnreachable, reason: waitsUnreachable, since: began, remedy: "postern explain route '<>' bob@fabrikam.example"},
		"routing":         {queue: queue.QueueInfo{Name: queue.SubmissionName}, status: queue.StatusReady, reason: waitsRouting, since: began, remedy: "remove"},
	} {
		t.Run(name, func(t *testing.T) {
			e := &message.Envelope{Arrived: began, Recipients: []message.Recipient{{Address: message.Address{Local: "bob", Domain: "fabrikam.example"}}}}
			st := message.NewState(1)
			st.Recipients[0], st.Standing = tt.state, tt.standing
			m := &queue.MessageInfo{Entry: spool.Entry{ID: 1, Envelope: e, State: st}, Queues: []string{tt.queue.Name}}
			if tt.begun {
				m.Begun = map[string]time.Time{tt.queue.Name: flew}
			}
			routes := []Route{{Queue: tt.queue.Name, Recipients: []string{"bob@fabrikam.example"}, Reason: "because"}}
			list := waits(&queue.MessageSummary{ID: 1, Status: tt.status, Arrived: began}, m, routes, []queue.QueueInfo{tt.queue}, now)
			w := list[0]
			if w.Reason != tt.reason || w.Text == "" || !strings.Contains(w.Text, tt.text) || !w.Since.Equal(tt.since) || !strings.Contains(w.LastError, tt.said) || !w.NextTry.Equal(tt.next) {
				t.Errorf("the answer is %+v", w)
			}
			commands := ""
			for _, r := range w.Remedies {
				commands += r.Command + "\n"
			}
			if !strings.Contains(commands, tt.remedy) || tt.remedy == "" && commands != "" {
				t.Errorf("the remedies are\n%swant %s", commands, tt.remedy)
			}
		})
	}
}

// TestWaitsTellsWhoIsTold: what a removal means for the sender is said as it is.
func TestWaitsTellsWhoIsTold(t *testing.T) {
	kim := message.Address{Local: "kim", Domain: "contoso.example"}
	for want, e := range map[string]struct {
		from   message.Address
		notify [2]message.Notify
	}{
		"the sender is told, unless --without-ndr":       {from: kim},
		"the sender is not told, as NOTIFY asked":        {from: kim, notify: [2]message.Notify{message.NotifyNever, message.NotifySuccess}},
		"give it up; the sender is told":                 {from: kim, notify: [2]message.Notify{message.NotifyNever, message.NotifyFailure}},
		"nobody is told, since its reverse path is null": {},
	} {
		env := &message.Envelope{From: e.from, Recipients: []message.Recipient{{Notify: e.notify[0]}, {Notify: e.notify[1]}}}
		m := &queue.MessageInfo{Entry: spool.Entry{ID: 1, Envelope: env, State: message.NewState(2)}, Queues: []string{"q", "q"}}
		routes := []Route{{Queue: "q", Recipients: []string{"a@fabrikam.example", "b@fabrikam.example"}}}
		w := waits(&queue.MessageSummary{ID: 1, Status: queue.StatusReady}, m, routes, nil, time.Now())[0]
		if got := w.Remedies[len(w.Remedies)-1].Effect; !strings.Contains(got, want) {
			t.Errorf("removal: %q, want %q", got, want)
		}
	}
}
