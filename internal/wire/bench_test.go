package wire

import (
	"bufio"
	"bytes"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"postern/internal/message"
)

// contents are what DATA carries in practice, and at worst; all have proper
// line ends.
var contents = []struct{ name, text string }{
	{"text", repeat("The quick brown fox jumps over the lazy dog. And back again, it does.\r\n")},
	{"base64", repeat(strings.Repeat("QUJD", 19) + "\r\n")},
	{"8bit", repeat("Der schnelle braune Fuchs springt \u00fcber \u00dcberf\u00fchrungen, Stra\u00dfen und B\u00e4che.\r\n")},
	{"long", strings.Repeat("x", 1<<20) + "\r\n"},
	{"empty", repeat("\r\n")},
	{"short", repeat("a\r\n")},
	{"mixed", mixed()},
	{"dotted", repeat(".a line that begins with a dot\r\n")},
	{"dottedShort", repeat(".x\r\n")},
	{"dot", repeat(".\r\n")},
	{"dots", repeat(strings.Repeat(".", 70) + "\r\n")},
}

func repeat(line string) string { return strings.Repeat(line, 1<<20/len(line)) }

// mixed are lines of any length up to 70 octets, every fourth with a dot.
func mixed() string {
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < 1<<20 {
		if r.IntN(4) == 0 {
			b.WriteByte('.')
		}
		b.WriteString(strings.Repeat("x", r.IntN(70)) + "\r\n")
	}
	return b.String()
}

// hostile are contents of which a client may hope that they cost much.
var hostile = []struct{ name, text string }{
	{"bareLF", repeat("\n")},
	{"bareCR", repeat("\r")},
	{"unix", repeat("The quick brown fox jumps over the lazy dog. And back again, it does.\n")},
	{"dotCR", repeat("\r\n.\rx")},
	{"dotLF", repeat("\n.")},
}

func encoded(b *testing.B, content string) []byte {
	var out bytes.Buffer
	w := NewDataWriter(bufio.NewWriter(&out))
	if _, err := w.Write([]byte(content)); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}

// passes runs pass, over n octets, as a benchmark. Besides the mean it reports
// the fastest pass: on a machine that has other work, what the code can do.
func passes(b *testing.B, n int, pass func()) {
	b.SetBytes(int64(n))
	b.ReportAllocs()
	best := time.Hour
	for b.Loop() {
		began := time.Now()
		pass()
		best = min(best, time.Since(began))
	}
	b.ReportMetric(float64(n)/1e6/best.Seconds(), "best-MB/s")
}

// BenchmarkDataReader counts the octets that come over the wire.
func BenchmarkDataReader(b *testing.B) {
	src := bytes.NewReader(nil)
	r := NewReader(src, 0)
	p := make([]byte, 32<<10)
	for _, mode := range []struct {
		name string
		mode BareLineEnds
	}{{"reject", RejectBareLineEnds}, {"normalise", NormaliseBareLineEnds}} {
		all := contents
		if mode.mode == NormaliseBareLineEnds {
			all = slices.Concat(contents, hostile)
		}
		for _, c := range all {
			in := encoded(b, c.text)
			b.Run(mode.name+"/"+c.name, func(b *testing.B) {
				passes(b, len(in), func() {
					src.Reset(in)
					r.Reset(src)
					if _, err := NewDataReader(r, mode.mode).WriteTo(io.Discard); err != nil {
						b.Fatal(err)
					}
				})
			})
		}
	}
	for _, c := range contents {
		in := encoded(b, c.text)
		b.Run("read/"+c.name, func(b *testing.B) {
			passes(b, len(in), func() {
				src.Reset(in)
				r.Reset(src)
				d := NewDataReader(r, RejectBareLineEnds)
				for {
					if _, err := d.Read(p); err != nil {
						break
					}
				}
			})
		})
	}
	// What is drained after the first bare line end was reported.
	for _, c := range hostile {
		in := encoded(b, c.text)
		b.Run("drain/"+c.name, func(b *testing.B) {
			passes(b, len(in), func() {
				src.Reset(in)
				r.Reset(src)
				d := NewDataReader(r, RejectBareLineEnds)
				if _, err := d.WriteTo(io.Discard); err == nil {
					b.Fatal("no bare line end was found")
				}
				if _, err := d.WriteTo(io.Discard); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// BenchmarkChunkReader is content that comes in chunks, held to its line ends.
func BenchmarkChunkReader(b *testing.B) {
	src := bytes.NewReader(nil)
	r := NewReader(src, 0)
	run := func(name, text string, mode BareLineEnds) {
		in := []byte(text)
		b.Run(name, func(b *testing.B) {
			l := NewLineEnds(io.Discard, mode)
			passes(b, len(in), func() {
				src.Reset(in)
				r.Reset(src)
				if _, err := NewChunkReader(r, uint64(len(in))).WriteTo(l); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
	for _, c := range contents {
		run("reject/"+c.name, c.text, RejectBareLineEnds)
	}
	for _, c := range slices.Concat(contents, hostile) {
		run("normalise/"+c.name, c.text, NormaliseBareLineEnds)
	}
}

func BenchmarkDataWriter(b *testing.B) {
	for _, c := range contents {
		content := []byte(c.text)
		b.Run(c.name, func(b *testing.B) {
			w := bufio.NewWriterSize(io.Discard, 32<<10)
			passes(b, len(content), func() {
				d := NewDataWriter(w)
				for p := range slices.Chunk(content, 32<<10) {
					_, _ = d.Write(p)
				}
				_ = d.Close()
			})
		})
	}
}

func BenchmarkParseCommand(b *testing.B) {
	line := []byte("MAIL FROM:<user.name@mail.contoso.example> SIZE=12345 BODY=8BITMIME")
	b.Run("line", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ParseCommand(line); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("mail", func(b *testing.B) {
		o := Features{Size: true, EightBitMIME: true}
		arg := string(line[5:])
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ParseMail(arg, o); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("rcpt", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ParseRcpt("TO:<user.name@mail.contoso.example>", Features{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkReadLine(b *testing.B) {
	line := "MAIL FROM:<user.name@mail.contoso.example> SIZE=12345 BODY=8BITMIME\r\n"
	src := strings.NewReader("")
	in := strings.Repeat(line, 1000)
	r := NewReader(src, 0)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.ReadLine(512); err != nil {
			src.Reset(in)
			r.Reset(src)
		}
	}
}

func BenchmarkReply(b *testing.B) {
	buf := make([]byte, 0, 1024)
	fixed := NewReply(250, smtp.EnhancedCode{2, 1, 0}, "Sender OK")
	ehlo := NewReply(250, smtp.NoEnhancedCode, "edge.contoso.example Hello [192.0.2.7]\nSIZE 37748736\nPIPELINING\nDSN\nENHANCEDSTATUSCODES\nSTARTTLS\n8BITMIME\nCHUNKING")
	for _, c := range []struct {
		name string
		r    *Reply
	}{{"fixed", fixed}, {"ehlo", ehlo}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = c.r.Append(buf, true)
			}
		})
	}
}

func BenchmarkReadReply(b *testing.B) {
	const in = "250 2.1.5 Recipient OK\r\n"
	src := strings.NewReader("")
	r := NewReader(src, 0)
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(in)
		r.Reset(src)
		if _, _, err := r.ReadReply(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendMail(b *testing.B) {
	e := &message.Envelope{From: message.Address{Local: "user.name", Domain: "mail.contoso.example"}, Body: message.Body8BitMIME}
	peer := Extensions{HasSize: true, EightBitMIME: true}
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := AppendMail(buf, e, peer, 12345); err != nil {
			b.Fatal(err)
		}
	}
}
