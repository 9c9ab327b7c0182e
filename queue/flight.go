package queue

import (
	"errors"
	"sync"
	"time"

	"postern/internal/eventid"
	"postern/internal/message"
	"postern/queue/spool"
)

// flight is a message in hand: being delivered, reported on, or with updates
// that could not be stored. All who work on one message at a time share one
// flight, so that they see each other's outcomes at once.
type flight struct {
	id   message.ID
	refs int // guarded by Queue.mu

	// mu guards what follows, but envelope may be read without it once loaded.
	mu       sync.Mutex
	loaded   bool
	envelope *message.Envelope
	state    *message.State
	size     int64
	unsaved  []*message.Update
	// reporting says that a clerk makes a notification about the message.
	reporting bool
	// begun has the queues whose delivery is under way, with when it began.
	begun []begun
	// by says who gave the latest order about the message, orders counts those
	// after which it must be routed anew.
	by     string
	orders int
	// doomed are recipients who are removed by whoever has them in hand, with
	// whether the sender is not to be told. As long as it has any the flight is
	// held.
	doomed map[int]bool
}

// begun is a delivery under way.
type begun struct {
	to *destination
	at time.Time
}

// acquire returns the flight of a message, loaded. The caller releases it
// unless there was an error.
func (q *Queue) acquire(id message.ID) (*flight, error) {
	q.mu.Lock()
	f := q.flights[id]
	if f == nil {
		f = &flight{id: id}
		q.flights[id] = f
	}
	f.refs++
	q.mu.Unlock()

	f.mu.Lock()
	defer f.mu.Unlock()
	if f.loaded {
		return f, nil
	}
	e, err := q.store.Load(id)
	if err != nil {
		q.release(f)
		return nil, err
	}
	f.fill(&e)
	return f, nil
}

func (f *flight) fill(e *spool.Entry) {
	f.envelope, f.state, f.size, f.loaded = e.Envelope, e.State, e.Size, true
	if f.state == nil {
		f.state = message.NewState(len(f.envelope.Recipients))
	}
}

func (q *Queue) release(f *flight) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if f.refs--; f.refs == 0 {
		delete(q.flights, f.id)
	}
}

// record applies an update to what is known of the message, marks it Done when
// nothing is left to do, and hands it to the store. When the store does not take
// it, it is kept and the flight with it, and a clerk tries again. Called with
// f.mu held.
func (q *Queue) record(f *flight, u *message.Update) {
	f.state.Apply(u)
	if len(f.state.Pending()) == 0 && !owes(f.envelope, f.state) {
		if !f.state.Done {
			q.counters.messages.Add(-1)
		}
		u.Done, f.state.Done = true, true
	}
	if len(f.unsaved) == 0 {
		err := q.store.Update(f.id, u)
		if err == nil {
			return
		}
		if errors.Is(err, spool.ErrNotFound) {
			q.log.Error("an outcome was dropped: its message is not in the spool", eventid.OutcomeDropped.Attr(), "id", f.id, "error", err)
			return
		}
		q.log.Error("an outcome could not be stored and is kept in memory; it will be tried again", eventid.OutcomeUnstored.Attr(), "id", f.id, "error", err)
		q.counters.saveFailures.Add(1)
	}
	f.unsaved = append(f.unsaved, u)
	if len(f.unsaved) == 1 {
		q.mu.Lock()
		f.refs++
		q.unsaved++
		q.addChore(chore{due: q.now() + int64(storageRetry), kind: choreSave, id: f.id, flight: f})
		q.mu.Unlock()
	}
}

// save tries to store the updates of a flight that could not be stored.
func (q *Queue) save(f *flight) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.unsaved) > 0 {
		err := q.store.Update(f.id, f.unsaved[0])
		if err != nil && !errors.Is(err, spool.ErrNotFound) {
			q.counters.saveFailures.Add(1)
			return false
		}
		f.unsaved = f.unsaved[1:]
	}
	f.unsaved = nil
	return true
}

// saved ends the hold that unsaved updates have on a flight.
func (q *Queue) saved(f *flight) {
	q.mu.Lock()
	q.unsaved--
	q.startWorkers()
	q.mu.Unlock()
	q.release(f)
}

// saveLast makes a last try when everything else has ended.
func (q *Queue) saveLast() {
	q.mu.Lock()
	var left []*flight
	for _, f := range q.flights {
		left = append(left, f)
	}
	q.mu.Unlock()
	lost := 0
	for _, f := range left {
		if !q.save(f) {
			lost++
		}
	}
	if lost > 0 {
		q.log.Error("outcomes could not be stored before the end; these messages may be delivered twice", eventid.OutcomesLost.Attr(), "messages", lost)
	}
}

// mine lists the pending recipients that belong to the message's item in d.
// Called with f.mu held.
func (q *Queue) mine(f *flight, d *destination) []int { return q.standing(f.id, f.state, d) }

// standing lists the pending recipients of a message in some queue that stand
// in d.
func (q *Queue) standing(id message.ID, st *message.State, d *destination) []int {
	q.mu.Lock()
	defer q.mu.Unlock()
	split := q.splits[id]
	var list []int
	for i := range st.Recipients {
		if !st.Recipients[i].Status.Final() && (split == nil || split[i] == d) {
			list = append(list, i)
		}
	}
	return list
}
