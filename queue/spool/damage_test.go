package spool_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"postern/internal/message"
	"postern/queue/spool"
	"postern/queue/spool/faultfs"
)

// specimen is a spool with everything in it: messages in the journal, in cold
// segments with and without index, in body files, with states and without.
func specimen(t *testing.T) (*faultfs.FS, map[message.ID][]byte) {
	t.Helper()
	fsys := faultfs.New(0)
	bodies := map[message.ID][]byte{}
	for life := range 2 {
		s := open(t, fsys)
		for i := range 60 {
			body := text(uint64(life*100+i), 100+i*37)
			if i == 30 {
				body = text(uint64(life), 9000)
			}
			id := mustCommit(t, s, body, envelope(1+i%3))
			if i%5 == 0 {
				bodies[id] = body
				mustUpdate(t, s, id, deferral(0, i))
			} else {
				mustUpdate(t, s, id, &message.Update{Done: true})
			}
		}
		mustFlush(t, s)
		s.Settle()
		if s.Stats().ColdSegments == 0 {
			t.Fatal("no cold segment")
		}
		mustClose(t, s)
	}
	return fsys, bodies
}

// files takes the content of all files.
func files(t *testing.T, fsys *faultfs.FS) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, name := range fsys.Names() {
		b, err := fsys.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = b
	}
	return all
}

// restore makes a file system of files, one of them changed.
func restore(all map[string][]byte, name string, changed []byte) *faultfs.FS {
	fsys := faultfs.New(0)
	for _, dir := range []string{"/spool/segments", "/spool/bodies"} {
		_ = fsys.MkdirAll(dir)
	}
	for path, b := range all {
		if i := strings.LastIndex(path, "/"); i > 0 {
			_ = fsys.MkdirAll(path[:i])
		}
		if path == name {
			b = changed
		}
		fsys.WriteFile(path, b)
	}
	return fsys
}

// survivors opens a damaged spool and returns what it lost. What it still has
// must be right. back are messages that had ended.
func survivors(t *testing.T, fsys *faultfs.FS, bodies map[message.ID][]byte) (lost, back []message.ID, r spool.Recovery) {
	t.Helper()
	s, err := spool.Open("/spool", small(fsys))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer mustClose(t, s)
	seen := map[message.ID]bool{}
	err = s.Each(func(e spool.Entry) error {
		body, ok := bodies[e.ID]
		if !ok {
			back = append(back, e.ID)
			return nil
		}
		b, err := content(s, e.ID)
		if err == nil && !bytes.Equal(b, body) {
			return fmt.Errorf("%s: wrong content without an error", e.ID)
		}
		if err != nil && !errors.Is(err, spool.ErrDamaged) && !errors.Is(err, syscall.EIO) {
			return fmt.Errorf("%s: %w", e.ID, err)
		}
		seen[e.ID] = err == nil
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for id := range bodies {
		if !seen[id] {
			lost = append(lost, id)
		}
	}
	id := mustCommit(t, s, text(5, 500), envelope(1)) // and works on
	wantMessage(t, s, id, text(5, 500), envelope(1), message.NewState(1))
	return lost, back, s.Recovery()
}

// TestBitFlips flips a bit here and there in every file: at most the one
// message is lost, or back, that the bit belongs to, damage is never silent,
// and no wrong content is handed out.
func TestBitFlips(t *testing.T) {
	t.Parallel()
	fsys, bodies := specimen(t)
	all := files(t, fsys)
	if lost, back, r := survivors(t, restore(all, "", nil), bodies); lost != nil || back != nil || r.Damage != nil {
		t.Fatalf("undamaged: lost %v, back %v, damage %v", lost, back, r.Damage)
	}
	tries, losses := 0, 0
	for name, b := range all {
		stride := 311
		if len(b) < 1000 {
			stride = 7
		}
		if testing.Short() {
			stride *= 10
		}
		for at := 0; at < len(b); at += stride {
			changed := bytes.Clone(b)
			changed[at] ^= 1 << (at % 8)
			lost, back, r := survivors(t, restore(all, name, changed), bodies)
			tries++
			losses += len(lost)
			if len(lost)+len(back) > 1 {
				t.Errorf("%s, octet %d: lost %v, back %v; %v", name, at, lost, back, r.Damage)
			}
			if len(back) > 0 && len(r.Damage) == 0 {
				t.Errorf("%s, octet %d: back %v and nothing reported", name, at, back)
			}
		}
	}
	if losses == 0 {
		t.Error("no flip hit a message")
	}
	t.Logf("%d flips, %d messages lost", tries, losses)
}

// TestTornFiles cuts every segment off somewhere.
func TestTornFiles(t *testing.T) {
	fsys, bodies := specimen(t)
	all := files(t, fsys)
	for name, b := range all {
		for n := 0; n < len(b); n += 1 + len(b)/12 {
			survivors(t, restore(all, name, b[:n]), bodies)
		}
	}
}

// records lists the offsets of message records in a segment.
func findRecord(t *testing.T, fsys *faultfs.FS, id message.ID) (name string, off int) {
	t.Helper()
	key := binary.LittleEndian.AppendUint64(nil, uint64(id))
	for _, name := range fsys.Names() {
		b, _ := fsys.ReadFile(name)
		for off := 8192; strings.Contains(name, "/segments/") && off+48 < len(b); off += 8 {
			if string(b[off:off+4]) == "PSTR" && b[off+4] == 1 && bytes.Equal(b[off+24:off+32], key) {
				return name, off
			}
		}
	}
	t.Fatalf("no record of %s", id)
	return "", 0
}

// TestDamageIsKept: damage between valid records is reported and its octets
// are kept, and after an orderly end that holds for the last record too.
func TestDamageIsKept(t *testing.T) {
	fsys := faultfs.New(0)
	s := open(t, fsys)
	var ids []message.ID
	for i := range 3 {
		ids = append(ids, mustCommit(t, s, text(uint64(i), 1000), envelope(1)))
	}
	mustClose(t, s)
	all := files(t, fsys)
	for i, wantDamage := range []bool{true, true, true} {
		name, off := findRecord(t, fsys, ids[i])
		b := bytes.Clone(all[name])
		b[off+500] ^= 1
		damaged := restore(all, name, b)
		var kept []byte
		for round := range 2 { // reported again while it is there, kept once
			s, err := spool.Open("/spool", small(damaged))
			if err != nil {
				t.Fatal(err)
			}
			r := s.Recovery()
			if r.Messages != 2 || len(r.Damage) > 0 != wantDamage || s.Stats().Damaged != len(r.Damage) {
				t.Errorf("record %d, round %d: %+v", i, round, r)
			}
			if wantDamage {
				kept, err = damaged.ReadFile("/spool/" + r.Damage[0].Kept)
				if n := int(r.Damage[0].Length); err != nil || r.Damage[0].Offset != int64(off) || !bytes.Equal(kept, b[off:off+n]) {
					t.Errorf("record %d: kept %d octets of %v: %v", i, len(kept), r.Damage[0], err)
				}
			}
			if _, err := s.Load(ids[i]); !errors.Is(err, spool.ErrNotFound) {
				t.Errorf("record %d: %v", i, err)
			}
			mustClose(t, s)
		}
	}
}

// TestEmbeddedRecords: octets of the journal inside a message are never taken
// for records, not even when the record around them is damaged.
func TestEmbeddedRecords(t *testing.T) {
	fsys := faultfs.New(0)
	o := small(fsys)
	o.SegmentSize, o.InlineSize = 256<<10, 100<<10
	s, err := spool.Open("/spool", o)
	if err != nil {
		t.Fatal(err)
	}
	first := mustCommit(t, s, []byte("a message\r\n"), envelope(1))
	name, off := findRecord(t, fsys, first)
	raw, _ := fsys.ReadFile(name)
	var body []byte
	for shift := range 8 { // one of them is aligned
		body = append(body, bytes.Repeat([]byte{'x'}, shift)...)
		body = append(body, raw[off:off+2000]...)
	}
	second := mustCommit(t, s, body, envelope(1))
	third := mustCommit(t, s, []byte("more\r\n"), envelope(1))
	mustUpdate(t, s, first, &message.Update{Done: true})
	mustFlush(t, s)
	mustClose(t, s)

	_, at := findRecord(t, fsys, second)
	b, _ := fsys.ReadFile(name)
	b[at+10] ^= 1
	fsys.WriteFile(name, b)
	s, err = spool.Open("/spool", o)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	if r := s.Recovery(); r.Messages != 1 || len(r.Damage) != 1 || r.Damage[0].Length < int64(len(body)) {
		t.Errorf("%+v", r)
	}
	wantMessage(t, s, third, []byte("more\r\n"), envelope(1), message.NewState(1))
}

// TestUnreadable: places that can't be read are damage, and the segment stays.
func TestUnreadable(t *testing.T) {
	fsys, bodies := specimen(t)
	newest := message.ID(0)
	for id := range bodies {
		newest = max(newest, id)
	}
	segment, off := findRecord(t, fsys, newest) // in the journal still
	fsys.SetHook(func(op faultfs.Op) faultfs.Fault {
		if op.Kind == faultfs.Read && op.Path == segment && op.Offset < int64(off+100) && op.Offset+int64(op.Size) > int64(off) {
			return faultfs.Fault{Err: syscall.EIO}
		}
		return faultfs.Fault{}
	})
	_, _, r := survivors(t, fsys, bodies)
	if len(r.Damage) == 0 || !strings.Contains(r.Damage[len(r.Damage)-1].Reason, "read") {
		t.Errorf("damage: %v", r.Damage)
	}
	fsys.SetHook(nil)
	if lost, _, _ := survivors(t, fsys, addNone(bodies, fsys, t)); len(lost) != 0 {
		t.Errorf("lost after the disk could be read again: %v", lost)
	}
}

// addNone adds to bodies what survivors has committed.
func addNone(bodies map[message.ID][]byte, fsys *faultfs.FS, t *testing.T) map[message.ID][]byte {
	t.Helper()
	r, err := spool.OpenReader("/spool", spool.ReaderOptions{FS: fsys})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for e, err := range r.Messages() {
		if err == nil && bodies[e.ID] == nil {
			bodies[e.ID] = text(5, 500)
		}
	}
	return bodies
}

func TestReader(t *testing.T) {
	fsys, bodies := specimen(t)
	s := open(t, fsys) // a server may run
	s.Settle()
	before := fsys.Ops()
	r, err := spool.OpenReader("/spool", spool.ReaderOptions{FS: fsys})
	if err != nil {
		t.Fatal(err)
	}
	sum := r.Summary()
	if sum.Messages != len(bodies) || sum.BodyFiles != 2 || sum.Orphans != 0 || sum.Damaged != 0 || sum.ColdSegments == 0 || len(r.Damage()) != 0 {
		t.Errorf("%+v", sum)
	}
	last := message.ID(0)
	for e, err := range r.Messages() {
		if err != nil || e.ID <= last || e.Size != int64(len(bodies[e.ID])) {
			t.Errorf("%s: %v", e.ID, err)
		}
		last = e.ID
		c, err := r.Content(e.ID)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		d := spool.Describe(e)
		if d.Sender != "alice@fabrikam.example" || d.Recipients[0].Status != "deferred" || d.Recipients[0].Reply != "451 4.7.1 Greylisted, come back later" {
			t.Errorf("%+v", d)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if fsys.Ops() != before {
		t.Errorf("the reader wrote: %d operations", fsys.Ops()-before)
	}
	mustClose(t, s)
	if _, err := spool.OpenReader("/nothing", spool.ReaderOptions{FS: fsys}); err == nil {
		t.Error("a directory that is no spool: no error")
	}
}

func TestSalvage(t *testing.T) {
	fsys, bodies := specimen(t)
	all := files(t, fsys)
	// One message is damaged in its content, one body file has lost its
	// message, and the meta file is gone.
	var victim, large message.ID
	for id, body := range bodies {
		if len(body) == 9000 {
			large = id
		} else if victim == 0 || id > victim {
			victim = id
		}
	}
	name, off := findRecord(t, fsys, victim)
	all[name][off+700] ^= 1
	orphan := message.ID(99)
	all["/spool/bodies/00/"+orphan.String()] = []byte("orphan")
	delete(all, "/spool/meta")
	fsys = restore(all, "", nil)
	got := map[string]spool.Salvaged{}
	err := spool.Salvage("/spool", "/out", spool.ReaderOptions{FS: fsys}, func(s spool.Salvaged) error { got[s.ID] = s; return nil })
	if err != nil {
		t.Fatal(err)
	}
	for id, body := range bodies {
		sv := got[id.String()]
		b, err := fsys.ReadFile("/out/" + sv.Content)
		if id == victim {
			if !sv.Damaged || len(b) != len(body) || bytes.Equal(b, body) || !strings.HasSuffix(sv.Content, ".damaged.eml") {
				t.Errorf("the damaged message: %+v, %d octets, %v", sv, len(b), err)
			}
		} else if err != nil || !bytes.Equal(b, body) || sv.Damaged || sv.Content != id.String()+".eml" {
			t.Errorf("%+v: %v", sv, err)
		}
		var d spool.Description
		b, err = fsys.ReadFile("/out/" + sv.Envelope)
		if err != nil || json.Unmarshal(b, &d) != nil || d.ID != id.String() || len(d.Recipients) == 0 {
			t.Errorf("envelope of %s: %s, %v", id, b, err)
		}
	}
	if got[large.String()].Content == "" {
		t.Error("the large message is missing")
	}
	if len(got) != len(bodies) { // an orphan in the wrong directory is not found by its path
		t.Logf("%d salvaged, %d messages", len(got), len(bodies))
	}
	if err := spool.Salvage("/spool", "/out", spool.ReaderOptions{FS: fsys}, func(spool.Salvaged) error { return nil }); err == nil {
		t.Error("salvaging over existing files: no error")
	}
}
