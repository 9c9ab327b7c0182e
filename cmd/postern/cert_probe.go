package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/config"
	"postern/internal/message"
	"postern/routing"
	"postern/send"
	ptls "postern/tls"
)

// probeOptions are the flags of "postern cert test".
type probeOptions struct {
	connector, domain      string
	mx, starttls, implicit bool
	patience               time.Duration
}

func (a *app) certTest() *cobra.Command {
	var o probeOptions
	cmd := &cobra.Command{
		Use:   "test HOST[:PORT]",
		Short: "Speak TLS to a next hop, and say what each level would make of it",
		Long: `Test connects to a next hop as a delivery would - with the names, source addresses,
authorities and certificates of a Send connector - and goes as far as EHLO over
TLS. It sends no mail and logs on to nobody. It prints what was negotiated, which
certificates the host presented and what they prove, whether the host asks for a
certificate of ours and which one it gets, what it offers in clear and over TLS,
and what becomes of mail under each level of TLS, with the lines for the
configuration that choose another level for the domain.

The Send connector is the one that has HOST among its smart hosts, else the one
that takes mail for --domain, or for HOST. With --mx HOST is a domain, and each of
its mail exchangers is tested.

The exit code is 0 when TLS works as the configuration asks, at each host, and 1
when it does not: also when TLS is to be used where it can be had, and can't.`,
		Example: `  postern cert test mx.fabrikam.example --domain fabrikam.example
  postern cert test fabrikam.example --mx
  postern cert test hub1.corp.contoso.example:25 --connector "To organization"
  postern cert test smtp.provider.example:465 --implicit --output json`,
		Args: arguments("HOST[:PORT]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := o.test(args[0])
			if err != nil {
				return usageError{err}
			}
			cfg, err := a.mustLoad()
			if err != nil {
				return err
			}
			if t.Connector, err = o.choose(cfg, t); err != nil {
				return usageError{err}
			}
			return a.runCertTest(cmd.Context(), cfg, o.patience, t)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.connector, "connector", "", "the Send connector whose settings are asked")
	f.StringVar(&o.domain, "domain", "", "the recipients' domain, by which overrides and domain validation go")
	f.BoolVar(&o.mx, "mx", false, "HOST is a domain: test each of its mail exchangers")
	f.BoolVar(&o.starttls, "starttls", false, "TLS begins with STARTTLS, whatever the connector says")
	f.BoolVar(&o.implicit, "implicit", false, "TLS begins with the first octet, whatever the connector says")
	f.DurationVar(&o.patience, "timeout", 30*time.Second, "how long each phase of a connection may take")
	return cmd
}

// test reads the argument and the flags.
func (o *probeOptions) test(arg string) (send.TLSTest, error) {
	t := send.TLSTest{MX: o.mx, Domain: o.domain}
	var err error
	if t.Host, t.Port, err = splitHost(arg); err != nil {
		return t, err
	}
	literal := strings.HasPrefix(o.domain, "[")
	switch {
	case o.starttls && o.implicit:
		return t, errors.New("--starttls and --implicit exclude each other")
	case o.mx && o.domain != "" && message.DomainKey(o.domain) != message.DomainKey(t.Host):
		return t, errors.New("with --mx the domain is HOST; leave --domain out")
	case o.mx && isAddress(t.Host):
		return t, fmt.Errorf("--mx: %s is no domain", t.Host)
	case o.domain != "" && message.CheckDomain(message.DomainKey(o.domain), literal) != nil:
		return t, fmt.Errorf("--domain %s is no domain", o.domain)
	case o.patience <= 0 || o.patience > 10*time.Minute:
		return t, fmt.Errorf("--timeout %v: write a time up to 10m", o.patience)
	case o.starttls:
		t.Begins = send.BySTARTTLS
	case o.implicit:
		t.Begins = send.ByImplicit
	}
	return t, nil
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// splitHost reads a name or an address, in brackets or not, with a port or
// without.
func splitHost(arg string) (host string, port uint16, err error) {
	host = arg
	if h, p, err := net.SplitHostPort(arg); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return "", 0, fmt.Errorf("%q: %q is no port between 1 and 65535", arg, p)
		}
		host, port = h, uint16(n)
	} else if h, ok := strings.CutPrefix(arg, "["); ok {
		host = strings.TrimPrefix(strings.TrimSuffix(h, "]"), "IPv6:")
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return a.WithZone("").Unmap().String(), port, nil
	}
	if err := message.CheckDomain(message.DomainKey(host), false); err != nil {
		return "", 0, fmt.Errorf("%q is neither a host's name nor an address: %w", arg, err)
	}
	return host, port, nil
}

// choose finds the Send connector: by its name, by its smart hosts, or by the
// mail that it takes.
func (o *probeOptions) choose(cfg *config.Config, t send.TLSTest) (string, error) {
	if o.connector != "" {
		names := sendNames(cfg)
		i := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, o.connector) })
		if i < 0 {
			return "", fmt.Errorf("--connector: there is no Send connector %q; there are %s", o.connector, strings.Join(names, ", "))
		}
		return names[i], nil
	}
	for i := range cfg.SendConnectors {
		c := &cfg.SendConnectors[i]
		if c.Enabled && !o.mx && slices.ContainsFunc(c.SmartHosts, func(h config.SmartHost) bool {
			return message.DomainKey(h.Host) == message.DomainKey(t.Host) && (t.Port == 0 || h.Port == 0 || h.Port == t.Port)
		}) {
			return c.Name, nil
		}
	}
	domain := t.Domain
	if domain == "" {
		domain = t.Host
	}
	if a, err := netip.ParseAddr(domain); err == nil {
		domain = message.Literal(a)
	}
	table, _ := routing.New(cfg)
	d := table.Explain(routing.Query{Recipient: message.Address{Local: "postmaster", Domain: domain}})
	if d.Connector == "" {
		return "", fmt.Errorf("no Send connector takes mail for %s: %s; name one with --connector", domain, d.Reply.Text)
	}
	return d.Connector, nil
}

func (a *app) runCertTest(ctx context.Context, cfg *config.Config, patience time.Duration, t send.TLSTest) error {
	r, err := send.NewTLSTest(ctx, cfg, ptls.StoreDirectory(cfg), patience, t)
	if err != nil {
		return err
	}
	if a.json() {
		err = a.printJSON(struct {
			OK bool `json:"ok"`
			*send.TLSReport
		}{r.OK(), r})
	} else {
		a.printTLSReport(r)
	}
	if err == nil && !r.OK() {
		err = errReported
	}
	return err
}
