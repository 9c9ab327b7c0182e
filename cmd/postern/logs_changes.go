package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/logs/review"
)

// changesLimit is how many changes are listed unless --limit says otherwise.
const changesLimit = 200

func (a *app) logsChanges() *cobra.Command {
	var f logFlags
	var kinds []string
	var limit int
	cmd := &cobra.Command{
		Use:   "changes",
		Short: "List what was changed about the gateway: configuration, restarts, orders, certificates",
		Long: `Changes lists what was changed about the gateway, in order of time: starts and
stops, reloads with the keys that changed, orders of administrators with who gave
them, certificates, and the generations of the routing table. It reads the event
log's files and the snapshots of the routing table log.

Messages and explain route name the generation that they were routed by, so that
a message's route is found among the changes.`,
		Example: `  postern logs changes --on 2026-11-17
  postern logs changes --since 7d --kind config,certificate`,
		Args: a.noArguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query(cmd, time.Now())
			if err != nil {
				return err
			}
			var wanted []review.ChangeKind
			for _, k := range kinds {
				if !slices.Contains(review.ChangeKinds(), review.ChangeKind(k)) {
					return usageError{fmt.Errorf("--kind %s: want start, config, order, certificate or routing", k)}
				}
				wanted = append(wanted, review.ChangeKind(k))
			}
			if limit < 1 {
				return usageError{fmt.Errorf("--limit %d: want how many changes to list", limit)}
			}
			source, err := f.source(a)
			if err != nil {
				return err
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			r := f.reading(a)
			defer r.close()
			list, more, err := source.Changes(ctx, q, wanted, limit, &r.Progress)
			r.clear()
			if errors.Is(err, review.ErrNoLogs) {
				return fmt.Errorf("%w; the event log is written to files with [logs.event].enabled", err)
			}
			if err != nil {
				return err
			}
			return a.printChanges(list, more, limit)
		},
	}
	f.registerTimes(cmd)
	f.registerSource(cmd)
	cmd.Flags().StringVar(&f.filters.Text, "text", "", "with this text, in any case")
	cmd.Flags().StringSliceVar(&kinds, "kind", nil, "of this kind: start, config, order, certificate, routing")
	cmd.Flags().IntVar(&limit, "limit", changesLimit, "list at most so many, the newest")
	return cmd
}

func (a *app) printChanges(list []review.Change, more bool, limit int) error {
	if a.json() {
		if list == nil {
			list = []review.Change{}
		}
		return a.printJSON(struct {
			Changes []review.Change `json:"changes"`
			More    bool            `json:"more"`
		}{list, more})
	}
	if len(list) == 0 {
		fmt.Fprintln(a.out, "Nothing was changed.")
		return nil
	}
	if more {
		fmt.Fprintf(a.out, "These are the newest %d; --limit lists more.\n", limit)
	}
	st, now := styleFor(a.out), time.Now()
	for _, c := range list {
		kind := fmt.Sprintf("%-11s", c.Kind)
		head := shortTime(c.Time, now) + "  " + kind + "  "
		lines := wrap(changeText(&c), max(a.width()-len(head), minColumn))
		fmt.Fprintln(a.out, shortTime(c.Time, now)+"  "+paintChange(st, &c, kind)+"  "+strings.Join(lines, "\n"+strings.Repeat(" ", len(head))))
	}
	return nil
}

// maxChangeValue is how much of an attribute is printed, in octets.
const maxChangeValue = 200

func changeText(c *review.Change) string {
	var b strings.Builder
	b.WriteString(c.Text)
	if c.Event == 0 && c.Generation != "" {
		b.WriteString(" " + c.Generation)
	}
	for _, key := range c.Order {
		value := c.Attributes[key]
		if value == "" {
			continue
		}
		if len(value) > maxChangeValue {
			value = strings.ToValidUTF8(value[:maxChangeValue], "") + "…"
		}
		b.WriteString(" " + key + "=" + value)
	}
	return b.String()
}

func paintChange(st style, c *review.Change, text string) string {
	switch {
	case c.Level == "error":
		return st.red(text)
	case c.Level == "warn":
		return st.yellow(text)
	}
	return st.bold(text)
}
