package backpressure

import "time"

// Status is how short the resources are at one moment, and what follows from
// it.
type Status struct {
	Enabled bool  `json:"enabled"`
	Level   Level `json:"level"`
	// SwitchedOff says what does not work as usual.
	SwitchedOff []string `json:"switched_off"`
	// Delay is by how much outsiders are delayed at MAIL, in seconds; Refused and
	// Delayed count MAIL commands since the start.
	Delay     float64          `json:"delay"`
	Refused   int64            `json:"refused"`
	Delayed   int64            `json:"delayed"`
	Resources []ResourceStatus `json:"resources"`
}

// The states of a ResourceStatus.
const (
	StateWatched = "watched"
	StateOff     = "off"
	StateUnknown = "unknown"
)

// ResourceStatus is one resource. The more of it is in use, the shorter it is,
// so all figures count what is in use: bytes, inodes, segments, messages,
// seconds or descriptors. The texts say the same for people, in the words of the
// configuration, as what is free where that is what counts.
type ResourceStatus struct {
	Name Name `json:"name"`
	// Of is what it is measured on, Unit what the figures count.
	Of   string `json:"of"`
	Unit string `json:"unit"`
	// State is StateWatched, StateOff or StateUnknown; Reason says why it is
	// unknown.
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	Level  Level  `json:"level"`
	// Since is when the level last changed.
	Since time.Time `json:"since,omitzero"`
	// Action is what happens to outsiders at medium: "refuse" or "delay".
	Action         string  `json:"action"`
	Used           float64 `json:"used"`
	Limit          float64 `json:"limit"` // 0: none
	Medium         float64 `json:"medium"`
	High           float64 `json:"high"`
	HighToMedium   float64 `json:"high_to_medium"`
	MediumToNormal float64 `json:"medium_to_normal"`
	Refused        int64   `json:"refused"`
	Delayed        int64   `json:"delayed"`

	ValueText          string `json:"value_text"`
	MediumText         string `json:"medium_text"`
	HighText           string `json:"high_text"`
	HighToMediumText   string `json:"high_to_medium_text"`
	MediumToNormalText string `json:"medium_to_normal_text"`
}

// Status describes the latest measurements. A nil Monitor has none.
func (m *Monitor) Status() Status {
	s := Status{SwitchedOff: []string{}, Resources: []ResourceStatus{}}
	if m == nil {
		return s
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.published.Load()
	s.Enabled, s.Level, s.Refused, s.Delayed = m.config.Enabled, p.level, m.refused.Load(), m.delayed.Load()
	s.SwitchedOff = append(s.SwitchedOff, m.switchedOff(p)...)
	if p.all == nil && p.outsiders == nil {
		s.Delay = p.delay.Seconds()
	}
	for _, r := range m.resources {
		if r.name == LogDisk && r.off && r.set.Enabled && m.config.Enabled {
			continue // it is disk
		}
		s.Resources = append(s.Resources, r.status())
	}
	return s
}

func (r *resource) status() ResourceStatus {
	s := describe(&r.kind, r.reading, r.thresholds)
	s.Level, s.Since = r.machine.level, r.since.UTC()
	s.Refused, s.Delayed = r.refusals.Value(), r.delays.Value()
	switch {
	case r.off:
		s.State = StateOff
	case r.err != nil:
		s.State, s.Reason = StateUnknown, r.err.Error()
	}
	if s.State != StateWatched {
		s.ValueText, s.MediumText, s.HighText, s.HighToMediumText, s.MediumToNormalText = "", "", "", "", ""
	}
	return s
}

// describe fills in what follows from a reading and thresholds.
func describe(k *kind, r Reading, t Thresholds) ResourceStatus {
	s := ResourceStatus{
		Name: k.name, Of: r.Of, Unit: k.noun, State: StateWatched, Action: "refuse",
		Used: k.figure(r.Used), Limit: k.figure(r.Limit),
		Medium: k.figure(t.Medium), High: k.figure(t.High), HighToMedium: k.figure(t.HighToMedium), MediumToNormal: k.figure(t.MediumToNormal),
		ValueText: k.value(r), MediumText: k.threshold(t.Medium, r.Limit), HighText: k.threshold(t.High, r.Limit),
		HighToMediumText: k.threshold(t.HighToMedium, r.Limit), MediumToNormalText: k.threshold(t.MediumToNormal, r.Limit),
	}
	if k.delay {
		s.Action = "delay"
	}
	switch k.unit {
	case octets:
		s.Unit = "bytes"
	case nanoseconds:
		s.Unit = "seconds"
	}
	return s
}

// figure is a value as Status gives it.
func (k *kind) figure(n int64) float64 {
	if k.unit == nanoseconds {
		return time.Duration(n).Seconds()
	}
	return float64(n)
}
