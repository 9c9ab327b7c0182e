package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"postern/config"
	"postern/queue/spool"
)

// progressEvery is how often salvage says how far it is.
const progressEvery = 2 * time.Second

func (a *app) spool() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:     "spool",
		Short:   "Read a spool directory without a running gateway",
		Example: "  postern spool dump /var/spool/postern\n  postern spool salvage /var/spool/postern --to /root/rescued",
	})
	cmd.AddCommand(a.spoolDump(), a.spoolSalvage())
	return cmd
}

// dumped is the answer of "spool dump".
type dumped struct {
	Summary  spool.Summary       `json:"summary"`
	Damage   []spool.Damage      `json:"damage"`
	Messages []spool.Description `json:"messages"`
	// Errors are messages that could not be read.
	Errors []string `json:"errors"`
}

func (a *app) spoolDump() *cobra.Command {
	return &cobra.Command{
		Use:   "dump DIR",
		Short: "List the messages in a spool directory",
		Long: `Dump lists what a spool directory holds: its messages with envelope and the state
of each recipient, and what of it is damaged. It writes nothing, takes no lock,
and works beside a running gateway, whose spool it sees as of one moment.`,
		Example: "  postern spool dump /var/spool/postern --output json",
		Args:    arguments("DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := spool.OpenReader(args[0], spool.ReaderOptions{})
			if errors.Is(err, spool.ErrVersion) {
				return fmt.Errorf("%w; use that version, or \"postern spool salvage\" for what can be understood", err)
			}
			if err != nil {
				return err
			}
			defer r.Close()
			d := dumped{Summary: r.Summary(), Damage: r.Damage(), Messages: []spool.Description{}, Errors: []string{}}
			for e, err := range r.Messages() {
				if err != nil {
					d.Errors = append(d.Errors, fmt.Sprintf("%s: %v", e.ID, err))
					continue
				}
				d.Messages = append(d.Messages, spool.Describe(e))
			}
			if a.json() {
				return a.printJSON(d)
			}
			a.printDump(&d)
			return nil
		},
	}
}

func (a *app) printDump(d *dumped) {
	t := &table{header: []string{"ID", "ARRIVED", "SIZE", "FROM"}, right: []int{2}}
	for _, m := range d.Messages {
		t.add(m.ID, localTime(m.Arrived), config.FormatSize(m.Size), "<"+clean(m.Sender)+">")
		for _, r := range m.Recipients {
			s := "to " + unbroken("<"+clean(r.Address)+">") + " " + r.Status
			if r.Tries > 0 {
				s += " after " + plural(r.Tries, "try", "tries")
			}
			if r.Due != nil {
				s += ", next " + localTime(*r.Due)
			}
			if r.Reply != "" {
				s += ": " + clean(r.Reply)
			}
			t.note(s)
		}
	}
	if len(t.rows) > 0 {
		t.print(a.out)
		fmt.Fprintln(a.out)
	}
	s := &d.Summary
	fmt.Fprintf(a.out, "%s, %s; %d segments (%d free, %d cold), %d body files\n",
		plural(s.Messages, "message", "messages"), config.FormatSize(s.Bytes), s.Segments, s.FreeSegments, s.ColdSegments, s.BodyFiles)
	for _, dm := range d.Damage {
		fmt.Fprintf(a.out, "damaged: %s\n", clean(dm.String()))
	}
	for _, e := range d.Errors {
		fmt.Fprintf(a.out, "can't be read: %s\n", clean(e))
	}
}

func (a *app) spoolSalvage() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "salvage DIR --to OUT",
		Short: "Write every message of a spool directory to files",
		Long: `Salvage writes every message that a spool directory holds to the directory OUT:
the content as ID.eml, which any mail system can take, and the envelope with the
state of each recipient as ID.json. Damaged messages are written as far as they
can be read, as ID.damaged.eml. The spool is not changed, and existing files are
not overwritten.

A message whose recipients are all "delivered" in its ID.json has been delivered;
send the others again, each to its pending recipients alone.`,
		Example: "  postern spool salvage /var/spool/postern --to /root/rescued",
		Args:    arguments("DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			if to == "" {
				return usageError{errors.New("say where to write with --to OUT")}
			}
			list := []spool.Salvaged{}
			whole, next := 0, time.Now().Add(progressEvery)
			err := spool.Salvage(args[0], to, spool.ReaderOptions{}, func(s spool.Salvaged) error {
				list = append(list, s)
				if !s.Damaged && s.Error == "" {
					whole++
				}
				if now := time.Now(); now.After(next) {
					next = now.Add(progressEvery)
					fmt.Fprintf(a.err, "%s written\n", plural(len(list), "message", "messages"))
				}
				return nil
			})
			if err != nil {
				return err
			}
			if a.json() {
				err = a.printJSON(list)
			} else {
				err = a.printSalvaged(list, whole, to)
			}
			if err == nil && whole < len(list) {
				return errReported
			}
			return err
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the directory to write to; it is made when it is missing")
	return cmd
}

func (a *app) printSalvaged(list []spool.Salvaged, whole int, to string) error {
	for _, s := range list {
		if s.Damaged || s.Error != "" {
			fmt.Fprintf(a.out, "%s: damaged: %s\n", s.ID, clean(s.Error))
		}
	}
	_, err := fmt.Fprintf(a.out, "%s written to %s, %d of them damaged\n", plural(len(list), "message", "messages"), to, len(list)-whole)
	return err
}
