package wire

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"postern/internal/message"
)

func TestReplyAppend(t *testing.T) {
	words := strings.TrimSuffix(strings.Repeat("word ", 200), " ")
	tests := []struct {
		rule          string
		code          int
		enhanced      smtp.EnhancedCode
		text          string
		with, without string // enhanced codes
	}{
		{"RFC 5321 4.2", 250, smtp.EnhancedCode{2, 1, 0}, "Sender OK", "250 2.1.0 Sender OK\r\n", "250 Sender OK\r\n"},
		{"RFC 2034 4: never in 3yz", 354, smtp.EnhancedCode{}, "Start mail input", "354 Start mail input\r\n", "354 Start mail input\r\n"},
		{"RFC 2034 4: class", 451, smtp.EnhancedCode{}, "Later", "451 4.0.0 Later\r\n", "451 Later\r\n"},
		{"RFC 2034 4: none", 220, smtp.NoEnhancedCode, "edge ESMTP", "220 edge ESMTP\r\n", "220 edge ESMTP\r\n"},
		{"RFC 5321 4.2.1", 250, smtp.NoEnhancedCode, "edge\nSIZE 1\r\nDSN", "250-edge\r\n250-SIZE 1\r\n250 DSN\r\n", "250-edge\r\n250-SIZE 1\r\n250 DSN\r\n"},
		{"every line is coded", 550, smtp.EnhancedCode{5, 7, 1}, "a\nb", "550-5.7.1 a\r\n550 5.7.1 b\r\n", "550-a\r\n550 b\r\n"},
		{"no text", 250, smtp.EnhancedCode{2, 0, 0}, "", "250 2.0.0\r\n", "250 \r\n"},
		{"empty lines", 250, smtp.EnhancedCode{2, 0, 0}, "a\n\nb\n", "250-2.0.0 a\r\n250-2.0.0\r\n250-2.0.0 b\r\n250 2.0.0\r\n", "250-a\r\n250-\r\n250-b\r\n250 \r\n"},
		{"no injection", 550, smtp.EnhancedCode{5, 1, 1}, "<a\r250 OK\x00\x1b\xffö> \ttab", "550 5.1.1 <a?250 OK?????> \ttab\r\n", ""},
		{"a code nobody set", 0, smtp.EnhancedCode{}, "x", "451 x\r\n", "451 x\r\n"},
		{"RFC 5321 4.5.3.1.5", 550, smtp.NoEnhancedCode, words, "550-" + words[:504] + "\r\n550 " + words[505:] + "\r\n", ""},
		{"RFC 5321 4.5.3.1.5", 550, smtp.NoEnhancedCode, strings.Repeat("x", 600), "550-" + strings.Repeat("x", 506) + "\r\n550 " + strings.Repeat("x", 94) + "\r\n", ""},
	}
	for _, tt := range tests {
		r := NewReply(tt.code, tt.enhanced, tt.text)
		if got := string(r.Append([]byte("x"), true)); got != "x"+tt.with {
			t.Errorf("%s: %q, want %q", tt.rule, got, tt.with)
		}
		if got := string(r.Append(nil, false)); tt.without != "" && got != tt.without {
			t.Errorf("%s, without enhanced codes: %q, want %q", tt.rule, got, tt.without)
		}
	}
	flood := NewReply(550, smtp.EnhancedCode{5, 0, 0}, strings.Repeat("x\n", 100000))
	if n := len(flood.Append(nil, true)); n > 100*MaxReplyLine {
		t.Errorf("a reply of %d octets", n)
	}
}

func TestReplyError(t *testing.T) {
	r := NewReply(550, smtp.EnhancedCode{5, 1, 1}, "User\nunknown").WithLog("no such user")
	if got := r.Error(); got != "550 5.1.1 User unknown (no such user)" {
		t.Error(got)
	}
	wrapped := fmt.Errorf("at RCPT: %w", r)
	if s, ok := errors.AsType[*smtp.SMTPError](wrapped); !ok || s.Code != 550 {
		t.Error("the reply of go-smtp is not found")
	}
	if w, ok := errors.AsType[*Reply](wrapped); !ok || w != r {
		t.Error("the reply is not found")
	}
}

func TestReplyAllocates(t *testing.T) {
	buf := make([]byte, 0, 512)
	r := NewReply(250, smtp.EnhancedCode{2, 1, 0}, "Sender OK")
	if n := testing.AllocsPerRun(100, func() { _ = r.Append(buf, true) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestReadReply(t *testing.T) {
	tests := []struct {
		rule, in string
		want     message.Reply
		lines    int
		err      error
	}{
		{"RFC 5321 4.2", "250 OK\r\n", message.Reply{Code: 250, Text: "OK"}, 1, nil},
		{"RFC 5321 4.2", "250\r\n", message.Reply{Code: 250}, 1, nil},
		{"RFC 5321 4.2", "250 \r\n", message.Reply{Code: 250}, 1, nil},
		{"RFC 5321 4.2.1", "250-a\r\n250-\r\n250 c\r\n", message.Reply{Code: 250, Text: "a\n\nc"}, 3, nil},
		{"RFC 5321 4.2.1", "250-a\r\n250\r\n", message.Reply{Code: 250, Text: "a\n"}, 2, nil},
		{"RFC 2034 4", "550 5.1.1 User unknown\r\n", message.Reply{Code: 550, Enhanced: [3]int{5, 1, 1}, Text: "User unknown"}, 1, nil},
		{"RFC 2034 4", "550 5.1.1\r\n", message.Reply{Code: 550, Enhanced: [3]int{5, 1, 1}}, 1, nil},
		{"RFC 2034 4", "550-5.7.26 a\r\n550 5.7.26 b\r\n", message.Reply{Code: 550, Enhanced: [3]int{5, 7, 26}, Text: "a\nb"}, 2, nil},
		{"RFC 2034 4: lines that differ", "550-5.7.1 a\r\n550 5.7.2 b\r\n", message.Reply{Code: 550, Enhanced: [3]int{5, 7, 1}, Text: "a\n5.7.2 b"}, 2, nil},
		{"RFC 2034 4: first line decides", "550-a\r\n550 5.7.2 b\r\n", message.Reply{Code: 550, Text: "a\n5.7.2 b"}, 2, nil},
		{"RFC 2034 4: class must fit", "550 4.1.1 x\r\n", message.Reply{Code: 550, Text: "4.1.1 x"}, 1, nil},
		{"RFC 2034 4: class must fit", "250 5.1.1 x\r\n", message.Reply{Code: 250, Text: "5.1.1 x"}, 1, nil},
		{"RFC 2034 4: none in 3yz", "354 3.0.0 x\r\n", message.Reply{Code: 354, Text: "3.0.0 x"}, 1, nil},
		{"RFC 3463 2", "550 5.1.1.1 x\r\n", message.Reply{Code: 550, Text: "5.1.1.1 x"}, 1, nil},
		{"RFC 3463 2", "550 5.1234.1 x\r\n", message.Reply{Code: 550, Text: "5.1234.1 x"}, 1, nil},
		{"RFC 3463 2", "550 5..1 x\r\n", message.Reply{Code: 550, Text: "5..1 x"}, 1, nil},
		{"RFC 3463 2", "550 5.1.-1 x\r\n", message.Reply{Code: 550, Text: "5.1.-1 x"}, 1, nil},
		{"bare LF", "250-a\n250 b\n", message.Reply{Code: 250, Text: "a\nb"}, 2, nil},
		{"foreign text is kept", "250 \x00\x1b[2J\xff\r\r\n", message.Reply{Code: 250, Text: "\x00\x1b[2J\xff\r"}, 1, nil},
		{"a long line is cut", "250 " + strings.Repeat("x", 60000) + "\r\n", message.Reply{Code: 250, Text: strings.Repeat("x", 2044)}, 1, nil},
		{"100 lines", strings.Repeat("250-x\r\n", 99) + "250 x\r\n", message.Reply{Code: 250, Text: strings.Repeat("x\n", 99) + "x"}, 100, nil},

		{"101 lines", strings.Repeat("250-x\r\n", 100) + "250 x\r\n", message.Reply{Code: 250}, 100, ErrReply},
		{"64 KB", "250-" + strings.Repeat("x", 60000) + "\r\n250 " + strings.Repeat("x", 60000) + "\r\n", message.Reply{Code: 250}, 1, ErrReply},
		{"codes that differ", "250-a\r\n550 b\r\n", message.Reply{Code: 250}, 2, ErrReply},
		{"no code", "hello\r\n", message.Reply{}, 1, ErrReply},
		{"no code", "\r\n", message.Reply{}, 1, ErrReply},
		{"no code", "25\r\n", message.Reply{}, 1, ErrReply},
		{"no code", "2500 x\r\n", message.Reply{}, 1, ErrReply},
		{"no code", "250x\r\n", message.Reply{}, 1, ErrReply},
		{"no code", "150 x\r\n", message.Reply{}, 1, ErrReply},
		{"no code", "650 x\r\n", message.Reply{}, 1, ErrReply},
		{"no code", " 250 x\r\n", message.Reply{}, 1, ErrReply},
		{"no code", "250-a\r\nb\r\n", message.Reply{Code: 250}, 2, ErrReply},
		{"the end", "", message.Reply{}, 0, io.EOF},
		{"an end within", "250", message.Reply{}, 0, io.ErrUnexpectedEOF},
		{"an end within", "250-a\r\n", message.Reply{Code: 250}, 1, io.ErrUnexpectedEOF},
	}
	for _, tt := range tests {
		for seed := range uint64(4) {
			in := tt.in
			if tt.err == nil {
				in += "221 bye\r\n"
			}
			pieces := [][]byte{[]byte(in)}
			if seed > 0 {
				pieces = cut([]byte(in), rand.New(rand.NewPCG(seed, 8)))
			}
			r := NewReader(&chunks{pieces: pieces}, 0)
			got, lines, err := r.ReadReply()
			if !errors.Is(err, tt.err) || len(lines) != tt.lines {
				t.Errorf("%s: %.60q gives %d lines, %v", tt.rule, tt.in, len(lines), err)
			}
			if err != nil {
				got.Enhanced, got.Text = [3]int{}, ""
			}
			if got != tt.want {
				t.Errorf("%s: %.60q is %+.200v, want %+.200v", tt.rule, tt.in, got, tt.want)
			}
			for _, line := range lines {
				if strings.Contains(line, "\n") || len(line) > maxReplyIn {
					t.Errorf("%s: the line %.60q", tt.rule, line)
				}
			}
			if tt.err == nil {
				if next, _, err := r.ReadReply(); err != nil || next.Code != 221 {
					t.Errorf("%s: the next reply is %v, %v", tt.rule, next, err)
				}
			}
			if len(r.buf) > r.size {
				t.Errorf("%s: the buffer grew to %d octets", tt.rule, len(r.buf))
			}
		}
	}
}

// Whatever we send is read by our client as we meant it.
func FuzzReply(f *testing.F) {
	f.Add(550, 1, 1, "User unknown\nreally")
	f.Add(250, 0, 0, "a\r\n250 b\rc")
	f.Add(354, -1, 0, strings.Repeat("x ", 400))
	f.Fuzz(func(t *testing.T, code, subject, detail int, text string) {
		if subject < 0 || subject > 999 || detail < 0 || detail > 999 || code < 0 {
			return
		}
		r := NewReply(code, smtp.EnhancedCode{code / 100, subject, detail}, text)
		b := r.Append(nil, true)
		for line := range strings.SplitSeq(strings.TrimSuffix(string(b), "\r\n"), "\r\n") {
			if len(line) > MaxReplyLine-2 || strings.ContainsAny(line, "\r\n\x00") {
				t.Fatalf("the line %q", line)
			}
		}
		rd := NewReader(strings.NewReader(string(b)), 0)
		got, _, err := rd.ReadReply()
		if err != nil {
			if strings.Count(string(b), "\n") < maxReplyInLines && len(b) <= maxReplyInTotal {
				t.Fatalf("%q is read as %v", b, err)
			}
			return
		}
		if code >= 200 && code <= 599 && got.Code != code || rd.Buffered() != 0 {
			t.Fatalf("%q is read as %v", b, got)
		}
	})
}

func FuzzReadReply(f *testing.F) {
	f.Add([]byte("250-a\r\n250 b\r\n"), uint64(1))
	f.Add([]byte("550 5.1.1 x\n"), uint64(1))
	f.Add([]byte("250-EDGE\r\n250-SIZE 10\r\n250-AUTH LOGIN PLAIN\r\n250-LIMITS RCPTMAX=7\r\n250 pipelining\r\n"), uint64(1))
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		whole, lines, err := NewReader(strings.NewReader(string(in)), 0).ReadReply()
		pieced, lines2, err2 := NewReader(&chunks{pieces: cut(in, rand.New(rand.NewPCG(seed, 9)))}, 512).ReadReply()
		if whole != pieced || fmt.Sprint(err) != fmt.Sprint(err2) || strings.Join(lines, "|") != strings.Join(lines2, "|") {
			t.Fatalf("%q: whole %v, %v; in pieces %v, %v", in, whole, err, pieced, err2)
		}
		if e := ParseEHLO(lines); len(e.Auth) > maxMechanisms || e.Size < 0 || e.Limits.RcptMax < 0 {
			t.Fatalf("%+v", e)
		}
	})
}
