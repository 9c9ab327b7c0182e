package receive

import (
	"sync"
	"time"
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
