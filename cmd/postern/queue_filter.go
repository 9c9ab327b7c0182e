package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/config"
	"postern/internal/control"
	"postern/internal/message"
)

// filterFlags are the flags that choose messages.
type filterFlags struct {
	filter     control.Filter
	olderThan  string
	largerThan string
	all        bool
	// toIsRecipient says that --to means the same as --recipient.
	toIsRecipient bool
}

// register adds the flags to a command. Where --to means something else the
// recipient is chosen with --recipient alone.
func (f *filterFlags) register(cmd *cobra.Command, to bool) {
	flags := cmd.Flags()
	flags.StringVar(&f.filter.From, "from", "", "of this sender: an address, a domain, \"*.domain\", or \"<>\"")
	flags.StringVar(&f.filter.To, "recipient", "", "for this recipient: an address, a domain or \"*.domain\"")
	if f.toIsRecipient = to; to {
		flags.StringVar(&f.filter.To, "to", "", "the same as --recipient")
	}
	flags.StringVar(&f.filter.Domain, "domain", "", "for this recipient domain, or \"*.domain\"")
	flags.StringVar(&f.filter.Queue, "queue", "", "standing in this queue")
	flags.StringVar(&f.olderThan, "older-than", "", "that arrived longer ago, such as 2h or 3d")
	flags.StringVar(&f.largerThan, "larger-than", "", "of more than this size, such as 1MB")
	flags.StringVar(&f.filter.Subject, "subject", "", "with this in the subject, in any case")
	flags.StringVar(&f.filter.Status, "status", "", "of this status: "+strings.Join(control.Statuses(), ", "))
	flags.StringSliceVar(&f.filter.IDs, "id", nil, "with this queue id; may be repeated")
}

// parse reads what the flags say, and the ids among the arguments; an argument
// "-" stands for ids on standard input. It returns the other arguments, which
// can only be names of queues.
func (a *app) parseFilter(cmd *cobra.Command, f *filterFlags, args []string) (names []string, err error) {
	if err := f.noneEmpty(cmd, args); err != nil {
		return nil, err
	}
	if err := exclusive(cmd, "to", "recipient"); f.toIsRecipient && err != nil {
		return nil, err
	}
	if f.olderThan != "" {
		d, err := config.ParseDuration(f.olderThan)
		if err != nil {
			return nil, usageError{fmt.Errorf("--older-than: %w; write 2h, 3d or a number of seconds", err)}
		}
		if f.filter.OlderThan = int64(d / time.Second); f.filter.OlderThan == 0 {
			return nil, usageError{errors.New("--older-than: want a second at least")}
		}
	}
	if f.largerThan != "" {
		if f.filter.LargerThan, err = config.ParseSize(f.largerThan); err != nil {
			return nil, usageError{fmt.Errorf("--larger-than: %w", err)}
		}
		if f.filter.LargerThan == 0 {
			return nil, usageError{errors.New("--larger-than: want an octet at least")}
		}
	}
	for _, arg := range args {
		switch _, err := message.ParseID(arg); {
		case arg == "-":
			ids, err := readIDs(a.in)
			if err != nil {
				return nil, err
			}
			f.filter.IDs = append(f.filter.IDs, ids...)
		case err == nil:
			f.filter.IDs = append(f.filter.IDs, arg)
		default:
			names = append(names, arg)
		}
	}
	for i, id := range f.filter.IDs {
		parsed, err := message.ParseID(id)
		if err != nil {
			return nil, usageError{fmt.Errorf("--id: %w", err)}
		}
		f.filter.IDs[i] = parsed.String()
	}
	if f.all && !f.filter.Empty() {
		return nil, usageError{errors.New("--all chooses every message; leave it out where others choose")}
	}
	return names, nil
}

// noneEmpty refuses filters and arguments that are given and empty: they come
// from a variable that is not set, and without them more messages would be
// chosen than were meant.
func (f *filterFlags) noneEmpty(cmd *cobra.Command, args []string) error {
	names := []string{"from", "recipient", "domain", "queue", "older-than", "larger-than", "subject", "status", "id"}
	if f.toIsRecipient {
		names = append(names, "to")
	}
	for _, name := range names {
		flag := cmd.Flags().Lookup(name)
		if text := flag.Value.String(); flag.Changed && (text == "" || text == "[]") {
			return emptyFlag(name)
		}
	}
	if slices.Contains(args, "") {
		return usageError{errors.New("an argument is empty; is a variable not set?")}
	}
	return nil
}

// emptyFlag is the error for a flag that is given and empty.
func emptyFlag(name string) error {
	text := fmt.Sprintf("--%s is empty; is a variable not set? Without a --%s leave it out", name, name)
	if name == "from" {
		text += `; the null reverse path is --from "<>"`
	}
	return usageError{errors.New(text)}
}

// readIDs reads queue ids, one or more on a line.
func readIDs(r io.Reader) ([]string, error) {
	var ids []string
	s := bufio.NewScanner(r)
	s.Split(bufio.ScanWords)
	for s.Scan() {
		ids = append(ids, s.Text())
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	if len(ids) == 0 {
		return nil, usageError{errors.New("standard input has no queue id")}
	}
	return ids, nil
}

// noNames refuses arguments that are no ids, for a command that takes messages
// alone.
func noNames(cmd *cobra.Command, names []string) error {
	if len(names) == 0 {
		return nil
	}
	return usageError{fmt.Errorf("%s takes messages, and %q is no queue id; for those of a queue write --queue %q", cmd.CommandPath(), names[0], names[0])}
}

// exclusive refuses two flags that contradict each other.
func exclusive(cmd *cobra.Command, a, b string) error {
	if cmd.Flags().Changed(a) && cmd.Flags().Changed(b) {
		return usageError{fmt.Errorf("--%s and --%s do not go together", a, b)}
	}
	return nil
}
