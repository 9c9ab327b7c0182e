package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"postern/config"
	"postern/internal/message"
	"postern/routing"
	"postern/send"
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

// routeFlags are the flags of explain route.
type routeFlags struct {
	size, connector, fallback string
	resolve                   bool
}

func (a *app) explainRoute() *cobra.Command {
	var f routeFlags
	cmd := &cobra.Command{
		Use:   "route SENDER RECIPIENT",
		Short: "Explain which Send connector takes a message, and why",
		Long: `Explain route says which Send connector would take a message from SENDER to
RECIPIENT, and for every other connector the test that it failed. SENDER may be
"<>", the null reverse path of a notification.

--connector says through which Receive connector the message comes, or Pickup,
Replay or Import; without it every scope lets it pass. --fallback asks for the
time when that Send connector has taken over.

It needs the file alone: no running gateway, no DNS. With --resolve it looks up
the next hops, too, as the gateway would: in which order hosts and addresses are
tried, from where, and with what TLS.`,
		Example: `  postern explain route kim@contoso.example bob@fabrikam.example --size 12MB
  postern explain route kim@contoso.example bob@fabrikam.example --connector "From hubs"
  postern explain route '<>' bob@fabrikam.example --resolve
  postern explain route '<>' bob@fabrikam.example --output json`,
		Args: arguments("SENDER", "RECIPIENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := routeQuery(args[0], args[1], f.size)
			if err != nil {
				return usageError{err}
			}
			cfg, err := a.mustLoad()
			if err != nil {
				return err
			}
			if err := f.complete(&q, cfg); err != nil {
				return usageError{err}
			}
			table, _ := routing.New(cfg)
			e := explained{Decision: table.Explain(q), Generation: table.Generation(), Restrictions: cfg.Routing.Restrictions}
			if f.resolve && e.Connector != "" {
				ctx, cancel := context.WithTimeout(cmd.Context(), resolveTime)
				defer cancel()
				p := send.NewPlan(ctx, cfg, e.NextHop)
				e.Plan = &p
			}
			if a.json() {
				return a.printJSON(e)
			}
			a.printDecision(q, &e)
			a.printPlan(e.Plan)
			return nil
		},
	}
	cmd.Flags().StringVar(&f.size, "size", "0", `the message's size, as "12MB" or a number of octets`)
	cmd.Flags().StringVar(&f.connector, "connector", "", "the Receive connector that it comes through")
	cmd.Flags().StringVar(&f.fallback, "fallback", "", "the Send connector that has taken over as a fallback")
	cmd.Flags().BoolVar(&f.resolve, "resolve", false, "look up the hosts and addresses of the next hop")
	return cmd
}

// complete adds what the flags ask for and the configuration must know.
func (f *routeFlags) complete(q *routing.Query, cfg *config.Config) error {
	for _, way := range []struct {
		flag, name, kind string
		known            []string
		to               *string
	}{
		{"connector", f.connector, "Receive connector", append(receiveNames(cfg), config.SourcePickup, config.SourceReplay, config.SourceImport), &q.Source},
		{"fallback", f.fallback, "Send connector", sendNames(cfg), &q.Fallback},
	} {
		if way.name == "" {
			continue
		}
		i := slices.IndexFunc(way.known, func(n string) bool { return strings.EqualFold(n, way.name) })
		if i < 0 {
			return fmt.Errorf("--%s: there is no %s %q; there are %s", way.flag, way.kind, way.name, strings.Join(way.known, ", "))
		}
		*way.to = way.known[i]
	}
	return nil
}

func receiveNames(cfg *config.Config) []string {
	var names []string
	for i := range cfg.ReceiveConnectors {
		names = append(names, cfg.ReceiveConnectors[i].Name)
	}
	return names
}

func sendNames(cfg *config.Config) []string {
	var names []string
	for i := range cfg.SendConnectors {
		names = append(names, cfg.SendConnectors[i].Name)
	}
	return names
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

func (a *app) printDecision(q routing.Query, e *explained) {
	d := &e.Decision
	s := styleFor(a.out)
	size := ""
	if q.Size > 0 {
		size = ", " + config.FormatSize(q.Size)
	}
	if q.Source != "" {
		size += ", through " + q.Source
	}
	fmt.Fprintf(a.out, "From %s to %s%s\n\n", q.Sender.Path(), q.Recipient.Path(), size)
	if d.Connector != "" {
		fmt.Fprintf(a.out, "%s %s\n", s.green("Send connector:"), s.bold(d.Connector))
		a.printField("Next hop:       ", d.NextHop.String())
		if f := d.Fallback; f.Connector != "" {
			a.printField("Fallback:       ", f.Connector+", "+fallbackWords(f))
		}
	} else {
		fmt.Fprintln(a.out, s.red("No Send connector takes it."))
		word := "Waits with:     "
		if d.Problem.Refuses() {
			word = "Refused with:   "
		}
		a.printField(word, d.Reply.String())
	}
	a.printField("Why:            ", d.Reason)
	a.printField("Routed by:      ", fmt.Sprintf("%s, with restrictions = %q", e.Generation, e.Restrictions))
	if q.Fallback != "" && d.Connector != "" && d.FallbackOf == "" {
		a.printField("Note:           ", fmt.Sprintf("--fallback changes nothing: %q is no fallback of %q, or does not take the message.", q.Fallback, d.Connector))
	}
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
