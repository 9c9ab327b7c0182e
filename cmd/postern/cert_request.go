package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/config"
	"postern/internal/message"
	ptls "postern/tls"
)

// nameFlags are the flags that say for what a certificate is to be.
type nameFlags struct {
	connector, subject, friendly, key string
	domains                           []string
	accepted, kept                    bool
}

func (o *nameFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.connector, "connector", "", "the Receive connector whose FQDN it is for")
	f.StringSliceVar(&o.domains, "domain", nil, "more names, with commas between")
	f.BoolVar(&o.accepted, "include-accepted-domains", false, "the accepted domains too")
	f.StringVar(&o.subject, "subject", "", `the subject, such as C=US,O="Contoso, Ltd." (default: CN= and the first name)`)
	f.StringVar(&o.friendly, "friendly-name", "", "what to call it (default: the first name)")
	f.StringVar(&o.key, "key", string(ptls.KeyKinds()[0]), "kind of key: "+keyKinds())
	f.BoolVar(&o.kept, "not-exportable", false, "never let the key out of the store")
}

func keyKinds() string {
	var names []string
	for _, k := range ptls.KeyKinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

// requestOptions are the flags of "postern cert request".
type requestOptions struct {
	nameFlags
	outFlags
	yes bool
}

// outFlags say where a request goes.
type outFlags struct {
	out string
	der bool
}

func (o *outFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.out, "out", "", "the file to write the request to (default: standard output)")
	cmd.Flags().BoolVar(&o.der, "der", false, "write it in DER, not in PEM; needs --out")
}

func (o *outFlags) judge() error {
	if o.der && (o.out == "" || o.out == "-") {
		return errors.New("--der is binary, and needs --out FILE")
	}
	return nil
}

func (a *app) certRequest() *cobra.Command {
	var o requestOptions
	cmd := &cobra.Command{
		Use:   "request {--connector NAME | --domain NAME,...}",
		Short: "Make a key and the request for its certificate",
		Long: `Request makes a private key, which stays in the store, and a certificate request
(PKCS #10) to be sent to an authority. What the authority returns is put in with
"postern cert import".

With --connector the request is for the name that the connector greets with and
answers EHLO with, which is the one that mail exchangers' records and clients'
settings should have, and which it asks you to confirm; then for server.fqdn,
which Send connectors go by, and for the names of --domain. Accepted domains are
the right side of addresses, and no host is called so: only partners who look
for them in certificates need them (--include-accepted-domains). Names in other
scripts are written as A-labels.`,
		Example: `  postern cert request --connector "From Internet" --out edge.csr
  postern cert request --connector "From Internet" --domain mail.contoso.example \
      --subject 'C=US,O="Contoso, Ltd."' --friendly-name "Mail edge" --key ecdsa256 --out edge.csr`,
		Args: a.noArguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.judge(); err != nil {
				return usageError{err}
			}
			return a.changeCerts(func(c *certChange) error { return c.request(cmd.Context(), &o) })
		},
	}
	o.nameFlags.add(cmd)
	o.outFlags.add(cmd)
	cmd.Flags().BoolVar(&o.yes, "yes", false, "don't ask whether the FQDN is right")
	return cmd
}

// options turn the flags into what to ask for. The connector is nil where none
// is named.
func (o *nameFlags) options(cfg *config.Config) (ptls.RequestOptions, *config.ReceiveConnector, error) {
	var out ptls.RequestOptions
	kind, err := ptls.ParseKeyKind(o.key)
	if err != nil {
		return out, nil, usageError{fmt.Errorf("--key: %w", err)}
	}
	if o.subject != "" {
		if out.Subject, err = ptls.ParseSubject(o.subject); err != nil {
			return out, nil, usageError{fmt.Errorf("--subject: %w", err)}
		}
	}
	var r *config.ReceiveConnector
	if o.connector != "" {
		if r, err = mustReceive(cfg, o.connector); err != nil {
			return out, nil, err
		}
		out.Connector = r.Name
	} else if len(o.domains) == 0 {
		return out, nil, usageError{errors.New("say for what it is to be: --connector or --domain")}
	}
	if out.Names, err = o.names(cfg, r); err != nil {
		return out, nil, err
	}
	if out.FriendlyName = o.friendly; out.FriendlyName == "" {
		out.FriendlyName = out.Names[0]
	}
	out.Exportable = !o.kept
	out.Key, err = ptls.GenerateKey(kind)
	return out, r, err
}

// names proposes the names, the connector's own first.
func (o *nameFlags) names(cfg *config.Config, r *config.ReceiveConnector) ([]string, error) {
	var list []string
	if r != nil {
		if !strings.Contains(r.FQDN, ".") {
			return nil, fmt.Errorf("the connector %q answers as %q, which is no whole name, and for such no authority signs; write fqdn in the connector or under [server], such as edge.contoso.example", r.Name, r.FQDN)
		}
		list = append(list, r.FQDN)
		if strings.Contains(cfg.Server.FQDN, ".") {
			list = append(list, cfg.Server.FQDN)
		}
	}
	list = append(list, o.domains...)
	if o.accepted {
		for _, d := range cfg.AcceptedDomains {
			if d.Domain != "*" {
				list = append(list, d.Domain)
			}
		}
	}
	names, err := ptls.CertificateNames(list)
	if err != nil {
		return nil, usageError{err}
	}
	return names, nil
}

func (c *certChange) request(ctx context.Context, o *requestOptions) error {
	opts, r, err := o.options(c.cfg)
	if err != nil {
		return err
	}
	if r != nil {
		if err := c.confirmFQDN(r, &opts, o.yes); err != nil {
			return err
		}
	}
	for _, w := range c.Listing().Waiting {
		if sameNames(w.Names(), opts.Names) {
			c.find("remove it if it is not to be answered any more: postern cert remove "+w.ID()[:16], "another request waits for a certificate for the same names, %s", w.ID()[:16])
		}
	}
	c.warn()
	w, err := c.Request(opts)
	if err != nil {
		return err
	}
	return c.handOut(ctx, w, &o.outFlags)
}

func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// find adds a warning.
func (c *certChange) find(remedy, format string, args ...any) {
	c.findings = append(c.findings, config.Finding{Severity: config.Warning, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

// confirmFQDN says what name a connector answers with and what will be asked
// for, and has it confirmed: a certificate for another name is of no use.
func (c *certChange) confirmFQDN(r *config.ReceiveConnector, o *ptls.RequestOptions, yes bool) error {
	if !ptls.OffersTLS(r) {
		c.find(`add "tls" to its auth_mechanism`, "Receive connector %q offers no TLS, and shows no certificate", r.Name)
	}
	a := c.app
	fmt.Fprintf(a.err, "Receive connector %q greets and answers EHLO as\n  %s\n", r.Name, message.DomainKey(r.FQDN))
	fmt.Fprintf(a.err, "The certificate will be for\n")
	for _, n := range o.Names {
		fmt.Fprintf(a.err, "  %s\n", n)
	}
	if yes {
		return nil
	}
	return a.confirm("Do clients find it by that name, such as that of the MX record?")
}

// handOut carries out a plan with a request and gives that out. Should either
// fail nothing is left.
func (c *certChange) handOut(ctx context.Context, w *ptls.Waiting, o *outFlags) error {
	text := w.PEM()
	if o.der {
		text = w.Request.Raw
	}
	file := o.out != "" && o.out != "-"
	if file {
		if err := newFile(o.out, text, 0o644); err != nil {
			return err
		}
	}
	if err := c.Commit(); err != nil {
		if file {
			err = errors.Join(err, os.Remove(o.out))
		}
		return err
	}
	request := describeWaiting(w)
	if c.app.json() {
		return c.finish(ctx, certDone{Request: &request}, nil)
	}
	a := c.app
	if !file {
		if _, err := a.out.Write(text); err != nil {
			return err
		}
	}
	key := ptls.DescribeKey(w.Key.Public())
	where, what := a.err, "Send this to the authority." // beside the request itself
	if file {
		where, what = a.out, "The request is in "+clean(o.out)+"; send it to the authority."
	}
	say(where, fmt.Sprintf("%s Its key, %s, waits in the store as request %s, for %s.", what, key, w.ID()[:16], clean(strings.Join(w.Names(), ", "))))
	say(where, "Put in what the authority returns: postern cert import FILE")
	return nil
}

// newFile writes a file that must not be there yet, durably; of one that can't
// be finished nothing is left.
func newFile(path string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; remove it, or name another file", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// renewOptions are the flags of "postern cert renew".
type renewOptions struct {
	outFlags
	key string
	yes bool
}

func (a *app) certRenew() *cobra.Command {
	var o renewOptions
	cmd := &cobra.Command{
		Use:   "renew THUMBPRINT",
		Short: "Make what takes the place of a certificate: a request, or a new self-signed one",
		Long: `Renew makes a new key of the same kind and, with it, a request for a certificate
with the same subject, names and friendly name. When the answer is imported it
takes the place of the old one, for every connector that shows that.

Of a certificate that signs itself it makes a new one at once, valid as long as
the old one was. The old one stays until it is removed. The gateway's own
self-signed certificate needs no renewal: it is replaced a month before its end.`,
		Example: "  postern cert renew 0BF4E1A2 --out edge.csr",
		Args:    arguments("THUMBPRINT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.judge(); err != nil {
				return usageError{err}
			}
			return a.changeCerts(func(c *certChange) error { return c.renew(cmd.Context(), args[0], &o) })
		},
	}
	o.outFlags.add(cmd)
	cmd.Flags().StringVar(&o.key, "key", "", "kind of key (default: that of the old one): "+keyKinds())
	cmd.Flags().BoolVar(&o.yes, "yes", false, "don't ask whether connectors are to show a self-signed one")
	return cmd
}

func (c *certChange) renew(ctx context.Context, prefix string, o *renewOptions) error {
	old, err := lookUp(c.Listing(), prefix)
	if err != nil {
		return err
	}
	if old.Automatic() {
		return errors.New("the gateway makes this certificate and renews it by itself; one of your own: postern cert new, or postern cert request")
	}
	kind := ptls.KindOf(old.Leaf().PublicKey)
	if o.key != "" {
		if kind, err = ptls.ParseKeyKind(o.key); err != nil {
			return usageError{fmt.Errorf("--key: %w", err)}
		}
	}
	for _, w := range c.Listing().Waiting {
		if w.Renews == old.Thumbprint() {
			return fmt.Errorf("a request in its place waits already, %s; print it with \"postern cert show %s\", or remove it first", w.ID()[:16], w.ID()[:16])
		}
	}
	names, err := ptls.CertificateNames(old.Leaf().DNSNames)
	if err != nil {
		return fmt.Errorf("%s has no names that a request can have; make one anew: postern cert request", describe(old))
	}
	opts := ptls.RequestOptions{Names: names, RawSubject: old.Leaf().RawSubject, FriendlyName: old.FriendlyName, Exportable: old.Exportable, Renews: old.Thumbprint()}
	if opts.Key, err = ptls.GenerateKey(kind); err != nil {
		return err
	}
	if old.SelfSigned() {
		if o.out != "" {
			return usageError{errors.New("a certificate that signs itself is renewed at once, and there is no request for --out")}
		}
		return c.renewSelfSigned(ctx, old, opts, o.yes)
	}
	if names := c.assigned(old.Thumbprint()); len(names) > 0 {
		opts.Connector = names[0]
	}
	w, err := c.Request(opts)
	if err != nil {
		return err
	}
	return c.handOut(ctx, w, &o.outFlags)
}

func (c *certChange) renewSelfSigned(ctx context.Context, old *ptls.Entry, opts ptls.RequestOptions, yes bool) error {
	leaf, err := ptls.SelfSign(opts, min(old.Leaf().NotAfter.Sub(old.Leaf().NotBefore)-time.Hour, maxSelfSigned*24*time.Hour))
	if err != nil {
		return err
	}
	return c.install(ctx, ptls.Entry{Chain: []*x509.Certificate{leaf}, Key: opts.Key, FriendlyName: opts.FriendlyName, Exportable: opts.Exportable, Enabled: old.Enabled},
		c.assigned(old.Thumbprint()), yes)
}

// assigned are the connectors that a certificate is assigned to.
func (c *certChange) assigned(thumbprint string) []string {
	var names []string
	for name, t := range c.Assignments() {
		if t == thumbprint {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// install puts a certificate into the store that was made just now, and assigns
// it.
func (c *certChange) install(ctx context.Context, e ptls.Entry, connectors []string, yes bool) error {
	added, err := c.Add(e)
	if err != nil {
		return err
	}
	for _, name := range connectors {
		c.Assign(name, added.Thumbprint())
	}
	shifts, err := c.agree(yes)
	if err != nil {
		return err
	}
	if err := c.Commit(); err != nil {
		return err
	}
	answer := c.answer(added)
	return c.finish(ctx, certDone{Certificate: &answer}, shifts, fmt.Sprintf("Made %s, for %s.", describe(added), clean(strings.Join(added.Leaf().DNSNames, ", "))))
}

// answer is an entry as it will be after the change.
func (c *certChange) answer(e *ptls.Entry) certJSON {
	_, after := c.Choosers(c.cfg)
	return describeEntry(e, after.Uses(c.cfg, c.now), c.now)
}

// maxSelfSigned is how many days a self-signed certificate may be valid, and
// defaultSelfSigned how many it is.
const (
	maxSelfSigned     = 3650
	defaultSelfSigned = 365
)

func (a *app) certNew() *cobra.Command {
	var o nameFlags
	var days int
	var yes bool
	cmd := &cobra.Command{
		Use:   "new {--connector NAME | --domain NAME,...}",
		Short: "Make a certificate that signs itself, at once",
		Long: `New makes a private key and a certificate that signs itself, for the same names
as "postern cert request" would ask for. It is enabled, so that connectors may
choose it by its names, after every certificate that an authority issued; with
--connector it is also assigned to that connector.

Without it the gateway has a self-signed certificate all the same, which it
makes and renews by itself; this one is for those who want other names, another
key or another term, such as for hosts that pin it.`,
		Example: "  postern cert new --connector \"From partners\" --friendly-name \"Pinned by partners\" --key ecdsa256 --days 730",
		Args:    a.noArguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if days < 1 || days > maxSelfSigned {
				return usageError{fmt.Errorf("--days %d: want 1 to %d", days, maxSelfSigned)}
			}
			return a.changeCerts(func(c *certChange) error {
				opts, r, err := o.options(c.cfg)
				if err != nil {
					return err
				}
				leaf, err := ptls.SelfSign(opts, time.Duration(days)*24*time.Hour)
				if err != nil {
					return err
				}
				var connectors []string
				if r != nil {
					if err := c.mayAssign(r, "make it without --connector (postern cert new --domain), and write its thumbprint"); err != nil {
						return err
					}
					connectors = []string{r.Name}
				}
				return c.install(cmd.Context(), ptls.Entry{Chain: []*x509.Certificate{leaf}, Key: opts.Key, FriendlyName: opts.FriendlyName, Exportable: opts.Exportable, Enabled: true}, connectors, yes)
			})
		},
	}
	o.add(cmd)
	cmd.Flags().IntVar(&days, "days", defaultSelfSigned, "how many days it is valid")
	cmd.Flags().BoolVar(&yes, "yes", false, "don't ask whether connectors are to show it")
	return cmd
}
