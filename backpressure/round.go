package backpressure

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// change is a level that was found to be another.
type change struct {
	resource *resource
	from, to Level
	figures  string
}

// round measures everything once, and does what follows from it.
func (m *Monitor) round(now time.Time) {
	m.rounds.Lock()
	defer m.rounds.Unlock()
	m.read()
	if r, s := m.wantsShed(now); r != nil {
		m.o.Shed()
		s.reading, s.err = r.meter()
	}
	m.mu.Lock()
	var changes []change
	var nonsense []*resource
	for i, r := range m.resources {
		before := r.machine.level
		if !r.take(&m.seen[i]) {
			nonsense = append(nonsense, r)
		}
		if r.machine.level != before {
			r.since = now
			changes = append(changes, change{resource: r, from: before, to: r.machine.level, figures: r.figures()})
		}
		r.levelGauge.Set(int64(r.machine.level))
		r.valueGauge.Set(r.reading.Used)
	}
	m.publish(now)
	relief := m.relieve()
	events := m.events(now, changes, nonsense)
	m.mu.Unlock()
	for _, e := range events {
		m.o.Logger.Log(context.Background(), e.level, e.text, e.attrs...)
	}
	if relief != nil {
		m.o.Relieve(*relief)
	}
}

// read asks all meters, without a lock that others wait for: a disk may take
// its time.
func (m *Monitor) read() {
	m.mu.Lock()
	for i, r := range m.resources {
		m.seen[i] = seen{skip: r.off}
	}
	m.mu.Unlock()
	for i, r := range m.resources {
		if s := &m.seen[i]; !s.skip {
			s.reading, s.err = r.meter()
		}
	}
}

// take takes what a meter said into the resource's level. It reports false when
// the configured thresholds were just found to make no sense.
func (r *resource) take(s *seen) (sense bool) {
	r.err = s.err
	if r.off || s.skip || s.err != nil {
		r.machine, r.reading, r.thresholds = machine{}, Reading{Of: s.reading.Of}, Thresholds{}
		return true
	}
	t := r.effective(s.reading.Limit)
	if !t.valid(s.reading.Limit) {
		r.err = errTooSmall
		r.machine, r.reading, r.thresholds = machine{}, s.reading, Thresholds{}
		return true
	}
	sense = true
	if !r.kind.thresholds(r.set, s.reading.Limit).valid(s.reading.Limit) {
		sense = r.nonsense
		r.nonsense = true
	}
	r.reading, r.thresholds = s.reading, t
	r.machine = r.machine.step(s.reading.Used, t, int(r.set.HistoryDepth))
	return sense
}

var errTooSmall = errors.New("there is too little of it for thresholds")

// figures are the value and the threshold that it is beyond.
func (r *resource) figures() string {
	switch {
	case r.off:
		return "no longer watched"
	case r.err != nil:
		return r.err.Error()
	}
	v := r.value(r.reading)
	t := r.thresholds.Medium
	switch r.machine.level {
	case Normal:
		return v
	case High:
		t = r.thresholds.High
	}
	return fmt.Sprintf("%s, %s from %s", v, r.machine.level, r.threshold(t, r.reading.Limit))
}

// publish makes known what is refused. Called with mu held.
func (m *Monitor) publish(now time.Time) {
	p := published{names: m.config.ReplyNamesResource}
	var slow, outsiders, all *resource
	worst := func(a *resource, b *resource) *resource {
		if a == nil || b.machine.level > a.machine.level {
			return b
		}
		return a
	}
	for _, r := range m.resources {
		l := r.machine.level
		p.level = max(p.level, l)
		switch {
		case l == High:
			all = worst(all, r)
			if r.delay {
				slow = worst(slow, r)
			}
		case l == Medium && r.delay:
			slow = worst(slow, r)
		case l == Medium:
			outsiders = worst(outsiders, r)
		}
	}
	if !m.measured.IsZero() {
		m.ramp = m.ramp.after(now.Sub(m.measured), slow != nil)
	}
	m.measured = now
	if p.level == Normal && m.published.Load().level == Normal {
		return
	}
	because := func(r *resource) *cause {
		if r == nil {
			return nil
		}
		return &cause{resource: r, figures: r.figures()}
	}
	p.all, p.outsiders = because(all), because(outsiders)
	if slow != nil {
		p.slow, p.delay = because(slow), m.ramp.delay()
	}
	m.published.Store(&p)
}

// wantsShed returns memory, and what its meter said, when that calls for
// Options.Shed. It does from the first value beyond the threshold on, and at
// least once within the history: what can be given up does not raise the level.
func (m *Monitor) wantsShed(now time.Time) (*resource, *seen) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, r := range m.resources {
		s := &m.seen[i]
		if r.name != Memory || s.skip || s.err != nil || s.reading.Used < r.effective(s.reading.Limit).Medium {
			continue
		}
		between := min(ShedInterval, m.pause()*time.Duration(max(r.set.HistoryDepth, 1))/2)
		if !m.shedAt.IsZero() && now.Sub(m.shedAt) < between {
			return nil, nil
		}
		m.shedAt = now
		return r, s
	}
	return nil, nil
}

// effective are the thresholds in force: the configured ones, or the defaults
// where those make no sense.
func (r *resource) effective(limit int64) Thresholds {
	if t := r.kind.thresholds(r.set, limit); t.valid(limit) {
		return t
	}
	return r.defaults(limit)
}

// relieve says what is to be told to Options.Relieve, if that has changed. Called
// with mu held.
func (m *Monitor) relieve() *Level {
	relief := Normal
	for _, r := range m.resources {
		if r.relief {
			relief = max(relief, r.machine.level)
		}
	}
	if relief == m.relief {
		return nil
	}
	m.relief = relief
	return &relief
}
