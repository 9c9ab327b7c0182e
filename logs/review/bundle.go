package review

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"slices"
	"time"

	"postern/logs"
)

// Bundle is a part of the logs that is to be handed to somebody: sessions, and
// lines of the other logs. It is held in memory, at most maxBundle octets, so
// that it can be masked as a whole and written in order of time whatever the
// order in which it was found, which is newest first. The zero Bundle is empty. It is for one goroutine.
type Bundle struct {
	lines        [2][]logs.Line
	tracking     []logs.Tracking
	connectivity []logs.ConnectivityLine
	agent        []logs.AgentLine
	octets       int
	sorted       bool
}

// maxBundle is how much of the logs a Bundle holds, in octets of memory.
const maxBundle = 64 << 20

// ErrBundleFull says that a Bundle can't take more.
var ErrBundleFull = errors.New("that is more than 64 MB of log; choose less of it")

// room counts what is added.
func (b *Bundle) room(octets int) error {
	if b.octets += octets; b.octets > maxBundle {
		return ErrBundleFull
	}
	return nil
}

// AddSession adds the lines of a session, which must have them.
func (b *Bundle) AddSession(v *Session) error {
	side := sideOf(v.Direction)
	for _, l := range v.Lines {
		if err := b.room(200 + len(l.Connector) + len(l.Session) + len(l.Data) + len(l.Context)); err != nil {
			return err
		}
		b.lines[side] = append(b.lines[side], l)
	}
	return nil
}

// AddTracking adds a line of message tracking.
func (b *Bundle) AddTracking(t *logs.Tracking) error {
	b.tracking = append(b.tracking, *t)
	return b.room(900 + len(t.Append(nil)))
}

// AddConnectivity adds a line of the connectivity log.
func (b *Bundle) AddConnectivity(l *logs.ConnectivityLine) error {
	b.connectivity = append(b.connectivity, *l)
	return b.room(150 + len(l.Description) + len(l.Destination))
}

// AddAgent adds a line of the agent log.
func (b *Bundle) AddAgent(l *logs.AgentLine) error {
	b.agent = append(b.agent, *l)
	return b.room(500 + len(l.Append(nil)))
}

// Kinds returns the logs of which the Bundle has lines.
func (b *Bundle) Kinds() []logs.Kind {
	var list []logs.Kind
	for _, k := range logs.Kinds() {
		if b.Lines(k) > 0 {
			list = append(list, k)
		}
	}
	return list
}

// Lines returns how many lines of a log there are.
func (b *Bundle) Lines(k logs.Kind) int {
	switch k {
	case logs.ReceiveProtocol:
		return len(b.lines[0])
	case logs.SendProtocol:
		return len(b.lines[1])
	case logs.MessageTracking:
		return len(b.tracking)
	case logs.Connectivity:
		return len(b.connectivity)
	case logs.Agent:
		return len(b.agent)
	}
	return 0
}

// Mask masks everything. It looks for all addresses first, so that a name is
// hidden also where it comes before the address that gives it away.
func (b *Bundle) Mask(m *Masker) {
	for i := range b.tracking {
		m.Tracking(b.tracking[i])
	}
	for i := range b.agent {
		m.Agent(b.agent[i])
	}
	for _, side := range b.lines {
		for i := range side {
			m.Learn(&side[i])
		}
	}
	for _, side := range b.lines {
		for i := range side {
			side[i] = m.Line(side[i])
		}
	}
	for i, t := range b.tracking {
		b.tracking[i] = m.Tracking(t)
	}
	for i, l := range b.connectivity {
		b.connectivity[i] = m.Connectivity(l)
	}
	for i, l := range b.agent {
		b.agent[i] = m.Agent(l)
	}
}

// Write writes the lines of one log, the oldest first: Exchange's CSV with the
// lines at its head, or JSON lines.
func (b *Bundle) Write(w io.Writer, k logs.Kind, json bool) error {
	b.sort()
	out := bufio.NewWriterSize(w, 64<<10)
	if first, ok := b.first(k); ok && !json {
		if _, err := out.Write(logs.AppendHead(nil, k, first)); err != nil {
			return err
		}
	}
	var line []byte
	put := func(text []byte) error {
		line = text
		_, err := out.Write(text)
		return err
	}
	var err error
	switch k {
	case logs.ReceiveProtocol, logs.SendProtocol:
		err = write(b.lines[protocolSide(k)], func(l *logs.Line) error {
			if json {
				return put(l.AppendJSON(line[:0], k))
			}
			return put(l.Append(line[:0]))
		})
	case logs.MessageTracking:
		err = write(b.tracking, func(t *logs.Tracking) error { return put(appendEither(line[:0], t, json)) })
	case logs.Connectivity:
		err = write(b.connectivity, func(l *logs.ConnectivityLine) error { return put(appendEither(line[:0], l, json)) })
	case logs.Agent:
		err = write(b.agent, func(l *logs.AgentLine) error { return put(appendEither(line[:0], l, json)) })
	}
	if err != nil {
		return err
	}
	return out.Flush()
}

func protocolSide(k logs.Kind) int {
	if k == logs.SendProtocol {
		return 1
	}
	return 0
}

func write[R any](list []R, one func(*R) error) error {
	for i := range list {
		if err := one(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

func appendEither(b []byte, r interface {
	Append([]byte) []byte
	AppendJSON([]byte) []byte
}, json bool) []byte {
	if json {
		return r.AppendJSON(b)
	}
	return r.Append(b)
}

// sort puts all lines in order of time; nothing may be added any more.
func (b *Bundle) sort() {
	if b.sorted {
		return
	}
	b.sorted = true
	for _, side := range b.lines {
		slices.SortStableFunc(side, func(a, b logs.Line) int {
			return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Session, b.Session), cmp.Compare(a.Sequence, b.Sequence))
		})
	}
	oldestFirst(b.tracking, func(t *logs.Tracking) time.Time { return t.Time })
	oldestFirst(b.connectivity, func(l *logs.ConnectivityLine) time.Time { return l.Time })
	oldestFirst(b.agent, func(l *logs.AgentLine) time.Time { return l.Time })
}

// oldestFirst turns records round that were found newest first.
func oldestFirst[R any](list []R, at func(*R) time.Time) {
	slices.Reverse(list)
	slices.SortStableFunc(list, func(a, b R) int { return at(&a).Compare(at(&b)) })
}

// First returns the time of the first line of a log.
func (b *Bundle) First(k logs.Kind) time.Time {
	b.sort()
	t, _ := b.first(k)
	return t
}

func (b *Bundle) first(k logs.Kind) (time.Time, bool) {
	switch {
	case b.Lines(k) == 0:
		return time.Time{}, false
	case k == logs.MessageTracking:
		return b.tracking[0].Time, true
	case k == logs.Connectivity:
		return b.connectivity[0].Time, true
	case k == logs.Agent:
		return b.agent[0].Time, true
	}
	return b.lines[protocolSide(k)][0].Time, true
}
