package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) certShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show THUMBPRINT",
		Short: "Show all there is to know of a certificate, or print a request",
		Long: `Show prints everything about one certificate: names, dates, key, thumbprints,
chain, the files it stands in, and the connectors that show it. THUMBPRINT is
that of SHA-256, of which 8 digits do, or a whole one of SHA-1, as Windows shows
it.

Of a request that waits for its certificate it prints the request itself, too,
to be sent once more.`,
		Example: "  postern cert show 0BF4E1A2\n  postern cert show 0BF4E1A2 --output json",
		Args:    arguments("THUMBPRINT"),
		RunE: func(_ *cobra.Command, args []string) error {
			cfg, chooser, _, err := a.readCerts()
			if err != nil {
				return err
			}
			e, w, err := chooser.Listing().Lookup(args[0])
			if err != nil {
				return err
			}
			now := time.Now()
			if w != nil {
				return a.showWaiting(describeWaiting(w))
			}
			c := describeEntry(e, chooser.Uses(cfg, now), now)
			if a.json() {
				return a.printJSON(c)
			}
			a.printCert(&c)
			return nil
		},
	}
}

func (a *app) showWaiting(w waitJSON) error {
	if a.json() {
		return a.printJSON(w)
	}
	fmt.Fprintln(a.out, styleFor(a.out).bold(clean(w.FriendlyName))+": waits for its certificate")
	a.field("request", w.ID)
	a.field("subject", clean(w.Subject))
	a.field("names", clean(strings.Join(w.Names, ", ")))
	a.field("key", w.Key+exportableText(w.Exportable))
	if w.Requested != nil {
		a.field("requested", localTime(*w.Requested))
	}
	a.field("connector", clean(w.Connector))
	a.field("renews", w.Renews)
	a.field("file", clean(w.File))
	if w.Request != "" {
		fmt.Fprint(a.out, "\n"+w.Request)
	}
	return nil
}

func exportableText(exportable bool) string {
	if exportable {
		return ""
	}
	return ", not exportable"
}

func (a *app) printCert(c *certJSON) {
	fmt.Fprintln(a.out, styleFor(a.out).bold(clean(c.FriendlyName))+": "+strings.Join(c.Status, ", "))
	a.field("thumbprint", c.Thumbprint)
	a.field("SHA-1", c.SHA1)
	a.field("subject", clean(c.Subject))
	a.field("names", clean(orNone(c.Names)))
	a.field("issuer", clean(c.Issuer))
	a.field("serial", c.Serial)
	a.field("valid from", localTime(c.NotBefore))
	left := plural(c.DaysLeft, "day", "days") + " left"
	if c.DaysLeft < 0 {
		left = "expired"
	}
	a.field("valid until", fmt.Sprintf("%s, %s", localTime(c.NotAfter), left))
	key := c.Key + exportableText(c.Exportable)
	if !c.HasKey {
		key += ", whose private half is not in the store"
	}
	a.field("key", key)
	if len(c.Chain) == 0 && !c.SelfSigned {
		a.field("chain", "nothing above it, so that hosts have to know its issuer")
	}
	for i, x := range c.Chain {
		heading := ""
		if i == 0 {
			heading = "chain"
		}
		a.printField(fmt.Sprintf("  %-*s", fieldWidth, heading), clean(fmt.Sprintf("%s, until %s, issued by %s", x.Subject, x.NotAfter.Local().Format(time.DateOnly), x.Issuer)))
	}
	if len(c.UsedBy) == 0 {
		a.field("shown by", "no connector")
	}
	for i, u := range c.UsedBy {
		heading := ""
		if i == 0 {
			heading = "shown by"
		}
		a.printField(fmt.Sprintf("  %-*s", fieldWidth, heading), clean(fmt.Sprintf("%s connector %q: %s", u.Kind, u.Connector, u.Reason)))
	}
	a.field("file", clean(c.File))
	if c.KeyFile != c.File {
		a.field("key file", clean(c.KeyFile))
	}
	if c.Automatic {
		a.printField("", "The gateway makes this one and renews it by itself.")
	}
}
