package queue

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
	"postern/queue/spool"
	"postern/queue/spool/faultfs"
	"postern/routing"
)

// specimen is the directory of a gateway that was killed: with messages that
// wait, that are suspended, redirected and parked, a suspended queue, and
// messages in hand at the second unclean end in a row.
func specimen(t *testing.T) (files map[string][]byte, ids map[string]message.ID) {
	fsys := faultfs.New(0)
	ids = map[string]message.ID{}
	for life := range 3 {
		synctest.Test(t, func(t *testing.T) {
			s, err := spool.Open("/spool", spool.Options{FS: fsys, SegmentSize: 256 << 10})
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, func(w *world) {
				w.options.Store, w.options.Directory, w.options.FS = s, "/spool", fsys
			})
			w.setDeliver(func(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
				switch {
				case life > 0 && hop.Domain == "plain.example":
					<-ctx.Done() // it is in hand when the gateway is killed
					return unreachable(d)
				case hop.Domain == "poison.example":
					panic("poison")
				}
				return postpone(d)
			})
			names := []string{"plain", "suspended", "redirected", "poison", "held"}
			if life > 0 { // what is written last can't be told from what was never whole
				names = []string{"last"}
			}
			for _, name := range names {
				d, err := w.q.Create()
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprint(d, "Subject: ", name, "\r\n\r\n", strings.Repeat(name, 50), "\r\n")
				if err := w.q.Submit(context.Background(), d, envelope("kim@"+name+".example")); err != nil {
					t.Fatal(err)
				}
				if life == 0 {
					ids[name] = d.ID()
				}
			}
			time.Sleep(10 * time.Minute)
			if life == 0 {
				for name, verb := range map[string]Verb{"suspended": Suspend, "redirected": Redirect} {
					if _, err := w.q.Carry(context.Background(), order(verb, ids[name])); err != nil {
						t.Fatal(err)
					}
				}
				if err := w.q.SuspendQueue("Internet/held.example"); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second)
			fsys = fsys.Kill()
			w.cut()
			_ = s.Close()
		})
	}
	files = map[string][]byte{}
	for _, name := range fsys.Names() {
		b, err := fsys.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = b
	}
	for _, name := range []string{holdsName, lifeName} {
		if files["/spool/"+name] == nil {
			t.Fatalf("the specimen has no %s, but %v", name, slices.Sorted(maps.Keys(files)))
		}
	}
	return files, ids
}

// TestDamagedStart damages each file of a spool in many places and starts a
// gateway on it, twice. It starts; whatever is not as it was is reported; and
// nothing that was not to be delivered goes out unless it is. Of a file that is
// gone altogether, or without its header, nobody knows: such are made and removed
// every day.
func TestDamagedStart(t *testing.T) {
	t.Parallel()
	all, ids := specimen(t)
	tries := 0
	attempt := func(what, name string, changed []byte) {
		tries++
		fsys := faultfs.New(0)
		for _, dir := range []string{"/spool/segments", "/spool/bodies"} {
			if err := fsys.MkdirAll(dir); err != nil {
				t.Fatal(err)
			}
		}
		for path, b := range all {
			if path == name {
				b = changed
			}
			if b != nil {
				fsys.WriteFile(path, b)
			}
		}
		for life := range 2 {
			synctest.Test(t, func(t *testing.T) {
				startDamaged(t, fmt.Sprintf("%s of %s, start %d", what, name, life), fsys, ids, life == 0 && len(changed) > 1)
			})
		}
	}
	attempt("nothing", "/spool/lock", []byte("x"))
	for name, b := range all {
		used := len(bytes.TrimRight(b, "\x00"))
		if used == 0 || strings.HasSuffix(name, "/lock") {
			continue
		}
		step := max(used/25, 1)
		if testing.Short() || raceEnabled { // most of it runs in one goroutine
			step = max(used/5, 1)
		}
		for at := 0; at < used; at += step {
			flipped := bytes.Clone(b)
			flipped[at] ^= 1 << (at % 8)
			attempt(fmt.Sprintf("a bit flipped at %d", at), name, flipped)
			zeroed := bytes.Clone(b)
			clear(zeroed[at:min(at+512, len(zeroed))])
			attempt(fmt.Sprintf("a sector zeroed at %d", at), name, zeroed)
		}
		for at := 512; at < used; at += step {
			attempt(fmt.Sprintf("an end at %d", at), name, bytes.Clone(b[:at]))
		}
		attempt("nothing left", name, []byte{})
		attempt("an octet left", name, b[:1])
		attempt("a loss", name, nil)
	}
	t.Logf("%d kinds of damage to %d files", tries, len(all))
}

// startDamaged starts and stops a gateway once.
func startDamaged(t *testing.T, what string, fsys *faultfs.FS, ids map[string]message.ID, first bool) {
	s, err := spool.Open("/spool", spool.Options{FS: fsys, SegmentSize: 256 << 10})
	if err != nil {
		if !strings.Contains(err.Error(), "VERSION") {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	log := new(quietLog)
	w := newWorld(t, func(w *world) {
		w.options.Store, w.options.Directory, w.options.FS = s, "/spool", fsys
		w.options.Logger = slog.New(slog.NewTextHandler(log, nil))
	})
	reported := len(s.Recovery().Damage) > 0 || log.count("level=ERROR") > 0
	standings := map[string]message.Standing{}
	for name, id := range ids {
		e, err := s.Load(id)
		if err != nil {
			if first && !reported {
				t.Errorf("%s: message %q is gone without a word: %v", what, name, err)
			}
			continue
		}
		standings[name] = e.State.Standing
	}
	time.Sleep(20 * time.Minute)
	if first && !reported {
		_, there := standings["suspended"]
		if there && !standings["suspended"].Suspended || standings["redirected"].Redirect == "" || !standings["poison"].Poison {
			t.Errorf("%s: orders are lost without a word: %+v", what, standings)
		}
		for name, domain := range map[string]string{"suspended": "suspended.example", "redirected": "redirected.example", "poison": "poison.example", "held": "held.example"} {
			if n := len(w.callsTo(domain)); n > 0 {
				t.Errorf("%s: %q was delivered to where it was not to go", what, name)
			}
		}
		if len(w.callsTo("plain.example")) == 0 {
			t.Errorf("%s: the message that waited was not delivered", what)
		}
	}
	w.stop()
	if err := s.Close(); err != nil {
		t.Errorf("%s: Close: %v", what, err)
	}
}
