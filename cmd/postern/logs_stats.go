package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/logs/review"
)

func (a *app) logsStats() *cobra.Command {
	var f logFlags
	var by string
	var top int
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Add up what the logs say: volumes, senders, refusals, TLS, latencies, peers",
		Long: `Stats adds up sessions and messages: how much came and went, how much of it over
TLS, how long delivery took, who sends most and to which domains, what is refused
for which reason, and who comes most often, is refused most and fails to log on.

The protocol logs give sessions, refusals, TLS and peers, message tracking gives
messages, sizes, senders, domains and latencies. Filters choose as in
'postern logs sessions'; message tracking knows no --direction, --tls, --user and
--min-duration, and is left out with one of these.

One pass is made, in bounded memory. Lists of more than some thousands of
different keys are estimates, and say by how much a count may be too large.
Latencies are exact to one percent. With --by the figures are broken down; hours
are local.`,
		Example: `  postern logs stats --since 24h
  postern logs stats --on 2026-11-17 --by hour
  postern logs stats --connector "From Internet" --top 20
  postern logs stats --since 7d --by domain --to "*.fabrikam.example"`,
		Args: a.noArguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query(cmd, time.Now())
			switch {
			case err != nil:
				return err
			case by != "" && !slices.Contains(review.Groupings(), review.Grouping(by)):
				return usageError{fmt.Errorf("--by %s: want connector, hour, domain or peer", by)}
			case top < 1:
				return usageError{fmt.Errorf("--top %d: want how long the lists may be", top)}
			}
			source, err := f.source(a)
			if err != nil {
				return err
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			r := f.reading(a)
			defer r.close()
			sums, err := review.Collect(ctx, source, q, time.Local, &r.Progress)
			r.clear()
			interrupted := ctx.Err() != nil && cmd.Context().Err() == nil
			if err != nil && !interrupted {
				return f.noLogs(err)
			}
			s := sums.Summary(top)
			if a.json() {
				err = a.printJSON(s)
			} else {
				a.printSummary(s, review.Grouping(by))
				a.printLeftOut(q, s)
			}
			if interrupted {
				return errors.Join(err, errors.New("interrupted: this is what had been read by then"))
			}
			return err
		},
	}
	f.registerTimes(cmd)
	f.registerFilters(cmd)
	f.registerSource(cmd)
	cmd.Flags().StringVar(&by, "by", "", "break the figures down by connector, hour, domain or peer")
	cmd.Flags().IntVar(&top, "top", 10, "how long the lists are")
	return cmd
}

// printLeftOut says why there are figures without a value.
func (a *app) printLeftOut(q *review.Query, s *review.Summary) {
	if !q.Tracks() && !s.From.IsZero() {
		fmt.Fprintln(a.out)
		a.printField("", "Message tracking is left out, which knows no --direction, --tls, --user and --min-duration: these are figures of sessions alone, and - is what they do not tell.")
	}
}

// tracked writes a figure that message tracking alone has; "-" without it.
func tracked(s *review.Summary, n uint64, text string) string {
	if s.Mail == nil && n == 0 {
		return "-"
	}
	return text
}

func (a *app) printSummary(s *review.Summary, by review.Grouping) {
	st := styleFor(a.out)
	if s.From.IsZero() {
		fmt.Fprintln(a.out, "Nothing was found.")
		return
	}
	fmt.Fprintf(a.out, "From %s to %s\n", localTime(s.From), localTime(s.Until))
	if by != "" {
		a.printGroups(st, s, by)
		return
	}
	a.printVolumes(st, s)
	a.printSenders(st, s)
	a.printRefusals(st, "What was refused here", s.Refusals)
	a.printRefusals(st, "What next hops refused", s.RefusalsSent)
	a.printPeers(st, "Clients by sessions", "SESSIONS", s.Peers)
	a.printPeers(st, "Clients by refusals", "REFUSALS", s.PeersRefused)
	a.printPeers(st, "Clients by failed logons", "FAILED", s.PeersLogons)
	a.printTLS(st, s)
}

func (a *app) heading(st style, text string) { fmt.Fprintf(a.out, "\n%s\n", st.bold(text)) }

// share writes a part as a percentage; "-" of nothing.
func share(part, whole uint64) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f%%", 100*float64(part)/float64(whole))
}

func number(n uint64) string { return fmt.Sprint(n) }

// seconds writes a latency.
func seconds(l review.Latency, v float64) string {
	if l.Count == 0 {
		return "-"
	}
	return precise(time.Duration(v * float64(time.Second)))
}

func (a *app) printVolumes(st style, s *review.Summary) {
	a.heading(st, "Sessions")
	t := &table{header: []string{"", "SESSIONS", "FAILED", "TLS", "MESSAGES", "OVER TLS", "REFUSALS", "OF THEM 4xx"}, right: []int{1, 2, 3, 4, 5, 6, 7}, indent: "  "}
	for i, v := range []review.SideSummary{s.Receive, s.Send} {
		if v.Sessions == 0 {
			continue
		}
		t.add([]string{"received", "sent"}[i], number(v.Sessions), number(v.Failed), share(v.Secure, v.Sessions), number(v.Messages), share(v.SecureMessages, v.Messages), number(v.Refusals), number(v.Temporary))
	}
	t.print(a.out)
	if s.Receive.Logons > 0 {
		fmt.Fprintf(a.out, "  %s failed\n", plural(int(s.Receive.Logons), "logon", "logons"))
	}
	m := s.Mail
	if m == nil {
		return
	}
	a.heading(st, "Messages")
	a.field("received", fmt.Sprintf("%d of %s, for %s", m.Received, roundSize(int64(m.Octets)), plural(int(m.Recipients), "recipient", "recipients")))
	a.field("delivered", fmt.Sprintf("%d of %s, to %s, %s of them over TLS", m.Deliveries, roundSize(int64(m.DeliveredOctets)), plural(int(m.Delivered), "recipient", "recipients"), share(m.Secure, m.Deliveries)))
	var ends []string
	for _, e := range []struct {
		n         uint64
		one, many string
	}{
		{m.Deferred, "deferral", "deferrals"}, {m.Failed, "recipient failed", "recipients failed"}, {m.Expired, "expired", "expired"}, {m.Removed, "removed", "removed"},
		{m.Redirected, "redirected", "redirected"}, {m.Notifications, "notification", "notifications"}, {m.Poisoned, "poison message", "poison messages"},
	} {
		if e.n > 0 {
			ends = append(ends, plural(int(e.n), e.one, e.many))
		}
	}
	a.field("besides", strings.Join(ends, ", "))
	if l := m.Latency; l.Count > 0 {
		a.field("took", fmt.Sprintf("from acceptance to delivery p50 %s, p95 %s, p99 %s, at most %s", seconds(l, l.P50), seconds(l, l.P95), seconds(l, l.P99), seconds(l, l.Max)))
	}
}

// ranked prints a list with its heading, and says how exact it is. add adds one
// item to the table.
func ranked[T any](a *app, st style, heading string, r review.Ranking[T], t *table, add func(T), worst func(T) uint64) {
	if len(r.Items) == 0 {
		return
	}
	a.heading(st, heading)
	t.indent = "  "
	most := uint64(0)
	for _, item := range r.Items {
		add(item)
		most = max(most, worst(item))
	}
	t.print(a.out)
	switch {
	case !r.Exact:
		a.printField("  ", fmt.Sprintf("There are more than %d different ones: each count may be up to %d too large, and what else is said of it too small.", r.Keys, most))
	case r.Keys > len(r.Items):
		fmt.Fprintf(a.out, "  %d of %d; --top shows more\n", len(r.Items), r.Keys)
	}
}

func (a *app) printSenders(st style, s *review.Summary) {
	t := &table{header: []string{"SENDER", "MESSAGES", "SIZE"}, right: []int{1, 2}, names: true}
	ranked(a, st, "Senders", s.Senders, t, func(c review.SenderCount) {
		t.add(c.Address, number(c.Messages), tracked(s, c.Octets, roundSize(int64(c.Octets))))
	},
		func(c review.SenderCount) uint64 { return c.Error })
	d := &table{header: []string{"DOMAIN", "RECIPIENTS", "DELIVERED", "DEFERRALS", "FAILED"}, right: []int{1, 2, 3, 4}, names: true}
	ranked(a, st, "Recipients' domains", s.Domains, d, func(c review.DomainCount) {
		ends := c.Delivered + c.Deferred + c.Failed // of a session with a client, none is known
		d.add(c.Domain, number(c.Recipients), tracked(s, ends, number(c.Delivered)), tracked(s, ends, number(c.Deferred)), tracked(s, ends, number(c.Failed)))
	}, func(c review.DomainCount) uint64 { return c.Error })
}

func (a *app) printRefusals(st style, heading string, r review.Ranking[review.RefusalCount]) {
	t := &table{header: []string{"TIMES", "REASON", "LAST SESSION"}, right: []int{0}}
	ranked(a, st, heading, r, t, func(c review.RefusalCount) {
		reason := c.Reason
		if c.Limit != "" {
			reason += " (limit " + c.Limit + ")"
		}
		t.add(number(c.Count), reason, c.Session)
	}, func(c review.RefusalCount) uint64 { return c.Error })
}

func (a *app) printPeers(st style, heading, column string, r review.Ranking[review.PeerCount]) {
	t := &table{header: []string{"ADDRESS", "HELO", column, "MESSAGES"}, right: []int{2, 3}, names: true}
	ranked(a, st, heading, r, t, func(c review.PeerCount) { t.add(c.Address, c.HELO, number(c.Count), number(c.Messages)) },
		func(c review.PeerCount) uint64 { return c.Error })
}

func (a *app) printTLS(st style, s *review.Summary) {
	t := &table{header: []string{"TLS", "", "SESSIONS", "MESSAGES"}, right: []int{2, 3}}
	ranked(a, st, "TLS", s.TLS, t, func(c review.TLSCount) {
		t.add(c.TLS, map[string]string{"receive": "received", "send": "sent"}[c.Direction], number(c.Sessions), number(c.Messages))
	}, func(c review.TLSCount) uint64 { return c.Error })
}

// printGroups prints a breakdown.
func (a *app) printGroups(st style, s *review.Summary, by review.Grouping) {
	r := s.Groups[by]
	if by == review.ByDomain {
		a.printDomains(st, r)
		return
	}
	t := &table{header: []string{strings.ToUpper(string(by)), "SESS", "TLS", "REFUSED", "IN", "OUT", "SIZE", "DEFER", "p50", "p95", "p99"}, right: []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, names: true}
	ranked(a, st, "By "+string(by), r, t, func(g review.Group) {
		size := g.Octets
		name := g.Name
		switch {
		case g.Direction == "send":
			size, name = g.DeliveredOctets, "> "+name
		case g.Direction == "receive":
			name = "< " + name
		case by == review.ByHour:
			if at, err := time.Parse(time.RFC3339, g.Name); err == nil {
				name = at.Local().Format("01-02 15:00")
			}
		}
		t.add(name, number(g.Sessions), share(g.Secure, g.Sessions), number(g.Refusals), number(g.Messages), number(g.Deliveries), tracked(s, size, roundSize(int64(size))), tracked(s, g.Deferred, number(g.Deferred)),
			seconds(g.Latency, g.Latency.P50), seconds(g.Latency, g.Latency.P95), seconds(g.Latency, g.Latency.P99))
	}, func(g review.Group) uint64 { return g.Error })
	if by == review.ByHour {
		fmt.Fprintln(a.out, "  SESS, TLS and REFUSED are of sessions with clients, OUT and DEFER of deliveries")
	}
	if by == review.ByConnector || by == review.ByPeer {
		fmt.Fprintln(a.out, "  < receives, > sends")
	}
}

// printDomains breaks the figures down by recipients' domain, which has no
// sessions.
func (a *app) printDomains(st style, r review.Ranking[review.Group]) {
	t := &table{header: []string{"DOMAIN", "RECIPIENTS", "SIZE", "DELIVERED", "DEFERRED", "FAILED", "p50", "p95", "p99"}, right: []int{1, 2, 3, 4, 5, 6, 7, 8}, names: true}
	ranked(a, st, "By domain", r, t, func(g review.Group) {
		t.add(g.Name, number(g.Messages), roundSize(int64(g.Octets)), number(g.Delivered), number(g.Deferred), number(g.Undelivered),
			seconds(g.Latency, g.Latency.P50), seconds(g.Latency, g.Latency.P95), seconds(g.Latency, g.Latency.P99))
	}, func(g review.Group) uint64 { return g.Error })
}
