package pickup

import (
	"fmt"
	"strings"
	"time"

	"postern/internal/message"
)

const (
	emlSuffix = ".eml"
	tmpSuffix = ".tmp"
	badSuffix = ".bad"
	// maxStem bounds what a new name takes over of an old one, in octets, so
	// that it fits the 255 of most file systems.
	maxStem = 200
)

// isMessage reports whether a file of that name is to be taken.
func isMessage(name string) bool {
	return len(name) > len(emlSuffix) && strings.EqualFold(name[len(name)-len(emlSuffix):], emlSuffix)
}

// stem is what the other names of a file begin with.
func stem(name string) string {
	return message.Shorten(name[:len(name)-len(emlSuffix)], maxStem)
}

// inHand is the name of a file while it is in hand.
func inHand(stem string, id message.ID) string { return stem + "." + id.String() + tmpSuffix }

// parseInHand takes such a name apart; false when it is none.
func parseInHand(name string) (stem string, id message.ID, ok bool) {
	rest, ok := strings.CutSuffix(name, tmpSuffix)
	if !ok {
		return "", 0, false
	}
	i := strings.LastIndexByte(rest, '.')
	if i <= 0 {
		return "", 0, false
	}
	id, err := message.ParseID(rest[i+1:])
	if err != nil || id == 0 || id.String() != rest[i+1:] {
		return "", 0, false
	}
	return rest[:i], id, true
}

// stamped is the name for when stem with the suffix is taken.
func stamped(stem, suffix string, at time.Time, n int) string {
	s := stem + "." + at.UTC().Format("20060102T150405.000000000")
	if n > 0 {
		s += fmt.Sprintf("-%d", n)
	}
	return s + suffix
}
