package logs

import (
	"path/filepath"

	"postern/config"
)

// Kind is one of the gateway's logs.
type Kind uint8

// The logs. Each has a set of files of its own; the routing table log has one
// file for each snapshot.
const (
	ReceiveProtocol Kind = iota
	SendProtocol
	Connectivity
	MessageTracking
	Agent
	RoutingTable
	EventLog
)

// Kinds returns all kinds, in their order.
func Kinds() []Kind {
	return []Kind{ReceiveProtocol, SendProtocol, Connectivity, MessageTracking, Agent, RoutingTable, EventLog}
}

// Layout is where the files of a kind are and what stands in them (reference 7).
type Layout struct {
	// Directory is below [logs].directory, unless the log has a directory of its
	// own, with slashes.
	Directory string
	// Prefix begins the names of its files: PREFIXyyyymmdd-n.log, or .jsonl.
	Prefix string
	// Type is what stands behind "#Log-type:".
	Type string
	// Columns are those behind "#Fields:", in their order; nil where the files
	// are no lists of lines.
	Columns []string
	// Keys are those of the same columns in JSON.
	Keys []string
	// Table is the log's table in the configuration, below [logs].
	Table string
}

// String returns the kind's name, as in the "log" of a line in JSON.
func (k Kind) String() string {
	switch k {
	case ReceiveProtocol:
		return "receive"
	case SendProtocol:
		return "send"
	case Connectivity:
		return "connectivity"
	case MessageTracking:
		return "tracking"
	case Agent:
		return "agent"
	case RoutingTable:
		return "routing"
	case EventLog:
		return "event"
	}
	return "unknown"
}

// KindOf returns the kind with a name.
func KindOf(name string) (Kind, bool) {
	for _, k := range Kinds() {
		if k.String() == name {
			return k, true
		}
	}
	return 0, false
}

// Layout returns the kind's layout.
func (k Kind) Layout() Layout {
	switch k {
	case ReceiveProtocol:
		return layout[Line]("ProtocolLog/SmtpReceive", "RECV", "SMTP Receive Protocol Log", "receive_protocol", lineColumns)
	case SendProtocol:
		return layout[Line]("ProtocolLog/SmtpSend", "SEND", "SMTP Send Protocol Log", "send_protocol", lineColumns)
	case Connectivity:
		return layout[ConnectivityLine]("Connectivity", "CONNECTLOG", "Transport Connectivity Log", "connectivity", connectivityColumns)
	case MessageTracking:
		return layout[Tracking]("MessageTracking", "MSGTRK", "Message Tracking Log", "message_tracking", trackingColumns)
	case Agent:
		return layout[AgentLine]("AgentLog", "AGENTLOG", "Agent Log", "agent", agentColumns)
	case RoutingTable:
		return Layout{Directory: "Routing", Prefix: "RoutingConfig", Type: "Routing Table Log", Table: "routing_table"}
	case EventLog:
		return layout[EventLine]("Events", "EVENT", "Event Log", "event", eventColumns)
	}
	return Layout{}
}

func layout[R any](directory, prefix, logType, table string, columns []column[R]) Layout {
	l := Layout{Directory: directory, Prefix: prefix, Type: logType, Table: table}
	for _, c := range columns {
		l.Columns = append(l.Columns, c.name)
		l.Keys = append(l.Keys, c.key)
	}
	return l
}

// Settings returns what a configuration says of a kind.
func Settings(cfg *config.Config, k Kind) config.Log {
	switch k {
	case ReceiveProtocol:
		return cfg.Logs.ReceiveProtocol
	case SendProtocol:
		return cfg.Logs.SendProtocol
	case Connectivity:
		return cfg.Logs.Connectivity
	case MessageTracking:
		return cfg.Logs.MessageTracking
	case Agent:
		return cfg.Logs.Agent
	case RoutingTable:
		return cfg.Logs.RoutingTable
	case EventLog:
		l := cfg.Logs.Event.File
		l.Format = "json"
		return l
	}
	return config.Log{}
}

// Directory returns where the files of a kind are.
func Directory(cfg *config.Config, k Kind) string {
	if d := Settings(cfg, k).Directory; d != "" {
		return d
	}
	return filepath.Join(cfg.Logs.Directory, filepath.FromSlash(k.Layout().Directory))
}

// Direction says which side of the gateway a session is on.
type Direction uint8

// The two directions.
const (
	Receive Direction = iota // of Receive connectors
	Send                     // of Send connectors
)

// String returns "receive" or "send".
func (d Direction) String() string { return d.Kind().String() }

// Kind returns the direction's protocol log.
func (d Direction) Kind() Kind {
	if d == Send {
		return SendProtocol
	}
	return ReceiveProtocol
}
