package server

import "postern/internal/metrics"

// metricHelp is what is said of a name in the registry, and whether it is shown
// at all. What has no text yet is shown without.
func metricHelp(name string) (text string, shown bool) {
	switch name {
	case "back_pressure_value", "back_pressure_level": // gatherPressure has them, in base units
		return "", false
	case "back_pressure_refusals":
		return "MAIL commands that were refused because a resource is short.", true
	case "back_pressure_delays":
		return "MAIL commands that were delayed because a resource is short.", true
	case "certificate_expiry_seconds":
		return "When the certificate that a connector shows expires, in seconds since 1970; the first to expire of several.", true
	case "delivery_latency_seconds":
		return "Time from acceptance to delivery, of each message and next hop.", true
	case "event_log_lost_events":
		return "Events that a sink of the event log lost.", true
	case "events":
		return "Events that were written, summaries as one.", true
	case "logon_password_checks":
		return "Hashes of passwords that were computed.", true
	case "logon_password_checks_refused":
		return "Logons that were put off because too many passwords were being checked.", true
	case metrics.Rejected:
		return "Requests for a counter that contradicted an earlier one: a fault of the program.", true
	case "log_lines":
		return "Lines written to the logs.", true
	case "log_dropped_lines":
		return "Lines of the logs that found no room.", true
	case "log_pending_octets":
		return "What waits to be written to the logs.", true
	case "receive_connections":
		return "Connections that a Receive connector was chosen for.", true
	case "receive_connections_refused":
		return "Connections that were refused or closed before the greeting, by the limit or no_connector.", true
	case "receive_sessions":
		return "Sessions that are open.", true
	case "receive_messages":
		return "Messages that were accepted.", true
	case "receive_octets":
		return "Content of the messages that were accepted.", true
	case "receive_logons":
		return "Logons that succeeded.", true
	case "receive_logon_failures":
		return "Logons that were refused.", true
	case "receive_early_talkers":
		return "Clients that spoke before the greeting.", true
	case "receive_header_fields_removed":
		return "Header fields that the header firewall took out.", true
	case "receive_limits":
		return "Limits that were reached, by name.", true
	case "receive_refusals":
		return "Replies that refuse something, by enhanced status code or, where there is none, reply code.", true
	case "receive_replies":
		return "Replies by the command that they answer and their class; none is the greeting, and what is said unasked.", true
	case "receive_tarpits":
		return "Replies that were held back.", true
	case "receive_tarpitted_sessions":
		return "Sessions whose reply is held back just now.", true
	case "receive_tarpit_nanoseconds":
		return "Time for which replies were held back, all sessions together.", true
	case "send_connections":
		return "Connections to next hops that are open.", true
	case "send_connections_opened":
		return "Connections to next hops that were made.", true
	case "send_connections_failed":
		return "Connections to next hops over which no mail could be sent, by the phase in which they failed.", true
	case "send_messages":
		return "Messages that next hops took, one for each transaction.", true
	case "send_octets":
		return "Content of the messages that next hops took.", true
	case "send_recipients":
		return "Recipients for whom next hops took a message.", true
	case "spool_sync_seconds":
		return "How long the syncs of the spool's journal take.", true
	case "tls_handshakes":
		return "TLS handshakes by direction, version and result.", true
	}
	return "", true
}
