package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"postern/config"
	"postern/internal/message"
	"postern/routing"
)

func (a *app) explain() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "explain",
		Short: "Explain a decision of the gateway",
		Example: `  postern explain route kim@contoso.example bob@fabrikam.example
  postern explain route '<>' bob@fabrikam.example --size 12MB --output json
  postern explain connection 192.0.2.10:25 198.51.100.7`,
	})
	cmd.AddCommand(a.explainRoute(), a.explainConnection())
	return cmd
}

func (a *app) explainRoute() *cobra.Command {
	var size string
	cmd := &cobra.Command{
		Use:   "route SENDER RECIPIENT",
		Short: "Explain which Send connector takes a message, and why",
		Long: `Explain route says which Send connector would take a message from SENDER to
RECIPIENT, and for every other connector the test that it failed. SENDER may be
"<>", the null reverse path of a notification.

It needs the file alone: no running gateway, no DNS.`,
		Example: `  postern explain route kim@contoso.example bob@fabrikam.example --size 12MB
  postern explain route '<>' bob@fabrikam.example --output json`,
		Args: arguments("SENDER", "RECIPIENT"),
		RunE: func(_ *cobra.Command, args []string) error {
			q, err := routeQuery(args[0], args[1], size)
			if err != nil {
				return usageError{err}
			}
			cfg, err := a.mustLoad()
			if err != nil {
				return err
			}
			table, _ := routing.New(cfg)
			d := table.Explain(q)
			if a.json() {
				return a.printJSON(d)
			}
			a.printDecision(q, d)
			return nil
		},
	}
	cmd.Flags().StringVar(&size, "size", "0", `the message's size, as "12MB" or a number of octets`)
	return cmd
}

// routeQuery reads the arguments of explain route.
func routeQuery(sender, recipient, size string) (routing.Query, error) {
	var q routing.Query
	var err error
	if q.Size, err = config.ParseSize(size); err != nil {
		return q, fmt.Errorf("--size: %w", err)
	}
	if s := unbracket(sender); s != "" {
		if q.Sender, err = message.ParseAddress(s, true); err != nil {
			return q, fmt.Errorf("sender %q: %w", sender, err)
		}
	}
	if r := unbracket(recipient); strings.EqualFold(r, "postmaster") { // RFC 5321 4.5.1
		q.Recipient.Local = r
	} else if q.Recipient, err = message.ParseAddress(r, true); err != nil {
		return q, fmt.Errorf("recipient %q: %w", recipient, err)
	}
	return q, nil
}

// unbracket takes the angle brackets of a path away.
func unbracket(path string) string {
	if s, ok := strings.CutPrefix(path, "<"); ok {
		return strings.TrimSuffix(s, ">")
	}
	return path
}

func (a *app) printDecision(q routing.Query, d routing.Decision) {
	s := styleFor(a.out)
	size := ""
	if q.Size > 0 {
		size = ", " + config.FormatSize(q.Size)
	}
	fmt.Fprintf(a.out, "From %s to %s%s\n\n", q.Sender.Path(), q.Recipient.Path(), size)
	if d.Connector != "" {
		fmt.Fprintf(a.out, "%s %s\n", s.green("Send connector:"), s.bold(d.Connector))
		a.printField("Next hop:       ", d.NextHop.String())
	} else {
		fmt.Fprintln(a.out, s.red("No Send connector takes it."))
		word := "Waits with:     "
		if d.Problem.Refuses() {
			word = "Refused with:   "
		}
		a.printField(word, d.Reply.String())
	}
	a.printField("Why:            ", d.Reason)
	if len(d.Candidates) == 0 {
		return
	}
	fmt.Fprintln(a.out)
	t := &table{header: []string{"CONNECTOR", "ADDRESS SPACE", "COST", "ELIMINATED BY", "DETAIL"}}
	for _, c := range d.Candidates {
		cost := ""
		if c.AddressSpace != "" {
			cost = fmt.Sprint(c.Cost)
		}
		t.add(c.Name, c.AddressSpace, cost, c.EliminatedBy, c.Detail)
	}
	t.print(a.out)
}
