package backpressure

// Level is how short a resource is.
type Level uint8

// The levels.
const (
	Normal Level = iota
	Medium
	High
)

// String returns "normal", "medium" or "high".
func (l Level) String() string {
	switch l {
	case Medium:
		return "medium"
	case High:
		return "high"
	}
	return "normal"
}

// MarshalText writes a level as its word.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what MarshalText writes; any other word is Normal.
func (l *Level) UnmarshalText(b []byte) error {
	switch string(b) {
	case "medium":
		*l = Medium
	case "high":
		*l = High
	default:
		*l = Normal
	}
	return nil
}

// Thresholds are the values at which a level changes; the higher a value, the
// shorter the resource. The level rises at Medium and High or above, and falls
// below HighToMedium and MediumToNormal (reference 5.1).
type Thresholds struct {
	Medium, High, HighToMedium, MediumToNormal int64
}

// valid reports whether every level can be reached and left again: of values
// from 0 to limit, which is 0 for no limit.
func (t Thresholds) valid(limit int64) bool {
	return 0 < t.MediumToNormal && t.MediumToNormal <= t.Medium && t.Medium < t.High &&
		t.MediumToNormal <= t.HighToMedium && t.HighToMedium <= t.High && (limit <= 0 || t.High <= limit)
}

// machine is the level of one resource. The zero value is at Normal.
type machine struct {
	level Level
	// mediums and highs count the latest values in a row that were at least
	// Medium and High.
	mediums, highs int
}

// step takes the next value. depth is how many values in a row must be beyond a
// threshold for the level to rise; below 1 it means 1.
func (m machine) step(v int64, t Thresholds, depth int) machine {
	m.mediums, m.highs = run(m.mediums, v >= t.Medium), run(m.highs, v >= t.High)
	if m.level == High && v < t.HighToMedium {
		m.level = Medium
	}
	if m.level == Medium && v < t.MediumToNormal {
		m.level = Normal
	}
	depth = max(depth, 1)
	switch {
	case m.highs >= depth:
		m.level = High
	case m.mediums >= depth:
		m.level = max(m.level, Medium)
	}
	return m
}

// maxRun bounds the counts; no history is that deep.
const maxRun = 1 << 30

func run(n int, goesOn bool) int {
	if !goesOn {
		return 0
	}
	return min(n+1, maxRun)
}
