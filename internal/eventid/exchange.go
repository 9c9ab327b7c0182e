package eventid

import (
	"log/slog"
	"time"
)

// Exchange's events, of its event source MSExchangeTransport.
const (
	ConnectorFull ID = 1020
	SourceFull    ID = 1021

	CertificateMissing     ID = 12014
	CertificateExpired     ID = 12016
	OwnCertificateExpiring ID = 12017
	CertificateExpiring    ID = 12018
	CertificateUnusable    ID = 12024

	PressureHigh   ID = 15002
	PressureUp     ID = 15004
	PressureDown   ID = 15005
	PressureDisk   ID = 15006
	PressureMemory ID = 15007

	PressureNonsense ID = 27000 // Exchange has none
)

func exchangeEvents() []Event {
	return []Event{
		{
			ID: ConnectorFull, Level: slog.LevelWarn, Area: Receive, Text: "a connection is refused: …", By: []string{"connector", "limit"}, Every: time.Minute, Burst: 1,
			Meaning: "A Receive connector has as many connections, or as many new ones a minute, as it may have; the client gets 421 and will try again.",
			Remedy:  "Look for clients that hold connections (`postern status`); raise `max_inbound_connection` or `max_connection_rate_per_minute` when the traffic is wanted.",
		},
		{
			ID: SourceFull, Level: slog.LevelWarn, Area: Receive, Text: "a connection is refused: …", By: []string{"connector", "limit"}, Every: time.Minute, Burst: 1,
			Meaning: "One client address has as many connections to a Receive connector as one may have.",
			Remedy:  "For a host of ours that sends much, or a load balancer, raise `max_inbound_connection_per_source` on a connector of its own; otherwise let it be.",
		},
		{
			ID: CertificateMissing, Level: slog.LevelWarn, Area: TLS, Text: "no certificate is for the name of a connector", By: []string{"connector"},
			Meaning: "No certificate in the store is for the connector's FQDN, so that the self-signed one is presented; or the one that `tls_certificate` or `postern cert enable` names is not there, and the next best is. STARTTLS is offered all the same. On a connector of this host alone it is told at level info.",
			Remedy:  "The event names it: request and import a certificate for the name (`postern cert request`), enable it, or name another.",
		},
		{
			ID: CertificateExpired, Level: slog.LevelError, Area: TLS, Text: "a certificate has expired", By: []string{"thumbprint"},
			Meaning: "A certificate that connectors use is no longer valid; peers that verify it turn away.",
			Remedy:  "Renew it now (`postern cert renew`), or import its successor.",
		},
		{
			ID: OwnCertificateExpiring, Level: slog.LevelWarn, Area: TLS, Text: "the gateway's own certificate expires soon", By: []string{"thumbprint"},
			Meaning: "The certificate made by the gateway itself expires soon and was not replaced yet.",
			Remedy:  "None as long as the certificate directory is writable: it is replaced in time.",
		},
		{
			ID: CertificateExpiring, Level: slog.LevelWarn, Area: TLS, Text: "a certificate expires soon", By: []string{"thumbprint"},
			Meaning: "A certificate that connectors use will soon be no longer valid; the event names it, its connectors and the hours that remain.",
			Remedy:  "Renew it (`postern cert renew`), or import its successor; nothing needs a restart.",
		},
		{
			ID: CertificateUnusable, Level: slog.LevelError, Area: TLS, Text: "the self-signed certificate can't be stored; a temporary one is presented",
			Meaning: "The certificate directory can't be written. STARTTLS works, and the next start makes another certificate.",
			Remedy:  "Make room there, or make it writable for the gateway's user; it is tried again every five minutes.",
		},
		{
			ID: PressureHigh, Level: slog.LevelWarn, Area: BackPressure, Text: "resource pressure is still high: all mail is refused", Burst: always,
			Meaning: "Some resource has been beyond its high threshold for five minutes more; senders get 452 and will try again.",
			Remedy:  "See 15004; `postern status` shows every resource.",
		},
		{
			ID: PressureUp, Level: slog.LevelError, Area: BackPressure, Text: "resource pressure increased from … to …", By: []string{"resource"},
			Meaning: "A resource runs short; the event names it, its value, all thresholds, and what is switched off for it.",
			Remedy:  "Make room: see docs/back-pressure.md for each resource.",
		},
		{
			ID: PressureDown, Level: slog.LevelInfo, Area: BackPressure, Text: "resource pressure decreased from … to …", By: []string{"resource"},
			Meaning: "A resource that ran short recovers.",
			Remedy:  "None.",
		},
		{
			ID: PressureDisk, Level: slog.LevelError, Area: BackPressure, By: []string{"resource"},
			Text:    "mail is refused: too little is free on the volume; make room there, or move the spool to another volume",
			Meaning: "The volume of the spool or of the logs is nearly full.",
			Remedy:  "Make room on the volume, or move the spool to another; delivery of what is queued goes on.",
		},
		{
			ID: PressureNonsense, Level: slog.LevelError, Area: BackPressure, By: []string{"resource"},
			Text:    "the thresholds of [back_pressure.…] don't fit the resource; the defaults hold instead. Change them and reload",
			Meaning: "A volume or a limit has another size than the thresholds were written for.", Remedy: "`postern check` shows what fits; change them and reload.",
		},
		{
			ID: PressureMemory, Level: slog.LevelError, Area: BackPressure, Text: "mail is refused: the process uses too much memory",
			Meaning: "The process has more resident memory than the threshold of `[back_pressure.memory]`.",
			Remedy:  "See what takes it (`postern status`); lower limits on sessions, or give the process more memory.",
		},
	}
}
