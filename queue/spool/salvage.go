package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"postern/internal/message"
)

// Salvaged is one message that Salvage wrote, or could not.
type Salvaged struct {
	ID string `json:"id"`
	// Content and Envelope are the files written, within the output
	// directory; empty when there is none.
	Content  string `json:"content,omitempty"`
	Envelope string `json:"envelope,omitempty"`
	// Damaged says that the content does not match its checksum, or that the
	// message was found in a damaged stretch, or has lost its envelope.
	Damaged bool   `json:"damaged,omitempty"`
	Error   string `json:"error,omitempty"`
}

// Salvage writes every message of the spool in dir to the directory out: the
// content as "<id>.eml" (RFC 5322), envelope and state as "<id>.json" (a
// Description). Damaged messages are written as far as they can be read, as
// "<id>.damaged.eml"; content without a message as "<id>.orphan.eml". It reads
// dir as a Reader does and changes nothing there; beside a running server it
// leaves out what is just arriving and what has ended meanwhile. Existing files
// are not overwritten. fn is called for every message; an error of fn, or of
// writing, ends it. Messages that can't be read don't.
func Salvage(dir, out string, o ReaderOptions, fn func(Salvaged) error) error {
	o.AnyVersion = true
	r, err := OpenReader(dir, o)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := r.looker.fs.MkdirAll(out); err != nil {
		return fmt.Errorf("spool: making the directory for what is salvaged: %w", err)
	}
	w := salvager{r: r, out: out, fn: fn, seen: make(map[message.ID]bool)}
	for _, id := range r.ids {
		if err := w.message(id); err != nil {
			return err
		}
	}
	for _, d := range r.raw {
		if err := w.stretch(d); err != nil {
			return err
		}
	}
	for _, id := range r.orphans {
		if w.seen[id] {
			continue
		}
		if err := w.orphan(id); err != nil {
			return err
		}
	}
	return nil
}

type salvager struct {
	r    *Reader
	out  string
	fn   func(Salvaged) error
	seen map[message.ID]bool
}

// message writes a message that the index knows, unless a server has finished
// it meanwhile.
func (w *salvager) message(id message.ID) error {
	w.seen[id] = true
	sv := Salvaged{ID: id.String()}
	e, err := w.r.load(id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		sv.Damaged, sv.Error = true, err.Error()
		return w.fn(sv)
	}
	c, err := w.r.Content(id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil {
		defer c.Close()
		// Content of some size is verified at its end alone: find out first.
		_, err = io.Copy(io.Discard, c)
	}
	src, size := io.ReaderAt(nil), int64(0)
	suffix := ".eml"
	if err == nil {
		src, size = c, c.Size()
	} else {
		sv.Damaged, sv.Error, suffix = true, err.Error(), ".damaged.eml"
		src, size = w.unverified(id, c)
	}
	if sv.Envelope, err = w.envelope(e); err != nil {
		return err
	}
	if src != nil {
		sv.Content = sv.ID + suffix
		if err := w.write(sv.Content, src, size); err != nil {
			return err
		}
	}
	return w.fn(sv)
}

// unverified returns content that does not match its checksum.
func (w *salvager) unverified(id message.ID, c message.Content) (io.ReaderAt, int64) {
	if c != nil {
		return c, c.Size()
	}
	s := w.r.now.s // nobody but the salvager uses the Reader
	e := s.cat.index[id]
	h, _, err := s.readMeta(id, place{e.msg, e.msgLen}, kindMessage)
	if err != nil || h.flags&flagBodyFile != 0 {
		return nil, 0
	}
	return &stored{s: s, id: id, off: recordHeader + int64(h.metaLen)}, int64(h.bodyLen)
}

// stretch looks for messages in a damaged stretch of a segment: those of which
// the envelope is whole.
func (w *salvager) stretch(d damaged) error {
	g := d.seg
	win := window{f: g.file, limit: d.to}
	for off := d.from &^ (recordAlign - 1); off+recordHeader <= d.to; off += recordAlign {
		h, ok := g.stamp.parse(win.get(off, recordHeader), off)
		end := off + recordHeader + int64(h.metaLen)
		if !ok || h.kind != kindMessage || end > d.to {
			continue
		}
		id := message.ID(h.id)
		meta := win.get(off, end-off)[recordHeader:]
		if checksum(meta) != h.metaCRC || w.seen[id] {
			continue
		}
		env, err := decodeMessage(id, meta)
		if err != nil {
			continue
		}
		w.seen[id] = true
		sv := Salvaged{ID: id.String(), Damaged: true, Error: "found in a damaged stretch of " + g.name}
		size := int64(h.bodyLen)
		e := Entry{ID: id, Envelope: env, State: message.NewState(len(env.Recipients)), Size: size}
		if sv.Envelope, err = w.envelope(e); err != nil {
			return err
		}
		sv.Content = sv.ID + ".damaged.eml"
		var src io.ReaderAt = io.NewSectionReader(g.file, end, size)
		if h.flags&flagBodyFile != 0 {
			f, err := w.r.now.s.fs.OpenFile(w.r.now.s.bodies.path(id), os.O_RDONLY)
			if err != nil {
				sv.Content = ""
			} else {
				defer f.Close()
				src = f
				size, _ = f.Size()
			}
		}
		if sv.Content != "" {
			if err := w.write(sv.Content, src, size); err != nil {
				return err
			}
		}
		if err := w.fn(sv); err != nil {
			return err
		}
	}
	return nil
}

// orphan writes a body file without message.
func (w *salvager) orphan(id message.ID) error {
	sv := Salvaged{ID: id.String(), Damaged: true, Error: "a body file without envelope"}
	f, err := w.r.now.s.fs.OpenFile(w.r.now.s.bodies.path(id), os.O_RDONLY)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it has gone meanwhile
		}
		sv.Error = err.Error()
		return w.fn(sv)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		sv.Error = err.Error()
		return w.fn(sv)
	}
	sv.Content = sv.ID + ".orphan.eml"
	if err := w.write(sv.Content, f, size); err != nil {
		return err
	}
	return w.fn(sv)
}

func (w *salvager) envelope(e Entry) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // the files are for people: <1@example.com>, not \u003c1@example.com\u003e
	enc.SetIndent("", "  ")
	if err := enc.Encode(Describe(e)); err != nil {
		return "", fmt.Errorf("spool: message %s: %w", e.ID, err)
	}
	name := e.ID.String() + ".json"
	return name, w.write(name, octets(b.Bytes()), int64(b.Len()))
}

// write writes a new file. What can't be read of the source is zero.
func (w *salvager) write(name string, src io.ReaderAt, size int64) error {
	f, err := w.r.now.s.fs.OpenFile(filepath.Join(w.out, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return fmt.Errorf("spool: salvaging to %s (choose an empty directory): %w", w.out, err)
	}
	b := make([]byte, min(size, windowSize))
	for off := int64(0); off < size && err == nil; off += int64(len(b)) {
		b = b[:min(int64(len(b)), size-off)]
		n, _ := src.ReadAt(b, off)
		clear(b[n:])
		_, err = f.WriteAt(b, off)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("spool: salvaging to %s: %w", w.out, err)
	}
	return nil
}
