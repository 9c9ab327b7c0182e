package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/message"
	"postern/queue/spool"
)

// keep puts a message with two recipients into a new spool, one of them
// deferred, and returns the spool's directory and the queue id.
func keep(t *testing.T, content string) (dir, id string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "spool")
	s, err := spool.Open(dir, spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	e := &message.Envelope{
		From: message.Address{Local: "bob", Domain: "fabrikam.example"}, Size: int64(len(content)), Arrived: time.Now(),
		Recipients: []message.Recipient{
			{Address: message.Address{Local: "kim", Domain: "contoso.example"}},
			{Address: message.Address{Local: "lee", Domain: "contoso.example"}},
		},
	}
	if err := d.Commit(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	err = s.Update(d.ID(), &message.Update{At: time.Now(), Outcomes: []message.Outcome{{
		Recipients: []int{1}, Status: message.Deferred, Tries: 1, Due: time.Now().Add(time.Minute),
		Reply: message.Reply{Code: 421, Enhanced: [3]int{4, 4, 1}, Text: "Connection timed out\x1b[31m"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, d.ID().String()
}

// command runs a command line that must succeed.
func command(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(context.Background(), args, streams{strings.NewReader(""), &out, &errs}); code != exitDone {
		t.Fatalf("postern %s: exit code %d: %s%s", strings.Join(args, " "), code, out.String(), errs.String())
	}
	return out.String()
}

func TestSpoolDump(t *testing.T) {
	dir, id := keep(t, "Subject: kept\r\n\r\ntext\r\n")
	got := command(t, "spool", "dump", dir)
	for _, want := range []string{id, "<bob@fabrikam.example>", "to <kim@contoso.example> pending to <lee@contoso.example> deferred after 1 try", "421 4.4.1", "1 message, "} {
		if !strings.Contains(strings.Join(strings.Fields(got), " "), want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	t.Setenv("COLUMNS", "80")
	narrow := command(t, "spool", "dump", dir)
	for l := range strings.Lines(narrow) {
		if len(l) > 81 {
			t.Errorf("a line of %d columns: %q", len(l)-1, l)
		}
	}
	if n := strings.Count(narrow, "\n"); n > 8 {
		t.Errorf("%d lines for one message with two recipients:\n%s", n, narrow)
	}
	if strings.Contains(got, "\x1b") {
		t.Errorf("a peer's text gives the terminal orders: %q", got)
	}
	var d dumped
	if err := json.Unmarshal([]byte(command(t, "spool", "dump", dir, "-o", "json")), &d); err != nil {
		t.Fatal(err)
	}
	if d.Summary.Messages != 1 || len(d.Messages) != 1 || d.Messages[0].ID != id || d.Messages[0].Recipients[1].Tries != 1 || d.Damage == nil {
		t.Errorf("JSON %+v", d)
	}
}

func TestSpoolSalvage(t *testing.T) {
	const content = "Subject: kept\r\n\r\ntext\r\n"
	dir, id := keep(t, content)
	out := filepath.Join(t.TempDir(), "rescued")
	if got := command(t, "spool", "salvage", dir, "--to", out); !strings.HasPrefix(got, "1 message written to "+out) {
		t.Errorf("it says %q", got)
	}
	text, err := os.ReadFile(filepath.Join(out, id+".eml"))
	if err != nil || string(text) != content {
		t.Errorf("content %q, %v", text, err)
	}
	envelope, err := os.ReadFile(filepath.Join(out, id+".json"))
	if err != nil || !strings.Contains(string(envelope), `"sender": "bob@fabrikam.example"`) {
		t.Errorf("envelope %s, %v", envelope, err)
	}
}
