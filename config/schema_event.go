package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// EventAreas are the parts of the gateway whose events have a level of their
// own.
func EventAreas() []string {
	return []string{"server", "config", "control", "logs", "receive", "queue", "spool", "send", "routing", "tls", "backpressure", "pickup", "dns"}
}

// EventLevels are the levels of events, from the most talkative on.
func EventLevels() []string { return []string{"debug", "info", "warn", "error"} }

// syslogFacilities are the facilities of RFC 5424 6.2.1, by their number.
func syslogFacilities() []string {
	return []string{"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "security", "console", "solaris-cron",
		"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}
}

// SyslogFacility is the number of a facility (RFC 5424 6.2.1).
func SyslogFacility(name string) int { return max(slices.Index(syslogFacilities(), name), 0) }

// What the files of the event log may take where nothing else is written.
const (
	eventMaxDirectory = 250 * megabyte
	eventMaxAge       = 30 * day
)

func eventTable() *table {
	return single(table{
		name: "event",
		doc:  "The event log: what happens to the gateway itself. `postern log-level` changes levels for a while without this file.",
		keys: []key{
			{
				Name: "level", Type: choice[string](EventLevels()...), Default: "info",
				Doc:   "Events below this level are not written.",
				Field: in(func(e *EventLog) any { return &e.Level }),
			},
			{
				Name: "levels", Type: eventLevels(), Default: map[string]any{},
				Doc:   "Areas that have another level: `{ routing = \"debug\" }`.",
				Field: in(func(e *EventLog) any { return &e.Levels }),
			},
			{
				Name: "format", Type: choice[string]("auto", "text", "json", "journald"), Default: "auto",
				Doc:   "How events go to standard error: as `text`, as `json`, or to journald with all their fields. `auto`: to journald when systemd has connected standard error to it, else as text.",
				Field: in(func(e *EventLog) any { return &e.Format }),
			},
			{
				Name: "syslog", Type: syslogServer(), Default: "",
				Doc:   "The syslog server that gets every event, too (RFC 5424): `unix:/dev/log`, `udp://host:514` or `tcp://host:601`. Empty: none.",
				Field: in(func(e *EventLog) any { return &e.Syslog }),
			},
			{
				Name: "syslog_facility", Type: choice[string](syslogFacilities()...), Default: "mail",
				Doc:   "The facility of events in syslog.",
				Field: in(func(e *EventLog) any { return &e.SyslogFacility }),
			},
			{
				Name: "file", Type: boolean(), Default: true,
				Doc:   "Whether events are also written to files, in JSON, for `postern logs` to read.",
				Field: in(func(e *EventLog) any { return &e.File.Enabled }),
			},
			{
				Name: "directory", Type: path(),
				From:  &derivation{doc: "`logs.directory`/Events", value: func(c *Config) any { return filepath.Join(c.Logs.Directory, "Events") }},
				Doc:   "The directory of these files.",
				Field: in(func(e *EventLog) any { return &e.File.Directory }),
			},
			{
				Name: "max_file_size", Type: logFileSize(),
				From:  &derivation{doc: "`logs.max_file_size`", value: func(c *Config) any { return logFileSize().show(&c.Logs.MaxFileSize) }},
				Doc:   "At this size it goes on in a new file.",
				Field: in(func(e *EventLog) any { return &e.File.MaxFileSize }),
			},
			{
				Name: "max_directory_size", Type: logDirectorySize(),
				From: &derivation{doc: fmt.Sprintf("`logs.max_directory_size`; where that is `auto`, %s", FormatSize(eventMaxDirectory)), value: func(c *Config) any {
					if c.Logs.MaxDirectorySize != 0 {
						return logDirectorySize().show(&c.Logs.MaxDirectorySize)
					}
					return int64(eventMaxDirectory)
				}},
				Doc:   "Beyond this size of all its files together, the oldest are removed.",
				Field: in(func(e *EventLog) any { return &e.File.MaxDirectorySize }),
			},
			{
				Name: "max_age", Type: logAge(),
				From: &derivation{doc: fmt.Sprintf("`logs.max_age`; where that is `auto`, %s", FormatDuration(eventMaxAge)), value: func(c *Config) any {
					if c.Logs.MaxAge != 0 {
						return unlimitedOr(c.Logs.MaxAge)
					}
					return int64(eventMaxAge / time.Second)
				}},
				Doc:   "Files older than this are removed.",
				Field: in(func(e *EventLog) any { return &e.File.MaxAge }),
			},
		},
	}, func(l *Logs) *EventLog { return &l.Event })
}

// eventLevels is a table of areas with their levels.
func eventLevels() typed[map[string]string] {
	const write = `a table of areas with their levels: { routing = "debug" }`
	level := choice[string](EventLevels()...)
	return typed[map[string]string]{
		name: "table of levels", permits: "areas: `" + strings.Join(EventAreas(), "`, `") + "`; levels as in `level`",
		parse: func(value any) (map[string]string, []fault) {
			table, ok := value.(map[string]any)
			if !ok {
				return nil, wrongType(value, write)
			}
			levels, faults := make(map[string]string, len(table)), []fault(nil)
			for _, area := range slices.Sorted(maps.Keys(table)) {
				sub := "." + joinPath("", area)
				if !slices.Contains(EventAreas(), area) {
					remedy := "the areas are " + strings.Join(EventAreas(), ", ")
					if near := Nearest(area, EventAreas()); near != "" {
						remedy = "did you mean " + near + "? T" + remedy[1:]
					}
					faults = append(faults, fault{sub: sub, message: quote(area) + " is no area of the event log", remedy: remedy})
					continue
				}
				l, bad := level.parse(table[area])
				for _, f := range bad {
					f.sub = sub + f.sub
					faults = append(faults, f)
				}
				levels[area] = l
			}
			return levels, faults
		},
		json: func(levels map[string]string) any {
			out := make(map[string]any, len(levels))
			for area, l := range levels {
				out[area] = l
			}
			return out
		},
		toml: func(levels map[string]string) string {
			out := make([]string, 0, len(levels))
			for _, area := range slices.Sorted(maps.Keys(levels)) {
				out = append(out, area+" = "+strconv.Quote(levels[area]))
			}
			if len(out) == 0 {
				return "{}"
			}
			return "{ " + strings.Join(out, ", ") + " }"
		},
	}
}

// syslogServer is where a syslog server is reached.
func syslogServer() typed[string] {
	t := text[string]("syslog server", func(s string) (string, []fault) {
		if s == "" {
			return s, nil
		}
		if _, _, err := ParseSyslog(s); err != nil {
			return s, []fault{{message: quote(s) + " is no syslog server: " + err.Error(), remedy: `write "unix:/dev/log", "udp://host:514" or "tcp://host:601"`}}
		}
		return s, nil
	})
	t.permits = "`unix:/path`, `udp://host:port`, `tcp://host:port`"
	return t
}

// ParseSyslog takes a syslog server apart into a network, "unix", "udp" or
// "tcp", and an address to dial. Without a port, it is 514 for UDP (RFC 5426
// 3.3), and 601 for TCP (RFC 6587, IANA's syslog-conn).
func ParseSyslog(s string) (network, address string, err error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		path = strings.TrimPrefix(path, "//")
		if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
			return "", "", fmt.Errorf("%s is no absolute path", quote(path))
		}
		return "unix", path, nil
	}
	u, err := url.Parse(s)
	if err != nil {
		return "", "", fmt.Errorf("it can't be read as a URL")
	}
	port, ok := map[string]string{"udp": "514", "tcp": "601"}[u.Scheme]
	switch {
	case !ok:
		return "", "", fmt.Errorf("it begins with none of unix:, udp:// and tcp://")
	case u.Hostname() == "":
		return "", "", fmt.Errorf("it names no host")
	case u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" || u.ForceQuery || strings.HasSuffix(s, "#"):
		return "", "", fmt.Errorf("there is more in it than host and port")
	}
	if _, err := netip.ParseAddr(u.Hostname()); err != nil {
		if err := checkHostName(strings.ToLower(u.Hostname())); err != nil {
			return "", "", fmt.Errorf("%s is no host: %w", quote(u.Hostname()), err)
		}
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return "", "", fmt.Errorf("its port is not a number from 1 to 65535")
		}
		port = p
	} else if strings.HasSuffix(u.Host, ":") {
		return "", "", fmt.Errorf("it has no port behind its colon")
	}
	return u.Scheme, net.JoinHostPort(u.Hostname(), port), nil
}
