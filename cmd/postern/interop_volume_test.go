//go:build linux

package main_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// newVolume mounts a small file system that lives in memory.
func newVolume(t testing.TB, size string) string {
	t.Helper()
	needRoot(t)
	dir := tempDir(t)
	if err := syscall.Mount("postern-test", dir, "tmpfs", 0, "mode=755,size="+size); err != nil {
		lacking(t, "no small volume can be mounted: %v", err)
	}
	t.Cleanup(func() {
		until(t, "unmounting the volume", func() bool { return syscall.Unmount(dir, 0) == nil })
	})
	return dir
}

// TestFullDisk fills the volume with mail that can't leave, then with a file
// from outside. A full disk refuses with 452 4.3.1, loses nothing, delivers
// what it has, and takes mail again when there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	volume := newVolume(t, "32m")
	var down atomic.Bool
	down.Store(true)
	s := newSink(t, sinkOptions{Answer: func(_ int, line string) string {
		if strings.HasPrefix(line, "MAIL") && down.Load() {
			return "451 4.3.0 later"
		}
		return ""
	}})
	e := newEdge(t)
	e.dataDir = filepath.Join(volume, "data")
	e.top = impatient + "[back_pressure]\nenabled = false\n"
	e.route("out", "*", s.addr, "")
	g := e.serve(t)
	c := dial(t, e.addr)
	acked := map[int64]bool{}
	next := int64(1000)
	// fill sends messages of about 64 KB until one is refused for want of room.
	fill := func(most int) (refused bool) {
		t.Helper()
		for range most {
			next++
			content := append(numbered(next), bytes.Repeat([]byte(strings.Repeat("f", 62)+"\r\n"), 1000)...)
			r, err := c.submit("<load@contoso.example>", []string{fmt.Sprintf("m%d@y.example", next)}, content)
			switch {
			case err != nil:
				t.Fatal(err)
			case r.code == 250:
				acked[next] = true
			case strings.HasPrefix(r.String(), "452 4.3.1"):
				c.want(t, 250, "RSET")
				return true
			default:
				t.Fatalf("message %d: %v, want 250 or 452 4.3.1", next, r)
			}
		}
		return false
	}
	if !fill(1000) {
		t.Fatal("a volume of 32 MB took 64 MB of mail")
	}
	if len(acked) < 20 {
		t.Errorf("the volume was full after %d messages of 64 KB", len(acked))
	}
	for range 20 { // and it stays so, for every client
		if !fill(200) {
			t.Fatal("the volume takes mail again though nothing has left it")
		}
	}
	first := len(acked)
	// Not an octet is left for anybody: what is queued must still leave.
	hog := filepath.Join(volume, "hog")
	hogVolume(t, hog)
	down.Store(false)
	var missing []int64
	awaitAll(t, s, acked, &missing)
	if len(missing) > 0 {
		t.Errorf("%d of %d acknowledged messages did not leave the full volume", len(missing), first)
	}
	if err := os.Remove(hog); err != nil {
		t.Fatal(err)
	}
	until(t, "room for new mail", func() bool {
		c := dial(t, e.addr)
		defer c.close()
		next++
		r, err := c.submit("<load@contoso.example>", []string{fmt.Sprintf("m%d@y.example", next)}, numbered(next))
		if err == nil && r.code == 250 {
			acked[next] = true
		}
		return err == nil && r.code == 250
	})
	// Once more to the brim, and this time the gateway is killed there.
	down.Store(true)
	if !fill(1000) {
		t.Fatal("the volume was not full the second time")
	}
	hogVolume(t, hog)
	g.kill()
	down.Store(false)
	g = e.serve(t)
	awaitAll(t, s, acked, &missing)
	if len(missing) > 0 {
		t.Errorf("%d of %d acknowledged messages did not leave the full volume after a kill", len(missing), len(acked))
	}
	if err := os.Remove(hog); err != nil {
		t.Fatal(err)
	}
	g.stop(t)
	for id := range newTallyIDs(s.all()).copies {
		if !acked[id] {
			t.Errorf("message %d arrived, though it was refused", id)
		}
	}
	t.Logf("%d messages of 64 KB acknowledged, %d before the volume was full for the first time", len(acked), first)
}

// hogVolume fills what is left of a volume with zeros.
func hogVolume(t testing.TB, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4096, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
}

// TestVolume keeps many messages waiting over a restart, large ones among
// them.
func TestVolume(t *testing.T) {
	if !inFull() {
		t.Skip("large volumes run with POSTERN_TEST_FULL=true")
	}
	s := newSink(t, sinkOptions{})
	s.close()
	e := newEdge(t)
	e.top = "[queue]\nretry = [\"2s\"]\n"
	e.route("out", "*", s.addr, "")
	g := e.serve(t)
	l := startLoad(e.addr, 16)
	const many = 20_000
	untilWithin(t, 5*time.Minute, "many messages", func() bool { return l.count() >= many })
	acked := l.end(t)
	c := dial(t, e.addr)
	huge := append(numbered(-1), bytes.Repeat([]byte(strings.Repeat("h", 76)+"\r\n"), 36<<20/78-2000)...)
	if r, err := c.submit("<load@contoso.example>", []string{"huge@huge.example"}, huge); err != nil || r.code != 250 {
		t.Fatalf("a message of %d octets: %v %v", len(huge), r, err)
	}
	g.stop(t)
	began := time.Now()
	g = e.serve(t)
	t.Logf("%d messages kept; the restart took %v", len(acked), time.Since(began).Round(time.Millisecond))
	began = time.Now()
	s.listen(t)
	all := s.awaitWithin(t, 5*time.Minute, len(acked)+1)
	t.Logf("all delivered in %v", time.Since(began).Round(time.Millisecond))
	g.stop(t)
	var rest []*delivery
	for _, d := range all {
		if d.Rcpt[0] != "TO:<huge@huge.example>" {
			rest = append(rest, d)
		} else if _, got, err := splitTrace(d.Data); err != nil || !bytes.Equal(got, huge) {
			t.Errorf("the huge message arrived changed: %v", err)
		}
	}
	y := newTally(t, rest)
	if lost := y.lost(acked); len(lost) > 0 || len(y.copies) != len(rest) {
		t.Errorf("%d messages lost, %d sent twice", len(lost), len(rest)-len(y.copies))
	}
	emptySpool(t, e)
}
