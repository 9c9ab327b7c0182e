package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"postern/config"
	ptls "postern/tls"
)

// enableOptions are the flags of "postern cert enable" and "disable".
type enableOptions struct {
	connectors []string
	smtp, yes  bool
}

func (o *enableOptions) add(cmd *cobra.Command, smtp, connector string) {
	cmd.Flags().StringArrayVar(&o.connectors, "connector", nil, connector+"; may be repeated")
	cmd.Flags().BoolVar(&o.smtp, "smtp", false, smtp)
	cmd.Flags().BoolVar(&o.yes, "yes", false, "don't ask")
}

func (o *enableOptions) judge() error {
	if !o.smtp && len(o.connectors) == 0 {
		return usageError{errors.New("say for what: --connector NAME, or --smtp for every connector whose FQDN it is for")}
	}
	return nil
}

func (a *app) certEnable() *cobra.Command {
	var o enableOptions
	cmd := &cobra.Command{
		Use:   "enable THUMBPRINT {--connector NAME | --smtp}",
		Short: "Let connectors show a certificate",
		Long: `Enable lets Receive connectors show a certificate of the store: with --connector
the one that is named, whatever its FQDN; with --smtp each whose FQDN, or whose
client's SNI, is among the certificate's names, where nothing else is said. It
tells what it takes the place of, and asks. "postern cert disable" takes it
back.

What a connector has as tls_certificate in the configuration comes before it:
for such a connector the command refuses.`,
		Example: `  postern cert enable 0BF4E1A2 --connector "From Internet"
  postern cert enable 0BF4E1A2 --smtp --yes`,
		Args: arguments("THUMBPRINT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.judge(); err != nil {
				return err
			}
			return a.changeCerts(func(c *certChange) error { return c.enable(cmd.Context(), args[0], &o) })
		},
	}
	o.add(cmd, "enable it for every connector whose FQDN it is for", "enable it for this Receive connector")
	return cmd
}

// mayAssign says why a certificate can't be assigned to a connector: what the
// configuration says comes first. Instead says what else to do.
func (c *certChange) mayAssign(r *config.ReceiveConnector, instead string) error {
	if r.TLSCertificate == "" {
		return nil
	}
	return fmt.Errorf("the configuration says what Receive connector %q shows, tls_certificate = %q, and comes first; %s there, or take the line out, and postern reload", r.Name, r.TLSCertificate, instead)
}

func (c *certChange) enable(ctx context.Context, prefix string, o *enableOptions) error {
	e, err := lookUp(c.Listing(), prefix)
	switch {
	case err != nil:
		return err
	case e.Automatic():
		return errors.New("the gateway makes this certificate itself, and shows it where no other is for a connector; one of your own: postern cert new, or postern cert request")
	case e.Key == nil:
		return fmt.Errorf("%s can't be shown: its private key is not in the store; import it with its key", describe(e))
	}
	if err := e.Usable(c.now); err != nil {
		c.find("import the one that takes its place first", "%v", err)
	}
	if !ptls.ForServers(e.Leaf()) {
		c.find("ask for one with the extended key usage serverAuth", "it may not be used by servers: clients that check refuse it")
	}
	var lines []string
	for _, name := range o.connectors {
		r, err := mustReceive(c.cfg, name)
		if err == nil {
			err = c.mayAssign(r, fmt.Sprintf("write tls_certificate = %q", e.Thumbprint()))
		}
		if err != nil {
			return err
		}
		c.judgeConnector(r, e)
		c.Assign(r.Name, e.Thumbprint())
		lines = append(lines, fmt.Sprintf("%s is assigned to Receive connector %q.", describe(e), r.Name))
	}
	if o.smtp {
		if err := c.SetEnabled(e, true); err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("%s is enabled for every connector whose FQDN it is for.", describe(e)))
	}
	if o.smtp {
		return c.enabled(ctx, e, o.yes, lines, c.passedOver(e)...)
	}
	return c.enabled(ctx, e, o.yes, lines)
}

// passedOver says which connectors show another certificate although this one is
// for their FQDN, and what to do about it.
func (c *certChange) passedOver(e *ptls.Entry) (lines []string) {
	_, after := c.Choosers(c.cfg)
	for _, u := range after.Uses(c.cfg, c.now) {
		shown := u.Choice.Entry
		if shown == nil || usesEntry(&u, e) || e.Leaf().VerifyHostname(strings.ToLower(u.FQDN)) != nil {
			continue
		}
		why, remedy := clean(u.Choice.Reason), ""
		switch {
		case u.Choice.By == ptls.ByFQDN && u.Kind == "send" && (e.SelfSigned() || !ptls.ForClients(e.Leaf())):
			continue // it never shows one
		case u.Choice.By == ptls.ByFQDN:
			if why = shown.Ahead(e, u.FQDN, c.now); e.Usable(c.now) == nil {
				remedy = fmt.Sprintf("  postern cert disable %s --smtp", shown.Thumbprint()[:16])
			}
		}
		line := fmt.Sprintf("%s shows %s all the same: %s.", connectorOf(&u), describe(shown), why)
		if remedy != "" {
			line += " To have this one shown:"
			lines = append(lines, line, remedy)
			continue
		}
		lines = append(lines, line)
	}
	return lines
}

// judgeConnector warns where an assignment does less than it seems to.
func (c *certChange) judgeConnector(r *config.ReceiveConnector, e *ptls.Entry) {
	if e.Leaf().VerifyHostname(strings.ToLower(r.FQDN)) != nil {
		c.find("that is fine where clients don't look at the name, or know it by another; else set fqdn, or ask for one with that name",
			"Receive connector %q answers as %s, which is not among the certificate's names", r.Name, r.FQDN)
	}
	if !ptls.OffersTLS(r) {
		c.find(`add "tls" to its auth_mechanism`, "Receive connector %q offers no TLS, and shows no certificate", r.Name)
	}
	if !r.Enabled {
		c.find("it shows the certificate once it is enabled in the configuration", "Receive connector %q is disabled", r.Name)
	}
}

// enabled carries out what enable and disable have planned, and says what was
// done and what is worth knowing.
func (c *certChange) enabled(ctx context.Context, e *ptls.Entry, yes bool, lines []string, notes ...string) error {
	if c.Empty() {
		lines = []string{"Nothing is to be done: it is so already."}
	}
	shifts, err := c.agree(yes)
	if err != nil {
		return err
	}
	if err := c.Commit(); err != nil {
		return err
	}
	answer := c.answer(c.current(e))
	if len(shifts) == 0 && !c.Empty() {
		lines = append(lines, "No connector shows another certificate than before.")
	}
	return c.finish(ctx, certDone{Certificate: &answer}, shifts, append(lines, notes...)...)
}

// current is an entry as the plan leaves it.
func (c *certChange) current(e *ptls.Entry) *ptls.Entry {
	_, after := c.Choosers(c.cfg)
	if is, _, err := after.Listing().Lookup(e.Thumbprint()); err == nil && is != nil {
		return is
	}
	return e
}

func (a *app) certDisable() *cobra.Command {
	var o enableOptions
	cmd := &cobra.Command{
		Use:   "disable THUMBPRINT {--connector NAME | --smtp}",
		Short: "Take back what enable did",
		Long: `Disable takes a certificate away from a connector that it was assigned to
(--connector), or keeps connectors from choosing it by its names (--smtp). It
tells what they show instead, and asks. The certificate stays in the store.`,
		Example: `  postern cert disable 0BF4E1A2 --connector "From Internet"`,
		Args:    arguments("THUMBPRINT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.judge(); err != nil {
				return err
			}
			return a.changeCerts(func(c *certChange) error { return c.disable(cmd.Context(), args[0], &o) })
		},
	}
	o.add(cmd, "keep connectors from choosing it by its names", "take it away from this Receive connector")
	return cmd
}

func (c *certChange) disable(ctx context.Context, prefix string, o *enableOptions) error {
	e, err := lookUp(c.Listing(), prefix)
	if err != nil {
		return err
	}
	if e.Automatic() {
		return errors.New("the gateway makes this certificate itself, for connectors that no other is for; import one, or make one: postern cert new")
	}
	var lines []string
	for _, name := range o.connectors {
		if t := c.Assignments().For(name); t != e.Thumbprint() {
			return fmt.Errorf("%s is not assigned to Receive connector %q; \"postern cert list\" says why a connector shows it", describe(e), name)
		}
		c.Assign(name, "")
		lines = append(lines, fmt.Sprintf("%s is not assigned to Receive connector %q any more.", describe(e), name))
	}
	if o.smtp {
		if err := c.SetEnabled(e, false); err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("No connector chooses %s by its names any more.", describe(e)))
	}
	return c.enabled(ctx, e, o.yes, lines)
}
