package config

import "net/netip"

// sendHosts are the keys about next hops: who is asked for their addresses,
// which of these are used, and from where and under which name they are
// connected to.
func sendHosts() []key {
	return []key{
		{
			Name: "dns_servers", Type: list(nameServer(), 0, once[netip.AddrPort]), Default: []any{},
			Doc:   "The resolvers to ask for this connector's next hops, in this order, with a cache of their own. When empty, those of `[dns]`. `dns.hosts` comes first in any case.",
			Field: in(func(c *SendConnector) any { return &c.DNSServers }),
		},
		{
			Name: "dns_protocol", Type: dnsProtocol(), From: &derivation{doc: "`dns.protocol`", value: func(c *Config) any { return c.DNS.Protocol }},
			Doc:   "How they are asked: like `dns.protocol`.",
			Field: in(func(c *SendConnector) any { return &c.DNSProtocol }),
		},
		{
			Name: "ip_preference", Type: choice(PreferIPv4, PreferIPv6, IPv4Only, IPv6Only), Default: PreferIPv4,
			Doc:   "Which addresses of a next hop are used: those of both families in turns, IPv4 first (`prefer_ipv4`) or IPv6 first (`prefer_ipv6`), or those of one alone (`ipv4_only`, `ipv6_only`); the other family is then not asked for.",
			Field: in(func(c *SendConnector) any { return &c.IPPreference }),
		},
		{
			Name: "source_ip_address", Type: sourceAddresses(), Default: []any{},
			Doc:   "The local addresses of outgoing connections, several of a family if need be. When empty, the system chooses; else a family without an address is not used.",
			Field: in(func(c *SendConnector) any { return &c.SourceIPAddress }),
		},
		{
			Name: "source_ip_selection", Type: choice(SourceRoundRobin, SourceSticky), Default: SourceRoundRobin,
			Doc:   "Which of several source addresses of a family a connection comes from: each in turn (`round_robin`), or always the same one for a destination, which is the recipient domain or the smart host (`sticky`).",
			Field: in(func(c *SendConnector) any { return &c.SourceIPSelection }),
		},
		{
			Name: "fqdn", Type: fqdn(), From: &derivation{doc: "`server.fqdn`", value: func(c *Config) any { return c.Server.FQDN }},
			Doc:   "The name in EHLO.",
			Field: in(func(c *SendConnector) any { return &c.FQDN }),
		},
		{
			Name: "force_helo", Type: boolean(), Default: false,
			Doc:   "Whether to say HELO instead of EHLO, and so to use no extension of SMTP: no STARTTLS, no AUTH, no DSN.",
			Field: in(func(c *SendConnector) any { return &c.ForceHELO }),
		},
		{
			Name: "masquerade_domain", Type: optional(fqdn()), Default: "",
			Doc:   "The domain that takes the place of the sender's in the reverse path (MAIL FROM), for senders in authoritative and internal-relay domains. Header fields and recipients stay as they are. When empty, none.",
			Field: in(func(c *SendConnector) any { return &c.MasqueradeDomain }),
		},
		{
			Name: "eight_bit_mime_missing", Type: choice(EightBitFail, EightBitSend), Default: EightBitFail,
			Doc:   "What becomes of 8-bit content where a next hop does not offer 8BITMIME: another host is tried and, when none is left, the message fails with 5.6.3 (`fail`), or it goes as it is (`send`).",
			Field: in(func(c *SendConnector) any { return &c.EightBitMIMEMissing }),
		},
	}
}

// dnsProtocol is how name servers are asked.
func dnsProtocol() typed[string] { return choice(DNSAny, DNSUDP, DNSTCP) }
