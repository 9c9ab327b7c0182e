package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"postern/internal/control"
)

// verb is something that can be done to messages, and some of it to queues.
type verb struct {
	app    *app
	name   string // as the gateway calls it
	done   string // "12 messages are <done>"
	queues bool   // an argument may name a queue
	asks   bool   // a question is asked first
	f      filterFlags
	order  control.Order
	yes    bool
	// resubmit makes a retry of a queue one that routes its messages anew.
	resubmit bool
	// note is said behind what was done.
	note func(messages int) string
}

// command makes the command of a verb.
func (v *verb) command(use, short, long, example string) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example,
		RunE: func(cmd *cobra.Command, args []string) error { return v.run(cmd, args) },
	}
	v.f.register(cmd, v.name != "redirect")
	cmd.Flags().BoolVar(&v.f.all, "all", false, "all messages in all queues")
	cmd.Flags().BoolVar(&v.order.DryRun, "dry-run", false, "say how many it would be, and do nothing")
	if v.asks {
		cmd.Flags().BoolVarP(&v.yes, "yes", "y", false, "do not ask first")
	}
	return cmd
}

const chooseHelp = `
Messages are chosen by their ids, as arguments or on standard input with the
argument "-", or by filters, all of which must be met; --all chooses all.`

func (a *app) queueSuspend() *cobra.Command {
	v := &verb{app: a, name: "suspend", done: "suspended", queues: true}
	return v.command("suspend [QUEUE... | ID...]", "Hold queues or messages back",
		`Suspend holds a queue back, or messages. A suspended queue finishes what is in
flight, takes new messages and delivers none, until it is resumed; that holds over
a restart. Its messages do not expire meanwhile. A suspended message is not
delivered, does not expire and makes no delay notification, whatever its queue
does.
`+chooseHelp,
		`  postern queue suspend Internet/fabrikam.example
  postern queue suspend --from newsletter@contoso.example
  postern queue suspend 0AKWKNNHG0000`)
}

func (a *app) queueResume() *cobra.Command {
	v := &verb{app: a, name: "resume", done: "resumed", queues: true}
	return v.command("resume [QUEUE... | ID...]", "Let suspended queues or messages go",
		`Resume lets a suspended queue go, or suspended messages, which are then due at
once. A message in the Poison queue is routed anew.
`+chooseHelp,
		`  postern queue resume Internet/fabrikam.example
  postern queue resume --status suspended`)
}

func (a *app) queueRetry() *cobra.Command {
	v := &verb{app: a, name: "retry", done: "due now", queues: true}
	cmd := v.command("retry [QUEUE... | ID...]", "Try queues or messages now",
		`Retry makes a queue in retry try its next hop now, with one message; if that gets
through the others follow. Messages that it names are due now. With --resubmit
they are routed anew first, as "postern queue resubmit" does.
`+chooseHelp,
		`  postern queue retry Internet/fabrikam.example
  postern queue retry Unreachable --resubmit
  postern queue retry --domain fabrikam.example`)
	cmd.Flags().BoolVar(&v.resubmit, "resubmit", false, "route the messages anew")
	return cmd
}

func (a *app) queueResubmit() *cobra.Command {
	v := &verb{app: a, name: "resubmit", done: "resubmitted", queues: true, resubmit: true}
	return v.command("resubmit [QUEUE... | ID...]", "Route messages anew",
		`Resubmit routes messages anew, as if they had just come: after a change of the
configuration, or to take back a redirect. It is the same as retry --resubmit.
`+chooseHelp,
		`  postern queue resubmit Unreachable
  postern queue resubmit 0AKWKNNHG0000`)
}

func (a *app) queueRedirect() *cobra.Command {
	v := &verb{app: a, name: "redirect", done: "redirected", asks: true}
	v.note = func(int) string { return "to " + clean(v.order.To) }
	cmd := v.command("redirect --to HOST[:PORT] [ID...]", "Send messages to another host",
		`Redirect sends messages to a host that you name instead of the MX or smart hosts
of their route, several with commas between. Their Send connector stays, and with
it its TLS policy; its smart_host_auth is for its own smart hosts alone.
"postern queue resubmit" takes it back.
`+chooseHelp,
		`  postern queue redirect --to hub2.corp.contoso.example --queue "To organization/hub1.corp.contoso.example:25"
  postern queue redirect --to 192.0.2.25:2525 0AKWKNNHG0000 --yes`)
	cmd.Flags().StringVar(&v.order.To, "to", "", "the host to send to, with or without :PORT")
	return cmd
}

func (a *app) queueRemove() *cobra.Command {
	v := &verb{app: a, name: "remove", done: "removed", asks: true}
	v.note = func(messages int) string {
		switch {
		case v.order.WithoutNDR:
			return "without a word to " + senders(messages)
		case messages == 1:
			return "and its sender is told, unless it is null or asked not to be"
		}
		return "and their senders are told, unless they are null or asked not to be"
	}
	cmd := v.command("remove [--with-ndr | --without-ndr] [ID...]", "Remove messages from the queue",
		`Remove gives messages up for all recipients that they have not been delivered to.
The sender gets a notification of the failure, unless --without-ndr is given or
the reverse path is null. There is no way back: "postern queue export" keeps a
copy.
`+chooseHelp,
		`  postern queue remove 0AKWKNNHG0000
  postern queue remove --from newsletter@contoso.example --without-ndr
  postern queue remove --queue Internet/fabrikam.example --older-than 1d --yes`)
	var withNDR bool
	cmd.Flags().BoolVar(&withNDR, "with-ndr", false, "tell the senders (the default)")
	cmd.Flags().BoolVar(&v.order.WithoutNDR, "without-ndr", false, "tell the senders nothing")
	return cmd
}

func (v *verb) run(cmd *cobra.Command, args []string) error {
	a := v.app
	names, err := a.parseFilter(cmd, &v.f, args)
	if err == nil && v.name == "remove" {
		err = exclusive(cmd, "with-ndr", "without-ndr")
	}
	if err != nil {
		return err
	}
	if v.name == "redirect" && v.order.To == "" {
		return usageError{errors.New("say where to with --to HOST[:PORT]")}
	}
	if !v.queues {
		if err := noNames(cmd, names); err != nil {
			return err
		}
	}
	chosen := v.f.all || !v.f.filter.Empty()
	switch {
	case len(names) == 0 && !chosen && v.queues:
		return usageError{fmt.Errorf("name a queue or a message, choose messages with a filter, or all of them with --all")}
	case len(names) == 0 && !chosen:
		return usageError{fmt.Errorf("name a message, choose messages with a filter, or all of them with --all")}
	case len(names) > 0 && chosen:
		return usageError{fmt.Errorf("%q is no queue id; name queues, or choose messages, but not both: for the messages of a queue write --queue %q", names[0], names[0])}
	case len(names) > 0 && v.order.DryRun:
		return usageError{errors.New("--dry-run counts messages, and does not go with the name of a queue")}
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return v.orderQueues(cmd.Context(), c, names)
	}
	return v.orderMessages(cmd.Context(), c)
}

// orderQueues carries the verb out on whole queues.
func (v *verb) orderQueues(ctx context.Context, c *control.Client, names []string) error {
	a, name := v.app, v.name
	if v.resubmit {
		name = "retry"
	}
	done := struct {
		Queues []*control.QueueOrdered `json:"queues"`
	}{[]*control.QueueOrdered{}}
	for _, n := range names {
		q, err := orderQueue(ctx, c, name, n, v.resubmit)
		if err != nil {
			return asked(err)
		}
		done.Queues = append(done.Queues, q)
		if a.json() {
			continue
		}
		switch {
		case v.resubmit:
			fmt.Fprintf(a.out, "queue %s: %s resubmitted\n", clean(n), plural(q.Messages, "message", "messages"))
		case name == "retry":
			fmt.Fprintf(a.out, "queue %s: tried now; \"postern queue list\" shows what comes of it\n", clean(n))
		default:
			fmt.Fprintf(a.out, "queue %s: %s\n", clean(n), v.done)
		}
	}
	if a.json() {
		return a.printJSON(done)
	}
	return nil
}

func orderQueue(ctx context.Context, c *control.Client, verb, name string, resubmit bool) (*control.QueueOrdered, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return c.OrderQueue(ctx, verb, name, resubmit)
}

// ordered is the answer of a verb on messages as JSON.
type ordered struct {
	Verb   string `json:"verb"`
	DryRun bool   `json:"dry_run"`
	control.Tally
	// Missing are ids that were named and are not in the queue.
	Missing []string `json:"missing,omitempty"`
}

// orderMessages carries the verb out on messages.
func (v *verb) orderMessages(ctx context.Context, c *control.Client) error {
	a := v.app
	v.order.Filter, v.order.All = v.f.filter, v.f.all
	name := v.name
	if v.resubmit {
		name, v.done = "resubmit", "resubmitted"
	}
	gone, err := missing(ctx, c, v.f.filter.IDs)
	if err != nil {
		return err
	}
	a.printMissing(gone)
	if v.asks && !v.yes && !v.order.DryRun {
		if err := v.ask(ctx, c, name); err != nil {
			return err
		}
	}
	progress := a.progress("messages")
	t, err := c.OrderMessages(ctx, name, v.order, func(t control.Tally) { progress.set(t.Matched) })
	if err != nil {
		if t.Changed+t.Pending > 0 {
			v.print(&t)
		}
		return asked(err)
	}
	if a.json() {
		if err := a.printJSON(ordered{name, v.order.DryRun, t, gone}); err != nil {
			return err
		}
	} else {
		v.print(&t)
	}
	// Who names messages wants something done to them.
	if len(gone) > 0 || len(v.f.filter.IDs) > 0 && t.Changed+t.Pending == 0 {
		return errReported
	}
	return nil
}

// ask counts first, and goes on only with a yes.
func (v *verb) ask(ctx context.Context, c *control.Client, name string) error {
	dry := v.order
	dry.DryRun = true
	progress := v.app.progress("messages counted")
	t, err := c.OrderMessages(ctx, name, dry, func(t control.Tally) { progress.set(t.Matched) })
	if err != nil {
		return asked(err)
	}
	if t.Changed+t.Pending == 0 {
		return nil // nothing to be asked about
	}
	return v.app.confirm(v.question(name, &t))
}

// question is what is asked before an order that would come to t.
func (v *verb) question(name string, t *control.Tally) string {
	text := fmt.Sprintf("%s %s", capital(name), plural(t.Changed+t.Pending, "message", "messages"))
	var more []string
	if t.Recipients > 0 {
		more = append(more, plural(t.Recipients, "recipient", "recipients"))
	}
	if t.Pending > 0 {
		more = append(more, fmt.Sprintf("%d being delivered just now", t.Pending))
	}
	if len(more) > 0 {
		text += " (" + strings.Join(more, "; ") + ")"
	}
	if n := t.Changed + t.Pending; v.name == "remove" && !v.order.WithoutNDR {
		text += " and tell " + senders(n)
	} else {
		text += " " + v.note(n)
	}
	return text + "?"
}

func senders(messages int) string {
	if messages == 1 {
		return "its sender"
	}
	return "their senders"
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// print says what was done, what follows and what was left alone.
func (v *verb) print(t *control.Tally) {
	out := v.app.out
	if t.Matched == 0 {
		fmt.Fprintln(out, "no message matches")
		return
	}
	are := func(n int) string {
		if n == 1 {
			return "1 message is"
		}
		return fmt.Sprintf("%d messages are", n)
	}
	done := v.done
	if v.note != nil {
		done += " " + v.note(t.Changed)
	}
	if v.order.DryRun {
		done = "to be " + done
	}
	if t.Changed > 0 || v.order.DryRun {
		fmt.Fprintf(out, "%s %s\n", are(t.Changed), done)
	}
	if t.Pending > 0 {
		fmt.Fprintf(out, "%s being delivered and will be %s when the attempt ends\n", are(t.Pending), v.done)
	}
	for _, reason := range slices.Sorted(maps.Keys(t.Skipped)) {
		fmt.Fprintf(out, "%s left alone: %s\n", are(t.Skipped[reason]), clean(reason))
	}
}
