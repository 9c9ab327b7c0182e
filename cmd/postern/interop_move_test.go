//go:build linux

package main_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMoveSpool moves the spool to another volume as docs/back-pressure.md says,
// and is interrupted after each of its steps by somebody who starts the gateway:
// whatever the file names then holds everything. In the end each message
// arrives once.
func TestMoveSpool(t *testing.T) {
	t.Parallel()
	volume := newVolume(t, "200m")
	s, down := deferring(t)
	e := newEdge(t)
	e.top = impatient
	e.route("out", "*", s.addr, "")
	old, part, moved := filepath.Join(e.dataDir, "spool"), filepath.Join(volume, "spool.part"), filepath.Join(volume, "spool")
	acked := map[int64]bool{}
	// start starts the gateway as the file says, insists that it has everything,
	// takes some mail more and stops it.
	start := func(point string) {
		t.Helper()
		g := e.serve(t)
		until(t, point+": all messages", func() bool { return e.status(t).Queues.Messages == len(acked) })
		c := dial(t, e.addr)
		for range 5 {
			id := int64(1000 + len(acked)*5) // every fifth is too large for a journal segment
			r, err := c.submit("<load@contoso.example>", []string{fmt.Sprintf("m%d@y.example", id)}, numbered(id))
			if err != nil || r.code != 250 {
				t.Fatalf("%s: %v, %v", point, r, err)
			}
			acked[id] = true
		}
		c.close()
		g.stop(t)
	}
	shell := func(name string, args ...string) (code int, out string) {
		t.Helper()
		code, stdout, stderr := runCommand(t, "", need(t, name), args...)
		return code, stdout + stderr
	}
	must := func(name string, args ...string) {
		t.Helper()
		if code, out := shell(name, args...); code != 0 {
			t.Fatalf("%s %s: exit code %d\n%s", name, strings.Join(args, " "), code, out)
		}
	}
	same := func() bool {
		t.Helper()
		code, out := shell("diff", "-rq", old, part)
		return code == 0 && out == ""
	}
	begin := func() { // anew, from whatever was left
		t.Helper()
		for _, dir := range []string{part, moved} {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
		must("cp", "-a", old, part)
	}
	configured := e.top
	start("before")

	// Half a copy: the machine went down while cp was at work.
	must("mkdir", "-p", filepath.Join(part, "segments"))
	files, err := filepath.Glob(filepath.Join(old, "segments", "*"))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	half, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(part, "segments", filepath.Base(files[0])), string(half[:len(half)/2]))
	if same() {
		t.Fatal("diff sees no difference to half a copy")
	}
	start("half copied")

	begin()
	if !same() {
		t.Fatal("the copy differs")
	}
	start("copied")
	if same() {
		t.Fatal("diff sees no difference after the gateway has run in between")
	}

	begin()
	must("mv", part, moved)
	start("renamed")

	begin()
	must("mv", part, moved)
	e.top = strings.Replace(configured, "[queue]\n", "[queue]\ndirectory = \""+moved+"\"\n", 1)
	start("configured") // from here on the new place holds
	before, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	must("mv", old, old+".moved")
	start("done")
	after, err := os.ReadFile(filepath.Join(old+".moved", "segments", filepath.Base(files[0])))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the old spool was touched: %v", err)
	}

	down.Store(false)
	g := e.serve(t)
	var missing []int64
	awaitAll(t, s, acked, &missing)
	if len(missing) > 0 {
		t.Errorf("%d of %d messages did not arrive", len(missing), len(acked))
	}
	g.stop(t)
	for id, copies := range newTallyIDs(s.all()).copies {
		if !acked[id] || len(copies) != 1 {
			t.Errorf("message %d arrived %d times", id, len(copies))
		}
	}
	if code, out, _ := runCommand(t, "", binary(t), "spool", "dump", moved, "--output", "json"); code != 0 || strings.Contains(out, "y.example") {
		t.Errorf("messages are left: exit code %d", code)
	}
}
