package main

import (
	"context"
	"fmt"
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

func (r *recorder) line(_ logs.Kind, l logs.Line) {
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

// follow sends one message, waits for its end and tells what happened.
func (r *recorder) follow(ctx context.Context, cfg *config.Config, m demoMessage, port int) (*demoResult, error) {
	ctx, cancel := context.WithTimeout(ctx, demoWait)
	defer cancel()
	r.mu.Lock()
	firstLine, firstEvent := len(r.lines), len(r.events)
	r.mu.Unlock()
	refusal, err := m.submit(ctx, port)
	if err != nil {
		return nil, fmt.Errorf("demo: submit: %w", err)
	}
	err = r.wait(ctx, func() bool {
		return r.ended(firstLine) && (m.undecided || r.settled(firstEvent, m.reports))
	})
	if err != nil {
		return nil, fmt.Errorf("demo: the message did not come to its end: %w", err)
	}
	res := &demoResult{Title: m.title, Sender: m.from, Recipient: m.to, Subject: m.subject, Messages: []demoTrace{}}
	if refusal != nil {
		res.Refused = message.Reply{Code: refusal.Code, Enhanced: refusal.EnhancedCode, Text: refusal.Message}.String()
	}
	table, _ := routing.New(cfg)
	r.mu.Lock()
	for _, e := range r.events[firstEvent:] {
		res.add(table, e)
	}
	r.mu.Unlock()
	for _, lines := range r.sessionsFrom(firstLine) {
		res.Sessions = append(res.Sessions, newDemoSession(lines))
	}
	res.ReceiveConnector = res.Sessions[0].Connector
	return res, nil
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
