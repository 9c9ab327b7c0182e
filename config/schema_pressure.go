package config

import (
	"fmt"
	"time"
)

// pressureKind is what the tables of [back_pressure] differ in.
type pressureKind struct {
	name, doc string
	write     thresholds
	// medium and high are the defaults, as the file would say them; the others
	// tell what "auto" stands for in the four thresholds.
	medium, high         any
	auto, autoHigh       string
	fallHigh, fallMedium string
	// action is what happens at medium.
	action string
	// depth is the default of history_depth; 0: there is no such key.
	depth int64
	field func(*BackPressure) *Pressure
}

const (
	refusesOutsiders = "mail from outsiders is refused"
	delaysOutsiders  = "mail from outsiders is delayed"
)

func pressureKinds() []pressureKind {
	return []pressureKind{
		{
			name: "disk", doc: "Free space on the volume of `queue.directory`.",
			write: volumeThresholds(), medium: "auto", high: "auto", action: refusesOutsiders,
			auto: "1 GB free, on volumes under 10 GB 10 %", autoHigh: "500 MB free, on volumes under 10 GB 5 %",
			fallHigh: "10 % more is free than at `high`", fallMedium: "10 % more is free than at `medium`",
			field: func(b *BackPressure) *Pressure { return &b.Disk },
		},
		{
			name: "log_disk", doc: "Free space on the volume of `logs.directory`, where that is another.",
			write: volumeThresholds(), medium: "auto", high: "auto", action: refusesOutsiders,
			auto: "1 GB free, on volumes under 10 GB 10 %", autoHigh: "500 MB free, on volumes under 10 GB 5 %",
			fallHigh: "10 % more is free than at `high`", fallMedium: "10 % more is free than at `medium`",
			field: func(b *BackPressure) *Pressure { return &b.LogDisk },
		},
		{
			name: "inodes", doc: "Free inodes on the volume of `queue.directory`. Volumes that don't count them are not watched.",
			write: inodeThresholds(), medium: "auto", high: "auto", action: refusesOutsiders,
			auto: "10000 free, on volumes with less than 100000 inodes 10 %", autoHigh: "5000 free, on volumes with less than 100000 inodes 5 %",
			fallHigh: "10 % more are free than at `high`", fallMedium: "10 % more are free than at `medium`",
			field: func(b *BackPressure) *Pressure { return &b.Inodes },
		},
		{
			name: "segments", doc: "Segments of the spool that new mail may still use, the one in use among them.",
			write: segmentThresholds(), medium: "1 free", high: "0 free", action: refusesOutsiders, depth: 15,
			fallHigh: "one more is free than at `medium`", fallMedium: "one more is free than at `medium`",
			field: func(b *BackPressure) *Pressure { return &b.Segments },
		},
		{
			name: "memory", doc: "Resident memory of this process. Percentages are of the smallest of GOMEMLIMIT, the cgroup's limit and RAM.",
			write: memoryThresholds(), medium: "72%", high: "75%", action: refusesOutsiders, depth: 30,
			fallHigh: "2 % of the limit less is in use than at `high`", fallMedium: "1 % of the limit less is in use than at `medium`",
			field: func(b *BackPressure) *Pressure { return &b.Memory },
		},
		{
			name: "submission_queue", doc: "Messages in the Submission queue: those that are not routed yet.",
			write: messageThresholds(), medium: int64(9999), high: int64(15000), action: delaysOutsiders, depth: 5,
			fallHigh: "two thirds of `high`", fallMedium: "a fifth of `medium`",
			field: func(b *BackPressure) *Pressure { return &b.SubmissionQueue },
		},
		{
			name: "messages", doc: "Queued messages in all.",
			write: messageThresholds(), medium: int64(1_000_000), high: int64(1_500_000), action: delaysOutsiders, depth: 5,
			fallHigh: "10 % less than `high`", fallMedium: "10 % less than `medium`",
			field: func(b *BackPressure) *Pressure { return &b.Messages },
		},
		{
			name: "sync_latency", doc: "How long the spool's latest sync took, or the one that runs has taken so far.",
			write: latencyThresholds(), medium: "2s", high: "10s", action: delaysOutsiders, depth: 5,
			fallHigh: "half of `high`", fallMedium: "half of `medium`",
			field: func(b *BackPressure) *Pressure { return &b.SyncLatency },
		},
		{
			name: "file_descriptors", doc: "Open file descriptors of this process, against RLIMIT_NOFILE.",
			write: descriptorThresholds(), medium: "80%", high: "90%", action: refusesOutsiders, depth: 5,
			fallHigh: "5 % of the limit less is in use than at `high`", fallMedium: "5 % of the limit less is in use than at `medium`",
			field: func(b *BackPressure) *Pressure { return &b.FileDescriptors },
		},
	}
}

// table makes the table of one resource.
func (k pressureKind) table() *table {
	at := func(name string, fallback any, doc string, field func(*Pressure) *Threshold) key {
		return key{Name: name, Type: threshold(k.write), Default: fallback, Doc: doc, Field: in(func(p *Pressure) any { return field(p) })}
	}
	auto := func(text string) string {
		if text == "" {
			return ""
		}
		return " `auto`: " + text + "."
	}
	t := table{name: k.name, doc: k.doc, keys: []key{
		{
			Name: "enabled", Type: boolean(), Default: true, Doc: "Whether this resource is watched.",
			Field: in(func(p *Pressure) any { return &p.Enabled }),
		},
		at("medium", k.medium, fmt.Sprintf("From here on %s, and Pickup and Replay wait.%s", k.action, auto(k.auto)), func(p *Pressure) *Threshold { return &p.Medium }),
		at("high", k.high, "From here on all mail is refused."+auto(k.autoHigh), func(p *Pressure) *Threshold { return &p.High }),
		at("high_to_medium", "auto", "Where the level falls from high to medium."+auto(k.fallHigh), func(p *Pressure) *Threshold { return &p.HighToMedium }),
		at("medium_to_normal", "auto", "Where the level falls from medium to normal."+auto(k.fallMedium), func(p *Pressure) *Threshold { return &p.MediumToNormal }),
	}}
	if k.depth > 0 {
		t.keys = append(t.keys, key{
			Name: "history_depth", Type: count(1, 10000), Default: k.depth,
			Doc:   "How many measurements in a row must be beyond a threshold before the level rises, so that a spike changes nothing.",
			Field: in(func(p *Pressure) any { return &p.HistoryDepth }),
		})
	}
	return single(t, k.field)
}

func backPressureTable() *table {
	t := table{
		name: "back_pressure",
		doc:  "What to refuse when resources run short.",
		keys: []key{
			{
				Name: "enabled", Type: boolean(), Default: true,
				Doc:   "Whether resources are watched at all.",
				Field: in(func(b *BackPressure) any { return &b.Enabled }),
			},
			{
				Name: "interval", Type: duration(100*time.Millisecond, time.Minute), Default: "2s",
				Doc:   "How often they are measured.",
				Field: in(func(b *BackPressure) any { return &b.Interval }),
			},
			{
				Name: "reply_names_resource", Type: boolean(), Default: false,
				Doc:   "Whether a refusal tells the client in parentheses which resource it is for.",
				Field: in(func(b *BackPressure) any { return &b.ReplyNamesResource }),
			},
		},
	}
	for _, k := range pressureKinds() {
		t.subs = append(t.subs, k.table())
	}
	return single(t, func(c *Config) *BackPressure { return &c.BackPressure })
}

// checkPressure refuses thresholds that stand the wrong way, as far as that can
// be seen without the resource; package backpressure sees the rest.
func (d *decoder) checkPressure(b *BackPressure) {
	for _, k := range pressureKinds() {
		p, row := k.field(b), joinPath("back_pressure", k.name)
		if !d.read(row, "medium", "high", "high_to_medium", "medium_to_normal") {
			continue
		}
		named := map[string]Threshold{"medium": p.Medium, "high": p.High, "high_to_medium": p.HighToMedium, "medium_to_normal": p.MediumToNormal}
		for _, o := range []struct {
			later, earlier string
			equal          bool // they may be
		}{{"high", "medium", false}, {"high", "high_to_medium", true}, {"medium", "medium_to_normal", true}, {"high_to_medium", "medium_to_normal", true}} {
			n, ok := worse(named[o.later], named[o.earlier])
			if !ok || n > 0 || n == 0 && o.equal {
				continue
			}
			at := o.later
			if !d.written(row, at) {
				at = o.earlier
			}
			d.fail(joinPath(row, at), fmt.Sprintf("%s = %s comes no later than %s = %s", o.later, k.write.text(named[o.later]), o.earlier, k.write.text(named[o.earlier])),
				fmt.Sprintf("write them so that %s is reached after %s", o.later, o.earlier))
		}
	}
}
