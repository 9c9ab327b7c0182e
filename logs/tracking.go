package logs

import (
	"time"
)

// Tracking is one line of the message tracking log (reference 7.3): something
// that happened to a message, for the recipients that it names.
type Tracking struct {
	// Time is in UTC and holds whole milliseconds.
	Time time.Time
	// ClientIP and ClientHostname are the host that the message came from,
	// ServerIP and ServerHostname the one that it went to: of RECEIVE ours, of
	// SEND the next hop.
	ClientIP, ClientHostname string
	ServerIP, ServerHostname string
	// SourceContext begins with the id of the session in the protocol log.
	SourceContext string
	// Connector is the Receive connector as "SERVER\Connector", or the Send
	// connector's name.
	Connector string
	// Source and Event say who did what, such as SMTP and RECEIVE; see the
	// constants.
	Source, Event string
	// InternalID is the queue id, MessageID the Message-ID field with its
	// brackets; NetworkID is Exchange's GUID and empty here.
	InternalID, MessageID, NetworkID string
	// Recipients are addresses, Statuses what was said for each, or nothing. An
	// only item that is empty is read back as no item.
	Recipients, Statuses []string
	// Octets is the message's size, RecipientCount the number of Recipients.
	Octets         int64
	RecipientCount int
	// Related is an address that belongs to the event, such as who a redirected
	// message was for.
	Related string
	// Reference is the queue id of another message: of a notification that of
	// the message which it is about.
	Reference string
	Subject   string
	// Sender is the address in the From field where it is known, else that of
	// the reverse path; ReturnPath is the reverse path, "<>" for the null path.
	Sender, ReturnPath string
	MessageInfo        string
	// Directionality is Incoming, Originating or Undefined.
	Directionality string
	TenantID       string
	// OriginalClientIP and OriginalServerIP are those of RECEIVE, on every line
	// of the message.
	OriginalClientIP, OriginalServerIP string
	Custom                             Pairs
	TrafficType, LogID, SchemaVersion  string
}

// The events of message tracking that the gateway writes. SUSPEND and RESUME are
// its own; the others are Exchange's.
const (
	TrackReceive    = "RECEIVE"
	TrackSend       = "SEND"
	TrackDefer      = "DEFER"
	TrackFail       = "FAIL"
	TrackDSN        = "DSN"
	TrackSuppressed = "SUPPRESSED"
	TrackRedirect   = "REDIRECT"
	TrackResubmit   = "RESUBMIT"
	TrackPoison     = "POISONMESSAGE"
	TrackSuspend    = "SUSPEND"
	TrackResume     = "RESUME"
)

// The sources of message tracking: who brought an event.
const (
	SourceSMTP    = "SMTP"
	SourceRouting = "ROUTING"
	SourceQueue   = "QUEUE"
	SourceDSN     = "DSN"
	SourceAdmin   = "ADMIN"
	SourcePickup  = "PICKUP"
	SourcePoison  = "POISONMESSAGE"
)

// The values of Directionality, and what TrafficType and SchemaVersion of every
// line are.
const (
	Incoming    = "Incoming"
	Originating = "Originating"
	Undefined   = "Undefined"

	TrafficEmail = "Email"
	TrackSchema  = "15.0.0.0"
)

var trackingColumns = []column[Tracking]{
	{name: "date-time", key: "time", time: func(t *Tracking) *time.Time { return &t.Time }},
	{name: "client-ip", key: "client_ip", text: func(t *Tracking) *string { return &t.ClientIP }},
	{name: "client-hostname", key: "client_hostname", text: func(t *Tracking) *string { return &t.ClientHostname }},
	{name: "server-ip", key: "server_ip", text: func(t *Tracking) *string { return &t.ServerIP }},
	{name: "server-hostname", key: "server_hostname", text: func(t *Tracking) *string { return &t.ServerHostname }},
	{name: "source-context", key: "source_context", text: func(t *Tracking) *string { return &t.SourceContext }},
	{name: "connector-id", key: "connector_id", text: func(t *Tracking) *string { return &t.Connector }},
	{name: "source", key: "source", text: func(t *Tracking) *string { return &t.Source }},
	{name: "event-id", key: "event_id", text: func(t *Tracking) *string { return &t.Event }},
	{name: "internal-message-id", key: "internal_message_id", text: func(t *Tracking) *string { return &t.InternalID }},
	{name: "message-id", key: "message_id", text: func(t *Tracking) *string { return &t.MessageID }},
	{name: "network-message-id", key: "network_message_id", text: func(t *Tracking) *string { return &t.NetworkID }},
	{name: "recipient-address", key: "recipient_address", list: func(t *Tracking) *[]string { return &t.Recipients }},
	{name: "recipient-status", key: "recipient_status", list: func(t *Tracking) *[]string { return &t.Statuses }},
	{name: "total-bytes", key: "total_bytes", octets: func(t *Tracking) *int64 { return &t.Octets }},
	{name: "recipient-count", key: "recipient_count", count: func(t *Tracking) *int { return &t.RecipientCount }},
	{name: "related-recipient-address", key: "related_recipient_address", text: func(t *Tracking) *string { return &t.Related }},
	{name: "reference", key: "reference", text: func(t *Tracking) *string { return &t.Reference }},
	{name: "message-subject", key: "message_subject", text: func(t *Tracking) *string { return &t.Subject }},
	{name: "sender-address", key: "sender_address", text: func(t *Tracking) *string { return &t.Sender }},
	{name: "return-path", key: "return_path", text: func(t *Tracking) *string { return &t.ReturnPath }},
	{name: "message-info", key: "message_info", text: func(t *Tracking) *string { return &t.MessageInfo }},
	{name: "directionality", key: "directionality", text: func(t *Tracking) *string { return &t.Directionality }},
	{name: "tenant-id", key: "tenant_id", text: func(t *Tracking) *string { return &t.TenantID }},
	{name: "original-client-ip", key: "original_client_ip", text: func(t *Tracking) *string { return &t.OriginalClientIP }},
	{name: "original-server-ip", key: "original_server_ip", text: func(t *Tracking) *string { return &t.OriginalServerIP }},
	{name: "custom-data", key: "custom_data", pairs: func(t *Tracking) *Pairs { return &t.Custom }},
	{name: "transport-traffic-type", key: "transport_traffic_type", text: func(t *Tracking) *string { return &t.TrafficType }},
	{name: "log-id", key: "log_id", text: func(t *Tracking) *string { return &t.LogID }},
	{name: "schema-version", key: "schema_version", text: func(t *Tracking) *string { return &t.SchemaVersion }},
}

// Append appends the line as it stands in a file of CSV, LF included. Whatever
// the fields hold, it is one line of printable text, and ParseTracking reads it
// back.
func (t Tracking) Append(b []byte) []byte {
	return appendCSV(appendTime(b, t.Time), trackingColumns, &t)
}

// AppendJSON appends the line as it stands in a file of JSON, LF included.
func (t Tracking) AppendJSON(b []byte) []byte {
	return appendJSON(appendHead(b, MessageTracking, t.Time), trackingColumns, &t)
}

// ParseTracking reads one line of the message tracking log as the gateway
// writes it, in CSV or JSON; Header.Tracking reads those in other columns. It
// gives ErrComment for notes of the log itself.
func ParseTracking(s string) (Tracking, error) { return ownTracking.Tracking(s) }

var ownTracking = NewHeader(MessageTracking)
