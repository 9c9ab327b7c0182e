package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"postern/config"
	"postern/internal/message"
	"postern/internal/secret"
	ptls "postern/tls"
)

// importOptions are the flags of "postern cert import".
type importOptions struct {
	passwordFile, friendly string
	kept, smtp             bool
	connectors             []string
	installOnly, yes       bool
}

// maxImport bounds a file that is imported, in octets.
const maxImport = 4 << 20

func (a *app) certImport() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Put a certificate into the store: what an authority returned, or a PKCS #12",
		Long: `Import reads a certificate and what comes with it: PEM in any order, DER, PKCS
#7 (.p7b, in PEM or DER), PKCS #12 (.pfx, .p12) with its key. It joins the
certificate with the key that waits for it, completes the chain from the file
and from what the store has (nothing is fetched), and says what is missing.
Certificates that can't be presented are refused: without a key, with a key that
is too short, and those of authorities. To import a file again changes nothing.

A certificate is not shown before it is enabled: with --smtp connectors may
choose it by its names, with --connector one is told to show it; "postern cert
enable" does the same later. The answer to a renewal takes the place of the old
certificate at once, unless --install-only is given.`,
		Example: `  postern cert import edge.p7b
  postern cert import edge.pfx --password-file edge.pass --friendly-name "Mail edge"
  postern cert import edge.pem --connector "From Internet" --yes`,
		Args: arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			bundle, err := a.readBundle(args[0], o.passwordFile)
			if err != nil {
				return err
			}
			return a.changeCerts(func(c *certChange) error { return c.importBundle(cmd.Context(), args[0], bundle, &o) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.passwordFile, "password-file", "", "the file whose first line is the password (default: asks)")
	f.StringVar(&o.friendly, "friendly-name", "", "what to call it (default: as the request or the file does)")
	f.BoolVar(&o.kept, "not-exportable", false, "never let the key out of the store")
	f.BoolVar(&o.smtp, "smtp", false, "enable it for every connector whose FQDN it is for")
	f.StringArrayVar(&o.connectors, "connector", nil, "enable it for this Receive connector; may be repeated")
	f.BoolVar(&o.installOnly, "install-only", false, "leave everything as it is, even where it answers a renewal")
	f.BoolVar(&o.yes, "yes", false, "don't ask")
	return cmd
}

// readBundle reads a file of certificates and keys.
func (a *app) readBundle(path, passwordFile string) (*ptls.Bundle, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxImport+1))
	if err != nil {
		return nil, err
	}
	bundle, err := ptls.ParseBundle(data, func() (string, error) {
		return a.password(passwordFile, "Password of "+clean(path)+": ", false)
	})
	if errors.Is(err, ptls.ErrPassword) {
		return nil, fmt.Errorf("%s: %w; nothing was changed", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return bundle, nil
}

// maxPasswordFile bounds a file with a password, in octets.
const maxPasswordFile = 4 << 10

// password reads the first line of a file that nobody else may read, or asks,
// twice where a new one is made; what is no terminal is read for its first line.
func (a *app) password(file, prompt string, twice bool) (string, error) {
	if file != "" {
		text, err := secret.Read(file, maxPasswordFile)
		if err != nil {
			return "", fmt.Errorf("--password-file: %w", err)
		}
		line, _, _ := strings.Cut(string(text), "\n")
		return strings.TrimSuffix(line, "\r"), nil
	}
	if twice {
		return a.readPassword()
	}
	f, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(a.in, maxPasswordFile)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the password: %w", err)
		}
		if line == "" {
			return "", usageError{errors.New("the file has a password, and nobody is there to ask; name a file with it: --password-file")}
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	fmt.Fprint(a.err, prompt)
	defer fmt.Fprintln(a.err)
	p, err := term.ReadPassword(int(f.Fd()))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(p), nil
}

func (c *certChange) importBundle(ctx context.Context, file string, bundle *ptls.Bundle, o *importOptions) error {
	options := ptls.ImportOptions{FriendlyName: o.friendly, NotExportable: o.kept, Enabled: o.smtp, Connectors: c.cfg.ReceiveConnectors}
	if err := c.inherit(bundle, o, &options); err != nil {
		return err
	}
	im, err := c.Import(bundle, options)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	c.findings = append(c.findings, im.Findings...)
	for _, name := range o.connectors {
		r, err := mustReceive(c.cfg, name)
		if err == nil {
			err = c.mayAssign(r, fmt.Sprintf("import it without --connector, and write tls_certificate = %q", im.Entry.Thumbprint()))
		}
		if err != nil {
			return err
		}
		c.Assign(r.Name, im.Entry.Thumbprint())
	}
	if im.Replaces != nil && !o.installOnly {
		if err := c.takeOver(im.Replaces, im.Entry); err != nil {
			return err
		}
	}
	shifts, err := c.agree(o.yes)
	if err != nil {
		return err
	}
	nothing := c.Empty()
	if err := c.Commit(); err != nil {
		return err
	}
	answer := c.answer(im.Entry)
	return c.finish(ctx, certDone{Certificate: &answer}, shifts, c.importText(im, &answer, nothing)...)
}

// inherit lets the answer to a renewal be enabled as the old certificate is.
func (c *certChange) inherit(bundle *ptls.Bundle, o *importOptions, options *ptls.ImportOptions) error {
	if o.installOnly && (o.smtp || len(o.connectors) > 0) {
		return usageError{errors.New("--install-only enables nothing, and --smtp and --connector do; write one or the other")}
	}
	if old := c.Renewed(bundle); old != nil && !o.installOnly {
		options.Enabled = options.Enabled || old.Enabled
	}
	return nil
}

// takeOver assigns a certificate to the connectors that the one it renews is
// assigned to, lets it be chosen before that by the names, and says where the
// configuration names the old one. One that is not valid yet takes over what goes
// by names alone, and when it is.
func (c *certChange) takeOver(old, next *ptls.Entry) error {
	for _, name := range c.assigned(old.Thumbprint()) {
		if c.now.Before(next.Leaf().NotBefore) {
			c.find(fmt.Sprintf("enable it then: postern cert enable %s --connector %q", next.Thumbprint()[:16], name), "Receive connector %q, to which the old certificate is assigned, keeps that until the new one is valid", name)
			continue
		}
		c.Assign(name, next.Thumbprint())
	}
	if !c.namedByFriendlyName(old) || next.Has(old.FriendlyName) {
		if _, err := c.Supersede(old, next, c.now); err != nil {
			return err
		}
	}
	pinned := func(kind, name, certificate string) {
		if e, _, err := c.Listing().Lookup(certificate); err == nil && e != nil && sameEntry(e, old) {
			c.find(fmt.Sprintf("write tls_certificate = %q there, and postern reload", next.Thumbprint()),
				"the configuration names the old certificate for %s connector %q by its thumbprint, which stays as it is", kind, name)
		}
	}
	for i := range c.cfg.ReceiveConnectors {
		pinned("Receive", c.cfg.ReceiveConnectors[i].Name, c.cfg.ReceiveConnectors[i].TLSCertificate)
	}
	for i := range c.cfg.SendConnectors {
		pinned("Send", c.cfg.SendConnectors[i].Name, c.cfg.SendConnectors[i].TLSCertificate)
	}
	return nil
}

// served reports whether a certificate is for the FQDN of a Receive connector
// that offers TLS.
func (c *certChange) served(e *ptls.Entry) bool {
	return slices.ContainsFunc(c.cfg.ReceiveConnectors, func(r config.ReceiveConnector) bool {
		return r.Enabled && ptls.OffersTLS(&r) && e.Leaf().VerifyHostname(message.DomainKey(r.FQDN)) == nil
	})
}

// likely is the Receive connector that a certificate may be meant for: the only
// one that offers TLS and that assignments count for; else NAME.
func (c *certChange) likely() string {
	found := ""
	for i := range c.cfg.ReceiveConnectors {
		if r := &c.cfg.ReceiveConnectors[i]; r.Enabled && ptls.OffersTLS(r) && r.TLSCertificate == "" {
			if found != "" {
				return "NAME"
			}
			found = r.Name
		}
	}
	return cmp.Or(found, "NAME")
}

// namedByFriendlyName reports whether the configuration calls an entry by its
// friendly name.
func (c *certChange) namedByFriendlyName(e *ptls.Entry) bool {
	return slices.ContainsFunc(c.cfg.ReceiveConnectors, func(r config.ReceiveConnector) bool { return strings.EqualFold(r.TLSCertificate, e.FriendlyName) }) ||
		slices.ContainsFunc(c.cfg.SendConnectors, func(s config.SendConnector) bool { return strings.EqualFold(s.TLSCertificate, e.FriendlyName) })
}

// replacedText says what becomes of the certificate that another was requested
// in the place of.
func (c *certChange) replacedText(old, next *ptls.Entry) (lines []string) {
	_, after := c.Choosers(c.cfg)
	for _, u := range after.Uses(c.cfg, c.now) {
		if usesEntry(&u, old) && !usesEntry(&u, next) {
			why := u.Choice.Reason
			if u.Choice.By == ptls.ByFQDN && u.Kind == "send" && !ptls.ForClients(next.Leaf()) {
				why = "the new one may not be used by clients"
			} else if u.Choice.By == ptls.ByFQDN {
				why = old.Ahead(next, u.FQDN, c.now)
			}
			lines = append(lines, fmt.Sprintf("%s goes on showing the old one, %s: %s.", connectorOf(&u), old.Thumbprint()[:16], clean(why)))
		}
	}
	if c.mayRemove(old, true) == nil {
		if old.Enabled && !c.current(old).Enabled {
			lines = append(lines, "The old one is not chosen by its names any more, although it was issued later.")
		}
		lines = append(lines, "The old one stays in the store until it is removed:", fmt.Sprintf("  postern cert remove %s", old.Thumbprint()[:16]))
	}
	return lines
}

// connectorOf names the connector of a use at the beginning of a sentence.
func connectorOf(u *ptls.Use) string {
	what := "Receive"
	if u.Kind == "send" {
		what = "Send"
	}
	return fmt.Sprintf("%s connector %q", what, u.Connector)
}

// importText says what an import came to and what is next.
func (c *certChange) importText(im *ptls.Imported, answer *certJSON, nothing bool) []string {
	what := "Imported "
	switch {
	case nothing:
		what = "The store has it already: "
	case im.Known:
		what = "Completed "
	}
	key := "; its key came with it"
	if im.Joined != nil {
		key = fmt.Sprintf("; its key waited as request %s", im.Joined.ID()[:16])
	} else if nothing || im.Known {
		key = ""
	} else if im.Shares != nil {
		key = fmt.Sprintf("; its key is that of %s", im.Shares.Thumbprint()[:16])
	}
	lines := []string{what + describe(im.Entry) + ", for " + clean(strings.Join(ptls.Names(im.Entry.Leaf()), ", ")) + key + "."}
	if n := len(answer.Chain); n > 0 {
		lines = append(lines, fmt.Sprintf("%s above it %s sent along.", plural(n, "certificate", "certificates"), map[bool]string{true: "is", false: "are"}[n == 1]))
	}
	if len(answer.UsedBy) == 0 {
		next := "--smtp"
		if !c.served(im.Entry) {
			next = fmt.Sprintf("--connector %q", c.likely())
		}
		if im.Joined != nil && receiveConnector(c.cfg, im.Joined.Connector) != nil {
			next = fmt.Sprintf("--connector %q", im.Joined.Connector)
		}
		if !im.Entry.Enabled && c.now.Before(im.Entry.Leaf().NotAfter) {
			lines = append(lines, "No connector shows it yet. To let it be shown:", fmt.Sprintf("  postern cert enable %s %s", im.Entry.Thumbprint()[:16], next))
		}
	}
	if im.Replaces != nil && im.Entry.Enabled {
		lines = append(lines, c.replacedText(im.Replaces, im.Entry)...)
	}
	return lines
}
