package server

import (
	"fmt"
	"strings"
	"testing"
)

// TestManyRecipients: at least 100 recipients are taken, here as many as LIMITS
// says, and those beyond are told to come again (RFC 5321 4.5.3.1.8 and
// 4.5.3.1.10), also when all come in one write (RFC 2920 3.1). Those that were
// taken get the message.
func TestManyRecipients(t *testing.T) {
	const limit, sent = 200, 250
	const transactions = 2 // at the next hop, of 100 each
	g := newProbeGateway(t)
	for _, mode := range probeModes {
		t.Run(mode.name, func(t *testing.T) {
			c, err := g.dial(mode, "")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := (&probe{after: "mail"}).begin(c); err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for i := range sent {
				fmt.Fprintf(&b, "RCPT TO:<kim%d@contoso.example>\r\n", i)
			}
			b.WriteString("DATA\r\n")
			if err := c.expect(b.String(), "250 2.1.5"); err != nil {
				t.Fatal(err)
			}
			for i := 1; i < sent; i++ {
				want := "250 2.1.5"
				if i >= limit {
					want = "452 4.5.3 Too many recipients"
				}
				if err := c.expect("", want); err != nil {
					t.Fatalf("recipient %d: %v", i+1, err)
				}
			}
			if err := c.expect("", "354"); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Write([]byte(".\r\n")); err != nil {
				t.Fatal(err)
			}
			reply, err := c.reply()
			if err != nil {
				t.Fatal(err)
			}
			got, err := g.sink.takeAll(queued(reply), transactions)
			if err != nil {
				t.Fatal(err)
			}
			names := map[string]bool{}
			for _, l := range got {
				for _, rcpt := range l.commands[1:] {
					names[rcpt] = true
				}
				if trace, _ := l.split(); strings.Contains(trace, "for <") {
					t.Errorf("the trace names a recipient of many: %q", trace)
				}
			}
			if len(names) != limit {
				t.Errorf("%d recipients arrived, want %d", len(names), limit)
			}
		})
	}
}
