package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/secret"
	"postern/logs"
	"postern/logs/review"
)

// maxMaskKey is how long a key for masks may be, in octets.
const maxMaskKey = 4096

// exportFlags are those of "logs export" besides the filters.
type exportFlags struct {
	logs         []string
	format       string
	mask         bool
	domains, ips bool
	keyFile      string
	out          string
	force        bool
	kinds        []logs.Kind
}

func (a *app) logsExport() *cobra.Command {
	var f logFlags
	var e exportFlags
	cmd := &cobra.Command{
		Use:   "export [SESSION|QUEUE-ID|MESSAGE-ID...]",
		Short: "Write a session, a message's story or a result as CSV or JSON, masked on request",
		Long: `Export writes a part of the logs to hand to somebody else, in Exchange's CSV, which
LogParser and 'postern logs --logs FILE' read, or as JSON lines. What is written
is a session, the story of a message (message tracking of it and of its
notifications, and the sessions that it went through), or the sessions that the
filters choose; --log names the logs that are wanted.

One log goes to standard output or to the file --out. Several go to files in the
directory --out, under the names that the gateway gives them. Files are made with
mode 0600, and none is overwritten without --force.

With --mask the local part of every address is replaced, the same address always
by the same mask: in commands and replies, in columns, and wherever it stands as
a word once it was seen in an address. Message-IDs, subjects and user names are
masked, names in HELO stay, credentials are never in the logs. --mask-domains and
--mask-ips also hide domains of addresses and IP addresses. The key of the masks
is drawn anew each time and thrown away, unless --mask-key names a file with one:
then the masks are the same in every export.`,
		Example: `  postern logs export 08DF486C6DBFB284 --mask --out for-fabrikam.log
  postern logs export 0AKZRA5C80000 --out case-4711/
  postern logs export --on 2026-11-17 --to "*.fabrikam.example" --format json --mask
  postern logs export --since 1h --log tracking --out tracking.log`,
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := f.query(cmd, time.Now())
			if err != nil {
				return err
			}
			if err := e.chooseFormat(cmd, a); err != nil {
				return err
			}
			if err := e.check(cmd, &f, args); err != nil {
				return err
			}
			masker, err := e.masker()
			if err != nil {
				return err
			}
			source, err := f.source(a)
			if err != nil {
				return err
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			return f.noLogs(a.export(ctx, &f, &e, source, q, args, masker))
		},
	}
	f.registerTimes(cmd)
	f.registerFilters(cmd)
	f.registerSource(cmd)
	flags := cmd.Flags()
	flags.StringSliceVar(&e.logs, "log", nil, "which logs: receive, send, tracking, connectivity, agent")
	flags.StringVar(&e.format, "format", "csv", "csv, as Exchange writes it, or json")
	flags.BoolVar(&e.mask, "mask", false, "mask addresses, Message-IDs, subjects and user names")
	flags.BoolVar(&e.domains, "mask-domains", false, "mask the domains of addresses, too")
	flags.BoolVar(&e.ips, "mask-ips", false, "mask IP addresses, too")
	flags.StringVar(&e.keyFile, "mask-key", "", "a file whose octets are the key of the masks, so that they are the same each time")
	flags.StringVar(&e.out, "out", "", "the file to write, or the directory for several logs")
	flags.BoolVar(&e.force, "force", false, "overwrite files that exist")
	return cmd
}

// chooseFormat takes --output json, which all commands have, for --format json.
func (e *exportFlags) chooseFormat(cmd *cobra.Command, a *app) error {
	if !a.json() {
		return nil
	}
	if cmd.Flags().Changed("format") && e.format == "csv" {
		return usageError{errors.New("--output json is --format json here, and does not go together with --format csv: leave out one of them")}
	}
	if !cmd.Flags().Changed("format") {
		e.format = "json"
	}
	return nil
}

// check reads the flags of an export.
func (e *exportFlags) check(cmd *cobra.Command, f *logFlags, names []string) error {
	for _, name := range []string{"log", "mask-key", "out"} {
		if flag := cmd.Flags().Lookup(name); flag.Changed && (flag.Value.String() == "" || flag.Value.String() == "[]") {
			return emptyFlag(name)
		}
	}
	if e.format != "csv" && e.format != "json" {
		return usageError{fmt.Errorf("--format %s: want csv or json", e.format)}
	}
	for _, name := range e.logs {
		k, ok := logs.KindOf(name)
		if !ok || k == logs.RoutingTable || k == logs.EventLog {
			return usageError{fmt.Errorf("--log %s: want receive, send, tracking, connectivity or agent", name)}
		}
		if !slices.Contains(e.kinds, k) {
			e.kinds = append(e.kinds, k)
		}
	}
	if slices.Contains(names, "") {
		return emptyFlag("ID")
	}
	if len(names) > 0 {
		filters := f.filters
		filters.Since, filters.Until, filters.On = "", "", ""
		if set := given(&filters); len(set) > 0 {
			return usageError{fmt.Errorf("--%s does not go together with ids: an id is exported whole", set[0])}
		}
		return nil
	}
	for _, k := range e.kinds {
		for _, set := range given(&f.filters) {
			if !slices.Contains(filtersOf(k), set) {
				return usageError{fmt.Errorf("--%s: the %s log does not know that; export it apart with --log", set, k)}
			}
		}
	}
	return nil
}

// given names the filters that are set, but for those of time.
func given(f *review.Filters) (names []string) {
	for _, one := range []struct {
		name string
		set  bool
	}{
		{"connector", len(f.Connector) > 0}, {"direction", f.Direction != ""}, {"peer", len(f.Peer) > 0}, {"helo", len(f.HELO) > 0}, {"from", len(f.From) > 0},
		{"to", len(f.To) > 0}, {"reply", len(f.Reply) > 0}, {"text", f.Text != ""}, {"tls", f.TLS != ""}, {"min-duration", f.MinDuration != ""},
		{"user", len(f.User) > 0}, {"failed", f.Failed},
	} {
		if one.set {
			names = append(names, one.name)
		}
	}
	return names
}

// filtersOf names the filters that a log knows (review.Source).
func filtersOf(k logs.Kind) []string {
	switch k {
	case logs.MessageTracking:
		return []string{"connector", "peer", "helo", "from", "to", "reply", "text", "failed"}
	case logs.Connectivity:
		return []string{"text"}
	case logs.Agent:
		return []string{"peer", "from", "to", "reply", "text"}
	}
	return []string{"connector", "direction", "peer", "helo", "from", "to", "reply", "text", "tls", "min-duration", "user", "failed"}
}

// masker returns who masks, or nil.
func (e *exportFlags) masker() (*review.Masker, error) {
	if !e.mask && !e.domains && !e.ips && e.keyFile == "" {
		return nil, nil
	}
	var key []byte
	if e.keyFile != "" {
		var err error
		if key, err = secret.Read(e.keyFile, maxMaskKey); err != nil {
			return nil, fmt.Errorf("--mask-key: %w", err)
		}
	}
	m, err := review.NewMasker(review.Masking{Key: key, Domains: e.domains, IPs: e.ips})
	if err != nil {
		return nil, fmt.Errorf("--mask-key %s: %w", e.keyFile, err)
	}
	return m, nil
}

func (a *app) export(ctx context.Context, f *logFlags, e *exportFlags, source review.Source, q *review.Query, names []string, m *review.Masker) error {
	r := f.reading(a)
	defer r.close()
	b, err := review.Gather(ctx, source, q, review.GatherOptions{Names: names, Logs: e.kinds}, &r.Progress)
	r.clear()
	switch {
	case errors.Is(err, review.ErrBundleFull):
		return fmt.Errorf("%w with --since, --until and the other filters", err)
	case err != nil:
		return err
	}
	kinds := b.Kinds()
	switch {
	case len(kinds) == 0:
		return errors.New("nothing was found, and nothing is written")
	case len(kinds) > 1 && e.out == "":
		return usageError{fmt.Errorf("these are lines of several logs (%s): name a directory for them with --out DIR, or one of them with --log", kindNames(kinds))}
	}
	if m != nil {
		b.Mask(m)
	}
	if e.out == "" {
		return b.Write(a.out, kinds[0], e.format == "json")
	}
	return a.writeExport(e, b, kinds, m != nil)
}

func kindNames(kinds []logs.Kind) string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.String())
	}
	return strings.Join(names, ", ")
}

// writeExport writes the files.
func (a *app) writeExport(e *exportFlags, b *review.Bundle, kinds []logs.Kind, masked bool) error {
	target := func(logs.Kind) string { return e.out }
	info, err := os.Stat(e.out)
	isDir := err == nil && info.IsDir()
	if len(kinds) > 1 || isDir || os.IsPathSeparator(e.out[len(e.out)-1]) {
		if err := os.MkdirAll(e.out, 0o700); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
		target = func(k logs.Kind) string { return filepath.Join(e.out, e.fileName(k, b.First(k))) }
	}
	if !e.force {
		for _, k := range kinds {
			if _, err := os.Lstat(target(k)); err == nil {
				return fmt.Errorf("%s exists already; choose another name, or overwrite it with --force", target(k))
			}
		}
	}
	how := "with addresses as they are"
	if masked {
		how = "masked"
	}
	for _, k := range kinds {
		if err := writeNew(target(k), func(w io.Writer) error { return b.Write(w, k, e.format == "json") }, e.force); err != nil {
			return err
		}
		fmt.Fprintf(a.err, "%s of the %s log, %s: %s\n", plural(b.Lines(k), "line", "lines"), k, how, target(k))
	}
	return nil
}

// fileName is the name that the gateway would give a file, so that whoever gets
// it sees which log it is of.
func (e *exportFlags) fileName(k logs.Kind, first time.Time) string {
	suffix := ".log"
	if e.format == "json" {
		suffix = ".jsonl"
	}
	return k.Layout().Prefix + first.UTC().Format("20060102") + "-1" + suffix
}

// writeNew writes a file of mode 0600 as a whole or not at all. Without force it
// must be a new one.
func writeNew(path string, write func(io.Writer) error, force bool) error {
	dir, name := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	file, err := os.CreateTemp(dir, "."+name+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // which is gone once it was renamed
	if err = write(file); err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if force {
		return os.Rename(file.Name(), path)
	}
	// A name that somebody made meanwhile is not taken from them.
	err = os.Link(file.Name(), path)
	if err == nil || !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if _, gone := os.Lstat(path); !errors.Is(gone, fs.ErrNotExist) {
		return fmt.Errorf("%s exists already; choose another name, or overwrite it with --force", path)
	}
	return os.Rename(file.Name(), path)
}
