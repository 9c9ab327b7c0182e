package pickup

import (
	"context"
	"log/slog"
	"maps"
	"time"

	"postern/internal/eventid"
)

const (
	// toldAgain is after what time the event log is told again of trouble that
	// lasts.
	toldAgain = 15 * time.Minute
	// maxTold bounds the kinds of trouble that are told apart; the files in a
	// directory are part of that.
	maxTold = 1000
)

// trouble tells the event log of trouble once and not at every poll. It is used
// by one goroutine.
type trouble struct {
	log  *slog.Logger
	told map[string]time.Time
}

// tell reports what went wrong with what, by its kind and name.
func (t *trouble) tell(level slog.Level, text string, id eventid.ID, name string, attrs ...any) {
	now := time.Now()
	key := text + "\x00" + name
	if at, ok := t.told[key]; ok && now.Sub(at) < toldAgain {
		return
	}
	if t.told == nil {
		t.told = make(map[string]time.Time)
	}
	if len(t.told) >= maxTold {
		maps.DeleteFunc(t.told, func(_ string, at time.Time) bool { return now.Sub(at) >= toldAgain })
	}
	if len(t.told) >= maxTold {
		return // so much trouble is told already
	}
	t.told[key] = now
	if name != "" {
		attrs = append([]any{"file", name}, attrs...)
	}
	t.log.Log(context.Background(), level, text, append([]any{id.Attr()}, attrs...)...)
}
