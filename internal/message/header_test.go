package message

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type headerFacts struct {
	size           int64
	received       int
	date, from, id bool
	messageID      string
	done           bool
}

func factsOf(s *HeaderScanner) headerFacts {
	return headerFacts{s.Size(), s.Received(), s.HasDate(), s.HasFrom(), s.HasMessageID(), s.MessageID(), s.Done()}
}

// scan feeds the content in pieces of the given size.
func scan(content []byte, piece int) headerFacts {
	var s HeaderScanner
	for len(content) > 0 {
		n := min(piece, len(content))
		if s.Scan(content[:n]) {
			break
		}
		content = content[n:]
	}
	done := s.Done()
	s.Close()
	f := factsOf(&s)
	f.done = done
	return f
}

func TestHeaderScanner(t *testing.T) {
	tests := []struct {
		name, in string
		want     headerFacts
	}{
		{"plain", "Received: a\r\nReceived: b\r\n\tfolded\r\nFrom: x\r\nDate: y\r\nMessage-ID: <i@d>\r\n\r\nbody",
			headerFacts{74, 2, true, true, true, "<i@d>", true}},
		{"any case, space before colon", "FROM : x\r\ndate\t: y\r\nmessage-id:<i@d>\r\n\r\n",
			headerFacts{40, 0, true, true, true, "<i@d>", true}},
		{"folded id", "Message-ID:\r\n <i@d>\r\n\r\n", headerFacts{23, 0, false, false, true, "<i@d>", true}},
		{"id in two lines", "Message-ID: <i\r\n @d>\r\n\r\n", headerFacts{24, 0, false, false, true, "<i@d>", true}},
		{"first id counts", "Message-ID: <a>\r\nMessage-ID: <b>\r\n\r\n", headerFacts{36, 0, false, false, true, "<a>", true}},
		{"id with comment", "Message-ID: (c) <a> x\r\n\r\n", headerFacts{25, 0, false, false, true, "<a>", true}},
		{"id without brackets", "Message-ID: a@b \r\n\r\n", headerFacts{20, 0, false, false, true, "a@b", true}},
		{"empty id", "Message-ID:\r\n\r\n", headerFacts{15, 0, false, false, true, "", true}},
		{"hostile id", "Message-ID: <a\x00\x1b[2J\x7f@b>\r\n\r\n", headerFacts{27, 0, false, false, true, "<a[2J@b>", true}},
		{"long id", "Message-ID: <" + strings.Repeat("a", 997) + ">\r\n\r\n", headerFacts{1015, 0, false, false, true, "", true}},
		{"no body", "From: x\r\n", headerFacts{9, 0, false, true, false, "", false}},
		{"cut in a field", "From: x\r\nDate: y", headerFacts{16, 0, true, true, false, "", false}},
		{"cut in a name", "From: x\r\nDat", headerFacts{9, 0, false, true, false, "", false}},
		{"empty header", "\r\nDate: x\r\n", headerFacts{2, 0, false, false, false, "", true}},
		{"empty", "", headerFacts{}},
		{"no header", "Hello,\r\nDate: x\r\n", headerFacts{0, 0, false, false, false, "", true}},
		{"leading space", " Date: x\r\n\r\n", headerFacts{0, 0, false, false, false, "", true}},
		{"body without empty line", "From: x\r\nHello you\r\nDate: x\r\n", headerFacts{9, 0, false, true, false, "", true}},
		{"white-space line goes on", "From: x\r\n \r\nDate: y\r\n\r\n", headerFacts{23, 0, true, true, false, "", true}},
		{"bare LF", "From: x\nDate: y\n\nbody", headerFacts{17, 0, true, true, false, "", true}},
		{"mbox", "From a@b Sat Nov 21\r\nDate: y\r\n\r\n", headerFacts{32, 0, true, false, false, "", true}},
		{"mbox, escaped", ">From a@b Sat Nov 21\r\nDate: y\r\n\r\n", headerFacts{33, 0, true, false, false, "", true}},
		{"mbox in the middle", "Date: y\r\nFrom a@b\r\n\r\n", headerFacts{9, 0, true, false, false, "", true}},
		{"no name", ": x\r\n\r\n", headerFacts{0, 0, false, false, false, "", true}},
		{"CR at the line's start", "Date: y\r\n\rFrom: x\r\n", headerFacts{9, 0, true, false, false, "", true}},
		{"longer names", "Received-SPF: pass\r\nDated: x\r\nFrom-Here: y\r\nX-Very-Long-Name-Received: z\r\n\r\n",
			headerFacts{76, 0, false, false, false, "", true}},
		{"8-bit", "Subject: \xfc\xff\r\nDate: y\r\n\r\n", headerFacts{24, 0, true, false, false, "", true}},
	}
	for _, tt := range tests {
		for _, piece := range []int{1, 2, 3, 5, 4096} {
			if got := scan([]byte(tt.in), piece); got != tt.want {
				t.Errorf("%s in pieces of %d: got %+v, want %+v", tt.name, piece, got, tt.want)
			}
		}
	}
}

// The scanner must take every message there is, in whatever pieces, and for
// proper ones count what a line-wise reading finds.
func TestHeaderScannerCorpus(t *testing.T) {
	files := 0
	err := filepath.WalkDir(shared(t, "corpus"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "README.md" {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		crlf := bytes.ReplaceAll(bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		for _, content := range [][]byte{raw, crlf} {
			whole := scan(content, len(content)+1)
			for _, piece := range []int{1, 7, 64} {
				if got := scan(content, piece); got != whole {
					t.Errorf("%s: in pieces of %d %+v, whole %+v", path, piece, got, whole)
				}
			}
			if whole.size > int64(len(content)) {
				t.Errorf("%s: a header block of %d octets in %d", path, whole.size, len(content))
			}
			checkHeader(t, path, content[:whole.size], whole)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 100 {
		t.Errorf("only %d messages in the corpus", files)
	}
}

// checkHeader counts fields line by line in what the scanner took for the
// header block.
func checkHeader(t *testing.T, path string, header []byte, got headerFacts) {
	t.Helper()
	received, date, from, id := 0, false, false, false
	for line := range bytes.Lines(header) {
		name, _, ok := bytes.Cut(line, []byte(":"))
		if !ok || line[0] == ' ' || line[0] == '\t' {
			continue
		}
		switch strings.ToLower(strings.TrimRight(string(name), " \t")) {
		case "received":
			received++
		case "date":
			date = true
		case "from":
			from = true
		case "message-id":
			id = true
		}
	}
	if got.received != received || got.date != date || got.from != from || got.id != id {
		t.Errorf("%s: got %+v; want %d Received, Date %v, From %v, Message-ID %v", path, got, received, date, from, id)
	}
}

func TestHeaderScannerMemory(t *testing.T) {
	var s HeaderScanner
	chunk := bytes.Repeat([]byte("x"), 1<<20)
	s.Scan([]byte("Message-ID: "))
	for range 8 {
		s.Scan(chunk)
	}
	if len(s.id) > maxMessageID || s.Size() != 8<<20+12 {
		t.Errorf("%d octets kept of %d", len(s.id), s.Size())
	}
}

func FuzzHeaderScanner(f *testing.F) {
	f.Add([]byte("From a b\r\nFrom: x\r\nMessage-ID: <a>\r\n\r\n"), uint8(3))
	f.Add([]byte("Received\t: x\n y\r\n\r\r\n"), uint8(1))
	f.Fuzz(func(t *testing.T, content []byte, piece uint8) {
		whole := scan(content, len(content)+1)
		if got := scan(content, int(piece)+1); got != whole {
			t.Fatalf("in pieces of %d %+v, whole %+v", int(piece)+1, got, whole)
		}
		if whole.size > int64(len(content)) || len(whole.messageID) > maxMessageID {
			t.Fatalf("%+v from %d octets", whole, len(content))
		}
		checkHeader(t, "input", content[:whole.size], whole)
	})
}

func BenchmarkHeaderScanner(b *testing.B) {
	header := []byte(strings.Repeat("Received: from client.example.net ([192.0.2.7]) by edge.contoso.example\r\n\twith ESMTP; Sat, 21 Nov 2026\r\n", 8) +
		"From: a@b\r\nTo: c@d\r\nSubject: hello\r\nDate: now\r\nMessage-ID: <a@b>\r\n\r\n")
	b.SetBytes(int64(len(header)))
	b.ReportAllocs()
	for b.Loop() {
		var s HeaderScanner
		if !s.Scan(header) {
			b.Fatal("no end")
		}
	}
}

// TestHeaderEightBit: what is not US-ASCII counts in a field and its
// continuation, wherever it is cut, and not in the body.
func TestHeaderEightBit(t *testing.T) {
	for text, want := range map[string]bool{
		"Subject: plain\r\n\r\n\xc3\xbc":                false,
		"Subject: \xc3\xbc\r\n\r\n":                     true,
		"Subject: a\r\n b\xc3\xbc\r\nTo: x\r\n\r\nbody": true,
		"Message-ID: <\xc3\xbc@y>\r\n\r\n":              true,
		"":                                              false,
	} {
		for cut := range len(text) + 1 {
			var s HeaderScanner
			s.Scan([]byte(text[:cut]))
			s.Scan([]byte(text[cut:]))
			s.Close()
			if s.EightBit() != want {
				t.Errorf("%q cut at %d: %v", text, cut, s.EightBit())
			}
		}
	}
}
