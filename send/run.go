package send

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/internal/eventid"
	"postern/internal/message"
	"postern/routing"
	ptls "postern/tls"
)

// maxTries bounds the connections opened for one attempt at a message.
const maxTries = 10

// run is one attempt to bring a message to a next hop.
type run struct {
	finder
	span       *span
	generation int
	d          *message.Delivery

	// pending are the recipients without an outcome.
	pending  []int
	outcomes []message.Outcome
	ends     []end       // of outcomes
	byEnd    map[end]int // index into outcomes, once there are many
	attempts []message.Attempt
	// sender is the reverse path, where the connector gives it another domain.
	sender string
	out    *outgoing // nil until the content is opened
	// eightBit says whether it has 8-bit octets; nil as long as nobody asked.
	eightBit *bool

	tries int
	// hurry says that a connection that is not made soon is to be left for now.
	hurry bool
	// late are the failures of those that were, until they are tried again.
	late map[netip.AddrPort]*failure
	// unbound is why the last connection's source address could not be used.
	unbound *failure
	// fresh and unfound are the addresses and the failed look-ups that the
	// connectivity log was not told of yet.
	fresh   []found
	unfound []message.Reply
	// took says that some host took the connection, served that one said yes to
	// MAIL, congested that one did not stand another delivery.
	took, served, congested bool
	// temporary and permanent are the most telling failures of each class.
	temporary, permanent *noted
	// skipped says which addresses were passed over without being tried, and
	// why: the first of each host and family.
	skipped []message.Attempt
}

// end is what recipients share who share an Outcome.
type end struct {
	status message.Status
	reply  message.Reply
	remote string
	noDSN  bool
}

// noted is a host's failure, kept for the recipients that no host took.
type noted struct {
	reply  message.Reply
	remote string
}

func (s *Sender) deliver(sp *span, hop routing.NextHop, d *message.Delivery) message.Report {
	ctx := sp.ctx
	// The generation is read first: a connection may then count as one of an
	// earlier configuration, but never the other way round.
	generation := s.pool.current()
	snap := s.snapshot.Load()
	connector := snap.connectors[hop.Connector]
	if connector == nil {
		return refuseAll(d, ours(451, codeConfig, "There is no send connector %q in the configuration", hop.Connector))
	}
	r := &run{span: sp, generation: generation, d: d, pending: slices.Clone(d.Recipients),
		finder: finder{s: s, snap: snap, place: d.Place, connector: connector, own: snap.exits[hop.Connector], hop: hop}}
	r.masquerade()
	r.noted = r.hears
	groups, v := r.hostGroups(ctx)
	if v != nil {
		r.settle(r.pending, v.status, v.reply, "")
		r.unlinked(v.status, v.reply)
		return message.Report{Outcomes: r.outcomes, Unreachable: v.status == message.Deferred && ctx.Err() == nil}
	}
	r.walk(ctx, groups)
	if r.out != nil {
		_ = r.out.content.Close()
	}
	unreachable := r.finish(ctx)
	return message.Report{Outcomes: r.outcomes, Attempts: r.attempts, Unreachable: unreachable, Congested: r.congested && !r.served}
}

func (r *run) done(ctx context.Context) bool {
	return len(r.pending) == 0 || ctx.Err() != nil || r.tries >= maxTries
}

// finish settles the recipients that no host took or refused, and reports
// whether the next hop as a whole is out of reach.
func (r *run) finish(ctx context.Context) (unreachable bool) {
	switch {
	case len(r.pending) == 0:
		return false
	}
	r.attempts = append(r.skipped, r.attempts...)
	for _, f := range r.late {
		r.note(f, "")
	}
	switch {
	case ctx.Err() != nil:
		r.settle(r.pending, message.Deferred, interrupted(phaseConnect), "")
	case r.temporary != nil:
		// As long as one host may take it later, the message waits.
		r.settle(r.pending, message.Deferred, r.temporary.reply, r.temporary.remote)
		unreachable = !r.took
	case r.loop != "" && r.permanent == nil:
		r.settle(r.pending, message.Failed, ours(554, [3]int{5, 4, 6}, "%s", r.loop), "")
	case r.permanent != nil:
		r.settle(r.pending, message.Failed, r.permanent.reply, r.permanent.remote)
	default:
		reply := ours(451, codeNoRoute, "There is no host to connect to")
		if len(r.skipped) > 0 {
			reply = r.skipped[0].Reply
		}
		r.settle(r.pending, message.Deferred, reply, "")
		unreachable = true
	}
	r.pending = nil
	if o := r.outcomes[len(r.outcomes)-1]; len(r.attempts) == len(r.skipped) && ctx.Err() == nil {
		r.unlinked(o.Status, o.Reply)
	}
	return unreachable
}

// settle notes what has become of recipients.
func (r *run) settle(recipients []int, status message.Status, reply message.Reply, remote string) {
	r.conclude(recipients, end{status: status, reply: reply, remote: remote})
}

// conclude notes the end of recipients.
func (r *run) conclude(recipients []int, k end) {
	if len(recipients) == 0 {
		return
	}
	i := r.indexOf(k)
	if i < 0 {
		i = len(r.outcomes)
		r.ends = append(r.ends, k)
		if r.byEnd != nil {
			r.byEnd[k] = i
		}
		r.outcomes = append(r.outcomes, message.Outcome{Status: k.status, Reply: k.reply, RemoteMTA: k.remote, NoDSN: k.noDSN})
	}
	r.outcomes[i].Recipients = append(r.outcomes[i].Recipients, recipients...)
}

// manyEnds is from how many ends on they are looked up in a map.
const manyEnds = 16

// indexOf is which of the outcomes is for an end; -1 when there is none yet.
func (r *run) indexOf(k end) int {
	if len(r.ends) < manyEnds {
		return slices.Index(r.ends, k)
	}
	if r.byEnd == nil {
		r.byEnd = make(map[end]int)
		for i, k := range r.ends {
			r.byEnd[k] = i
		}
	}
	if i, ok := r.byEnd[k]; ok {
		return i
	}
	return -1
}

// settleBy settles recipients by the class of a host's reply, or the one that
// the connector's rules give it.
func (r *run) settleBy(recipients []int, reply message.Reply, c *conn) {
	if reply.Code/100 == 2 || len(r.snap.rules[r.connector.Name]) == 0 {
		r.settleAs(recipients, reply, c)
		return
	}
	for _, i := range recipients {
		r.settleAs([]int{i}, r.reclassify(reply, r.d.Envelope.Recipients[i].Address.Domain), c)
	}
}

func (r *run) settleAs(recipients []int, reply message.Reply, c *conn) {
	remote := c.remoteMTA()
	switch reply.Code / 100 {
	case 2:
		r.conclude(recipients, end{status: message.Delivered, reply: reply, remote: remote, noDSN: !c.ext.DSN})
	case 5:
		r.settle(recipients, message.Failed, reply, remote)
	default:
		r.settle(recipients, message.Deferred, reply, remote)
	}
}

// note keeps a failure for the recipients that no host takes: what a host said
// itself before our own words, of those the first.
func (r *run) note(f *failure, remote string) {
	if f.canceled {
		return
	}
	reply := f.reply
	if f.said {
		domain := ""
		if r.hop.Kind == routing.MX {
			domain = r.hop.Domain
		}
		reply = r.reclassify(reply, domain)
	}
	slot := &r.temporary
	if reply.Code >= 500 {
		slot = &r.permanent
	}
	if *slot == nil || f.said {
		*slot = &noted{reply: reply, remote: remote}
	}
}

// policyFor is what TLS to a host must be for a message with or without
// REQUIRETLS.
func (s *snapshot) policyFor(hop routing.NextHop, e endpoint, requireTLS bool) ptls.Policy {
	// What is asked of a smart host holds for its exchangers, which the DNS
	// names and not the configuration.
	h := ptls.Hop{Domain: e.of, Host: e.host, RequireTLS: requireTLS}
	if hop.Kind == routing.MX {
		h.Domain = hop.Domain
	}
	return s.policies[hop.Connector].For(h)
}

// policy is what TLS to a host must be.
func (r *run) policy(e endpoint) ptls.Policy {
	return r.snap.policyFor(r.hop, e, r.d.Envelope.RequireTLS)
}

// try delivers what is pending over one endpoint, as far as it goes. Loop says
// that the endpoint is the gateway itself.
func (r *run) try(ctx context.Context, e endpoint) (loop bool) {
	k := key{connector: r.connector.Name, endpoint: e, policy: r.policy(e), material: r.s.material.Generation()}
	var inClear, fresh bool
	var held *conn  // in hand, and neither put back nor dropped
	var placed bool // a place at the host is ours
	defer func() {  // when a panic ends the delivery, the queue goes on
		if held != nil {
			_ = held.raw.Close()
		}
		if placed {
			r.s.pool.free(e.addr)
		}
	}()
	for len(r.pending) > 0 && ctx.Err() == nil {
		started := time.Now()
		c, err := r.s.pool.get(ctx, k, fresh, r.place)
		if err != nil {
			r.busy(ctx, started, k, err)
			return false
		}
		placed = true
		reused := c != nil
		if !reused {
			var f *failure
			if c, f = r.connect(ctx, started, k, inClear); f != nil {
				placed = false // connect has given it up
				if f.tls && k.policy.FallsBack() {
					inClear, fresh = true, true
					continue
				}
				return f.loop
			}
		}
		r.took = true
		held = c
		reply, f := r.use(ctx, c)
		held, placed = nil, false // put and drop see to it
		if f != nil && reused && !f.intact && !f.canceled && f.phase < phaseContent {
			// The host gave the idle connection up; that it did so just now
			// says nothing about the message.
			r.drop(c, f)
			fresh = true
			continue
		}
		r.attempted(started, e, c, reply)
		if f == nil || f.intact {
			r.s.pool.put(c, r.s.idleTime(r.connector))
		} else {
			r.drop(c, f)
		}
		if f != nil {
			r.congested = r.congested || f.congestion()
			r.note(f, c.remoteOf(f))
			return false
		}
		if reused {
			r.s.dead.clear(e.addr)
		}
	}
	return false
}

// connect opens a connection. A failure has been noted, but for one of TLS
// where a connection in clear may be tried.
func (r *run) connect(ctx context.Context, started time.Time, k key, inClear bool) (*conn, *failure) {
	r.tries++
	began := time.Now()
	c, f := r.open(ctx, k, inClear)
	if debugs(r.s.o.Logger) {
		r.tellOpened(c, k, began, f)
	}
	if f == nil {
		r.s.dead.clear(k.endpoint.addr)
		return c, nil
	}
	if f.intact {
		r.s.pool.retire(c, true)
	} else {
		r.s.pool.free(k.endpoint.addr)
	}
	r.attempted(started, k.endpoint, c, f.reply)
	var dead time.Time
	defer func() {
		if c.raw == nil {
			c.link.failed(k.endpoint, f, dead)
		}
	}()
	// What REQUIRETLS asks for is a matter of the message (RFC 8689 4.2.1).
	asked := r.d.Envelope.RequireTLS && (f.phase == phaseSTARTTLS || f.phase == phaseHandshake)
	r.congested = r.congested || f.congestion() && !asked
	switch {
	case f.loop:
		r.loop = f.reply.Text
		return nil, f
	case f.canceled:
		return nil, f
	case f.tls && k.policy.FallsBack():
		r.took = true
		r.s.o.Logger.Warn("TLS failed; the message goes in clear over a new connection", eventid.ClearText.Attr(),
			"connector", r.connector.Name, "host", k.endpoint.String(), "session", c.session, "error", f.reply.String())
		return nil, f
	case f.source:
		r.sourceGone(k.endpoint.source, f)
		return nil, f
	case f.local:
	case f.late:
		r.left(k.endpoint.addr, f)
		return nil, f
	case f.unreachable:
		dead = time.Now().Add(r.s.timeouts.Dead)
		r.s.dead.mark(k.endpoint.addr, dead)
	default:
		r.took = true
	}
	remote := ""
	if f.said {
		remote = k.endpoint.String()
	}
	r.note(f, remote)
	return nil, f
}

// busy notes that a host had no connection left for us.
func (r *run) busy(ctx context.Context, started time.Time, k key, err error) {
	if ctx.Err() != nil {
		return
	}
	r.took = true // others have its connections
	r.congested = true
	f := &failure{reply: ours(451, codeCongestion, "No connection to %s: %v", k.endpoint, err)}
	r.attempts = append(r.attempts, message.Attempt{At: started, Host: k.endpoint.host, Address: k.endpoint.addr.String(), Reply: f.reply})
	r.note(f, "")
}

// use sends the pending recipients' copies over a connection.
func (r *run) use(ctx context.Context, c *conn) (message.Reply, *failure) {
	r.span.watch(c.raw)
	reply, f := c.deliver(ctx, r)
	if !r.span.leave(c.raw) && (f == nil || f.intact) {
		// The deadline of the context's end is on the connection.
		f = &failure{reply: reply, canceled: true}
	}
	return reply, f
}

// drop closes a connection that is of no more use.
func (r *run) drop(c *conn, f *failure) {
	c.why = whyEnded(f)
	c.close(closedBy(f))
	r.s.pool.free(c.key.endpoint.addr)
}

// attempted adds a connection to the report.
func (r *run) attempted(at time.Time, e endpoint, c *conn, reply message.Reply) {
	a := message.Attempt{At: at, Host: e.host, Address: e.addr.String(), TLS: c.tls, Session: c.session, Reply: reply, Sender: r.sender}
	if c.local.IsValid() {
		a.Source = c.local.String()
	}
	if c.peer != nil {
		a.Peer, a.Trust, a.Client = clipName(c.peer.Peer), clipName(c.peer.Trust), c.peer.Client()
		a.Policy = clipName(c.key.policy.String())
	}
	r.attempts = append(r.attempts, a)
}

// clipName bounds what a host's certificate adds to each attempt on disk.
func clipName(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// errContent says that the stored content could not be read.
type errContent struct{ err error }

func (e *errContent) Error() string { return fmt.Sprintf("the content can't be read: %v", e.err) }
func (e *errContent) Unwrap() error { return e.err }
