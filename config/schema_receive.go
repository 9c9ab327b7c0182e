package config

import (
	"net/netip"
	"time"
)

// PermissionGroups are the groups that a Receive connector may name
// (reference 1.6).
func PermissionGroups() []string { return []string{"anonymous", "users", "partners", "servers"} }

// Rights are the single rights of a session, as permission groups resolve to
// them (reference 1.6).
func Rights() []string {
	return []string{
		"submit", "accept_any_recipient", "accept_any_sender", "accept_authoritative_domain_sender", "accept_authentication_flag",
		"bypass_anti_spam", "bypass_message_size_limit", "accept_headers_routing", "accept_headers_organization",
	}
}

// AuthMechanisms are the values of auth_mechanism (reference 1.5).
func AuthMechanisms() []string {
	return []string{"tls", "basic", "basic_require_tls", "scram", "client_certificate", "external_authoritative", "none"}
}

func words(all []string) typed[[]string] { return list(choice(all...), 0, once[string]) }

func receiveConnectorTable() *table {
	var keys []key
	for _, group := range [][]key{receiveScope(), receiveSecurity(), receiveAddresses(), receiveProtocol(), receiveMessageLimits(), receiveSessionLimits()} {
		keys = append(keys, group...)
	}
	return repeated(table{
		name: "receive_connector", identity: "name", fold: true,
		doc:  "A Receive connector: where connections come in, from whom, and what they may do. A connection belongs to the connector whose binding it reached (a specific address before the any-address) and whose smallest range holds the client.",
		keys: keys,
	}, func(c *Config) *[]ReceiveConnector { return &c.ReceiveConnectors })
}

func receiveScope() []key {
	return []key{
		{
			Name: "name", Type: connectorName(), Required: true,
			Doc:   "The connector's name, unlike every other's but for case.",
			Field: in(func(c *ReceiveConnector) any { return &c.Name }),
		},
		{
			Name: "enabled", Type: boolean(), Default: true,
			Doc:   "Whether the connector takes part.",
			Field: in(func(c *ReceiveConnector) any { return &c.Enabled }),
		},
		{
			Name: "comment", Type: comment(), Default: "",
			Doc:   "A note for people.",
			Field: in(func(c *ReceiveConnector) any { return &c.Comment }),
		},
		{
			Name: "bindings", Type: list(binding(), 1, once[netip.AddrPort]), Required: true,
			Doc:   "The addresses and ports to listen on; `0.0.0.0` and `[::]` stand for every address of their family.",
			Field: in(func(c *ReceiveConnector) any { return &c.Bindings }),
		},
		{
			Name: "remote_ip_ranges", Type: list(addressRange(), 1, once[Range]), Default: []any{"0.0.0.0/0", "::/0"}, Advice: hostBits,
			Doc:   "The clients that the connector serves: prefixes, pairs `a-b` or single addresses. Ranges of different connectors on one binding may nest but not overlap in part.",
			Field: in(func(c *ReceiveConnector) any { return &c.RemoteIPRanges }),
		},
		{
			Name: "proxy_protocol_from", Type: list(addressRange(), 0, once[Range]), Default: []any{}, Advice: hostBits,
			Doc:   "The proxies, written as in `remote_ip_ranges`, whose connections to these bindings begin with a PROXY header (version 1 or 2) that names the client. From them nothing else is taken, and what they say of the client is believed: the connector is chosen by it.",
			Field: in(func(c *ReceiveConnector) any { return &c.ProxyProtocolFrom }),
		},
		{
			Name: "banner", Type: banner(), Default: "",
			Doc:   "The greeting. When empty, `220`, the connector's `fqdn` and the date. It may have several lines, as replies have; `{fqdn}`, `{session}` and `{date}` become the connector's `fqdn`, the session's id in the protocol log, and the time.",
			Field: in(func(c *ReceiveConnector) any { return &c.Banner }),
		},
		{
			Name: "fqdn", Type: fqdn(), From: &derivation{doc: "`server.fqdn`", value: func(c *Config) any { return c.Server.FQDN }},
			Doc:   "The name in the greeting, the reply to EHLO and the Received field, and the name whose certificate is presented.",
			Field: in(func(c *ReceiveConnector) any { return &c.FQDN }),
		},
		{
			Name: "protocol_logging", Type: choice("none", "verbose"), Default: "none",
			Doc:   "Whether sessions are written to the protocol log.",
			Field: in(func(c *ReceiveConnector) any { return &c.ProtocolLogging }),
		},
	}
}

func receiveSecurity() []key {
	return []key{
		{
			Name: "permission_groups", Type: words(PermissionGroups()), Default: []any{},
			Doc:   "Who may use the connector, and with which rights.",
			Field: in(func(c *ReceiveConnector) any { return &c.PermissionGroups }),
		},
		{
			Name: "grant", Type: words(Rights()), Default: []any{},
			Doc:   "Single rights for every session of the connector besides those of the groups. `accept_any_recipient` is the right to relay.",
			Field: in(func(c *ReceiveConnector) any { return &c.Grant }),
		},
		{
			Name: "deny", Type: words(Rights()), Default: []any{},
			Doc:   "Rights that are taken away again, wherever they come from.",
			Field: in(func(c *ReceiveConnector) any { return &c.Deny }),
		},
		{
			Name: "auth_mechanism", Type: list(choice(AuthMechanisms()...), 1, once[string]), Default: []any{"tls"},
			Doc:   "What is offered: STARTTLS (`tls`), AUTH PLAIN and LOGIN (`basic`, with `basic_require_tls` only within TLS), AUTH SCRAM-SHA-256 and, within TLS, SCRAM-SHA-256-PLUS (`scram`), AUTH EXTERNAL (`client_certificate`, which asks clients for a certificate). `external_authoritative` trusts every client as if it had authenticated; `none` stands alone.",
			Field: in(func(c *ReceiveConnector) any { return &c.AuthMechanism }),
		},
		{
			Name: "client_ca_file", Type: optionalPath(), Default: "",
			Doc:   "A PEM file with the authorities whose client certificates are trusted, with `client_certificate`. When empty, the system's.",
			Field: in(func(c *ReceiveConnector) any { return &c.ClientCAFile }),
		},
		{
			Name: "tls_receive_domain_secure_list", Type: list(fqdn(), 0, once[string]), Default: []any{},
			Doc:   "Domains of partners, with `client_certificate`: a session whose certificate comes from a trusted authority and names one of them, or a host below it, belongs to `partners`, and may send as that domain.",
			Field: in(func(c *ReceiveConnector) any { return &c.TLSReceiveDomainSecureList }),
		},
		{
			Name: "domain_secure_enabled", Type: boolean(), Default: false,
			Doc:   "Whether senders in the domains of `tls_receive_domain_secure_list` are taken only from sessions whose certificate proves the domain (mutual TLS).",
			Field: in(func(c *ReceiveConnector) any { return &c.DomainSecureEnabled }),
		},
		{
			Name: "tls_domain_capabilities", Type: domainRights(), Default: map[string]any{},
			Doc:   "Rights, as in `grant`, for clients whose certificate comes from a trusted authority and is for a domain, with `client_certificate`: `{ \"mail.fabrikam.example\" = [\"bypass_anti_spam\"] }`. `*.fabrikam.example` stands for any name below. They come on top of those of the permission groups; `deny` wins.",
			Field: in(func(c *ReceiveConnector) any { return &c.TLSDomainCapabilities }),
		},
		{
			Name: "require_tls", Type: boolean(), Default: false,
			Doc:   "Whether mail is taken only within TLS.",
			Field: in(func(c *ReceiveConnector) any { return &c.RequireTLS }),
		},
		{
			Name: "implicit_tls", Type: boolean(), Default: false,
			Doc:   "Whether TLS begins with the connection, as on port 465, rather than with STARTTLS.",
			Field: in(func(c *ReceiveConnector) any { return &c.ImplicitTLS }),
		},
		{
			Name: "tls_certificate", Type: comment(), Default: "",
			Doc:   "The certificate that clients see: its SHA-256 thumbprint (16 digits of it at least) or SHA-1 thumbprint, a name in it or its friendly name in the certificate store, or the path of a PEM file. When empty, the one that `postern cert enable` has assigned, else the best one in the store for `fqdn`, else a self-signed one. It is read again when it changes.",
			Field: in(func(c *ReceiveConnector) any { return &c.TLSCertificate }),
		},
		{
			Name: "tls_ciphers", Type: choice(ModernCiphers, CompatibleCiphers), Default: ModernCiphers,
			Doc:   "Which ciphers TLS 1.2 may use: those with forward secrecy and authenticated encryption (`modern`: ECDHE with AES-GCM or ChaCha20-Poly1305), or also AES-CBC with ECDHE (`compatible`), which Windows Server 2012 R2 and older need with an RSA certificate. TLS 1.3 has only modern ones, and nothing older than TLS 1.2 is spoken.",
			Field: in(func(c *ReceiveConnector) any { return &c.TLSCiphers }),
		},
		{
			Name: "session_tickets", Type: boolean(), Default: false,
			Doc:   "Whether clients may resume TLS sessions. Some sending hosts lose mail over session tickets (golang/go#70232), and a new handshake costs little beside a message.",
			Field: in(func(c *ReceiveConnector) any { return &c.SessionTickets }),
		},
		{
			Name: "tarpit_interval", Type: duration(0, 10*time.Minute), Default: "5s",
			Doc:   "How long replies that refuse something (5yz) are held back in sessions that have neither authenticated nor the right `accept_any_recipient`; 0 for not at all. Many refused recipients from one address (IPv6: from one /64) lengthen it step by step, by 5 s for each 10 of them, up to 55 s; one is forgotten a minute.",
			Field: in(func(c *ReceiveConnector) any { return &c.TarpitInterval }),
		},
		{
			Name: "auth_tarpit_interval", Type: duration(0, 10*time.Minute), Default: "5s",
			Doc:   "How long the reply to a failed AUTH is held back; 0 for not at all.",
			Field: in(func(c *ReceiveConnector) any { return &c.AuthTarpitInterval }),
		},
		{
			Name: "greeting_delay", Type: duration(0, time.Minute), Default: "0s",
			Doc:   "How long strangers wait for the greeting; programs that send without listening give themselves away. Sessions with the right `accept_any_recipient` don't wait.",
			Field: in(func(c *ReceiveConnector) any { return &c.GreetingDelay }),
		},
		{
			Name: "early_talker", Type: choice("log", "reject"), Default: "log",
			Doc:   "What happens to a client that speaks during `greeting_delay`: it is noted in the protocol log, or refused with 554 5.5.1.",
			Field: in(func(c *ReceiveConnector) any { return &c.EarlyTalker }),
		},
	}
}

func receiveAddresses() []key {
	return []key{
		{
			Name: "accept_address_literals", Type: boolean(), Default: true,
			Doc:   "Whether recipients may have an address for a domain, `user@[192.0.2.1]`. Those at an address of ours are then recipients of the default domain. The postmaster there is always taken.",
			Field: in(func(c *ReceiveConnector) any { return &c.AcceptAddressLiterals }),
		},
		{
			Name: "default_domain", Type: optional(fqdn()), Default: "",
			Doc:   "The domain that completes addresses without one in MAIL and RCPT of submissions: sessions of `users`, of `servers` or from this host. When empty, and from strangers, such addresses are refused.",
			Field: in(func(c *ReceiveConnector) any { return &c.DefaultDomain }),
		},
		{
			Name: "reject_reserved_top_level_recipient_domains", Type: boolean(), Default: false,
			Doc:   "Whether recipients in `test`, `example`, `invalid` and `localhost` are refused (550 5.1.4). Accepted domains are not.",
			Field: in(func(c *ReceiveConnector) any { return &c.RejectReservedTopLevelRecipientDomains }),
		},
		{
			Name: "reject_reserved_second_level_recipient_domains", Type: boolean(), Default: false,
			Doc:   "Whether recipients in `example.com`, `example.net` and `example.org` are refused (550 5.1.5). Accepted domains are not.",
			Field: in(func(c *ReceiveConnector) any { return &c.RejectReservedSecondLevelRecipientDomains }),
		},
		{
			Name: "reject_single_label_recipient_domains", Type: boolean(), Default: false,
			Doc:   "Whether recipients in domains without a dot are refused (550 5.1.6). Accepted domains are not.",
			Field: in(func(c *ReceiveConnector) any { return &c.RejectSingleLabelRecipientDomains }),
		},
	}
}

func receiveProtocol() []key {
	return []key{
		{
			Name: "require_ehlo_domain", Type: boolean(), Default: true,
			Doc:   "Whether HELO and EHLO need an argument.",
			Field: in(func(c *ReceiveConnector) any { return &c.RequireEHLODomain }),
		},
		{
			Name: "ehlo_domain_validation", Type: choice("strict", "lenient", "off"), Default: "strict",
			Doc:   "How the argument of HELO and EHLO is checked: as RFC 5321 has it (`strict`), with a final dot or space let pass (`lenient`), or not at all (`off`).",
			Field: in(func(c *ReceiveConnector) any { return &c.EHLODomainValidation }),
		},
		{
			Name: "bare_line_ends", Type: choice("reject", "normalise"), Default: "reject",
			Doc:   "What happens to a message with a CR or LF that stands alone: it is refused, or the line end is completed to CRLF.",
			Field: in(func(c *ReceiveConnector) any { return &c.BareLineEnds }),
		},
		{
			Name: "long_lines", Type: choice("pass", "fold", "reject"), Default: "pass",
			Doc:   "What happens to a message with lines of more than 998 octets: it passes as it is, its lines are broken (`fold`, which no DKIM signature of the body survives), or it is refused with 554 5.6.0. Messages with BODY=BINARYMIME pass.",
			Field: in(func(c *ReceiveConnector) any { return &c.LongLines }),
		},
		{
			Name: "size_enabled", Type: choice("enabled", "disabled", "enabled_without_value"), Default: "enabled",
			Doc:   "Whether SIZE is offered (RFC 1870), and with it the limit.",
			Field: in(func(c *ReceiveConnector) any { return &c.SizeEnabled }),
		},
		{
			Name: "pipelining_enabled", Type: boolean(), Default: true,
			Doc:   "Whether PIPELINING is offered (RFC 2920).",
			Field: in(func(c *ReceiveConnector) any { return &c.PipeliningEnabled }),
		},
		{
			Name: "enhanced_status_codes_enabled", Type: boolean(), Default: true,
			Doc:   "Whether ENHANCEDSTATUSCODES is offered (RFC 2034).",
			Field: in(func(c *ReceiveConnector) any { return &c.EnhancedStatusCodesEnabled }),
		},
		{
			Name: "eight_bit_mime_enabled", Type: boolean(), Default: true,
			Doc:   "Whether 8BITMIME is offered (RFC 6152).",
			Field: in(func(c *ReceiveConnector) any { return &c.EightBitMIMEEnabled }),
		},
		{
			Name: "chunking_enabled", Type: boolean(), Default: true,
			Doc:   "Whether CHUNKING is offered, that is BDAT (RFC 3030).",
			Field: in(func(c *ReceiveConnector) any { return &c.ChunkingEnabled }),
		},
		{
			Name: "binary_mime_enabled", Type: boolean(), Default: true,
			Doc:   "Whether BINARYMIME is offered (RFC 3030). It needs `chunking_enabled`.",
			Field: in(func(c *ReceiveConnector) any { return &c.BinaryMIMEEnabled }),
		},
		{
			Name: "smtp_utf8_enabled", Type: boolean(), Default: true,
			Doc:   "Whether SMTPUTF8 is offered, that is addresses and headers in UTF-8 (RFC 6531). It needs `eight_bit_mime_enabled`.",
			Field: in(func(c *ReceiveConnector) any { return &c.SMTPUTF8Enabled }),
		},
		{
			Name: "delivery_status_notification_enabled", Type: boolean(), Default: true,
			Doc:   "Whether DSN is offered (RFC 3461), with which clients say what they want to be told of. Failures and delays are told without it too.",
			Field: in(func(c *ReceiveConnector) any { return &c.DeliveryStatusNotificationEnabled }),
		},
		{
			Name: "require_tls_extension_enabled", Type: boolean(), Default: true,
			Doc:   "Whether REQUIRETLS is offered within TLS (RFC 8689), with which a client asks that its message travels on within verified TLS only. It has nothing to do with `require_tls`.",
			Field: in(func(c *ReceiveConnector) any { return &c.RequireTLSExtensionEnabled }),
		},
		{
			Name: "limits_enabled", Type: boolean(), Default: true,
			Doc:   "Whether LIMITS is offered (RFC 9422), which tells clients `max_recipients_per_message` beforehand.",
			Field: in(func(c *ReceiveConnector) any { return &c.LimitsEnabled }),
		},
	}
}

func receiveMessageLimits() []key {
	return []key{
		{
			Name: "max_message_size", Type: size(64*kilobyte, maxCount),
			From:  &derivation{doc: "`server.max_message_size`", value: func(c *Config) any { return c.Server.MaxMessageSize }},
			Doc:   "The largest message, as received, before our trace fields.",
			Field: in(func(c *ReceiveConnector) any { return &c.MaxMessageSize }),
		},
		{
			Name: "max_header_size", Type: size(1, maxCount), Default: "256KB",
			Doc:   "The largest header block of a message.",
			Field: in(func(c *ReceiveConnector) any { return &c.MaxHeaderSize }),
		},
		{
			Name: "max_hop_count", Type: count(1, 500), Default: int64(30),
			Doc:   "The most Received fields that a message may arrive with.",
			Field: in(func(c *ReceiveConnector) any { return &c.MaxHopCount }),
		},
		{
			Name: "max_local_hop_count", Type: count(0, 50), Default: int64(8),
			Doc:   "The most Received fields of our own that a message may arrive with, those whose `by` names the `fqdn` or an address of a Receive connector; 0 for no limit.",
			Field: in(func(c *ReceiveConnector) any { return &c.MaxLocalHopCount }),
		},
		{
			Name: "max_recipients_per_message", Type: count(1, 512000), Default: int64(200),
			Doc:   "The most recipients of one message; further ones are told to come again (452 4.5.3).",
			Field: in(func(c *ReceiveConnector) any { return &c.MaxRecipientsPerMessage }),
		},
		{
			Name: "message_rate_limit", Type: limit(1, maxCount), Default: int64(600),
			Doc:   "The most messages a minute from one source. MAIL beyond it ends the session (421 4.4.2).",
			Field: in(func(c *ReceiveConnector) any { return &c.MessageRateLimit }),
		},
		{
			Name: "message_rate_source", Type: choice("none", "ip_address", "user", "all"), Default: "ip_address",
			Doc:   "What a source is for `message_rate_limit`: the client's address (of IPv6, its /64), the user who has authenticated (a client who has not counts by its address), or each of both.",
			Field: in(func(c *ReceiveConnector) any { return &c.MessageRateSource }),
		},
	}
}

func receiveSessionLimits() []key {
	return []key{
		{
			Name: "max_inbound_connection", Type: limit(1, maxCount), Default: int64(5000),
			Doc:   "The most sessions of the connector at one time.",
			Field: in(func(c *ReceiveConnector) any { return &c.MaxInboundConnection }),
		},
		{
			Name: "max_inbound_connection_per_source", Type: limit(1, 10000), Default: int64(20),
			Doc:   "The most sessions of one client address (of IPv6, one /64) at one time.",
			Field: in(func(c *ReceiveConnector) any { return &c.MaxInboundConnectionPerSource }),
		},
		{
			Name: "max_inbound_connection_percentage_per_source", Type: limit(1, 100), Default: int64(2),
			Doc:   "The part, in percent, of the connector's free sessions that one client address (of IPv6, one /64) may hold, rounded up.",
			Field: in(func(c *ReceiveConnector) any { return &c.MaxInboundConnectionPercentagePerSource }),
		},
		{
			Name: "max_connection_rate_per_minute", Type: limit(1, maxCount), Default: "unlimited",
			Doc:   "The most new connections of the connector a minute.",
			Field: in(func(c *ReceiveConnector) any { return &c.MaxConnectionRatePerMinute }),
		},
		{
			Name: "connection_timeout", Type: duration(time.Second, day), Default: "5m",
			Doc:   "How long a session may last, even while it is busy; the clock stands still while a message arrives fast enough. It is longer than `connection_inactivity_timeout`.",
			Field: in(func(c *ReceiveConnector) any { return &c.ConnectionTimeout }),
		},
		{
			Name: "connection_inactivity_timeout", Type: duration(time.Second, day), Default: "1m",
			Doc:   "How long a session may be idle.",
			Field: in(func(c *ReceiveConnector) any { return &c.ConnectionInactivityTimeout }),
		},
		{
			Name: "max_protocol_errors", Type: limit(0, maxCount), Default: int64(5),
			Doc:   "After this many protocol errors the session is closed (421 4.7.0).",
			Field: in(func(c *ReceiveConnector) any { return &c.MaxProtocolErrors }),
		},
		{
			Name: "max_logon_failures", Type: count(0, 10), Default: int64(3),
			Doc:   "After this many failed AUTH commands the session is closed; 0 for never.",
			Field: in(func(c *ReceiveConnector) any { return &c.MaxLogonFailures }),
		},
		{
			Name: "max_idle_commands", Type: limit(1, maxCount), Default: int64(500),
			Doc:   "After this many commands in a row that bring no mail forward the session is closed (421 4.7.0): those that are refused, HELO, EHLO, RSET, NOOP, VRFY, HELP, a recipient given again, a chunk of less than 1 KB before the last. A message that is accepted begins the count anew.",
			Field: in(func(c *ReceiveConnector) any { return &c.MaxIdleCommands }),
		},
		{
			Name: "max_logon_failures_per_source", Type: limit(1, 10000), Default: int64(30),
			Doc:   "How many AUTH commands from one address (a /64 of IPv6) may fail within ten minutes, over all sessions and connectors, before further ones are refused (421 4.7.0).",
			Field: in(func(c *ReceiveConnector) any { return &c.MaxLogonFailuresPerSource }),
		},
	}
}
