package receive

import (
	"strings"
	"sync"
	"time"
	"unicode"
)

// troubleInterval is how often the event log is told of one kind of trouble
// while it lasts. Each refusal stands in the protocol log and the metrics.
const troubleInterval = time.Minute

// trouble tells the event log of one kind of trouble: at once when it begins,
// then at intervals with the number of messages or connections that were
// refused meanwhile. A full disk is an ordinary day and must not fill what is
// left of it with logs. The zero value works.
type trouble struct {
	mu     sync.Mutex
	told   time.Time
	untold int
}

// tell reports one refusal, with the error that it is for if there is one, to a
// method of a logger.
func (t *trouble) tell(log func(string, ...any), what string, err error, attrs ...any) {
	t.mu.Lock()
	now := time.Now()
	if !t.told.IsZero() && now.Sub(t.told) < troubleInterval {
		t.untold++
		t.mu.Unlock()
		return
	}
	untold := t.untold
	t.told, t.untold = now, 0
	t.mu.Unlock()
	if err != nil {
		attrs = append(attrs, "error", err)
	}
	if untold > 0 {
		attrs = append(attrs, "refused_meanwhile", untold)
	}
	log(what, attrs...)
}

// troubles is trouble of several kinds, none of which hides another. The zero
// value works.
type troubles struct {
	mu    sync.Mutex
	kinds map[string]*trouble
}

// maxKinds bounds the kinds that are told apart; those beyond are one.
const maxKinds = 64

// of returns the trouble of one kind.
func (t *troubles) of(kind string) *trouble {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kinds == nil {
		t.kinds = make(map[string]*trouble)
	}
	if t.kinds[kind] == nil && len(t.kinds) >= maxKinds {
		kind = ""
	}
	if t.kinds[kind] == nil {
		t.kinds[kind] = new(trouble)
	}
	return t.kinds[kind]
}

// kind is what a reason has in common with others of its kind: its words,
// without the numbers and quotations that a peer chooses.
func kind(reason string) string {
	var words []string
	for _, w := range strings.Fields(reason) {
		if !strings.ContainsFunc(w, func(r rune) bool { return !unicode.IsLetter(r) && !strings.ContainsRune(",.:;'_", r) }) {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}
