package receive

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"

	"postern/config"
	"postern/internal/message"
)

// lintCapabilities names rights by certificate that give nobody anything, and
// domains in which anybody may have a certificate.
func lintCapabilities(c *config.ReceiveConnector, path string) []config.Finding {
	var out []config.Finding
	for _, d := range slices.Sorted(maps.Keys(c.TLSDomainCapabilities)) {
		at := path + ".tls_domain_capabilities." + strconv.Quote(d)
		r := rightsWith(c, 0, rightSet(c.TLSDomainCapabilities[d]))
		switch {
		case !r.Has(Submit):
			out = append(out, warning(at, fmt.Sprintf("connector %q: a certificate for %s gives nothing: nobody may send there without the right submit", c.Name, d), `add "submit" to its rights`))
		case r == RightsOf(c, 0):
			out = append(out, warning(at, fmt.Sprintf("connector %q: a certificate for %s gives no right that strangers there don't have, or that deny leaves", c.Name, d), "take it out, or deny the right no more"))
		}
		if base, star := strings.CutPrefix(d, "*."); star && anybodys(base) {
			out = append(out, warning(at, fmt.Sprintf("connector %q: anybody may have a certificate for a name below %s", c.Name, base), "write the domains that are meant"))
		}
	}
	return out
}

// anybodys reports whether names below a domain belong to others than who has
// the domain: those of registries and of hosters (publicsuffix.org).
func anybodys(domain string) bool {
	domain = message.DomainKey(domain)
	suffix, _ := publicsuffix.PublicSuffix(domain)
	return suffix == domain
}

// lintCertifiedRelay names certificates with which strangers may relay.
func lintCertifiedRelay(c *config.ReceiveConnector, path, public string) []config.Finding {
	if RightsOf(c, 0).Has(Submit | AcceptAnyRecipient) {
		return nil // everybody may
	}
	var out []config.Finding
	for _, d := range slices.Sorted(maps.Keys(c.TLSDomainCapabilities)) {
		if rightsWith(c, 0, rightSet(c.TLSDomainCapabilities[d])).Has(Submit | AcceptAnyRecipient) {
			out = append(out, warning(path+".tls_domain_capabilities."+strconv.Quote(d),
				fmt.Sprintf("open relay for some: on connector %q whoever shows a certificate for %s may relay, from %s; that of a provider stands for all of its customers", c.Name, d, public),
				"take accept_any_recipient out unless every client of that domain is ours, or narrow remote_ip_ranges to its hosts"))
		}
	}
	return out
}
