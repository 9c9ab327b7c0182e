package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/control"
)

// messagesLimit is how many messages a list has unless --limit says otherwise.
const messagesLimit = 1000

func (a *app) queueMessages() *cobra.Command {
	var f filterFlags
	var limit int
	var after string
	cmd := &cobra.Command{
		Use:   "messages [ID...]",
		Short: "List messages, all or those that a filter chooses",
		Long: `Messages lists queued messages in the order in which they came. Each has its
queue id, status, age, size, the tries so far, the time to the next one, and its
sender; below stand recipients, queue, subject and the last error.

Several filters choose messages that meet all of them.`,
		Example: `  postern queue messages
  postern queue messages --queue Unreachable
  postern queue messages --from "*.contoso.example" --older-than 2h
  postern queue messages --status suspended --limit 0 --output json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			names, err := a.parseFilter(cmd, &f, args)
			if err != nil {
				return err
			}
			if err := noNames(cmd, names); err != nil {
				return err
			}
			if limit < 0 {
				return usageError{fmt.Errorf("--limit %d: want a number of messages, or 0 for all", limit)}
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			return asked(a.listMessages(cmd.Context(), c, f.filter, after, limit))
		},
	}
	f.register(cmd, true)
	cmd.Flags().IntVar(&limit, "limit", messagesLimit, "list at most so many messages; 0 for all")
	cmd.Flags().StringVar(&after, "after", "", "go on behind this queue id")
	return cmd
}

// messagePrinter prints a list of messages piece by piece, as they come.
type messagePrinter interface {
	add(list []control.Message) error
	// close ends the list, which goes on behind next unless that is empty.
	close(next string) error
}

// listMessages prints messages page by page.
func (a *app) listMessages(ctx context.Context, c *control.Client, f control.Filter, after string, limit int) error {
	var p messagePrinter = &messageTable{app: a, now: time.Now()}
	if a.json() {
		p = &messageJSON{app: a}
	}
	progress := a.progress("messages")
	left := slices.Clone(f.IDs)
	next, err := eachPage(ctx, c, f, after, limit, func(list []control.Message) error {
		progress.add(len(list))
		left = without(left, list)
		return p.add(list)
	})
	if err == nil {
		err = p.close(next)
	}
	if err != nil || next != "" || after != "" {
		return err
	}
	return a.notQueued(ctx, c, left)
}

// without takes the ids of some messages out of a list.
func without(ids []string, list []control.Message) []string {
	found := make(map[string]bool, len(list))
	for i := range list {
		found[list[i].ID] = true
	}
	return slices.DeleteFunc(ids, func(id string) bool { return found[id] })
}

// missing lists those ids that are not in the queue.
func missing(ctx context.Context, c *control.Client, ids []string) ([]string, error) {
	left := slices.Clone(ids)
	if len(left) == 0 {
		return nil, nil
	}
	_, err := eachPage(ctx, c, control.Filter{IDs: slices.Clone(ids)}, "", 0, func(list []control.Message) error {
		left = without(left, list)
		return nil
	})
	return left, asked(err)
}

// notQueued names those of some ids that are not in the queue, which makes a
// command that named them fail; the others were left out by another filter.
func (a *app) notQueued(ctx context.Context, c *control.Client, ids []string) error {
	gone, err := missing(ctx, c, ids)
	if err != nil {
		return err
	}
	a.printMissing(gone)
	if len(gone) > 0 {
		return errReported
	}
	return nil
}

func (a *app) printMissing(ids []string) {
	for _, id := range ids {
		fmt.Fprintf(a.err, "%s is not in the queue: it was delivered, given up or removed, or never was here\n", id)
	}
}

// eachPage calls fn for the pages of a list, until limit messages came, or all
// of them for a limit of zero. It returns where the list goes on.
func eachPage(ctx context.Context, c *control.Client, f control.Filter, after string, limit int, fn func([]control.Message) error) (next string, err error) {
	for got := 0; ; {
		ask := control.MaxPage
		if limit > 0 {
			ask = min(ask, limit-got)
		}
		page, err := askPage(ctx, c, f, after, ask)
		if err != nil {
			return "", err
		}
		if err := fn(page.Messages); err != nil {
			return "", err
		}
		got += len(page.Messages)
		if page.Next == "" || limit > 0 && got >= limit {
			return page.Next, nil
		}
		after = page.Next
	}
}

func askPage(ctx context.Context, c *control.Client, f control.Filter, after string, limit int) (*control.MessagePage, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return c.Messages(ctx, f, after, limit)
}

// messageJSON prints {"messages": [...], "next": "..."}.
type messageJSON struct {
	app   *app
	begun bool
}

func (p *messageJSON) add(list []control.Message) error {
	for i := range list {
		b := bytes.NewBufferString(",\n    ")
		if !p.begun {
			b = bytes.NewBufferString("{\n  \"messages\": [\n    ")
		}
		p.begun = true
		enc := json.NewEncoder(b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("    ", "  ")
		if err := enc.Encode(&list[i]); err != nil {
			return err
		}
		if _, err := p.app.out.Write(bytes.TrimRight(b.Bytes(), "\n")); err != nil {
			return err
		}
	}
	return nil
}

func (p *messageJSON) close(next string) error {
	begin, end := "", "\n  ]"
	if !p.begun {
		begin, end = "{\n  \"messages\": [", "]"
	}
	more := ""
	if next != "" {
		more = ",\n  \"next\": " + strconv.Quote(next)
	}
	_, err := fmt.Fprintf(p.app.out, "%s%s%s\n}\n", begin, end, more)
	return err
}

// messageTable prints tables, one a page.
type messageTable struct {
	app   *app
	now   time.Time
	count int
}

func (p *messageTable) add(list []control.Message) error {
	if len(list) == 0 {
		return nil
	}
	s := styleFor(p.app.out)
	t := &table{header: []string{"ID", "STATUS", "AGE", "SIZE", "TRIES", "NEXT TRY", "FROM"}, right: []int{2, 3, 4, 5}}
	t.paint = func(row, column int, text string) string {
		if column == 1 {
			return paintStatus(s, list[row].Status, text)
		}
		return text
	}
	for i := range list {
		m := &list[i]
		t.add(m.ID, m.Status, since(m.Arrived, p.now), roundSize(m.Size), strconv.Itoa(m.Tries), until(m.NextTry, p.now), "<"+clean(m.Sender)+">")
		t.note(toLine(m))
		if m.Subject != "" {
			t.note("subject: " + clean(m.Subject))
		}
		if m.Redirect != "" {
			t.note("redirected to " + clean(m.Redirect))
		}
		if m.LastError != "" {
			t.note(clean(m.LastError))
		}
	}
	p.count += len(list)
	t.print(p.app.out)
	return nil
}

// toLine says for whom a message is and where it stands.
func toLine(m *control.Message) string {
	text := "to <" + clean(m.FirstRecipient) + ">"
	if n := m.PendingRecipients - 1; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	if len(m.Queues) > 0 {
		var names []string
		for _, name := range m.Queues {
			names = append(names, unbroken(clean(name)))
		}
		text += " in " + strings.Join(names, ", ")
	}
	return text
}

func (p *messageTable) close(next string) error {
	text := plural(p.count, "message", "messages")
	if next != "" {
		text += "; there may be more: go on with --after " + next + ", or list all with --limit 0"
	}
	p.app.printField("", text)
	return nil
}
