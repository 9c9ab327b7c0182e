package queue

import (
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"os"
	"slices"
	"sync"
	"time"

	"postern/internal/eventid"
	"postern/internal/message"
	"postern/queue/spool"
)

// What is in hand when the process ends uncleanly - killed, out of memory, by a
// fatal error - may be what ended it. A file counts the unclean ends in a row;
// an end counts when it comes within quietLife of the start and before Stop.
// After one of them the queue keeps a table in that file of what is in hand; if
// that life ends uncleanly too, those found in the table are suspects. They go
// one at a time and before all others, and one that was alone in hand at
// aloneThreshold ends in a row is parked. So it takes four unclean ends in a row
// to park a message. The file is written without sync: it has to survive the
// process, not the machine.
const (
	lifeName       = "in-hand"
	quietLife      = 10 * time.Minute
	aloneThreshold = 2
	aloneTime      = time.Minute // how long the others wait for one suspect
	maxSuspects    = 1000

	lifeMagic = "PSTNHAND"
	slotSize  = 16
)

// A slot of the file is an id, a count and a checksum. The first one is the
// magic and the number of unclean ends.
func encodeSlot(id uint64, n uint32) []byte {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, slotSize), id)
	b = binary.LittleEndian.AppendUint32(b, n)
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func decodeSlot(b []byte) (id uint64, n uint32, ok bool) {
	ok = binary.LittleEndian.Uint32(b[12:]) == crc32.ChecksumIEEE(b[:12])
	return binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:]), ok
}

// suspect is a message that was in hand at an unclean end, and how many ends in
// a row it was so alone.
type suspect struct {
	id    message.ID
	alone uint32
}

// decodeLife reads the file: how many unclean ends came in a row, the last one
// included, and what was in hand at it.
func decodeLife(b []byte) (ends uint32, list []suspect) {
	if len(b) < slotSize {
		return 0, nil
	}
	magic, ends, ok := decodeSlot(b)
	if !ok || magic != binary.LittleEndian.Uint64([]byte(lifeMagic)) {
		return 0, nil
	}
	seen := make(map[message.ID]int)
	slots := 0
	for b = b[slotSize:]; len(b) >= slotSize; b = b[slotSize:] {
		id, n, ok := decodeSlot(b)
		if !ok || id == 0 {
			continue
		}
		slots++
		at, twice := seen[message.ID(id)]
		if !twice {
			at = len(list)
			seen[message.ID(id)] = at
			list = append(list, suspect{id: message.ID(id)})
		}
		list[at].alone = max(list[at].alone, n)
	}
	for i := range list { // a message may be in hand for two next hops
		if len(list) == 1 {
			list[i].alone++
		} else {
			list[i].alone = 0
		}
	}
	return ends, list
}

// table notes what is in hand while the gateway is cautious. A nil table notes
// nothing, at the cost of one comparison.
type table struct {
	mu    sync.Mutex
	file  spool.File // nil when it is no longer kept
	alone map[message.ID]uint32
	free  []int64
	end   int64
}

// hold notes that a message is in hand, until drop is given what it returns.
func (t *table) hold(id message.ID) (slot int64) {
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file == nil {
		return 0
	}
	if n := len(t.free); n > 0 {
		slot, t.free = t.free[n-1], t.free[:n-1]
	} else {
		t.end += slotSize
		slot = t.end
	}
	// Failure is no reason to hold up mail: the message goes unnoticed.
	_, _ = t.file.WriteAt(encodeSlot(uint64(id), t.alone[id]), slot)
	return slot
}

func (t *table) drop(slot int64) {
	if slot == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file != nil {
		_, _ = t.file.WriteAt(make([]byte, slotSize), slot)
		t.free = append(t.free, slot)
	}
}

// close notes that the life that comes to its end, or has lasted, was a good
// one.
func (t *table) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file == nil {
		return
	}
	_, _ = t.file.WriteAt(encodeSlot(binary.LittleEndian.Uint64([]byte(lifeMagic)), 0), 0)
	_ = t.file.Close()
	t.file = nil
}

// beginLife reads what the last life left behind, and begins another. It
// returns the suspects, those first who were alone, and the older before the
// younger: they have seen more ends.
func (q *Queue) beginLife() []suspect {
	if !q.files.kept() {
		return nil
	}
	file, err := q.files.fs.OpenFile(q.files.path(lifeName), os.O_RDWR|os.O_CREATE)
	if err != nil {
		q.log.Warn("what is in hand can't be noted", eventid.InHandNotNoted.Attr(), "file", q.files.path(lifeName), "error", err)
		return nil
	}
	b, err := contentOf(file)
	if err != nil {
		q.log.Warn("what was in hand at the last end can't be read", eventid.InHandUnreadable.Attr(), "file", q.files.path(lifeName), "error", err)
	}
	ends, list := decodeLife(b)
	clean := make([]byte, max(len(b)/slotSize*slotSize, slotSize))
	copy(clean, encodeSlot(binary.LittleEndian.Uint64([]byte(lifeMagic)), ends+1))
	if _, err := file.WriteAt(clean, 0); err != nil {
		q.log.Warn("what is in hand can't be noted", eventid.InHandNotNoted.Attr(), "file", q.files.path(lifeName), "error", err)
	}
	q.life = &table{file: file, alone: make(map[message.ID]uint32)}
	if ends == 0 {
		return nil
	}
	q.suspects = q.life
	q.log.Warn("the gateway did not end in an orderly way; what is in hand is noted until it has run for a while", eventid.UncleanEnd.Attr(),
		"unclean_ends_in_a_row", ends, "for", quietLife, "suspects", len(list))
	slices.SortFunc(list, func(a, b suspect) int {
		return cmp.Or(cmp.Compare(b.alone, a.alone), cmp.Compare(a.id, b.id))
	})
	list = list[:min(len(list), maxSuspects)]
	for _, s := range list {
		q.suspects.alone[s.id] = s.alone
	}
	return list
}

// convict parks the suspects that were alone in hand too often. It returns the
// others.
func (q *Queue) convict(list []suspect) (left []suspect) {
	for _, s := range list {
		e, err := q.store.Load(s.id)
		if err != nil || e.State.Done {
			continue // it was delivered, or is beyond us
		}
		if s.alone < aloneThreshold {
			left = append(left, s)
			continue
		}
		standing := e.State.Standing
		standing.Poison = true
		u := &message.Update{At: q.wall(), Standing: &standing}
		if err := q.store.Update(s.id, u); err != nil {
			q.log.Error("a message that was alone in hand when the gateway ended could not be parked", eventid.SuspectNotParked.Attr(), "id", s.id, "error", err)
			continue
		}
		q.log.Error("a message was alone in hand at several unclean ends of the gateway in a row, and is parked in the poison queue; resume it to try again", eventid.SuspectParked.Attr(), "id", s.id, "ends", s.alone)
		q.onEvent(Event{Kind: Poisoned, At: u.At, ID: s.id, Envelope: e.Envelope, Standing: standing})
	}
	return left
}

// watchLife ends the caution when the life has lasted.
func (q *Queue) watchLife() {
	defer q.done.Done()
	timer := time.NewTimer(quietLife)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-q.stop:
	}
	q.life.close()
}

// tryAlone tries suspects one at a time while everything else waits.
func (q *Queue) tryAlone(list []suspect) {
	defer q.done.Done()
	defer q.setAlone(false)
	begun := time.Now()
	for _, s := range list {
		if time.Since(begun) > quietLife || !q.becomeAlone() {
			return
		}
		over := time.AfterFunc(aloneTime, func() { q.setAlone(false) })
		q.tryOne(s.id)
		over.Stop()
	}
}

// setAlone keeps workers and clerks from beginning anything, or lets them.
func (q *Queue) setAlone(on bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.alone = on; !on {
		q.startClerks(q.now())
		q.startWorkers()
	}
}

// becomeAlone bars everybody else and waits until nothing is in hand, for a
// while. False means that the queue is being stopped.
func (q *Queue) becomeAlone() bool {
	q.setAlone(true)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < aloneTime; {
		q.mu.Lock()
		phase, quiet := q.phase, q.busy+q.away == 0 && q.clerks == 0
		q.mu.Unlock()
		if phase != running {
			return false
		}
		if quiet {
			break
		}
		select {
		case <-tick.C:
		case <-q.stop:
		}
	}
	return true
}

// tryOne delivers a message as far as it is due, and makes the notification
// that is owed.
func (q *Queue) tryOne(id message.ID) {
	for _, p := range q.pull([]message.ID{id}, nil)[id] {
		q.mu.Lock()
		if p.d.special != "" || p.d.suspended || p.it.due > q.now() || q.phase != running {
			q.mu.Unlock()
			q.unpin(p.d, &p.it)
			continue
		}
		p.d.pins--
		p.d.begin(q.now())
		p.d.active = append(p.d.active, p.it)
		q.busy++
		epoch := p.d.epoch
		q.settle(p.d, q.now())
		q.mu.Unlock()
		q.attempt(p.d, p.it, epoch)
	}
	c := chore{kind: choreNotify, id: id}
	if f, err := q.acquire(id); err == nil {
		f.mu.Lock()
		owing := owes(f.envelope, f.state)
		f.mu.Unlock()
		q.release(f)
		if owing {
			q.do(&c)
		}
	}
}
