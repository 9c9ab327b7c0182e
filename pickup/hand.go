package pickup

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"postern/internal/eventid"
	"postern/internal/message"
	"postern/queue/spool"
)

// maxReported is how many recipients a notification of a refusal names.
const maxReported = 100

// errChanged says that a file was written to while it was read.
var errChanged = errors.New("it changed while it was read")

// hand is a file in hand.
type hand struct {
	d     *directory
	s     *Settings
	file  *os.File
	found fs.FileInfo // as it was at rest
	draft draft
	name  string // as it was found
	tmp   string // as it is now
}

// grab gives the file its name in hand, durably. When it was not taken, goOn says
// whether the others may be.
func (h *hand) grab() (took, goOn bool) {
	d := h.d
	to := filepath.Join(d.path, h.tmp)
	if err := d.files.rename(filepath.Join(d.path, h.name), to); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			d.trouble.tell(slog.LevelWarn, "a file can't be renamed; it is tried again", eventid.PickupFileNotRenamed, h.name, "error", err)
		}
		return false, true
	}
	if err := d.files.sync(d.path); err != nil {
		d.trouble.tell(slog.LevelError, "the directory can't be synced; its files wait", eventid.PickupNotSynced, "", "error", err)
		h.end(emlSuffix)
		return false, false
	}
	open, err := h.file.Stat()
	now, err2 := d.files.stat(to)
	if err != nil || err2 != nil || !os.SameFile(open, now) { // another had come in its place
		return false, h.end(emlSuffix)
	}
	return true, true
}

// end settles the file; see directory.settle.
func (h *hand) end(suffix string) bool {
	return h.d.settle(ending{h.d.path, h.tmp, stem(h.name), suffix})
}

// deliver brings the file into the queue. It reports whether the next one may be
// looked at.
func (h *hand) deliver(ctx context.Context) bool {
	d := h.d
	id := h.draft.ID()
	e, err := contain(func() (*message.Envelope, error) { return h.read(ctx) })
	if err != nil {
		h.draft.Abort()
	} else if err = d.queue.submit(ctx, h.draft, e); err != nil && !errors.Is(err, spool.ErrTooLarge) {
		err = errStorage{err}
	} else if err != nil {
		err = &refusal{reply: tooLarge("it has more recipients than the spool has room for").reply, about: e}
	}
	var ref *refusal
	var storage errStorage
	switch {
	case err == nil:
		d.log.Info("message queued", append([]any{eventid.PickupQueued.Attr(), "file", h.name, "id", id.String()}, describe(e)...)...)
		return h.end("")
	case errors.As(err, &ref):
		return h.reject(ctx, ref)
	case ctx.Err() != nil:
		h.end(emlSuffix)
		return false
	case errors.As(err, &storage):
		d.storage(storage.error)
		h.end(emlSuffix)
		return false
	}
	d.trouble.tell(slog.LevelWarn, "a file can't be read; it is tried again", eventid.PickupFileNotRead, h.name, "error", err)
	return h.end(emlSuffix)
}

// read copies the file into the draft and makes sure that it was at rest.
func (h *hand) read(ctx context.Context) (*message.Envelope, error) {
	in := intake{draft: h.draft, now: time.Now(), rules: h.rules()}
	e, err := in.copy(reader{ctx, h.file})
	if err != nil {
		return nil, err
	}
	after, err := h.file.Stat()
	if err != nil {
		return nil, err
	}
	if after.Size() != in.read || h.found.Size() != in.read || !after.ModTime().Equal(h.found.ModTime()) {
		return nil, errChanged
	}
	return e, nil
}

// reader reads until the context ends.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

func (h *hand) rules() *rules {
	s := h.s
	r := &rules{replay: h.d.replay, fqdn: s.FQDN, domain: s.Domain, maxSize: s.MaxMessageSize, maxHeader: maxReplayHeader}
	if !r.replay {
		r.maxHeader, r.maxRecipients = s.Pickup.PickupDirectoryMaxHeaderSize, s.Pickup.PickupDirectoryMaxRecipientsPerMessage
	}
	return r
}

// reject sets a file aside that is no message, and tells the sender where there
// is one. The notification comes first: a crash between the two repeats it.
func (h *hand) reject(ctx context.Context, ref *refusal) bool {
	d := h.d
	attrs := []any{"file", h.name, "reason", ref.reply.Text}
	if refusable(ref.about) {
		e := *ref.about
		e.Recipients = e.Recipients[:min(len(e.Recipients), maxReported)]
		e.Arrived = time.Now()
		info, err := h.file.Stat()
		if err == nil {
			var id message.ID
			id, err = d.queue.refuse(ctx, &e, ref.reply, content{io.NewSectionReader(h.file, 0, info.Size())})
			if id != 0 {
				attrs = append(attrs, "notification", id.String())
			}
		}
		if err != nil {
			if ctx.Err() == nil {
				d.storage(err)
			}
			h.end(emlSuffix)
			return false
		}
		attrs = append(attrs, "from", e.From.String())
	}
	d.log.Warn("a file is no message that can be sent; it is kept as .bad", append([]any{eventid.PickupRejected.Attr()}, attrs...)...)
	return h.end(badSuffix)
}

// content is a file as the original of a notification.
type content struct{ *io.SectionReader }

// Close does nothing: the file is still in hand.
func (content) Close() error { return nil }
