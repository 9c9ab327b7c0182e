package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/logs"
	"postern/logs/review"
)

// fates are what became of some messages.
type fates struct {
	events []*logs.Tracking // oldest first
	// sessions are the other sessions that they went through, oldest first.
	sessions []*review.Session
	// untracked says that there is no message tracking log.
	untracked bool
	more      bool
}

// fatesOf looks for the messages of some sessions, or for one message.
func (a *app) fatesOf(ctx context.Context, source review.Source, p *review.Progress, shown []*review.Session, name string) (*fates, error) {
	f := new(fates)
	var names []string
	if name != "" {
		names = []string{name}
	}
	for _, s := range shown {
		if name == "" {
			names = append(names, s.QueueIDs()...)
		}
	}
	if len(names) == 0 {
		return f, nil
	}
	if len(names) > maxFate {
		names, f.more = names[:maxFate], true
	}
	for t, err := range source.Tracking(ctx, &review.Query{Names: names}, p) {
		if errors.Is(err, review.ErrNoLogs) {
			f.untracked = true
			break
		}
		if err != nil {
			return nil, err
		}
		if len(f.events) == maxFate {
			f.more = true
			break
		}
		f.events = append(f.events, t)
	}
	slices.Reverse(f.events)
	if name != "" {
		return f, nil
	}
	others, err := collect(ctx, source, p, &review.Query{Names: names}, maxListed+len(shown))
	if err != nil {
		return nil, err
	}
	for _, s := range slices.Backward(others) {
		if !slices.ContainsFunc(shown, func(o *review.Session) bool { return o.ID == s.ID }) {
			f.sessions = append(f.sessions, s)
		}
	}
	return f, nil
}

// trackedJSON is a tracking event of a session's messages in JSON.
type trackedJSON struct {
	Time       time.Time `json:"time"`
	Event      string    `json:"event"`
	Source     string    `json:"source"`
	QueueID    string    `json:"queue_id,omitempty"`
	MessageID  string    `json:"message_id,omitempty"`
	Connector  string    `json:"connector,omitempty"`
	Session    string    `json:"session,omitempty"`
	Sender     string    `json:"sender"`
	Recipients []string  `json:"recipients"`
	Statuses   []string  `json:"statuses"`
	Host       string    `json:"host,omitempty"`
}

func (f *fates) json() []trackedJSON {
	out := make([]trackedJSON, 0, len(f.events))
	for _, t := range f.events {
		out = append(out, trackedJSON{
			Time: t.Time, Event: t.Event, Source: t.Source, QueueID: t.InternalID, MessageID: t.MessageID, Connector: t.Connector,
			Session: sessionOf(t), Sender: t.ReturnPath, Recipients: nonNil(t.Recipients), Statuses: nonNil(t.Statuses), Host: hostOf(t),
		})
	}
	return out
}

// sessionOf returns the session that an event of tracking belongs to.
func sessionOf(t *logs.Tracking) string {
	if id := t.Custom.Get("session"); id != "" {
		return id
	}
	id, _, _ := strings.Cut(t.SourceContext, ";")
	return id
}

// hostOf names the host on the other side.
func hostOf(t *logs.Tracking) string {
	name, address := t.ServerHostname, t.ServerIP
	if t.Event == logs.TrackReceive {
		name, address = t.ClientHostname, t.ClientIP
	}
	switch {
	case name == "" || name == address:
		return address
	case address == "":
		return name
	}
	return name + " [" + address + "]"
}

// printFates prints what became of the messages of the sessions shown.
func (a *app) printFates(f *fates, shown []*review.Session) {
	st := styleFor(a.out)
	if len(f.events) > 0 {
		fmt.Fprintf(a.out, "\n%s\n", st.bold("What became of it"))
	}
	for _, t := range f.events {
		head := fmt.Sprintf("%s  %s  %s", t.Time.Local().Format("01-02 15:04:05.000"), logs.Escape(t.InternalID), paintEvent(st, t.Event))
		if host := hostOf(t); host != "" {
			head += map[bool]string{true: " from ", false: " to "}[t.Event == logs.TrackReceive] + logs.Escape(host)
		}
		if t.Connector != "" {
			head += " by " + logs.Escape(t.Connector)
		}
		fmt.Fprintln(a.out, head)
		for i, r := range t.Recipients {
			text := "<" + logs.Escape(r) + ">"
			if i < len(t.Statuses) && t.Statuses[i] != "" {
				text += ": " + logs.Escape(t.Statuses[i])
			}
			a.printField("    ", text)
		}
		if id := sessionOf(t); id != "" && !slices.ContainsFunc(shown, func(s *review.Session) bool { return s.ID == id }) {
			a.printField("    ", "session "+logs.Escape(id))
		}
	}
	if f.more {
		fmt.Fprintln(a.out, "There is more than is shown; postern logs trace QUEUE-ID follows one message.")
	}
	if len(f.sessions) > 0 {
		fmt.Fprintf(a.out, "\n%s\n", st.bold("Other sessions of its messages"))
		for _, s := range f.sessions {
			text := fmt.Sprintf("%s  %s  %s %s  %s", shortTime(s.Start, time.Now()), logs.Escape(s.ID), logs.Escape(s.ConnectorName()), clientOf(s), paintOutcome(st, s, outcomeOf(s)))
			if s.Reply != "" {
				text += ": " + logs.Escape(s.Reply)
			}
			fmt.Fprintln(a.out, text)
		}
	}
}

func paintEvent(st style, event string) string {
	switch event {
	case logs.TrackReceive, logs.TrackSend:
		return st.green(logs.Escape(event))
	case logs.TrackFail, logs.TrackPoison:
		return st.red(logs.Escape(event))
	case logs.TrackDefer:
		return st.yellow(logs.Escape(event))
	}
	return logs.Escape(event)
}
