package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/backpressure"
	"postern/config"
	"postern/internal/control"
)

func (a *app) status() *cobra.Command {
	var full, check bool
	var age string
	var most int
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say whether the running gateway is well",
		Long: `Status says first whether the running gateway is well. If not, it says why, the
gravest first, and what to do about each; "look at this" means that something
deserves a look, "in trouble" that mail is refused or does not leave. Below is
what it does: where it listens, what came and went within the last minute, what
its queues hold, its spool, its resources and certificates. --full prints every section whole;
there a bar shows each resource against its thresholds: the first mark is where
the level becomes medium, the second where it becomes high.

--check is for monitoring systems: it prints one line with figures, in the form
of Nagios plugins, and exits with 0 when all is well, 1 when something deserves a
look, 2 in trouble, and 3 when the gateway does not answer. It waits 8 seconds for
the answer, within the 10 that plugins have; --timeout says otherwise.`,
		Example: "  postern status\n  postern status --full\n  postern status --output json\n  postern status --check --max-age 12h --max-queue 5000",
		Args:    a.noArguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("max-queue") && most < 1 {
				return usageError{fmt.Errorf("--max-queue %d: want a number of messages of at least 1", most)}
			}
			t, err := thresholds(age)
			if err != nil {
				return err
			}
			t.MaxQueue = most
			if timeout <= 0 {
				return usageError{fmt.Errorf("--timeout %s: want a time such as 8s", timeout)}
			}
			if !check && !cmd.Flags().Changed("timeout") {
				timeout = askTime
			}
			st, err := a.askStatus(cmd.Context(), t, timeout)
			if check {
				return a.checkStatus(st, err, t)
			}
			if err != nil {
				return asked(err)
			}
			if a.json() {
				return a.printJSON(st)
			}
			a.printStatus(st, time.Now(), full)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&full, "full", false, "print every section whole")
	flags.BoolVar(&check, "check", false, "one line and an exit code, for monitoring systems")
	flags.StringVar(&age, "max-age", "", "how long the oldest message may wait in any queue (default 4h, in queues of smart hosts alone)")
	flags.IntVar(&most, "max-queue", 0, "how many messages may be queued (default 10000)")
	flags.DurationVar(&timeout, "timeout", checkTime, "how long to wait for the gateway's answer (without --check 1m)")
	return cmd
}

// checkTime is how long --check waits: Nagios ends a plugin after 10 seconds.
const checkTime = 8 * time.Second

// thresholds reads the flag --max-age.
func thresholds(age string) (t control.Thresholds, err error) {
	if age != "" {
		if t.MaxAge, err = config.ParseDuration(age); err != nil || t.MaxAge < time.Second {
			return t, usageError{fmt.Errorf("--max-age %s: want a time of at least a second, such as 4h or 2d", age)}
		}
	}
	return t, nil
}

func (a *app) askStatus(ctx context.Context, t control.Thresholds, timeout time.Duration) (*control.Status, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	st, err := c.Status(ctx, t)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded) && err != nil:
		return nil, fmt.Errorf("%w: it hangs or is overloaded; nothing came within %s", control.ErrNoServer, timeout)
	case err != nil:
		return nil, err
	}
	if f := a.fileError; f != nil && st.Server.ReloadError == "" {
		addReason(st, control.Reason{
			Condition: control.Look, About: "server", Text: "the configuration file has errors, with which the gateway would not start again: " + f.Format(config.Position{}),
			Remedy: `"postern check" says what is wrong`,
		})
	}
	return st, nil
}

// addReason adds a reason of the least gravity to the verdict.
func addReason(st *control.Status, r control.Reason) {
	st.Verdict.Reasons = append(st.Verdict.Reasons, r)
	if st.Verdict.Condition == control.Well {
		st.Verdict.Condition = r.Condition
	}
}

// printStatus prints the verdict and what matters of each section; in full, or
// where something is the matter with it, the whole section.
func (a *app) printStatus(st *control.Status, now time.Time, full bool) {
	s := styleFor(a.out)
	a.printVerdict(st, s)
	if !full {
		a.statusBrief(st, s, now)
	}
	about := map[string]bool{}
	for _, r := range st.Verdict.Reasons {
		about[r.About] = true
	}
	if !full {
		a.statusLatest(st, s, now)
	}
	for _, section := range []struct {
		about string
		print func(*control.Status, style, time.Time)
	}{
		{"server", a.statusServer}, {"listeners", a.statusListeners}, {"queues", a.statusQueues}, {"spool", a.statusSpool}, {"back_pressure", a.statusPressure},
		{"certificates", a.statusCertificates},
	} {
		if full || about[section.about] {
			fmt.Fprintln(a.out)
			section.print(st, s, now)
		}
	}
	if full && len(st.Events) > 0 {
		fmt.Fprintln(a.out)
		a.statusEvents(st, s, now)
	}
}

// printVerdict answers the question whether it is well.
func (a *app) printVerdict(st *control.Status, s style) {
	word := s.green("well")
	switch st.Verdict.Condition {
	case control.Look:
		word = s.yellow("look at this")
	case control.Trouble:
		word = s.red("in trouble")
	}
	fmt.Fprintln(a.out, s.bold(clean(st.Server.FQDN))+": "+word)
	for _, r := range st.Verdict.Reasons {
		mark := "  - "
		if r.Condition == control.Trouble {
			mark = "  ! "
		}
		a.printField(mark, clean(r.Text))
		a.printField("      ", clean(r.Remedy))
	}
}

// statusBrief is what one looks at when all is well.
func (a *app) statusBrief(st *control.Status, s style, now time.Time) {
	var open []string
	for _, l := range st.Listeners {
		if l.Listening {
			open = append(open, l.Address)
		}
	}
	listening := strings.Join(open, ", ")
	switch {
	case len(st.Listeners) == 0:
		listening = "nowhere: no Receive connector is enabled"
	case len(open) == 0:
		listening = s.red("nowhere")
	}
	a.field("running for", fmt.Sprintf("%s, since %s", span(time.Duration(st.Server.Uptime)*time.Second), localTime(st.Server.Started)))
	a.field("version", versionInfo(st.Server.Version).line())
	a.field("listening", listening)
	if t := &st.Trend; t.Seconds >= 1 {
		over := "in the last minute"
		if t.Seconds < 55 || t.Seconds >= 75 {
			over = "in " + span(time.Duration(t.Seconds*float64(time.Second)))
		}
		a.field("of late", fmt.Sprintf("%s in, %s delivered to, %d deferred, %d failed, %s", counted(t.Submitted, "message"), counted(t.Delivered, "recipient"), t.Deferrals, t.Failed+t.Expired, over))
	}
	q := &st.Queues
	text := fmt.Sprintf("%s, of which %d in flight, %d deferred, %d unreachable", places(q.Distinct, q.Messages, " message", " messages"), q.InFlight, q.Deferred, q.Unreachable)
	if !q.Oldest.IsZero() {
		text += "; the oldest for " + since(q.Oldest, now)
	}
	a.field("queued", text)
	a.field("since start", fmt.Sprintf("%s in, %s delivered to, %d failed, %d expired", counted(q.Submitted, "message"), counted(q.Delivered, "recipient"), q.Failed, q.Expired))
	a.field("spool", fmt.Sprintf("%s of content; sync last %s, longest %s", roundSize(st.Spool.Bytes), milliseconds(st.Spool.LastSync), milliseconds(st.Spool.MaxSync)))
	a.field("back pressure", a.pressureBrief(st, s))
	if len(st.Certificates) > 0 {
		a.field("certificates", certificatesBrief(st.Certificates, s, now))
	}
}

// counted is a number of things whose plural is regular.
func counted(n uint64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// How many warnings and errors a look shows, and of how long ago.
const (
	eventsBrief = 3
	eventsFor   = 24 * time.Hour
)

// statusLatest lists the latest warnings and errors of the event log, one line
// each.
func (a *app) statusLatest(st *control.Status, s style, now time.Time) {
	width, _ := terminal(a.out)
	for i := range min(len(st.Events), eventsBrief) {
		e := &st.Events[i]
		if now.Sub(e.Time) > eventsFor {
			return
		}
		if i == 0 {
			fmt.Fprintln(a.out, "\n"+s.bold("Latest warnings"))
		}
		text := fmt.Sprintf("  %8s ago  %s", since(e.Time, now), clean(e.Text))
		if e.ID != 0 {
			text += fmt.Sprintf(" (%d)", e.ID)
		}
		if e.Repeated > 0 {
			text += fmt.Sprintf(", %d times", e.Repeated)
		}
		for _, key := range []string{"connector", "next_hop", "error", "reply", "finding"} {
			if v := e.Attributes[key]; v != "" {
				text += ": " + clean(v)
				break
			}
		}
		if r := []rune(text); len(r) > width {
			text = string(r[:width-3]) + "..."
		}
		if e.Level == "error" {
			text = s.red(text)
		}
		fmt.Fprintln(a.out, text)
	}
}

// pressureBrief names the resource that is nearest to its first threshold.
func (a *app) pressureBrief(st *control.Status, s style) string {
	p := &st.BackPressure
	if !p.Enabled {
		return "off"
	}
	var nearest *backpressure.ResourceStatus
	for i := range p.Resources {
		r := &p.Resources[i]
		if r.State == backpressure.StateWatched && r.Medium > 0 && (nearest == nil || r.Used/r.Medium > nearest.Used/nearest.Medium) {
			nearest = r
		}
	}
	text := paintLevel(s, p.Level, p.Level.String())
	if nearest != nil {
		text += fmt.Sprintf("; nearest to its limit is %s: %s, medium from %s", nearest.Name, nearest.ValueText, nearest.MediumText)
	}
	return text
}

func (a *app) statusServer(st *control.Status, s style, now time.Time) {
	v := &st.Server
	fmt.Fprintln(a.out, s.bold("Server"))
	a.field("version", versionInfo(v.Version).line())
	a.field("running for", fmt.Sprintf("%s, since %s", span(time.Duration(v.Uptime)*time.Second), localTime(v.Started)))
	file := v.File
	if file == "" {
		file = "the embedded default"
	}
	a.field("config file", clean(file))
	if v.ReloadError != "" {
		a.field("not reloaded", fmt.Sprintf("%s ago: %s", since(v.ReloadRefused, now), clean(v.ReloadError)))
	}
}

func (a *app) statusListeners(st *control.Status, s style, _ time.Time) {
	fmt.Fprintln(a.out, s.bold("Listeners"))
	if len(st.Listeners) == 0 {
		a.field("none", "no Receive connector is enabled: the gateway takes no mail")
	}
	for _, l := range st.Listeners {
		text := s.green("listening")
		if !l.Listening {
			text = s.red("not listening")
		}
		fmt.Fprintf(a.out, "  %-*s  %s\n", fieldWidth+10, l.Address, text)
		if l.Error != "" {
			a.printField("      ", clean(l.Error))
		}
	}
}

func (a *app) statusQueues(st *control.Status, s style, now time.Time) {
	q := &st.Queues
	fmt.Fprintln(a.out, s.bold("Queues"))
	if len(q.ByStatus) > 0 {
		t := &table{header: []string{"STATUS", "QUEUES", "EMPTY", "MESSAGES"}, right: []int{1, 2, 3}, indent: "  "}
		for _, status := range slices.Sorted(maps.Keys(q.ByStatus)) {
			sum := q.ByStatus[status]
			t.add(status, strconv.Itoa(sum.Queues), strconv.Itoa(sum.Empty), strconv.Itoa(sum.Messages))
		}
		t.print(a.out)
	}
	text := fmt.Sprintf("%s, of which %d in flight, %d deferred, %d unreachable", places(q.Distinct, q.Messages, "", ""), q.InFlight, q.Deferred, q.Unreachable)
	a.field("messages", text)
	if !q.Oldest.IsZero() {
		a.field("oldest", since(q.Oldest, now))
	}
	a.field("since start", fmt.Sprintf("%d submitted, %d delivered, %d deferred, %d failed, %d expired, %d notified",
		q.Submitted, q.Delivered, q.Deferrals, q.Failed, q.Expired, q.Notifications))
	if q.Unsaved > 0 {
		a.field("unsaved", s.red(plural(q.Unsaved, "message has an outcome", "messages have outcomes")+" that could not be stored yet"))
	}
}

func (a *app) statusSpool(st *control.Status, s style, _ time.Time) {
	p := &st.Spool
	fmt.Fprintln(a.out, s.bold("Spool"))
	a.field("messages", fmt.Sprintf("%d with %s of content", p.Messages, roundSize(p.Bytes)))
	a.field("segments", fmt.Sprintf("%d of %s: %d free (%d of them held back), %d cold",
		p.Segments, roundSize(p.SegmentSize), p.FreeSegments, p.ReservedSegments, p.ColdSegments))
	a.field("sync", fmt.Sprintf("last %s, longest %s", milliseconds(p.LastSync), milliseconds(p.MaxSync)))
	if p.NoSpace {
		a.field("intake", s.red("refused: there is no room for new messages"))
	}
	if p.Failures > 0 {
		a.field("failures", s.red(fmt.Sprintf("%d writes failed, the last one: %s", p.Failures, clean(p.LastError))))
	}
	if p.Damaged > 0 {
		a.field("damaged", s.red(plural(p.Damaged, "stretch", "stretches")+" could not be read back; the event log names them"))
	}
}

func milliseconds(seconds float64) string { return fmt.Sprintf("%.1f ms", seconds*1000) }
