package review

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"postern/logs"
)

// Summary is what Statistics add up to, and the schema of `postern logs stats
// --output json`. Sizes are octets, spans seconds, times UTC.
type Summary struct {
	// From and Until are the times of the first and the last thing that was
	// seen; zero when nothing was.
	From  time.Time `json:"from,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Receive and Send sum up the sessions of both directions, by the protocol
	// logs.
	Receive SideSummary `json:"receive"`
	Send    SideSummary `json:"send"`
	// Mail sums up message tracking; nil when no line of it was seen. Without
	// it senders and domains are those that the sessions name.
	Mail *MailSummary `json:"mail,omitempty"`

	Senders Ranking[SenderCount] `json:"senders"`
	Domains Ranking[DomainCount] `json:"domains"`
	// Refusals are what was refused to clients here, RefusalsSent what next
	// hops refused us.
	Refusals     Ranking[RefusalCount] `json:"refusals"`
	RefusalsSent Ranking[RefusalCount] `json:"refusals_by_next_hops"`
	TLS          Ranking[TLSCount]     `json:"tls"`
	// Peers are clients by their sessions, by the refusals that they got and by
	// the logons that failed.
	Peers        Ranking[PeerCount] `json:"peers"`
	PeersRefused Ranking[PeerCount] `json:"peers_refused"`
	PeersLogons  Ranking[PeerCount] `json:"peers_failed_logons"`
	// Groups break it all down, each by one thing.
	Groups map[Grouping]Ranking[Group] `json:"groups"`
}

// SideSummary sums up the sessions of one direction.
type SideSummary struct {
	Sessions uint64 `json:"sessions"`
	// Failed sessions are those in which something was refused or broke.
	Failed uint64 `json:"failed_sessions"`
	// Secure sessions had TLS; SecureMessages were accepted in them.
	Secure         uint64 `json:"tls_sessions"`
	Messages       uint64 `json:"messages"`
	SecureMessages uint64 `json:"tls_messages"`
	// Refusals are replies 4yz and 5yz, Temporary those of 4yz: ours to
	// clients, or next hops' to us.
	Refusals  uint64 `json:"refusals"`
	Temporary uint64 `json:"temporary_refusals"`
	Logons    uint64 `json:"failed_logons"`
}

// MailSummary sums up message tracking.
type MailSummary struct {
	Received   uint64 `json:"received"`
	Octets     uint64 `json:"octets"`
	Recipients uint64 `json:"recipients"`
	// Deliveries are messages that a next hop took, DeliveredOctets their size,
	// Secure those over TLS; Delivered are their recipients.
	Deliveries      uint64 `json:"deliveries"`
	Secure          uint64 `json:"tls_deliveries"`
	DeliveredOctets uint64 `json:"delivered_octets"`
	Delivered       uint64 `json:"delivered_recipients"`
	// Deferred counts recipients once for each attempt that was in vain.
	Deferred      uint64  `json:"deferrals"`
	Failed        uint64  `json:"failed_recipients"`
	Expired       uint64  `json:"expired_recipients"`
	Removed       uint64  `json:"removed_recipients"`
	Redirected    uint64  `json:"redirected_recipients"`
	Notifications uint64  `json:"notifications"`
	Poisoned      uint64  `json:"poison_messages"`
	Latency       Latency `json:"latency"`
}

// Latency is how long it took from acceptance to delivery, one recipient at a
// time, in seconds. Each figure is at most Error times itself away from the
// truth; Max is exact.
type Latency struct {
	Count uint64  `json:"recipients"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
	Error float64 `json:"relative_error"`
}

func (q *quantiles) latency() Latency {
	return Latency{
		Count: q.n, P50: q.at(0.50).Seconds(), P95: q.at(0.95).Seconds(), P99: q.at(0.99).Seconds(),
		Max: (time.Duration(q.max) * time.Millisecond).Seconds(), Error: QuantileError,
	}
}

// Ranking is a list of what weighs most, the heaviest first.
type Ranking[T any] struct {
	// Keys is how many different ones there are, where that is known: where
	// Exact is false there were more than were kept. Then Count is too large by
	// at most the item's Error, and the item's other figures may be too small.
	Keys  int    `json:"keys"`
	Exact bool   `json:"exact"`
	Total uint64 `json:"total"`
	Items []T    `json:"items"`
}

// SenderCount is a reverse path and what came from it.
type SenderCount struct {
	Address  string `json:"address"`
	Messages uint64 `json:"messages"`
	// Octets are left out where neither message tracking nor a SIZE parameter
	// tells them.
	Octets uint64 `json:"octets,omitempty"`
	Error  uint64 `json:"error,omitempty"`
}

// DomainCount is a recipients' domain.
type DomainCount struct {
	Domain     string `json:"domain"`
	Recipients uint64 `json:"recipients"`
	Delivered  uint64 `json:"delivered"`
	Deferred   uint64 `json:"deferrals"`
	Failed     uint64 `json:"failed"`
	Error      uint64 `json:"error,omitempty"`
}

// RefusalCount is a reason for refusals: replies that say the same but for
// addresses, ids and numbers.
type RefusalCount struct {
	// Class is "4xx" or "5xx", Limit the limit that it named to us.
	Class  string `json:"class"`
	Limit  string `json:"limit,omitempty"`
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
	// Last is when it happened last, in the session Session.
	Last    time.Time `json:"last,omitzero"`
	Session string    `json:"session,omitempty"`
	Error   uint64    `json:"error,omitempty"`
}

// TLSCount is a version of TLS with its cipher, or "none".
type TLSCount struct {
	Direction string `json:"direction"`
	TLS       string `json:"tls"`
	Sessions  uint64 `json:"sessions"`
	Messages  uint64 `json:"messages"`
	Error     uint64 `json:"error,omitempty"`
}

// PeerCount is a client and what the ranking counts of it.
type PeerCount struct {
	Address string `json:"address"`
	// HELO is the name that it gave last.
	HELO  string `json:"helo,omitempty"`
	Count uint64 `json:"count"`
	// Messages are those that were accepted in the sessions that count.
	Messages uint64 `json:"messages"`
	Error    uint64 `json:"error,omitempty"`
}

// Group is one line of a breakdown. An hour has what came and what went; a
// connector and a peer have one direction, and a domain is one of recipients.
type Group struct {
	Direction string `json:"direction,omitempty"`
	Name      string `json:"name"`
	// Sessions and what was refused in them are by the protocol logs; a domain
	// has none, and of an hour they are those with clients.
	Sessions uint64 `json:"sessions"`
	Failed   uint64 `json:"failed_sessions"`
	Secure   uint64 `json:"tls_sessions"`
	Refusals uint64 `json:"refusals"`
	Logons   uint64 `json:"failed_logons"`
	// The rest is by message tracking, where there is any; else Messages are
	// those that the sessions accepted.
	Messages        uint64  `json:"messages"`
	Octets          uint64  `json:"octets"`
	Deliveries      uint64  `json:"deliveries"`
	DeliveredOctets uint64  `json:"delivered_octets"`
	Delivered       uint64  `json:"delivered_recipients"`
	Deferred        uint64  `json:"deferrals"`
	Undelivered     uint64  `json:"failed_recipients"`
	Latency         Latency `json:"latency"`
	Error           uint64  `json:"error,omitempty"`
}

// Summary returns what was added so far, with the n heaviest of each list; n < 0
// returns all. Hours are all there, in their order.
func (s *Statistics) Summary(n int) *Summary {
	sum := &Summary{From: s.first.UTC(), Until: s.last.UTC(), Receive: s.sides[0].summary(), Send: s.sides[1].summary(), Groups: map[Grouping]Ranking[Group]{}}
	senders, domains := s.saidSenders, s.saidDomains
	if s.mail.lines > 0 {
		sum.Mail = s.mail.summary()
	}
	if s.mail.received > 0 {
		senders, domains = s.senders, s.domains
	}
	sum.Senders = rank(senders, n, func(e *counted[senderSums]) SenderCount {
		return SenderCount{e.key, e.count, e.value.octets, e.over}
	})
	sum.Domains = rank(domains, n, func(e *counted[domainSums]) DomainCount {
		return DomainCount{e.key, e.count, e.value.delivered, e.value.deferred, e.value.failed, e.over}
	})
	refused := func(e *counted[refusalSums]) RefusalCount {
		k := strings.SplitN(e.key, keySep, 3)
		return RefusalCount{k[0], k[1], k[2], e.count, e.value.last.UTC(), e.value.session, e.over}
	}
	sum.Refusals, sum.RefusalsSent = rank(s.refusals[0], n, refused), rank(s.refusals[1], n, refused)
	sum.TLS = rank(s.tls, n, func(e *counted[tlsSums]) TLSCount {
		direction, name, _ := strings.Cut(e.key, keySep)
		return TLSCount{direction, name, e.count, e.value.messages, e.over}
	})
	peer := func(e *counted[peerSums]) PeerCount {
		return PeerCount{e.key, e.value.helo, e.count, e.value.messages, e.over}
	}
	sum.Peers, sum.PeersRefused, sum.PeersLogons = rank(s.peers, n, peer), rank(s.peersRefused, n, peer), rank(s.peersLogons, n, peer)
	for by, t := range s.groups {
		keep := n
		if by == ByHour {
			keep = -1
		}
		sum.Groups[by] = rank(t, keep, func(e *counted[row]) Group { return e.value.group(by, e.key, e.over, s.mail.lines > 0) })
	}
	slices.SortStableFunc(sum.Groups[ByHour].Items, func(a, b Group) int { return cmp.Compare(a.Name, b.Name) })
	return sum
}

// rank returns the n heaviest of a top.
func rank[V, T any](t *top[V], n int, item func(*counted[V]) T) Ranking[T] {
	r := Ranking[T]{Keys: len(t.entries), Exact: t.exact(), Total: t.total, Items: []T{}}
	for _, e := range t.first(n) {
		r.Items = append(r.Items, item(e))
	}
	return r
}

func (s *side) summary() SideSummary {
	return SideSummary{
		Sessions: s.sessions, Failed: s.failed, Secure: s.secure, Messages: s.messages, SecureMessages: s.secureMessages,
		Refusals: s.refusals, Temporary: s.temporary, Logons: s.logons,
	}
}

func (m *mail) summary() *MailSummary {
	return &MailSummary{
		Received: m.received, Octets: m.octets, Recipients: m.recipients,
		Deliveries: m.deliveries, Secure: m.secureDeliveries, DeliveredOctets: m.sent, Delivered: m.delivered,
		Deferred: m.deferred, Failed: m.failed, Expired: m.expired, Removed: m.removed, Redirected: m.redirected,
		Notifications: m.notifications, Poisoned: m.poisoned, Latency: m.latency.latency(),
	}
}

// group makes a line of a breakdown. Tracked says that message tracking knows
// how many messages there were.
func (r *row) group(by Grouping, key string, over uint64, tracked bool) Group {
	g := Group{
		Name: key, Messages: r.received, Octets: r.octets, Deliveries: r.deliveries, DeliveredOctets: r.sent,
		Delivered: r.delivered, Deferred: r.deferred, Undelivered: r.undelivered, Latency: r.latency.latency(), Error: over,
	}
	if by == ByConnector || by == ByPeer {
		g.Direction, g.Name, _ = strings.Cut(key, keySep)
	}
	if !tracked {
		g.Messages, g.Deliveries = r.sides[0].messages, r.sides[1].messages
	}
	v := &r.sides[0]
	if g.Direction == directionName(logs.Send) {
		v = &r.sides[1]
	}
	g.Sessions, g.Failed, g.Secure, g.Refusals, g.Logons = v.sessions, v.failed, v.secure, v.refusals, v.logons
	return g
}
