//go:build linux

package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// drop puts a file into a directory as a careful program does.
func drop(t testing.TB, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name+".tmp")
	writeFile(t, path, text)
	old := time.Now().Add(-time.Minute)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// files lists a directory.
func filesIn(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// TestPickupAndReplay sends files through a gateway to a next hop.
func TestPickupAndReplay(t *testing.T) {
	t.Parallel()
	s := newSink(t, sinkOptions{Keywords: []string{"SIZE 0", "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8"}})
	e := newEdge(t)
	pickup, replay := filepath.Join(e.dir, "pickup"), filepath.Join(e.dir, "replay")
	e.route("out", "*", s.addr, "")
	e.more = "\n[pickup]\npickup_directory_path = \"" + pickup + "\"\n"
	for _, dir := range []string{pickup, replay} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	drop(t, pickup, "one.eml", "From: Kim <kim@contoso.example>\nTo: bob@y.example\nCc: \"a b\"@y.example\nBcc: secret@y.example\n"+
		"X-MS-Exchange-Organization-AuthAs: Internal\nSubject: gr\u00fc\u00dfe\n\n.dots\nand \u00fc\n")
	drop(t, replay, "later.eml", "X-Sender: <kim@contoso.example> RET=HDRS ENVID=abc\nX-Receiver: <ann@y.example> NOTIFY=NEVER\n"+
		"Received: by elsewhere\nSubject: replayed\n\nbody\n")
	g := e.serve(t)
	d := s.await(t, 1)[0]
	trace, rest, err := splitTrace(d.Data)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(d.Rcpt, " ") != `TO:<bob@y.example> TO:<"a b"@y.example> TO:<secret@y.example>` || !strings.HasPrefix(d.Mail, "FROM:<kim@contoso.example>") ||
		!strings.Contains(d.Mail, "BODY=8BITMIME") {
		t.Errorf("envelope %q %q", d.Mail, d.Rcpt)
	}
	if !strings.Contains(string(trace), "from localhost by edge.contoso.example with Pickup") {
		t.Errorf("trace %q", trace)
	}
	_, below, _ := strings.Cut(string(rest), "From: ")
	if want := "Kim <kim@contoso.example>\r\nTo: bob@y.example\r\nCc: \"a b\"@y.example\r\nSubject: gr\u00fc\u00dfe\r\n\r\n.dots\r\nand \u00fc\r\n"; below != want {
		t.Errorf("content %q", rest)
	}
	if got := filesIn(t, replay); got != "later.eml" {
		t.Errorf("Replay is off, and its directory holds %q", got)
	}

	// A reload puts the other directory in force at once.
	e.more += "replay_directory_path = \"" + replay + "\"\n"
	e.write(t)
	if code, _, stderr := g.reload(t); code != 0 {
		t.Fatal(code, stderr)
	}
	d = s.await(t, 2)[1]
	if d.Mail != "FROM:<kim@contoso.example> RET=HDRS ENVID=abc" && !strings.Contains(d.Mail, "ENVID=abc") || strings.Join(d.Rcpt, " ") != "TO:<ann@y.example> NOTIFY=NEVER" ||
		!strings.HasSuffix(string(d.Data), "Received: by elsewhere\r\nSubject: replayed\r\n\r\nbody\r\n") || strings.Contains(string(d.Data), "X-Sender") {
		t.Errorf("replayed %q %q %q", d.Mail, d.Rcpt, d.Data)
	}

	// What is no message is set aside, and its sender is told.
	drop(t, pickup, "bad.eml", "From: kim@contoso.example\nTo: bob@y.example\n\nNUL \x00\n")
	checkNotification(t, s.await(t, 3)[2], "bob@y.example", "554 5.6.0 it holds a NUL octet")
	g.stop(t)
	if got := filesIn(t, pickup); got != "bad.bad" {
		t.Errorf("the Pickup directory holds %q", got)
	}
}

// TestPickupAfterCrash: files that were in hand when the gateway was killed are
// neither sent twice, delivered though they are by then, nor left.
func TestPickupAfterCrash(t *testing.T) {
	t.Parallel()
	s := newSink(t, sinkOptions{})
	e := newEdge(t)
	pickup := filepath.Join(e.dir, "pickup")
	e.route("out", "*", s.addr, "")
	e.more = "\n[pickup]\npickup_directory_path = \"" + pickup + "\"\n"
	if err := os.Mkdir(pickup, 0o700); err != nil {
		t.Fatal(err)
	}
	text := "From: kim@contoso.example\nTo: bob@y.example\n\nonce\n"
	drop(t, pickup, "one.eml", text)
	g := e.serve(t)
	d := s.await(t, 1)[0]
	until(t, "the file to go", func() bool { return filesIn(t, pickup) == "" })
	trace, _, err := splitTrace(d.Data)
	if err != nil {
		t.Fatal(err)
	}
	_, id, _ := strings.Cut(strings.Join(strings.Fields(string(trace)), " "), " id ")
	id, _, _ = strings.Cut(id, " ")
	id = strings.TrimSuffix(id, ";")
	g.stop(t) // so that the spool knows of the delivery
	// As the directory would be after a power cut, had the file's removal not
	// reached the disk; and another file, whose message was never stored.
	drop(t, pickup, "one."+id+".tmp", text)
	drop(t, pickup, "two.000000000000Z.tmp", strings.ReplaceAll(text, "bob", "two"))
	g = e.serve(t)
	if d := s.await(t, 2)[1]; d.Rcpt[0] != "TO:<two@y.example>" {
		t.Errorf("delivered again: %q", d.Rcpt)
	}
	until(t, "the files to go", func() bool { return filesIn(t, pickup) == "" })
	g.stop(t)
	if s.count() != 2 {
		t.Errorf("%d deliveries, want 2", s.count())
	}
}

// TestPickupKilled kills the gateway again and again while it takes files for a
// next hop that is down. When it is back, every message arrives once.
func TestPickupKilled(t *testing.T) {
	t.Parallel()
	const files, kills = 120, 6
	s := newSink(t, sinkOptions{})
	s.close()
	e := newEdge(t)
	e.top = impatient
	pickup := filepath.Join(e.dir, "pickup")
	e.route("out", "*", s.addr, "")
	e.more = "\n[pickup]\npickup_directory_path = \"" + pickup + "\"\npickup_directory_max_messages_per_minute = 20000\n"
	if err := os.Mkdir(pickup, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range files {
		drop(t, pickup, fmt.Sprintf("%d.eml", i), fmt.Sprintf("From: kim@contoso.example\nTo: r%d@y.example\n\nonce\n", i))
	}
	cut := 0
	for i := range kills {
		g := e.serve(t)
		until(t, "the gateway to be in the midst of it", func() bool {
			return strings.Count(filesIn(t, pickup), ".eml") <= files-(i+1)*files/(2*kills)
		})
		g.kill()
		cut += strings.Count(filesIn(t, pickup), ".tmp")
	}
	t.Logf("%d files were in hand when the gateway was killed", cut)
	g := e.serve(t)
	until(t, "the files to go", func() bool { return filesIn(t, pickup) == "" })
	g.stop(t)
	s.listen(t)
	e.serve(t)
	copies := map[string]int{}
	for _, d := range s.awaitWithin(t, time.Minute, files) {
		copies[d.Rcpt[0]]++
	}
	if len(copies) != files || s.count() != files {
		t.Errorf("%d messages for %d recipients, want %d", s.count(), len(copies), files)
	}
}
