//go:build linux

package main_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// deferring is a sink that defers everything while down is set.
func deferring(t *testing.T) (s *sink, down *atomic.Bool) {
	t.Helper()
	down = new(atomic.Bool)
	down.Store(true)
	return newSink(t, sinkOptions{Answer: func(_ int, line string) string {
		if strings.HasPrefix(line, "MAIL") && down.Load() {
			return "451 4.3.0 later"
		}
		return ""
	}}), down
}

// fill sends messages of a size until one is refused for want of room, and
// returns the numbers of those that were taken.
func fill(t *testing.T, c *client, next *int64, size int) (acked []int64) {
	t.Helper()
	for range 20_000 {
		*next++
		content := append(numbered(*next*25+1), bytes.Repeat([]byte(strings.Repeat("f", 62)+"\r\n"), size/64)...)
		r, err := c.submit("<load@contoso.example>", []string{fmt.Sprintf("m%d@y.example", *next)}, content)
		switch {
		case err != nil:
			t.Fatal(err)
		case r.code == 250:
			acked = append(acked, *next)
		case strings.HasPrefix(r.String(), "452 4.3.1"):
			c.want(t, 250, "RSET")
			return acked
		default:
			t.Fatalf("message %d: %v, want 250 or 452 4.3.1", *next, r)
		}
	}
	t.Fatal("the volume is never full")
	return nil
}

// TestOrdersOnFullDisk gives orders while not an octet is left. Each holds over
// a kill, or its answer was an error; mail that was not concerned goes on, and
// all is well when there is room again.
func TestOrdersOnFullDisk(t *testing.T) {
	t.Parallel()
	volume := newVolume(t, "24m")
	s, down := deferring(t)
	other := newSink(t, sinkOptions{})
	e := newEdge(t)
	e.dataDir = filepath.Join(volume, "data")
	e.top = impatient + "[back_pressure]\nenabled = false\n"
	e.route("out", "*", s.addr, "")
	g := e.serve(t)
	next := int64(1000)
	acked := fill(t, dial(t, e.addr), &next, 32<<10)
	if len(acked) < 10 {
		t.Fatalf("the volume was full after %d messages", len(acked))
	}
	hog := filepath.Join(volume, "hog")
	hogVolume(t, hog)

	to := func(i int) []string { return []string{"--recipient", fmt.Sprintf("m%d@y.example", acked[i])} }
	held := map[string]bool{}
	order := func(name string, i int, args ...string) {
		t.Helper()
		code, stdout, stderr := e.postern(t, append(append([]string{"queue"}, args...), to(i)...)...)
		switch {
		case code == 0:
			held[name] = true
		case code != 1 || strings.TrimSpace(stderr) == "":
			t.Errorf("%s: exit code %d\n%s%s", name, code, stdout, stderr)
		}
		t.Logf("%s on a full disk: exit code %d %s", name, code, strings.TrimSpace(stderr))
	}
	order("suspend", 0, "suspend")
	order("remove", 1, "remove", "--without-ndr", "--yes")
	order("redirect", 2, "redirect", "--yes", "--to", other.addr)
	if code, _, stderr := e.postern(t, "queue", "suspend", "Unreachable"); code == 0 {
		held["queue"] = true
	} else if !strings.Contains(stderr, "only until the next start") {
		t.Errorf("suspending a queue on a full disk: exit code %d\n%s", code, stderr)
	}
	killed := time.Now()
	g.kill()
	g = e.serve(t) // on a disk as full
	if held["suspend"] {
		if m := e.messages(t, to(0)...); len(m) != 1 || m[0].Status != "suspended" {
			t.Errorf("the suspended message: %+v", m)
		}
	}
	if held["remove"] {
		until(t, "the removed message to be gone", func() bool { return len(e.messages(t, to(1)...)) == 0 })
	}
	down.Store(false)
	want := len(acked)
	if held["remove"] {
		want--
	}
	if held["suspend"] {
		want--
	}
	arrived := func() int { return len(newTallyIDs(append(s.all(), other.all()...)).copies) }
	until(t, "all other messages, with the disk still full", func() bool { return arrived() >= want })
	if held["redirect"] {
		at := newTallyIDs(other.all()).copies[acked[2]]
		if len(at) == 0 || len(at) > 1 && killed.Sub(at[0]) > inFlightWindow {
			t.Errorf("the redirected message came to where it was sent at %v; the gateway was killed at %v", at, killed)
		}
	}
	if err := os.Remove(hog); err != nil {
		t.Fatal(err)
	}
	until(t, "room for new mail", func() bool {
		c := dial(t, e.addr)
		defer c.close()
		r, err := c.submit("<load@contoso.example>", []string{"m7@y.example"}, numbered(7))
		return err == nil && r.code == 250
	})
	e.must(t, append([]string{"queue", "resume"}, to(0)...)...)
	until(t, "the resumed message", func() bool { return len(newTallyIDs(s.all()).copies[acked[0]]) > 0 })
	e.must(t, "queue", "suspend", "Unreachable")
	g.stop(t)
	emptySpool(t, e)
	if len(held) < 3 {
		t.Errorf("only %v held on a full disk: room is kept for what happens to messages", held)
	}
}

// TestNoInodes: with no inode left small mail goes on, since it needs no file;
// what needs one is refused for now, and all goes on when there are some.
func TestNoInodes(t *testing.T) {
	t.Parallel()
	volume := newVolume(t, "64m,nr_inodes=60")
	s, down := deferring(t)
	e := newEdge(t)
	e.dataDir = filepath.Join(volume, "data")
	e.top = impatient + "[back_pressure]\nenabled = false\n"
	e.route("out", "*", s.addr, "")
	g := e.serve(t)
	var hogs []string
	for i := 0; ; i++ {
		path := filepath.Join(volume, fmt.Sprintf("hog%d", i))
		f, err := os.Create(path)
		if err != nil {
			break
		}
		f.Close()
		hogs = append(hogs, path)
	}
	if len(hogs) == 0 {
		t.Fatal("there was no inode to take")
	}
	c := dial(t, e.addr)
	next := int64(1000)
	small, refused := 0, 0
	acked := map[int64]bool{}
	for range 40 {
		next++
		large := next%4 == 0
		content := numbered(next)
		if large {
			content = append(content, bytes.Repeat([]byte(strings.Repeat("f", 62)+"\r\n"), 40_000)...) // more than is kept in the journal
		}
		r, err := c.submit("<load@contoso.example>", []string{fmt.Sprintf("m%d@y.example", next)}, content)
		switch {
		case err != nil:
			t.Fatal(err)
		case r.code == 250:
			acked[next] = true
			if !large {
				small++
			}
		case strings.HasPrefix(r.String(), "452 4.3.1"):
			refused++
			c.want(t, 250, "RSET")
		default:
			t.Fatalf("message %d of %d octets: %v, want 250 or 452 4.3.1", next, len(content), r)
		}
	}
	if small < 10 || refused == 0 {
		t.Errorf("without inodes %d small messages were taken, and %d refused", small, refused)
	}
	g.kill()
	g = e.serve(t) // and it starts
	down.Store(false)
	var missing []int64
	awaitAll(t, s, acked, &missing)
	if len(missing) > 0 {
		t.Errorf("%d of %d messages did not leave: %v", len(missing), len(acked), missing)
	}
	for _, path := range hogs {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "a large message", func() bool {
		c := dial(t, e.addr)
		defer c.close()
		r, err := c.submit("<load@contoso.example>", []string{"m1@y.example"}, append(numbered(1), bytes.Repeat([]byte(strings.Repeat("f", 62)+"\r\n"), 40_000)...))
		return err == nil && r.code == 250
	})
	until(t, "its delivery", func() bool { return len(newTallyIDs(s.all()).copies[1]) > 0 })
	g.stop(t)
	emptySpool(t, e)
}
