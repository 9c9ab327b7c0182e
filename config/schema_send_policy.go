package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// sendRates are the limits of what leaves through a connector at a time and in
// a while.
func sendRates() []key {
	return []key{
		{
			Name: "max_connections", Type: limit(1, maxCount), Default: "unlimited",
			Doc:   "How many messages the connector sends at a time, each over a connection of its own; the others wait for their turn in the queue. `[queue].max_outbound_connections` holds besides.",
			Field: in(func(c *SendConnector) any { return &c.MaxConnections }),
		},
		{
			Name: "max_connections_per_domain", Type: limit(1, maxCount),
			From: &derivation{doc: "`queue.max_per_domain_outbound_connections`", value: func(c *Config) any {
				if n := c.Queue.MaxPerDomainOutboundConnections; n != Unlimited {
					return n
				}
				return "unlimited"
			}},
			Doc:   "How many of them go to one recipient domain, or to the smart hosts.",
			Field: in(func(c *SendConnector) any { return &c.MaxConnectionsPerDomain }),
		},
		{
			Name: "message_rate_limit", Type: limit(1, maxCount), Default: "unlimited",
			Doc:   "How many messages the connector sends in a minute, evenly spread; other messages wait for their turn in the queue.",
			Field: in(func(c *SendConnector) any { return &c.MessageRateLimit }),
		},
		{
			Name: "message_rate_limit_per_domain", Type: limit(1, maxCount), Default: "unlimited",
			Doc:   "How many of them go to one recipient domain, or to the smart hosts.",
			Field: in(func(c *SendConnector) any { return &c.MessageRateLimitPerDomain }),
		},
	}
}

func sendPolicies() []key {
	return []key{
		{
			Name: "downgrade_dns_failures", Type: boolean(), Default: false,
			Doc:   "Whether a domain that does not exist, or has no host, is looked up again until the message expires rather than fail it.",
			Field: in(func(c *SendConnector) any { return &c.DowngradeDNSFailures }),
		},
		{
			Name: "send_headers_routing", Type: boolean(), Default: true,
			Doc:   "Whether the fields that tell the message's way (Received, Resent-) are sent along.",
			Field: in(func(c *SendConnector) any { return &c.SendHeadersRouting }),
		},
		{
			Name: "send_headers_organization", Type: boolean(),
			From: &derivation{doc: "`true` when `address_spaces` is `--` alone, else `false`", ofRow: func(row any) any {
				return toOrganization(row.(*SendConnector).AddressSpaces)
			}},
			Doc:   "Whether the fields that only servers of the organization may see (X-MS-Exchange-Organization-, X-MS-Exchange-Forest-, X-Postern-Organization-) are sent along.",
			Field: in(func(c *SendConnector) any { return &c.SendHeadersOrganization }),
		},
		{
			Name: "dkim_domains", Type: list(optionalDKIMDomain(), 0, once[string]), Default: []any{"*"},
			Doc:   "The domains of `[[dkim]]` whose mail is signed when it leaves through the connector; `*` stands for all of them, and nothing is signed when the list is empty.",
			Field: in(func(c *SendConnector) any { return &c.DKIMDomains }),
		},
	}
}

// toOrganization reports whether a connector's mail goes to the servers of the
// organization alone.
func toOrganization(spaces []string) bool {
	for _, s := range spaces {
		s, _, _ = strings.Cut(s, ";")
		if kind, space, typed := strings.Cut(s, ":"); typed && strings.EqualFold(kind, "smtp") {
			s = space
		}
		if s != "--" {
			return false
		}
	}
	return len(spaces) > 0
}

func replyRuleTable() *table {
	return repeated(table{
		name: "reply_rule", identity: "name", fold: true, ordered: true,
		doc: "Replies of next hops that count for another class than their own. A rule fits a reply that meets all of its conditions; the first that fits decides.",
		keys: []key{
			{
				Name: "name", Type: nameUpTo(64), Required: true,
				Doc:   "The rule's name, by which outcomes refer to it.",
				Field: in(func(r *ReplyRule) any { return &r.Name }),
			},
			{
				Name: "class", Type: choice("temporary", "permanent"), Required: true,
				Doc:   "What the reply counts as: a refusal for now, after which the message waits, or one for good.",
				Field: in(func(r *ReplyRule) any { return &r.Class }),
			},
			{
				Name: "codes", Type: list(quantity(counts(), 400, 599, false), 0, once[int64]), Default: []any{},
				Doc:   "The reply codes, such as 550; any when empty.",
				Field: in(func(r *ReplyRule) any { return &r.Codes }),
			},
			{
				Name: "enhanced_codes", Type: list(enhancedCode(), 0, once[string]), Default: []any{},
				Doc:   "The enhanced status codes, such as `5.7.1`; any, or none, when empty.",
				Field: in(func(r *ReplyRule) any { return &r.EnhancedCodes }),
			},
			{
				Name: "pattern", Type: optional(replyPattern()), Default: "",
				Doc:   "A regular expression (RE2) that is looked for in the reply's text, in any case of letters.",
				Field: in(func(r *ReplyRule) any { return &r.Pattern }),
			},
			{
				Name: "domains", Type: list(domainPattern(), 0, once[string]), Default: []any{},
				Doc:   "The recipient domains, `*.contoso.example` for a domain and those below it; every one when empty.",
				Field: in(func(r *ReplyRule) any { return &r.Domains }),
			},
		},
	}, func(c *SendConnector) *[]ReplyRule { return &c.ReplyRules })
}

// enhancedCode is an enhanced status code of the classes of refusals
// (RFC 3463 2).
func enhancedCode() typed[string] {
	return text[string]("enhanced status code", func(s string) (string, []fault) {
		bad := []fault{{message: quote(s) + " is not an enhanced status code of a refusal", remedy: `write one such as "5.7.1"`}}
		parts := strings.Split(s, ".")
		if len(parts) != 3 || parts[0] != "4" && parts[0] != "5" {
			return "", bad
		}
		for _, p := range parts[1:] {
			if n, err := strconv.Atoi(p); err != nil || n > 999 || strconv.Itoa(n) != p || n < 0 {
				return "", bad
			}
		}
		return s, nil
	})
}

// maxPattern bounds a regular expression, in octets. RE2 takes time in
// proportion to its size and that of the text.
const maxPattern = 500

func replyPattern() typed[string] {
	return text[string]("regular expression", func(s string) (string, []fault) {
		if len(s) > maxPattern {
			return "", []fault{{message: fmt.Sprintf("the expression has %d octets", len(s)), remedy: fmt.Sprintf("write at most %d, or several rules", maxPattern)}}
		}
		_, err := regexp.Compile(s) // whose words are about what was written
		if err == nil {
			_, err = CompileReplyPattern(s)
		}
		if err != nil {
			return "", []fault{{message: err.Error(), remedy: `write a regular expression (RE2), such as "greylist|try again"`}}
		}
		return s, nil
	})
}

// CompileReplyPattern compiles the expression of a reply rule as it is used: in
// any case of letters. The flag stands in front, since a group around the
// expression would end within what "\Q" quotes.
func CompileReplyPattern(s string) (*regexp.Regexp, error) { return regexp.Compile("(?i)" + s) }

// domainPattern is a domain, or "*." in front of one for it and those below.
func domainPattern() typed[string] {
	t := acceptedDomain()
	t.name = "domain"
	return t
}

// environmentName is the name of a variable of the environment
// (POSIX.1-2017 8.1).
func environmentName() typed[string] {
	shape := regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	return text[string]("name", func(s string) (string, []fault) {
		if len(s) > 255 || !shape.MatchString(s) {
			return "", []fault{{message: quote(s) + " is no name of a variable of the environment", remedy: `write its name alone, such as "POSTERN_HUB_PASSWORD"`}}
		}
		return s, nil
	})
}
