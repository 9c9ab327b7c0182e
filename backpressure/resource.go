package backpressure

import (
	"errors"

	"postern/config"
)

// Name is a resource's name, which is that of its table in the configuration.
type Name string

// The resources.
const (
	Disk            Name = "disk"
	LogDisk         Name = "log_disk"
	Inodes          Name = "inodes"
	Segments        Name = "segments"
	Memory          Name = "memory"
	SubmissionQueue Name = "submission_queue"
	Messages        Name = "messages"
	SyncLatency     Name = "sync_latency"
	FileDescriptors Name = "file_descriptors"
)

// Reading is what a meter found.
type Reading struct {
	// Used is how much is in use, of Limit, which is 0 where there is no limit:
	// octets, inodes, segments, messages, nanoseconds or descriptors.
	Used, Limit int64
	// Of says what it was measured on, such as a directory or what the limit is.
	Of string
}

// Meter reads a resource. One call is made at a time.
type Meter func() (Reading, error)

// ErrUnknown is a Meter's error where a resource can't be read.
var ErrUnknown = errors.New("not known on this system")

// unit is what a resource's values count.
type unit uint8

const (
	octets unit = iota
	things
	nanoseconds
)

// kind is what one resource differs in from the others.
type kind struct {
	name  Name
	noun  string // of what is counted; empty for octets and time
	unit  unit
	free  bool // its values are shown as what is left
	delay bool // at medium outsiders are delayed rather than refused
	// relief says that delivering takes of it, so that less is delivered.
	relief bool
	config func(*config.BackPressure) *config.Pressure
	// medium and high are what "auto" stands for, fallen what it stands for
	// below them.
	medium, high func(limit int64) int64
	fallen       func(t Thresholds, limit int64) (highToMedium, mediumToNormal int64)
}

// Volumes and file systems from this size on have absolute thresholds.
const (
	largeVolume = 10 << 30
	manyInodes  = 100000
)

// left is the value where so much is left, or, on what is smaller than large, so
// many percent.
func left(n, large, percent int64) func(limit int64) int64 {
	return func(limit int64) int64 {
		if limit < large {
			return limit - part(limit, percent)
		}
		return limit - n
	}
}

func share(percent int64) func(limit int64) int64 {
	return func(limit int64) int64 { return part(limit, percent) }
}

func fixed(n int64) func(int64) int64 { return func(int64) int64 { return n } }

// part is so many percent of n, without overflow.
func part(n, percent int64) int64 { return n/100*percent + n%100*percent/100 }

// moreFree falls where a tenth more is left, but where less than half is in use
// at the latest.
func moreFree(t Thresholds, limit int64) (int64, int64) {
	fall := func(v int64) int64 { return max(v-max((limit-v)/10, 1), v/2) }
	return max(fall(t.High), fall(t.Medium)), fall(t.Medium)
}

// lessUsed falls where so many percent of the limit less are in use, or of the
// threshold where there is no limit.
func lessUsed(high, medium int64) func(Thresholds, int64) (int64, int64) {
	return func(t Thresholds, limit int64) (int64, int64) {
		fall := func(v, percent int64) int64 {
			of := limit
			if of <= 0 {
				of = v
			}
			return max(v-max(part(of, percent), 1), v/2)
		}
		return max(fall(t.High, high), fall(t.Medium, medium)), fall(t.Medium, medium)
	}
}

// kinds are all resources, in the order in which they are shown.
func kinds() []kind {
	return []kind{
		{name: Disk, free: true, config: func(b *config.BackPressure) *config.Pressure { return &b.Disk },
			medium: left(1<<30, largeVolume, 10), high: left(500<<20, largeVolume, 5), fallen: moreFree},
		{name: LogDisk, free: true, config: func(b *config.BackPressure) *config.Pressure { return &b.LogDisk },
			medium: left(1<<30, largeVolume, 10), high: left(500<<20, largeVolume, 5), fallen: moreFree},
		{name: Inodes, noun: "inodes", unit: things, free: true, config: func(b *config.BackPressure) *config.Pressure { return &b.Inodes },
			medium: left(10000, manyInodes, 10), high: left(5000, manyInodes, 5), fallen: moreFree},
		{name: Segments, noun: "segments", unit: things, free: true, config: func(b *config.BackPressure) *config.Pressure { return &b.Segments },
			medium: left(1, 0, 0), high: left(0, 0, 0),
			fallen: func(t Thresholds, _ int64) (int64, int64) { return t.Medium, t.Medium }},
		{name: Memory, relief: true, config: func(b *config.BackPressure) *config.Pressure { return &b.Memory },
			medium: share(72), high: share(75), fallen: lessUsed(2, 1)},
		{name: SubmissionQueue, noun: "messages", unit: things, delay: true, config: func(b *config.BackPressure) *config.Pressure { return &b.SubmissionQueue },
			medium: fixed(9999), high: fixed(15000),
			fallen: func(t Thresholds, _ int64) (int64, int64) {
				normal := max((t.Medium+1)/5, 1)
				return max(t.High*2/3, normal), normal
			}},
		{name: Messages, noun: "messages", unit: things, delay: true, config: func(b *config.BackPressure) *config.Pressure { return &b.Messages },
			medium: fixed(1_000_000), high: fixed(1_500_000), fallen: lessUsed(10, 10)},
		{name: SyncLatency, unit: nanoseconds, delay: true, config: func(b *config.BackPressure) *config.Pressure { return &b.SyncLatency },
			medium: fixed(2e9), high: fixed(10e9),
			fallen: func(t Thresholds, _ int64) (int64, int64) { return max(t.High/2, t.Medium/2), t.Medium / 2 }},
		{name: FileDescriptors, noun: "descriptors", unit: things, relief: true, config: func(b *config.BackPressure) *config.Pressure { return &b.FileDescriptors },
			medium: share(80), high: share(90), fallen: lessUsed(5, 5)},
	}
}

// thresholds works the configured thresholds out for a limit.
func (k *kind) thresholds(p *config.Pressure, limit int64) Thresholds {
	t := Thresholds{Medium: at(p.Medium, limit, k.medium(limit)), High: at(p.High, limit, k.high(limit))}
	high, medium := k.fallen(t, limit)
	t.HighToMedium, t.MediumToNormal = at(p.HighToMedium, limit, high), at(p.MediumToNormal, limit, medium)
	return t
}

// at is the value that a threshold stands for.
func at(t config.Threshold, limit, auto int64) int64 {
	switch t.Measure {
	case config.MeasureFree:
		return limit - t.N
	case config.MeasureFreePercent:
		return limit - part(limit, t.N)
	case config.MeasureUsed:
		return t.N
	case config.MeasureUsedPercent:
		return part(limit, t.N)
	}
	return auto
}

// defaults are the thresholds of a configuration that says nothing.
func (k *kind) defaults(limit int64) Thresholds { return k.thresholds(new(config.Pressure), limit) }
