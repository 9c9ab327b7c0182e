package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// logKind is what the tables of the logs differ in.
type logKind struct {
	name, doc string
	// folder is below logs.directory, with slashes (reference 7).
	folder string
	// maxDirectory and maxAge are what holds where [logs] leaves it to the log.
	maxDirectory int64
	maxAge       time.Duration
	field        func(*Logs) *Log
}

// logKinds are the logs and their defaults (reference 7).
func logKinds() []logKind {
	return []logKind{
		{
			name: "receive_protocol", folder: "ProtocolLog/SmtpReceive", maxDirectory: 250 * megabyte, maxAge: 30 * day,
			doc:   "The protocol log of Receive connectors. Which of them are logged, `protocol_logging` of each says.",
			field: func(l *Logs) *Log { return &l.ReceiveProtocol },
		},
		{
			name: "send_protocol", folder: "ProtocolLog/SmtpSend", maxDirectory: 250 * megabyte, maxAge: 30 * day,
			doc:   "The protocol log of Send connectors. Which of them are logged, `protocol_logging` of each says.",
			field: func(l *Logs) *Log { return &l.SendProtocol },
		},
		{
			name: "connectivity", folder: "Connectivity", maxDirectory: 1000 * megabyte, maxAge: 30 * day,
			doc:   "The connectivity log: how next hops were found and reached.",
			field: func(l *Logs) *Log { return &l.Connectivity },
		},
		{
			name: "message_tracking", folder: "MessageTracking", maxDirectory: 1000 * megabyte, maxAge: 30 * day,
			doc:   "The message tracking log: what has become of each message.",
			field: func(l *Logs) *Log { return &l.MessageTracking },
		},
		{
			name: "agent", folder: "AgentLog", maxDirectory: 250 * megabyte, maxAge: 7 * day,
			doc:   "The agent log: what was refused by a rule, a limit or a filter.",
			field: func(l *Logs) *Log { return &l.Agent },
		},
		{
			name: "routing_table", folder: "Routing", maxDirectory: 50 * megabyte, maxAge: 7 * day,
			doc:   "The routing table log: a snapshot of accepted domains and address spaces at the start and at each change, one JSON file each.",
			field: func(l *Logs) *Log { return &l.RoutingTable },
		},
	}
}

func logsTable() *table {
	t := table{
		name: "logs",
		doc:  "Where logs go and how long they stay. What stands here holds for every log that has nothing else in its own table.",
		keys: []key{
			{
				Name: "directory", Type: path(),
				From:  &derivation{doc: "`server.data_dir`/logs", value: func(c *Config) any { return filepath.Join(c.Server.DataDir, "logs") }},
				Doc:   "The directory of all logs.",
				Field: in(func(l *Logs) any { return &l.Directory }),
			},
			{
				Name: "format", Type: choice[string]("csv", "json"), Default: "csv",
				Doc:   "How lines are written: `csv` as Exchange does, or `json`, one object a line.",
				Field: in(func(l *Logs) any { return &l.Format }),
			},
			{
				Name: "max_file_size", Type: logFileSize(), Default: "10MB",
				Doc:   "At this size a log goes on in a new file.",
				Field: in(func(l *Logs) any { return &l.MaxFileSize }),
			},
			{
				Name: "max_directory_size", Type: orAuto(logDirectorySize()), Default: "auto",
				Doc:   "Beyond this size of all files of a log together, the oldest are removed. `auto`: what Exchange gives each log, from 50 MB to 1000 MB.",
				Field: in(func(l *Logs) any { return &l.MaxDirectorySize }),
			},
			{
				Name: "max_age", Type: orAuto(logAge()), Default: "auto",
				Doc:   "Files older than this are removed. `auto`: 30 days, of the agent and routing table logs 7 days.",
				Field: in(func(l *Logs) any { return &l.MaxAge }),
			},
		},
	}
	for _, k := range logKinds() {
		t.subs = append(t.subs, k.table())
	}
	t.subs = append(t.subs, eventTable())
	return single(t, func(c *Config) *Logs { return &c.Logs })
}

func logFileSize() typed[int64]      { return quantity(sizes(), 64*kilobyte, 1<<40, true) }
func logDirectorySize() typed[int64] { return quantity(sizes(), megabyte, 1<<50, true) }
func logAge() typed[time.Duration]   { return timeSpan(time.Hour, 3650*day, true) }

// table is the table of one log.
func (k logKind) table() *table {
	maxDirectory := func(c *Config) any {
		if c.Logs.MaxDirectorySize != 0 {
			return logDirectorySize().show(&c.Logs.MaxDirectorySize)
		}
		return k.maxDirectory
	}
	maxAge := func(c *Config) any {
		if c.Logs.MaxAge != 0 {
			return unlimitedOr(c.Logs.MaxAge)
		}
		return int64(k.maxAge / time.Second)
	}
	t := table{name: k.name, doc: k.doc, keys: []key{
		{
			Name: "enabled", Type: boolean(), Default: true, Doc: "Whether it is written at all.",
			Field: in(func(l *Log) any { return &l.Enabled }),
		},
		{
			Name: "directory", Type: path(),
			From:  &derivation{doc: "`logs.directory`/" + k.folder, value: func(c *Config) any { return filepath.Join(c.Logs.Directory, filepath.FromSlash(k.folder)) }},
			Doc:   "The directory of its files.",
			Field: in(func(l *Log) any { return &l.Directory }),
		},
		{
			Name: "max_directory_size", Type: logDirectorySize(),
			From: &derivation{
				doc: fmt.Sprintf("`logs.max_directory_size`; where that is `auto`, %s", FormatSize(k.maxDirectory)), value: maxDirectory,
			},
			Doc:   "Beyond this size of all its files together, the oldest are removed.",
			Field: in(func(l *Log) any { return &l.MaxDirectorySize }),
		},
		{
			Name: "max_age", Type: logAge(),
			From:  &derivation{doc: fmt.Sprintf("`logs.max_age`; where that is `auto`, %s", FormatDuration(k.maxAge)), value: maxAge},
			Doc:   "Files older than this are removed.",
			Field: in(func(l *Log) any { return &l.MaxAge }),
		},
	}}
	if k.name != "routing_table" { // whose files are of one snapshot each, in JSON
		t.keys = append(t.keys, key{
			Name: "format", Type: choice[string]("csv", "json"),
			From:  &derivation{doc: "`logs.format`", value: func(c *Config) any { return c.Logs.Format }},
			Doc:   "How its lines are written.",
			Field: in(func(l *Log) any { return &l.Format }),
		}, key{
			Name: "max_file_size", Type: logFileSize(),
			From: &derivation{doc: "`logs.max_file_size`", value: func(c *Config) any {
				return logFileSize().show(&c.Logs.MaxFileSize)
			}},
			Doc:   "At this size it goes on in a new file.",
			Field: in(func(l *Log) any { return &l.MaxFileSize }),
		})
	}
	if k.name == "message_tracking" {
		t.keys = append(t.keys, key{
			Name: "log_subjects", Type: boolean(), Default: true, Doc: "Whether the subjects of messages are written, too.",
			Field: in(func(l *Log) any { return &l.LogSubjects }),
		})
	}
	return single(t, k.field)
}

func unlimitedOr(d time.Duration) any {
	if d == Unlimited {
		return "unlimited"
	}
	return FormatDuration(d)
}

// checkLogs refuses files that may grow larger than all of a log together.
func (d *decoder) checkLogs(l *Logs) {
	files := map[string]*Log{"event": &l.Event.File}
	for _, k := range logKinds() {
		if k.name != "routing_table" {
			files[k.name] = k.field(l)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		log, row := files[name], joinPath("logs", name)
		if !d.read("logs", "max_file_size", "max_directory_size") || !d.read(row, "max_file_size", "max_directory_size") {
			continue
		}
		if log.MaxFileSize <= log.MaxDirectorySize {
			continue
		}
		at := row + ".max_file_size"
		for _, other := range [][2]string{{row, "max_file_size"}, {row, "max_directory_size"}, {"logs", "max_file_size"}, {"logs", "max_directory_size"}} {
			if d.written(other[0], other[1]) {
				at = joinPath(other[0], other[1])
				break
			}
		}
		if d.failed[at] {
			continue
		}
		d.failed[at] = true
		d.fail(at, fmt.Sprintf("%s: one file (%s) may be larger than all of a log together (%s)", at[strings.LastIndexByte(at, '.')+1:],
			FormatSize(log.MaxFileSize), FormatSize(log.MaxDirectorySize)), "write max_file_size no larger than max_directory_size")
	}
}

// orAuto lets a value also be "auto", which is the zero value.
func orAuto[V comparable](t typed[V]) typed[V] {
	var zero V
	parse, json, toml := t.parse, t.json, t.toml
	t.permits += ", or `auto`"
	t.parse = func(value any) (V, []fault) {
		if value == "auto" {
			return zero, nil
		}
		return parse(value)
	}
	t.json = func(v V) any {
		if v == zero {
			return "auto"
		}
		return json(v)
	}
	t.toml = func(v V) string {
		if v == zero {
			return `"auto"`
		}
		return toml(v)
	}
	return t
}
