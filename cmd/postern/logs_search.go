package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/logs"
	"postern/logs/review"
)

// searchLimit is how many lines are found unless --limit says otherwise.
const searchLimit = 100

// foundLine is one line that has the text, as JSON has it.
type foundLine struct {
	Time    time.Time `json:"time"`
	Log     string    `json:"log"`
	Session string    `json:"session,omitempty"`
	QueueID string    `json:"queue_id,omitempty"`
	// Line is the line as it stands in the log, from the event on.
	Line string `json:"line"`
}

func (a *app) logsSearch() *cobra.Command {
	var f logFlags
	var limit int
	cmd := &cobra.Command{
		Use:   "search TEXT",
		Short: "Find lines of the protocol and tracking logs that have a text",
		Long: `Search lists the lines of the protocol logs and of message tracking that have a
text in them, in any case, the newest first: each with the id of its session, for
'postern logs show', or its queue id, for 'postern logs trace'. Filters choose
among the sessions and messages as in 'postern logs sessions', where --text does
the same and lists sessions.`,
		Example: `  postern logs search greylist --since 1d
  postern logs search "certificate has expired" --direction send`,
		Args: arguments("TEXT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" {
				return usageError{errors.New("TEXT is empty; is a variable not set? 'postern logs sessions' lists sessions whatever their text")}
			}
			f.filters.Text = args[0]
			q, err := f.query(cmd, time.Now())
			switch {
			case err != nil:
				return err
			case limit < 1 || limit > maxReversed:
				return usageError{fmt.Errorf("--limit %d: want how many lines to list, at most %d", limit, maxReversed)}
			}
			source, err := f.source(a)
			if err != nil {
				return err
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			r := f.reading(a)
			defer r.close()
			found, more, err := searchLines(ctx, source, q, limit, &r.Progress)
			r.clear()
			if err != nil {
				return f.noLogs(err)
			}
			return a.printFound(found, more)
		},
	}
	f.registerTimes(cmd)
	f.registerFilters(cmd)
	f.registerSource(cmd)
	if err := cmd.Flags().MarkHidden("text"); err != nil {
		panic(err)
	}
	cmd.Flags().IntVar(&limit, "limit", searchLimit, "list at most so many lines, the newest")
	return cmd
}

// searchLines returns the newest lines that have q.Text, the newest first.
func searchLines(ctx context.Context, source review.Source, q *review.Query, limit int, p *review.Progress) (list []foundLine, more bool, err error) {
	withLines := *q
	withLines.Lines = true
	text := strings.ToLower(q.Text)
	has := func(s string) bool { return strings.Contains(strings.ToLower(s), text) }
	var missing error
	for s, err := range source.Sessions(ctx, &withLines, p) {
		if errors.Is(err, review.ErrNoLogs) {
			missing = err
			break
		}
		if err != nil {
			return nil, false, err
		}
		if len(list) >= limit {
			more = true
			break
		}
		for i := range slices.Backward(s.Lines) {
			if l := &s.Lines[i]; has(l.Data) || has(l.Context) {
				list = append(list, foundLine{l.Time, s.Direction.String(), logs.Escape(s.ID), "", wireText(l)})
			}
		}
	}
	tracked := 0
	if q.Tracks() {
		for t, err := range source.Tracking(ctx, q, p) {
			if errors.Is(err, review.ErrNoLogs) {
				if missing != nil {
					return nil, false, missing
				}
				break
			}
			if err != nil {
				return nil, false, err
			}
			if tracked++; tracked > limit {
				more = true
				break
			}
			list = append(list, foundLine{t.Time, "tracking", logs.Escape(sessionOf(t)), logs.Escape(t.InternalID), trackedText(t)})
		}
	}
	slices.SortStableFunc(list, func(a, b foundLine) int { return b.Time.Compare(a.Time) })
	if len(list) > limit {
		list, more = list[:limit], true
	}
	return list, more, nil
}

func wireText(l *logs.Line) string {
	text := string(rune(l.Event)) + " " + logs.Escape(l.Data)
	if l.Context != "" {
		text += " (" + logs.Escape(l.Context) + ")"
	}
	return text
}

func trackedText(t *logs.Tracking) string {
	var b strings.Builder
	b.WriteString(t.Event + " from <" + nullPath(t.ReturnPath) + ">")
	for i, r := range t.Recipients {
		if i == 3 {
			fmt.Fprintf(&b, " and %d more", len(t.Recipients)-i)
			break
		}
		b.WriteString(map[bool]string{true: " to <", false: ", <"}[i == 0] + r + ">")
		if i < len(t.Statuses) && t.Statuses[i] != "" {
			b.WriteString(" " + t.Statuses[i])
		}
	}
	if t.Subject != "" {
		b.WriteString(", subject " + t.Subject)
	}
	return logs.Escape(b.String())
}

func nullPath(s string) string { return strings.TrimSuffix(strings.TrimPrefix(s, "<"), ">") }

func (a *app) printFound(list []foundLine, more bool) error {
	if a.json() {
		if list == nil {
			list = []foundLine{}
		}
		return a.printJSON(struct {
			Lines []foundLine `json:"lines"`
			More  bool        `json:"more"`
		}{list, more})
	}
	if len(list) == 0 {
		return errors.New("no line has that text")
	}
	st, now := styleFor(a.out), time.Now()
	for _, l := range list {
		id := l.Session
		if l.QueueID != "" {
			id = l.QueueID
		}
		head := fmt.Sprintf("%s  %-16s  ", shortTime(l.Time, now), id)
		lines := wrap(l.Line, max(a.width()-len(head), minColumn))
		fmt.Fprintln(a.out, st.dim(shortTime(l.Time, now))+fmt.Sprintf("  %-16s  ", id)+strings.Join(lines, "\n"+strings.Repeat(" ", len(head))))
	}
	if more {
		a.printField("", "There are more; --limit lists more of them, filters fewer.")
	}
	return nil
}
