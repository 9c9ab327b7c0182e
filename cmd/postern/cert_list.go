package main

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/config"
	ptls "postern/tls"
)

// certJSON is a certificate of the store.
type certJSON struct {
	Thumbprint   string    `json:"thumbprint"`
	SHA1         string    `json:"thumbprint_sha1"`
	FriendlyName string    `json:"friendly_name"`
	Subject      string    `json:"subject"`
	Names        []string  `json:"names"`
	Issuer       string    `json:"issuer"`
	Serial       string    `json:"serial"`
	NotBefore    time.Time `json:"not_before"`
	NotAfter     time.Time `json:"not_after"`
	// DaysLeft are rounded; negative when it has expired.
	DaysLeft   int    `json:"days_left"`
	Key        string `json:"key"`
	SelfSigned bool   `json:"self_signed"`
	// Automatic: the gateway makes and renews it by itself.
	Automatic  bool      `json:"automatic"`
	HasKey     bool      `json:"has_key"`
	Exportable bool      `json:"exportable"`
	Enabled    bool      `json:"enabled"`
	Status     []string  `json:"status"`
	UsedBy     []usedBy  `json:"used_by"`
	Chain      []chained `json:"chain"`
	File       string    `json:"file"`
	KeyFile    string    `json:"key_file,omitempty"`
}

// usedBy is a connector that shows a certificate.
type usedBy struct {
	Kind      string `json:"kind"`
	Connector string `json:"connector"`
	By        string `json:"by"`
	Reason    string `json:"reason"`
}

// chained is a certificate above another.
type chained struct {
	Thumbprint string    `json:"thumbprint"`
	Subject    string    `json:"subject"`
	Issuer     string    `json:"issuer"`
	NotAfter   time.Time `json:"not_after"`
}

// waitJSON is a key that waits for its certificate.
type waitJSON struct {
	ID           string     `json:"id"`
	FriendlyName string     `json:"friendly_name"`
	Subject      string     `json:"subject"`
	Names        []string   `json:"names"`
	Key          string     `json:"key"`
	Exportable   bool       `json:"exportable"`
	Connector    string     `json:"connector,omitempty"`
	Renews       string     `json:"renews,omitempty"`
	Requested    *time.Time `json:"requested,omitempty"`
	File         string     `json:"file"`
	// Request is the PKCS #10 in PEM; empty for a key without one.
	Request string `json:"request,omitempty"`
}

// certListJSON is the answer of "cert list".
type certListJSON struct {
	Certificates []certJSON `json:"certificates"`
	Waiting      []waitJSON `json:"waiting"`
	// Unserved are the Receive connectors that no certificate is for, or whose
	// certificate is not as it should be.
	Unserved []unserved `json:"unserved"`
	Problems []string   `json:"problems"`
}

// unserved is a Receive connector for which the self-signed certificate stands
// in, or whose certificate can't be used or is turned away by clients.
type unserved struct {
	Connector string `json:"connector"`
	FQDN      string `json:"fqdn"`
	Problem   string `json:"problem"`
	Remedy    string `json:"remedy"`
}

// describeEntry is an entry as the commands answer it.
func describeEntry(e *ptls.Entry, uses []ptls.Use, now time.Time) certJSON {
	leaf := e.Leaf()
	c := certJSON{
		Thumbprint: e.Thumbprint(), SHA1: ptls.SHA1Thumbprint(leaf), FriendlyName: e.FriendlyName, Subject: leaf.Subject.String(),
		Names: append([]string{}, leaf.DNSNames...), Issuer: leaf.Issuer.String(), Serial: strings.ToUpper(hex.EncodeToString(leaf.SerialNumber.Bytes())),
		NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC(), DaysLeft: daysLeft(leaf.NotAfter, now), Key: ptls.DescribeKey(leaf.PublicKey),
		SelfSigned: e.SelfSigned(), Automatic: e.Automatic(), HasKey: e.Key != nil, Exportable: e.Exportable, Enabled: e.Enabled,
		UsedBy: []usedBy{}, Chain: []chained{}, File: e.File, KeyFile: e.KeyFile,
	}
	for _, x := range e.Chain[1:] {
		c.Chain = append(c.Chain, chained{ptls.Thumbprint(x), x.Subject.String(), x.Issuer.String(), x.NotAfter.UTC()})
	}
	for i := range uses {
		if u := &uses[i]; usesEntry(u, e) {
			c.UsedBy = append(c.UsedBy, usedBy{u.Kind, u.Connector, string(u.Choice.By), u.Choice.Reason})
		}
	}
	c.Status = status(e, len(c.UsedBy) > 0, now)
	return c
}

// usesEntry reports whether a connector shows an entry, or the same certificate
// in another file.
func usesEntry(u *ptls.Use, e *ptls.Entry) bool {
	if u.Has(e) {
		return true
	}
	is := u.Choice.Entry
	return is != nil && is.File != e.File && is.Thumbprint() == e.Thumbprint()
}

// daysLeft are the days until a moment, rounded, negative behind it.
func daysLeft(t, now time.Time) int { return int(t.Sub(now).Round(day) / day) }

// status says in words how it stands with a certificate.
func status(e *ptls.Entry, used bool, now time.Time) []string {
	var words []string
	add := func(is bool, word string) {
		if is {
			words = append(words, word)
		}
	}
	leaf := e.Leaf()
	add(now.After(leaf.NotAfter), "expired")
	add(now.Before(leaf.NotBefore), "not valid yet")
	add(e.Key == nil, "no key")
	add(e.SelfSigned(), "self-signed")
	add(used, "in use")
	add(!e.Enabled, "not enabled")
	add(!used && e.Enabled && e.Key != nil && !e.Automatic(), "enabled")
	add(!used && e.Automatic(), "standing by")
	return words
}

func describeWaiting(w *ptls.Waiting) waitJSON {
	out := waitJSON{ID: w.ID(), FriendlyName: w.FriendlyName, Names: append([]string{}, w.Names()...), Key: ptls.DescribeKey(w.Key.Public()), Exportable: w.Exportable,
		Connector: w.Connector, Renews: w.Renews, File: w.File}
	if !w.Requested.IsZero() {
		out.Requested = &w.Requested
	}
	if w.Request != nil {
		out.Subject, out.Request = w.Request.Subject.String(), string(w.PEM())
	}
	return out
}

func (a *app) certList() *cobra.Command {
	var domain string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the certificates of the store, and what waits for one",
		Long: `List prints one line for each certificate of the store, below it its names, who
issued it, and which connectors show it and why; then the requests that wait for
their certificates, and the Receive connectors that no certificate is for.

STATUS says whether a certificate is in use, enabled (connectors may choose it
by its names), not enabled (imported, and not yet enabled), standing by (the
gateway's own, for connectors that no other is for), self-signed, expired, or
without its key. --domain leaves those that are for a name.`,
		Example: "  postern cert list\n  postern cert list --domain edge.contoso.example --output json",
		Args:    a.noArguments(),
		RunE: func(*cobra.Command, []string) error {
			name := ""
			if domain != "" {
				var err error
				if name, err = ptls.CertificateName(domain); err != nil {
					return usageError{fmt.Errorf("--domain: %w", err)}
				}
			}
			cfg, chooser, problems, err := a.readCerts()
			if err != nil {
				return err
			}
			answer := listCerts(cfg, chooser, problems, name, time.Now())
			if a.json() {
				return a.printJSON(answer)
			}
			a.printCerts(answer, ptls.StoreDirectory(cfg), domain, time.Now())
			return nil
		},
	}
	cmd.Flags().StringVar(&domain, "domain", "", "only those that are for a name, exactly or by a wildcard")
	return cmd
}

func listCerts(cfg *config.Config, chooser *ptls.Chooser, problems []error, name string, now time.Time) *certListJSON {
	answer := &certListJSON{Certificates: []certJSON{}, Waiting: []waitJSON{}, Unserved: []unserved{}, Problems: []string{}}
	uses := chooser.Uses(cfg, now)
	for _, e := range chooser.Listing().Entries {
		if name == "" || e.Leaf().VerifyHostname(name) == nil || slices.Contains(e.Leaf().DNSNames, name) {
			answer.Certificates = append(answer.Certificates, describeEntry(e, uses, now))
		}
	}
	for _, w := range chooser.Listing().Waiting {
		if name == "" || slices.Contains(w.Names(), name) {
			answer.Waiting = append(answer.Waiting, describeWaiting(w))
		}
	}
	for i := range uses {
		if u := &uses[i]; u.Kind == "receive" && u.Choice.Problem != nil && (name == "" || strings.EqualFold(name, u.FQDN)) {
			answer.Unserved = append(answer.Unserved, unserved{u.Connector, u.FQDN, u.Choice.Problem.Error(), u.Choice.Remedy})
		}
	}
	for i := range cfg.ReceiveConnectors {
		r := &cfg.ReceiveConnectors[i]
		if !r.Enabled || !ptls.OffersTLS(r) || name != "" && !strings.EqualFold(name, r.FQDN) {
			continue
		}
		for _, f := range chooser.Warnings(r, now) {
			answer.Unserved = append(answer.Unserved, unserved{r.Name, r.FQDN, f.Message, f.Remedy})
		}
	}
	for _, p := range problems {
		answer.Problems = append(answer.Problems, p.Error())
	}
	return answer
}

func (a *app) printCerts(answer *certListJSON, directory, domain string, now time.Time) {
	s := styleFor(a.out)
	t := &table{header: []string{"THUMBPRINT", "FRIENDLY NAME", "VALID UNTIL", "DAYS", "STATUS"}, right: []int{3}}
	t.paint = func(row, column int, text string) string {
		c := &answer.Certificates[row]
		switch {
		case column == 4 && (slices.Contains(c.Status, "expired") || slices.Contains(c.Status, "no key")), column == 3 && c.DaysLeft < 7:
			return s.red(text)
		case column == 3 && c.DaysLeft < 30:
			return s.yellow(text)
		}
		return text
	}
	for i := range answer.Certificates {
		c := &answer.Certificates[i]
		t.add(c.Thumbprint[:16], clean(c.FriendlyName), c.NotAfter.Local().Format(time.DateOnly), fmt.Sprint(c.DaysLeft), strings.Join(c.Status, ", "))
		names := strings.Join(c.Names, ", ")
		if names == "" {
			names = "no DNS name; subject " + c.Subject
		}
		if !c.SelfSigned {
			names += "; issued by " + c.Issuer
		}
		t.note(clean(names))
		for _, u := range c.UsedBy {
			t.note(clean(fmt.Sprintf("%s connector %q: %s", u.Kind, u.Connector, u.Reason)))
		}
	}
	switch {
	case len(t.rows) > 0:
		t.print(a.out)
	case domain != "":
		fmt.Fprintf(a.out, "No certificate is for %s\n", clean(domain))
	default:
		fmt.Fprintf(a.out, "No certificates in %s\n", directory)
	}
	a.printWaiting(answer.Waiting, s, now)
	if len(answer.Unserved) > 0 {
		fmt.Fprintln(a.out, "\n"+s.bold("Not as it should be"))
		for _, u := range answer.Unserved {
			a.printField("  ", clean(fmt.Sprintf("Receive connector %q: %s; %s", u.Connector, u.Problem, u.Remedy)))
		}
	}
	for _, p := range answer.Problems {
		tell(a.err, "passed over: "+clean(p))
	}
}

func (a *app) printWaiting(list []waitJSON, s style, now time.Time) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(a.out, "\n"+s.bold("Waiting for a certificate"))
	t := &table{header: []string{"REQUEST", "FRIENDLY NAME", "KEY", "WAITS FOR"}}
	for i := range list {
		w := &list[i]
		age := "-"
		if w.Requested != nil {
			age = since(*w.Requested, now)
		}
		t.add(w.ID[:16], clean(w.FriendlyName), w.Key, age)
		switch {
		case w.Request == "":
			t.note("a key alone: " + clean(w.File))
		default:
			t.note(clean(strings.Join(w.Names, ", ")))
		}
		if w.Renews != "" {
			t.note("in the place of " + w.Renews[:16])
		}
	}
	t.print(a.out)
}
