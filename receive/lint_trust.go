package receive

import (
	"fmt"
	"slices"

	"postern/config"
)

// lintTrust names private networks too wide to be trusted by address: hosts
// that nobody knows one by one may relay, and so may whoever comes from there by
// way of a NAT, a load balancer or a network of containers.
func lintTrust(c *config.ReceiveConnector, path string) []config.Finding {
	if !RightsOf(c, 0).Has(Submit | AcceptAnyRecipient) {
		return nil
	}
	wide, ok := wideRange(c.RemoteIPRanges)
	if !ok {
		return nil
	}
	why := "grants accept_any_recipient to every session"
	if !rightSet(c.Grant).Has(AcceptAnyRecipient) {
		why = "trusts every host there as one of our servers (external_authoritative)"
	}
	return []config.Finding{warning(path+".remote_ip_ranges",
		fmt.Sprintf("every host in %s may relay without authentication, and whoever comes through a NAT or a load balancer there: connector %q %s", wide, c.Name, why),
		"name the hosts that may relay alone, at most a /24 of them")}
}

// lintGrants names rights that are for whom we know and were granted to
// strangers. Trust in servers that reaches them is an open relay already.
func lintGrants(c *config.ReceiveConnector, path, public string) []config.Finding {
	rights := RightsOf(c, 0)
	if !rights.Has(Submit) {
		return nil
	}
	var out []config.Finding
	for _, g := range []struct{ name, effect string }{
		{"accept_authentication_flag", "AUTH= of MAIL is believed, with which they pass for authenticated senders"},
		{"bypass_anti_spam", "no filter looks at their mail"},
		{"bypass_message_size_limit", "max_message_size does not hold for them"},
		{"accept_headers_organization", "header fields of our own organisation are believed"},
	} {
		right, _ := ParseRight(g.name)
		if i := slices.Index(c.Grant, g.name); i >= 0 && rights.Has(right) {
			out = append(out, warning(fmt.Sprintf("%s.grant[%d]", path, i),
				fmt.Sprintf("connector %q grants %s to strangers from %s: %s", c.Name, g.name, public, g.effect),
				fmt.Sprintf("take %s out of grant, or narrow remote_ip_ranges to hosts that you know", g.name)))
		}
	}
	return out
}

// authoritativeDomains are the indexes of the accepted domains all of whose
// recipients are ours, unless strangers are told of no failures.
func authoritativeDomains(cfg *config.Config) []int {
	if slices.ContainsFunc(cfg.RemoteDomains, func(r config.RemoteDomain) bool { return r.Domain == "*" && !r.NDREnabled }) {
		return nil
	}
	var out []int
	for i, d := range cfg.AcceptedDomains {
		if d.Type == config.Authoritative {
			out = append(out, i)
		}
	}
	return out
}

// lintBackscatter notes that strangers may write to addresses that don't exist.
// The answer to such a message goes to a sender whom nobody has proven.
func lintBackscatter(c *config.ReceiveConnector, domains []int) (config.Finding, bool) {
	if len(domains) == 0 || !RightsOf(c, 0).Has(Submit|AcceptAnySender) {
		return config.Finding{}, false
	}
	return config.Finding{
		Severity: config.Note, Path: fmt.Sprintf("accepted_domain[%d].type", domains[0]),
		Message: fmt.Sprintf("backscatter: strangers may write to any address in authoritative domains through connector %q, existing or not; "+
			"what the next hop then refuses is returned to a sender who may be forged", c.Name),
		Remedy: `leave it so, knowing that [notifications] max_per_sender_per_hour bounds what one address gets; or return nothing to strangers: a [[remote_domain]] with domain = "*" and ndr_enabled = false, and one for your own domains without it`,
	}, true
}
