package wire

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"postern/internal/message"
)

func TestParseEHLO(t *testing.T) {
	tests := []struct {
		rule  string
		lines string
		want  Extensions
	}{
		{"nothing", "250 mx.example.net", Extensions{Name: "mx.example.net"}},
		{"RFC 5321 4.1.1.1", "250-mx.example.net Hello [192.0.2.1]|250-PIPELINING|250-SIZE 37748736|250-STARTTLS|250-8BITMIME|250-CHUNKING|250-BINARYMIME|" +
			"250-SMTPUTF8|250-DSN|250-ENHANCEDSTATUSCODES|250-REQUIRETLS|250-AUTH PLAIN LOGIN|250 LIMITS RCPTMAX=100 MAILMAX=5 RCPTDOMAINMAX=1",
			Extensions{Name: "mx.example.net", Size: 37748736, HasSize: true, Pipelining: true, StartTLS: true, EightBitMIME: true, Chunking: true, BinaryMIME: true,
				SMTPUTF8: true, DSN: true, EnhancedStatusCodes: true, RequireTLS: true, Auth: []string{"PLAIN", "LOGIN"}, Limits: Limits{MailMax: 5, RcptMax: 100, RcptDomainMax: 1}}},
		{"RFC 5321 2.4: any case", "250-mx|250-pipelining|250-Size 10|250 Auth plain", Extensions{Name: "mx", Pipelining: true, Size: 10, HasSize: true, Auth: []string{"PLAIN"}}},
		{"without codes", "mx|PIPELINING|DSN", Extensions{Name: "mx", Pipelining: true, DSN: true}},
		{"the first line holds no keyword", "PIPELINING|DSN", Extensions{Name: "PIPELINING", DSN: true}},
		{"RFC 1870 4: no value", "mx|SIZE", Extensions{Name: "mx", HasSize: true}},
		{"RFC 1870 4: nonsense", "mx|SIZE many", Extensions{Name: "mx", HasSize: true}},
		{"RFC 3030 3: BINARYMIME needs CHUNKING", "mx|BINARYMIME", Extensions{Name: "mx"}},
		{"AUTH=", "mx|AUTH=LOGIN PLAIN|AUTH LOGIN", Extensions{Name: "mx", Auth: []string{"LOGIN", "PLAIN"}}},
		{"RFC 9422 4: nonsense", "mx|LIMITS RCPTMAX=0 MAILMAX=x RCPTDOMAINMAX RCPTMAX=-1 RCPTMAX=1000000", Extensions{Name: "mx"}},
		{"the last word", "mx|STARTTLSX|XSTARTTLS|  |", Extensions{Name: "mx"}},
		{"no lines", "", Extensions{}},
	}
	for _, tt := range tests {
		if got := ParseEHLO(strings.Split(tt.lines, "|")); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %q is %+v, want %+v", tt.rule, tt.lines, got, tt.want)
		}
	}
	e := Extensions{Auth: []string{"PLAIN"}}
	if !e.HasAuth("plain") || e.HasAuth("LOGIN") {
		t.Error("HasAuth")
	}
}

var everything = Extensions{HasSize: true, EightBitMIME: true, Chunking: true, BinaryMIME: true, SMTPUTF8: true, RequireTLS: true, DSN: true}

func TestAppendMail(t *testing.T) {
	a := addr("a@b.example")
	tests := []struct {
		rule string
		e    message.Envelope
		peer Extensions
		want string // the command, or the reply, or "error"
	}{
		{"RFC 5321 4.1.1.2", message.Envelope{From: a}, Extensions{}, "MAIL FROM:<a@b.example>"},
		{"null path", message.Envelope{}, Extensions{}, "MAIL FROM:<>"},
		{"everything", message.Envelope{From: a, Body: message.Body8BitMIME, SMTPUTF8: true, RequireTLS: true, Return: message.ReturnHeaders, EnvID: "a b+c=d"}, everything,
			"MAIL FROM:<a@b.example> SIZE=42 BODY=8BITMIME SMTPUTF8 REQUIRETLS RET=HDRS ENVID=a+20b+2Bc+3Dd"},
		{"only what is offered", message.Envelope{From: a, Body: message.Body8BitMIME, Return: message.ReturnFull, EnvID: "x"}, Extensions{}, "MAIL FROM:<a@b.example>"},
		{"RFC 3030 3", message.Envelope{Body: message.BodyBinaryMIME}, everything, "MAIL FROM:<> SIZE=42 BODY=BINARYMIME"},
		{"RFC 3030 3", message.Envelope{Body: message.BodyBinaryMIME}, Extensions{EightBitMIME: true},
			"550 5.6.11 The message is BINARYMIME, which the next hop does not take"},
		{"RFC 6531 3.5", message.Envelope{From: a, SMTPUTF8: true}, Extensions{}, "550 5.6.7 The message needs SMTPUTF8, which the next hop does not offer"},
		{"RFC 6531 3.5", message.Envelope{From: addr("jörg@b.example")}, Extensions{}, "550 5.6.7 The message needs SMTPUTF8, which the next hop does not offer"},
		{"RFC 6531 3.4", message.Envelope{From: addr("jörg@b.example")}, Extensions{SMTPUTF8: true}, "MAIL FROM:<jörg@b.example> SMTPUTF8"},
		{"RFC 6531 3.2: A-labels", message.Envelope{From: addr("a@bücher.example")}, everything, "MAIL FROM:<a@xn--bcher-kva.example> SIZE=42"},
		{"RFC 8689 4.2.1", message.Envelope{RequireTLS: true}, Extensions{}, "550 5.7.30 REQUIRETLS is needed, but the next hop does not offer it"},
		{"quoted", message.Envelope{From: addr(`"x> NOTIFY=NEVER "@b.example`)}, Extensions{}, `MAIL FROM:<"x> NOTIFY=NEVER "@b.example>`},
		{"injection", message.Envelope{From: message.Address{Local: "x> NOTIFY=NEVER", Domain: "b"}}, Extensions{}, "error"},
		{"injection", message.Envelope{From: message.Address{Local: "x", Domain: "b>\r\nRCPT TO:<evil@example.com"}}, Extensions{}, "error"},
		{"injection", message.Envelope{From: message.Address{Local: "x\r\n", Domain: "b"}}, Extensions{}, "error"},
		{"injection", message.Envelope{From: message.Address{Local: `"x\`, Domain: `"@b`}}, Extensions{}, "error"},
		{"injection", message.Envelope{From: message.Address{Local: "a@b", Domain: "c"}}, Extensions{}, "error"},
		{"injection", message.Envelope{From: message.Address{Local: "", Domain: "c"}}, Extensions{}, "error"},
		{"injection", message.Envelope{EnvID: "a\r\nb"}, everything, "error"},
		{"no domain", message.Envelope{From: message.Address{Local: "joe"}}, Extensions{}, "error"},
	}
	for _, tt := range tests {
		got, err := AppendMail([]byte("x"), &tt.e, tt.peer, 42)
		checkAppended(t, tt.rule, got, err, tt.want)
	}
	if got, _ := AppendMail(nil, &message.Envelope{}, everything, -1); string(got) != "MAIL FROM:<>\r\n" {
		t.Errorf("an unknown size: %q", got)
	}
}

func TestAppendRcpt(t *testing.T) {
	a := addr("a@b.example")
	tests := []struct {
		rule string
		r    message.Recipient
		peer Extensions
		want string
	}{
		{"RFC 5321 4.1.1.3", message.Recipient{Address: a}, everything, "RCPT TO:<a@b.example>"},
		{"RFC 5321 4.1.1.3", message.Recipient{Address: message.Address{Local: "Postmaster"}}, everything, "RCPT TO:<Postmaster>"},
		{"RFC 3461 4", message.Recipient{Address: a, Notify: message.NotifySuccess | message.NotifyFailure | message.NotifyDelay, ORcpt: "rfc822;Bob+=x y@b"}, everything,
			"RCPT TO:<a@b.example> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;Bob+2B+3Dx+20y@b"},
		{"RFC 3461 4.1", message.Recipient{Address: a, Notify: message.NotifyNever}, everything, "RCPT TO:<a@b.example> NOTIFY=NEVER"},
		{"RFC 6533 3", message.Recipient{Address: a, ORcpt: `utf-8;jörg\+ @b`}, everything, `RCPT TO:<a@b.example> ORCPT=utf-8;j\x{F6}rg\x{5C}\x{2B}\x{20}@b`},
		{"not UTF-8", message.Recipient{Address: a, ORcpt: "utf-8;a\xa0@b"}, everything, "error"},
		{"only what is offered", message.Recipient{Address: a, Notify: message.NotifyNever, ORcpt: "rfc822;x"}, Extensions{}, "RCPT TO:<a@b.example>"},
		{"RFC 6531", message.Recipient{Address: addr("jörg@bücher.example")}, everything, "RCPT TO:<jörg@bücher.example>"},
		{"RFC 6531 3.5", message.Recipient{Address: addr("jörg@b.example")}, Extensions{}, "550 5.6.7 The message needs SMTPUTF8, which the next hop does not offer"},
		{"RFC 6531 3.2: A-labels", message.Recipient{Address: addr("a@bücher.example")}, Extensions{}, "RCPT TO:<a@xn--bcher-kva.example>"},
		{"no null path", message.Recipient{}, everything, "error"},
		{"injection", message.Recipient{Address: message.Address{Local: "x> NOTIFY=NEVER", Domain: "c"}}, everything, "error"},
		{"injection", message.Recipient{Address: a, ORcpt: "rfc822;x\r\nDATA"}, everything, "error"},
		{"injection", message.Recipient{Address: a, ORcpt: "rfc 822;x"}, everything, "error"},
		{"injection", message.Recipient{Address: a, ORcpt: "x"}, everything, "error"},
	}
	for _, tt := range tests {
		got, err := AppendRcpt([]byte("x"), &tt.r, tt.peer)
		checkAppended(t, tt.rule, got, err, tt.want)
	}
}

func checkAppended(t *testing.T, rule string, got []byte, err error, want string) {
	t.Helper()
	switch {
	case err == nil:
		if string(got) != "x"+want+"\r\n" {
			t.Errorf("%s: %q, want %q", rule, got, want)
		}
	case string(got) != "x":
		t.Errorf("%s: %q together with %v", rule, got, err)
	case want == "error":
		if strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("%s: the error carries line ends: %q", rule, err)
		}
	case wireForm(t, err) != want:
		t.Errorf("%s: %v, want %q", rule, err, want)
	}
}

// Whatever an address is made of, one command of one path comes out, or none.
func TestNoInjection(t *testing.T) {
	hostile := rapid.OneOf(rapid.String(), rapid.StringMatching(`[<>"\\@ a.\r\n\[\]:=]{0,12}`))
	rapid.Check(t, func(t *rapid.T) {
		a := message.Address{Local: hostile.Draw(t, "local"), Domain: hostile.Draw(t, "domain")}
		peer := everything
		peer.SMTPUTF8 = rapid.Bool().Draw(t, "utf8")
		peer.DSN = false
		b, err := AppendRcpt(nil, &message.Recipient{Address: a, ORcpt: hostile.Draw(t, "orcpt")}, peer)
		if err != nil {
			return
		}
		line, ok := strings.CutSuffix(string(b), "\r\n")
		if !ok || strings.ContainsAny(line, "\r\n") {
			t.Fatalf("%q is not one line", b)
		}
		r, err := ParseRcpt(strings.TrimPrefix(line, "RCPT "), Features{SMTPUTF8: peer.SMTPUTF8})
		if err != nil || r.Path.Local != a.Local || r.Notify != 0 {
			t.Fatalf("%q is read as %+v, %v", b, r, err)
		}
	})
}

func TestAppendEHLO(t *testing.T) {
	for name, ok := range map[string]bool{"edge.contoso.example": true, "edge": true, "[192.0.2.1]": true, "[IPv6:2001:db8::1]": true,
		"": false, "a b": false, "a\r\nMAIL FROM:<>": false, "a.": false, "bücher.example": false} {
		b, err := AppendEHLO([]byte("x"), name)
		if (err == nil) != ok || ok && string(b) != "xEHLO "+name+"\r\n" || !ok && string(b) != "x" {
			t.Errorf("%q: %q, %v", name, b, err)
		}
	}
	if b, _ := AppendHELO(nil, "a"); string(b) != "HELO a\r\n" {
		t.Errorf("%q", b)
	}
}
