package config

import "time"

const defaultFallbackAfter = time.Hour

// sendRouting are the keys of a Send connector that decide which mail is routed
// through it, beside its address spaces.
func sendRouting() []key {
	return []key{
		{
			Name: "address_spaces_file", Type: optionalPath(), Default: "",
			Doc:   "A file of further address spaces, one a line, which is read again whenever it changes.",
			Field: in(func(c *SendConnector) any { return &c.AddressSpacesFile }),
		},
		{
			Name: "blocked_senders_file", Type: optionalPath(), Default: "",
			Doc:   "A file of further `blocked_senders`, one a line, which is read again whenever it changes.",
			Field: in(func(c *SendConnector) any { return &c.BlockedSendersFile }),
		},
		{
			Name: "allowed_senders_file", Type: optionalPath(), Default: "",
			Doc:   "A file of further `allowed_senders`, one a line, which is read again whenever it changes. Without any entry it allows nobody.",
			Field: in(func(c *SendConnector) any { return &c.AllowedSendersFile }),
		},
		{
			Name: "scope", Type: list(connectorName(), 0, once[string]), Default: []any{},
			Doc:   "The Receive connectors whose mail may be routed through the connector; `Pickup`, `Replay` and `Import` stand for mail that came these ways. When empty, all. Notifications are in every scope.",
			Field: in(func(c *SendConnector) any { return &c.Scope }),
		},
		{
			Name: "fallback", Type: optional(connectorName()), Default: "",
			Doc:   "The Send connector that takes over what this one could not deliver for `fallback_after`, or after `fallback_failures` attempts. When empty, none does.",
			Field: in(func(c *SendConnector) any { return &c.Fallback }),
		},
		{
			Name: "fallback_after", Type: durationLimit(time.Second, 90*day), Default: FormatDuration(defaultFallbackAfter),
			Doc:   "How long a message may have waited, or its next hop have taken no connection, before `fallback` takes over.",
			Field: in(func(c *SendConnector) any { return &c.FallbackAfter }),
		},
		{
			Name: "fallback_failures", Type: limit(1, maxCount), Default: "unlimited",
			Doc:   "How many attempts to deliver a message, or to reach its next hop, may fail in a row before `fallback` takes over.",
			Field: in(func(c *SendConnector) any { return &c.FallbackFailures }),
		},
		{
			Name: "allow_weaker_tls", Type: boolean(), Default: false,
			Doc:   "Whether `fallback` may name a connector that asks for less TLS than this one.",
			Field: in(func(c *SendConnector) any { return &c.AllowWeakerTLS }),
		},
	}
}
