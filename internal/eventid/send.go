package eventid

import (
	"log/slog"
	"time"
)

// Send connectors and certificates.
const (
	ClearText            ID = 24000
	NotSigned            ID = 24001
	SourceAddressUsable  ID = 24002
	SourceAddressMissing ID = 24003
	ConnectionOpened     ID = 24010

	CertificateMade         ID = 26000
	OwnCertificateUnusable  ID = 26001
	OwnCertificateOverdue   ID = 26002
	CertificateFileUnusable ID = 26003
	CertificateFileSkipped  ID = 26004
	CertificateFilesRead    ID = 26005
	CertificateFileBad      ID = 26006
	CertificateChosen       ID = 26007
	CertificateStored       ID = 26008
	CertificateEarly        ID = 26009
)

func sendEvents() []Event {
	return []Event{
		{
			ID: ClearText, Level: slog.LevelWarn, Area: Send, Text: "TLS failed; the message goes in clear over a new connection", By: []string{"connector", "host"}, Burst: 1, Every: time.Minute,
			Meaning: "A connector with `tls = \"opportunistic\"` could not encrypt to a host.", Remedy: "Tell the host's postmaster; set `tls = \"required\"` where clear text must not be.",
		},
		{
			ID: NotSigned, Level: slog.LevelError, Area: Send, Text: "a message can't be signed; look at its key", By: []string{"domain", "selector"}, Burst: 1, Every: time.Minute,
			Meaning: "The DKIM key of a domain can't be read or used.", Remedy: "Mend the key file; `postern cert dkim` checks it against DNS.",
		},
		{ID: SourceAddressUsable, Level: slog.LevelInfo, Area: Send, Text: "a source address can be used again", By: []string{"address"}, Meaning: "The trouble told by 24003 is over.", Remedy: "None."},
		{
			ID: SourceAddressMissing, Level: slog.LevelWarn, Area: Send, Text: "a source address can't be used; others of the connector take its place where it has any", By: []string{"address"},
			Meaning: "An address in `source_ip_address` is not on this host.", Remedy: "Add it to an interface, or take it out of the configuration.",
		},
		{ID: ConnectionOpened, Level: slog.LevelDebug, Area: Send, Text: "a connection to a next hop", Meaning: "A host was connected to, or could not be; the event says how it went.", Remedy: "None."},
		{ID: CertificateMade, Level: slog.LevelInfo, Area: TLS, Text: "made a self-signed certificate", Meaning: "The gateway made itself a certificate.", Remedy: "Import one that others trust, where that matters."},
		{
			ID: OwnCertificateUnusable, Level: slog.LevelWarn, Area: TLS, Text: "self-signed certificate can't be used; making a new one",
			Meaning: "The stored self-signed certificate is damaged, or expired.", Remedy: "None.",
		},
		{
			ID: OwnCertificateOverdue, Level: slog.LevelError, Area: TLS, Text: "the self-signed certificate expires and can't be replaced",
			Meaning: "The certificate directory can't be written.", Remedy: "Make it writable for the gateway's user.",
		},
		{
			ID: CertificateFileUnusable, Level: slog.LevelError, Area: TLS, Text: "a changed certificate file can't be used; what was read before stays in force", By: []string{"file"},
			Meaning: "A file named by the configuration was changed to something that can't be read.", Remedy: "Mend the file; it is read again by itself.",
		},
		{
			ID: CertificateFileSkipped, Level: slog.LevelError, Area: TLS, Text: "a file in the certificate directory can't be used", By: []string{"error"},
			Meaning: "A file there holds no certificate with its key.", Remedy: "Mend it, or take it away.",
		},
		{ID: CertificateFilesRead, Level: slog.LevelInfo, Area: TLS, Text: "certificate files were read again", By: []string{"file"}, Meaning: "Changed files are in force.", Remedy: "None."},
		{
			ID: CertificateFileBad, Level: slog.LevelError, Area: TLS, Text: "a certificate file can't be used", By: []string{"file"},
			Meaning: "A file or directory that the configuration names, or the assignments of the certificate store, can't be read, and there is nothing of it in force.", Remedy: "Mend it; it is read again by itself.",
		},
		{
			ID: CertificateChosen, Level: slog.LevelInfo, Area: TLS, Text: "a connector presents a certificate", By: []string{"connector"},
			Meaning: "At the start, and whenever it changes: which certificate clients of a Receive connector see, and why.", Remedy: "None.",
		},
		{
			ID: CertificateEarly, Level: slog.LevelError, Area: TLS, Text: "a certificate that is shown is not valid yet", By: []string{"thumbprint"},
			Meaning: "A connector shows a certificate whose time has not begun, since it was assigned, or nothing else is for the name; peers that verify it turn away.",
			Remedy:  "Enable one that is valid now (`postern cert list`), until the time in the event; see whether the clock is right.",
		},
		{ID: CertificateStored, Level: slog.LevelInfo, Area: TLS, Text: "the self-signed certificate is stored now", Meaning: "The trouble told by 12024 is over.", Remedy: "None."},
	}
}
