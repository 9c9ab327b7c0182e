package eventid

import (
	"log/slog"
	"time"
)

// Receive connectors.
const (
	Listening            ID = 21000
	ListenFailed         ID = 21001
	ListenLost           ID = 21002
	AcceptFailed         ID = 21003
	SessionPanic         ID = 21004
	NoConnector          ID = 21005
	ProxyRefused         ID = 21006
	ReceiveStorage       ID = 21007
	SessionBegun         ID = 21010
	SessionEnded         ID = 21011
	ClientMisbehaves     ID = 21020
	PasswordsTried       ID = 21100
	UsersFileOpen        ID = 21101
	UsersFileRead        ID = 21102
	UsersFileUnusable    ID = 21103
	ClientCAFileUnusable ID = 21104
)

func receiveEvents() []Event {
	return []Event{
		{ID: Listening, Level: slog.LevelInfo, Area: Receive, Text: "listening", Burst: always, Meaning: "A binding of the Receive connectors is open.", Remedy: "None."},
		{
			ID: ListenFailed, Level: slog.LevelError, Area: Receive, Text: "can't listen; the other bindings go on", By: []string{"binding"},
			Meaning: "A binding can't be opened; it is tried again, and told again when the reason changes.",
			Remedy:  "See that the address exists on this host, that no other program holds the port, and that the process may use ports below 1024.",
		},
		{
			ID: ListenLost, Level: slog.LevelError, Area: Receive, Text: "stopped listening; trying again", By: []string{"binding"},
			Meaning: "A listener that was open has failed.", Remedy: "The error says why; most often the address went away.",
		},
		{
			ID: AcceptFailed, Level: slog.LevelWarn, Area: Receive, Text: "can't accept a connection; pausing", By: []string{"listener"},
			Meaning: "The system gave an error for a new connection, most often since the process has too many files open.",
			Remedy:  "Raise the limit of open files (LimitNOFILE=), or lower `max_inbound_connection`.",
		},
		{
			ID: SessionPanic, Level: slog.LevelError, Area: Receive, Text: "a session panicked; its connection is closed",
			Meaning: "A fault of the gateway ended one session; its client will try again, other sessions go on.", Remedy: "Report it, with the stack in the event.",
		},
		{
			ID: NoConnector, Level: slog.LevelWarn, Area: Receive, Text: "no receive connector takes the connection",
			Meaning: "The client is in no connector's `remote_ip_ranges` for the binding; it got 421.",
			Remedy:  "`postern explain connection LOCAL REMOTE` says how the connector was chosen.",
		},
		{
			ID: ProxyRefused, Level: slog.LevelWarn, Area: Receive, Text: "a connection from a proxy is closed",
			Meaning: "A connection did not begin with a PROXY header that may be believed.",
			Remedy:  "See that the load balancer sends the header, and that its address is among those that may.",
		},
		{
			ID: ReceiveStorage, Level: slog.LevelError, Area: Receive, Text: "a message could not be stored; the client is asked to try again",
			Meaning: "The spool refused a message, for want of room most often; its client got 452 and keeps it. Told once a minute, with the number of those in between.",
			Remedy:  "Make room on the volume of `queue.directory`; the spool's own events say more.",
		},
		{ID: SessionBegun, Level: slog.LevelDebug, Area: Receive, Text: "a session begins", Meaning: "A client was given to a Receive connector.", Remedy: "None."},
		{ID: SessionEnded, Level: slog.LevelDebug, Area: Receive, Text: "a session ends", Meaning: "A session is over.", Remedy: "`postern logs show` has its dialog."},
		{
			ID: ClientMisbehaves, Level: slog.LevelInfo, Area: Receive, Text: "a client misbehaves", By: []string{"remote"}, Cases: 5000, // whoever bans them has to see each
			Meaning: "A logon was refused (`offence=logon`), a client tried to relay (`relay`), or it made too many errors, spoke another protocol or before the greeting (`protocol`). Nothing in the event was said by the client.",
			Remedy:  "Let fail2ban ban whoever goes on: deploy/fail2ban has the filter.",
		},
		{
			ID: PasswordsTried, Level: slog.LevelWarn, Area: Receive, Text: "somebody tries passwords; AUTH is refused for a while", Every: time.Minute,
			Meaning: "One address failed to log on more often than `max_logon_failures_per_source` allows.",
			Remedy:  "Block it at the firewall if it goes on; for a host of ours, mend its password.",
		},
		{
			ID: UsersFileOpen, Level: slog.LevelWarn, Area: Receive, Text: "users_file can be read by everybody on this host; chmod it to 0600",
			Meaning: "The file of password hashes has a mode that lets others read it.", Remedy: "chmod 0600, owned by the gateway's user.",
		},
		{ID: UsersFileRead, Level: slog.LevelInfo, Area: Receive, Text: "users_file was read", Meaning: "The accounts of the file are in force.", Remedy: "None."},
		{
			ID: UsersFileUnusable, Level: slog.LevelError, Area: Receive, Text: "users_file can't be used; its accounts stay as they were",
			Meaning: "The changed file can't be read or has an error.", Remedy: "Mend what the error names; it is read again by itself.",
		},
		{
			ID: ClientCAFileUnusable, Level: slog.LevelError, Area: Receive, Text: "client_ca_file can't be used; no client certificate is trusted until a reload", By: []string{"connector"},
			Meaning: "The authorities that partners' certificates are checked against can't be read.", Remedy: "Mend the file, then `postern reload`.",
		},
	}
}
