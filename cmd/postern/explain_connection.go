package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"postern/config"
	"postern/receive"
	"postern/receive/logon"
)

// connectionAnswer is the answer of "explain connection".
type connectionAnswer struct {
	Local  string  `json:"local"`
	Remote string  `json:"remote"`
	Proxy  *string `json:"proxy"`
	// Notes are what else decides, such as a PROXY header that must be there.
	Notes      []string              `json:"notes"`
	Connector  *string               `json:"connector"`
	Reply      string                `json:"reply,omitempty"`
	Candidates []connectionCandidate `json:"candidates"`
	TLS        string                `json:"tls,omitempty"`
	// Certificate is what the client sees within TLS; null where there is none,
	// or no certificate store to look at.
	Certificate *seenCertificate `json:"certificate"`
	Auth        []authOffer      `json:"auth"`
	Stranger    *standing        `json:"stranger"`
	Proven      []standing       `json:"authenticated"`
	// Certified are clients by the domain that their certificate is for.
	Certified []standing     `json:"certified"`
	Limits    []limitSetting `json:"limits"`
}

type connectionCandidate struct {
	Name         string  `json:"name"`
	Binding      *string `json:"binding"`
	Range        *string `json:"remote_ip_range"`
	EliminatedBy *string `json:"eliminated_by"`
	Detail       string  `json:"detail"`
}

type authOffer struct {
	Value            string   `json:"auth_mechanism"`
	Mechanisms       []string `json:"mechanisms"`
	NeedsTLS         bool     `json:"needs_tls"`
	NeedsCertificate bool     `json:"needs_certificate"`
}

type standing struct {
	Group      string   `json:"group,omitempty"`
	Domain     string   `json:"certificate_domain,omitempty"`
	Groups     []string `json:"permission_groups"`
	Rights     []string `json:"rights"`
	Submits    bool     `json:"may_submit"`
	Relays     bool     `json:"may_relay"`
	Recipients []string `json:"recipient_domains"`
	AnySender  bool     `json:"any_sender"`
	SendsAs    []string `json:"sends_as"`
	NotTo      []string `json:"not_to"`
	NotAs      []string `json:"not_as"`
}

type limitSetting struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
	Unit  string `json:"unit,omitempty"`
	// Fixed tells that no key sets it.
	Fixed bool `json:"fixed"`
	text  string
}

// explainedLimits are the limits of a connection and a session, in the order
// in which they may be met, and then the rules that refuse what is within them.
var explainedLimits = []string{
	"max_inbound_connection", "max_inbound_connection_per_source", "max_inbound_connection_percentage_per_source", "max_connection_rate_per_minute",
	"connection_timeout", "connection_inactivity_timeout", "greeting_delay", "early_talker", "tarpit_interval", "auth_tarpit_interval", "max_protocol_errors", "max_idle_commands",
	"max_logon_failures", "max_logon_failures_per_source", "message_rate_limit", "message_rate_source", "max_recipients_per_message",
	"max_message_size", "max_header_size", "max_hop_count", "max_local_hop_count",
	"require_ehlo_domain", "ehlo_domain_validation", "default_domain", "accept_address_literals", "reject_reserved_top_level_recipient_domains",
	"reject_reserved_second_level_recipient_domains", "reject_single_label_recipient_domains", "bare_line_ends", "long_lines",
}

func (a *app) explainConnection() *cobra.Command {
	var proxy, serverName string
	cmd := &cobra.Command{
		Use:   "connection LOCAL REMOTE",
		Short: "Explain which Receive connector takes a connection, and what the client may do there",
		Long: `Explain connection says which Receive connector would take a connection from
REMOTE to LOCAL, why each of the others would not, and what the client may do
there: to whom it may send and as whom, before it has authenticated and after,
which certificate it sees within TLS and why, which mechanisms of AUTH there are,
and within which limits. --server-name is the name that the client asks for in
its handshake (SNI).

LOCAL is an address and port, REMOTE an address, with or without a port. With
--proxy the connection comes from that proxy, and REMOTE is the client that its
PROXY header names.

It needs the file alone: no running gateway, no DNS. Certificates are looked up
where there is a certificate store.`,
		Example: `  postern explain connection 192.0.2.10:25 198.51.100.7
  postern explain connection '[2001:db8::25]:587' 2001:db8:7::1 --output json
  postern explain connection 10.0.0.10:25 198.51.100.7 --proxy 10.0.0.5`,
		Args: arguments("LOCAL", "REMOTE"),
		RunE: func(_ *cobra.Command, args []string) error {
			local, err := netip.ParseAddrPort(args[0])
			if err != nil {
				return usageError{fmt.Errorf("LOCAL %q is no address and port: write it as 192.0.2.10:25 or [2001:db8::25]:25", args[0])}
			}
			remote, err := remoteAddress("REMOTE", args[1])
			if err != nil {
				return usageError{err}
			}
			var through netip.AddrPort
			if proxy != "" {
				if through, err = remoteAddress("--proxy", proxy); err != nil {
					return usageError{err}
				}
			}
			if proxy == "" && local.Addr().Unmap().Is4() != remote.Addr().Unmap().Is4() {
				return usageError{fmt.Errorf("LOCAL %s and REMOTE %s are of different families, and no connection has both: give two IPv4 or two IPv6 addresses", local, remote.Addr())}
			}
			cfg, err := a.mustLoad()
			if err != nil {
				return err
			}
			answer := explainConnection(cfg, local, remote, through)
			if i := slices.IndexFunc(cfg.ReceiveConnectors, func(c config.ReceiveConnector) bool { return answer.Connector != nil && c.Name == *answer.Connector }); i >= 0 {
				answer.Certificate = seenBy(cfg, &cfg.ReceiveConnectors[i], serverName)
			}
			if a.json() {
				return a.printJSON(answer)
			}
			a.printConnection(answer)
			return nil
		},
	}
	cmd.Flags().StringVar(&serverName, "server-name", "", "the name that the client asks for in its handshake (SNI)")
	cmd.Flags().StringVar(&proxy, "proxy", "", "the proxy that the connection comes through")
	return cmd
}

// remoteAddress reads an address that may have a port.
func remoteAddress(what, text string) (netip.AddrPort, error) {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap, nil
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%s %q is no address: write it as 198.51.100.7 or 2001:db8:7::1", what, text)
	}
	return netip.AddrPortFrom(a, 0), nil
}

func explainConnection(cfg *config.Config, local, remote, proxy netip.AddrPort) connectionAnswer {
	e := receive.Explain(cfg, local, remote)
	out := connectionAnswer{
		Local: local.String(), Remote: remote.Addr().String(), Reply: e.Reply,
		Notes: []string{}, Candidates: []connectionCandidate{}, Auth: []authOffer{}, Proven: []standing{}, Certified: []standing{}, Limits: []limitSetting{},
	}
	switch {
	case proxy.IsValid():
		text := proxy.Addr().String()
		out.Proxy = &text
		if receive.Select(cfg.ReceiveConnectors, local, proxy).Proxy == nil {
			out.Notes = append(out.Notes, fmt.Sprintf("%s is no proxy of %s: nothing of its PROXY header is believed (500), and the connection is its own. Name it in proxy_protocol_from.", text, local))
			direct := explainConnection(cfg, local, proxy, netip.AddrPort{})
			direct.Proxy, direct.Notes = out.Proxy, append(out.Notes, direct.Notes...)
			return direct
		}
	case e.Proxy != nil:
		out.Notes = append(out.Notes, fmt.Sprintf("%s is a proxy of connector %q: its connection must begin with a PROXY header, or is closed. What follows is for its own health checks; --proxy is for the clients that it brings.", out.Remote, e.Proxy.Name))
	}
	for i := range e.Candidates {
		out.Candidates = append(out.Candidates, candidateRow(&e.Candidates[i]))
	}
	if e.Connector == nil {
		return out
	}
	out.Connector, out.TLS = &e.Connector.Name, receiveTLS(e.Connector)
	for _, o := range e.Auth {
		out.Auth = append(out.Auth, authOffer{o.Value, o.Mechanisms, o.NeedsTLS, o.NeedsCertificate})
	}
	stranger := standingOf(e.Stranger)
	out.Stranger = &stranger
	for _, s := range e.Proven {
		out.Proven = append(out.Proven, standingOf(s))
	}
	for _, s := range e.Certified {
		out.Certified = append(out.Certified, standingOf(s))
	}
	out.Limits = limitsOf(cfg, e.Connector)
	return out
}

func candidateRow(c *receive.Candidate) connectionCandidate {
	row := connectionCandidate{Name: c.Connector.Name, Detail: c.Detail}
	if c.Binding.IsValid() {
		text := c.Binding.String()
		row.Binding = &text
	}
	if c.Range.From.IsValid() {
		text := c.Range.String()
		row.Range = &text
	}
	if c.EliminatedBy != "" {
		row.EliminatedBy = &c.EliminatedBy
	}
	return row
}

func standingOf(s receive.Standing) standing {
	return standing{
		Group: s.Group, Domain: s.Domain, Groups: nonNil(s.Groups), Rights: nonNil(s.Rights.Names()), Submits: s.Rights.Has(receive.Submit),
		Relays: s.Relays, Recipients: nonNil(s.Recipients), AnySender: s.AnySender, SendsAs: nonNil(s.SendsAs), NotTo: nonNil(s.NotTo), NotAs: nonNil(s.NotAs),
	}
}

// nonNil makes a list that JSON shows as one.
func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func limitsOf(cfg *config.Config, c *config.ReceiveConnector) []limitSetting {
	i := slices.IndexFunc(cfg.ReceiveConnectors, func(o config.ReceiveConnector) bool { return o.Name == c.Name })
	settings := cfg.Explain(fmt.Sprintf("receive_connector[%d]", i))
	var out []limitSetting
	for _, key := range explainedLimits {
		for _, s := range settings {
			if s.Key == key {
				out = append(out, limitSetting{Key: key, Value: s.Value, Unit: s.Unit, text: s.Text})
			}
		}
	}
	for _, l := range append(receive.FixedLimits(), receive.FixedLimit{Name: logon.LimitPasswordChecks, Value: logon.MaxPasswordChecks}) {
		text := strings.TrimSpace(fmt.Sprint(l.Value) + " " + l.Unit)
		out = append(out, limitSetting{Key: l.Name, Value: l.Value, Unit: l.Unit, Fixed: true, text: text + ", fixed"})
	}
	return out
}

func (a *app) printConnection(r connectionAnswer) {
	s := styleFor(a.out)
	via := ""
	if r.Proxy != nil {
		via = ", through the proxy " + *r.Proxy
	}
	fmt.Fprintf(a.out, "From %s to %s%s\n", r.Remote, r.Local, via)
	for _, n := range r.Notes {
		a.printField("Note:              ", n)
	}
	fmt.Fprintln(a.out)
	if r.Connector == nil {
		fmt.Fprintln(a.out, s.red("No Receive connector takes it."))
		if r.Reply != "" {
			a.printField("Refused with:      ", r.Reply)
		} else {
			a.printField("Refused:           ", "no connector is bound to "+r.Local+", so the gateway does not listen there, and the host refuses the connection")
		}
		fmt.Fprintln(a.out)
	} else {
		fmt.Fprintf(a.out, "%s %s\n", s.green("Receive connector:"), s.bold(*r.Connector))
		a.printField("TLS:               ", r.TLS)
		a.printSeen("Certificate:       ", r.Certificate)
		a.printField("AUTH:              ", authText(r.Auth))
		fmt.Fprintln(a.out)
		a.printStanding("A client that has not authenticated", *r.Stranger)
		for _, p := range r.Proven {
			a.printStanding("A client that has authenticated as one of "+p.Group, p)
		}
		for _, p := range r.Certified {
			a.printStanding("A client whose certificate is trusted and for "+p.Domain, p)
		}
	}
	t := &table{header: []string{"CONNECTOR", "BINDING", "RANGE", "ELIMINATED BY", "DETAIL"}}
	for _, c := range r.Candidates {
		t.add(c.Name, deref(c.Binding), deref(c.Range), deref(c.EliminatedBy), c.Detail)
	}
	t.print(a.out)
	if len(r.Limits) == 0 {
		return
	}
	fmt.Fprintln(a.out)
	limits := &table{header: []string{"LIMIT OR RULE", "VALUE"}}
	for _, l := range r.Limits {
		limits.add(l.Key, l.text)
	}
	limits.print(a.out)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// authText lists the mechanisms of AUTH with what they need.
func authText(offers []authOffer) string {
	var all []string
	for _, o := range offers {
		text := strings.Join(o.Mechanisms, ", ")
		switch {
		case o.NeedsCertificate:
			text += " (within TLS, with a certificate of the client's)"
		case o.NeedsTLS:
			text += " (within TLS)"
		}
		all = append(all, text)
	}
	if len(all) == 0 {
		return "not offered"
	}
	return strings.Join(all, "; ") + ". What no account can use is not offered."
}

func (a *app) printStanding(who string, p standing) {
	s := styleFor(a.out)
	fmt.Fprintln(a.out, s.bold(who))
	a.printField("  belongs to:      ", groupsText(p))
	a.printField("  may send to:     ", recipientsText(p))
	if len(p.NotTo) > 0 {
		a.printField("  but not to:      ", strings.Join(p.NotTo, ", ")+": authenticated senders alone (require_sender_authentication)")
	}
	a.printField("  may send as:     ", sendersText(p))
	if len(p.NotAs) > 0 {
		a.printField("  but not as:      ", strings.Join(p.NotAs, ", ")+": only with their certificate (domain_secure_enabled)")
	}
	a.printField("  rights:          ", orNone(p.Rights))
	fmt.Fprintln(a.out)
}

// groupsText names the permission groups of a session. Before it has
// authenticated, it is one of our servers by its address alone.
func groupsText(p standing) string {
	if p.Group == "" && slices.Contains(p.Groups, "servers") {
		return strings.Join(p.Groups, ", ") + ", by its address alone (external_authoritative)"
	}
	return orNone(p.Groups)
}

func recipientsText(p standing) string {
	switch {
	case !p.Submits:
		return "nobody: it may not submit"
	case p.Relays:
		return "anybody: it may relay"
	case len(p.Recipients) == 0:
		return "<postmaster> alone: there are no accepted domains"
	}
	return "the accepted domains alone: " + strings.Join(p.Recipients, ", ")
}

func sendersText(p standing) string {
	switch {
	case !p.Submits:
		return "nobody"
	case p.AnySender && len(p.SendsAs) > 0:
		return "anybody, with our domains " + strings.Join(p.SendsAs, ", ")
	case p.AnySender && slices.Contains(p.Rights, receive.AcceptAuthoritativeDomainSender.String()):
		return "anybody"
	case p.AnySender:
		return "anybody but us: no sender in our domains"
	case p.Group == "":
		return "<> alone: no sender is proven to be its own"
	}
	return "whom it has proven to be, and <>"
}
