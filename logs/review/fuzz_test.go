package review

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/logs"
)

// FuzzLine compares the reader of lines with that of the package that writes
// them: what is a line for that one is the same line for this one, and a line
// that was written is read back.
func FuzzLine(f *testing.F) {
	for _, text := range []string{exchangeReceive, exchangeSend, strings.Join(session("AAAAAAAAAAAAAAA1", 1), "")} {
		for _, line := range strings.Split(text, "\n") {
			f.Add(line)
		}
	}
	for _, l := range []logs.Line{
		{Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Connector: `A\"b", c`, Session: "X", Event: logs.EventSent, Data: "\x00\\x41 \"q\"", Context: "=1"},
		{Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Session: "Y", Event: logs.EventReceived, Data: `\`},
	} {
		f.Add(l.String())
		f.Add(string(l.AppendJSON(nil, logs.ReceiveProtocol)))
	}
	f.Add(`{"log":"send","time":"2026-01-01T00:00:00Z","session":"X","sequence":0,"event":"\u003e","data":"a\\\"b","new":[1,{"a":"]"}]}`)
	own := formatIn([]byte(ownHeader))
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.TrimRight(text, "\r\n")
		if strings.ContainsAny(text, "\r\n") {
			return
		}
		form := own
		if strings.HasPrefix(text, "{") {
			form = jsonFormat
		}
		var r lineReader
		var v view
		ok := r.parse(form, []byte(text), &v)
		want, err := logs.ParseLine(text)
		if ok {
			again := form.line(&v)
			if back, err := logs.ParseLine(again.String()); err != nil || len(again.Data) <= logs.MaxField && len(again.Context) <= logs.MaxField && back != again {
				t.Fatalf("%q was read as %+v, which comes back as %+v, %v", text, again, back, err)
			}
		}
		if err != nil || want.Session == "" || want.Sequence < 0 || want.Sequence > 999_999_999 || len(text) > maxLine {
			return
		}
		if text != want.String() && text+"\n" != string(want.AppendJSON(nil, logs.ReceiveProtocol)) {
			return // not as the gateway writes it
		}
		if !ok {
			t.Fatalf("%q was not read, and is %+v", text, want)
		}
		if got := form.line(&v); got != want {
			t.Fatalf("%q was read as\n%+v, want\n%+v", text, got, want)
		}
	})
}

// FuzzFiles reads files of anything. Whatever they hold, sessions come newest
// first as far as their times go, each line is counted once, and nothing goes
// wrong.
func FuzzFiles(f *testing.F) {
	whole := ownHeader + strings.Join(session("AAAAAAAAAAAAAAA1", 1), "") + strings.Join(session("AAAAAAAAAAAAAAA2", 2), "")
	f.Add([]byte(whole), []byte(whole), uint16(300))
	f.Add([]byte(exchangeReceive), []byte(exchangeSend), uint16(1))
	f.Add([]byte(whole[:500]), []byte(whole[450:]), uint16(70))
	f.Add([]byte("\x00\x00\n\n#Fields: a,b\n{}\n{\"session\":\"x\"}"), []byte(`2026-11-20T10:00:01.000Z,"x`), uint16(0))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, first, second []byte, cut uint16) {
		for name, text := range map[string][]byte{"RECV20261120-1.log": first, "RECV20261120-2.log": second} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		files, err := At(dir)
		if err != nil {
			t.Fatal(err)
		}
		var p Progress
		read := 0
		for s, err := range files.Sessions(context.Background(), &Query{Lines: true}, &p) {
			if err != nil {
				t.Fatal(err)
			}
			if s.ID == "" || s.LineCount == 0 || !s.Omitted && s.LineCount != len(s.Lines) || s.End.Before(s.Start) || s.Missing < 0 {
				t.Fatalf("session %+v", s)
			}
			if _, err := s.MarshalJSON(); err != nil {
				t.Fatal(err)
			}
			read += s.LineCount
		}
		bad, _ := p.Unreadable()
		if int64(read)+bad < p.Lines() {
			t.Fatalf("%d lines in sessions and %d unreadable, of %d", read, bad, p.Lines())
		}
		for _, q := range []Query{
			{Sessions: []string{"AAAAAAAAAAAAAAA2", "0001"}}, {Text: "unknown", Failed: true}, {TLS: TLSFilter{Without: true}, MinDuration: time.Millisecond},
			{Since: time.Date(2026, 11, 20, 10, 0, 1, 0, time.UTC), Until: time.Date(2026, 11, 20, 10, 0, 2, 0, time.UTC)},
		} {
			for range files.Sessions(context.Background(), &q, nil) {
			}
		}
		for range files.Tracking(context.Background(), &Query{}, nil) {
		}
		// Blocks of another size give the same lines.
		w := &backward{c: &content{ReaderAt: bytes.NewReader(first), size: int64(len(first))}, file: &openFile{}, p: new(Progress), end: int64(len(first)), partial: true, expected: true}
		var together []byte
		buf := make([]byte, int(cut)+1)
		for b := w.next(buf); b != nil; b = w.next(buf) {
			together = append(append([]byte(nil), b.lines...), together...)
		}
		if long, _ := w.p.Unreadable(); long == 0 && !bytes.Equal(together, first[:bytes.LastIndexByte(first, '\n')+1]) {
			t.Fatalf("blocks of %d give %q of %q", cut+1, together, first)
		}
	})
}

// FuzzZipped reads compressed files of anything.
func FuzzZipped(f *testing.F) {
	dir := f.TempDir()
	writeZipped(f, filepath.Join(dir, "seed"), []byte(ownHeader+strings.Join(session("AAAAAAAAAAAAAAA1", 1), "")))
	seed, err := os.ReadFile(filepath.Join(dir, "seed"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(seed[:len(seed)/2])
	f.Add(append(append([]byte(nil), seed...), seed...))
	path := filepath.Join(dir, "RECV20261120-1.log.gz")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		files, err := At(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range files.Sessions(context.Background(), &Query{}, nil) {
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzFilters: whatever is written as a filter is refused with a reason or can
// be used.
func FuzzFilters(f *testing.F) {
	f.Add("2h", "198.51.100.0/24", "*.x@y", "4.7.*", "1.2")
	f.Add("2026-11-20 14:05", "::1-::2", "<>", "5xx", "yes")
	f.Add("yesterday", "", "\"a*b\"@*", "550", "no")
	text := []byte(ownHeader + strings.Join(session("AAAAAAAAAAAAAAA1", 1), ""))
	f.Fuzz(func(t *testing.T, since, peer, address, reply, tls string) {
		q, err := Filters{Since: since, Peer: []string{peer}, From: []string{address}, HELO: []string{address}, Reply: []string{reply}, TLS: tls, Text: address}.Query(time.Now())
		if err != nil {
			if len(err.Error()) < 10 {
				t.Fatalf("%q says nothing", err)
			}
			return
		}
		m := newMatcher(q, logs.Receive)
		for _, n := range m.needles {
			if n.text == "" {
				t.Fatal("a needle is empty")
			}
		}
		var s scanner
		s.read(m, &block{file: &openFile{format: formatIn(text)}, lines: text}, nil)
	})
}
