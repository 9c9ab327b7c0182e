package main

import (
	"fmt"
	"strings"
	"time"

	"postern/logs"
	"postern/queue"
	"postern/routing"
)

// demoShow is everything that the demo shows.
type demoShow struct {
	Messages []demoResult `json:"messages"`
	// What the two next hops received, as "<sender> to <recipient>: subject".
	WithTLS    []string `json:"received_with_tls"`
	WithoutTLS []string `json:"received_without_tls"`
}

// demoResult is what happened to one message of the demo.
type demoResult struct {
	Title            string `json:"title"`
	Sender           string `json:"sender"`
	Recipient        string `json:"recipient"`
	Subject          string `json:"subject"`
	ReceiveConnector string `json:"receive_connector"`
	// Refused is the reply that refused it in the session.
	Refused string `json:"refused,omitempty"`
	// Messages are the message and the notification it led to.
	Messages []demoTrace   `json:"messages"`
	Sessions []demoSession `json:"sessions"`
}

// demoTrace follows one queue id.
type demoTrace struct {
	ID           string           `json:"id"`
	Notification bool             `json:"notification"`
	Recipient    string           `json:"recipient"`
	Route        routing.Decision `json:"route"`
	Hops         []demoHop        `json:"next_hops"`
	Outcome      string           `json:"outcome"`
	Reply        string           `json:"reply"`
}

// demoHop is a connection to a next hop.
type demoHop struct {
	Address string `json:"address"`
	TLS     string `json:"tls"` // empty: clear text
}

// demoSession is a session's lines of the protocol log.
type demoSession struct {
	ID        string     `json:"id"`
	Connector string     `json:"connector"`
	Reused    bool       `json:"reused"` // it began with an earlier message
	Lines     []demoLine `json:"lines"`
}

type demoLine struct {
	Time    time.Time `json:"time"`
	Event   string    `json:"event"`
	Data    string    `json:"data"`
	Context string    `json:"context,omitempty"`
}

func newDemoSession(lines []logs.Line) demoSession {
	d := demoSession{ID: lines[0].Session, Connector: lines[0].Connector, Reused: lines[0].Sequence > 0}
	for _, l := range lines {
		d.Lines = append(d.Lines, demoLine{l.Time, string(l.Event), l.Data, l.Context})
	}
	return d
}

// add takes an event of the queue in.
func (r *demoResult) add(table *routing.Table, e queue.Event) {
	id := e.ID.String()
	switch e.Kind {
	case queue.Submitted:
		to := e.Envelope.Recipients[0].Address
		r.Messages = append(r.Messages, demoTrace{
			ID: id, Notification: e.Envelope.Origin.Internal, Recipient: to.String(), Hops: []demoHop{},
			Route: table.Explain(routing.QueryFor(e.Envelope, nil, 0)),
		})
	case queue.Delivered, queue.Deferred, queue.Failed, queue.Expired:
		for i := range r.Messages {
			t := &r.Messages[i]
			if t.ID != id {
				continue
			}
			t.Outcome, t.Reply = e.Outcome.Status.String(), e.Outcome.Reply.String()
			for _, at := range e.Attempts {
				t.Hops = append(t.Hops, demoHop{at.Address, at.TLS})
			}
		}
	}
}

// printResult prints what happened to one message.
func (a *app) printResult(n int, r *demoResult) {
	s := styleFor(a.out)
	fmt.Fprintf(a.out, "\n%s\n", s.bold(strings.Join(wrap(fmt.Sprintf("%d. %s", n, r.Title), a.width()), "\n   ")))
	fmt.Fprintf(a.out, "   %s -> %s, %q\n", r.Sender, r.Recipient, r.Subject)
	fmt.Fprintf(a.out, "   %s %s\n", s.cyan("Receive connector:"), r.ReceiveConnector)
	if r.Refused != "" {
		fmt.Fprintf(a.out, "   %s %s\n", s.red("Refused:"), clean(r.Refused))
	}
	for i := range r.Messages {
		a.printTrace(&r.Messages[i])
	}
	for i := range r.Sessions {
		a.printSession(&r.Sessions[i])
	}
}

func (a *app) width() int {
	width, _ := terminal(a.out)
	return width
}

// printTrace prints the route of a message with its reasons, and its end.
func (a *app) printTrace(t *demoTrace) {
	s := styleFor(a.out)
	if t.Notification {
		fmt.Fprintf(a.out, "   %s %s to <%s>\n", s.cyan("Notification:"), t.ID, t.Recipient)
	}
	fmt.Fprintf(a.out, "   %s %s\n", s.cyan("Send connector:"), s.bold(t.Route.Connector))
	a.printWrapped("because: " + t.Route.Reason)
	for _, c := range t.Route.Candidates {
		if c.EliminatedBy != "" {
			a.printWrapped("not " + c.Name + ": " + c.Detail)
		}
	}
	for _, h := range t.Hops {
		tls := h.TLS
		if tls == "" {
			tls = "none, clear text"
		}
		fmt.Fprintf(a.out, "   %s %s, TLS: %s\n", s.cyan("Next hop:"), h.Address, tls)
	}
	word := s.green(t.Outcome)
	if t.Outcome != "delivered" {
		word = s.red(t.Outcome)
	}
	fmt.Fprintf(a.out, "   %s %s: %s\n", s.cyan("Outcome:"), word, clean(t.Reply))
}

// printWrapped prints text below a heading.
func (a *app) printWrapped(text string) {
	const indent = "     "
	for i, line := range wrap(text, a.width()-len(indent)-2) {
		if i > 0 {
			line = "  " + line
		}
		fmt.Fprintln(a.out, indent+line)
	}
}

// printSession prints a session's lines of the protocol log. A reply of many
// lines takes one, so that the dialog can be seen.
func (a *app) printSession(d *demoSession) {
	s := styleFor(a.out)
	how := ""
	if d.Reused {
		how = ", a connection used again"
	}
	for i, line := range wrap(fmt.Sprintf("protocol log, %s, session %s%s:", d.Connector, d.ID, how), a.width()-5) {
		fmt.Fprintf(a.out, "   %s%s\n", strings.Repeat(" ", min(2*i, 2)), s.dim(line))
	}
	for i := 0; i < len(d.Lines); i++ {
		l := d.Lines[i]
		text := clean(l.Data)
		for more := l; more.continued() && i+1 < len(d.Lines); {
			i++
			more = d.Lines[i]
			text += " | " + clean(more.Data[min(4, len(more.Data)):])
		}
		if l.Context != "" {
			text = strings.TrimSpace(text + "  (" + clean(l.Context) + ")")
		}
		if room := a.width() - 22; len(text) > room {
			text = text[:room-3] + "..."
		}
		fmt.Fprintln(a.out, s.dim(strings.TrimRight(fmt.Sprintf("     %s %s %s", l.Time.Local().Format("15:04:05.000"), l.Event, text), " ")))
	}
}

// continued reports whether a line is one of a reply and not its last
// (RFC 5321 4.2.1).
func (l *demoLine) continued() bool {
	return (l.Event == string(logs.EventSent) || l.Event == string(logs.EventReceived)) && len(l.Data) > 3 && l.Data[3] == '-' &&
		strings.Trim(l.Data[:3], "0123456789") == ""
}

// printHops shows what the two next hops received.
func (a *app) printHops(show *demoShow) {
	s := styleFor(a.out)
	for _, hop := range []struct {
		name string
		list []string
	}{{"What the next hop with TLS received", show.WithTLS}, {"What the next hop without TLS received", show.WithoutTLS}} {
		fmt.Fprintf(a.out, "\n%s\n", s.bold(hop.name))
		for _, m := range hop.list {
			fmt.Fprintf(a.out, "   %s\n", clean(m))
		}
	}
}
