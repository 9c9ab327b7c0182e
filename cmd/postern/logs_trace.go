package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/logs/review"
)

func (a *app) logsTrace() *cobra.Command {
	var f logFlags
	var limit int
	var sessions bool
	cmd := &cobra.Command{
		Use:   "trace QUEUE-ID|MESSAGE-ID",
		Short: "Tell the story of a message, from the client to each recipient's end",
		Long: `Trace tells what became of one message: where it came from, which way was chosen
for it and why, each attempt with the host, its TLS and its reply, what
administrators ordered, which notifications were made of it and what became of
those, and how long each step took. One line for each recipient says how it
ended; a message that has not ended is in the queue, where 'postern queue show'
says what it waits for.

A Message-ID may stand with or without its angle brackets, and may be that of
several messages: the newest are told, newest first. Message tracking is what is
read; the protocol logs add the sessions, and where message tracking has nothing
they are all there is. Of a message that was refused the agent log has the
Message-ID; the trace then tells of the refusal. Notifications are told one level deep.`,
		Example: `  postern logs trace 0AKZRA5C80000
  postern logs trace "<20261117.4711@fabrikam.example>" --since 7d
  postern logs trace 0AKZRA5C80000 --sessions`,
		Args: arguments("QUEUE-ID or MESSAGE-ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := f.query(cmd, time.Now())
			switch {
			case err != nil:
				return err
			case limit < 1:
				return usageError{fmt.Errorf("--limit %d: want how many messages to tell at most", limit)}
			case strings.TrimSpace(args[0]) == "":
				return emptyFlag("QUEUE-ID")
			}
			source, err := f.source(a)
			if err != nil {
				return err
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			r := f.reading(a)
			defer r.close()
			o := review.TraceOptions{Since: q.Since, Until: q.Until, Limit: limit, Lines: sessions}
			found, err := review.FindTraces(ctx, source, args[0], o, &r.Progress)
			r.clear()
			if err != nil {
				return f.noLogs(err)
			}
			return a.printTraces(found, args[0], sessions)
		},
	}
	f.registerTimes(cmd)
	f.registerSource(cmd)
	cmd.Flags().BoolVar(&sessions, "sessions", false, "print the dialogs of its sessions, too")
	cmd.Flags().IntVar(&limit, "limit", review.DefaultTraces, "tell at most so many messages of one Message-ID")
	return cmd
}

func (a *app) printTraces(found *review.Traces, name string, sessions bool) error {
	if a.json() {
		if err := a.printJSON(found); err != nil {
			return err
		}
	}
	if len(found.Messages) == 0 {
		return fmt.Errorf("no message with the id %q in these logs; queue ids and Message-IDs are found whole, and --since and --until must hold one of its events. "+
			"'postern logs search TEXT' looks for a part of it in all logs, 'postern logs sessions --from ADDRESS --to ADDRESS' for sessions by address, "+
			"of mail that was refused as well: 0 sessions means it never arrived", clean(name))
	}
	if a.json() {
		return nil
	}
	for i, t := range found.Messages {
		if i > 0 {
			fmt.Fprintln(a.out)
		}
		a.printStory(t, "")
		for _, n := range t.Notifications {
			fmt.Fprintln(a.out)
			a.printStory(n, t.ID)
		}
		if sessions {
			a.printSessionsOf(t)
		}
	}
	if found.More {
		fmt.Fprintln(a.out)
		a.printField("", "There is more than is told: --limit tells more messages, --since and --until choose among them.")
	}
	return nil
}

func (a *app) printSessionsOf(t *review.Trace) {
	all := t.Sessions
	for _, n := range t.Notifications {
		all = append(all, n.Sessions...)
	}
	for i, s := range all {
		if i == maxShown {
			fmt.Fprintf(a.out, "\n%s more; postern logs sessions --text %s lists them\n", plural(len(all)-i, "session", "sessions"), t.ID)
			return
		}
		fmt.Fprintln(a.out)
		a.printDialog(s, false)
	}
}

// printStory prints one story; of is the message that a notification is about.
func (a *app) printStory(t *review.Trace, of string) {
	st := styleFor(a.out)
	head := "Message " + t.ID
	if of != "" {
		head = "Notification " + t.ID + ", about " + of
	}
	fmt.Fprintln(a.out, st.bold(strings.TrimSpace(head)))
	a.field("message id", t.MessageID)
	a.field("from", "<"+t.Sender+">")
	a.field("subject", t.Subject)
	if t.Octets > 0 {
		a.field("size", roundSize(t.Octets))
	}
	if of == "" && t.ReportOf != "" {
		a.field("reports on", t.ReportOf)
	}
	if c := t.Arrival; c != nil {
		a.field(arrivalWord(t), arrivalText(c))
		a.field("client", clientText(c))
		if c.Session != "" {
			a.field("session", c.Session)
		}
	}
	for i, r := range t.Routes {
		a.field(map[bool]string{true: "route", false: ""}[i == 0], routeText(r))
	}
	switch {
	case t.Untracked && arrivalWord(t) != "arrived":
		a.field("note", "It is not in the queue, and message tracking has nothing of it; this is what the logs of sessions and refusals tell.")
	case t.Untracked:
		a.field("note", "Message tracking has nothing of it; this is what the protocol logs tell.")
	}
	fmt.Fprintln(a.out)
	a.printSteps(t, st)
	fmt.Fprintln(a.out)
	a.printEnds(t, st)
}

// arrivalWord says what came of the arrival.
func arrivalWord(t *review.Trace) string {
	for i := range t.Steps {
		switch k := t.Steps[i].Kind; k {
		case review.StepRefused, review.StepAborted, review.StepReceiving:
			return string(k)
		}
	}
	return "arrived"
}

func arrivalText(c *review.Arrival) string {
	text := localTime(c.At)
	if c.Connector != "" {
		text += " by connector " + unbroken(c.Connector)
	}
	switch {
	case c.Source == "DSN":
		text += ", made by the gateway itself"
	case c.Protocol != "":
		text += ", " + c.Protocol
	case c.Source != "" && c.Source != "SMTP":
		text += ", " + strings.ToLower(c.Source)
	}
	return text
}

func clientText(c *review.Arrival) string {
	if c.Client == "" {
		return ""
	}
	text := "[" + c.Client + "]"
	if c.HELO != "" {
		text = c.HELO + " " + text
	}
	switch {
	case c.TLS != "":
		text += ", " + c.TLS
	case c.TLSKnown:
		text += ", no TLS"
	}
	if c.User != "" {
		text += ", user " + c.User
	}
	return text
}

func routeText(r review.Route) string {
	text := r.Connector
	if r.Problem != "" {
		text = "none: " + r.Problem
	}
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	if r.Generation != "" {
		text += " (routing table " + r.Generation + ")"
	}
	return strings.TrimPrefix(text, ": ")
}

// stepTime is wide enough for the time of a step and what it took.
const stepIndent = "                              "

func (a *app) printSteps(t *review.Trace, st style) {
	facts := "" // of the connection before
	if c := t.Arrival; c != nil && !c.Began.IsZero() {
		a.printStep(c.Began, -1, "connected", st.dim, "from "+clientText(c))
	}
	for i := range t.Steps {
		s := &t.Steps[i]
		after := s.After
		if i == 0 {
			after = -1
			if t.Arrival != nil && !t.Arrival.Began.IsZero() {
				after = max(s.At.Sub(t.Arrival.Began), 0).Seconds()
			}
		}
		a.printStep(s.At, after, string(s.Kind), paintStep(st, s.Kind), stepText(s))
		for _, l := range stepLines(s, facts) {
			a.printField(stepIndent, l)
		}
		if f := factsText(s); f != "" {
			facts = f
		}
	}
}

// printStep prints the first line of a step; after is in seconds, below 0 where
// there is nothing before.
func (a *app) printStep(at time.Time, after float64, kind string, paint func(string) string, text string) {
	wait := ""
	if after >= 0 {
		wait = "+" + precise(time.Duration(after*float64(time.Second)))
	}
	head := fmt.Sprintf("  %s %7s  ", at.Local().Format("01-02 15:04:05.000"), wait)
	lines := wrap(kind+" "+text, max(a.width()-len(stepIndent), minColumn))
	lines[0] = paint(kind) + strings.TrimPrefix(lines[0], kind)
	fmt.Fprintln(a.out, head+strings.Join(lines, "\n"+stepIndent))
}

func paintStep(st style, k review.StepKind) func(string) string {
	switch k {
	case review.StepReceived, review.StepDelivered:
		return st.green
	case review.StepDeferred, review.StepAttempt, review.StepFallback, review.StepSuspended:
		return st.yellow
	case review.StepFailed, review.StepExpired, review.StepRemoved, review.StepPoison, review.StepRefused, review.StepAborted:
		return st.red
	}
	return st.bold
}

// stepText says what happened in a step.
func stepText(s *review.Step) (text string) {
	host := s.Host
	switch {
	case host == "" || host == s.Address:
		host = s.Address
	case s.Address != "":
		host += " [" + s.Address + "]"
	}
	who := namesText(s.Recipients)
	switch s.Kind {
	case review.StepRefused, review.StepAborted, review.StepReceiving:
		if who == "" {
			return "" // its recipients are not known
		}
		return "for " + who
	case review.StepReceived:
		if s.Source == "DSN" {
			return "from the gateway itself, for " + who
		}
		return "for " + who // the rest stands above
	case review.StepNotified:
		text = strings.TrimSpace(s.About+" notification") + " " + s.Notification
		if s.Related != "" {
			text += " to <" + s.Related + ">"
		}
		if who != "" {
			text += ", about " + who
		}
	case review.StepSuppressed:
		text = strings.TrimSpace(s.About+" notification") + " about " + who
	case review.StepRedirected:
		text = "to " + unbroken(s.Related)
	case review.StepFallback:
		text = "to connector " + unbroken(s.Related) + ", for " + who
	default:
		text = who
		if s.Kind == review.StepOther {
			text = strings.TrimSpace(s.Event + " " + text)
		}
		if host != "" {
			text += " by " + host
		}
	}
	if s.By != "" {
		text += ", ordered by " + s.By
	}
	return text
}

// stepLines are what stands below a step: what was said, on which connection
// unless it is the one before, and what comes next.
func stepLines(s *review.Step, before string) (lines []string) {
	if s.Kind == review.StepReceived {
		return nil
	}
	if r := repliesText(s); r != "" {
		lines = append(lines, r)
	}
	if f := factsText(s); f != "" && f != before {
		lines = append(lines, f)
	}
	if s.Reason != "" {
		lines = append(lines, s.Reason)
	}
	if !s.Due.IsZero() {
		lines = append(lines, fmt.Sprintf("try %d, the next at %s", s.Tries, localTime(s.Due)))
	}
	return lines
}

// factsText tells of the connection of a step.
func factsText(s *review.Step) string {
	switch s.Kind {
	case review.StepReceived, review.StepRefused, review.StepAborted, review.StepReceiving: // they stand above
		return ""
	}
	var facts []string
	if s.Connector != "" {
		facts = append(facts, "connector "+unbroken(s.Connector))
	}
	if s.Session != "" {
		how := s.TLS
		switch {
		case how == "" && s.SourceIP == "":
			how = "not connected"
		case how == "":
			how = "in clear text"
		case s.Peer != "":
			how += " with " + s.Peer
		}
		if s.Trust != "" {
			how += " (" + s.Trust + ")"
		}
		facts = append(facts, how)
		if s.SourceIP != "" {
			facts = append(facts, "from "+s.SourceIP)
		}
		facts = append(facts, "session "+s.Session)
	}
	if s.Attempts > 1 {
		facts = append(facts, fmt.Sprintf("the last of %d connections", s.Attempts))
	}
	return strings.Join(facts, ", ")
}

// namesText names some recipients.
func namesText(list []string) string {
	const named = 3
	var b strings.Builder
	for i, r := range list {
		if i == named {
			fmt.Fprintf(&b, " and %d more", len(list)-named)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("<" + r + ">")
	}
	return b.String()
}

// repliesText writes the different replies of a step.
func repliesText(s *review.Step) string {
	var list []string
	seen := make(map[string]bool)
	for _, r := range s.Replies {
		if r != "" && !seen[r] {
			seen[r] = true
			list = append(list, r)
		}
	}
	const shown = 3
	text := onOneLine(strings.Join(list[:min(len(list), shown)], " | "))
	if n := len(list) - shown; n > 0 {
		text += fmt.Sprintf(" and %d other replies", n)
	}
	return text
}

// maxEnds is how many recipients of a message are listed.
const maxEnds = 100

// printEnds prints the last line of each recipient.
func (a *app) printEnds(t *review.Trace, st style) {
	rows := &table{header: []string{"RECIPIENT", "END", "AFTER", "TRIES"}, right: []int{2, 3}, names: true, indent: "  "}
	rows.paint = func(row, column int, text string) string {
		if column != 1 {
			return text
		}
		switch t.Recipients[row].End {
		case review.EndDelivered:
			return st.green(text)
		case review.EndPending, review.EndDeferred:
			return st.yellow(text)
		}
		return st.red(text)
	}
	waits := 0
	for i, r := range t.Recipients {
		if !r.End.Final() {
			waits++
		}
		if i >= maxEnds {
			continue
		}
		after := "-"
		if r.Seconds > 0 || r.End.Final() && t.Arrival != nil {
			after = precise(time.Duration(r.Seconds * float64(time.Second)))
		}
		rows.add("<"+r.Address+">", string(r.End), after, fmt.Sprint(r.Tries))
		if text := strings.TrimSpace(onOneLine(r.Reply) + " " + parens(r.Host)); text != "" {
			rows.note(text)
		}
		if !r.Due.IsZero() {
			rows.note("next try " + localTime(r.Due))
		}
	}
	rows.print(a.out)
	if n := len(t.Recipients) - maxEnds; n > 0 {
		fmt.Fprintf(a.out, "  and %d more; --output json has them all\n", n)
	}
	if waits > 0 && arrivalWord(t) == "arrived" {
		a.printField("  ", fmt.Sprintf("For %s its end is not in the log. If it is still in the queue, this says what it waits for:", plural(waits, "recipient", "recipients")))
		fmt.Fprintln(a.out, "  "+st.cyan("postern queue show "+t.ID))
	}
}

// onOneLine joins the lines of a text whose line ends are escaped, as of a status
// that quotes the last error below the reason.
func onOneLine(s string) string {
	return strings.NewReplacer(`\x0D\x0A`, "; ", `\x0A`, "; ").Replace(s)
}

func parens(s string) string {
	if s == "" {
		return ""
	}
	return "(" + s + ")"
}
