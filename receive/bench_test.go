package receive

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"

	"postern/config"
	"postern/internal/message"
)

// sink takes messages and forgets them.
type sink struct{}

type sinkDraft struct{}

func (sink) create() (draft, error)                                 { return sinkDraft{}, nil }
func (sink) submit(context.Context, draft, *message.Envelope) error { return nil }
func (sinkDraft) Write(p []byte) (int, error)                       { return len(p), nil }
func (sinkDraft) ID() message.ID                                    { return 1 }
func (sinkDraft) Abort()                                            {}

// BenchmarkMessage carries messages over loopback TCP to a queue that forgets
// them. The client, a few prepared writes, is part of what is measured.
func BenchmarkMessage(b *testing.B) {
	small := "Subject: x\r\nDate: x\r\nMessage-ID: <x@y>\r\n\r\n" + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 50)
	large := small + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 20_000)
	b.Run("connection each", func(b *testing.B) { benchmark(b, small, 1, false) })
	b.Run("connection for ten", func(b *testing.B) { benchmark(b, small, 10, false) })
	b.Run("pipelined", func(b *testing.B) { benchmark(b, small, 10, true) })
	b.Run("large", func(b *testing.B) { benchmark(b, large, 1, false) })
}

func benchmark(b *testing.B, body string, each int, pipelined bool) {
	s := New(Options{})
	s.queue = sink{}
	defer s.Close()
	s.Configure(Snapshot{Domains: testDomains, Connectors: []config.ReceiveConnector{testConnector(func(c *config.ReceiveConnector) {
		c.Bindings = bound("127.0.0.1:0").Bindings
		c.ProtocolLogging = "none"
	})}})
	state := s.Bindings()
	if state[0].Err != nil {
		b.Skip(state[0].Err)
	}
	steps := [][]byte{[]byte("MAIL FROM:<a@stranger.example> SIZE=4000\r\n"), []byte("RCPT TO:<b@contoso.example>\r\n"), []byte("DATA\r\n")}
	if pipelined {
		steps = [][]byte{bytes.Join(steps, nil)}
	}
	ehlo, quit, content := []byte("EHLO client.example\r\n"), []byte("QUIT\r\n"), []byte(body+".\r\n")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	b.ResetTimer()
	buf := make([]byte, 4096)
	for n := 0; n < b.N; {
		conn, err := net.Dial("tcp", state[0].Addr.String())
		if err != nil {
			b.Fatal(err)
		}
		ask := func(text []byte, last string) {
			conn.Write(text)
			for end := 0; ; {
				m, err := conn.Read(buf[end:])
				if end += m; err != nil {
					b.Fatal(err, string(buf[:end]))
				}
				if at := bytes.LastIndex(buf[:end], []byte(last)); at >= 0 && buf[end-1] == '\n' {
					return
				}
			}
		}
		ask(nil, "220 ")
		ask(ehlo, "250 ")
		for i := 0; i < each && n < b.N; i++ {
			for _, s := range steps[:len(steps)-1] {
				ask(s, "250 ")
			}
			ask(steps[len(steps)-1], "354 ")
			ask(content, "250 ")
			n++
		}
		ask(quit, "221 ")
		conn.Close()
	}
}
