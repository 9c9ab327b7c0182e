package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"postern/config"
	"postern/internal/message"
	"postern/logs"
	"postern/queue"
	"postern/routing"
)

// recorder keeps what the gateway logs and does during the demo.
type recorder struct {
	mu      sync.Mutex
	changed chan struct{} // closed, and made anew, when something is added
	lines   []logs.Line
	events  []queue.Event
}

func newRecorder() *recorder { return &recorder{changed: make(chan struct{})} }

func (r *recorder) line(_ logs.Direction, l logs.Line) {
	r.add(func() { r.lines = append(r.lines, l) })
}

func (r *recorder) event(e queue.Event) { r.add(func() { r.events = append(r.events, e) }) }

func (r *recorder) add(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	close(r.changed)
	r.changed = make(chan struct{})
}

// wait returns as soon as found says so, which is asked each time that
// something is added.
func (r *recorder) wait(ctx context.Context, found func() bool) error {
	for {
		r.mu.Lock()
		ok, changed := found(), r.changed
		r.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sessionsFrom gives the lines since the n-th by session, in the order in
// which the sessions come up.
func (r *recorder) sessionsFrom(n int) [][]logs.Line {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list [][]logs.Line
	at := map[string]int{}
	for _, l := range r.lines[n:] {
		i, ok := at[l.Session]
		if !ok {
			i = len(list)
			at[l.Session] = i
			list = append(list, nil)
		}
		list[i] = append(list[i], l)
	}
	return list
}

// ended reports whether the session that the n-th line begins has come to its
// end. Called with mu held.
func (r *recorder) ended(n int) bool {
	if n >= len(r.lines) {
		return false
	}
	for _, l := range r.lines[n:] {
		if l.Session == r.lines[n].Session && l.Event == logs.EventDisconnect {
			return true
		}
	}
	return false
}

// finished finds the event that ends a message. Called with mu held.
func (r *recorder) finished(id message.ID) bool {
	for i := range r.events {
		if r.events[i].ID == id && r.events[i].Kind == queue.Finished {
			return true
		}
	}
	return false
}

// demoOne sends one message, waits for its end and prints what happened.
func (a *app) demoOne(ctx context.Context, rec *recorder, cfg *config.Config, m demoMessage, port int) error {
	ctx, cancel := context.WithTimeout(ctx, demoWait)
	defer cancel()
	rec.mu.Lock()
	firstLine, firstEvent := len(rec.lines), len(rec.events)
	rec.mu.Unlock()

	fmt.Fprintf(a.out, "   %s -> %s, %q\n", m.from, m.to, m.subject)
	refusal, err := m.submit(ctx, port)
	if err != nil {
		return fmt.Errorf("demo: submit: %w", err)
	}
	err = rec.wait(ctx, func() bool {
		return rec.ended(firstLine) && (m.undecided || rec.settled(firstEvent, m.reports))
	})
	if err != nil {
		return fmt.Errorf("demo: the message did not come to its end: %w", err)
	}
	rec.mu.Lock()
	events := append([]queue.Event(nil), rec.events[firstEvent:]...)
	rec.mu.Unlock()

	sessions := rec.sessionsFrom(firstLine)
	s := styleFor(a.out)
	fmt.Fprintf(a.out, "   %s %s\n", s.cyan("Receive connector:"), sessions[0][0].Connector)
	if refusal != nil {
		fmt.Fprintf(a.out, "   %s %s\n", s.red("Refused:"), clean(refusal.Error()))
	}
	table, _ := routing.New(cfg)
	for _, e := range events {
		a.printEvent(table, e)
	}
	for _, lines := range sessions {
		a.printSession(lines)
	}
	return nil
}

// settled reports whether every message that came since the first event has
// come to its end, a notification too where one is due. Called with mu held.
func (r *recorder) settled(first int, reports bool) bool {
	submitted := 0
	for _, e := range r.events[first:] {
		if e.Kind != queue.Submitted {
			continue
		}
		if submitted++; !r.finished(e.ID) {
			return false
		}
	}
	return submitted > 1 || submitted == 1 && !reports
}

// printEvent tells of the route when a message is submitted, and of each
// outcome.
func (a *app) printEvent(table *routing.Table, e queue.Event) {
	s := styleFor(a.out)
	switch e.Kind {
	case queue.Submitted:
		if e.Envelope.Origin.Internal {
			fmt.Fprintf(a.out, "   %s %s to %s\n", s.cyan("Notification:"), e.ID, e.Envelope.Recipients[0].Address.Path())
		}
		a.printRoute(table, e.Envelope)
	case queue.Delivered, queue.Deferred, queue.Failed, queue.Expired:
		for _, at := range e.Attempts {
			tls := at.TLS
			if tls == "" {
				tls = "none, clear text"
			}
			fmt.Fprintf(a.out, "   %s %s, TLS: %s\n", s.cyan("Next hop:"), at.Address, tls)
		}
		word := s.green(e.Outcome.Status.String())
		if e.Kind != queue.Delivered {
			word = s.red(e.Outcome.Status.String())
		}
		fmt.Fprintf(a.out, "   %s %s: %s\n", s.cyan("Outcome:"), word, clean(e.Outcome.Reply.String()))
	}
}

// printRoute explains the choice of the Send connector.
func (a *app) printRoute(table *routing.Table, env *message.Envelope) {
	s := styleFor(a.out)
	for _, r := range env.Recipients {
		d := table.Explain(routing.Query{Sender: env.From, Recipient: r.Address, Size: env.Size})
		fmt.Fprintf(a.out, "   %s %s\n", s.cyan("Send connector:"), s.bold(d.Connector))
		a.printWrapped("because: " + d.Reason)
		for _, c := range d.Candidates {
			if c.EliminatedBy != "" {
				a.printWrapped("not " + c.Name + ": " + c.Detail)
			}
		}
	}
}

// printWrapped prints text below a heading.
func (a *app) printWrapped(text string) {
	width, _ := terminal(a.out)
	const indent = "     "
	for i, line := range wrap(text, width-len(indent)-2) {
		if i > 0 {
			line = "  " + line
		}
		fmt.Fprintln(a.out, indent+line)
	}
}

// printSession prints a session's lines of the protocol log. A reply of many
// lines takes one, so that the dialog can be seen.
func (a *app) printSession(lines []logs.Line) {
	s := styleFor(a.out)
	how := ""
	if lines[0].Sequence > 0 {
		how = ", a connection used again"
	}
	fmt.Fprintf(a.out, "   %s\n", s.dim(fmt.Sprintf("protocol log, %s, session %s%s:", lines[0].Connector, lines[0].Session, how)))
	width, _ := terminal(a.out)
	for i := 0; i < len(lines); i++ {
		l := lines[i]
		text := clean(l.Data)
		for more := l; isContinued(more) && i+1 < len(lines); {
			i++
			more = lines[i]
			text += " | " + clean(more.Data[min(4, len(more.Data)):])
		}
		if l.Context != "" {
			text = strings.TrimSpace(text + "  (" + clean(l.Context) + ")")
		}
		if room := width - 22; len(text) > room {
			text = text[:room-3] + "..."
		}
		fmt.Fprintf(a.out, "     %s\n", s.dim(fmt.Sprintf("%s %c %s", l.Time.Local().Format("15:04:05.000"), l.Event, text)))
	}
}

// isContinued reports whether a line is one of a reply and not its last
// (RFC 5321 4.2.1).
func isContinued(l logs.Line) bool {
	return (l.Event == logs.EventSent || l.Event == logs.EventReceived) && len(l.Data) > 3 && l.Data[3] == '-' &&
		strings.Trim(l.Data[:3], "0123456789") == ""
}

// printHops shows what the two next hops received.
func (a *app) printHops(withTLS, without *nextHop) {
	s := styleFor(a.out)
	show := func(w io.Writer, name string, h *nextHop) {
		fmt.Fprintf(w, "\n%s\n", s.bold(name))
		for _, m := range h.messages() {
			fmt.Fprintf(w, "   %s\n", clean(m))
		}
	}
	show(a.out, "What the next hop with TLS received", withTLS)
	show(a.out, "What the next hop without TLS received", without)
}
