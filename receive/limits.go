package receive

import (
	"time"

	"postern/internal/wire"
)

// The names of limits, as they stand in the log, the metric and the
// explanation. Where a key of the configuration sets the limit, it is the
// key's name.
const (
	limitInactivity   = "connection_inactivity_timeout"
	limitTimeout      = "connection_timeout"
	limitHandshake    = "handshake_timeout"
	limitDataRate     = "min_data_rate"
	limitProxyHeader  = "proxy_header"
	limitProxyTimeout = "proxy_header_timeout"
	limitConnections  = "max_inbound_connection"
	limitPerSource    = "max_inbound_connection_per_source"
	limitPercentage   = "max_inbound_connection_percentage_per_source"
	limitRate         = "max_connection_rate_per_minute"
	limitMessageRate  = "message_rate_limit"
	limitLogons       = "max_logon_failures"
	limitSourceLogons = "max_logon_failures_per_source"
	limitAuthRounds   = "auth_rounds"
	limitAuthLine     = "max_auth_line"
	limitErrors       = "max_protocol_errors"
	limitMessageSize  = "max_message_size"
	limitRouteSize    = "send_connector.max_message_size"
	limitHeaderSize   = "max_header_size"
	limitHopCount     = "max_hop_count"
	limitLocalHops    = "max_local_hop_count"
	limitRecipients   = "max_recipients_per_message"
	limitLongLines    = "long_lines"
	limitLine         = "max_command_line"
	limitWrite        = "write_timeout"
	limitStorage      = "storage"
	limitPressure     = "back_pressure" // with a dot and the resource
	limitEarlyTalker  = "early_talker"
	limitTarpitted    = "max_tarpitted_sessions"
	limitIdleCommands = "max_idle_commands"
	limitForeign      = "foreign_protocol"
)

// maxCommandLine is how long a command line may be, CRLF included: the 512
// octets of RFC 5321 4.5.3.1.4 and room for the parameters of every extension.
const maxCommandLine = 2048

// maxHeldHeader bounds the header that is kept in memory until it is known
// whether a message of ours lacks Date or Message-ID. A larger one gets
// neither.
const maxHeldHeader = 256 << 10

// minDrain and maxDrain bound how much refused content is read in order to
// answer at its end; between them it is the size of the largest message.
const (
	minDrain = 1 << 20
	maxDrain = 64 << 20
)

// batchSize is how many octets of replies are kept for one write.
const batchSize = 16 << 10

// FixedLimit is a limit that no key of the configuration sets.
type FixedLimit struct {
	Name  string
	Value int64
	// Unit is what the value counts: "seconds", "bytes", "bytes a second", or
	// nothing.
	Unit string
}

// FixedLimits are the limits of all sessions that no key sets, in the order in
// which a session may meet them.
func FixedLimits() []FixedLimit {
	seconds := func(name string, d time.Duration) FixedLimit {
		return FixedLimit{name, int64(d / time.Second), "seconds"}
	}
	return []FixedLimit{
		seconds(limitProxyTimeout, proxyTimeout),
		seconds(limitHandshake, handshakeTimeout),
		{limitLine, maxCommandLine, "bytes"},
		{limitAuthLine, wire.MaxAuthLine, "bytes"},
		{limitAuthRounds, maxAuthRounds, ""},
		{limitTarpitted, maxTarpitted, ""},
		{limitDataRate, minDataRate, "bytes a second"},
		seconds(limitWrite, writeTimeout),
	}
}
