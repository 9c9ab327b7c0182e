package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"postern/logs/review"
)

func (a *app) logs() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "logs",
		Short: "Review the protocol and tracking logs",
		Long: `Logs reads the gateway's logs: the ones that the configuration names, or with
--logs those in a directory or file, also compressed ones, those of another
gateway, and those of an Exchange server. It needs no running gateway.`,
		Example: `  postern logs sessions --since 2h --failed
  postern logs show 08DF486C6DBFB284
  postern logs follow --connector "From Internet"`,
	})
	cmd.AddCommand(a.logsSessions(), a.logsShow(), a.logsFollow(), a.logsTrace(), a.logsStats(), a.logsExport(), a.logsChanges(), a.logsSearch())
	return cmd
}

// logFlags are the flags of the commands that read logs.
type logFlags struct {
	filters review.Filters
	paths   []string
	verbose bool
}

// registerSource adds the flags that say which logs are read.
func (f *logFlags) registerSource(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.paths, "logs", nil, "read the logs in this directory, or this file; may be repeated")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "say which lines could not be read, and why")
}

// registerFilters adds the flags that choose, but for those of time.
func (f *logFlags) registerFilters(cmd *cobra.Command) {
	flags := cmd.Flags()
	list := flags.StringArrayVar
	list(&f.filters.Connector, "connector", nil, "of this connector; \"*\" stands for any characters")
	flags.StringVar(&f.filters.Direction, "direction", "", "receive or send")
	list(&f.filters.Peer, "peer", nil, "with this peer: an address, 192.0.2.0/24, or a range a-b")
	list(&f.filters.HELO, "helo", nil, "with this name in HELO or EHLO")
	list(&f.filters.From, "from", nil, "from this sender: an address, a domain, \"*.domain\", a pattern, or \"<>\"")
	list(&f.filters.To, "to", nil, "to this recipient: an address, a domain, \"*.domain\", or a pattern")
	list(&f.filters.Reply, "reply", nil, "with this reply: 550, 5xx, 5.7.1 or 4.7.*")
	flags.StringVar(&f.filters.Text, "text", "", "with this text in a line, in any case")
	flags.StringVar(&f.filters.TLS, "tls", "", "yes, no, or a version: 1.2 or 1.3")
	flags.StringVar(&f.filters.MinDuration, "min-duration", "", "that took so long at least, such as 500ms or 30s")
	list(&f.filters.User, "user", nil, "of this authenticated user")
	flags.BoolVar(&f.filters.Failed, "failed", false, "in which something was refused or broke")
}

// registerTimes adds the flags that choose by time.
func (f *logFlags) registerTimes(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.filters.Since, "since", "", "from this time on: 2h (ago), 2026-11-20, \"2026-11-20 14:05\", 14:05, yesterday")
	flags.StringVar(&f.filters.Until, "until", "", "up to this time, written like --since")
	flags.StringVar(&f.filters.On, "on", "", "on this day: 2026-11-20, today or yesterday")
}

// query reads the filters. What is given and empty comes from a variable that is
// not set, and would choose more than was meant.
func (f *logFlags) query(cmd *cobra.Command, now time.Time) (*review.Query, error) {
	for _, name := range []string{"connector", "direction", "peer", "helo", "from", "to", "reply", "text", "tls", "min-duration", "user", "since", "until", "on", "logs"} {
		flag := cmd.Flags().Lookup(name)
		if flag == nil || !flag.Changed {
			continue
		}
		if text := flag.Value.String(); text == "" || text == "[]" || text == `[""]` {
			return nil, emptyFlag(name)
		}
	}
	q, err := f.filters.Query(now)
	if err != nil {
		return nil, usageError{err}
	}
	return q, nil
}

// source finds the logs to read.
func (f *logFlags) source(a *app) (*review.Files, error) {
	if len(f.paths) > 0 {
		return review.At(f.paths...)
	}
	cfg, err := a.logPlaces()
	if err != nil {
		return nil, err
	}
	return review.Configured(cfg), nil
}

// noLogs explains that there is nothing to read.
func (f *logFlags) noLogs(err error) error {
	if !errors.Is(err, review.ErrNoLogs) || len(f.paths) > 0 {
		return err
	}
	return fmt.Errorf(`%w; a connector logs with protocol_logging = "verbose", --config names the gateway's file and --logs other logs`, err)
}

// interruptible returns a context that ends with an interrupt: whatever a
// command prints until then is kept.
func interruptible(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
}

// logReading tells on a terminal how far the reading of logs is, and afterwards
// what could not be read.
type logReading struct {
	review.Progress
	app     *app
	verbose bool

	mu    sync.Mutex
	shown bool
	stop  chan struct{}
	done  chan struct{}
}

// progressAfter is when the reading begins to tell how far it is.
const progressAfter = 2 * time.Second

// reading begins to watch a reading. It must be closed.
func (f *logFlags) reading(a *app) *logReading {
	r := &logReading{app: a, verbose: f.verbose, stop: make(chan struct{}), done: make(chan struct{})}
	go r.watch()
	return r
}

func (r *logReading) watch() {
	defer close(r.done)
	file, ok := r.app.err.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return
	}
	wait := time.NewTimer(progressAfter)
	defer wait.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-wait.C:
			wait.Reset(time.Second / 2)
			r.mu.Lock()
			read, total := r.Octets()
			share := ""
			if total > 0 {
				share = fmt.Sprintf(" of %s, %d %%", roundSize(total), min(100*read/total, 100))
			}
			fmt.Fprintf(r.app.err, "\r\x1b[K%s%s read", roundSize(read), share)
			r.shown = true
			r.mu.Unlock()
		}
	}
}

// clear takes the progress off the terminal before something is printed.
func (r *logReading) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shown {
		fmt.Fprint(r.app.err, "\r\x1b[K")
		r.shown = false
	}
}

// close ends the watch and tells what could not be read.
func (r *logReading) close() {
	close(r.stop)
	<-r.done
	r.clear()
	for _, text := range r.Troubles() {
		fmt.Fprintln(r.app.err, clean(text))
	}
	n, places := r.Unreadable()
	if n == 0 {
		return
	}
	text := plural(int(n), "line", "lines") + " could not be read"
	if !r.verbose {
		fmt.Fprintln(r.app.err, text+"; --verbose says where")
		return
	}
	fmt.Fprintln(r.app.err, text+":")
	for _, place := range places {
		fmt.Fprintln(r.app.err, "  "+clean(place))
	}
	if int64(len(places)) < n {
		fmt.Fprintf(r.app.err, "  and %d more\n", n-int64(len(places)))
	}
}

// shortTime writes a moment of a log for a screen: local, without the year that
// it is.
func shortTime(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.Year() == now.Year() {
		return t.Format("01-02 15:04:05")
	}
	return t.Format("2006-01-02 15:04:05")
}

// precise writes how long something took, from milliseconds to days.
func precise(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d/time.Millisecond)
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return span(d)
}
