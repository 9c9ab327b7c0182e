package config

import "time"

func sendConnectorTable() *table {
	var keys []key
	for _, group := range [][]key{sendScope(), sendHosts(), sendTLS(), sendLimits(), sendRouting(), sendRates(), sendPolicies()} {
		keys = append(keys, group...)
	}
	return repeated(table{
		name: "send_connector", identity: "name", fold: true,
		doc:  "A Send connector: which recipients' mail leaves through it, and how. A recipient belongs to the connector with the most specific address space, then the lowest cost, then the lowest name.",
		keys: keys,
		subs: []*table{smartHostAuthTable(), tlsOverrideTable(), replyRuleTable()},
	}, func(c *Config) *[]SendConnector { return &c.SendConnectors })
}

func sendScope() []key {
	return []key{
		{
			Name: "name", Type: connectorName(), Required: true,
			Doc:   "The connector's name, unlike every other's but for case.",
			Field: in(func(c *SendConnector) any { return &c.Name }),
		},
		{
			Name: "enabled", Type: boolean(), Default: true,
			Doc:   "Whether the connector takes part.",
			Field: in(func(c *SendConnector) any { return &c.Enabled }),
		},
		{
			Name: "comment", Type: comment(), Default: "",
			Doc:   "A note for people.",
			Field: in(func(c *SendConnector) any { return &c.Comment }),
		},
		{
			Name: "address_spaces", Type: list(someText("address space"), 1, nil), Required: true, Replaceable: true,
			Doc:   "The recipient domains, without which a connector needs an `address_spaces_file` or to be another's `fallback`; each as `smtp:contoso.example;1` with type and cost (1 to 100) or without: a domain, `*.contoso.example` for the domain and all its subdomains, `*` for every domain, `--` for all authoritative and internal-relay domains.",
			Field: in(func(c *SendConnector) any { return &c.AddressSpaces }),
		},
		{
			Name: "smart_hosts", Type: list(smartHost(), 0, once[SmartHost]), Default: []any{},
			Doc:   "The next hops for all mail of the connector: names or addresses, with `:port` if need be. When empty, mail goes by MX.",
			Field: in(func(c *SendConnector) any { return &c.SmartHosts }),
		},
		{
			Name: "port", Type: port(), Default: int64(25),
			Doc:   "The port of next hops, where a smart host names none of its own.",
			Field: in(func(c *SendConnector) any { return &c.Port }),
		},
		{
			Name: "protocol_logging", Type: choice("none", "verbose"), Default: "none",
			Doc:   "Whether sessions are written to the protocol log.",
			Field: in(func(c *SendConnector) any { return &c.ProtocolLogging }),
		},
	}
}

func sendLimits() []key {
	return []key{
		{
			Name: "max_message_size", Type: sizeLimit(0, maxCount), Default: "unlimited",
			Doc:   "The largest message that is routed through the connector.",
			Field: in(func(c *SendConnector) any { return &c.MaxMessageSize }),
		},
		{
			Name: "blocked_senders", Type: list(someText("sender"), 0, once[string]), Default: []any{},
			Doc:   "Senders whose mail is not routed through the connector: addresses, domains, `*.contoso.example` for a domain and its subdomains, `<>` for notifications.",
			Field: in(func(c *SendConnector) any { return &c.BlockedSenders }),
		},
		{
			Name: "allowed_senders", Type: list(someText("sender"), 0, once[string]), Default: []any{},
			Doc:   "The only senders whose mail is routed through the connector, written like `blocked_senders`. When empty, every sender but the blocked ones.",
			Field: in(func(c *SendConnector) any { return &c.AllowedSenders }),
		},
		{
			Name: "connection_inactivity_timeout", Type: duration(time.Second, day), Default: "10m",
			Doc:   "How long an idle connection may be kept for the next message; the gateway keeps it for a few seconds at most in any case.",
			Field: in(func(c *SendConnector) any { return &c.ConnectionInactivityTimeout }),
		},
		{
			Name: "messages_per_connection", Type: limit(1, maxCount), Default: int64(20),
			Doc:   "After this many messages a connection is closed and a new one opened.",
			Field: in(func(c *SendConnector) any { return &c.MessagesPerConnection }),
		},
	}
}

func smartHostAuthTable() *table {
	return single(table{
		name: "smart_host_auth",
		doc:  "How to authenticate to the smart hosts.",
		keys: []key{
			{
				Name: "mechanism", Type: choice("none", "basic", "basic_require_tls", "scram", "scram_require_tls"), Default: "none",
				Doc:   "Whether to log on with AUTH PLAIN or LOGIN (`basic`), or with SCRAM-SHA-256, which shows nobody the password (`scram`); each with `_require_tls` within TLS only.",
				Field: in(func(a *SmartHostAuth) any { return &a.Mechanism }),
			},
			{
				Name: "username", Type: comment(), Default: "",
				Doc:   "The user name.",
				Field: in(func(a *SmartHostAuth) any { return &a.Username }),
			},
			{
				Name: "password_file", Type: comment(), Default: "",
				Doc:   "The path of a file whose first line is the password. Nobody but its owner and its group may read it.",
				Field: in(func(a *SmartHostAuth) any { return &a.PasswordFile }),
			},
			{
				Name: "password_env", Type: optional(environmentName()), Default: "",
				Doc:   "The name of a variable of the gateway's environment that holds the password, in the place of `password_file`.",
				Field: in(func(a *SmartHostAuth) any { return &a.PasswordEnv }),
			},
		},
	}, func(c *SendConnector) *SmartHostAuth { return &c.SmartHostAuth })
}

// optional also takes the empty string, which leaves the key unset.
func optional(t typed[string]) typed[string] {
	inner := t.parse
	t.parse = func(value any) (string, []fault) {
		if value == "" {
			return "", nil
		}
		return inner(value)
	}
	return t
}
