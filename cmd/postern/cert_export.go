package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/message"
	ptls "postern/tls"
)

// exportOptions are the flags of "postern cert export".
type exportOptions struct {
	format, out, passwordFile string
	noKey                     bool
}

// exportedCert is the answer of "cert export" as JSON.
type exportedCert struct {
	Thumbprint string `json:"thumbprint"`
	Format     string `json:"format"`
	File       string `json:"file"`
	WithKey    bool   `json:"with_key"`
}

func (a *app) certExport() *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export THUMBPRINT --format pem|p12 --out FILE",
		Short: "Write a certificate with its chain and key to a file",
		Long: `Export writes a certificate with its chain and its key to a new file that only
its owner can read: as PKCS #12 (p12), encrypted with a password that it asks
for twice or reads from --password-file, or as PEM, whose key is not encrypted;
with --no-key without the key, as PEM. A key that was marked as not exportable
stays where it is.

--out - writes PEM to standard output; a key goes there only where that is no
terminal.`,
		Example: `  postern cert export 0BF4E1A2 --format p12 --out edge.p12
  postern cert export 0BF4E1A2 --format pem --no-key --out edge.pem`,
		Args: arguments("THUMBPRINT"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := o.judge(); err != nil {
				return usageError{err}
			}
			return a.exportCert(args[0], &o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "", "pem or p12 (required)")
	f.StringVar(&o.out, "out", "", "the file to write, which must not be there yet (required)")
	f.StringVar(&o.passwordFile, "password-file", "", "the file whose first line is the password of the p12 (default: asks)")
	f.BoolVar(&o.noKey, "no-key", false, "leave the key out")
	return cmd
}

func (o *exportOptions) judge() error {
	switch {
	case o.format != "pem" && o.format != "p12":
		return errors.New("--format: want pem or p12")
	case o.out == "":
		return errors.New("--out is missing; name the file to write")
	case o.format == "p12" && o.out == "-":
		return errors.New("a p12 is binary, and needs --out FILE")
	case o.format == "p12" && o.noKey:
		return errors.New("without a key there is nothing to encrypt; write --format pem")
	case o.format == "pem" && o.passwordFile != "":
		return errors.New("PEM has no password; write --format p12")
	}
	return nil
}

func (a *app) exportCert(prefix string, o *exportOptions) error {
	_, chooser, _, err := a.readCerts()
	if err != nil {
		return err
	}
	e, err := lookUp(chooser.Listing(), prefix)
	if err != nil {
		return err
	}
	if _, tty := terminal(a.out); tty && o.out == "-" && !o.noKey {
		return errors.New("a private key is not printed on a terminal; write --out FILE, or --no-key")
	}
	text, err := a.exportText(e, o)
	if errors.Is(err, ptls.ErrNotExportable) {
		return fmt.Errorf("%s stays in the store: %w; its certificate alone: --format pem --no-key", describe(e), err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", describe(e), err)
	}
	if o.out == "-" {
		_, err := a.out.Write(text)
		return err
	}
	if err := newFile(o.out, text, 0o600); err != nil {
		return err
	}
	if a.json() {
		return a.printJSON(exportedCert{e.Thumbprint(), o.format, o.out, !o.noKey})
	}
	what := "certificate, chain and key"
	if o.noKey {
		what = "certificate and chain, without the key"
	}
	fmt.Fprintf(a.out, "%s has %s\n", clean(o.out), what)
	a.printField("", "of "+describe(e)+".")
	if o.format == "pem" && !o.noKey {
		a.printField("", "The key in it is not encrypted: whoever reads the file can be your gateway.")
	}
	return nil
}

// exportText is what is written. What is refused is so before a password is
// asked for.
func (a *app) exportText(e *ptls.Entry, o *exportOptions) ([]byte, error) {
	if o.format == "pem" {
		return e.PEM(!o.noKey)
	}
	if _, err := e.PEM(true); err != nil {
		return nil, err
	}
	password, err := a.password(o.passwordFile, "", true)
	if err != nil {
		return nil, err
	}
	if password == "" {
		return nil, errors.New("a password has one character at least; where nobody is there to be asked, name a file whose first line it is: --password-file")
	}
	return e.PKCS12(password)
}

func (a *app) certRemove() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "remove THUMBPRINT",
		Short: "Remove a certificate with its key, or a request that waits",
		Long: `Remove deletes a certificate and its private key from the store, or a request
and the key that waits for its answer. It asks; there is no way back but a
backup. A certificate that a connector shows stays, and the answer says which:
enable another one first, or disable this one.`,
		Example: "  postern cert remove 0BF4E1A2",
		Args:    arguments("THUMBPRINT"),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.changeCerts(func(c *certChange) error { return c.removeCert(args[0], yes) })
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return cmd
}

// removedCert is the answer of "cert remove" as JSON.
type removedCert struct {
	Removed string   `json:"removed"`
	Files   []string `json:"files"`
}

func (c *certChange) removeCert(prefix string, yes bool) error {
	e, w, err := c.Listing().Lookup(prefix)
	if err != nil {
		return err
	}
	question, id, files := "", "", []string(nil)
	if w != nil {
		id, files = w.ID(), []string{w.File}
		question = fmt.Sprintf("Request %s for %s: what the authority returns for it will be of no use. Remove it with its key?", id[:16], clean(strings.Join(w.Names(), ", ")))
		c.RemoveWaiting(w)
	} else {
		if err := c.mayRemove(e, false); err != nil {
			return err
		}
		id, files = e.Thumbprint(), slices.Compact([]string{e.File, e.KeyFile})
		question = c.removal(e)
		c.Remove(e)
		for _, name := range c.assigned(id) {
			c.Assign(name, "") // of connectors that are gone
		}
	}
	if !yes {
		if err := c.app.confirm(question); err != nil {
			return err
		}
	}
	if err := c.Commit(); err != nil {
		return err
	}
	files = slices.DeleteFunc(files, func(f string) bool { _, err := os.Lstat(f); return f == "" || !errors.Is(err, fs.ErrNotExist) })
	if c.app.json() {
		return c.app.printJSON(removedCert{id, files})
	}
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	fmt.Fprintf(c.app.out, "Removed %s: %s\n", id[:16], clean(strings.Join(files, ", ")))
	return nil
}

// removal asks whether a certificate is to go, and says what goes with its key.
func (c *certChange) removal(e *ptls.Entry) string {
	switch other := c.Listing().KeyElsewhere(e); {
	case other != nil:
		return fmt.Sprintf("%s: remove it? Its key stays, with %s. There is no way back but a backup.", describe(e), other.Thumbprint()[:16])
	case e.SelfSigned() || e.Key == nil:
		return fmt.Sprintf("%s: remove it with its key? There is no way back but a backup.", describe(e))
	}
	return fmt.Sprintf("%s: remove it with its key? No other certificate in the store has that key, so that no other answer to the request for it could be imported. There is no way back but a backup.", describe(e))
}

// mayRemove refuses to remove what a connector shows, or would show once it is
// enabled because it is told to; once the plan is carried out, if planned.
func (c *certChange) mayRemove(e *ptls.Entry, planned bool) error {
	if e.Automatic() {
		return errors.New("the gateway makes this certificate itself, and would do so again; import one, or make one, and it is shown no more")
	}
	every := *c.cfg
	every.ReceiveConnectors, every.SendConnectors = slices.Clone(c.cfg.ReceiveConnectors), slices.Clone(c.cfg.SendConnectors)
	off := make(map[string]bool)
	for i := range every.ReceiveConnectors {
		r := &every.ReceiveConnectors[i]
		off["receive"+r.Name] = !r.Enabled
		r.Enabled = true
	}
	for i := range every.SendConnectors {
		s := &every.SendConnectors[i]
		off["send"+s.Name] = !s.Enabled
		s.Enabled = true
	}
	chooser, after := c.Choosers(&every)
	if planned {
		chooser = after
	}
	var reasons []string
	remedy, flags, byName := "", "", false
	for _, u := range chooser.Uses(&every, time.Now()) {
		told := u.Choice.By == ptls.ByConfiguration || u.Choice.By == ptls.ByAssignment
		if !usesEntry(&u, e) || off[u.Kind+u.Connector] && !told {
			continue
		}
		switch u.Choice.By {
		case ptls.ByAssignment:
			flags += fmt.Sprintf(" --connector %q", u.Connector)
			// Without the assignment it would be chosen by its names.
			byName = byName || e.Enabled && e.Leaf().VerifyHostname(message.DomainKey(u.FQDN)) == nil
		case ptls.ByFQDN:
			byName = true
		case ptls.ByConfiguration:
			remedy = "change tls_certificate in the configuration first, and postern reload"
		}
		reasons = append(reasons, fmt.Sprintf("%s (%s)", connectorOf(&u), u.Choice.Reason))
	}
	if len(reasons) == 0 {
		return nil
	}
	if byName {
		flags += " --smtp"
	}
	if flags != "" {
		if remedy != "" {
			remedy += "; then "
		}
		remedy += fmt.Sprintf("enable another one first, or disable this one: postern cert disable %s%s", e.Thumbprint()[:16], flags)
	}
	return fmt.Errorf("%s is in use by %s; %s", describe(e), strings.Join(reasons, ", and by "), remedy)
}
