package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/control"
)

func (a *app) queueShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Say why a message has not left yet, and all else that is known of it",
		Long: `Show answers first why a message has not left yet: what it waits for and since
when, what the next hop said, when the next try is, and what can be done. Below
stand its envelope, what has become of each recipient, the route and its reason,
and the latest connections.`,
		Example: "  postern queue show 0AKWKNNHG0000",
		Args:    arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), askTime)
			defer cancel()
			m, err := c.Message(ctx, args[0])
			if err != nil {
				return asked(err)
			}
			if a.json() {
				return a.printJSON(m)
			}
			a.printMessage(m, time.Now())
			return nil
		},
	}
}

// maxNamedRecipients is how many recipients the answer names; the table below
// has all.
const maxNamedRecipients = 3

// fieldWidth is the width of the headings of printFields.
const fieldWidth = 14

// field prints a heading and text beside it, unless there is none.
func (a *app) field(heading, text string) {
	if text != "" {
		a.printField(fmt.Sprintf("  %-*s", fieldWidth, heading), text)
	}
}

func (a *app) printMessage(m *control.MessageDetail, now time.Time) {
	s := styleFor(a.out)
	for i := range m.Waits {
		a.printWait(m, &m.Waits[i], s, now)
	}
	if len(m.Waits) == 0 {
		fmt.Fprintf(a.out, "%s waits for nothing: every recipient is done, and what is owed to its sender is under way\n", m.ID)
	}
	a.printEnvelope(m, s, now)
	a.printRecipients(m)
	for i := range m.Routes {
		a.printRoute(&m.Routes[i], now)
	}
	if m.Generation != "" {
		text := m.Generation
		if m.GenerationNow != m.Generation {
			text += "; in force is " + m.GenerationNow + ", by which the route above is"
		}
		a.field("routed by", text)
	}
	a.printAttempts(m, s)
}

// printRoute says where some recipients go, and what takes over when that fails.
func (a *app) printRoute(r *control.Route, now time.Time) {
	a.field("route", unbroken(clean(r.Queue)+":")+" "+clean(r.Reason))
	if r.Fallback == "" {
		return
	}
	var when []string
	if !r.FallbackAt.IsZero() {
		when = append(when, until(r.FallbackAt, now)+", if a try has failed by then")
	}
	if r.FallbackTries > 0 {
		when = append(when, fmt.Sprintf("after %d tries in vain", r.FallbackTries))
	}
	a.field("fallback", clean(r.Fallback)+" takes over "+strings.Join(when, ", or "))
}

// printWait answers for one queue.
func (a *app) printWait(m *control.MessageDetail, w *control.Wait, s style, now time.Time) {
	text := m.ID + " waits: " + clean(w.Text)
	for _, line := range wrap(text, a.width()) {
		fmt.Fprintln(a.out, s.bold(line))
	}
	if !w.Since.IsZero() {
		a.field("since", fmt.Sprintf("%s, %s ago", localTime(w.Since), since(w.Since, now)))
	}
	said := clean(w.LastError)
	if w.RemoteMTA != "" {
		said += " (" + clean(w.RemoteMTA) + ")"
	}
	heading := "last error" // in our own words
	if w.RemoteMTA != "" {
		heading = "last reply"
	}
	a.field(heading, said)
	next := "none by itself"
	switch {
	case !w.NextTry.IsZero():
		next = fmt.Sprintf("%s, %s", localTime(w.NextTry), until(w.NextTry, now))
	case w.Reason == "in_flight" || w.Reason == "turn" || w.Reason == "routing" || w.Reason == "limit":
		next = ""
	}
	heading = "next try"
	if w.Reason == "limit" { // which opens for one message, not for this one
		heading = "limit opens"
	}
	a.field(heading, next)
	if !m.Expires.IsZero() {
		a.field("given up", fmt.Sprintf("%s, %s", localTime(m.Expires), until(m.Expires, now)))
	}
	to := clean(strings.Join(w.Recipients[:min(len(w.Recipients), maxNamedRecipients)], ", "))
	if n := len(w.Recipients) - maxNamedRecipients; n > 0 {
		to += fmt.Sprintf(" and %d more", n)
	}
	a.field("for", to)
	a.field("in queue", unbroken(clean(w.Queue)))
	for i, r := range w.Remedies {
		heading := ""
		if i == 0 {
			heading = "you can"
		}
		// A command is not broken, so that it can be copied.
		fmt.Fprintf(a.out, "  %-*s%s\n", fieldWidth, heading, s.cyan(clean(r.Command)))
		a.printField(strings.Repeat(" ", fieldWidth+6), clean(r.Effect))
	}
	fmt.Fprintln(a.out)
}

func (a *app) printEnvelope(m *control.MessageDetail, s style, now time.Time) {
	fmt.Fprintln(a.out, s.bold("Message "+m.ID))
	e := &m.Envelope
	a.field("status", m.Status)
	a.field("from", "<"+clean(e.Sender)+">")
	a.field("subject", clean(m.Subject))
	a.field("message id", clean(e.MessageID))
	a.field("size", roundSize(m.Size))
	a.field("arrived", fmt.Sprintf("%s, %s ago", localTime(m.Arrived), since(m.Arrived, now)))
	source := clean(m.Source)
	if e.Client != "" {
		source += fmt.Sprintf(" from %s (%s) in session %s", clean(e.Helo), e.Client, clean(e.Session))
	}
	a.field("source", source)
	if e.ReportOf != "" {
		a.field("reports on", e.ReportOf)
	}
	a.field("redirected", clean(m.Redirect))
	var wants []string
	for _, p := range []struct {
		on   bool
		word string
	}{{e.Body != "", "BODY=" + e.Body}, {e.SMTPUTF8, "SMTPUTF8"}, {e.RequireTLS, "REQUIRETLS"}, {e.Return != "", "RET=" + e.Return}, {e.EnvID != "", "ENVID=" + e.EnvID}} {
		if p.on {
			wants = append(wants, clean(p.word))
		}
	}
	a.field("asks for", strings.Join(wants, " "))
	fmt.Fprintln(a.out)
}

func (a *app) printRecipients(m *control.MessageDetail) {
	t := &table{header: []string{"RECIPIENT", "STATUS", "TRIES", "AT"}, right: []int{2}}
	for _, r := range m.Envelope.Recipients {
		at := "-"
		if r.At != nil {
			at = localTime(*r.At)
		}
		t.add("<"+clean(r.Address)+">", r.Status, strconv.Itoa(r.Tries), at)
		if r.Reply != "" {
			text := clean(r.Reply)
			if r.RemoteMTA != "" {
				text += " (" + clean(r.RemoteMTA) + ")"
			}
			t.note(text)
		}
	}
	t.print(a.out)
	fmt.Fprintln(a.out)
}

// addressOf is an endpoint without its port.
func addressOf(endpoint string) string {
	a, err := netip.ParseAddrPort(endpoint)
	if err != nil {
		return ""
	}
	return a.Addr().String()
}

func (a *app) printAttempts(m *control.MessageDetail, s style) {
	flying := slices.Contains([]string{"active", "pending_suspend", "pending_remove"}, m.Status)
	if len(m.Attempts) == 0 && !flying {
		return
	}
	fmt.Fprintln(a.out)
	fmt.Fprintln(a.out, s.bold("Latest connections"))
	if flying {
		defer a.printField("  ", "The connection that is under way is listed here when its attempt ends.")
	}
	for _, t := range m.Attempts {
		host := clean(t.Host)
		if t.Address != "" && t.Address != t.Host {
			host = strings.TrimSpace(host + " " + clean(t.Address))
		}
		how := "in clear text"
		switch {
		case t.TLS != "":
			how = clean(t.TLS) + clean(peerOf(&t))
		case t.Peer != "":
			how = "TLS refused" + clean(peerOf(&t))
		case t.Policy != "":
			how = "no TLS"
		case t.Source == "":
			how = "not connected"
		}
		line := fmt.Sprintf("%s  %s, %s", localTime(t.At), host, how)
		if ip := addressOf(t.Source); ip != "" {
			line += ", from " + ip
		}
		if t.Sender != "" {
			line += ", as <" + clean(t.Sender) + ">"
		}
		if t.Session != "" {
			line += ", session " + clean(t.Session)
		}
		for i, l := range wrap(line, a.width()-4) {
			fmt.Fprintln(a.out, strings.Repeat(" ", 2+2*min(i, 1))+l)
		}
		a.printField("      ", clean(t.Reply))
		if t.TLS != "" && t.Policy != "" {
			a.printField("      ", "asked for: "+clean(t.Policy))
		}
	}
}

// peerOf says of a connection over TLS with whom it was and what that proves.
func peerOf(t *control.Attempt) string {
	var text string
	if t.Peer != "" {
		text = " with " + t.Peer
	}
	if t.Trust != "" {
		text += " (" + t.Trust + ")"
	}
	switch t.Client {
	case "shown":
		text += ", our certificate shown"
	case "asked for":
		text += ", which asked for a certificate of ours and got none"
	}
	return text
}
