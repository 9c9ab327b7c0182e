package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"postern/logs"
	"postern/logs/review"
)

func (a *app) logsFollow() *cobra.Command {
	var f logFlags
	var lines bool
	cmd := &cobra.Command{
		Use:   "follow",
		Short: "Watch sessions as they happen",
		Long: `Follow prints each session once it is over, as one line, or with --lines every
line as it is logged. It goes on over new files and days until it is interrupted.

The filters are those of 'postern logs sessions'. With --lines, the lines of a
session are printed as soon as the session meets them all, with those before.
With --output json each session, or line, is one line of JSON.`,
		Example: `  postern logs follow
  postern logs follow --connector "From Internet" --failed
  postern logs follow --lines --peer 198.51.100.7`,
		Args: a.noArguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query(cmd, time.Now())
			if err != nil {
				return err
			}
			q.Lines = lines
			source, err := f.source(a)
			if err != nil {
				return err
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			p := &logReading{app: a, verbose: f.verbose, stop: make(chan struct{}), done: make(chan struct{})}
			close(p.done)
			defer p.close()
			for _, err := range source.Sessions(ctx, &review.Query{Directions: q.Directions}, nil) {
				if err != nil && ctx.Err() == nil {
					fmt.Fprintf(a.err, "%v; waiting for them\n", f.noLogs(err))
				}
				break
			}
			return a.follow(ctx, source, q, &p.Progress)
		},
	}
	f.registerFilters(cmd)
	f.registerSource(cmd)
	cmd.Flags().BoolVar(&lines, "lines", false, "print the lines of the dialogs")
	return cmd
}

// follow prints what happens until the context ends.
func (a *app) follow(ctx context.Context, source review.Source, q *review.Query, p *review.Progress) error {
	st := styleFor(a.out)
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	for l, err := range source.Follow(ctx, q, p) {
		if err != nil {
			return err
		}
		switch {
		case l.Line != nil && a.json():
			_, err = a.out.Write(l.Line.AppendJSON(nil, l.Direction.Kind()))
		case l.Line != nil:
			_, err = fmt.Fprintln(a.out, liveLine(st, l.Line))
		case q.Lines: // its lines were printed
		case a.json():
			err = enc.Encode(l.Session)
		default:
			_, err = fmt.Fprintln(a.out, liveSession(st, l.Session))
		}
		if err != nil {
			return err // nobody reads any more
		}
	}
	return nil
}

// liveLine writes a line of a dialog. Sessions are interleaved, so each tells
// which it is.
func liveLine(st style, l *logs.Line) string {
	id := l.Session[max(len(l.Session)-6, 0):]
	d := dialogPrinter{style: st}
	e := d.entry(l)
	text := e.mark + " " + e.text
	switch e.side {
	case sideThem:
		text = st.cyan(text)
	case sideUs:
		text = st.green(text)
	default:
		text = st.dim(text)
	}
	return fmt.Sprintf("%s %s %s", l.Time.Local().Format("15:04:05.000"), logs.Escape(id), text)
}

// liveSession writes a session in one line.
func liveSession(st style, s *review.Session) string {
	text := fmt.Sprintf("%s %s %s %s %s %s, %s, TLS %s: %s", s.End.Local().Format("15:04:05"), logs.Escape(s.ID), logs.Escape(s.ConnectorName()), clientOf(s),
		paintOutcome(st, s, outcomeOf(s)), gist(s), precise(s.Duration()), shortTLS(s.TLS), logs.Escape(s.Reply))
	if s.Reply == "" {
		return text[:len(text)-len(": ")]
	}
	return text
}
