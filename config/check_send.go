package config

import (
	"fmt"
	"slices"
	"strings"
)

// checkReplyRules holds what a rule needs to mean anything.
func (d *decoder) checkReplyRules(c *SendConnector, row string) {
	seen := map[string]bool{}
	for i := range c.ReplyRules {
		r := &c.ReplyRules[i]
		at := joinPath(row, "reply_rule")
		if !d.failed[at] {
			at = indexPath(at, i)
		}
		if d.read(at, "name") {
			name := strings.ToLower(r.Name)
			if seen[name] {
				d.fail(joinPath(at, "name"), fmt.Sprintf("name: the connector has a rule %q already", r.Name), "write another name; case makes no difference")
			}
			seen[name] = true
		}
		if !d.read(at, "class", "codes", "enhanced_codes", "pattern") {
			continue
		}
		if len(r.Codes)+len(r.EnhancedCodes) == 0 && r.Pattern == "" {
			d.fail(at, "this rule fits every reply", "write codes, enhanced_codes or a pattern")
			continue
		}
		class, digit := int64(4), "4"
		if r.Class == "permanent" {
			class, digit = 5, "5"
		}
		for n, code := range r.Codes {
			if code/100 == class {
				d.fail(indexPath(joinPath(at, "codes"), n), fmt.Sprintf("codes: %d is %s as it is", code, r.Class), "take it out, or write the other class")
			}
		}
		for n, code := range r.EnhancedCodes {
			if code[:1] == digit {
				d.fail(indexPath(joinPath(at, "enhanced_codes"), n), fmt.Sprintf("enhanced_codes: %q is %s as it is", code, r.Class), "take it out, or write the other class")
			}
		}
	}
}

// checkDKIM holds what goes between the signing domains and the connectors.
func (d *decoder) checkDKIM(c *Config) {
	domains := map[string]bool{}
	for i := range c.DKIM {
		k := &c.DKIM[i]
		row := d.rowPath("dkim", i)
		if d.read(row, "domain") {
			name, _ := asciiDomain(k.Domain) // its type has seen that there is one
			if domains[name] {
				d.fail(joinPath(row, "domain"), fmt.Sprintf("domain: %q has a [[dkim]] already", k.Domain), "write its keys into one table")
			}
			domains[name] = true
		}
		if !d.read(row, "oversigned_headers", "signed_headers") {
			continue
		}
		is := func(name string) func(string) bool {
			return func(h string) bool { return strings.EqualFold(h, name) }
		}
		if !slices.ContainsFunc(k.OversignedHeaders, is("From")) { // RFC 6376 5.4
			d.fail(joinPath(row, "oversigned_headers"), "oversigned_headers: From is missing, without which a signature is void", `write "From" into it`)
		}
		for n, h := range k.SignedHeaders {
			if slices.ContainsFunc(k.OversignedHeaders, is(h)) {
				// The default of one of the two lists may be what is meant.
				if !d.written(row, "signed_headers") {
					continue
				}
				d.fail(indexPath(joinPath(row, "signed_headers"), n), fmt.Sprintf("signed_headers: %q stands in oversigned_headers too", h), "take it out of one of them")
			}
		}
	}
	for i := range c.SendConnectors {
		row := d.rowPath("send_connector", i)
		if !d.read(row, "dkim_domains") || d.failed["dkim"] {
			continue
		}
		for n, name := range c.SendConnectors[i].DKIMDomains {
			if ascii, _ := asciiDomain(name); name != "*" && !domains[ascii] {
				d.fail(indexPath(joinPath(row, "dkim_domains"), n), fmt.Sprintf("dkim_domains: there is no [[dkim]] for %q", name), "write one, or take the domain out")
			}
		}
	}
}
