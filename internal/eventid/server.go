package eventid

import "log/slog"

// Start, stop, configuration, control socket and logs.
const (
	Started   ID = 20000
	Stopping  ID = 20001
	Stopped   ID = 20002
	CutOff    ID = 20003
	NoBinding ID = 20004

	ManagerUntold ID = 20005
	MetricsFailed ID = 20010
	MetricsOpen   ID = 20011
	MetricsLost   ID = 20012

	Reloaded             ID = 20100
	NotReloaded          ID = 20101
	ConfigurationChanged ID = 20102
	ConfigurationFinding ID = 20103

	ControlUnavailable ID = 20200
	CallerRefused      ID = 20201
	ControlRequest     ID = 20202
	ControlNotClosed   ID = 20203
	ControlTrouble     ID = 20204
	QueueOrdered       ID = 20205
	MessageImported    ID = 20206
	ContentRead        ID = 20207
	ContentCut         ID = 20208
	LogLevelChanged    ID = 20209
	LogLevelReverted   ID = 20210

	LogFailed       ID = 20300
	LogRecovered    ID = 20301
	EventSinkFailed ID = 20302
	EventSinkBack   ID = 20303
)

func serverEvents() []Event {
	return []Event{
		{
			ID: Started, Level: slog.LevelInfo, Area: Server, Text: "gateway is running",
			Meaning: "The spool is read, the listeners are open; the event has version, name, data directory and process id.", Remedy: "None.",
		},
		{
			ID: Stopping, Level: slog.LevelInfo, Area: Server, Text: "stopping; sessions and deliveries in hand may finish",
			Meaning: "SIGTERM or SIGINT came; what is in hand has `server.shutdown_timeout` to finish. A second signal ends the program at once.", Remedy: "None.",
		},
		{ID: Stopped, Level: slog.LevelInfo, Area: Server, Text: "stopped", Meaning: "The gateway has ended in an orderly way.", Remedy: "None."},
		{
			ID: CutOff, Level: slog.LevelWarn, Area: Server, Text: "cut off at the stop, since shutdown_timeout was over", By: []string{"what"},
			Meaning: "Something did not finish within `server.shutdown_timeout`. No mail is lost: clients keep what was not answered, the spool what was not delivered.",
			Remedy:  "Raise `server.shutdown_timeout` (and the service manager's own limit) when it happens at every stop.",
		},
		{
			ID: NoBinding, Level: slog.LevelError, Area: Server, Text: "no binding could be opened: the gateway takes no mail until one can; it delivers what is queued",
			Meaning: "Not one listener could be opened at the start.", Remedy: "See the events 21001 beside it; another program may hold the port.",
		},
		{
			ID: Reloaded, Level: slog.LevelInfo, Area: Config, Text: "reloaded", Burst: always,
			Meaning: "The configuration was read again and is in force for new sessions and deliveries.", Remedy: "None.",
		},
		{
			ID: NotReloaded, Level: slog.LevelError, Area: Config, Text: "not reloaded; the running configuration stays in force", Burst: always,
			Meaning: "The file has errors, or something that it names can't be used; nothing has changed.", Remedy: "`postern check` says what is wrong and where.",
		},
		{
			ID: ConfigurationChanged, Level: slog.LevelInfo, Area: Config, Text: "configuration changed", Burst: always,
			Meaning: "One key has another value since the reload; secrets are not shown.", Remedy: "Restart for what is marked `needs_restart=true`.",
		},
		{
			ID: ConfigurationFinding, Level: slog.LevelWarn, Area: Config, Text: "the configuration deserves a look", Burst: always,
			Meaning: "A warning of the kind that `postern check` gives, at a start or reload.", Remedy: "The finding says what to do.",
		},
		{
			ID: ControlUnavailable, Level: slog.LevelError, Area: Control, Text: "the gateway runs without its control socket; SIGHUP reloads it all the same",
			Meaning: "The control socket could not be opened; mail flows, and the commands that ask the running gateway don't work.",
			Remedy:  "Make the directory of `control.socket` writable, and see that no other gateway uses it; then restart.",
		},
		{
			ID: CallerRefused, Level: slog.LevelWarn, Area: Control, Text: "control socket: caller turned away", By: []string{"uid"},
			Meaning: "Somebody who is neither root nor the gateway's user called the control socket.",
			Remedy:  "Find out who has the user id; let administrators call as the gateway's user or root.",
		},
		{
			ID: ControlRequest, Level: slog.LevelInfo, Area: Control, Text: "control socket", Burst: always,
			Meaning: "Somebody gave an order over the control socket, or, at the level of debugging, looked at something.", Remedy: "None.",
		},
		{
			ID: ControlNotClosed, Level: slog.LevelWarn, Area: Control, Text: "the control socket did not end in an orderly way",
			Meaning: "At the stop, a request was still being answered, or the socket could not be removed.", Remedy: "None; the next start removes the socket.",
		},
		{
			ID: ControlTrouble, Level: slog.LevelWarn, Area: Control, Text: "…",
			Meaning: "The server of the control socket met trouble with a connection.", Remedy: "None, unless it repeats.",
		},
		{
			ID: QueueOrdered, Level: slog.LevelInfo, Area: Control, Text: "queue …", Burst: always,
			Meaning: "An administrator suspended, resumed, retried or resubmitted a queue; `by` says who.", Remedy: "None.",
		},
		{
			ID: MessageImported, Level: slog.LevelInfo, Area: Control, Text: "a message is imported", Burst: always,
			Meaning: "An administrator put a message into the queue.", Remedy: "None.",
		},
		{
			ID: ContentRead, Level: slog.LevelInfo, Area: Control, Text: "the content of a message is read over the control socket", Burst: always,
			Meaning: "An administrator exported a message or looked at its content.", Remedy: "None.",
		},
		{
			ID: ContentCut, Level: slog.LevelWarn, Area: Control, Text: "the content of a message could not be sent whole",
			Meaning: "An export ended early: the caller went away, or the message can't be read.", Remedy: "Export it again; if it fails again, see `postern spool salvage`.",
		},
		{
			ID: LogLevelChanged, Level: slog.LevelInfo, Area: Control, Text: "levels of the event log are changed", Burst: always,
			Meaning: "An administrator gave `postern log-level`; the event says which areas, until when, and who.", Remedy: "None.",
		},
		{
			ID: LogLevelReverted, Level: slog.LevelInfo, Area: Logs, Text: "levels of the event log are as configured again", Burst: always,
			Meaning: "The time given to `postern log-level` is over.", Remedy: "None.",
		},
		{
			ID: LogFailed, Level: slog.LevelError, Area: Logs, Text: "a log can't be written; mail goes on without it", By: []string{"log_name"},
			Meaning: "A log file can't be opened or written, or more is logged than the disk takes. Told once; writing is tried again each second.",
			Remedy:  "See that the directory is writable for the gateway's user and has room.",
		},
		{
			ID: LogRecovered, Level: slog.LevelWarn, Area: Logs, Text: "a log is written again", By: []string{"log_name"},
			Meaning: "The trouble told by 20300 is over; `lines_lost` lines found no room meanwhile.", Remedy: "None.",
		},
		{
			ID: EventSinkFailed, Level: slog.LevelError, Area: Logs, Text: "a sink of the event log does not take events", By: []string{"sink"},
			Meaning: "The syslog server, journald or standard error can't be reached or is too slow; events wait in memory, and those beyond its bounds are dropped there. Other sinks go on.",
			Remedy:  "See that the server runs and that `[logs.event] syslog` names it.",
		},
		{
			ID: EventSinkBack, Level: slog.LevelWarn, Area: Logs, Text: "a sink of the event log takes events again", By: []string{"sink"},
			Meaning: "The trouble told by 20302 is over; `events_lost` events are missing there.", Remedy: "None.",
		},
		{
			ID: ManagerUntold, Level: slog.LevelError, Area: Server, Text: "the service manager can't be told that the gateway runs",
			Meaning: "The socket that NOTIFY_SOCKET names does not take a message; systemd will end the gateway when it has waited long enough.",
			Remedy:  "See that the unit has `NotifyAccess=main` and lets the gateway use Unix sockets, or set `Type=exec`.",
		},
		{
			ID: MetricsFailed, Level: slog.LevelError, Area: Server, Text: "the figures for monitoring can't be offered; it is tried again every 30 seconds",
			Meaning: "`metrics.address` can't be opened. Mail flows, and the control socket has the figures.",
			Remedy:  "See that the address exists on this host and that no other program holds the port.",
		},
		{ID: MetricsOpen, Level: slog.LevelInfo, Area: Server, Text: "the figures for monitoring are offered now", Meaning: "`metrics.address` could be opened at last.", Remedy: "None."},
		{
			ID: MetricsLost, Level: slog.LevelError, Area: Server, Text: "the figures for monitoring are offered no more",
			Meaning: "The listener at `metrics.address` has failed.", Remedy: "The error says why; set the address anew and `postern reload`.",
		},
	}
}
