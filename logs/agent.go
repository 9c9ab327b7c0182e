package logs

import (
	"net/netip"
	"time"
)

// AgentLine is one line of the agent log (reference 7.4): what was refused, by
// whom and why, for one recipient where there is one.
type AgentLine struct {
	// Time is in UTC and holds whole milliseconds.
	Time time.Time
	// Session is the id of the session in the protocol log.
	Session       string
	Local, Remote netip.AddrPort
	// EnteredOrgFromIP is the client's address.
	EnteredOrgFromIP string
	// MessageID is the Message-ID field with its brackets, once it is known.
	MessageID string
	// P1From is the reverse path, P2From are the addresses of the From field.
	P1From string
	P2From []string
	// Recipient is empty where it is not a matter of one; Recipients counts
	// those of the message so far.
	Recipient  string
	Recipients int
	// Agent is who decided, Event when, Action what; see the constants.
	Agent, Event, Action string
	// Response is the reply as the client got it, without its CRLF.
	Response string
	// Reason names the limit or the rule, ReasonData has its figures.
	Reason, ReasonData string
}

var agentColumns = []column[AgentLine]{
	{name: "Timestamp", key: "time", time: func(l *AgentLine) *time.Time { return &l.Time }},
	{name: "SessionId", key: "session_id", text: func(l *AgentLine) *string { return &l.Session }},
	{name: "LocalEndpoint", key: "local_endpoint", endpoint: func(l *AgentLine) *netip.AddrPort { return &l.Local }},
	{name: "RemoteEndpoint", key: "remote_endpoint", endpoint: func(l *AgentLine) *netip.AddrPort { return &l.Remote }},
	{name: "EnteredOrgFromIP", key: "entered_org_from_ip", text: func(l *AgentLine) *string { return &l.EnteredOrgFromIP }},
	{name: "MessageId", key: "message_id", text: func(l *AgentLine) *string { return &l.MessageID }},
	{name: "P1FromAddress", key: "p1_from_address", text: func(l *AgentLine) *string { return &l.P1From }},
	{name: "P2FromAddresses", key: "p2_from_addresses", list: func(l *AgentLine) *[]string { return &l.P2From }},
	{name: "Recipient", key: "recipient", text: func(l *AgentLine) *string { return &l.Recipient }},
	{name: "NumRecipients", key: "num_recipients", count: func(l *AgentLine) *int { return &l.Recipients }},
	{name: "Agent", key: "agent", text: func(l *AgentLine) *string { return &l.Agent }},
	{name: "Event", key: "event", text: func(l *AgentLine) *string { return &l.Event }},
	{name: "Action", key: "action", text: func(l *AgentLine) *string { return &l.Action }},
	{name: "SmtpResponse", key: "smtp_response", text: func(l *AgentLine) *string { return &l.Response }},
	{name: "Reason", key: "reason", text: func(l *AgentLine) *string { return &l.Reason }},
	{name: "ReasonData", key: "reason_data", text: func(l *AgentLine) *string { return &l.ReasonData }},
}

// Append appends the line as it stands in a file of CSV, LF included.
// ParseAgent reads it back.
func (l AgentLine) Append(b []byte) []byte { return appendCSV(appendTime(b, l.Time), agentColumns, &l) }

// AppendJSON appends the line as it stands in a file of JSON, LF included.
func (l AgentLine) AppendJSON(b []byte) []byte {
	return appendJSON(appendHead(b, Agent, l.Time), agentColumns, &l)
}

// ParseAgent reads one line of the agent log as the gateway writes it, in CSV
// or JSON; Header.Agent reads those in other columns. It gives ErrComment for
// notes of the log itself.
func ParseAgent(s string) (AgentLine, error) { return ownAgent.Agent(s) }

var ownAgent = NewHeader(Agent)
