package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/control"
)

const (
	// askTime bounds one question to the gateway.
	askTime = time.Minute
	// watchEvery is how often a list is made anew while it is watched.
	watchEvery = 2 * time.Second
)

func (a *app) queue() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "queue",
		Short: "See what waits in the queues of the running gateway, and give orders",
		Long: `Queue speaks to the running gateway, over its control socket. A message stands in
one delivery queue for each next hop that its recipients have; the queues
Submission, Unreachable and Poison hold what has no next hop.

"postern queue show ID" says why a message has not left yet.`,
		Example: `  postern queue list
  postern queue messages --queue Internet/fabrikam.example
  postern queue show 0AKWKNNHG0000
  postern queue retry Internet/fabrikam.example
  postern queue remove --from newsletter@contoso.example --older-than 2h`,
	})
	cmd.AddCommand(a.queueList(), a.queueAges(), a.queueMessages(), a.queueShow(),
		a.queueSuspend(), a.queueResume(), a.queueRetry(), a.queueResubmit(), a.queueRedirect(), a.queueRemove(),
		a.queueExport(), a.queueImport())
	return cmd
}

// client is one for the gateway that runs with the configuration.
func (a *app) client() (*control.Client, error) {
	path, err := a.controlSocket()
	if err != nil {
		return nil, err
	}
	return control.NewClient(path), nil
}

// asked makes an error of the gateway one of usage where it means that.
func asked(err error) error {
	var r *control.RequestError
	if errors.As(err, &r) && r.BadRequest() {
		return usageError{err}
	}
	return err
}

func (a *app) queueList() *cobra.Command {
	var watch, all bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the queues",
		Long: `List prints one line for each queue: what it is doing, how many messages it
holds, its velocity (messages that leave less those that come, each second: a
queue that grows has a negative one), and for one that waits the next try and
the last error. Empty queues are left out unless they are suspended.`,
		Example: "  postern queue list\n  postern queue list --watch\n  postern queue list --all --output json",
		Args:    a.noArguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if watch {
				return a.watch(cmd.Context(), func(ctx context.Context) error { return a.listQueues(ctx, c, all) })
			}
			return a.listQueues(cmd.Context(), c, all)
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "list again every two seconds, until Ctrl-C")
	cmd.Flags().BoolVar(&all, "all", false, "list empty queues too")
	return cmd
}

func (a *app) listQueues(ctx context.Context, c *control.Client, all bool) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	list, err := c.Queues(ctx)
	if err != nil {
		return asked(err)
	}
	total := len(list.Queues)
	if !all {
		list.Queues = slices.DeleteFunc(list.Queues, func(q control.Queue) bool { return q.MessageCount == 0 && !q.Suspended })
	}
	if a.json() {
		return a.printJSON(list)
	}
	a.printQueues(list, total-len(list.Queues), time.Now())
	return nil
}

// watch repeats what print prints until it is interrupted. A terminal is
// redrawn; elsewhere each time is a block of its own.
func (a *app) watch(ctx context.Context, print func(context.Context) error) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	_, tty := terminal(a.out)
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		if !a.json() {
			if tty {
				fmt.Fprint(a.out, "\x1b[H\x1b[J")
			}
			fmt.Fprintln(a.out, localTime(time.Now()))
		}
		err := print(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		if !a.json() && !tty {
			fmt.Fprintln(a.out)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (a *app) printQueues(all *control.QueueList, hidden int, now time.Time) {
	list := all.Queues
	s := styleFor(a.out)
	t := &table{header: []string{"IDENTITY", "TYPE", "STATUS", "COUNT", "VELOCITY", "NEXT TRY"}, right: []int{3, 4, 5}, names: true}
	t.paint = func(row, column int, text string) string {
		if column == 2 {
			return paintStatus(s, list[row].Status, text)
		}
		return text
	}
	messages := 0
	for i := range list {
		q := &list[i]
		messages += q.MessageCount
		t.add(clean(q.Identity), cmp.Or(q.DeliveryType, "-"), q.Status, strconv.Itoa(q.MessageCount), fmt.Sprintf("%.2f", q.Velocity), nextTry(q, now))
		if q.WaitsFor != "" {
			t.note("waits for " + clean(q.WaitsFor))
		}
		if q.LastError == "" {
			continue
		}
		text := clean(q.LastError)
		switch {
		case q.RetryCount > 0:
			text = fmt.Sprintf("%s for %s: %s", plural(q.RetryCount, "failure", "failures"), since(q.FirstRetryTime, now), text)
		case !q.LastErrorTime.IsZero():
			text = since(q.LastErrorTime, now) + " ago: " + text
		}
		t.note(text)
	}
	if len(list) > 0 {
		t.print(a.out)
	}
	text := plural(len(list), "queue", "queues") + ", " + places(all.Distinct, messages, " message", " messages")
	if hidden > 0 {
		text += fmt.Sprintf("; %d empty not shown (--all)", hidden)
	}
	fmt.Fprintln(a.out, text)
}

// places writes a number of messages, and in how many places they stand when
// some stand in several queues.
func places(messages, standing int, one, many string) string {
	switch {
	case messages >= standing && standing == 1:
		return "1" + one
	case messages >= standing: // some moved while they were counted
		return strconv.Itoa(standing) + many
	case messages == 1:
		many = one
	}
	return fmt.Sprintf("%d%s in %d places", messages, many, standing)
}

// nextTry writes when something of a queue is tried next, where it waits for
// that: by the queue's clock, or by those of its messages.
func nextTry(q *control.Queue, now time.Time) string {
	switch {
	case q.Suspended:
		return "-"
	case !q.NextRetryTime.IsZero():
		return until(q.NextRetryTime, now)
	case q.NextDue.After(now):
		return until(q.NextDue, now)
	}
	return "-"
}

// paintStatus gives the status of a queue or message its colour.
func paintStatus(s style, status, text string) string {
	switch status {
	case "active", "connecting":
		return s.green(text)
	case "retry", "unreachable", "poison":
		return s.red(text)
	case "suspended", "pending_suspend", "pending_remove":
		return s.cyan(text)
	}
	return text
}

func (a *app) queueAges() *cobra.Command {
	return &cobra.Command{
		Use:   "ages",
		Short: "Count the messages of each queue by age",
		Long: `Ages counts the messages of each queue by how long ago they arrived, as Postfix's
qshape does: column 5 has those younger than five minutes, 10 those from five to
ten minutes, and so on; the last column has the rest. T is the total.`,
		Example: "  postern queue ages",
		Args:    a.noArguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), askTime)
			defer cancel()
			ages, err := c.Ages(ctx)
			if err != nil {
				return asked(err)
			}
			if a.json() {
				return a.printJSON(ages)
			}
			a.printAges(ages)
			return nil
		},
	}
}

func (a *app) printAges(ages *control.AgeTable) {
	t := &table{header: []string{"", "T"}, right: []int{1}, names: true}
	bound := ""
	for i, b := range ages.Bounds {
		bound = strconv.FormatInt(b/60, 10)
		t.header, t.right = append(t.header, bound), append(t.right, i+2)
	}
	t.header, t.right = append(t.header, bound+"+"), append(t.right, len(t.header))
	sum := control.Age{Identity: "TOTAL", Counts: make([]int, len(ages.Bounds)+1)}
	list := slices.SortedFunc(slices.Values(ages.Queues), func(a, b control.Age) int {
		if a.Total != b.Total {
			return b.Total - a.Total
		}
		return strings.Compare(a.Identity, b.Identity)
	})
	for _, q := range list {
		sum.Total += q.Total
		for i, n := range q.Counts {
			if i < len(sum.Counts) {
				sum.Counts[i] += n
			}
		}
	}
	for _, q := range append([]control.Age{sum}, list...) {
		cells := []string{clean(q.Identity), strconv.Itoa(q.Total)}
		for i := range sum.Counts {
			n := 0
			if i < len(q.Counts) {
				n = q.Counts[i]
			}
			cells = append(cells, strconv.Itoa(n))
		}
		t.add(cells...)
	}
	t.print(a.out)
}
