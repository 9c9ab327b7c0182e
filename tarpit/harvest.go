package tarpit

import (
	"net/netip"
	"time"

	"postern/internal/bucket"
)

// What is remembered of refused recipients.
const (
	// MaxSources is from how many sources at most.
	MaxSources = 10000
	// Forget is how long it takes until one refused recipient is forgotten.
	Forget = time.Minute
	// maxRefused is how many are remembered of a source: as many as lengthen
	// the delay.
	maxRefused = int(MaxGrown / Step * StepRecipients)
)

// Harvest remembers how many recipients from each source were refused of late,
// which shows who tries out addresses. All methods may be called concurrently.
type Harvest struct {
	refused *bucket.Table[netip.Prefix]
}

// NewHarvest returns an empty memory.
func NewHarvest() *Harvest {
	return &Harvest{refused: bucket.New[netip.Prefix](MaxSources)}
}

// Add notes a refused recipient.
func (h *Harvest) Add(source netip.Prefix, now time.Time) {
	h.refused.Pour(source, now, Forget, time.Duration(maxRefused)*Forget)
}

// Refused returns how many recipients were refused and are not forgotten yet.
func (h *Harvest) Refused(source netip.Prefix, now time.Time) int {
	return int((h.refused.Level(source, now) + Forget - 1) / Forget)
}
