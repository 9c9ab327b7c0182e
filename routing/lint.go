package routing

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"

	"postern/config"
)

// Lint tells what is wrong, or worth knowing, about the accepted domains,
// address spaces and sender restrictions of a configuration.
func Lint(cfg *config.Config) []config.Finding {
	_, findings := New(cfg)
	return findings
}

func connectorPath(i int, key string, j int) string {
	return "send_connector[" + strconv.Itoa(i) + "]." + key + "[" + strconv.Itoa(j) + "]"
}

// advise looks at what is well-formed and still not what was meant.
func advise(cfg *config.Config, t *Table) []config.Finding {
	findings := adviseDomains(cfg, t)
	names := make(map[string]*connector)
	for _, c := range t.connectors {
		if other := names[c.folded]; other != nil {
			findings = append(findings, config.Finding{
				Severity: config.Error, Path: fmt.Sprintf("send_connector[%d].name", c.index),
				Message: fmt.Sprintf("the Send connector %q has the name of another; queues and logs are named after it", c.name),
				Remedy:  "give each Send connector its own name",
			})
			continue
		}
		names[c.folded] = c
		findings = append(findings, adviseConnector(t, c, cfg.SendConnectors[c.index].MaxMessageSize)...)
	}
	findings = append(findings, adviseRanks(t)...)
	return append(findings, adviseSlips(cfg, t)...)
}

// adviseConnector looks at one connector by itself.
func adviseConnector(t *Table, c *connector, size int64) []config.Finding {
	if !c.enabled {
		return nil
	}
	if len(c.spaces) == 0 && !t.isFallback(c) {
		return []config.Finding{{
			Severity: config.Warning, Path: fmt.Sprintf("send_connector[%d]", c.index),
			Message: fmt.Sprintf("the Send connector %q has no address space and is never chosen", c.name),
			Remedy:  `set address_spaces, to ["*"] for all domains`,
		}}
	}
	var findings []config.Finding
	if size <= 0 {
		findings = append(findings, config.Finding{
			Severity: config.Warning, Path: fmt.Sprintf("send_connector[%d].max_message_size", c.index),
			Message: fmt.Sprintf("a max_message_size of %d is taken for no limit at all", size),
			Remedy:  `write "unlimited", or enabled = false to route nothing through the connector`,
		})
	}
	seen := make(map[AddressSpace]int)
	for j, text := range c.spaces {
		s, err := ParseAddressSpace(text)
		if err != nil {
			continue
		}
		if s.Kind == SpaceAccepted && !t.domains.anyInternal() {
			findings = append(findings, c.finding(j, config.Warning, fmt.Sprintf("%q matches nothing: no accepted domain is authoritative or internal_relay", text),
				"add an [[accepted_domain]] or take the address space out"))
		}
		s.Cost = 0
		if first, ok := seen[s]; ok {
			findings = append(findings, c.finding(j, config.Warning, fmt.Sprintf("%q is the space of %q over again; the lower cost holds", text, c.spaces[first]),
				"take one of them out"))
			continue
		}
		seen[s] = j
	}
	return findings
}

// adviseRanks finds address spaces that never win because another connector
// with the same space is always preferred.
func adviseRanks(t *Table) []config.Finding {
	var findings []config.Finding
	look := func(list []entry) {
		for i := 1; i < len(list); i++ {
			best, e := list[0], list[i]
			if best.connector == e.connector || !best.connector.takesAllOf(e.connector) {
				continue
			}
			why := "its name comes first"
			if best.cost < e.cost {
				why = fmt.Sprintf("its cost is %d, this one's %d", best.cost, e.cost)
			}
			findings = append(findings, e.connector.finding(e.space, config.Warning,
				fmt.Sprintf("%q of Send connector %q is never chosen: %q has the same space and %s; mail is not sent through another connector when one fails",
					e.text(), e.connector.name, best.connector.name, why),
				"take the address space out, list all smart hosts in one connector, or name a fallback"))
		}
	}
	for _, c := range t.connectors { // in the order of the file, not of a map
		for j, text := range c.spaces {
			s, err := ParseAddressSpace(text)
			if err != nil || !c.enabled {
				continue
			}
			list := t.listOf(s)
			if len(list) > 0 && list[0].connector == c && list[0].space == j {
				look(list)
			}
		}
	}
	return findings
}

func (t *Table) listOf(s AddressSpace) []entry {
	switch s.Kind {
	case SpaceDomain:
		return t.exact[s.Domain]
	case SpaceSubdomains:
		return t.below[s.Domain]
	case SpaceAccepted:
		return t.accepted
	}
	return t.all
}

// takesAllOf tells whether a connector takes every message that o takes.
func (c *connector) takesAllOf(o *connector) bool {
	return !c.blocked.restricts() && !c.allowed.restricts() && len(c.scope) == 0 && c.maxSize >= o.maxSize
}

// isFallback tells whether some connector names c as its fallback.
func (t *Table) isFallback(c *connector) bool {
	return slices.ContainsFunc(t.connectors, func(o *connector) bool { return o.fallback == c })
}

// anyInternal tells whether "--" stands for any domain.
func (d *domains) anyInternal() bool {
	for _, m := range []map[string]*config.AcceptedDomain{d.exact, d.below} {
		for _, a := range m {
			if a.Type != config.ExternalRelay {
				return true
			}
		}
	}
	return false
}

func adviseDomains(cfg *config.Config, t *Table) []config.Finding {
	var findings []config.Finding
	add := func(s config.Severity, i int, key, remedy, format string, args ...any) {
		findings = append(findings, config.Finding{
			Severity: s, Path: fmt.Sprintf("accepted_domain[%d].%s", i, key), Message: fmt.Sprintf(format, args...), Remedy: remedy,
		})
	}
	marked := -1
	for i := range cfg.AcceptedDomains {
		a := &cfg.AcceptedDomains[i]
		key, wildcard := splitAccepted(a)
		first := t.domains.exact[key]
		if wildcard {
			first = t.domains.below[key]
		}
		if first != a {
			add(config.Error, i, "domain", "take one of them out", "the accepted domain %q stands here twice", a.Domain)
			continue
		}
		if a.Default && marked >= 0 {
			add(config.Error, i, "default", "mark one accepted domain alone", "%q and %q are both the default domain",
				cfg.AcceptedDomains[marked].Domain, a.Domain)
		} else if a.Default {
			marked = i
		}
		if wildcard {
			if a.Default {
				add(config.Warning, i, "default", "mark a domain without asterisk",
					"%q can't be the default domain: it is no domain to write from", a.Domain)
			}
			if publicSuffix(key) {
				add(config.Warning, i, "domain", "name the domains that are yours",
					"%q accepts mail from anyone for every domain under %s", a.Domain, key)
			}
			if under, _ := t.domains.find(key); under == nil {
				add(config.Warning, i, "domain", fmt.Sprintf("add an [[accepted_domain]] with domain = %q if it is meant, too", key),
					"%q accepts the subdomains of %s, not %[2]s itself", a.Domain, key)
			}
		} else if publicSuffix(key) && key != "localhost" {
			add(config.Warning, i, "domain", "name the domains that are yours", "%q is a domain under which anyone has domains, not one of yours", a.Domain)
		}
		if wildcard {
			key = "*." + key // stands for some subdomain that nothing else names
		}
		if f, ok := t.adviseRoute(cfg, i, a.Domain, key); ok {
			findings = append(findings, f)
		}
	}
	return findings
}

// publicSuffix tells whether everybody registers domains under a domain: a
// top-level domain, or one like co.uk. Those that a company gives to its
// customers don't count, for the company may well have mail there.
func publicSuffix(domain string) bool {
	suffix, icann := publicsuffix.PublicSuffix(domain)
	return suffix == domain && (icann || !strings.Contains(domain, "."))
}

// adviseRoute looks at where the mail of an accepted domain goes.
func (t *Table) adviseRoute(cfg *config.Config, i int, domain, key string) (config.Finding, bool) {
	f := config.Finding{Severity: config.Warning, Path: fmt.Sprintf("accepted_domain[%d].domain", i)}
	var best entry
	s := t.search(key)
	for r, more := s.next(); more; r, more = s.next() {
		catchAll := s.allDone
		for e, ok := r.pop(); ok; e, ok = r.pop() {
			c := e.connector
			switch {
			case best.connector == nil && catchAll && c.smartHosts == "":
				f.Message = fmt.Sprintf("mail for the accepted domain %q leaves by MX through %q of Send connector %q, and its MX may be this gateway", domain, e.text(), c.name)
				f.Remedy = `add a Send connector with the domain, or "--", and smart_hosts`
				return f, true
			case best.connector == nil:
				best = e
				if best.connector.restricts(cfg) == "" {
					return f, false
				}
			case catchAll && c.smartHosts == "" && c != best.connector:
				f.Message = fmt.Sprintf("mail for the accepted domain %q that Send connector %q may not take (%s) leaves by MX through %q of %q, and its MX may be this gateway",
					domain, best.connector.name, best.connector.restricts(cfg), e.text(), c.name)
				f.Remedy = `set [routing] restrictions = "enforce" to refuse it instead`
				return f, true
			case c.restricts(cfg) == "":
				return f, false
			}
		}
		if t.enforce && best.connector != nil { // it goes no further
			return f, false
		}
	}
	if best.connector == nil {
		f.Message = fmt.Sprintf("no Send connector takes mail for the accepted domain %q; it would wait in the Unreachable queue", domain)
		f.Remedy = `add a Send connector with the domain, or "--", in its address_spaces`
		return f, true
	}
	return f, false
}

// restricts names the restriction that keeps some messages that may arrive from
// a connector; "" when there is none.
func (c *connector) restricts(cfg *config.Config) string {
	most := cfg.Server.MaxMessageSize
	for i := range cfg.ReceiveConnectors {
		most = max(most, cfg.ReceiveConnectors[i].MaxMessageSize)
	}
	switch {
	case c.maxSize < most:
		return fmt.Sprintf("max_message_size is %d octets", c.maxSize)
	case c.blocked.restricts():
		return "it has blocked_senders"
	case c.allowed.restricts():
		return "it has allowed_senders"
	case len(c.scope) > 0:
		return "it has a scope"
	}
	return ""
}
