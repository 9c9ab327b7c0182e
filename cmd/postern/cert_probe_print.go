package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/send"
)

// printTLSReport prints what came of "postern cert test". All that hosts say is
// cleaned.
func (a *app) printTLSReport(r *send.TLSReport) {
	s := styleFor(a.out)
	if r.Problem != "" {
		fmt.Fprintln(a.out, s.red("There is no host to test: ")+clean(r.Problem))
	}
	for i := range r.Hosts {
		if i > 0 {
			fmt.Fprintln(a.out)
		}
		a.printTLSHost(r, &r.Hosts[i], s)
	}
	if len(r.Notes) > 0 {
		fmt.Fprintln(a.out)
	}
	for _, n := range r.Notes {
		a.printField("Note: ", clean(n))
	}
}

func (a *app) printTLSHost(r *send.TLSReport, h *send.TLSHost, s style) {
	title := clean(h.Host)
	switch {
	case !h.Address.IsValid():
	case h.Address.Addr().String() == h.Host:
		title = h.Address.String()
	default:
		title += " at " + h.Address.String()
	}
	if h.Preference > 0 {
		title += fmt.Sprintf(", preference %d", h.Preference)
	}
	fmt.Fprintf(a.out, "%s\n", s.bold(title+fmt.Sprintf(", by send connector %q", r.Connector)))
	for _, p := range h.Passed {
		a.field("passed over", clean(p))
	}
	a.field("greeting", clean(strings.ReplaceAll(h.Greeting, "\n", " / ")))
	if !h.Implicit && h.Greeting != "" {
		a.field("offers", offers(h.EHLOBefore))
	}
	if h.Version != "" {
		text := h.Version + " " + h.Cipher
		if h.Curve != "" {
			text += ", " + h.Curve
		}
		if h.Implicit {
			text += ", from the first octet"
		}
		a.field("TLS", text)
		a.field("offers then", offers(h.EHLOAfter))
	}
	for i := range h.Certificates {
		a.printTLSCertificate(i, &h.Certificates[i])
	}
	if h.Trust != "" {
		text := clean(h.Trust)
		if h.Distrust != "" {
			text += ": " + clean(h.Distrust)
		}
		a.field("proves", text)
	}
	if h.Version != "" {
		a.field("of ours", ofOurs(h))
	}
	if h.Problem != "" {
		a.field("problem", s.red(clean(h.Problem)))
	}
	a.printTLSLevels(h, s)
	a.printOtherWay(r, h)
}

func offers(keywords []string) string {
	if len(keywords) == 0 {
		return "nothing"
	}
	return clean(strings.Join(keywords, ", "))
}

func (a *app) printTLSCertificate(i int, c *send.TLSCertificate) {
	heading := "certificate"
	if i > 0 {
		heading = "above it"
	}
	a.field(heading, clean(c.Subject))
	if i == 0 {
		names := c.Names
		const most = 10
		if len(names) > most {
			names = append(names[:most:most], fmt.Sprintf("and %d more", len(names)-most))
		}
		if len(names) == 0 {
			names = []string{"none"}
		}
		a.field("names", clean(strings.Join(names, ", ")))
	}
	a.field("issuer", clean(c.Issuer))
	a.field("valid", fmt.Sprintf("%s to %s", c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly)))
	a.field("key", c.Key+"; signed with "+c.Signature)
	a.field("thumbprint", c.Thumbprint)
	if i == 0 {
		a.field("public key", c.PublicKeyThumbprint)
	}
}

// ofOurs says what a host wanted and got of our certificates.
func ofOurs(h *send.TLSHost) string {
	switch {
	case h.Shown != "":
		return "a certificate is asked for, and " + h.Shown + " is shown"
	case h.Withheld != "":
		return "a certificate is asked for, and none is shown: " + clean(h.Withheld)
	case h.Asked:
		return "a certificate is asked for, and none is shown"
	}
	return "no certificate is asked for"
}

// outcomeWords are the outcomes on a screen.
func outcomeWords(outcome string) string {
	switch outcome {
	case send.OutcomeTLS:
		return "TLS"
	case send.OutcomeClear:
		return "in clear"
	case send.OutcomeReturned:
		return "returned"
	}
	return "waits"
}

func (a *app) printTLSLevels(h *send.TLSHost, s style) {
	fmt.Fprintln(a.out)
	defer a.printConfigured(h, s)
	if len(h.Levels) == 0 {
		return
	}
	t := &table{header: []string{"", "LEVEL", "MAIL", "WHY"}, indent: "  "}
	t.paint = func(row, column int, text string) string {
		if column != 2 {
			return text
		}
		switch h.Levels[row].Outcome {
		case send.OutcomeTLS:
			return s.green(text)
		case send.OutcomeClear:
			return s.yellow(text)
		}
		return s.red(text)
	}
	for _, l := range h.Levels {
		mark := ""
		if l.InForce {
			mark = "*"
		}
		why := l.Reason
		if why != "" && why == h.Distrust { // it stands above in full
			why = h.Trust
		}
		t.add(mark, l.Level, outcomeWords(l.Outcome), clean(why))
	}
	t.print(a.out)
	fmt.Fprintln(a.out)
}

// printConfigured says what becomes of mail as things are.
func (a *app) printConfigured(h *send.TLSHost, s style) {
	v := &h.Configured
	text := fmt.Sprintf("%s asks for %s: ", capital(v.Source), v.Asks)
	width, _ := terminal(a.out)
	switch v.Outcome {
	case send.OutcomeTLS:
		text += "mail goes over TLS."
	case send.OutcomeClear:
		text += "mail goes in clear."
	case send.OutcomeReturned:
		text += "mail is returned to its sender at once."
	default:
		text += "mail waits."
	}
	if !v.OK && v.Reason != "" && v.Reason != h.Problem {
		text += " " + capital(v.Reason) + "."
	}
	paint := s.green
	if !v.OK {
		paint = s.red
	}
	for _, line := range wrap(clean(text), width) {
		fmt.Fprintln(a.out, paint(line))
	}
}

// ownPort is the command that shows a port of the gateway's own as clients see it.
func ownPort(h *send.TLSHost) string {
	start := " -starttls smtp"
	if h.Implicit {
		start = ""
	}
	return fmt.Sprintf("openssl s_client%s -connect %s -showcerts </dev/null", start, h.Address)
}

// printOtherWay prints the lines that send the domain's mail in another way: by
// the strictest level that the host meets or, where it meets none, so that mail
// goes at all.
func (a *app) printOtherWay(r *send.TLSReport, h *send.TLSHost) {
	if h.Own {
		a.printField("", "The gateway connects to none of its own ports, and no level changes that. postern explain connection says which certificate a client sees there; what is spoken there, a client can tell:")
		fmt.Fprintln(a.out, "\n  "+ownPort(h))
		return
	}
	if r.Supposed {
		return // an override says nothing of how TLS begins
	}
	if slices.ContainsFunc(h.Levels, func(l send.TLSLevel) bool {
		return l.InForce && l.Outcome == send.OutcomeTLS && strings.Contains(l.Configuration, "tls_fingerprints")
	}) {
		return // no level says more than the certificate that somebody has pinned
	}
	best, why := -1, "the strictest level that the host meets"
	for i, l := range h.Levels {
		if l.Outcome == send.OutcomeTLS && !strings.Contains(l.Configuration, "tls_fingerprints") {
			best = i
		}
	}
	if best < 0 && h.Configured.Outcome == send.OutcomeWaits {
		why = "in clear, which everybody on the way can read"
		for i, l := range h.Levels {
			if l.Outcome == send.OutcomeClear {
				best = i
			}
		}
	}
	if best < 0 || h.Levels[best].InForce {
		return
	}
	a.printField("", fmt.Sprintf("To send mail for %s another way, write this below send connector %q: %s. --output json has the lines of each level.", clean(r.Domain), r.Connector, why))
	for line := range strings.Lines(h.Levels[best].Configuration) {
		fmt.Fprint(a.out, "\n  "+clean(strings.TrimSuffix(line, "\n")))
	}
	fmt.Fprintln(a.out)
}
