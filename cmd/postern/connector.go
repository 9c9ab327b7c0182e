package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"postern/config"
	"postern/receive"
)

func (a *app) connector() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:     "connector",
		Short:   "List and show the connectors of the configuration",
		Example: "  postern connector list\n  postern connector show \"From Internet\"",
	})
	cmd.AddCommand(a.connectorList(), a.connectorShow())
	return cmd
}

// The kinds of connector.
const (
	kindReceive = "receive"
	kindSend    = "send"
)

// connectorRow is one connector of "connector list".
type connectorRow struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Enabled bool   `json:"enabled"`
	// Where a Receive connector listens and for whom; what a Send connector
	// takes and where it sends it.
	Bindings       []string `json:"bindings,omitempty"`
	RemoteIPRanges []string `json:"remote_ip_ranges,omitempty"`
	Rights         []string `json:"rights,omitempty"`
	AddressSpaces  []string `json:"address_spaces,omitempty"`
	// AddressSpacesFile has more of them; Scope is whose mail may be sent,
	// Fallback what takes over.
	AddressSpacesFile string   `json:"address_spaces_file,omitempty"`
	Scope             []string `json:"scope,omitempty"`
	Fallback          string   `json:"fallback,omitempty"`
	SmartHosts        []string `json:"smart_hosts,omitempty"`
	Port              uint16   `json:"port,omitempty"`
	TLS               string   `json:"tls"`
}

// takes says in a few words which mail a Send connector gets.
func (r *connectorRow) takes() string {
	var words []string
	if len(r.AddressSpaces) > 0 {
		words = append(words, strings.Join(r.AddressSpaces, " "))
	}
	if r.AddressSpacesFile != "" {
		words = append(words, "those in "+r.AddressSpacesFile)
	}
	if len(words) == 0 {
		return "as a fallback alone"
	}
	if len(r.Scope) > 0 {
		words = append(words, "from "+strings.Join(r.Scope, ", ")+" alone")
	}
	return strings.Join(words, ", ")
}

func rows(cfg *config.Config) []connectorRow {
	list := []connectorRow{}
	for i := range cfg.ReceiveConnectors {
		c := &cfg.ReceiveConnectors[i]
		r := connectorRow{Name: c.Name, Kind: kindReceive, Enabled: c.Enabled, TLS: receiveTLS(c), Rights: receive.RightsOf(c, 0).Names()}
		for _, b := range c.Bindings {
			r.Bindings = append(r.Bindings, b.String())
		}
		for _, g := range c.RemoteIPRanges {
			r.RemoteIPRanges = append(r.RemoteIPRanges, g.String())
		}
		list = append(list, r)
	}
	for i := range cfg.SendConnectors {
		c := &cfg.SendConnectors[i]
		r := connectorRow{Name: c.Name, Kind: kindSend, Enabled: c.Enabled, AddressSpaces: c.AddressSpaces, Port: c.Port, TLS: c.TLS,
			AddressSpacesFile: c.AddressSpacesFile, Scope: c.Scope, Fallback: c.Fallback}
		for _, h := range c.SmartHosts {
			r.SmartHosts = append(r.SmartHosts, h.String())
		}
		list = append(list, r)
	}
	return list
}

// receiveTLS says in a word when sessions are encrypted.
func receiveTLS(c *config.ReceiveConnector) string {
	switch {
	case c.ImplicitTLS:
		return "implicit"
	case c.RequireTLS:
		return "required"
	case len(c.AuthMechanism) == 1 && c.AuthMechanism[0] == "none":
		return "none"
	}
	return "offered"
}

func (a *app) connectorList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List all connectors",
		Example: "  postern connector list --config /etc/postern/postern.toml",
		Args:    a.noArguments(),
		RunE: func(*cobra.Command, []string) error {
			cfg, err := a.mustLoad()
			if err != nil {
				return err
			}
			list := rows(cfg)
			if a.json() {
				return a.printJSON(list)
			}
			a.printConnectors(list)
			return nil
		},
	}
}

func (a *app) printConnectors(list []connectorRow) {
	s := styleFor(a.out)
	in := &table{header: []string{"NAME", "BINDINGS", "FROM", "TLS", "RIGHTS OF A STRANGER"}}
	out := &table{header: []string{"NAME", "ADDRESS SPACES", "TLS", "NEXT HOP"}}
	for _, r := range list {
		name := r.Name
		if !r.Enabled {
			name += " (disabled)"
		}
		if r.Kind == kindReceive {
			in.add(name, strings.Join(r.Bindings, " "), strings.Join(r.RemoteIPRanges, " "), r.TLS, orNone(r.Rights))
			continue
		}
		hop := fmt.Sprintf("by MX, port %d", r.Port)
		if len(r.SmartHosts) > 0 {
			hop = strings.Join(r.SmartHosts, ", ")
		}
		out.add(name, r.takes(), r.TLS, hop)
	}
	fmt.Fprintln(a.out, s.bold("Receive connectors"))
	in.print(a.out)
	fmt.Fprintln(a.out, "\n"+s.bold("Send connectors"))
	out.print(a.out)
}

func orNone(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

// shown is the answer of "connector show".
type shown struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	// Rights are those of a session that has proved nothing.
	Rights []string `json:"rights,omitempty"`
	// Certificate is what clients of a Receive connector see who ask for no
	// name; null where there is none, or no certificate store to look at.
	Certificate *seenCertificate `json:"certificate,omitempty"`
	Settings    []config.Setting `json:"settings"`
}

func (a *app) connectorShow() *cobra.Command {
	var kind string
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show every setting of a connector, and which are defaults",
		Long: `Show prints every key of a connector with the value in force, whether the file
sets it or it is the default, and what it means; for a Receive connector also the
rights of a session that has not authenticated, and which certificate clients
see and why.

A Receive and a Send connector may have the same name; --kind tells them apart.`,
		Example: "  postern connector show \"From Internet\" --output json",
		Args:    arguments("NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			if kind != "" && kind != kindReceive && kind != kindSend {
				return usageError{fmt.Errorf("--kind %s: want %s or %s", kind, kindReceive, kindSend)}
			}
			cfg, err := a.mustLoad()
			if err != nil {
				return err
			}
			sh, err := find(cfg, args[0], kind)
			if err != nil {
				return err
			}
			if a.json() {
				return a.printJSON(sh)
			}
			a.printShown(sh)
			return nil
		},
	}
	cmd.Flags().StringVar(&kind, "kind", "", "receive or send")
	return cmd
}

// find looks a connector up by name, in any case.
func find(cfg *config.Config, name, kind string) (*shown, error) {
	var found []*shown
	if kind != kindSend {
		for i := range cfg.ReceiveConnectors {
			if c := &cfg.ReceiveConnectors[i]; strings.EqualFold(c.Name, name) {
				found = append(found, &shown{Name: c.Name, Kind: kindReceive, Rights: receive.RightsOf(c, 0).Names(), Certificate: seenBy(cfg, c, ""),
					Settings: cfg.Explain(fmt.Sprintf("receive_connector[%d]", i))})
			}
		}
	}
	if kind != kindReceive {
		for i := range cfg.SendConnectors {
			if c := &cfg.SendConnectors[i]; strings.EqualFold(c.Name, name) {
				found = append(found, &shown{Name: c.Name, Kind: kindSend, Settings: cfg.Explain(fmt.Sprintf("send_connector[%d]", i))})
			}
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		what := "connector"
		switch kind {
		case kindReceive:
			what = "Receive connector"
		case kindSend:
			what = "Send connector"
		}
		return nil, fmt.Errorf("no %s %q; \"postern connector list\" names them", what, name)
	}
	return nil, usageError{errors.New("a Receive and a Send connector have that name; add --kind receive or --kind send")}
}

func (a *app) printShown(sh *shown) {
	s := styleFor(a.out)
	fmt.Fprintf(a.out, "%s connector %s\n", strings.ToUpper(sh.Kind[:1])+sh.Kind[1:], s.bold(sh.Name))
	if sh.Kind == kindReceive {
		fmt.Fprintf(a.out, "Rights of a session that has not authenticated: %s\n", orNone(sh.Rights))
		a.printSeen("Certificate that clients see: ", sh.Certificate)
	}
	fmt.Fprintln(a.out)
	t := &table{header: []string{"KEY", "VALUE", "FROM", "MEANING"}}
	for _, set := range sh.Settings {
		from := "file"
		if set.Default {
			from = "default"
		}
		doc := set.Doc
		if set.Pending {
			doc += " (Not in effect yet.)"
		}
		t.add(set.Key, set.Text, from, doc)
	}
	t.print(a.out)
}
