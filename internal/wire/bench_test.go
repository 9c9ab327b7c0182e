package wire

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"postern/internal/message"
)

// contents are what DATA carries in practice, and at worst.
var contents = []struct{ name, text string }{
	{"base64", strings.Repeat(strings.Repeat("QUJD", 19)+"\r\n", 1<<20/78)},
	{"text", strings.Repeat("The quick brown fox jumps over the lazy dog. And back again, it does.\r\n", 1<<20/71)},
	{"dots", strings.Repeat(".a line that begins with a dot\r\n", 1<<20/32)},
	{"short", strings.Repeat("\r\n", 1<<19)},
	{"binary", strings.Repeat(strings.Repeat("x", 8191)+"\n", 128)},
}

func BenchmarkDataReader(b *testing.B) {
	for _, c := range contents {
		var encoded bytes.Buffer
		w := NewDataWriter(bufio.NewWriter(&encoded))
		_, _ = w.Write([]byte(c.text))
		_ = w.Close()
		src := bytes.NewReader(encoded.Bytes())
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			for b.Loop() {
				src.Reset(encoded.Bytes())
				d := NewDataReader(NewReader(struct{ io.Reader }{src}, 0), RejectBareLineEnds)
				for {
					if _, err := d.WriteTo(io.Discard); err == nil {
						break
					}
				}
			}
		})
		b.Run(c.name+"/read", func(b *testing.B) {
			p := make([]byte, 32<<10)
			b.SetBytes(int64(len(c.text)))
			for b.Loop() {
				src.Reset(encoded.Bytes())
				d := NewDataReader(NewReader(struct{ io.Reader }{src}, 0), NormaliseBareLineEnds)
				for {
					if _, err := d.Read(p); err != nil {
						break
					}
				}
			}
		})
	}
	// What a hostile client can make it cost.
	for _, c := range []struct{ name, text string }{{"bareLF", "\n"}, {"bareCR", "\r"}} {
		in := strings.Repeat(c.text, 1<<20) + "\r\n.\r\n"
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				d := NewDataReader(NewReader(strings.NewReader(in), 0), NormaliseBareLineEnds)
				_, _ = d.WriteTo(io.Discard)
			}
		})
	}
}

func BenchmarkDataWriter(b *testing.B) {
	for _, c := range contents {
		content := []byte(c.text)
		b.Run(c.name, func(b *testing.B) {
			w := bufio.NewWriterSize(io.Discard, 32<<10)
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				d := NewDataWriter(w)
				for p := content; len(p) > 0; {
					n := min(32<<10, len(p))
					_, _ = d.Write(p[:n])
					p = p[n:]
				}
				_ = d.Close()
			}
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
