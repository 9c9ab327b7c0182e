package backpressure

import (
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
	relief, shed := m.relieve(now)
	events := m.events(now, changes, nonsense)
	m.mu.Unlock()
	for _, e := range events {
		m.o.Logger.Log(e.ctx(), e.level, e.text, e.attrs...)
	}
	if relief != nil {
		m.o.Relieve(*relief)
	}
	if shed {
		m.o.Shed()
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
	t := r.kind.thresholds(r.set, s.reading.Limit)
	sense = true
	if !t.valid(s.reading.Limit) {
		if t = r.defaults(s.reading.Limit); !t.valid(s.reading.Limit) {
			r.err = errTooSmall
			r.machine, r.reading, r.thresholds = machine{}, s.reading, Thresholds{}
			return true
		}
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

// relieve says what is to be told to Options.Relieve, and whether to call
// Options.Shed. Called with mu held.
func (m *Monitor) relieve(now time.Time) (level *Level, shed bool) {
	relief := Normal
	for _, r := range m.resources {
		if r.relief {
			relief = max(relief, r.machine.level)
		}
		// The first value beyond the threshold calls for it, so that the level
		// rises only when it was of no use.
		shed = shed || r.name == Memory && r.machine.mediums > 0
	}
	if shed = shed && (m.shedAt.IsZero() || now.Sub(m.shedAt) >= ShedInterval); shed {
		m.shedAt = now
	}
	if relief == m.relief {
		return nil, shed
	}
	m.relief = relief
	return &relief, shed
}
