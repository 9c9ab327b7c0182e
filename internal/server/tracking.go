package server

import (
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postern/config"
	"postern/internal/message"
	"postern/logs"
	"postern/queue"
	"postern/routing"
)

// tracker writes the message tracking log from what the queue tells. It looks
// at nothing else: neither the spool is asked nor a lock of the queue's taken,
// and the log's own queue drops lines rather than wait.
type tracker struct {
	log      *logs.Log[logs.Tracking]
	server   string // this host's name in capitals
	subjects atomic.Bool
	drafts   sync.Pool // of *trackingDraft
}

func newTracker(log *logs.Log[logs.Tracking], server string) *tracker {
	t := &tracker{log: log, server: server}
	t.drafts.New = func() any { return new(trackingDraft) }
	return t
}

func (t *tracker) configure(cfg *config.Config) {
	t.subjects.Store(cfg.Logs.MessageTracking.LogSubjects)
}

// maxTracked bounds the addresses and statuses of one line, in octets: what has
// more recipients takes several lines.
const maxTracked = 16 << 10

// trackingDraft is a line in the making. Its text is put together in one buffer
// and becomes strings at once, when the line is whole.
type trackingDraft struct {
	logs.Tracking
	reply string
	text  []byte
	spans []span
}

// span is where in the text the value of a field stands.
type span struct {
	field    *string
	from, to int
}

// set makes what has been added to the text since from the value of a field.
func (d *trackingDraft) set(field *string, from int) {
	d.spans = append(d.spans, span{field, from, len(d.text)})
}

func (d *trackingDraft) address(field *string, a netip.Addr) {
	if !a.IsValid() {
		return
	}
	from := len(d.text)
	d.text = a.Unmap().AppendTo(d.text)
	d.set(field, from)
}

// pair adds an item of custom-data, unless its value is empty.
func (d *trackingDraft) pair(key, value string) {
	if value != "" {
		d.Custom = append(d.Custom, logs.Pair{Key: key, Value: value})
	}
}

// made is pair for a value that append makes. Custom must not grow after it, so
// that its place stays where it is; room sees to that.
func (d *trackingDraft) made(key string, value func([]byte) []byte) {
	from := len(d.text)
	d.text = value(d.text)
	d.Custom = append(d.Custom, logs.Pair{Key: key})
	d.set(&d.Custom[len(d.Custom)-1].Value, from)
}

// maxPairs is more than any line has.
const maxPairs = 24

// reset empties the draft.
func (d *trackingDraft) reset() {
	custom, recipients, statuses := d.Custom[:0], d.Recipients[:0], d.Statuses[:0]
	if custom == nil {
		custom = make(logs.Pairs, 0, maxPairs)
	}
	d.Tracking = logs.Tracking{Custom: custom, Recipients: recipients, Statuses: statuses}
	d.text, d.spans = d.text[:0], d.spans[:0]
}

// event writes what the queue tells of a message. Of a new message routes says
// where it goes.
func (t *tracker) event(e queue.Event, routes *routesOf, generation string) {
	if !t.log.On() {
		return
	}
	d := t.drafts.Get().(*trackingDraft)
	defer t.drafts.Put(d)
	d.reset()
	t.describe(d, &e)
	switch e.Kind {
	case queue.Submitted:
		t.receive(d, &e, routes)
	case queue.Delivered:
		d.Source, d.Event = logs.SourceSMTP, logs.TrackSend
		t.attempt(d, &e)
	case queue.Deferred:
		d.Source, d.Event = sourceOf(&e), logs.TrackDefer
		t.attempt(d, &e)
	case queue.Failed:
		d.Source, d.Event = sourceOf(&e), logs.TrackFail
		t.attempt(d, &e)
	case queue.Expired:
		d.Source, d.Event = logs.SourceQueue, logs.TrackFail
		t.attempt(d, &e)
	case queue.Removed:
		d.Source, d.Event = logs.SourceAdmin, logs.TrackFail
		t.attempt(d, &e)
	case queue.FallenBack:
		d.Source, d.Event, d.Related = logs.SourceRouting, logs.TrackRedirect, e.Fallback
		t.attempt(d, &e)
		d.pair("fallback", e.Fallback)
	case queue.Notified:
		d.Source, d.Event = logs.SourceDSN, logs.TrackDSN
		d.Reference, d.Related = e.Notification.String(), e.Envelope.From.String()
		d.pair("notification", notification(&e))
	case queue.Suppressed:
		d.Source, d.Event = logs.SourceDSN, logs.TrackSuppressed
		d.pair("notification", notification(&e))
		d.pair("reason", e.Reason)
	case queue.Redirected:
		d.Source, d.Event, d.Related = logs.SourceAdmin, logs.TrackRedirect, e.Standing.Redirect
	case queue.Resubmitted:
		d.Source, d.Event = logs.SourceAdmin, logs.TrackResubmit
	case queue.MessageSuspended:
		d.Source, d.Event = logs.SourceAdmin, logs.TrackSuspend
	case queue.Resumed:
		d.Source, d.Event = logs.SourceAdmin, logs.TrackResume
	case queue.Poisoned:
		d.Source, d.Event = logs.SourcePoison, logs.TrackPoison
		d.made("panics", func(b []byte) []byte { return strconv.AppendInt(b, int64(e.Standing.Panics), 10) })
	default: // that a message leaves the spool is nothing that happens to it
		return
	}
	d.pair("by", e.By)
	d.pair("generation", generation)
	t.write(d, &e)
}

// describe fills in what every line of a message has.
func (t *tracker) describe(d *trackingDraft, e *queue.Event) {
	v := e.Envelope
	d.InternalID, d.MessageID, d.Octets = e.ID.String(), v.MessageID, v.Size
	if t.subjects.Load() {
		d.Subject = v.Subject
	}
	from := len(d.text)
	if v.From.IsNull() {
		d.text = append(d.text, "<>"...)
	} else {
		d.text = appendMailbox(d.text, v.From)
	}
	d.set(&d.ReturnPath, from)
	d.set(&d.Sender, from)
	d.address(&d.OriginalClientIP, v.Origin.Client.Addr())
	d.address(&d.OriginalServerIP, v.Origin.Local.Addr())
	d.Directionality, d.TrafficType, d.SchemaVersion = directionality(&v.Origin), logs.TrafficEmail, logs.TrackSchema
}

// directionality tells outsiders from who submits: whoever may relay, and what
// came in no session.
func directionality(o *message.Origin) string {
	if o.MayRelay || o.User != "" || o.Internal || o.Session == "" {
		return logs.Originating
	}
	return logs.Incoming
}

// receive is about a new message.
func (t *tracker) receive(d *trackingDraft, e *queue.Event, routes *routesOf) {
	o := &e.Envelope.Origin
	d.Event, d.Source = logs.TrackReceive, logs.SourceSMTP
	switch {
	case o.Internal:
		d.Source = logs.SourceDSN
		if o.ReportOf != 0 {
			d.Reference = o.ReportOf.String()
		}
	case o.Protocol == config.SourcePickup, o.Protocol == config.SourceReplay:
		d.Source = logs.SourcePickup
	case o.Protocol == config.SourceImport:
		d.Source = logs.SourceAdmin
	}
	d.address(&d.ClientIP, o.Client.Addr())
	d.address(&d.ServerIP, o.Local.Addr())
	d.ClientHostname, d.ServerHostname = o.Helo, t.server
	if o.Session != "" {
		from := len(d.text)
		d.text = append(append(d.text, o.Session...), ';')
		d.text = appendUTC(d.text, e.Envelope.Arrived)
		d.set(&d.SourceContext, from)
	}
	if o.Connector != "" {
		from := len(d.text)
		d.text = append(append(d.text, t.server...), '\\')
		d.text = append(d.text, o.Connector...)
		d.set(&d.Connector, from)
	}
	d.pair("session", o.Session)
	d.pair("protocol", o.Protocol)
	d.pair("user", o.User)
	for i := range routes.decisions {
		r := &routes.decisions[i]
		d.pair("connector", r.Connector)
		d.pair("problem", problem(r))
		d.pair("reason", r.Reason)
	}
	if routes.more {
		d.pair("connector", "...")
	}
	d.elapsed("took", e.Envelope.Arrived, e.At)
}

func problem(r *routing.Decision) string {
	if r.Problem == routing.ProblemNone {
		return ""
	}
	return r.Problem.String()
}

// attempt is about what was tried for recipients.
func (t *tracker) attempt(d *trackingDraft, e *queue.Event) {
	d.Connector, d.ClientHostname = e.Hop.Connector, t.server
	a := attemptOf(e)
	if a != nil {
		d.SourceContext = a.Session
		d.ServerHostname = a.Host
		d.ServerIP, d.ClientIP = withoutPort(a.Address), withoutPort(a.Source)
		d.pair("session", a.Session)
	}
	d.pair("receive_session", e.Envelope.Origin.Session)
	d.pair("next_hop", e.Hop.Domain)
	if a != nil {
		d.pair("tls", a.TLS)
		d.pair("peer", a.Peer)
		d.pair("trust", a.Trust)
		d.pair("client_certificate", a.Client)
		d.pair("policy", a.Policy)
		d.pair("sender", a.Sender)
		if n := len(e.Attempts); n > 1 {
			d.made("attempts", func(b []byte) []byte { return strconv.AppendInt(b, int64(n), 10) })
		}
	}
	if n := e.Outcome.Tries; n > 0 {
		d.made("tries", func(b []byte) []byte { return strconv.AppendInt(b, int64(n), 10) })
	}
	if due := e.Outcome.Due; !due.IsZero() {
		d.made("due", func(b []byte) []byte { return appendUTC(b, due) })
	}
	d.elapsed("latency", e.Envelope.Arrived, e.At)
}

// elapsed adds a time span in seconds, to the millisecond.
func (d *trackingDraft) elapsed(key string, from, to time.Time) {
	if from.IsZero() {
		return
	}
	ms := max(0, to.Sub(from).Milliseconds())
	d.made(key, func(b []byte) []byte {
		b = append(strconv.AppendInt(b, ms/1000, 10), '.')
		return append(b, byte('0'+ms/100%10), byte('0'+ms/10%10), byte('0'+ms%10))
	})
}

// attemptOf is the attempt that brought an outcome: the last one at the host
// that gave the reply, or the last one.
func attemptOf(e *queue.Event) *message.Attempt {
	for i := len(e.Attempts) - 1; i >= 0; i-- {
		if a := &e.Attempts[i]; isAt(e.Outcome.RemoteMTA, withoutPort(a.Address)) {
			return a
		}
	}
	if n := len(e.Attempts); n > 0 {
		return &e.Attempts[n-1]
	}
	return nil
}

// isAt reports whether a remote MTA, as "mx1.example.net [198.51.100.25]" or the
// address alone in its brackets, has an address.
func isAt(remote, address string) bool {
	rest, bracket := strings.CutSuffix(remote, "]")
	rest, same := strings.CutSuffix(rest, address)
	return bracket && same && strings.HasSuffix(rest, "[")
}

// withoutPort takes the port, and the brackets of IPv6, off "ip:port".
func withoutPort(s string) string {
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		s = s[:i]
	}
	return strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
}

// sourceOf says who brought an outcome: a next hop, or the routing where there
// was none.
func sourceOf(e *queue.Event) string {
	if e.Hop.Connector == "" {
		return logs.SourceRouting
	}
	return logs.SourceSMTP
}

func notification(e *queue.Event) string {
	switch {
	case e.Delay:
		return "delay"
	case e.Relayed:
		return "relayed"
	}
	return "failure"
}

// write writes the line, or several where there are many recipients.
func (t *tracker) write(d *trackingDraft, e *queue.Event) {
	list := e.Outcome.Recipients
	all := len(list) == 0 // an order, or a new message: all of them
	total := len(list)
	if all {
		total = len(e.Envelope.Recipients)
	}
	if d.reply = ""; e.Outcome.Reply.Code != 0 {
		from := len(d.text)
		d.text = appendReply(d.text, &e.Outcome.Reply)
		d.set(&d.reply, from)
	}
	common, replySize := len(d.text), len(e.Outcome.Reply.Text)
	for done := 0; ; {
		n, octets := 0, 0
		d.text = d.text[:common]
		d.Recipients = grow(d.Recipients, min(total-done, 1024))
		spans := len(d.spans)
		for done+n < total && n < len(d.Recipients) && (n == 0 || octets < maxTracked) {
			i := done + n
			if !all {
				i = list[i]
			}
			from := len(d.text)
			d.text = appendMailbox(d.text, e.Envelope.Recipients[i].Address)
			d.set(&d.Recipients[n], from)
			octets += len(d.text) - from + replySize
			n++
		}
		d.Recipients, d.RecipientCount = d.Recipients[:n], n
		d.finish()
		d.spans = d.spans[:spans]
		d.Statuses = d.Statuses[:0]
		if d.reply != "" {
			for range n {
				d.Statuses = append(d.Statuses, d.reply)
			}
		}
		t.log.Write(&d.Tracking)
		if done += n; done >= total {
			return
		}
	}
}

// finish makes the text into the values of the fields.
func (d *trackingDraft) finish() {
	text := string(d.text)
	for _, s := range d.spans {
		*s.field = text[s.from:s.to]
	}
}

// grow returns a list of n strings in the place of another.
func grow(list []string, n int) []string {
	if cap(list) >= n {
		return list[:n]
	}
	return make([]string, n)
}

func appendMailbox(b []byte, a message.Address) []byte {
	b = append(b, a.Local...)
	if a.Domain != "" {
		b = append(append(b, '@'), a.Domain...)
	}
	return b
}

// appendReply appends a reply on one line.
func appendReply(b []byte, r *message.Reply) []byte {
	b = strconv.AppendInt(b, int64(r.Code), 10)
	if r.Enhanced != ([3]int{}) {
		for i, n := range r.Enhanced {
			b = append(b, " .."[i])
			b = strconv.AppendInt(b, int64(n), 10)
		}
	}
	if r.Text != "" {
		b = append(append(b, ' '), r.Text...)
	}
	return b
}

func appendUTC(b []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
}

// routesOf are the different ways of a new message's recipients, the first few
// of them.
type routesOf struct {
	decisions []routing.Decision
	more      bool
}

// maxRoutes is how many ways of one message are told.
const maxRoutes = 4

func (r *routesOf) add(d routing.Decision) {
	for i := range r.decisions {
		if have := &r.decisions[i]; have.Connector == d.Connector && have.Problem == d.Problem && have.Reason == d.Reason {
			return
		}
	}
	if len(r.decisions) == maxRoutes {
		r.more = true
		return
	}
	r.decisions = append(r.decisions, d)
}
