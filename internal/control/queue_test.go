package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/message"
	"postern/queue"
	"postern/queue/spool"
	"postern/receive"
)

// administer serves a gateway with someQueues on a socket.
func administer(t *testing.T) (*Client, *fakeGateway) {
	g := &fakeGateway{}
	g.queues.queues, g.queues.messages = someQueues().queues, someQueues().messages
	g.queues.infos, g.queues.content = someQueues().infos, someQueues().content
	c, _ := start(t, g)
	return c, g
}

func TestQueues(t *testing.T) {
	c, _ := administer(t)
	list, err := c.Queues(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(list.Queues[0])
	const want = `{"identity":"Internet/fabrikam.example","delivery_type":"mx","connector":"Internet","next_hop_domain":"fabrikam.example",` +
		`"status":"retry","suspended":false,"message_count":2,"deferred_message_count":2,"in_flight":0,"window":0,` +
		`"incoming_rate":0,"outgoing_rate":0,"velocity":-0.25,"oldest_message":"2026-11-22T01:00:00Z",` +
		`"last_error":"421 4.4.1 Unable to connect","retry_count":3,"first_retry_time":"2026-11-22T01:00:00Z",` +
		`"last_retry_time":"2026-11-22T01:01:00Z","next_retry_time":"2026-11-22T02:00:00Z"}`
	if string(text) != want {
		t.Errorf("a queue is\n%s, want\n%s", text, want)
	}
	if list.Distinct != 3 {
		t.Errorf("%d messages", list.Distinct)
	}
	if u := list.Queues[1]; u.DeliveryType != "unreachable" || u.Connector != "" {
		t.Errorf("the Unreachable queue is %+v", u)
	}
	ages, err := c.Ages(t.Context())
	if err != nil || !slices.Equal(ages.Bounds, []int64{300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 76800}) || ages.Queues[0].Counts[9] != 2 {
		t.Errorf("ages %+v, %v", ages, err)
	}
}

// wantError insists on a *RequestError with a status and a part of its text.
func wantError(t *testing.T, err error, status int, text string) {
	t.Helper()
	var r *RequestError
	if !errors.As(err, &r) || r.Status != status || !strings.Contains(r.Text, text) {
		t.Errorf("error %v, want status %d with %q", err, status, text)
	}
}

func TestOrderQueue(t *testing.T) {
	var log bytes.Buffer
	g := &fakeGateway{}
	g.logger, g.queues.queues = slog.New(slog.NewTextHandler(&log, nil)), someQueues().queues
	c, _ := start(t, g)
	g.queues.queues = append(g.queues.queues, queue.QueueInfo{Name: "To hubs/[192.0.2.1]:25"}, queue.QueueInfo{Name: "held", Suspended: true})
	for _, step := range []struct {
		verb, name string
		resubmit   bool
	}{{"suspend", "Internet/fabrikam.example", false}, {"resume", "Internet/fabrikam.example", false}, {"retry", "Internet/fabrikam.example", false}, {"retry", "Unreachable", true}} {
		a, err := c.OrderQueue(t.Context(), step.verb, step.name, step.resubmit)
		if err != nil || a.Identity != step.name || (a.Messages == 2) != step.resubmit {
			t.Errorf("%+v: %+v, %v", step, a, err)
		}
	}
	want := []string{"suspend Internet/fabrikam.example", "resume Internet/fabrikam.example", "retry Internet/fabrikam.example", "resubmit Unreachable"}
	if !slices.Equal(g.queues.done, want) {
		t.Errorf("done %q, want %q", g.queues.done, want)
	}
	// An answer comes after its line in the log.
	for _, what := range []string{"suspended", "resumed", "retried"} {
		if line := fmt.Sprintf("msg=\"queue %s\" event_id=20205 queue=Internet/fabrikam.example by=\"uid ", what); !strings.Contains(log.String(), line) {
			t.Errorf("the event log lacks %s:\n%s", line, log.String())
		}
	}
	for _, tt := range []struct {
		verb, name string
		resubmit   bool
		status     int
		text       string
	}{
		{"suspend", "fabrikam.example", false, 404, `did you mean "Internet/fabrikam.example"?`},
		{"suspend", "hubs/192.0", false, 404, `did you mean "To hubs/[192.0.2.1]:25"?`},
		{"suspend", "unreachabel", false, 404, `did you mean "Unreachable"?`},
		{"retry", "Outer/space.example", false, 404, "queue list --all"},
		{"retry", "", false, 400, "?name="},
		{"suspend", "Unreachable", true, 400, "only a retry"},
		{"explode", "Unreachable", false, 400, "suspend, resume and retry"},
		{"suspend", "Poison", false, 409, "the Poison queue can't be suspended"},
		{"resume", "Poison", false, 409, "postern queue resume --queue Poison"},
		{"retry", "Poison", false, 409, "resume its messages by id"},
		{"retry", "Poison", true, 409, "resume its messages by id"},
		{"retry", "Submission", false, 409, "the Submission queue can't be retried"},
		{"retry", "Submission", true, 409, "the Submission queue can't be retried"},
		{"retry", "Unreachable", false, 409, "postern queue resubmit Unreachable"},
		{"retry", "held", false, 409, "held is suspended; resume it first"},
	} {
		_, err := c.OrderQueue(t.Context(), tt.verb, tt.name, tt.resubmit)
		wantError(t, err, tt.status, tt.text)
	}
}

// TestMessages asks for all messages page by page, and for those of a filter.
func TestMessages(t *testing.T) {
	c, g := administer(t)
	g.queues.examine = 1
	var ids []string
	for after := ""; ; {
		p, err := c.Messages(t.Context(), Filter{}, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range p.Messages {
			ids = append(ids, m.ID)
		}
		if after = p.Next; after == "" {
			break
		}
	}
	if want := []string{"0000000000001", "0000000000002", "0000000000003"}; !slices.Equal(ids, want) {
		t.Errorf("ids %v, want %v", ids, want)
	}

	g.queues.filters = nil
	f := Filter{
		IDs: []string{"0000000000002"}, Queue: "Unreachable", From: "<>", To: "kim@contoso.example", Domain: "*.contoso.example",
		OlderThan: 7200, LargerThan: 1 << 20, Subject: "Grüße & mehr", Status: "retry",
	}
	if _, err := c.Messages(t.Context(), f, "", 0); err != nil {
		t.Fatal(err)
	}
	got := g.queues.filters[0]
	if age := time.Since(got.ArrivedBefore); age < 2*time.Hour || age > 2*time.Hour+time.Minute {
		t.Errorf("older than %v, want 2h", age)
	}
	if !slices.Equal(got.IDs, []message.ID{2}) || got.Queue != f.Queue || got.From != f.From || got.To != f.To || got.Domain != f.Domain ||
		got.LargerThan != f.LargerThan || got.Subject != f.Subject || got.Status != queue.StatusRetry {
		t.Errorf("the filter came as %+v", got)
	}
}

func TestMessagesRefuses(t *testing.T) {
	c, g := administer(t)
	ask := func(query string) error {
		_, err := ask[MessagePage](t.Context(), c, http.MethodGet, "/v1/messages?"+query, nil, nil)
		return err
	}
	for query, want := range map[string]string{
		"status=lost":                "want one of ready, active",
		"limit=0":                    "from 1 to 1000",
		"limit=1001":                 "from 1 to 1000",
		"older_than=soon":            "2h",
		"older_than=99999999999":     "older_than",
		"larger_than=-1":             "larger_than",
		"after=x":                    "after:",
		"id=12345":                   "13 characters",
		"colour=red":                 `unknown parameter "colour"`,
		"from=a%40b.example&from=<>": "more than once",
		"from=%zz":                   "can't be read",
	} {
		wantError(t, ask(query), 400, want)
	}
	wantError(t, ask("queue=internet"), 404, `did you mean "Internet/fabrikam.example"?`)
	for query, want := range map[string]string{"from=b@d@d": "from: ", "to=b@d@d": "to: ", "domain=a@b.example": "domain: ", "domain=<>": "domain: "} {
		wantError(t, ask(query), 400, want)
	}
	g.queues.err = fmt.Errorf("%w: the sky is blue", queue.ErrBadOrder)
	if err := ask(""); err == nil || strings.Contains(err.Error(), "order") || !strings.Contains(err.Error(), "the sky is blue") {
		t.Errorf("a bad order is told as %v", err)
	}
	g.queues.err = queue.ErrNotRunning
	wantError(t, ask(""), 503, "not running")
}

// TestCallerGoesAway: the work on a request ends with its caller.
func TestCallerGoesAway(t *testing.T) {
	c, g := administer(t)
	g.queues.block = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-g.queues.block
		cancel()
	}()
	if _, err := c.Messages(ctx, Filter{}, "", 0); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	// The server's Close, at the end of the test, waits for the handler.
}

func TestOrderMessages(t *testing.T) {
	c, g := administer(t)
	g.queues.examine = 1
	g.queues.messages[1].Status, g.queues.messages[2].Status = queue.StatusActive, queue.StatusSuspended
	steps := 0
	tally, err := c.OrderMessages(t.Context(), "remove", Order{All: true, WithoutNDR: true}, func(Tally) { steps++ })
	if err != nil {
		t.Fatal(err)
	}
	if tally.Matched != 3 || tally.Changed != 1 || tally.Pending != 1 || tally.Skipped["it is suspended already"] != 1 || tally.Next != "" || steps != 2 {
		t.Errorf("tally %+v after %d steps", tally, steps)
	}
	for i, o := range g.queues.orders {
		if o.Verb != queue.Remove || o.WithNDR || o.DryRun || o.After != message.ID(i) || !strings.HasPrefix(o.By, "uid ") {
			t.Errorf("order %d is %+v", i, o)
		}
	}
	g.queues.orders, g.queues.examine = nil, 0
	if _, err := c.OrderMessages(t.Context(), "redirect", Order{Filter: Filter{Status: "retry"}, To: "hub2.example:2525", DryRun: true}, nil); err != nil {
		t.Fatal(err)
	}
	if o := g.queues.orders[0]; o.To != "hub2.example:2525" || !o.DryRun || !o.WithNDR || o.Filter.Status != queue.StatusRetry {
		t.Errorf("the order came as %+v", o)
	}
}

// TestOrderRefuses: nothing is done that was not asked for in so many words.
func TestOrderRefuses(t *testing.T) {
	c, g := administer(t)
	some := Filter{Status: "retry"}
	for _, tt := range []struct {
		verb  string
		order Order
		want  string
	}{
		{"remove", Order{}, `"all": true`},
		{"remove", Order{Filter: some, All: true}, "not both"},
		{"destroy", Order{All: true}, "suspend, resume, retry"},
		{"redirect", Order{Filter: some}, `"to"`},
		{"suspend", Order{Filter: some, To: "x.example"}, `"to"`},
		{"suspend", Order{Filter: some, WithoutNDR: true}, "remove alone"},
		{"remove", Order{Filter: Filter{IDs: []string{"x"}}}, "13 characters"},
		{"remove", Order{Filter: some, After: "x"}, "after:"},
		{"redirect", Order{Filter: some, To: "bad"}, "bad order"},
	} {
		_, err := c.OrderMessages(t.Context(), tt.verb, tt.order, nil)
		wantError(t, err, 400, tt.want)
	}
	for body, want := range map[string]string{
		"":                            "JSON object",
		"[]":                          "JSON object",
		`{"all":true} {"all":true}`:   "behind its JSON object",
		`{"filtr":{}}`:                "filtr",
		`{"all":true,"dry_run":"no"}`: "dry_run",
	} {
		resp, err := c.send(t.Context(), http.MethodPost, "/v1/messages/remove", nil, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_, err = answered[Tally](resp)
		wantError(t, err, 400, want)
	}
	resp, err := c.send(t.Context(), http.MethodPost, "/v1/messages/remove", nil, strings.NewReader(`{"filter":{"subject":"`+strings.Repeat("x", maxRequest)+`"}}`))
	if err == nil {
		_, err = answered[Tally](resp)
	}
	wantError(t, err, http.StatusRequestEntityTooLarge, "can't be read")
	if len(g.queues.orders) > 0 {
		t.Errorf("orders reached the queue: %+v", g.queues.orders)
	}
	_, err = ask[Tally](t.Context(), c, http.MethodDelete, "/v1/messages", nil, nil)
	wantError(t, err, 404, "nothing answers to DELETE")
}

func TestShow(t *testing.T) {
	c, g := administer(t)
	m, err := c.Message(t.Context(), "0000000000001")
	if err != nil {
		t.Fatal(err)
	}
	if m.ID != "0000000000001" || m.Sender != "kim@contoso.example" || m.Envelope.Recipients[0].Tries != 2 || len(m.Waits) != 1 || len(m.Routes) != 1 ||
		m.Routes[0].Reason == "" {
		t.Errorf("message %+v", m)
	}
	// A message that moves from queue to queue is not in any list.
	g.queues.messages = g.queues.messages[1:]
	if m, err := c.Message(t.Context(), "0000000000001"); err != nil || m.Sender != "kim@contoso.example" || m.PendingRecipients != 1 || len(m.Waits) != 1 {
		t.Errorf("on its way between queues: %+v, %v", m, err)
	}
	for _, tt := range []struct {
		id     string
		status int
		want   string
	}{{"0000000000009", 404, "not in the queue"}, {"hello", 400, "13 characters"}} {
		_, err := c.Message(t.Context(), tt.id)
		wantError(t, err, tt.status, tt.want)
		_, err = c.Content(t.Context(), tt.id)
		wantError(t, err, tt.status, tt.want)
	}
}

func TestContent(t *testing.T) {
	c, g := administer(t)
	want := bytes.Repeat([]byte("\x00\xff\r\n bare\n"), 1<<18)
	g.queues.content[1] = want
	r, err := c.Content(t.Context(), "0000000000001")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d octets of %d, %v", len(got), len(want), err)
	}
}

func TestImport(t *testing.T) {
	c, g := administer(t)
	content := "Subject: x\r\n\r\n" + strings.Repeat("0123456789", 50)
	e := &Envelope{
		Sender: "kim@contoso.example", EnvID: "QQ314159", Return: "HDRS", Body: "8BITMIME", RequireTLS: true,
		Recipients: []Recipient{{Address: "bob@fabrikam.example", Notify: []string{"SUCCESS", "DELAY"}, ORcpt: "rfc822;rob@contoso.example"}, {Address: "Ünï@fabrikam.example"}, {Address: "bob@FABRIKAM.example"}},
	}
	a, err := c.Import(t.Context(), e, strings.NewReader(content), false)
	if err != nil || a.ID != message.ID(4711).String() {
		t.Fatalf("%+v, %v", a, err)
	}
	got := g.imported.envelope
	if string(g.imported.content) != content || g.imported.limit != 1000 || got.From.String() != e.Sender || len(got.Recipients) != 2 || !got.SMTPUTF8 || !got.RequireTLS ||
		got.Body != message.Body8BitMIME || got.Return != message.ReturnHeaders || got.EnvID != e.EnvID ||
		got.Recipients[0].Notify != message.NotifySuccess|message.NotifyDelay || got.Recipients[0].ORcpt != e.Recipients[0].ORcpt {
		t.Errorf("it came as %+v with %d octets and limit %d", got, len(g.imported.content), g.imported.limit)
	}
	large := strings.Repeat("x", 5000)
	_, err = c.Import(t.Context(), e, strings.NewReader(large), false)
	wantError(t, err, 422, "too large")
	if _, err = c.Import(t.Context(), e, strings.NewReader(large), true); err != nil || g.imported.limit != 0 {
		t.Errorf("without limit: %v", err)
	}
	g.importErr = spool.ErrNoSpace
	_, err = c.Import(t.Context(), e, strings.NewReader(content), false)
	wantError(t, err, http.StatusInsufficientStorage, "no space")
}

func TestImportRefuses(t *testing.T) {
	c, g := administer(t)
	to := []Recipient{{Address: "bob@fabrikam.example"}}
	for want, e := range map[string]*Envelope{
		"no recipient":       {Sender: "kim@contoso.example"},
		"sender":             {Sender: "kim@@contoso.example", Recipients: to},
		"recipient":          {Recipients: []Recipient{{Address: "bob"}}},
		"body":               {Recipients: to, Body: "9BIT"},
		"ret":                {Recipients: to, Return: "SOME"},
		"notify":             {Recipients: []Recipient{{Address: "bob@fabrikam.example", Notify: []string{"MAYBE"}}}},
		"NEVER stands alone": {Recipients: []Recipient{{Address: "bob@fabrikam.example", Notify: []string{"NEVER", "DELAY"}}}},
		"orcpt":              {Recipients: []Recipient{{Address: "bob@fabrikam.example", ORcpt: "rob"}}},
		"control character":  {Recipients: to, EnvID: "a\r\nRCPT TO:<x@y.example>"},
	} {
		_, err := c.Import(t.Context(), e, strings.NewReader("x"), false)
		wantError(t, err, 400, want)
	}
	resp, err := c.send(t.Context(), http.MethodPost, "/v1/messages", nil, strings.NewReader("no envelope"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = answered[Imported](resp)
	wantError(t, err, 400, "one line of JSON")
	resp, err = c.send(t.Context(), http.MethodPost, "/v1/messages", nil, strings.NewReader(strings.Repeat("x", maxEnvelope+5000)))
	if err == nil {
		_, err = answered[Imported](resp)
	}
	wantError(t, err, 400, "longer than")
	if g.imported.envelope != nil {
		t.Error("something reached the gateway")
	}
}

func TestStatus(t *testing.T) {
	c, g := administer(t)
	g.bindings = []receive.Binding{
		{Address: netip.MustParseAddrPort("127.0.0.1:25"), Err: errors.New("permission denied")},
		{Address: netip.MustParseAddrPort("127.0.0.1:2525"), Addr: &net.TCPAddr{}},
	}
	g.queues.queues = append(g.queues.queues, queue.QueueInfo{Name: "Internet/idle.example", Status: queue.Retry})
	s, err := c.Status(t.Context(), Thresholds{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Server.FQDN != "edge.contoso.example" || s.Server.Version.Version != "1.2.3" || s.Server.Uptime < 3600 || s.Server.Uptime > 3700 {
		t.Errorf("server %+v", s.Server)
	}
	if !slices.Equal(s.Listeners, []Listener{{"127.0.0.1:25", false, "permission denied"}, {"127.0.0.1:2525", true, ""}}) {
		t.Errorf("listeners %+v", s.Listeners)
	}
	if q := s.Queues; q.ByStatus["retry"] != (QueueSum{2, 1, 2}) || q.ByStatus["ready"] != (QueueSum{1, 0, 1}) || q.Messages != 3 || q.Unsaved != 1 || q.Submitted != 7 || q.Oldest.IsZero() {
		t.Errorf("queues %+v", q)
	}
	if s.Spool.Messages != 2 || s.Spool.LastSync != 0.0015 {
		t.Errorf("spool %+v", s.Spool)
	}
}
