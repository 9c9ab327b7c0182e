package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/control"
)

func (a *app) status() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say how the running gateway is doing",
		Long: `Status asks the running gateway for its version and uptime, where it listens and
where it can't, what its queues hold, how its spool is doing, and how short its
resources are, and which certificates peers are shown for how long. A bar shows each resource against its thresholds: the first mark
is where the level becomes medium, the second where it becomes high.`,
		Example: "  postern status\n  postern status --output json",
		Args:    a.noArguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), askTime)
			defer cancel()
			s, err := c.Status(ctx)
			if err != nil {
				return asked(err)
			}
			if a.json() {
				return a.printJSON(s)
			}
			a.printStatus(s, time.Now())
			return nil
		},
	}
}

// printStatus prints the sections of a status, one behind the other.
func (a *app) printStatus(st *control.Status, now time.Time) {
	s := styleFor(a.out)
	for i, section := range []func(*control.Status, style, time.Time){
		a.statusServer, a.statusListeners, a.statusQueues, a.statusSpool, a.statusPressure, a.statusCertificates,
	} {
		if i > 0 {
			fmt.Fprintln(a.out)
		}
		section(st, s, now)
	}
}

func (a *app) statusServer(st *control.Status, s style, now time.Time) {
	v := &st.Server
	fmt.Fprintln(a.out, s.bold(clean(v.FQDN)))
	a.field("version", versionInfo(v.Version).line())
	a.field("running for", fmt.Sprintf("%s, since %s", span(time.Duration(v.Uptime)*time.Second), localTime(v.Started)))
	file := v.File
	if file == "" {
		file = "the embedded default"
	}
	a.field("config file", clean(file))
}

func (a *app) statusListeners(st *control.Status, s style, _ time.Time) {
	fmt.Fprintln(a.out, s.bold("Listeners"))
	if len(st.Listeners) == 0 {
		a.field("none", "no Receive connector is enabled: the gateway takes no mail")
	}
	for _, l := range st.Listeners {
		text := s.green("listening")
		if !l.Listening {
			text = s.red("not listening")
		}
		fmt.Fprintf(a.out, "  %-*s  %s\n", fieldWidth+10, l.Address, text)
		if l.Error != "" {
			a.printField("      ", clean(l.Error))
		}
	}
}

func (a *app) statusQueues(st *control.Status, s style, now time.Time) {
	q := &st.Queues
	fmt.Fprintln(a.out, s.bold("Queues"))
	if len(q.ByStatus) > 0 {
		t := &table{header: []string{"STATUS", "QUEUES", "EMPTY", "MESSAGES"}, right: []int{1, 2, 3}, indent: "  "}
		for _, status := range slices.Sorted(maps.Keys(q.ByStatus)) {
			sum := q.ByStatus[status]
			t.add(status, strconv.Itoa(sum.Queues), strconv.Itoa(sum.Empty), strconv.Itoa(sum.Messages))
		}
		t.print(a.out)
	}
	text := fmt.Sprintf("%s, of which %d in flight, %d deferred, %d unreachable", places(q.Distinct, q.Messages, "", ""), q.InFlight, q.Deferred, q.Unreachable)
	a.field("messages", text)
	if !q.Oldest.IsZero() {
		a.field("oldest", since(q.Oldest, now))
	}
	a.field("since start", fmt.Sprintf("%d submitted, %d delivered, %d deferred, %d failed, %d expired, %d notified",
		q.Submitted, q.Delivered, q.Deferrals, q.Failed, q.Expired, q.Notifications))
	if q.Unsaved > 0 {
		a.field("unsaved", s.red(plural(q.Unsaved, "message has an outcome", "messages have outcomes")+" that could not be stored yet"))
	}
}

func (a *app) statusSpool(st *control.Status, s style, _ time.Time) {
	p := &st.Spool
	fmt.Fprintln(a.out, s.bold("Spool"))
	a.field("messages", fmt.Sprintf("%d with %s of content", p.Messages, roundSize(p.Bytes)))
	a.field("segments", fmt.Sprintf("%d of %s: %d free (%d of them held back), %d cold",
		p.Segments, roundSize(p.SegmentSize), p.FreeSegments, p.ReservedSegments, p.ColdSegments))
	a.field("sync", fmt.Sprintf("last %s, longest %s", milliseconds(p.LastSync), milliseconds(p.MaxSync)))
	if p.NoSpace {
		a.field("intake", s.red("refused: there is no room for new messages"))
	}
	if p.Failures > 0 {
		a.field("failures", s.red(fmt.Sprintf("%d writes failed, the last one: %s", p.Failures, clean(p.LastError))))
	}
	if p.Damaged > 0 {
		a.field("damaged", s.red(plural(p.Damaged, "stretch", "stretches")+" could not be read back; the event log names them"))
	}
}

func milliseconds(seconds float64) string { return fmt.Sprintf("%.1f ms", seconds*1000) }
