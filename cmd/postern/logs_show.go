package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/logs"
	"postern/logs/review"
)

const (
	// maxShown is how many sessions are shown whole, maxListed how many an
	// ambiguous id lists.
	maxShown  = 10
	maxListed = 25
	// wholeID is the length of a session's id: what is so long is no part of
	// another.
	wholeID = 16
	// maxFate is how many tracking events are shown of the messages of a
	// session.
	maxFate = 200
)

func (a *app) logsShow() *cobra.Command {
	var f logFlags
	var full bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show a session as a dialog, and what became of its messages",
		Long: `Show prints one session as a dialog: what the client said and what it was
answered, with the times between. Replies stand below their commands also where
commands were sent ahead. What is routine is folded: the lines of EHLO, the
details of certificates; --full shows all, line by line as in the log.

Below stands what became of the messages: their events in the message tracking
log, and the other sessions that they went through.

ID is a session's id, or so much of its beginning or end that no other has it
(four characters at least), or the queue id of a message.`,
		Example: `  postern logs show 08DF486C6DBFB284
  postern logs show BFB284 --full
  postern logs show 0AKZRA5C80000`,
		Args: arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args[0]) < 4 {
				return usageError{fmt.Errorf("%q is too short: want four characters at least of a session's id, or a queue id", args[0])}
			}
			source, err := f.source(a)
			if err != nil {
				return err
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			r := f.reading(a)
			defer r.close()
			return f.noLogs(a.showSession(ctx, source, &r.Progress, r.clear, args[0], full))
		},
	}
	cmd.Flags().BoolVar(&full, "full", false, "fold nothing")
	f.registerSource(cmd)
	return cmd
}

// showSession finds what an id stands for and prints it.
func (a *app) showSession(ctx context.Context, source review.Source, p *review.Progress, clear func(), id string, full bool) error {
	limit := maxListed + 1
	if len(id) >= wholeID {
		limit = 1
	}
	found, err := collect(ctx, source, p, &review.Query{Sessions: []string{id}, Lines: true}, limit)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(found, func(s *review.Session) bool { return strings.EqualFold(s.ID, id) }); i >= 0 {
		found = found[i : i+1]
	}
	name := ""
	if len(found) == 0 {
		name = strings.ToUpper(id)
		if found, err = collect(ctx, source, p, &review.Query{Names: []string{name}, Lines: true}, maxListed+1); err != nil {
			return err
		}
		slices.Reverse(found) // as the message went
	}
	clear()
	switch {
	case len(found) == 0:
		return fmt.Errorf("no session and no message with the id %q in the protocol logs", id)
	case name == "" && len(found) > 1:
		return a.ambiguous(id, found)
	}
	fates, err := a.fatesOf(ctx, source, p, found, name)
	if err != nil {
		return err
	}
	clear()
	if a.json() {
		return a.printJSON(shownJSON{Sessions: found, Tracking: fates.json()})
	}
	for i, s := range found[:min(len(found), maxShown)] {
		if i > 0 {
			fmt.Fprintln(a.out)
		}
		a.printDialog(s, full)
	}
	if n := len(found) - maxShown; n > 0 {
		fmt.Fprintf(a.out, "\n%s more; postern logs sessions --text %s lists them\n", plural(n, "session", "sessions"), id)
	}
	a.printFates(fates, found)
	return nil
}

// collect reads at most limit sessions.
func collect(ctx context.Context, source review.Source, p *review.Progress, q *review.Query, limit int) ([]*review.Session, error) {
	var list []*review.Session
	for s, err := range source.Sessions(ctx, q, p) {
		if err != nil {
			return nil, err
		}
		if list = append(list, s); len(list) == limit {
			break
		}
	}
	return list, nil
}

// ambiguous lists the sessions that an id may stand for.
func (a *app) ambiguous(id string, found []*review.Session) error {
	fmt.Fprintf(a.err, "%q may be one of these sessions:\n", clean(id))
	for _, s := range found[:min(len(found), maxListed)] {
		fmt.Fprintf(a.err, "  %s  %s  %s  %s\n", logs.Escape(s.ID), localTime(s.Start), logs.Escape(s.ConnectorName()), gist(s))
	}
	if len(found) > maxListed {
		fmt.Fprintln(a.err, "  and others")
	}
	return errReported
}

// shownJSON is what show prints as JSON.
type shownJSON struct {
	Sessions []*review.Session `json:"sessions"`
	Tracking []trackedJSON     `json:"tracking"`
}

// printDialog prints a session as a dialog.
func (a *app) printDialog(s *review.Session, full bool) {
	st := styleFor(a.out)
	way := "from"
	if s.Direction == logs.Send {
		way = "to"
	}
	fmt.Fprintf(a.out, "%s  %s  %s %s %s\n", st.bold("Session "+logs.Escape(s.ID)), logs.Escape(s.Connector), localTime(s.Start), way, endpoint(s))
	tls := "no"
	if s.TLS != "" {
		tls = logs.Escape(s.TLS)
	}
	fmt.Fprintf(a.out, "%s, took %s, %s, TLS: %s\n", paintOutcome(st, s, outcomeOf(s)), precise(s.Duration()), plural(s.LineCount, "line", "lines"), tls)
	if s.Reply != "" {
		a.printField("", logs.Escape(s.Reply))
	}
	for _, note := range gaps(s) {
		fmt.Fprintln(a.out, st.yellow(note))
	}
	fmt.Fprintln(a.out)
	d := &dialogPrinter{w: a.out, style: st, direction: s.Direction, width: 100}
	if width, tty := terminal(a.out); tty {
		d.width = width
	}
	entries := d.entries(s.Lines, full)
	for i := range entries {
		d.print(&entries[i])
	}
	if s.Open {
		fmt.Fprintln(a.out, st.dim("  (the log has no end of this session)"))
	}
}

func endpoint(s *review.Session) string {
	if !s.Remote.IsValid() {
		return "an unknown address"
	}
	return s.Remote.String()
}

// gaps tells what is missing of a session.
func gaps(s *review.Session) (notes []string) {
	if s.Headless {
		notes = append(notes, "The beginning is not in the log.")
	}
	if s.Missing > 0 {
		notes = append(notes, plural(s.Missing, "line is", "lines are")+" missing, by their numbers.")
	}
	if s.Omitted {
		notes = append(notes, "The session is too long to be shown whole: lines of its middle are left out.")
	}
	return notes
}

// side says who said a line of a dialog.
type side uint8

const (
	sideThem side = iota
	sideUs
	sideInfo
	sideGap
)

// entry is one line of a dialog as it is printed.
type entry struct {
	at   time.Time
	side side
	mark string
	text string
	wait time.Duration // since what is above
}

// dialogPrinter prints the lines of a session.
type dialogPrinter struct {
	w         io.Writer
	style     style
	direction logs.Direction
	width     int
}

// entries turns lines into what is printed.
func (d *dialogPrinter) entries(lines []logs.Line, full bool) []entry {
	if !full {
		lines = d.paired(lines)
	}
	var out []entry
	for i := 0; i < len(lines); i++ {
		l := &lines[i]
		e := d.entry(l)
		if !full {
			e.text, i = d.fold(lines, i, e.text)
		}
		if full && i > 0 && l.Sequence > lines[i-1].Sequence+1 {
			out = append(out, entry{at: l.Time, side: sideGap, text: plural(l.Sequence-lines[i-1].Sequence-1, "line is", "lines are") + " missing"})
		}
		if n := len(out); n > 0 {
			e.wait = max(e.at.Sub(out[n-1].at), 0)
		}
		out = append(out, e)
	}
	return out
}

// entry makes an entry of a line.
func (d *dialogPrinter) entry(l *logs.Line) entry {
	e := entry{at: l.Time, side: sideInfo, mark: "*", text: logs.Escape(l.Data)}
	switch l.Event {
	case logs.EventReceived:
		e.side, e.mark = sideThem, "<"
	case logs.EventSent:
		e.side, e.mark = sideUs, ">"
	case logs.EventConnect:
		e.text = "connected"
		e.mark = "+"
	case logs.EventDisconnect:
		e.mark, e.text = "-", "closed"
		switch l.Context {
		case "Local":
			e.text += " by us"
		case "Remote":
			e.text += " by the peer"
		case "":
		default:
			e.text += ": " + logs.Escape(l.Context)
		}
	default:
		switch {
		case l.Context != "" && l.Data != "" && strings.HasPrefix(l.Data, "Tarpit "):
			e.text += ": " + logs.Escape(l.Context)
		case l.Context != "" && l.Data != "":
			e.text = logs.Escape(l.Context) + ": " + e.text
		case l.Context != "":
			e.text = logs.Escape(l.Context)
		}
	}
	return e
}

// fold puts lines together that belong together and are routine: the text of the
// entry, and the last line that it stands for.
func (d *dialogPrinter) fold(lines []logs.Line, i int, text string) (string, int) {
	l := &lines[i]
	switch {
	case l.Event == logs.EventInfo && strings.HasPrefix(l.Context, "Certificate ") && isCertificateDetail(l.Context),
		l.Event == logs.EventInfo && l.Data == "" && strings.HasSuffix(l.Context, " certificate"):
		name := ""
		last := i
		for j := i; j < len(lines) && lines[j].Event == logs.EventInfo && (j == i || isCertificateDetail(lines[j].Context)); j++ {
			if lines[j].Context == "Certificate subject" {
				name = ": " + logs.Escape(lines[j].Data)
			}
			last = j
		}
		if isCertificateDetail(l.Context) {
			return "Certificate" + name, last
		}
		return text + name, last
	case isContinued(l):
		last := i
		for j := i + 1; j < len(lines) && lines[j].Event == l.Event && strings.HasPrefix(lines[j].Data, l.Data[:3]); j++ {
			last = j
			text += " | " + logs.Escape(strings.TrimSpace(lines[j].Data[min(4, len(lines[j].Data)):]))
			if !isContinued(&lines[j]) {
				break
			}
		}
		return text, last
	}
	return text, i
}

// isContinued reports whether a line is a reply that goes on in the next
// (RFC 5321 4.2.1).
func isContinued(l *logs.Line) bool {
	return (l.Event == logs.EventSent || l.Event == logs.EventReceived) && len(l.Data) > 3 && l.Data[3] == '-' &&
		strings.Trim(l.Data[:3], "0123456789") == ""
}

func isCertificateDetail(context string) bool {
	switch context {
	case "Certificate subject", "Certificate issuer name", "Certificate serial number", "Certificate thumbprint", "Certificate alternate names":
		return true
	}
	return false
}

// paired puts replies below their commands where commands were sent ahead
// (RFC 2920).
func (d *dialogPrinter) paired(lines []logs.Line) []logs.Line {
	client, server := logs.EventReceived, logs.EventSent
	if d.direction == logs.Send {
		client, server = server, client
	}
	out := make([]logs.Line, 0, len(lines))
	for i := 0; i < len(lines); i++ {
		if lines[i].Event != client {
			out = append(out, lines[i])
			continue
		}
		last := i
		for last+1 < len(lines) && lines[last+1].Event == client {
			last++
		}
		if last == i {
			out = append(out, lines[i])
			continue
		}
		// Commands i to last went ahead; the replies follow.
		next := last + 1
		for command := i; command <= last; command++ {
			out = append(out, lines[command])
			for next < len(lines) && lines[next].Event == server {
				out = append(out, lines[next])
				next++
				if !isContinued(&lines[next-1]) {
					break
				}
			}
		}
		i = next - 1
	}
	return out
}

// print prints one entry: the time, how long it took if that is worth telling,
// who said it and what.
func (d *dialogPrinter) print(e *entry) {
	wait := ""
	switch {
	case e.wait >= time.Second:
		wait = d.style.yellow(fmt.Sprintf("%8s", "+"+precise(e.wait)))
	case e.wait >= time.Millisecond:
		wait = d.style.dim(fmt.Sprintf("%8s", "+"+precise(e.wait)))
	default:
		wait = strings.Repeat(" ", 8)
	}
	paint, indent := d.style.dim, "    "
	switch e.side {
	case sideThem:
		paint, indent = d.style.cyan, ""
	case sideUs:
		paint, indent = d.style.green, ""
	case sideGap:
		paint, indent = d.style.yellow, "    "
	}
	head := e.at.Local().Format("15:04:05.000") + " " + wait + "  " + indent
	mark := paint(fmt.Sprintf("%-2s", e.mark))
	room := max(d.width-len("15:04:05.000 ")-8-2-len(indent)-2, 20)
	for i, line := range wrap(e.text, room) {
		if i == 0 {
			fmt.Fprintln(d.w, strings.TrimRight(head+mark+paint(line), " "))
			continue
		}
		fmt.Fprintln(d.w, strings.Repeat(" ", d.width-room)+paint(line))
	}
}
