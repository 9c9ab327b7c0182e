package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/logs"
	"postern/logs/review"
)

const (
	// sessionsLimit is how many sessions a list has unless --limit says
	// otherwise.
	sessionsLimit = 100
	// maxReversed is how many sessions can be held to turn their order.
	maxReversed = 10_000
)

func (a *app) logsSessions() *cobra.Command {
	var f logFlags
	var limit int
	var reverse bool
	cmd := &cobra.Command{
		Use:   "sessions",
		Short: "List SMTP sessions, newest first",
		Long: `Sessions lists the SMTP sessions in the protocol logs, the newest first: when each
began, its id, connector, peer, TLS, what came of it and how long it took; below
stand the name in HELO, sender and recipients, and the reply that refused.

Several filters choose the sessions that meet all of them; a filter that is
repeated is met by any of its values. A session meets a filter when one of its
lines does. Letters of either case are the same in all filters. Times without a
zone are local.

With --output json each session is one line of JSON.`,
		Example: `  postern logs sessions --since 2h --failed
  postern logs sessions --on 2026-11-20 --to kim@contoso.example
  postern logs sessions --peer 198.51.100.0/24 --reply 5xx --limit 0
  postern logs sessions --logs /mnt/old-server/TransportRoles/Logs --tls no`,
		Args: a.noArguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query(cmd, time.Now())
			if err != nil {
				return err
			}
			switch {
			case limit < 0:
				return usageError{fmt.Errorf("--limit %d: want a number of sessions, or 0 for all", limit)}
			case reverse && (limit == 0 || limit > maxReversed):
				return usageError{fmt.Errorf("--reverse turns at most %d sessions; say how many with --limit", maxReversed)}
			}
			source, err := f.source(a)
			if err != nil {
				return err
			}
			return a.listSessions(cmd, &f, source, q, limit, reverse)
		},
	}
	f.registerTimes(cmd)
	f.registerFilters(cmd)
	f.registerSource(cmd)
	cmd.Flags().IntVar(&limit, "limit", sessionsLimit, "list at most so many sessions; 0 for all")
	cmd.Flags().BoolVar(&reverse, "reverse", false, "list the newest sessions in the order in which they began")
	return cmd
}

// sessionPrinter prints sessions as they come.
type sessionPrinter interface {
	add(s *review.Session) error
	flush() error
}

// listSessions prints the newest sessions.
func (a *app) listSessions(cmd *cobra.Command, f *logFlags, source review.Source, q *review.Query, limit int, reverse bool) (err error) {
	ctx, stop := interruptible(cmd)
	defer stop()
	r := f.reading(a)
	defer r.close()
	var out sessionPrinter = &sessionTable{app: a, now: time.Now(), clear: r.clear}
	if a.json() {
		out = newSessionJSON(a)
	}
	count, more := 0, false
	var held []*review.Session
	for s, err := range source.Sessions(ctx, q, &r.Progress) {
		if err != nil {
			if ctx.Err() != nil && cmd.Context().Err() == nil {
				break // interrupted: what was found is printed
			}
			return f.noLogs(err)
		}
		if limit > 0 && count == limit {
			more = true
			break
		}
		count++
		if reverse {
			held = append(held, s)
			continue
		}
		if err := out.add(s); err != nil {
			return err
		}
	}
	for _, s := range slices.Backward(held) {
		if err := out.add(s); err != nil {
			return err
		}
	}
	r.clear()
	if err := out.flush(); err != nil {
		return err
	}
	text := plural(count, "session", "sessions")
	if more {
		text += "; there are more: --limit 0 lists all"
	}
	if ctx.Err() != nil {
		text += "; interrupted"
	}
	if !a.json() {
		a.printField("", text)
	} else if more {
		fmt.Fprintln(a.err, text)
	}
	return nil
}

// sessionJSON prints one object a line.
type sessionJSON struct {
	w   *bufio.Writer
	enc *json.Encoder
}

func newSessionJSON(a *app) *sessionJSON {
	w := bufio.NewWriterSize(a.out, 64<<10)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &sessionJSON{w, enc}
}

func (p *sessionJSON) add(s *review.Session) error { return p.enc.Encode(s) }
func (p *sessionJSON) flush() error                { return p.w.Flush() }

// sessionTable prints tables of so many sessions that their columns can be
// fitted.
type sessionTable struct {
	app   *app
	now   time.Time
	clear func()
	page  []*review.Session
}

const sessionsPage = 100

func (p *sessionTable) add(s *review.Session) error {
	if p.page = append(p.page, s); len(p.page) < sessionsPage {
		return nil
	}
	p.clear()
	return p.flush()
}

func (p *sessionTable) flush() error {
	if len(p.page) == 0 {
		return nil
	}
	style := styleFor(p.app.out)
	t := &table{header: []string{"TIME", "SESSION", "CONNECTOR", "PEER", "TLS", "OUTCOME", "TOOK"}, right: []int{6}, fixed: []int{1}}
	page := p.page
	t.paint = func(row, column int, text string) string {
		if column == 5 {
			return paintOutcome(style, page[row], text)
		}
		return text
	}
	for _, s := range page {
		t.add(shortTime(s.Start, p.now), logs.Escape(s.ID), logs.Escape(s.ConnectorName()), clientOf(s), shortTLS(s.TLS), outcomeOf(s), precise(s.Duration()))
		t.note(gist(s))
		if s.Failed {
			t.note(logs.Escape(s.Reply))
		}
	}
	t.print(p.app.out)
	p.page = nil
	return nil
}

// clientOf writes the peer's address, with an arrow that says who called whom.
func clientOf(s *review.Session) string {
	if !s.Remote.IsValid() {
		return "-"
	}
	if s.Direction == logs.Send {
		return "> " + s.Remote.Addr().Unmap().String()
	}
	return "< " + s.Remote.Addr().Unmap().String()
}

// shortTLS leaves the version of "TLS1.3 TLS_AES_128_GCM_SHA256".
func shortTLS(described string) string {
	if described == "" {
		return "no"
	}
	version, _, _ := strings.Cut(described, " ")
	if version == "TLS" {
		return "yes"
	}
	return strings.TrimPrefix(version, "TLS")
}

// outcomeOf names the outcome, and the session that has none yet.
func outcomeOf(s *review.Session) string {
	if s.Open && s.Outcome == review.NoMail {
		return "open"
	}
	return string(s.Outcome)
}

func paintOutcome(st style, s *review.Session, text string) string {
	switch {
	case s.Outcome == review.Accepted:
		return st.green(text)
	case s.Outcome == review.Partly:
		return st.yellow(text)
	case s.Failed:
		return st.red(text)
	}
	return st.dim(text)
}

// gist says in one line who wrote to whom in a session.
func gist(s *review.Session) string {
	var parts []string
	if s.HELO != "" {
		parts = append(parts, logs.Escape(s.HELO))
	}
	if s.User != "" {
		parts = append(parts, "user "+logs.Escape(s.User))
	}
	who := strings.Join(parts, ", ")
	if len(s.Messages) == 0 {
		if who == "" {
			who = "said nothing"
		}
		return who
	}
	if who != "" {
		who += ": "
	}
	if n := len(s.Messages); n > 1 {
		who += fmt.Sprintf("%d messages, first ", n)
	}
	first := s.Messages[0]
	who += "<" + logs.Escape(first.From) + ">"
	if len(first.To) > 0 {
		who += " to <" + logs.Escape(first.To[0].Address) + ">"
	}
	if n := len(first.To) - 1; n > 0 {
		who += fmt.Sprintf(" and %d more", n)
	}
	return who
}
