package pickup

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"postern/internal/eventid"
	"postern/internal/message"
)

const (
	// atRest is how long a file must have been left alone before it is taken.
	atRest = time.Second
	// ahead is how far the clock of a file may be in advance of ours before
	// nothing is concluded from it.
	ahead = time.Minute
)

// directory is the Pickup or the Replay directory. All but configure is for the
// goroutine that runs it.
type directory struct {
	replay   bool
	queue    acceptor
	files    files
	paused   func() bool
	log      *slog.Logger
	settings atomic.Pointer[Settings]
	kick     chan struct{}

	trouble trouble
	// path is the directory that is looked at; ready says that what an earlier
	// process left in hand there has been seen to.
	path  string
	ready bool
	// unsettled are files in hand that could not be given their last name; while
	// one lies in path nothing is taken from it. Beside it there is at most one
	// for each other path that a reload has named.
	unsettled []ending
	allowance float64
	filled    time.Time // when allowance was
}

// ending is what a file in hand comes to.
type ending struct {
	dir, name string
	stem      string
	// suffix is what stem gets; empty when the file goes.
	suffix string
}

func (d *directory) name() string {
	if d.replay {
		return "Replay"
	}
	return "Pickup"
}

func (d *directory) configure(s Settings) {
	d.settings.Store(&s)
	select {
	case d.kick <- struct{}{}:
	default:
	}
}

func (d *directory) wanted(s *Settings) string {
	if d.replay {
		return s.Pickup.ReplayDirectoryPath
	}
	return s.Pickup.PickupDirectoryPath
}

func (d *directory) run(ctx context.Context) {
	poll := time.NewTicker(PollInterval)
	defer poll.Stop()
	for {
		d.poll(ctx)
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		case <-d.kick:
		}
	}
}

// poll looks at the directory once.
func (d *directory) poll(ctx context.Context) {
	s := d.settings.Load()
	if path := d.wanted(s); path != d.path {
		d.path, d.ready = path, false
		if path != "" {
			d.log.Info("messages are taken from a directory", eventid.PickupWatches.Attr(), "path", path)
		}
	}
	d.refill(s.Pickup.PickupDirectoryMaxMessagesPerMinute)
	if ctx.Err() != nil || !d.settleAll() || d.path == "" {
		return
	}
	if !d.ready && !d.prepare() {
		return
	}
	err := d.files.list(d.path, func(name string) bool {
		if !isMessage(name) {
			return true
		}
		if d.allowance < 1 || ctx.Err() != nil || d.paused() {
			return false
		}
		return d.take(ctx, s, name)
	})
	if err != nil {
		d.trouble.tell(slog.LevelError, "the directory can't be read; make it readable and writable for the gateway's user", eventid.PickupUnreadable, "", "path", d.path, "error", err)
	}
}

// refill adds what may be taken since the last time: so many in a minute, and no
// more at a time than in two intervals.
func (d *directory) refill(perMinute int64) {
	now := time.Now()
	share := float64(perMinute) * PollInterval.Minutes()
	if d.filled.IsZero() {
		d.allowance = max(share, 1)
	} else {
		d.allowance += float64(perMinute) * max(now.Sub(d.filled), 0).Minutes()
	}
	d.allowance = min(d.allowance, max(2*share, 1))
	d.filled = now
}

// prepare makes the directory if there is none, and gives files that were left
// in hand what they come to.
func (d *directory) prepare() bool {
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		d.trouble.tell(slog.LevelError, "the directory can't be made; make it, writable for the gateway's user", eventid.PickupNoDirectory, "", "path", d.path, "error", err)
		return false
	}
	var left []string
	err := d.files.list(d.path, func(name string) bool {
		if _, _, ok := parseInHand(name); ok {
			left = append(left, name)
		}
		return len(left) < maxInHand
	})
	if err != nil {
		d.trouble.tell(slog.LevelError, "the directory can't be read; make it readable and writable for the gateway's user", eventid.PickupUnreadable, "", "path", d.path, "error", err)
		return false
	}
	for _, name := range left {
		stem, id, _ := parseInHand(name)
		if d.isUnsettled(name) {
			continue
		}
		stored, err := d.queue.stored(id)
		if err != nil {
			d.trouble.tell(slog.LevelError, "it is not known whether a file that was left in hand is in the queue; it stays", eventid.PickupUnsure, name, "error", err)
			return false
		}
		e := ending{d.path, name, stem, emlSuffix}
		if stored {
			e.suffix = ""
		}
		d.log.Info("a file was left in hand", eventid.PickupLeftInHand.Attr(), "file", name, "id", id.String(), "queued", stored)
		if !d.settle(e) {
			return false
		}
	}
	d.ready = len(left) < maxInHand
	return d.ready
}

func (d *directory) isUnsettled(name string) bool {
	for _, e := range d.unsettled {
		if e.dir == d.path && e.name == name {
			return true
		}
	}
	return false
}

// settleAll tries again what could not be settled; false when something in the
// directory still can't.
func (d *directory) settleAll() bool {
	list := d.unsettled
	d.unsettled = nil
	clean := true
	for _, e := range list {
		if !d.settle(e) && e.dir == d.path {
			clean = false
		}
	}
	return clean
}

// settle gives a file in hand its last name, or removes it, durably. What fails
// is kept for later.
func (d *directory) settle(e ending) bool {
	err := d.give(e)
	if err == nil {
		return true
	}
	d.unsettled = append(d.unsettled, e)
	d.trouble.tell(slog.LevelError, "a file in hand can't be renamed or removed; nothing more is taken from the directory until it can", eventid.PickupStuck, e.name, "path", e.dir, "error", err)
	return false
}

func (d *directory) give(e ending) error {
	from := filepath.Join(e.dir, e.name)
	if e.suffix == "" {
		if err := d.files.remove(from); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return d.files.sync(e.dir)
	}
	name := e.stem + e.suffix
	for n := 0; ; n++ {
		err := d.files.rename(from, filepath.Join(e.dir, name))
		switch {
		case err == nil:
			return d.files.sync(e.dir)
		case errors.Is(err, fs.ErrExist) && n < 100:
			name = stamped(e.stem, e.suffix, time.Now(), n)
		case errors.Is(err, fs.ErrNotExist): // somebody took it away, or an earlier try got that far
			return d.files.sync(e.dir)
		default:
			return err
		}
	}
}

// take takes one file. It reports whether the next one may be looked at.
func (d *directory) take(ctx context.Context, s *Settings, name string) bool {
	f, info := d.openAtRest(name)
	if f == nil {
		return true
	}
	defer f.Close()
	draft, err := d.queue.create()
	if err != nil {
		d.storage(err)
		return false
	}
	h := hand{d: d, s: s, file: f, found: info, draft: draft, name: name, tmp: inHand(stem(name), draft.ID())}
	d.allowance--
	took, goOn := h.grab()
	if !took {
		draft.Abort()
		return goOn
	}
	return h.deliver(ctx)
}

// openAtRest opens a file if it is one to take; nil when it is not, or not yet.
func (d *directory) openAtRest(name string) (*os.File, fs.FileInfo) {
	path := filepath.Join(d.path, name)
	info, err := d.files.stat(path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			d.trouble.tell(slog.LevelWarn, "a file can't be looked at; it is tried again", eventid.PickupFileNotLooked, name, "error", err)
		}
		return nil, nil
	}
	if !info.Mode().IsRegular() {
		d.trouble.tell(slog.LevelWarn, "not a regular file; it is left alone", eventid.PickupNotRegular, name, "mode", info.Mode().String())
		return nil, nil
	}
	if age := time.Since(info.ModTime()); age < atRest && age > -ahead {
		return nil, nil // it may still be written
	}
	f, err := d.files.open(path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			d.trouble.tell(slog.LevelWarn, "a file can't be opened; it is tried again", eventid.PickupFileNotOpened, name, "error", err)
		}
		return nil, nil
	}
	if now, err := f.Stat(); err != nil || !now.Mode().IsRegular() || !os.SameFile(info, now) {
		f.Close() // another has come in its place
		return nil, nil
	}
	return f, info
}

// storage reports that the queue takes nothing at the moment.
func (d *directory) storage(err error) {
	d.trouble.tell(slog.LevelError, "files wait: the queue can't store a message", eventid.PickupStorage, "", "error", err)
}

// refusable reports whether there is somebody to tell of a refusal, and of whom.
func refusable(e *message.Envelope) bool {
	return e != nil && !e.From.IsNull() && len(e.Recipients) > 0
}

// describe is what the event log says of a message.
func describe(e *message.Envelope) []any {
	return []any{"from", e.From.String(), "recipients", len(e.Recipients), "message_id", e.MessageID, "size", e.Size}
}
