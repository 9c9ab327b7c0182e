package review

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/eventid"
	"postern/logs"
)

// ChangeKind says what sort of change something is.
type ChangeKind string

// The kinds of changes.
const (
	ChangeStart       ChangeKind = "start"       // starts and stops of the gateway
	ChangeConfig      ChangeKind = "config"      // reloads, and the keys that they changed
	ChangeOrder       ChangeKind = "order"       // what was ordered, and by whom
	ChangeCertificate ChangeKind = "certificate" // certificates that came, went, or expired
	ChangeRouting     ChangeKind = "routing"     // generations of the routing table
)

// ChangeKinds returns all kinds.
func ChangeKinds() []ChangeKind {
	return []ChangeKind{ChangeStart, ChangeConfig, ChangeOrder, ChangeCertificate, ChangeRouting}
}

// Change is something that was changed about the gateway: an event of the event
// log, or a snapshot of the routing table. It is the schema of `postern logs
// changes --output json`. Its text is escaped as in the logs.
type Change struct {
	Time  time.Time  `json:"time"`
	Kind  ChangeKind `json:"kind"`
	Level string     `json:"level,omitempty"`
	// Event is the event's number; 0 for a snapshot of the routing table.
	Event      int               `json:"event_id,omitempty"`
	Text       string            `json:"text"`
	Attributes map[string]string `json:"attributes,omitempty"`
	// Order has the keys of Attributes as they stand in the log.
	Order []string `json:"-"`
	// Generation is that of a routing table.
	Generation string `json:"generation,omitempty"`
}

// changeOf says whether an event is a change, and of which kind.
func changeOf(id eventid.ID) (ChangeKind, bool) {
	switch id {
	case eventid.QueueOrdered, eventid.MessageImported, eventid.LogLevelChanged, eventid.LogLevelReverted, eventid.MessageOrdered, eventid.MessageRemoved:
		return ChangeOrder, true
	case eventid.CertificateExpired, eventid.CertificateUnusable:
		return ChangeCertificate, true
	case eventid.ConfigurationFinding: // what was as it is before
		return "", false
	case eventid.UsersFileRead, eventid.UsersFileUnusable:
		return ChangeConfig, true
	}
	switch {
	case id >= 20000 && id <= eventid.NoBinding:
		return ChangeStart, true
	case id >= 20100 && id < 20200:
		return ChangeConfig, true
	case id >= 25000 && id < eventid.RoutingDecision:
		return ChangeRouting, true
	case id >= 26000 && id < 27000:
		return ChangeCertificate, true
	}
	return "", false
}

// Events returns the lines of the event log that q chooses, newest first. It
// knows the times, Text and Names.
func (f *Files) Events(ctx context.Context, q *Query, p *Progress) iter.Seq2[*logs.EventLine, error] {
	return records(ctx, f, q, p, reading[logs.EventLine]{
		kind: logs.EventLog, parse: (*logs.Header).Event, searched: hitText | hitName,
		time: func(l *logs.EventLine) time.Time { return l.Time },
		match: func(q *Query, l *logs.EventLine) bool {
			return matchNames(q, attributeValues(l.Attributes)...) && matchText(q, l.Text, l.Area, customText(l.Attributes))
		},
	})
}

func attributeValues(p logs.Pairs) []string {
	list := make([]string, len(p))
	for i := range p {
		list[i] = p[i].Value
	}
	return list
}

// Changes returns the newest changes in the time that q asks for, the oldest of
// them first, of some kinds, or all when there are none; more says that there
// were older ones than limit.
func (f *Files) Changes(ctx context.Context, q *Query, kinds []ChangeKind, limit int, p *Progress) (list []Change, more bool, err error) {
	wants := func(k ChangeKind) bool { return len(kinds) == 0 || slices.Contains(kinds, k) }
	var missing error
	for l, err := range f.Events(ctx, &Query{Since: q.Since, Until: q.Until, Text: q.Text}, p) {
		if errors.Is(err, ErrNoLogs) {
			missing = err
			break
		}
		if err != nil {
			return list, more, err
		}
		kind, ok := changeOf(eventid.ID(l.ID))
		if !ok || !wants(kind) {
			continue
		}
		if len(list) == limit {
			more = true
			break
		}
		list = append(list, eventChange(l, kind))
	}
	if wants(ChangeRouting) && q.Text == "" {
		tables := f.snapshots(q, p)
		if len(tables) > limit {
			tables, more = tables[len(tables)-limit:], true
		}
		list = append(list, tables...)
	}
	if len(list) == 0 && missing != nil {
		return nil, false, missing
	}
	slices.SortStableFunc(list, func(a, b Change) int { return b.Time.Compare(a.Time) })
	if len(list) > limit {
		list, more = list[:limit], true
	}
	slices.Reverse(list)
	return list, more, nil
}

func eventChange(l *logs.EventLine, kind ChangeKind) Change {
	c := Change{Time: l.Time, Kind: kind, Level: l.Level, Event: l.ID, Text: logs.Escape(l.Text)}
	for _, p := range l.Attributes {
		key := logs.Escape(p.Key)
		if c.Attributes == nil {
			c.Attributes = make(map[string]string)
		}
		if _, ok := c.Attributes[key]; !ok {
			c.Order = append(c.Order, key)
		}
		c.Attributes[key] = logs.Escape(p.Value)
	}
	c.Generation = c.Attributes["generation"]
	return c
}

// maxSnapshot is how large a snapshot of the routing table may be, in octets.
const maxSnapshot = 16 << 20

// snapshots returns the routing tables that were put in force, oldest first.
func (f *Files) snapshots(q *Query, p *Progress) []Change {
	var list []Change
	for _, pl := range f.places {
		if pl.flat && pl.kind != logs.RoutingTable {
			continue
		}
		pl.eachSnapshot(pl.path, 0, func(path string, at time.Time) {
			if !q.within(at, at.Add(time.Second)) {
				return
			}
			c, err := readSnapshot(path)
			if err != nil {
				p.trouble("%s: %v", path, err)
				return
			}
			if c.Time.IsZero() {
				c.Time = at
			}
			if q.within(c.Time, c.Time) {
				list = append(list, c)
			}
		})
	}
	slices.SortStableFunc(list, func(a, b Change) int { return a.Time.Compare(b.Time) })
	return list
}

// eachSnapshot calls yield for each snapshot of the routing table at a place.
func (pl place) eachSnapshot(dir string, depth int, yield func(path string, at time.Time)) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // where there is none, there is nothing to tell
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			if !pl.flat && depth < maxDepth {
				pl.eachSnapshot(path, depth+1, yield)
			}
			continue
		}
		if at, ok := snapshotTime(e.Name()); ok && e.Type().IsRegular() {
			yield(path, at)
		}
	}
}

// snapshotTime reads RoutingConfig#n@yyyymmddThhmmssZ.json.
func snapshotTime(name string) (time.Time, bool) {
	rest, ok := strings.CutPrefix(name, logs.RoutingTable.Layout().Prefix+"#")
	rest, isJSON := strings.CutSuffix(rest, ".json")
	n, stamp, parted := strings.Cut(rest, "@")
	if _, err := strconv.Atoi(n); err != nil || !ok || !isJSON || !parted {
		return time.Time{}, false
	}
	at, err := time.Parse("20060102T150405Z", stamp)
	return at, err == nil
}

// readSnapshot reads what a snapshot says of itself.
func readSnapshot(path string) (Change, error) {
	file, err := os.Open(path)
	if err != nil {
		return Change{}, err
	}
	defer file.Close()
	var s struct {
		Time            time.Time
		Reason          string
		Generation      string
		AcceptedDomains []json.RawMessage `json:"accepted_domains"`
		SendConnectors  []json.RawMessage `json:"send_connectors"`
	}
	text, err := io.ReadAll(io.LimitReader(file, maxSnapshot+1))
	switch {
	case err != nil:
		return Change{}, err
	case len(text) > maxSnapshot:
		return Change{}, fs.ErrInvalid
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return Change{}, err
	}
	c := Change{Time: s.Time, Kind: ChangeRouting, Text: "routing table in force", Generation: logs.Escape(s.Generation), Attributes: map[string]string{
		"reason": logs.Escape(s.Reason), "accepted_domains": strconv.Itoa(len(s.AcceptedDomains)), "send_connectors": strconv.Itoa(len(s.SendConnectors)),
		"file": logs.Escape(filepath.Base(path)),
	}, Order: []string{"reason", "accepted_domains", "send_connectors", "file"}}
	return c, nil
}
