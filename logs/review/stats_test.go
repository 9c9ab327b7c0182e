package review

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postern/logs"
)

// drawSession draws a session with its lines, and what it adds up to.
func drawSession(t *rapid.T, n int) *Session {
	v := &Session{
		ID: fmt.Sprintf("%016X", n), Direction: rapid.SampledFrom([]logs.Direction{logs.Receive, logs.Send}).Draw(t, "direction"),
		Connector: rapid.SampledFrom([]string{`EDGE\In`, "Out", "Partners"}).Draw(t, "connector"), Start: at(float64(rapid.IntRange(0, 20000).Draw(t, "start"))),
		Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(rapid.IntRange(0, 5).Draw(t, "peer"))}), 25),
		TLS:    rapid.SampledFrom([]string{"", "TLS1.2 X", "TLS1.3 Y"}).Draw(t, "tls"), Failed: rapid.Bool().Draw(t, "failed"), HELO: "mx.fabrikam.example",
	}
	v.End = v.Start.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "lasts")) * time.Millisecond)
	answers := logs.EventSent
	if v.Direction == logs.Send {
		answers = logs.EventReceived
	}
	for range rapid.IntRange(0, 4).Draw(t, "messages") {
		m := Transaction{From: rapid.SampledFrom([]string{"", "kim@contoso.example", "KIM@contoso.example", "lee@fabrikam.example"}).Draw(t, "from"),
			Accepted: rapid.Bool().Draw(t, "accepted"), Octets: int64(rapid.IntRange(0, 5000).Draw(t, "octets"))}
		for range rapid.IntRange(0, 3).Draw(t, "recipients") {
			m.To = append(m.To, Recipient{Address: rapid.SampledFrom([]string{"a@x.example", "b@X.example", "c@y.example"}).Draw(t, "to"),
				Reply: rapid.SampledFrom([]string{"250 ok", "450 wait", "550 no"}).Draw(t, "reply")})
		}
		v.Messages = append(v.Messages, m)
	}
	for range rapid.IntRange(0, 5).Draw(t, "replies") {
		if rapid.Bool().Draw(t, "limited") {
			v.Lines = append(v.Lines, logs.Line{Event: logs.EventInfo, Context: "limit max_recipients"})
		}
		for line := range strings.SplitSeq(rapid.SampledFrom([]string{
			"250 fine", "550-5.1.1 one of\n550 5.1.1 two", "450 4.7.1 in 30 seconds", "450 4.7.1 in 40 seconds", "535 5.7.8 Authentication unsuccessful",
		}).Draw(t, "line"), "\n") {
			v.Lines = append(v.Lines, logs.Line{Time: v.Start, Event: answers, Data: line})
		}
	}
	return v
}

// The statistics of sessions are those that a naive count gives.
func TestSessionStatisticsAgainstCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewStatistics(time.UTC)
		var sides [2]SideSummary
		peers, refused, logons := map[string]uint64{}, map[string]uint64{}, map[string]uint64{}
		connectors, hours, tls := map[string]uint64{}, map[string]uint64{}, map[string]uint64{}
		senders, octets, domains := map[string]uint64{}, map[string]uint64{}, map[string]uint64{}
		var refusals [2]map[string]uint64
		refusals[0], refusals[1] = map[string]uint64{}, map[string]uint64{}
		for n := range rapid.IntRange(0, 30).Draw(t, "sessions") {
			v := drawSession(t, n)
			s.AddSession(v)
			side := &sides[sideOf(v.Direction)]
			accepted := uint64(0)
			for _, m := range v.Messages {
				if !m.Accepted {
					continue
				}
				accepted++
				if v.Direction == logs.Receive {
					from := strings.ToLower(m.From)
					if from == "" {
						from = "<>"
					}
					senders[from]++
					octets[from] += uint64(m.Octets)
					for _, r := range m.To {
						if r.Reply[0] == '2' {
							domains[strings.ToLower(r.Address[2:])]++
						}
					}
				}
			}
			side.Sessions++
			side.Messages += accepted
			if v.Failed {
				side.Failed++
			}
			name := v.TLS
			if v.TLS != "" {
				side.Secure++
				side.SecureMessages += accepted
			} else {
				name = "none"
			}
			direction := directionName(v.Direction)
			tls[direction+name]++
			connectors[direction+v.ConnectorName()]++
			if v.Direction == logs.Receive {
				peers[v.Remote.Addr().String()]++
				hours[v.Start.Format("15")]++
			}
			limit := ""
			for _, l := range v.Lines {
				switch {
				case l.Event == logs.EventInfo:
					limit = "max_recipients"
					continue
				case strings.HasPrefix(l.Data, "550-"): // the first of two lines
					continue
				case l.Data[0] == '2':
					limit = ""
					continue
				}
				class, reason := l.Data[:1]+"xx", reasonOf(l.Data)
				if class == "5xx" && l.Data[:3] == "550" {
					reason = "550 5.1.1 one of two"
				}
				logon := l.Data[:3] == "535"
				side.Refusals++
				if class == "4xx" {
					side.Temporary++
				}
				refusals[sideOf(v.Direction)][class+limit+reason]++
				limit = ""
				if v.Direction == logs.Receive {
					refused[v.Remote.Addr().String()]++
				}
				if logon {
					side.Logons++
					if v.Direction == logs.Receive {
						logons[v.Remote.Addr().String()]++
					}
				}
			}
		}
		sum := s.Summary(-1)
		if sum.Receive != sides[0] || sum.Send != sides[1] {
			t.Fatalf("sides\n got %+v\n     %+v\nwant %+v\n     %+v", sum.Receive, sum.Send, sides[0], sides[1])
		}
		equal(t, "peers", sum.Peers, peers, func(c PeerCount) (string, uint64) { return c.Address, c.Count })
		equal(t, "refused peers", sum.PeersRefused, refused, func(c PeerCount) (string, uint64) { return c.Address, c.Count })
		equal(t, "logons", sum.PeersLogons, logons, func(c PeerCount) (string, uint64) { return c.Address, c.Count })
		equal(t, "senders", sum.Senders, senders, func(c SenderCount) (string, uint64) { return c.Address, c.Messages })
		equal(t, "octets", sum.Senders, octets, func(c SenderCount) (string, uint64) { return c.Address, c.Octets })
		equal(t, "domains", sum.Domains, domains, func(c DomainCount) (string, uint64) { return c.Domain, c.Recipients })
		equal(t, "TLS", sum.TLS, tls, func(c TLSCount) (string, uint64) { return c.Direction + c.TLS, c.Sessions })
		reason := func(c RefusalCount) (string, uint64) { return c.Class + c.Limit + c.Reason, c.Count }
		equal(t, "refusals", sum.Refusals, refusals[0], reason)
		equal(t, "refusals by next hops", sum.RefusalsSent, refusals[1], reason)
		equal(t, "connectors", sum.Groups[ByConnector], connectors, func(g Group) (string, uint64) { return g.Direction + g.Name, g.Sessions })
		equal(t, "hours", sum.Groups[ByHour], hours, func(g Group) (string, uint64) { return g.Name[11:13], g.Sessions })
	})
}

// equal compares a ranking with a naive count; keys that count nothing may be
// missing on either side.
func equal[T any](t *rapid.T, what string, got Ranking[T], want map[string]uint64, of func(T) (string, uint64)) {
	t.Helper()
	have := map[string]uint64{}
	for _, item := range got.Items {
		key, count := of(item)
		if _, twice := have[key]; twice {
			t.Fatalf("%s: %s comes twice", what, key)
		}
		have[key] = count
	}
	if !got.Exact {
		t.Fatalf("%s: not exact", what)
	}
	for key, n := range want {
		if have[key] != n {
			t.Fatalf("%s: %s is %d, want %d", what, key, have[key], n)
		}
	}
	for key, n := range have {
		if n != want[key] {
			t.Fatalf("%s: %s is %d, want %d", what, key, n, want[key])
		}
	}
}

// The statistics of message tracking are those that a naive count gives.
func TestTrackingStatisticsAgainstCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewStatistics(time.UTC)
		var want MailSummary
		senders, delivered, failed, connectors := map[string]uint64{}, map[string]uint64{}, map[string]uint64{}, map[string]uint64{}
		var late []float64
		for range rapid.IntRange(1, 60).Draw(t, "lines") {
			l := logs.Tracking{
				Time: at(float64(rapid.IntRange(0, 90000).Draw(t, "time"))), Source: "SMTP",
				Event:      rapid.SampledFrom([]string{"RECEIVE", "SEND", "DEFER", "FAIL", "DSN", "REDIRECT", "POISONMESSAGE", "AGENTINFO"}).Draw(t, "event"),
				Recipients: rapid.SliceOfN(rapid.SampledFrom([]string{"a@x.example", "b@X.example", "c@y.example"}), 1, 3).Draw(t, "recipients"),
				ReturnPath: rapid.SampledFrom([]string{"<>", "kim@contoso.example", "KIM@Contoso.example"}).Draw(t, "from"),
				Octets:     int64(rapid.IntRange(0, 5000).Draw(t, "octets")), Connector: rapid.SampledFrom([]string{`EDGE\In`, "Out"}).Draw(t, "connector"),
			}
			n, octets := uint64(len(l.Recipients)), uint64(l.Octets)
			name := withoutServer(l.Connector)
			switch l.Event {
			case "RECEIVE":
				want.Received++
				want.Recipients += n
				want.Octets += octets
				senders[strings.ToLower(l.ReturnPath)]++
				connectors["receive"+name]++
			case "SEND":
				ms := rapid.IntRange(0, 100000).Draw(t, "latency")
				seconds := float64(ms) / 1000
				if rapid.Bool().Draw(t, "exchange") {
					l.MessageInfo = l.Time.Add(-time.Duration(ms) * time.Millisecond).Format("2006-01-02T15:04:05.000Z")
				} else {
					l.Custom = logs.Pairs{{Key: "latency", Value: fmt.Sprintf("%.3f", seconds)}, {Key: "tls", Value: "TLS1.3"}}
					want.Secure++
				}
				want.Deliveries++
				want.Delivered += n
				want.DeliveredOctets += octets
				for _, r := range l.Recipients {
					delivered[strings.ToLower(r[2:])]++
					late = append(late, seconds)
				}
				connectors["send"+name]++
			case "DEFER":
				want.Deferred += n
			case "FAIL":
				switch l.Source = rapid.SampledFrom([]string{"ADMIN", "SMTP", "QUEUE"}).Draw(t, "source"); l.Source {
				case "ADMIN":
					want.Removed += n
				case "QUEUE":
					l.Statuses = []string{"550 4.4.7 QUEUE.Expired; message expired"}
					want.Expired += n
				default:
					want.Failed += n
				}
				for _, r := range l.Recipients {
					failed[strings.ToLower(r[2:])]++
				}
			case "DSN":
				want.Notifications++
			case "REDIRECT":
				want.Redirected += n
			case "POISONMESSAGE":
				want.Poisoned++
			}
			s.AddTracking(&l)
		}
		sum := s.Summary(-1)
		got := *sum.Mail
		slices.Sort(late)
		for p, have := range map[float64]float64{0.5: got.Latency.P50, 0.95: got.Latency.P95, 0.99: got.Latency.P99} {
			if len(late) == 0 {
				break
			}
			truth := late[max(int(math.Ceil(p*float64(len(late))))-1, 0)]
			if math.Abs(have-truth) > truth*QuantileError+0.0005 {
				t.Fatalf("p%v is %v s, want %v s", p*100, have, truth)
			}
		}
		if got.Latency.Count != uint64(len(late)) || len(late) > 0 && math.Abs(got.Latency.Max-late[len(late)-1]) > 1e-9 {
			t.Fatalf("latency %+v of %v", got.Latency, late)
		}
		want.Latency = got.Latency
		if got != want {
			t.Fatalf("\n got %+v\nwant %+v", got, want)
		}
		if want.Received > 0 {
			equal(t, "senders", sum.Senders, senders, func(c SenderCount) (string, uint64) { return c.Address, c.Messages })
			equal(t, "delivered", sum.Domains, delivered, func(c DomainCount) (string, uint64) { return c.Domain, c.Delivered })
			equal(t, "failed", sum.Domains, failed, func(c DomainCount) (string, uint64) { return c.Domain, c.Failed })
		}
		equal(t, "connectors", sum.Groups[ByConnector], connectors, func(g Group) (string, uint64) { return g.Direction + g.Name, g.Messages + g.Deliveries })
		var hours uint64
		for i, g := range sum.Groups[ByHour].Items {
			hours += g.Messages
			if i > 0 && sum.Groups[ByHour].Items[i-1].Name >= g.Name {
				t.Fatalf("hours are not in order: %v", sum.Groups[ByHour].Items)
			}
		}
		if hours != want.Received {
			t.Fatalf("the hours have %d messages, want %d", hours, want.Received)
		}
	})
}

// More senders, domains, peers and reasons than there is room for stay
// within it, and what is said of them is said to be inexact.
func TestStatisticsAreBounded(t *testing.T) {
	s := NewStatistics(time.UTC)
	for i := range 25_000 {
		name := fmt.Sprintf("%x", i*2654435761)
		v := &Session{ID: name, Connector: "c" + name, Direction: logs.Receive, Start: at(float64(i) * 3600), End: at(float64(i) * 3600), TLS: name, HELO: name,
			Remote:   netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1),
			Messages: []Transaction{{From: name + "@" + name, To: []Recipient{{name + "@" + name, "250 ok"}}, Accepted: true}},
			Lines:    []logs.Line{{Event: logs.EventSent, Data: "550 " + strings.Map(func(r rune) rune { return r%16 + 'g' }, name)}}}
		s.AddSession(v)
		s.AddTracking(&logs.Tracking{Time: v.Start, Event: "SEND", Connector: name, ServerIP: v.Remote.Addr().String(), Recipients: []string{name + "@" + name},
			Custom: logs.Pairs{{Key: "latency", Value: fmt.Sprint(i)}}})
	}
	sum := s.Summary(10)
	if sum.Refusals.Exact || sum.Senders.Exact || sum.Peers.Exact || len(sum.Senders.Items) != 10 || sum.Senders.Keys != roomKeys || sum.Peers.Items[0].Error == 0 {
		t.Errorf("%+v", sum.Senders)
	}
	if k := sum.Groups[ByHour].Keys; k != roomHours {
		t.Errorf("%d hours", k)
	}
}
