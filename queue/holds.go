package queue

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strconv"
	"strings"

	"postern/internal/eventid"
)

// holdsName is the file with the names of the suspended queues: a line with the
// format's version and a checksum of the rest, then a quoted name a line.
const (
	holdsName  = "suspended-queues"
	holdsMagic = "postern-suspended-queues 1 "
)

var errHolds = errors.New("it is damaged")

func encodeHolds(names map[string]bool) []byte {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(names)) {
		b.WriteString(strconv.Quote(name) + "\n")
	}
	return fmt.Appendf(nil, "%s%08x\n%s", holdsMagic, crc32.ChecksumIEEE([]byte(b.String())), b.String())
}

func decodeHolds(b []byte) (map[string]bool, error) {
	text, ok := strings.CutPrefix(string(b), holdsMagic)
	if !ok {
		return nil, fmt.Errorf("%w: it does not begin with %q", errHolds, holdsMagic)
	}
	sum, text, _ := strings.Cut(text, "\n")
	if n, err := strconv.ParseUint(sum, 16, 32); err != nil || uint32(n) != crc32.ChecksumIEEE([]byte(text)) {
		return nil, fmt.Errorf("%w: its checksum is wrong", errHolds)
	}
	names := make(map[string]bool)
	for line := range strings.Lines(text) {
		name, err := strconv.Unquote(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, fmt.Errorf("%w: %q is no quoted name", errHolds, line)
		}
		names[name] = true
	}
	return names, nil
}

// loadHolds reads which queues are suspended. If that can't be read, none is:
// mail that goes on its way as the configuration says is the lesser evil than a
// gateway that stands still, or does not start, for a file beside the mail. The
// file is kept aside.
func (q *Queue) loadHolds() {
	if !q.files.kept() {
		return
	}
	b, err := q.files.read(holdsName)
	var names map[string]bool
	if err == nil && b != nil {
		names, err = decodeHolds(b)
	}
	if err != nil {
		aside := holdsName + ".damaged"
		kept := q.files.fs.Rename(q.files.path(holdsName), q.files.path(aside))
		q.log.Error("the list of suspended queues can't be read: NO QUEUE IS SUSPENDED now; suspend again what has to be", eventid.SuspendedUnreadable.Attr(),
			"file", q.files.path(holdsName), "error", err, "kept_as", q.files.path(aside), "keeping", kept)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for name := range names {
		q.holds[name] = true
	}
	q.submission.suspended, q.unreachable.suspended = q.holds[SubmissionName], q.holds[UnreachableName]
	if len(names) > 0 {
		q.log.Warn("queues are suspended by an administrator", eventid.QueuesSuspended.Attr(), "queues", slices.Sorted(maps.Keys(names)))
	}
}

// keepHolds writes down which queues are suspended. Called with holding held.
func (q *Queue) keepHolds() error {
	if !q.files.kept() {
		return nil
	}
	q.mu.Lock()
	b := encodeHolds(q.holds)
	q.mu.Unlock()
	if err := q.files.replace(holdsName, b); err != nil {
		return fmt.Errorf("queue: done, but it holds only until the next start, since it can't be written to %s: %w", q.files.path(holdsName), err)
	}
	return nil
}

// SuspendQueue keeps a queue from delivering: what is in flight ends, new
// messages may enter, nothing leaves: its messages do not expire, though senders
// are told of the delay, and no reload routes them anew, not even when their Send
// connector is gone. It holds over restarts until ResumeQueue, also when the
// queue is empty meanwhile. A suspended Submission queue takes what is accepted
// and does not route it, a suspended Unreachable queue is not routed anew when
// the configuration changes (a start routes everything). The error is ErrNoQueue
// for a queue that does not exist or can't be suspended; when it could not be
// noted on disk the error says so, and the queue is suspended all the same.
func (q *Queue) SuspendQueue(name string) error {
	q.holding.Lock()
	defer q.holding.Unlock()
	q.mu.Lock()
	d := q.named(name)
	switch {
	case d == q.poison:
		q.mu.Unlock()
		return fmt.Errorf("%w: %s delivers nothing, and can't be suspended", ErrNoQueue, name)
	case d == nil && !q.holds[name]:
		q.mu.Unlock()
		return fmt.Errorf("%w: %q", ErrNoQueue, name)
	}
	q.holds[name] = true
	if d != nil {
		d.suspended = true
		d.resweep(q.now())
		q.settle(d, q.now())
	}
	q.mu.Unlock()
	return q.keepHolds()
}

// ResumeQueue ends what SuspendQueue began. What should have expired meanwhile
// is tried now, and expires if that is in vain; in a queue in Retry one of its
// messages is tried now for all of them. What waits is routed anew where the
// settings have changed meanwhile. The errors are those of SuspendQueue; a queue
// that is not suspended stays as it is.
func (q *Queue) ResumeQueue(name string) error {
	q.holding.Lock()
	defer q.holding.Unlock()
	q.mu.Lock()
	d := q.named(name)
	if d == q.poison {
		q.mu.Unlock()
		return fmt.Errorf("%w: %s is never resumed as a whole; resume its messages", ErrNoQueue, name)
	}
	if d == nil && !q.holds[name] {
		q.mu.Unlock()
		return fmt.Errorf("%w: %q", ErrNoQueue, name)
	}
	held := q.holds[name]
	delete(q.holds, name)
	if d != nil && d.suspended {
		q.letGo(d)
	}
	q.mu.Unlock()
	if !held {
		return nil
	}
	return q.keepHolds()
}

// allSuspended reports whether nothing leaves any of these queues.
func (q *Queue) allSuspended(list []*destination) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !slices.ContainsFunc(list, func(d *destination) bool { return !d.suspended })
}

// letGo resumes a queue. Called with mu held.
func (q *Queue) letGo(d *destination) {
	now := q.now()
	d.suspended = false
	overdue := false
	for i := range d.items {
		it := &d.items[i]
		if !q.schedule.expired(it, now) {
			continue
		}
		switch {
		case d.special == "":
			it.granted, it.due, overdue = true, now, true
		case d.unreachable:
			it.granted = it.due != int64(q.gen) // it may have a way by now
		}
	}
	if overdue {
		d.items.order()
		d.granted = true
		d.probe(now)
	}
	if d.special == "" && len(d.items) > 0 {
		q.walkLater(d, now) // to where it belongs by now
	}
	d.resweep(now)
	q.settle(d, now)
	switch d {
	case q.submission:
		q.addChore(chore{due: now, kind: choreSubmit})
	case q.unreachable:
		q.addChore(chore{due: now, kind: choreReroute})
	}
	q.startWorkers()
}

// forfeit ends the last chance of all items: that of the queue has failed.
func (d *destination) forfeit(now int64) {
	for i := range d.items {
		d.items[i].granted = false
	}
	d.granted = false
	d.resweep(now)
}

// resweep has the queue's deadlines looked at anew.
func (d *destination) resweep(now int64) { d.lastSweep, d.sweepAt = 0, now }

// RetryQueue makes all messages of a delivery queue due now. A queue in Retry is
// tried at once, with one message as always; when that gets through the others
// follow. With resubmit it routes all messages
// of a delivery queue or of the Unreachable queue anew, as Resubmit does. It
// passes over suspended messages. It returns how many messages that concerns.
// The errors are ErrNoQueue, and ErrBadOrder for a queue for which this makes no
// sense.
func (q *Queue) RetryQueue(name string, resubmit bool) (int, error) {
	q.mu.Lock()
	d := q.named(name)
	if d == nil {
		q.mu.Unlock()
		return 0, fmt.Errorf("%w: %q", ErrNoQueue, name)
	}
	switch {
	case d.parked:
		q.mu.Unlock()
		return 0, fmt.Errorf("%w: messages in %s are resumed, not tried again", ErrBadOrder, name)
	case resubmit:
		q.mu.Unlock()
		return q.resubmitQueue(name)
	case d.unreachable:
		q.mu.Unlock()
		return 0, fmt.Errorf("%w: messages in %s have no next hop; resubmit them", ErrBadOrder, name)
	case d.suspended:
		q.mu.Unlock()
		return 0, fmt.Errorf("%w: %s is suspended; resume it first", ErrBadOrder, name)
	}
	defer q.mu.Unlock()
	now, n := q.now(), 0
	for i := range d.items {
		if it := &d.items[i]; !it.suspended {
			n++
			it.due = min(it.due, now)
		}
	}
	d.items.order()
	d.probe(now)
	q.settle(d, now)
	q.startWorkers()
	return n, nil
}

func (q *Queue) resubmitQueue(name string) (n int, err error) {
	o := Order{Verb: Resubmit, Filter: Filter{Queue: name}}
	for {
		t, err := q.Carry(context.Background(), o)
		n += t.Changed + t.Pending
		if err != nil || t.Next == 0 {
			return n, err
		}
		o.After = t.Next
	}
}
