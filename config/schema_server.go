package config

import (
	"net/netip"
	"path/filepath"
	"time"
)

const (
	day = 24 * time.Hour
	// maxCount is the largest number that Exchange takes for most limits.
	maxCount = 1<<31 - 1

	kilobyte = 1 << 10
	megabyte = 1 << 20
)

func serverTable() *table {
	return single(table{
		name: "server",
		doc:  "The gateway as a whole.",
		keys: []key{
			{
				Name: "fqdn", Type: fqdn(), From: &derivation{doc: "the host name", value: func(c *Config) any { return c.source.hostName }},
				Doc:   "The name that the gateway gives itself where a connector has none of its own. With an unqualified name, EHLO sends an address literal.",
				Field: in(func(s *Server) any { return &s.FQDN }),
			},
			{
				Name: "data_dir", Type: path(), Default: "postern-data", Restart: true,
				Doc:   "The directory for everything that the gateway keeps.",
				Field: in(func(s *Server) any { return &s.DataDir }),
			},
			{
				Name: "certificate_directory", Type: path(), Restart: true,
				From:  &derivation{doc: "`server.data_dir`/certificates", value: func(c *Config) any { return filepath.Join(c.Server.DataDir, "certificates") }},
				Doc:   "The certificate store: the directory of the certificates and keys that the gateway presents, as PEM files that end in .pem, .crt, .cer or .key. What changes there is read again at once.",
				Field: in(func(s *Server) any { return &s.CertificateDirectory }),
			},
			{
				Name: "max_message_size", Type: size(64*kilobyte, maxCount), Default: "36MB",
				Doc:   "The largest message that Receive connectors without a limit of their own take.",
				Field: in(func(s *Server) any { return &s.MaxMessageSize }),
			},
			{
				Name: "postmaster_address", Type: mailbox(),
				From:  &derivation{doc: "`postmaster@` and `server.fqdn`", value: func(c *Config) any { return "postmaster@" + c.Server.FQDN }},
				Doc:   "Whom delivery status notifications come from, and who gets copies of them.",
				Field: in(func(s *Server) any { return &s.PostmasterAddress }),
			},
			{
				Name: "shutdown_timeout", Type: duration(time.Second, time.Hour), Default: "30s",
				Doc:   "How long messages under way and deliveries in hand may take to finish when the gateway is stopped; then they are cut off. The service manager must allow somewhat more.",
				Field: in(func(s *Server) any { return &s.ShutdownTimeout }),
			},
			{
				Name: "external_ip_address", Type: externalAddresses(), Default: []any{},
				Doc:   "The addresses at which this host is reached from outside, at most one of each family, where they are not those of its interfaces (NAT). They stand in the Received field in the place of the local ones, recipients may have them for a domain, and a next hop at one of them and at the port of a binding is the gateway itself.",
				Field: in(func(s *Server) any { return &s.ExternalIPAddress }),
			},
			{
				Name: "users_file", Type: optionalPath(), Default: "",
				Doc:   "A file of further `[[user]]` tables, which is read again whenever it changes.",
				Field: in(func(s *Server) any { return &s.UsersFile }),
			},
		},
	}, func(c *Config) *Server { return &c.Server })
}

func dnsTable() *table {
	return single(table{
		name: "dns",
		doc:  "Whom to ask for names.",
		keys: []key{
			{
				Name: "servers", Type: list(nameServer(), 0, once[netip.AddrPort]), Default: []any{},
				Doc:   "The resolvers to ask, in this order; port 53 where none is written. When empty, the system's.",
				Field: in(func(d *DNS) any { return &d.Servers }),
			},
			{
				Name: "hosts", Type: staticHosts(), Default: map[string]any{},
				Doc:   "Static addresses of hosts, which are asked for before DNS.",
				Field: in(func(d *DNS) any { return &d.Hosts }),
			},
			{
				Name: "protocol", Type: dnsProtocol(), Default: DNSAny,
				Doc:   "How they are asked: over UDP, and over TCP what does not fit (`any`), over UDP alone (`udp`), or over TCP alone (`tcp`).",
				Field: in(func(d *DNS) any { return &d.Protocol }),
			},
		},
	}, func(c *Config) *DNS { return &c.DNS })
}

func acceptedDomainTable() *table {
	return repeated(table{
		name: "accepted_domain", identity: "domain", fold: true, ordered: true,
		doc: "A domain for which the gateway takes mail from strangers.",
		keys: []key{
			{
				Name: "domain", Type: acceptedDomain(), Required: true,
				Doc:   "The domain, or `*.` before it for its subdomains (which leaves the domain itself out).",
				Field: in(func(d *AcceptedDomain) any { return &d.Domain }),
			},
			{
				Name: "type", Type: choice(Authoritative, InternalRelay, ExternalRelay), Default: string(Authoritative),
				Doc:   "Whether all recipients of the domain are ours (`authoritative`), some are elsewhere in the organisation (`internal_relay`), or all belong to somebody else for whom we relay (`external_relay`).",
				Field: in(func(d *AcceptedDomain) any { return &d.Type }),
			},
			{
				Name: "default", Type: boolean(), Default: false,
				Doc:   "Marks the domain that completes addresses without one, such as `<postmaster>`. When none is marked it is the first, when there is none `server.fqdn`.",
				Field: in(func(d *AcceptedDomain) any { return &d.Default }),
			},
			{
				Name: "require_sender_authentication", Type: boolean(), Default: false,
				Doc:   "Whether the domain's recipients take mail from authenticated senders only (`users` and `servers`; others get 550 5.7.1). The postmaster takes mail from everybody.",
				Field: in(func(d *AcceptedDomain) any { return &d.RequireSenderAuthentication }),
			},
			{
				Name: "require_sender_authentication_for", Type: list(mailbox(), 0, once[string]), Default: []any{},
				Doc:   "Single addresses of the domain that take mail from authenticated senders only.",
				Field: in(func(d *AcceptedDomain) any { return &d.RequireSenderAuthenticationFor }),
			},
		},
	}, func(c *Config) *[]AcceptedDomain { return &c.AcceptedDomains })
}

func userTable() *table {
	return repeated(table{
		name: "user", identity: "name", fold: true,
		doc: "An account for SMTP AUTH. It needs a password or a certificate.",
		keys: []key{
			{
				Name: "name", Type: nameUpTo(255), Required: true,
				Doc:   "The user name, in any case: `scanner`, or an address.",
				Field: in(func(u *User) any { return &u.Name }),
			},
			{
				Name: "enabled", Type: boolean(), Default: true,
				Doc:   "Whether the account may be used.",
				Field: in(func(u *User) any { return &u.Enabled }),
			},
			{
				Name: "password_hash", Type: optional(passwordHash()), Default: "", Secret: true,
				Doc:   "The Argon2id or bcrypt hash of the password, or its SCRAM-SHA-256 verifier; it begins with `$argon2id$`, `$2a$`, `$2b$`, `$2y$` or `SCRAM-SHA-256$`.",
				Field: in(func(u *User) any { return &u.PasswordHash }),
			},
			{
				Name: "certificate_thumbprint", Type: list(thumbprint(), 0, once[string]), Default: []any{},
				Doc:   "SHA-256 digests of client certificates that prove the user by AUTH EXTERNAL, in hexadecimal, whoever issued them.",
				Field: in(func(u *User) any { return &u.CertificateThumbprint }),
			},
			{
				Name: "certificate_subject", Type: list(someText("subject"), 0, once[string]), Default: []any{},
				Doc:   "Subjects of client certificates from a trusted authority that prove the user by AUTH EXTERNAL, as `<S>CN=scanner,O=Contoso`, with `<I>` and the issuer in front where it matters.",
				Field: in(func(u *User) any { return &u.CertificateSubject }),
			},
			{
				Name: "allowed_senders", Type: list(someText("sender"), 0, once[string]), Default: []any{},
				Doc:   "The senders that the user may use: addresses, domains, `*.contoso.example` for a domain and its subdomains, `*` for every sender. When empty, the address that is the user's name, or the name in the default domain.",
				Field: in(func(u *User) any { return &u.AllowedSenders }),
			},
		},
	}, func(c *Config) *[]User { return &c.Users })
}

func routingTable() *table {
	return single(table{
		name: "routing",
		doc:  "The choice of Send connectors.",
		keys: []key{{
			Name: "restrictions", Type: choice("filter", "enforce"), Default: "filter",
			Doc:   "Whether a connector whose size or sender limits a message breaks is passed over for the next best (`filter`, as in Exchange), or the most specific connector's limits bind and the message is refused (`enforce`).",
			Field: in(func(r *Routing) any { return &r.Restrictions }),
		}},
	}, func(c *Config) *Routing { return &c.Routing })
}

func queueTable() *table {
	return single(table{
		name: "queue",
		doc:  "Delivery queues.",
		keys: []key{
			{
				Name: "directory", Type: path(), Restart: true,
				From:  &derivation{doc: "`server.data_dir`/spool", value: func(c *Config) any { return filepath.Join(c.Server.DataDir, "spool") }},
				Doc:   "The directory of the spool.",
				Field: in(func(q *Queue) any { return &q.Directory }),
			},
			{
				Name: "message_expiration", Type: duration(5*time.Second, 90*day), Default: "2d",
				Doc:   "How long delivery is tried before the sender gets a failure notification.",
				Field: in(func(q *Queue) any { return &q.MessageExpiration }),
			},
			{
				Name: "delay_notification", Type: durationOrNever(time.Second, 30*day), Default: "4h",
				Doc:   "After what time without delivery the sender gets a delay notification; with 0 there is none.",
				Field: in(func(q *Queue) any { return &q.DelayNotification }),
			},
			{
				Name: "retry", Type: list(retryStep(), 1, nil), Default: []any{"1m x4", "10m x6", "30m"},
				Doc:   "The intervals between attempts, each with how often it is waited; the last one repeats until the message expires.",
				Field: in(func(q *Queue) any { return &q.Retry }),
			},
			{
				Name: "message_retry_interval", Type: duration(0, day), Default: "0s",
				Doc:   "How long a message waits that a host refused for now (4xx), whatever the number of its tries, 1s at least; with 0s `retry` says how long.",
				Field: in(func(q *Queue) any { return &q.MessageRetryInterval }),
			},
			{
				Name: "max_idle_time_before_resubmit", Type: duration(time.Minute, 30*day), Default: "12h",
				Doc:   "After what time in which no host of a next hop took a connection all the queue's messages are routed anew.",
				Field: in(func(q *Queue) any { return &q.MaxIdleTimeBeforeResubmit }),
			},
			{
				Name: "max_outbound_connections", Type: limit(1, maxCount), Default: int64(1000),
				Doc:   "The most connections to next hops at one time.",
				Field: in(func(q *Queue) any { return &q.MaxOutboundConnections }),
			},
			{
				Name: "max_per_domain_outbound_connections", Type: limit(1, maxCount), Default: int64(20),
				Doc:   "The most connections to one next hop at one time.",
				Field: in(func(q *Queue) any { return &q.MaxPerDomainOutboundConnections }),
			},
		},
	}, func(c *Config) *Queue { return &c.Queue })
}

func controlTable() *table {
	return single(table{
		name: "control",
		doc:  "The socket on which the commands of an administrator reach the server.",
		keys: []key{{
			Name: "socket", Type: path(), Restart: true,
			From:  &derivation{doc: "`server.data_dir`/control.sock", value: func(c *Config) any { return filepath.Join(c.Server.DataDir, "control.sock") }},
			Doc:   "The path of the Unix socket.",
			Field: in(func(l *Control) any { return &l.Socket }),
		}},
	}, func(c *Config) *Control { return &c.Control })
}
