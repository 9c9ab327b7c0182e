package send

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"postern/internal/message"
)

// TestDialog checks what goes over the wire, command by command.
func TestDialog(t *testing.T) {
	for _, tt := range []struct {
		name   string
		ext    []string
		change func(d *message.Delivery)
		rcpts  []string
		want   []string
	}{
		{"plain", []string{}, nil, []string{"a", "b"}, []string{
			"EHLO out.contoso.example", "MAIL FROM:<sender@contoso.example>", "RCPT TO:<a@example.test>", "RCPT TO:<b@example.test>", "DATA", "QUIT"}},
		{"null reverse path", nil, func(d *message.Delivery) { d.Envelope.From = message.Address{} }, nil, []string{
			"EHLO out.contoso.example", "MAIL FROM:<>", "RCPT TO:<a@example.test>", "DATA", "QUIT"}},
		{"parameters", []string{"SIZE 1000", "8BITMIME", "DSN", "SMTPUTF8", "PIPELINING"}, func(d *message.Delivery) {
			d.Envelope.Body, d.Envelope.SMTPUTF8, d.Envelope.Return, d.Envelope.EnvID = message.Body8BitMIME, true, message.ReturnHeaders, "id+1"
			d.Envelope.Recipients[0].Notify, d.Envelope.Recipients[0].ORcpt = message.NotifyFailure|message.NotifyDelay, "rfc822;x@y.test"
		}, nil, []string{
			"EHLO out.contoso.example", "MAIL FROM:<sender@contoso.example> SIZE=26 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=id+2B1",
			"RCPT TO:<a@example.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;x@y.test", "DATA", "QUIT"}},
		{"parameters not offered", []string{"PIPELINING"}, func(d *message.Delivery) {
			d.Envelope.Body, d.Envelope.Return, d.Envelope.EnvID = message.Body8BitMIME, message.ReturnHeaders, "id"
			d.Envelope.Recipients[0].Notify = message.NotifyNever
		}, nil, []string{"EHLO out.contoso.example", "MAIL FROM:<sender@contoso.example>", "RCPT TO:<a@example.test>", "DATA", "QUIT"}},
		{"keywords in lower case", []string{"pipelining", "size 1000"}, nil, nil, []string{
			"EHLO out.contoso.example", "MAIL FROM:<sender@contoso.example> SIZE=26", "RCPT TO:<a@example.test>", "DATA", "QUIT"}},
		{"limits", []string{"PIPELINING", "LIMITS RCPTMAX=2 MAILMAX=5"}, nil, []string{"a", "b", "c"}, []string{
			"EHLO out.contoso.example", "MAIL FROM:<sender@contoso.example>", "RCPT TO:<a@example.test>", "RCPT TO:<b@example.test>", "DATA",
			"MAIL FROM:<sender@contoso.example>", "RCPT TO:<c@example.test>", "DATA", "QUIT"}},
		{"BINARYMIME", []string{"PIPELINING", "CHUNKING", "BINARYMIME"}, func(d *message.Delivery) { d.Envelope.Body = message.BodyBinaryMIME },
			nil, []string{"EHLO out.contoso.example", "MAIL FROM:<sender@contoso.example> BODY=BINARYMIME", "RCPT TO:<a@example.test>", "BDAT 26 LAST", "QUIT"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mx := &fakeMX{ext: tt.ext}
				b := newBench(t, mx)
				d := mail("Subject: hello\r\n\r\n.hello\r\n", tt.rcpts...)
				d.Size = 26
				if tt.change != nil {
					tt.change(d)
				}
				r := b.deliver(t.Context(), hop(), d)
				b.stop()
				for _, o := range r.Outcomes {
					if o.Status != message.Delivered || o.RemoteMTA != "mx.test [192.0.2.25]" {
						t.Errorf("outcome %+v", o)
					}
				}
				if got := mx.commands(); !reflect.DeepEqual(got, tt.want) {
					t.Errorf("commands\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
				}
				for _, m := range mx.got() {
					if m.content != "Subject: hello\r\n\r\n.hello\r\n" {
						t.Errorf("content %q", m.content)
					}
				}
			})
		})
	}
}

// TestRefusedBeforehand: what the host can't be asked to do fails without
// being asked, and costs the connection nothing.
func TestRefusedBeforehand(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(d *message.Delivery)
		want   string
	}{
		{"size", func(d *message.Delivery) { d.Size = 1001 }, "0 failed 552 5.3.4 The message has 1001 octets, but the host takes 1000 at most"},
		{"SMTPUTF8", func(d *message.Delivery) { d.Envelope.SMTPUTF8 = true }, "0 failed 550 5.6.7 "},
		{"UTF-8 recipient", func(d *message.Delivery) { d.Envelope.Recipients[0].Address.Local = "böse" }, "0 failed 550 5.6.7 "},
		{"BINARYMIME", func(d *message.Delivery) { d.Envelope.Body = message.BodyBinaryMIME }, "0 failed 550 5.6.11 "},
		{"injection in the sender", func(d *message.Delivery) { d.Envelope.From.Local = "x> NOTIFY=NEVER " }, "0 failed 553 5.1.7 "},
		{"injection in the recipient", func(d *message.Delivery) { d.Envelope.Recipients[0].Address.Local = "x>\r\nRSET\r\n" }, "0 failed 553 5.1.3 "},
		{"content missing", func(d *message.Delivery) {
			d.Open = func() (message.Content, error) { return nil, errors.New("disk on fire") }
		}, "0 deferred 451 4.3.0 the content can't be read: disk on fire"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mx := &fakeMX{ext: []string{"PIPELINING", "SIZE 1000"}}
				b := newBench(t, mx)
				defer b.stop()
				d := mail("x\r\n")
				tt.change(d)
				r := b.deliver(t.Context(), hop(), d)
				if got := sum(r); !strings.HasPrefix(got, tt.want) || r.Unreachable {
					t.Errorf("outcome %q, want %q", got, tt.want)
				}
				if got := sum(b.send()); got != "0 delivered 250 2.6.0 Queued" {
					t.Errorf("the next message: %q", got)
				}
				for _, c := range mx.commands() {
					if strings.Contains(c, "NOTIFY") {
						t.Errorf("sent %q", c)
					}
				}
				if n := mx.count(); n != 1 {
					t.Errorf("%d connections, want 1", n)
				}
			})
		})
	}
}

// TestReplyMixes: every mixture of replies to a group of commands.
func TestReplyMixes(t *testing.T) {
	byRcpt := func(replies map[string]string) func(*fakeSession, string) string {
		return func(_ *fakeSession, line string) string {
			for name, r := range replies {
				if strings.HasPrefix(line, "RCPT TO:<"+name+"@") {
					return r
				}
			}
			return ""
		}
	}
	for _, tt := range []struct {
		name   string
		rcpts  []string
		answer func(*fakeSession, string) string
		faults map[string]fault
		want   string
		got    [][]string // recipients of each message that arrived
		quits  bool       // the connection stood to the end
	}{
		{
			name: "some accepted", rcpts: []string{"a", "b", "c", "d"},
			answer: byRcpt(map[string]string{"b": "550 5.1.1 no b", "d": "450 4.2.0 later"}),
			want:   "0,2 delivered 250 2.6.0 Queued; 1 failed 550 5.1.1 no b; 3 deferred 450 4.2.0 later",
			got:    [][]string{{"a", "c"}}, quits: true,
		},
		{
			name: "251 is accepted", rcpts: []string{"a"}, answer: byRcpt(map[string]string{}),
			want: "0 delivered 250 2.6.0 Queued", got: [][]string{{"a"}}, quits: true,
		},
		{
			name: "none accepted", rcpts: []string{"a", "b"},
			answer: byRcpt(map[string]string{"a": "550 5.1.1 no a", "b": "550 5.1.1 no b"}),
			want:   "0 failed 550 5.1.1 no a; 1 failed 550 5.1.1 no b", quits: true,
		},
		{
			name: "none accepted, and DATA is", rcpts: []string{"a"},
			answer: byRcpt(map[string]string{"a": "550 5.1.1 no a"}),
			faults: map[string]fault{"DATA": func(s *fakeSession) bool {
				s.send("354 go ahead all the same")
				line, err := s.r.ReadString('\n')
				if err != nil || line != ".\r\n" {
					return false
				}
				s.send("554 5.5.1 no valid recipients")
				return true
			}},
			want: "0 failed 550 5.1.1 no a", quits: true,
		},
		{
			name: "DATA refused", rcpts: []string{"a", "b"}, answer: byRcpt(map[string]string{"b": "550 5.1.1 no b"}),
			faults: map[string]fault{"DATA": reply("554 5.7.1 not from you")},
			want:   "0 failed 554 5.7.1 not from you; 1 failed 550 5.1.1 no b", quits: true,
		},
		{
			name: "MAIL refused", rcpts: []string{"a", "b"}, answer: func(s *fakeSession, line string) string {
				if strings.HasPrefix(line, "MAIL") {
					return "550 5.7.1 bad sender"
				}
				return ""
			},
			want: "0,1 failed 550 5.7.1 bad sender", quits: true,
		},
		{
			name: "MAIL refused, RCPT and DATA accepted", rcpts: []string{"a"}, answer: func(s *fakeSession, line string) string {
				switch line[:4] {
				case "MAIL":
					return "550 5.7.1 bad sender"
				case "RCPT":
					return "250 2.1.5 fine"
				}
				return ""
			},
			faults: map[string]fault{"DATA": func(s *fakeSession) bool { s.send("354 go ahead"); return s.body() }},
			want:   "0 failed 550 5.7.1 bad sender",
		},
		{
			name: "421 in the middle", rcpts: []string{"a", "b", "c"},
			answer: byRcpt(map[string]string{"a": "550 5.1.1 no a", "c": "421 4.3.2 going down"}),
			want:   "0 failed 550 5.1.1 no a; 1,2 deferred 421 4.3.2 going down",
		},
		{
			name: "too many recipients", rcpts: []string{"a", "b", "c", "d", "e"}, answer: func(s *fakeSession, line string) string {
				if strings.HasPrefix(line, "RCPT") && len(s.rcpts) == 2 {
					return "452 4.5.3 Too many recipients"
				}
				return ""
			},
			want: "0,1,2,3,4 delivered 250 2.6.0 Queued", got: [][]string{{"a", "b"}, {"c", "d"}, {"e"}}, quits: true,
		},
		{
			name: "too many recipients, as of old", rcpts: []string{"a", "b"}, answer: func(s *fakeSession, line string) string {
				if strings.HasPrefix(line, "RCPT") && len(s.rcpts) == 1 {
					return "552 too many"
				}
				return ""
			},
			want: "0,1 delivered 250 2.6.0 Queued", got: [][]string{{"a"}, {"b"}}, quits: true,
		},
		{
			name: "mailbox full is not too many", rcpts: []string{"a", "b"},
			answer: byRcpt(map[string]string{"b": "552 5.2.2 mailbox full"}),
			want:   "0 delivered 250 2.6.0 Queued; 1 failed 552 5.2.2 mailbox full", got: [][]string{{"a"}}, quits: true,
		},
		{
			name: "too many at the first", rcpts: []string{"a", "b"},
			answer: byRcpt(map[string]string{"a": "452 4.5.3 no", "b": "452 4.5.3 no"}),
			want:   "0,1 deferred 452 4.5.3 no", quits: true,
		},
		{
			name: "long reply kept in full", rcpts: []string{"a"},
			answer: byRcpt(map[string]string{"a": "550-5.1.1 no such user\r\n550-5.1.1 here, see\r\n550 5.1.1 https://mx.test/"}),
			want:   "0 failed 550 5.1.1 no such user\nhere, see\nhttps://mx.test/", quits: true,
		},
	} {
		for _, pipelining := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/pipelining=%v", tt.name, pipelining), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					mx := &fakeMX{answer: tt.answer, faults: tt.faults, ext: []string{}}
					if pipelining {
						mx.ext = nil
					}
					b := newBench(t, mx)
					r := b.send(tt.rcpts...)
					b.stop()
					if got := sum(r); got != tt.want {
						t.Errorf("outcome %q, want %q", got, tt.want)
					}
					var got [][]string
					for _, m := range mx.got() {
						var names []string
						for _, line := range m.rcpts {
							names = append(names, strings.TrimSuffix(strings.TrimPrefix(line, "RCPT TO:<"), "@example.test>"))
						}
						got = append(got, names)
					}
					if !reflect.DeepEqual(got, tt.got) {
						t.Errorf("messages to %v, want %v", got, tt.got)
					}
					lines := mx.commands()
					quits := len(lines) > 0 && lines[len(lines)-1] == "QUIT"
					if quits != tt.quits && (pipelining || tt.quits) {
						t.Errorf("last command %q", lines[len(lines)-1])
					}
				})
			})
		}
	}
}

// TestResetBetween: a transaction that was not finished is ended with RSET
// before the next, in the same group.
func TestResetBetween(t *testing.T) {
	for _, ext := range [][]string{nil, {}} {
		synctest.Test(t, func(t *testing.T) {
			mx := &fakeMX{ext: ext, answer: func(s *fakeSession, line string) string {
				if strings.Contains(line, "<bad@") {
					return "550 5.1.1 no"
				}
				return ""
			}}
			b := newBench(t, mx)
			b.send("bad")
			if got := sum(b.send("good")); got != "0 delivered 250 2.6.0 Queued" {
				t.Errorf("outcome %q", got)
			}
			b.stop()
			got := strings.Join(mx.commands(), " ")
			if !strings.Contains(got, "RSET MAIL FROM:<sender@contoso.example> RCPT TO:<good@") || mx.count() != 1 {
				t.Errorf("commands %s", got)
			}
		})
	}
}

// TestManyRecipients: batches within the default limit, all over one
// connection.
func TestManyRecipients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mx := &fakeMX{}
		b := newBench(t, mx)
		b.connector.MessagesPerConnection = 2
		var rcpts []string
		for i := range 550 {
			rcpts = append(rcpts, fmt.Sprintf("user%d", i))
		}
		r := b.send(rcpts...)
		b.stop()
		if len(r.Outcomes) != 1 || len(r.Outcomes[0].Recipients) != 550 {
			t.Errorf("%d outcomes", len(r.Outcomes))
		}
		var sizes []int
		for _, m := range mx.got() {
			sizes = append(sizes, len(m.rcpts))
		}
		if !reflect.DeepEqual(sizes, []int{100, 100, 100, 100, 100, 50}) || mx.count() != 3 || len(r.Attempts) != 3 {
			t.Errorf("batches %v over %d connections", sizes, mx.count())
		}
	})
}

// TestContent: content of many shapes and sizes arrives as it is, by DATA and
// by BDAT.
func TestContent(t *testing.T) {
	line := strings.Repeat("a line of text, ", 4) + "\r\n"
	for name, content := range map[string]string{
		"one line":       "x\r\n",
		"dots":           ".\r\n..\r\n.a\r\na.\r\n\r\n.\r\n",
		"a block":        strings.Repeat(line, block/len(line)),
		"large":          strings.Repeat(line, 30000),
		"dots at blocks": strings.Repeat(strings.Repeat("x", 1022)+"\r\n.", 200) + "\r\n",
	} {
		for _, ext := range [][]string{{}, {"CHUNKING"}} {
			synctest.Test(t, func(t *testing.T) {
				mx := &fakeMX{ext: ext}
				b := newBench(t, mx)
				defer b.stop()
				if got := sum(b.deliver(t.Context(), hop(), mail(content))); got != "0 delivered 250 2.6.0 Queued" {
					t.Errorf("%s: %s", name, got)
				}
				got := mx.got()
				if len(got) != 1 || got[0].content != content {
					t.Errorf("%s: content changed on the way", name)
				}
				if want := len(ext) > 0 && len(content) >= chunkingFrom; len(got) == 1 && got[0].bdat != want {
					t.Errorf("%s: sent by BDAT: %v", name, got[0].bdat)
				}
			})
		}
	}
}

// TestUnreadableContent: content that fails half way is not completed; the
// host must not take the half for the whole.
func TestUnreadableContent(t *testing.T) {
	for _, ext := range [][]string{{}, {"CHUNKING"}} {
		synctest.Test(t, func(t *testing.T) {
			mx := &fakeMX{ext: ext}
			b := newBench(t, mx)
			defer b.stop()
			content := strings.Repeat("x\r\n", 500000)
			d := mail(content)
			d.Open = func() (message.Content, error) {
				return &broken{stored{bytes.NewReader([]byte(content))}, 100000}, nil
			}
			r := b.deliver(t.Context(), hop(), d)
			if got := sum(r); !strings.HasPrefix(got, "0 deferred 451 4.3.0 the content can't be read") || r.Unreachable {
				t.Errorf("outcome %q", got)
			}
			if n := len(mx.got()); n != 0 {
				t.Errorf("%d messages arrived", n)
			}
		})
	}
}

// TestRequireTLS: a message submitted with REQUIRETLS goes only where that is
// honoured, over TLS with a certificate for the host (RFC 8689).
func TestRequireTLS(t *testing.T) {
	good, other := testServerTLS(t, "mx.test"), testServerTLS(t, "other.test")
	for _, tt := range []struct {
		name string
		mx   *fakeMX
		want string
	}{
		{"honoured", &fakeMX{tls: good, tlsExt: []string{"REQUIRETLS"}}, "0 delivered 250 2.6.0 Queued"},
		{"not offered", &fakeMX{tls: good}, "0 failed 550 5.7.30 "},
		{"no TLS", &fakeMX{}, "0 deferred 451 4.7.4 "},
		{"wrong certificate", &fakeMX{tls: other, tlsExt: []string{"REQUIRETLS"}}, "0 deferred 454 4.7.5 Certificate validation failure"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, tt.mx)
				defer b.stop()
				b.options.Roots = testRoots()
				d := mail("x\r\n")
				d.Envelope.RequireTLS = true
				if got := sum(b.deliver(context.Background(), hop(), d)); !strings.HasPrefix(got, tt.want) {
					t.Errorf("outcome %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// TestNoDSN: who was delivered to a host without DSN is marked, and only who
// was delivered.
func TestNoDSN(t *testing.T) {
	for ext, want := range map[string]bool{"PIPELINING": true, "DSN": false} {
		t.Run(ext, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mx := &fakeMX{ext: []string{ext}, answer: func(_ *fakeSession, c string) string {
					if strings.HasPrefix(c, "RCPT TO:<b") {
						return "550 5.1.1 unknown"
					}
					return ""
				}}
				b := newBench(t, mx)
				r := b.deliver(t.Context(), hop(), mail("x\r\n", "a", "b"))
				b.stop()
				if len(r.Outcomes) != 2 {
					t.Fatalf("outcomes %+v", r.Outcomes)
				}
				for _, o := range r.Outcomes {
					if o.NoDSN != (want && o.Status == message.Delivered) {
						t.Errorf("outcome %+v", o)
					}
				}
			})
		})
	}
}
