package review

import (
	"net/netip"
	"strings"
	"time"

	"postern/internal/message"
	"postern/logs"
)

// How many keys the lists of Statistics have room for. Beyond that their counts
// are those of a top.
const (
	roomKeys   = 10000 // senders, domains, peers: some 300 octets each
	roomGroups = 2000  // those with latencies: some 4 KB each, where these lie between 1 ms and two days
	roomHours  = 24 * 100
	roomReason = 5000
	roomTLS    = 100
)

// Statistics adds up what the logs say, in one pass and in bounded memory
// whatever their size: a few MB as a rule, and below 100 MB when every list is full
// of long keys whose latencies have nothing in common. Put in the sessions that a
// Source returns, with their lines, and the lines of message tracking, in any
// order, and ask for the Summary. A Statistics is for one goroutine.
type Statistics struct {
	zone        *time.Location
	first, last time.Time

	sides  [2]side
	mail   mail
	groups map[Grouping]*top[row]

	senders, saidSenders *top[senderSums]
	domains, saidDomains *top[domainSums]
	refusals             [2]*top[refusalSums]
	tls                  *top[tlsSums]
	// peers are ranked three times: by sessions, by refusals and by failed
	// logons.
	peers                     *top[peerSums]
	peersRefused, peersLogons *top[peerSums]
}

// Grouping is what statistics can be broken down by.
type Grouping string

// The groupings. A domain is that of a recipient, a peer the other end of a
// session.
const (
	ByConnector Grouping = "connector"
	ByHour      Grouping = "hour"
	ByDomain    Grouping = "domain"
	ByPeer      Grouping = "peer"
)

// Groupings returns all groupings.
func Groupings() []Grouping { return []Grouping{ByConnector, ByHour, ByDomain, ByPeer} }

// NewStatistics returns empty Statistics. Hours are those of zone.
func NewStatistics(zone *time.Location) *Statistics {
	return &Statistics{
		zone: zone,
		groups: map[Grouping]*top[row]{
			ByConnector: newTop[row](roomGroups), ByHour: newTop[row](roomHours), ByDomain: newTop[row](roomGroups), ByPeer: newTop[row](roomGroups),
		},
		senders: newTop[senderSums](roomKeys), saidSenders: newTop[senderSums](roomKeys),
		domains: newTop[domainSums](roomKeys), saidDomains: newTop[domainSums](roomKeys),
		refusals: [2]*top[refusalSums]{newTop[refusalSums](roomReason), newTop[refusalSums](roomReason)}, tls: newTop[tlsSums](roomTLS),
		peers: newTop[peerSums](roomKeys), peersRefused: newTop[peerSums](roomKeys), peersLogons: newTop[peerSums](roomKeys),
	}
}

// side is what the sessions of one direction add up to.
type side struct {
	sessions, failed, secure    uint64
	messages, secureMessages    uint64
	refusals, temporary, logons uint64
}

// mail is what message tracking adds up to.
type mail struct {
	lines                               uint64
	received, octets, recipients        uint64
	deliveries, delivered, sent         uint64
	deferred, failed, expired, removed  uint64
	notifications, redirected, poisoned uint64
	secureDeliveries                    uint64
	latency                             quantiles
}

// row is one line of a breakdown.
type row struct {
	sides               [2]sessionSums
	received, octets    uint64 // messages that came, and their size
	deliveries, sent    uint64 // messages that went, and their size
	delivered, deferred uint64 // recipients
	undelivered         uint64
	latency             quantiles
}

// sessionSums is what the sessions of one direction add up to; messages are
// those that were accepted in them.
type sessionSums struct {
	sessions, failed, secure, messages, refusals, logons uint64
}

type senderSums struct{ octets uint64 }

type domainSums struct{ delivered, deferred, failed uint64 }

type tlsSums struct{ messages uint64 }

type peerSums struct {
	messages uint64
	helo     string
}

type refusalSums struct {
	last    time.Time
	session string
}

// directionName is the word for a direction.
func directionName(d logs.Direction) string {
	if d == logs.Send {
		return "send"
	}
	return "receive"
}

// sideOf returns the place of a direction in Statistics.sides.
func sideOf(d logs.Direction) int {
	if d == logs.Send {
		return 1
	}
	return 0
}

// keySep parts the items of a composed key: no text of a log has it that went
// through printable.
const keySep = "\x00"

func (s *Statistics) see(from, to time.Time) {
	if s.first.IsZero() || from.Before(s.first) {
		s.first = from
	}
	if to.After(s.last) {
		s.last = to
	}
}

// hour is the key of an hour.
func (s *Statistics) hour(t time.Time) string {
	t = t.In(s.zone)
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), 0, 0, 0, s.zone).Format(time.RFC3339)
}

// AddSession adds a session, which must have its Lines.
func (s *Statistics) AddSession(v *Session) {
	s.see(v.Start, v.End)
	accepted := uint64(0)
	for i := range v.Messages {
		if v.Messages[i].Accepted {
			accepted++
			s.addSaid(v, &v.Messages[i])
		}
	}
	refusals := refusalsIn(v)
	side := &s.sides[sideOf(v.Direction)]
	logons := uint64(0)
	for i := range refusals {
		r := &refusals[i]
		side.refusals++
		if r.class == "4xx" {
			side.temporary++
		}
		if r.logon {
			logons++
		}
		e := s.refusals[sideOf(v.Direction)].add(r.class+keySep+r.limit+keySep+r.reason, 1)
		if !r.at.Before(e.last) {
			e.last, e.session = r.at, strings.Clone(v.ID)
		}
	}
	side.sessions++
	side.messages += accepted
	side.logons += logons
	if v.Failed {
		side.failed++
	}
	if v.TLS != "" {
		side.secure++
		side.secureMessages += accepted
	}
	version := v.TLS
	if version == "" {
		version = "none"
	}
	s.tls.add(directionName(v.Direction)+keySep+printable(version), 1).messages += accepted
	s.addPeer(v, accepted, uint64(len(refusals)), logons)
	add := func(by Grouping, key string) {
		r := &s.groups[by].add(key, 1).sides[sideOf(v.Direction)]
		r.sessions++
		r.messages += accepted
		r.refusals += uint64(len(refusals))
		r.logons += logons
		if v.Failed {
			r.failed++
		}
		if v.TLS != "" {
			r.secure++
		}
	}
	add(ByConnector, directionName(v.Direction)+keySep+printable(v.ConnectorName()))
	add(ByHour, s.hour(v.Start))
	if a := v.Remote.Addr(); a.IsValid() {
		add(ByPeer, directionName(v.Direction)+keySep+peerKey(a))
	}
}

func peerKey(a netip.Addr) string { return a.Unmap().WithZone("").String() }

// addPeer ranks who comes to us.
func (s *Statistics) addPeer(v *Session, messages, refusals, logons uint64) {
	a := v.Remote.Addr()
	if v.Direction != logs.Receive || !a.IsValid() {
		return
	}
	add := func(t *top[peerSums], weight uint64) {
		if weight == 0 {
			return
		}
		p := t.add(peerKey(a), weight)
		p.messages += messages
		if v.HELO != "" {
			p.helo = cutKey(printable(v.HELO))
		}
	}
	add(s.peers, 1)
	add(s.peersRefused, refusals)
	add(s.peersLogons, logons)
}

// addSaid adds an accepted message as its session has it, for logs without
// message tracking.
func (s *Statistics) addSaid(v *Session, t *Transaction) {
	if v.Direction == logs.Receive {
		s.saidSenders.add(pathKey(t.From), 1).octets += uint64(max(t.Octets, 0))
	}
	for i := range t.To {
		r := &t.To[i]
		class := replyClass(r.Reply)
		// What we received is for these domains; what we sent there, went there.
		switch {
		case v.Direction == logs.Send:
			d := s.saidDomains.add(domainOf(r.Address), 0)
			switch class {
			case "":
				d.delivered++
			case "4xx":
				d.deferred++
			default:
				d.failed++
			}
		case class == "":
			s.saidDomains.add(domainOf(r.Address), 1)
		}
	}
}

// pathKey is an address as a key: people write one address in many cases.
func pathKey(path string) string {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "<"), ">")
	if path == "" {
		return "<>"
	}
	return printable(lower(path))
}

// domainOf is the domain of an address as a key.
func domainOf(path string) string {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "<"), ">")
	i := strings.LastIndexByte(path, '@')
	if i < 0 {
		return "(no domain)"
	}
	return printable(message.DomainKey(path[i+1:]))
}

// AddTracking adds a line of message tracking.
func (s *Statistics) AddTracking(t *logs.Tracking) {
	s.see(t.Time, t.Time)
	s.mail.lines++
	n := uint64(max(len(t.Recipients), 1))
	switch t.Event {
	case logs.TrackReceive:
		s.addReceived(t, n)
	case logs.TrackSend:
		s.addSent(t, n)
	case logs.TrackDefer:
		s.mail.deferred += n
		s.eachDomain(t, 0, func(d *domainSums, r *row) { d.deferred++; r.deferred++ })
		s.eachRow(t, "send", func(r *row) { r.deferred += n })
	case logs.TrackFail:
		switch endOf(t) {
		case EndExpired:
			s.mail.expired += n
		case EndRemoved:
			s.mail.removed += n
		default:
			s.mail.failed += n
		}
		s.eachDomain(t, 0, func(d *domainSums, r *row) { d.failed++; r.undelivered++ })
		s.eachRow(t, "send", func(r *row) { r.undelivered += n })
	case logs.TrackDSN:
		s.mail.notifications++
	case logs.TrackRedirect:
		s.mail.redirected += n
	case logs.TrackPoison:
		s.mail.poisoned++
	}
}

func (s *Statistics) addReceived(t *logs.Tracking, n uint64) {
	octets := uint64(max(t.Octets, 0))
	s.mail.received++
	s.mail.recipients += n
	s.mail.octets += octets
	s.senders.add(pathKey(t.ReturnPath), 1).octets += octets
	s.eachDomain(t, 1, func(_ *domainSums, r *row) { r.received++; r.octets += octets })
	s.eachRow(t, "receive", func(r *row) { r.received++; r.octets += octets })
	if t.Source != logs.SourceSMTP {
		return
	}
	if a, err := netip.ParseAddr(t.ClientIP); err == nil {
		r := s.groups[ByPeer].add("receive"+keySep+peerKey(a), 0)
		r.received++
		r.octets += octets
	}
}

func (s *Statistics) addSent(t *logs.Tracking, n uint64) {
	octets := uint64(max(t.Octets, 0))
	s.mail.deliveries++
	s.mail.delivered += n
	s.mail.sent += octets
	if t.Custom.Get("tls") != "" {
		s.mail.secureDeliveries++
	}
	late, known := latencyOf(t)
	if known {
		for range n {
			s.mail.latency.add(late)
		}
	}
	count := func(r *row, recipients uint64) {
		r.delivered += recipients
		for ; known && recipients > 0; recipients-- {
			r.latency.add(late)
		}
	}
	s.eachDomain(t, 0, func(d *domainSums, r *row) { d.delivered++; r.deliveries++; r.sent += octets; count(r, 1) })
	s.eachRow(t, "send", func(r *row) { r.deliveries++; r.sent += octets; count(r, n) })
	if a, err := netip.ParseAddr(t.ServerIP); err == nil {
		r := s.groups[ByPeer].add("send"+keySep+peerKey(a), 0)
		r.deliveries++
		r.sent += octets
		count(r, n)
	}
}

// eachDomain adds weight to the domain of each recipient and calls yield for it.
func (s *Statistics) eachDomain(t *logs.Tracking, weight uint64, yield func(*domainSums, *row)) {
	for _, a := range t.Recipients {
		key := domainOf(a)
		yield(s.domains.add(key, weight), s.groups[ByDomain].add(key, weight))
	}
}

// eachRow calls yield for the line's connector and hour.
func (s *Statistics) eachRow(t *logs.Tracking, direction string, yield func(*row)) {
	if t.Connector != "" {
		name := t.Connector[strings.LastIndexByte(t.Connector, '\\')+1:]
		yield(s.groups[ByConnector].add(direction+keySep+printable(name), 0))
	}
	yield(s.groups[ByHour].add(s.hour(t.Time), 0))
}

// latencyOf returns how long a message took from its arrival to this line: as
// the line says, or, in Exchange's logs, from the time of arrival in
// message-info.
func latencyOf(t *logs.Tracking) (time.Duration, bool) {
	if text := t.Custom.Get("latency"); text != "" {
		d, err := time.ParseDuration(text + "s")
		return d, err == nil
	}
	stamp, _, _ := strings.Cut(t.MessageInfo, ";")
	if arrived, err := time.Parse(time.RFC3339Nano, stamp); err == nil && !arrived.After(t.Time) {
		return t.Time.Sub(arrived), true
	}
	return 0, false
}
