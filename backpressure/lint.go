package backpressure

import (
	"fmt"

	"postern/config"
)

// Outlook says which thresholds a configuration has on this host: effective
// numbers, and the value that there is now. What only the running gateway knows,
// its queues and its spool, has thresholds and no value, and the memory and
// descriptors in use are the caller's.
func Outlook(cfg *config.Config) []ResourceStatus {
	meters := hostMeters(cfg)
	var out []ResourceStatus
	for _, k := range kinds() {
		set := k.config(&cfg.BackPressure)
		r, err := Reading{}, error(nil)
		meter := meters[k.name]
		if meter != nil {
			r, err = meter()
		}
		if !k.watched(set, &cfg.BackPressure) {
			out = append(out, ResourceStatus{Name: k.name, State: StateOff})
			continue
		}
		if k.name == LogDisk && sameAsDisk(&cfg.BackPressure) && SharedVolume(cfg.Queue.Directory, cfg.Logs.Directory) {
			continue
		}
		if k.name == Segments {
			continue // their number is the spool's affair
		}
		t := k.thresholds(set, r.Limit)
		s := describe(&k, r, t)
		switch {
		case err != nil:
			s = ResourceStatus{Name: k.name, Of: r.Of, State: StateUnknown, Reason: err.Error()}
		case meter == nil, k.relief: // of another process
			s.Used, s.ValueText = 0, ""
		}
		out = append(out, s)
	}
	return out
}

func (k *kind) watched(set *config.Pressure, b *config.BackPressure) bool {
	return b.Enabled && set.Enabled
}

// hostMeters are those that need no running gateway.
func hostMeters(cfg *config.Config) map[Name]Meter {
	return map[Name]Meter{
		Disk: VolumeMeter(cfg.Queue.Directory), LogDisk: VolumeMeter(cfg.Logs.Directory),
		Inodes: InodeMeter(cfg.Queue.Directory), Memory: MemoryMeter(), FileDescriptors: DescriptorMeter(),
	}
}

// Lint finds thresholds that make no sense on this host: beyond the size of the
// volume, or the wrong way round for it. It looks at volumes and limits, so what
// it finds on one host need not hold on another; the gateway runs with the
// defaults in their place.
func Lint(cfg *config.Config) []config.Finding {
	if !cfg.BackPressure.Enabled {
		return nil
	}
	var out []config.Finding
	meters := hostMeters(cfg)
	for _, k := range kinds() {
		set := k.config(&cfg.BackPressure)
		if !set.Enabled {
			continue
		}
		r := Reading{}
		if meter := meters[k.name]; meter != nil {
			var err error
			if r, err = meter(); err != nil {
				continue
			}
		} else if k.free {
			continue
		}
		t := k.thresholds(set, r.Limit)
		if t.valid(r.Limit) || !k.defaults(r.Limit).valid(r.Limit) {
			continue
		}
		key, why := k.wrong(t, set, r.Limit)
		of := ""
		if r.Limit > 0 {
			of = fmt.Sprintf(" (%s has %s)", r.Of, k.amount(r.Limit))
		}
		out = append(out, config.Finding{Severity: config.Error, Path: "back_pressure." + string(k.name) + "." + key,
			Message: key + " " + why + of, Remedy: fmt.Sprintf("write another value, or leave it out: the default is %s", k.all(k.defaults(r.Limit), r.Limit))})
	}
	return out
}

// wrong says which threshold is to blame, and for what.
func (k *kind) wrong(t Thresholds, set *config.Pressure, limit int64) (key, why string) {
	named := []struct {
		key string
		at  config.Threshold
		v   int64
	}{
		{"high", set.High, t.High}, {"medium", set.Medium, t.Medium},
		{"high_to_medium", set.HighToMedium, t.HighToMedium}, {"medium_to_normal", set.MediumToNormal, t.MediumToNormal},
	}
	for _, n := range named {
		if n.at.Measure != config.MeasureAuto && (n.v <= 0 || limit > 0 && n.v > limit) {
			return n.key, "is beyond the size of the resource"
		}
	}
	switch {
	case t.Medium >= t.High:
		return written(named[0].at, "high", "medium"), fmt.Sprintf("is wrong: medium (%s) is reached no earlier than high (%s)", k.threshold(t.Medium, limit), k.threshold(t.High, limit))
	case t.MediumToNormal > t.Medium || t.MediumToNormal <= 0:
		return written(set.MediumToNormal, "medium_to_normal", "medium"), fmt.Sprintf("is wrong: the level falls to normal at %s and rises at %s", k.threshold(t.MediumToNormal, limit), k.threshold(t.Medium, limit))
	case t.MediumToNormal > t.HighToMedium:
		return written(set.MediumToNormal, "medium_to_normal", "high_to_medium"), fmt.Sprintf("is wrong: the level falls to normal at %s, and from high to medium only at %s", k.threshold(t.MediumToNormal, limit), k.threshold(t.HighToMedium, limit))
	}
	return written(set.HighToMedium, "high_to_medium", "high"), fmt.Sprintf("is wrong: the level falls from high at %s and rises at %s", k.threshold(t.HighToMedium, limit), k.threshold(t.High, limit))
}

func written(t config.Threshold, key, otherwise string) string {
	if t.Measure != config.MeasureAuto {
		return key
	}
	return otherwise
}
