package config

import (
	"math"
	"net/netip"
	"time"
)

// Unlimited is the value of a limit written as "unlimited". It is larger than
// anything that is counted, so that limits need no special case.
const Unlimited = math.MaxInt64

// Config is a whole configuration file with every default filled in. It is
// never changed once loaded; a reload makes a new one.
type Config struct {
	Server            Server
	DNS               DNS
	AcceptedDomains   []AcceptedDomain
	ReceiveConnectors []ReceiveConnector
	Users             []User
	SendConnectors    []SendConnector
	DKIM              []DKIM
	Routing           Routing
	Queue             Queue
	Notifications     Notifications
	RemoteDomains     []RemoteDomain
	BackPressure      BackPressure
	Logs              Logs
	Control           Control
	Metrics           Metrics
	Pickup            Pickup

	// lists are the files of entries that the configuration names, by path; nil
	// before they were read.
	lists map[string]*List

	// source remembers the file's name and where each key stands in it.
	source source
}

// Server holds what concerns the gateway as a whole.
type Server struct {
	// FQDN is the name that the gateway gives itself where a connector has no
	// name of its own.
	FQDN    string
	DataDir string
	// CertificateDirectory holds the certificates that the gateway presents.
	CertificateDirectory string
	MaxMessageSize       int64
	// PostmasterAddress is whom notifications come from.
	PostmasterAddress string
	// ShutdownTimeout is how long sessions and deliveries in hand may take when
	// the gateway is stopped.
	ShutdownTimeout time.Duration
	// ExternalIPAddress are the addresses, at most one of each family, at which
	// this host is reached from beyond a translation of addresses.
	ExternalIPAddress []netip.Addr
	// UsersFile holds further users; empty for none.
	UsersFile string
}

// Pickup is about the directories from which messages are taken (reference
// 11). An empty path means that there is no such directory.
type Pickup struct {
	PickupDirectoryPath string
	ReplayDirectoryPath string
	// PickupDirectoryMaxMessagesPerMinute holds for each directory.
	PickupDirectoryMaxMessagesPerMinute    int64
	PickupDirectoryMaxHeaderSize           int64
	PickupDirectoryMaxRecipientsPerMessage int64
}

// DNS says whom to ask for names.
type DNS struct {
	// Servers are resolvers as "ip:port"; empty means the system's.
	Servers []netip.AddrPort
	// Hosts are static answers, asked before DNS; keys are lower case without
	// a final dot.
	Hosts map[string][]netip.Addr
	// Protocol is how the servers are asked: any | udp | tcp.
	Protocol string
}

// The values of DNS.Protocol and SendConnector.DNSProtocol.
const (
	DNSAny = "any"
	DNSUDP = "udp"
	DNSTCP = "tcp"
)

// DomainType is the type of an accepted domain (reference 4.1).
type DomainType string

// The types of accepted domain.
const (
	Authoritative DomainType = "authoritative"
	InternalRelay DomainType = "internal_relay"
	ExternalRelay DomainType = "external_relay"
)

// AcceptedDomain is a domain for which the gateway takes mail from strangers.
type AcceptedDomain struct {
	// Domain is "contoso.example" or, for its subdomains, "*.contoso.example".
	Domain  string
	Type    DomainType
	Default bool
	// RequireSenderAuthentication keeps all recipients of the domain for senders
	// who have authenticated, RequireSenderAuthenticationFor some addresses.
	RequireSenderAuthentication    bool
	RequireSenderAuthenticationFor []string
}

// Range is a range of addresses of one family, both ends included.
type Range struct{ From, To netip.Addr }

// ReceiveConnector is one [[receive_connector]] (reference 1.4).
type ReceiveConnector struct {
	Name           string
	Enabled        bool
	Comment        string
	Bindings       []netip.AddrPort
	RemoteIPRanges []Range
	// ProxyProtocolFrom are the proxies whose connections begin with a PROXY
	// header.
	ProxyProtocolFrom []Range
	Banner            string // empty: "220 <fqdn> ESMTP Postern ready at <date>" style default
	FQDN              string // never empty: defaults to server.fqdn
	PermissionGroups  []string
	Grant             []string
	Deny              []string
	AuthMechanism     []string
	// ClientCAFile holds the authorities of client certificates; empty: the
	// system's.
	ClientCAFile string
	// TLSReceiveDomainSecureList are the domains whose client certificates make
	// a session one of a partner.
	TLSReceiveDomainSecureList []string
	// DomainSecureEnabled: senders in those domains need such a certificate.
	DomainSecureEnabled bool
	// TLSDomainCapabilities are rights for clients whose certificate is for a
	// domain, in lower case, or "*.contoso.example".
	TLSDomainCapabilities map[string][]string
	RequireTLS            bool
	ImplicitTLS           bool
	// TLSCertificate is what clients see: a thumbprint, a name or a path;
	// empty: by FQDN.
	TLSCertificate string
	TLSCiphers     string // modern | compatible
	SessionTickets bool

	// DefaultDomain completes addresses of submissions; empty: none.
	DefaultDomain                             string
	AcceptAddressLiterals                     bool
	RejectReservedTopLevelRecipientDomains    bool
	RejectReservedSecondLevelRecipientDomains bool
	RejectSingleLabelRecipientDomains         bool

	RequireEHLODomain    bool
	EHLODomainValidation string // strict | lenient | off
	BareLineEnds         string // reject | normalise
	LongLines            string // pass | fold | reject

	MaxMessageSize          int64
	MaxHeaderSize           int64
	MaxHopCount             int64
	MaxLocalHopCount        int64
	MaxRecipientsPerMessage int64

	MaxInboundConnection                    int64
	MaxInboundConnectionPerSource           int64
	MaxInboundConnectionPercentagePerSource int64
	MaxConnectionRatePerMinute              int64
	MessageRateLimit                        int64
	MessageRateSource                       string // none | ip_address | user | all

	ConnectionTimeout           time.Duration
	ConnectionInactivityTimeout time.Duration
	MaxProtocolErrors           int64
	MaxLogonFailures            int64
	MaxIdleCommands             int64
	MaxLogonFailuresPerSource   int64
	TarpitInterval              time.Duration
	AuthTarpitInterval          time.Duration
	GreetingDelay               time.Duration
	EarlyTalker                 string // log | reject

	SizeEnabled                string // enabled | disabled | enabled_without_value
	PipeliningEnabled          bool
	EnhancedStatusCodesEnabled bool
	EightBitMIMEEnabled        bool
	ChunkingEnabled            bool
	BinaryMIMEEnabled          bool // only with ChunkingEnabled
	SMTPUTF8Enabled            bool // only with EightBitMIMEEnabled

	DeliveryStatusNotificationEnabled bool
	LimitsEnabled                     bool
	RequireTLSExtensionEnabled        bool // REQUIRETLS, which RequireTLS has nothing to do with

	ProtocolLogging string // none | verbose
}

// User is one [[user]], an SMTP AUTH account.
type User struct {
	Name                  string
	Enabled               bool
	PasswordHash          string   // empty: no password
	CertificateThumbprint []string // in upper-case hexadecimal
	CertificateSubject    []string
	AllowedSenders        []string
}

// SmartHost is a next hop given by name or address.
type SmartHost struct {
	// Host is a name, or an address without brackets.
	Host string
	// Port is zero when the connector's port holds.
	Port uint16
}

// SmartHostAuth is how to authenticate to the smart hosts.
type SmartHostAuth struct {
	Mechanism    string // none | basic | basic_require_tls | scram | scram_require_tls
	Username     string
	PasswordFile string
	PasswordEnv  string // the name of a variable of the environment
}

// The ways into the gateway that are no Receive connectors, as scope names them
// and as messages have them for their Origin.Protocol.
const (
	SourcePickup = "Pickup"
	SourceReplay = "Replay"
	SourceImport = "Import"
)

// The values of ReceiveConnector.TLSCiphers.
const (
	ModernCiphers     = "modern"
	CompatibleCiphers = "compatible"
)

// The TLS modes of a Send connector.
const (
	TLSRequired       = "required"
	TLSOpportunistic  = "opportunistic"
	TLSIgnoreSTARTTLS = "ignore_starttls"
)

// The TLS authentication levels of a Send connector (reference 2.1).
const (
	EncryptionOnly        = "encryption_only"
	CertificateValidation = "certificate_validation"
	DomainValidation      = "domain_validation"
)

// The values of SendConnector.IPPreference.
const (
	PreferIPv4 = "prefer_ipv4"
	PreferIPv6 = "prefer_ipv6"
	IPv4Only   = "ipv4_only"
	IPv6Only   = "ipv6_only"
)

// The values of SendConnector.SourceIPSelection.
const (
	SourceRoundRobin = "round_robin"
	SourceSticky     = "sticky"
)

// The values of SendConnector.EightBitMIMEMissing.
const (
	EightBitFail = "fail"
	EightBitSend = "send"
)

// SendConnector is one [[send_connector]] (reference 2.1).
type SendConnector struct {
	Name    string
	Enabled bool
	Comment string
	// AddressSpaces are "type:space;cost" as written; package routing knows
	// their grammar.
	AddressSpaces []string
	// SmartHosts, when not empty, take all mail of the connector; else it goes
	// by MX.
	SmartHosts    []SmartHost
	Port          uint16
	SmartHostAuth SmartHostAuth

	TLS          string // required | opportunistic | ignore_starttls
	TLSAuthLevel string // empty | encryption_only | certificate_validation | domain_validation
	// TLSDomain are the names of which domain validation wants one;
	// "*.contoso.example" stands for any name below.
	TLSDomain []string
	TLSCAFile string // empty: the system's authorities
	// TLSFingerprints are digests in upper-case hexadecimal, of a certificate
	// or, behind PublicKeyPin, of its public key.
	TLSFingerprints []string
	// NoTLSFallback is tls_fallback = false.
	NoTLSFallback       bool
	ImplicitTLS         bool
	TLSCertificate      string // empty: by FQDN
	DomainSecureEnabled bool
	TLSOverrides        []TLSOverride

	MaxMessageSize int64
	BlockedSenders []string
	AllowedSenders []string

	// DNSServers are asked for the next hops in place of [dns].servers.
	DNSServers   []netip.AddrPort
	DNSProtocol  string // any | udp | tcp; defaults to dns.protocol
	IPPreference string // prefer_ipv4 | prefer_ipv6 | ipv4_only | ipv6_only
	// SourceIPAddress may have several addresses of a family, of which
	// SourceIPSelection chooses: round_robin | sticky.
	SourceIPAddress   []netip.Addr
	SourceIPSelection string
	FQDN              string // never empty: defaults to server.fqdn
	ForceHELO         bool
	// MasqueradeDomain, when not empty, takes the place of our domains in the
	// reverse path.
	MasqueradeDomain    string
	EightBitMIMEMissing string // fail | send
	// AddressSpacesFile, BlockedSendersFile and AllowedSendersFile name files of
	// further entries, which Config.List has; empty for none.
	AddressSpacesFile  string
	BlockedSendersFile string
	AllowedSendersFile string
	// Scope are the names of the Receive connectors, and of the other ways in
	// (SourcePickup and so on), whose mail may use the connector; empty: all.
	Scope []string
	// Fallback is the name of the Send connector that takes over what could not
	// be delivered for FallbackAfter, or after FallbackFailures attempts; empty
	// for none.
	Fallback         string
	FallbackAfter    time.Duration // Unlimited: never
	FallbackFailures int64
	AllowWeakerTLS   bool

	ConnectionInactivityTimeout time.Duration
	MessagesPerConnection       int64
	ProtocolLogging             string // none | verbose

	// MaxConnections bounds the deliveries of the connector under way at a
	// time, MaxConnectionsPerDomain those to one domain, or to its smart hosts.
	MaxConnections          int64
	MaxConnectionsPerDomain int64
	// MessageRateLimit and MessageRateLimitPerDomain are deliveries a minute.
	MessageRateLimit          int64
	MessageRateLimitPerDomain int64

	DowngradeDNSFailures bool
	ReplyRules           []ReplyRule

	SendHeadersRouting      bool
	SendHeadersOrganization bool
	// DKIMDomains are the domains of [[dkim]] for which mail is signed; "*"
	// stands for all.
	DKIMDomains []string
}

// ReplyRule is one [[send_connector.reply_rule]] (reference 2.3): replies of
// next hops that count for another class than their own. All conditions that
// are given must be met; the first rule that fits decides.
type ReplyRule struct {
	Name          string
	Class         string // temporary | permanent
	Codes         []int64
	EnhancedCodes []string
	Pattern       string // a regular expression (RE2); empty: any text
	// Domains are recipient domains, "*.contoso.example" for a domain and those
	// below it; empty: every one.
	Domains []string
}

// The values of DKIM.OnError.
const (
	DKIMDefer        = "defer"
	DKIMSendUnsigned = "send_unsigned"
)

// DKIM is one [[dkim]]: how mail from a domain of ours is signed (RFC 6376).
type DKIM struct {
	Domain string
	// Subdomains says that mail from the domains below is signed too, in the
	// name of Domain, unless they have a row of their own.
	Subdomains bool
	// Keys are files of private keys by selector; each makes a signature.
	Keys map[string]string
	// SignedHeaders are fields that are signed as they are, OversignedHeaders
	// those of which none can be added either.
	SignedHeaders     []string
	OversignedHeaders []string
	Canonicalization  string        // "relaxed/relaxed": of the header and of the body
	Expiration        time.Duration // of signatures; Unlimited: never
	OnError           string        // defer | send_unsigned
}

// TLSOverride is one [[send_connector.tls_override]]: the TLS policy of a Send
// connector for some domains. Its fields are as those of SendConnector.
type TLSOverride struct {
	// Domain is "fabrikam.example", "*.fabrikam.example" for it and its
	// subdomains, or an address.
	Domain          string
	TLS             string
	TLSAuthLevel    string
	TLSDomain       []string
	TLSCAFile       string
	TLSFingerprints []string
	NoTLSFallback   bool
}

// Routing holds what concerns the choice of Send connectors.
type Routing struct {
	Restrictions string // filter | enforce
}

// RetryStep is one entry of [queue].retry: an interval and how often it is
// waited. The last step repeats for ever.
type RetryStep struct {
	Interval time.Duration
	Count    int
}

// Queue is [queue] (reference 2.5).
type Queue struct {
	Directory                       string
	MessageExpiration               time.Duration
	DelayNotification               time.Duration // Unlimited: never
	Retry                           []RetryStep
	MessageRetryInterval            time.Duration // zero: Retry drives both clocks
	MaxIdleTimeBeforeResubmit       time.Duration
	MaxOutboundConnections          int64
	MaxPerDomainOutboundConnections int64
}

// Notifications is [notifications] (reference 10.6).
type Notifications struct {
	MaxMessageAttachSize   int64
	MaxPerSenderPerHour    int64
	CopyDSNToPostmasterFor []string
}

// RemoteDomain is one [[remote_domain]] (reference 4.2).
type RemoteDomain struct {
	// Domain is "fabrikam.example", "*.fabrikam.example" for it and its
	// subdomains, or "*".
	Domain                string
	NDREnabled            bool
	NDRDiagnosticInfo     bool
	DeliveryReportEnabled bool
}

// BackPressure is [back_pressure] (reference 5).
type BackPressure struct {
	Enabled  bool
	Interval time.Duration
	// ReplyNamesResource lets refusals name the resource to the client.
	ReplyNamesResource bool

	Disk, LogDisk, Inodes, Segments Pressure
	Memory                          Pressure
	SubmissionQueue, Messages       Pressure
	SyncLatency, FileDescriptors    Pressure
}

// Pressure is one table of [back_pressure]: the values at which a resource's
// level changes.
type Pressure struct {
	Enabled bool
	// Medium and High are where the level rises, HighToMedium and
	// MediumToNormal where it falls.
	Medium, High                 Threshold
	HighToMedium, MediumToNormal Threshold
	// HistoryDepth is how many measurements in a row must be beyond a threshold
	// before the level rises; 0 means the same as 1.
	HistoryDepth int64
}

// Logs is [logs] (reference 7). What it says holds for every log that says
// nothing else in its own table.
type Logs struct {
	Directory string
	Format    string
	// MaxFileSize and MaxDirectorySize are in octets. Zero MaxDirectorySize and
	// MaxAge leave it to each log; its own table says what holds.
	MaxFileSize, MaxDirectorySize int64
	MaxAge                        time.Duration

	ReceiveProtocol, SendProtocol, Connectivity, MessageTracking, Agent, RoutingTable Log

	Event EventLog
}

// EventLog is [logs.event].
type EventLog struct {
	// Level is "debug", "info", "warn" or "error"; Levels has the areas that
	// have another.
	Level  string
	Levels map[string]string
	// Format is that of standard error: "auto", "text", "json" or "journald".
	Format string
	// Syslog is the server that gets every event: "unix:/dev/log",
	// "udp://host:514" or "tcp://host:601"; empty for none. SyslogFacility is
	// the name of a facility (RFC 5424 6.2.1).
	Syslog, SyslogFacility string
	// File is the event log in files. Its format is always JSON.
	File Log
}

// Log is the table of one log, such as [logs.connectivity]. Every field is
// filled in.
type Log struct {
	Enabled bool
	// Directory is where its files are, not the directory above.
	Directory string
	// Format is "csv" or "json".
	Format                        string
	MaxFileSize, MaxDirectorySize int64
	MaxAge                        time.Duration
	// LogSubjects is for message tracking alone.
	LogSubjects bool
}

// Control is [control], the local administration socket.
type Control struct {
	Socket string
}

// Metrics is [metrics], where monitoring systems read the gateway's figures
// beside the control socket.
type Metrics struct {
	// Address is the zero value when there is none.
	Address netip.AddrPort
}
