package wire

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"postern/internal/message"
)

// wireForm is an error as the client sees it, without its CRLF; "" for none.
func wireForm(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	r, ok := errors.AsType[*Reply](err)
	if !ok {
		t.Fatalf("%v is no *Reply", err)
	}
	return strings.TrimSuffix(string(r.Append(nil, true)), "\r\n")
}

const (
	unrecognized = "500 5.3.3 Unrecognized command"
	arguments    = "501 5.5.4 Invalid arguments"
	parameter    = "555 5.5.4 Unrecognized parameter"
	badSender    = "501 5.1.7 Invalid address"
	badRecipient = "501 5.1.3 Invalid address"
	nonASCII     = "553 5.6.7 Non-ASCII addresses need the SMTPUTF8 parameter"
	badDomain    = "501 5.5.4 Invalid domain name"
	noDomain     = "501 5.0.0 HELO / EHLO requires domain address"
)

func TestParseCommand(t *testing.T) {
	tests := []struct{ rule, in, verb, arg, err string }{
		{"RFC 5321 4.1.1", "NOOP", "NOOP", "", ""},
		{"RFC 5321 2.4: any case", "mAiL FROM:<>", "MAIL", "FROM:<>", ""},
		{"RFC 5321 4.1.1: trailing white space", "QUIT ", "QUIT", "", ""},
		{"RFC 5321 4.1.1: trailing white space", "QUIT \t ", "QUIT", "\t ", ""},
		{"RFC 5321 4.1.1: trailing white space", "QUIT\t", "QUIT", "\t", ""},
		{"the argument is kept as it came", "EHLO  a ", "EHLO", " a ", ""},
		{"RFC 5321 2.2.2: X- verbs", "X-EXPS GSSAPI", "X-EXPS", "GSSAPI", ""},
		{"what follows a verb parts it", "STARTTLSxyz", "STARTTLSXYZ", "", ""},
		{"UTF-8 passes", "VRFY jörg", "VRFY", "jörg", ""},
		{"RFC 5321 4.1.1: no leading space", " NOOP", "", "", unrecognized},
		{"no verb", "", "", "", unrecognized},
		{"no verb", " ", "", "", unrecognized},
		{"no verb", "<a@b>", "", "", unrecognized},
		{"no verb", "NOOP;", "", "", unrecognized},
		{"no verb", "NO\x00OP", "", "", unrecognized},
		{"no verb", "EHLO\ta", "", "", unrecognized},
		{"no verb", "\x16\x03\x01\x02\x00\x01", "", "", unrecognized}, // TLS where none is expected
		{"no verb", strings.Repeat("A", 33), "", "", unrecognized},
		{"RFC 5321 4.1.2: no controls", "HELO a\x00b", "HELO", "a\x00b", arguments},
		{"RFC 5321 4.1.2: no controls", "VRFY \x1b[2J", "VRFY", "\x1b[2J", arguments},
		{"RFC 5321 4.1.2: no controls", "VRFY a\x7f", "VRFY", "a\x7f", arguments},
	}
	for _, tt := range tests {
		c, err := ParseCommand([]byte(tt.in))
		if got := wireForm(t, err); got != tt.err || c.Verb != tt.verb || c.Arg != tt.arg {
			t.Errorf("%s: %q is %+v, %q", tt.rule, tt.in, c, got)
		}
		if bare := strings.TrimSpace(tt.arg) == ""; c.Bare() != bare {
			t.Errorf("%s: Bare of %q is %v", tt.rule, tt.in, c.Bare())
		}
	}
}

var all = Features{Size: true, EightBitMIME: true, BinaryMIME: true, SMTPUTF8: true, RequireTLS: true, DSN: true, Auth: true}

func addr(s string) message.Address {
	a, err := message.ParseAddress(s, true)
	if err != nil {
		panic(err)
	}
	return a
}

func TestParseMail(t *testing.T) {
	ab := addr("a@b.example")
	tests := []struct {
		rule, arg string
		features  Features
		want      Mail
		err       string
	}{
		{"RFC 5321 4.1.1.2", "FROM:<a@b.example>", Features{}, Mail{Path: ab}, ""},
		{"RFC 5321 2.4: any case", "from:<a@b.example>", Features{}, Mail{Path: ab}, ""},
		{"RFC 5321 4.5.5: null path", "FROM:<>", Features{}, Mail{}, ""},
		{"real clients: a space", "FROM: <a@b.example>", Features{}, Mail{Path: ab}, ""},
		{"real clients: spaces", "FROM:   <> ", Features{}, Mail{}, ""},
		{"RFC 5321 4.1.1: trailing white space", "FROM:<a@b.example> \t", Features{}, Mail{Path: ab}, ""},
		{"RFC 5321 4.1.2: quoted", `FROM:<"x> NOTIFY=NEVER "@b.example>`, Features{}, Mail{Path: addr(`"x> NOTIFY=NEVER "@b.example`)}, ""},
		{"RFC 5321 4.1.2: quoted", `FROM:<"\">"@b.example>`, Features{}, Mail{Path: addr(`"\">"@b.example`)}, ""},
		{"RFC 5321 appendix C: source route", "FROM:<@x.example,@[IPv6:::1]:a@b.example>", Features{}, Mail{Path: ab}, ""},
		{"RFC 5321 4.1.3", "FROM:<a@[IPv6:::1]>", Features{}, Mail{Path: addr("a@[IPv6:::1]")}, ""},
		{"RFC 1870 4", "FROM:<> SIZE=0", all, Mail{HasSize: true}, ""},
		{"RFC 1870 4", "FROM:<> size=5000000000", all, Mail{Size: 5000000000, HasSize: true}, ""},
		{"RFC 1870 4: too big, not malformed", "FROM:<> SIZE=9223372036854775807", all, Mail{Size: math.MaxInt64, HasSize: true}, ""},
		{"RFC 1870 4: too big, not malformed", "FROM:<> SIZE=9223372036854775808", all, Mail{Size: math.MaxInt64, HasSize: true}, ""},
		{"RFC 1870 4: too big, not malformed", "FROM:<> SIZE=18446744073709551616", all, Mail{Size: math.MaxInt64, HasSize: true}, ""},
		{"RFC 1870 4: too big, not malformed", "FROM:<> SIZE=99999999999999999999", all, Mail{Size: math.MaxInt64, HasSize: true}, ""},
		{"RFC 6152", "FROM:<> BODY=8bitmime", all, Mail{Body: message.Body8BitMIME}, ""},
		{"RFC 6152", "FROM:<> BODY=7BIT", all, Mail{Body: message.Body7Bit}, ""},
		{"RFC 3030 3", "FROM:<> BODY=BINARYMIME", all, Mail{Body: message.BodyBinaryMIME}, ""},
		{"RFC 6531 3.4", "FROM:<jörg@b.example> SMTPUTF8", all, Mail{Path: addr("jörg@b.example"), SMTPUTF8: true}, ""},
		{"RFC 8689 2", "FROM:<> REQUIRETLS", all, Mail{RequireTLS: true}, ""},
		{"RFC 3461 4.3", "FROM:<> RET=FULL ENVID=QQ+2B314", all, Mail{Ret: message.ReturnFull, EnvID: "QQ+314"}, ""},
		{"RFC 3461 4.3", "FROM:<> RET=hdrs  ENVID=a+20b+5C", all, Mail{Ret: message.ReturnHeaders, EnvID: `a b\`}, ""},
		{"RFC 4954 5", "FROM:<> AUTH=<>", all, Mail{Auth: "<>"}, ""},
		{"RFC 4954 5", "FROM:<> AUTH=e+3Dmc2@example.com", all, Mail{Auth: "e=mc2@example.com"}, ""},
		{"all together", "FROM:<a@b.example> SIZE=1 BODY=8BITMIME SMTPUTF8 REQUIRETLS RET=FULL ENVID=x AUTH=<>", all,
			Mail{ab, 1, true, message.Body8BitMIME, true, true, message.ReturnFull, "x", "<>"}, ""},

		{"no keyword", "", all, Mail{}, arguments},
		{"no keyword", "FROM", all, Mail{}, arguments},
		{"no keyword", "TO:<a@b>", all, Mail{}, arguments},
		{"no keyword", "FROM :<a@b>", all, Mail{}, arguments},
		{"no keyword", " FROM:<a@b>", all, Mail{}, arguments},
		{"RFC 5321 4.1.2: brackets", "FROM:a@b", all, Mail{}, badSender},
		{"RFC 5321 4.1.2: brackets", "FROM:<a@b", all, Mail{}, badSender},
		{"RFC 5321 4.1.2: brackets", "FROM:a@b>", all, Mail{}, badSender},
		{"RFC 5321 4.1.2: brackets", "FROM:", all, Mail{}, badSender},
		{"RFC 5321 4.1.2: brackets", "FROM:<<a@b>>", all, Mail{}, badSender},
		{"RFC 5321 4.1.2: brackets", "FROM:<a@b>SIZE=1", all, Mail{}, badSender},
		{"RFC 5321 4.1.2: brackets", "FROM:Joe <a@b>", all, Mail{}, badSender},
		{"RFC 5321 4.1.2", "FROM:< >", all, Mail{}, badSender},
		{"RFC 5321 4.1.2", "FROM:<a>", all, Mail{}, badSender},
		{"RFC 5321 4.1.2", "FROM:<a@>", all, Mail{}, badSender},
		{"RFC 5321 4.1.2", "FROM:<a b@c>", all, Mail{}, badSender},
		{"RFC 5321 4.1.2", "FROM:<x> NOTIFY=NEVER@b.example>", all, Mail{}, badSender},
		{"RFC 5321 4.1.1.3: only in RCPT", "FROM:<postmaster>", all, Mail{}, badSender},
		{"RFC 5321 appendix C", "FROM:<@x>", all, Mail{}, badSender},
		{"RFC 5321 appendix C", "FROM:<@x:>", all, Mail{}, badSender},
		{"RFC 5321 appendix C", "FROM:<@x,y:a@b>", all, Mail{}, badSender},
		{"RFC 5321 appendix C", "FROM:<@x_y:a@b>", all, Mail{}, badSender},
		{"RFC 5321 appendix C", "FROM:<@x,:a@b>", all, Mail{}, badSender},
		{"RFC 6531 3.5", "FROM:<jörg@b.example>", all, Mail{}, nonASCII},
		{"RFC 6531 3.5", "FROM:<jörg@b.example>", Features{}, Mail{}, nonASCII},
		{"RFC 6531 3.5", "FROM:<a@bücher.example>", all, Mail{}, nonASCII},
		{"RFC 6531 3.3: not UTF-8", "FROM:<j\xf6rg@b.example> SMTPUTF8", all, Mail{}, badSender},
		{"RFC 5321 4.1.1.11", "FROM:<> FOO", all, Mail{}, parameter},
		{"RFC 5321 4.1.1.11", "FROM:<> FOO=BAR", all, Mail{}, parameter},
		{"RFC 5321 4.1.1.11", "FROM:<> NOTIFY=NEVER", all, Mail{}, parameter},
		{"RFC 5321 4.1.1.11: malformed", "FROM:<> =1", all, Mail{}, arguments},
		{"RFC 5321 4.1.1.11: malformed", "FROM:<> -X", all, Mail{}, arguments},
		{"RFC 5321 4.1.1.11: malformed", "FROM:<> SIZE=1=2", all, Mail{}, arguments},
		{"RFC 5321 4.1.1.11: malformed", "FROM:<> ENVID=", all, Mail{}, arguments},
		{"RFC 5321 4.1.1.11: malformed", "FROM:<>\tSIZE=1", all, Mail{HasSize: true, Size: 1}, ""},
		{"RFC 5321 4.1.1.11: malformed", "FROM:<> SIZE=1\tBODY=7BIT", all, Mail{}, arguments},
		{"given twice", "FROM:<> SIZE=1 size=1", all, Mail{}, arguments},
		{"given twice", "FROM:<> SMTPUTF8 SMTPUTF8", all, Mail{}, arguments},
		{"not offered", "FROM:<> SIZE=1", Features{}, Mail{}, parameter},
		{"not offered", "FROM:<> BODY=7BIT", Features{}, Mail{}, parameter},
		{"not offered", "FROM:<> SMTPUTF8", Features{}, Mail{}, parameter},
		{"not offered", "FROM:<> REQUIRETLS", Features{}, Mail{}, parameter},
		{"not offered", "FROM:<> RET=FULL", Features{}, Mail{}, parameter},
		{"not offered", "FROM:<> ENVID=x", Features{}, Mail{}, parameter},
		{"not offered", "FROM:<> AUTH=<>", Features{}, Mail{}, parameter},
		{"not offered", "FROM:<> BODY=BINARYMIME", Features{EightBitMIME: true}, Mail{}, arguments},
		{"RFC 1870 3", "FROM:<> SIZE", all, Mail{}, arguments},
		{"RFC 1870 3", "FROM:<> SIZE=1k", all, Mail{}, arguments},
		{"RFC 1870 3", "FROM:<> SIZE=-1", all, Mail{}, arguments},
		{"RFC 1870 3", "FROM:<> SIZE=000000000000000000001", all, Mail{}, arguments},
		{"RFC 6152 3", "FROM:<> BODY=9BIT", all, Mail{}, arguments},
		{"RFC 6152 3", "FROM:<> BODY", all, Mail{}, arguments},
		{"RFC 6531 3.4", "FROM:<> SMTPUTF8=1", all, Mail{}, arguments},
		{"RFC 8689 2", "FROM:<> REQUIRETLS=yes", all, Mail{}, arguments},
		{"RFC 3461 4.3", "FROM:<> RET=SOME", all, Mail{}, arguments},
		{"RFC 3461 4.4", "FROM:<> ENVID=a+0D+0Ab", all, Mail{}, arguments},
		{"RFC 3461 4.4", "FROM:<> ENVID=a+2", all, Mail{}, arguments},
		{"RFC 3461 4.4", "FROM:<> ENVID=a+zz", all, Mail{}, arguments},
		{"RFC 3461 4.4", "FROM:<> ENVID=a+C3", all, Mail{}, arguments},
		{"RFC 3461 4.4", "FROM:<> ENVID=" + strings.Repeat("x", 101), all, Mail{}, arguments},
		{"RFC 4954 5", "FROM:<> AUTH=a", all, Mail{}, arguments},
		{"RFC 4954 5", "FROM:<> AUTH=a+0D+0A@b", all, Mail{}, arguments},
	}
	for _, tt := range tests {
		got, err := ParseMail(tt.arg, tt.features)
		if form := wireForm(t, err); form != tt.err || got != tt.want {
			t.Errorf("%s: MAIL %s is %+v, %q; want %+v, %q", tt.rule, tt.arg, got, form, tt.want, tt.err)
		}
	}
}

func TestParseRcpt(t *testing.T) {
	ab := addr("a@b.example")
	long := "rfc822;" + strings.Repeat("x", 493)
	tests := []struct {
		rule, arg string
		features  Features
		want      Rcpt
		err       string
	}{
		{"RFC 5321 4.1.1.3", "TO:<a@b.example>", Features{}, Rcpt{Path: ab}, ""},
		{"real clients: a space", "to: <a@b.example>", Features{}, Rcpt{Path: ab}, ""},
		{"RFC 5321 4.5.1", "TO:<Postmaster>", Features{}, Rcpt{Path: message.Address{Local: "Postmaster"}}, ""},
		{"RFC 5321 appendix C", "TO:<@x,@y:a@b.example>", Features{}, Rcpt{Path: ab}, ""},
		{"RFC 3461 4.1", "TO:<a@b.example> NOTIFY=never", all, Rcpt{Path: ab, Notify: message.NotifyNever}, ""},
		{"RFC 3461 4.1", "TO:<a@b.example> NOTIFY=SUCCESS,delay,FAILURE", all,
			Rcpt{Path: ab, Notify: message.NotifySuccess | message.NotifyFailure | message.NotifyDelay}, ""},
		{"RFC 3461 4.2", "TO:<a@b.example> ORCPT=rfc822;Bob+2BX@b", all, Rcpt{Path: ab, ORcpt: "rfc822;Bob+X@b"}, ""},
		{"RFC 3461 4.2", "TO:<a@b.example> ORCPT=x400;a;b", all, Rcpt{Path: ab, ORcpt: "x400;a;b"}, ""},
		{"RFC 3461 4.2", "TO:<a@b.example> ORCPT=" + long, all, Rcpt{Path: ab, ORcpt: long}, ""},
		{"RFC 6533 3", `TO:<a@b.example> ORCPT=utf-8;j\x{F6}rg\x{2B}\x{1F600}@b`, all, Rcpt{Path: ab, ORcpt: "utf-8;jörg+\U0001F600@b"}, ""},
		{"RFC 6533 3", "TO:<jörg@b.example> ORCPT=UTF-8;jörg@b", all, Rcpt{Path: addr("jörg@b.example"), ORcpt: "UTF-8;jörg@b"}, ""},
		{"RFC 6533 3: xtext", "TO:<a@b.example> ORCPT=utf-8;j+C3+B6rg@b", all, Rcpt{Path: ab, ORcpt: "utf-8;jörg@b"}, ""},

		{"no keyword", "FROM:<a@b>", all, Rcpt{}, arguments},
		{"RFC 5321 4.1.1.3: no null path", "TO:<>", all, Rcpt{}, badRecipient},
		{"RFC 5321 4.1.2", "TO:<joe>", all, Rcpt{}, badRecipient},
		{"RFC 5321 4.1.2", "TO:postmaster", all, Rcpt{}, badRecipient},
		{"RFC 5321 4.1.2", "TO:<a@b", all, Rcpt{}, badRecipient},
		{"RFC 6531 3.5", "TO:<jörg@b.example>", Features{}, Rcpt{}, nonASCII},
		{"RFC 5321 4.1.1.11", "TO:<a@b> SIZE=1", all, Rcpt{}, parameter},
		{"RFC 5321 4.1.1.11", "TO:<a@b> FOO", all, Rcpt{}, parameter},
		{"not offered", "TO:<a@b> NOTIFY=NEVER", Features{}, Rcpt{}, parameter},
		{"not offered", "TO:<a@b> ORCPT=rfc822;a@b", Features{}, Rcpt{}, parameter},
		{"given twice", "TO:<a@b> NOTIFY=NEVER NOTIFY=NEVER", all, Rcpt{}, arguments},
		{"RFC 3461 4.1", "TO:<a@b> NOTIFY=NEVER,DELAY", all, Rcpt{}, arguments},
		{"RFC 3461 4.1", "TO:<a@b> NOTIFY=", all, Rcpt{}, arguments},
		{"RFC 3461 4.1", "TO:<a@b> NOTIFY", all, Rcpt{}, arguments},
		{"RFC 3461 4.1", "TO:<a@b> NOTIFY=DELAY,", all, Rcpt{}, arguments},
		{"RFC 3461 4.2", "TO:<a@b> ORCPT=a@b", all, Rcpt{}, arguments},
		{"RFC 3461 4.2", "TO:<a@b> ORCPT=;a@b", all, Rcpt{}, arguments},
		{"RFC 3461 4.2", "TO:<a@b> ORCPT=rfc822;", all, Rcpt{}, arguments},
		{"RFC 3461 4.2", "TO:<a@b> ORCPT=rfc822;a+0D+0Ab", all, Rcpt{}, arguments},
		{"RFC 3461 4.2", "TO:<a@b> ORCPT=rfc822;jörg", all, Rcpt{}, arguments},
		{"RFC 3461 4.2", "TO:<a@b> ORCPT=" + long + "x", all, Rcpt{}, arguments},
		{"RFC 6533 3", `TO:<a@b> ORCPT=utf-8;\x{0D}`, all, Rcpt{}, arguments},
		{"RFC 6533 3", `TO:<a@b> ORCPT=utf-8;\x{D800}`, all, Rcpt{}, arguments},
		{"RFC 6533 3", `TO:<a@b> ORCPT=utf-8;\x{110000}`, all, Rcpt{}, arguments},
		{"RFC 6533 3", `TO:<a@b> ORCPT=utf-8;\x{41`, all, Rcpt{}, arguments},
		{"RFC 6533 3", `TO:<a@b> ORCPT=utf-8;a\b`, all, Rcpt{}, arguments},
		{"RFC 6533 3", "TO:<a@b> ORCPT=utf-8;j\xf6rg", all, Rcpt{}, arguments},
		{"RFC 6533 3: raw only with SMTPUTF8", "TO:<a@b> ORCPT=utf-8;jörg@b", Features{DSN: true}, Rcpt{}, arguments},
	}
	for _, tt := range tests {
		got, err := ParseRcpt(tt.arg, tt.features)
		if form := wireForm(t, err); form != tt.err || got != tt.want {
			t.Errorf("%s: RCPT %s is %+v, %q; want %+v, %q", tt.rule, tt.arg, got, form, tt.want, tt.err)
		}
	}
}

func TestMaxCommandLine(t *testing.T) {
	if n := (Features{}).MaxCommandLine(); n != 512 {
		t.Errorf("%d octets without extensions", n)
	}
	rcpt := "RCPT TO:<" + strings.Repeat("x", 254) + "> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=" + strings.Repeat("x", 500) + "\r\n"
	mail := "MAIL FROM:<" + strings.Repeat("x", 254) + "> SIZE=12345678901234567890 BODY=BINARYMIME SMTPUTF8 REQUIRETLS RET=HDRS ENVID=" +
		strings.Repeat("x", 100) + " AUTH=" + strings.Repeat("x", 494) + "\r\n"
	if n := all.MaxCommandLine(); n < len(rcpt) || n < len(mail) || n > 2048 {
		t.Errorf("%d octets, want room for %d and %d", n, len(rcpt), len(mail))
	}
}

func TestParseHelo(t *testing.T) {
	tests := []struct{ rule, arg, strict, lenient, off string }{ // the name, or the reply
		{"RFC 5321 4.1.1.1", "mail.example.com", "mail.example.com", "mail.example.com", "mail.example.com"},
		{"single label", "vm", "vm", "vm", "vm"},
		{"RFC 5321 4.1.3", "[192.0.2.1]", "[192.0.2.1]", "[192.0.2.1]", "[192.0.2.1]"},
		{"RFC 5321 4.1.3", "[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"},
		{"final dot", "mail.example.com.", badDomain, "mail.example.com", "mail.example.com."},
		{"trailing space", "mail.example.com ", badDomain, "mail.example.com", "mail.example.com"},
		{"trailing space", "mail.example.com. \t", badDomain, "mail.example.com", "mail.example.com."},
		{"leading space", " mail.example.com", badDomain, badDomain, "mail.example.com"},
		{"underscore", "my_host", badDomain, badDomain, "my_host"},
		{"bad label", "-a.example", badDomain, badDomain, "-a.example"},
		{"bad label", "a..example", badDomain, badDomain, "a..example"},
		{"two final dots", "a.example..", badDomain, badDomain, "a.example.."},
		{"only a dot", ".", badDomain, badDomain, "."},
		{"bad literal", "[192.0.2.1", badDomain, badDomain, "[192.0.2.1"},
		{"bad literal", "[192.0.2.300]", badDomain, badDomain, "[192.0.2.300]"},
		{"bad literal", "[192.0.2.1].", badDomain, badDomain, "[192.0.2.1]."},
		{"bare address: all digits are labels", "192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.1"},
		{"two words", "a b", badDomain, badDomain, "a b"},
		{"not US-ASCII", "bücher.example", badDomain, badDomain, "bücher.example"},
		{"A-label", "xn--bcher-kva.example", "xn--bcher-kva.example", "xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"A-label", "mx.XN--P1AI", "mx.XN--P1AI", "mx.XN--P1AI", "mx.XN--P1AI"},
		{"A-label that decodes to nothing", "xn--99zzzz9999.example", badDomain, badDomain, "xn--99zzzz9999.example"},
		{"A-label of US-ASCII", "xn--abc-.example", badDomain, badDomain, "xn--abc-.example"},
		{"A-label of what no label may hold", "a.xn--1ch", badDomain, badDomain, "a.xn--1ch"}, // U+2260
		{"A-label that is not normalised", "xn--u-ccb.example", badDomain, badDomain, "xn--u-ccb.example"},
		{"A-label of upper case", "xn--2bae14bha2b.example", badDomain, badDomain, "xn--2bae14bha2b.example"},
		{"A-label of two directions", "xn--0ca24w.example", badDomain, badDomain, "xn--0ca24w.example"},
		{"hyphens elsewhere", "r3---sn-x.example", "r3---sn-x.example", "r3---sn-x.example", "r3---sn-x.example"},
		{"controls", "a\x00b", badDomain, badDomain, badDomain},
		{"too long", strings.Repeat("a.", 128) + "b", badDomain, badDomain, strings.Repeat("a.", 128) + "b"},
		{"missing", "", noDomain, noDomain, noDomain},
		{"missing", " \t", noDomain, noDomain, noDomain},
	}
	for _, tt := range tests {
		for check, want := range map[HeloCheck]string{HeloStrict: tt.strict, HeloLenient: tt.lenient, HeloOff: tt.off} {
			h, err := ParseHelo(tt.arg, Validation{Check: check})
			got := h.Name
			if err != nil {
				got = wireForm(t, err)
			}
			if got != want {
				t.Errorf("%s, check %d: EHLO %q gives %q, want %q", tt.rule, check, tt.arg, got, want)
			}
			if (h.Literal.IsValid()) != (err == nil && strings.HasSuffix(h.Name, "]") && !strings.Contains(h.Name, "300")) {
				t.Errorf("%s: the literal of %q is %v", tt.rule, tt.arg, h.Literal)
			}
		}
	}
	if h, err := ParseHelo("", Validation{Optional: true}); err != nil || h.Name != "" {
		t.Errorf("an optional argument: %+v, %v", h, err)
	}
}

func TestParseBDAT(t *testing.T) {
	tests := []struct {
		rule, arg string
		size      uint64
		last      bool
		err       string
	}{
		{"RFC 3030 2", "0", 0, false, ""},
		{"RFC 3030 2", "86 LAST", 86, true, ""},
		{"RFC 3030 2", "0 last ", 0, true, ""},
		{"RFC 3030 2", "18446744073709551615", math.MaxUint64, false, ""},
		{"RFC 3030 2", "18446744073709551616", 0, false, arguments},
		{"RFC 3030 2", "", 0, false, arguments},
		{"RFC 3030 2", "LAST", 0, false, arguments},
		{"RFC 3030 2", "+1", 0, false, arguments},
		{"RFC 3030 2", "-1", 0, false, arguments},
		{"RFC 3030 2", "1x", 0, false, arguments},
		{"RFC 3030 2", "0x1", 0, false, arguments},
		{"RFC 3030 2", "1_0", 0, false, arguments},
		{"RFC 3030 2", "1 LAST LAST", 0, false, arguments},
		{"RFC 3030 2", "1 FIRST", 0, false, arguments},
	}
	for _, tt := range tests {
		size, last, err := ParseBDAT(tt.arg)
		if form := wireForm(t, err); form != tt.err || err == nil && (size != tt.size || last != tt.last) {
			t.Errorf("%s: BDAT %s is %d, %v, %q", tt.rule, tt.arg, size, last, form)
		}
	}
	if got := string(AppendBDAT([]byte("x"), 7, false)) + string(AppendBDAT(nil, 0, true)); got != "xBDAT 7\r\nBDAT 0 LAST\r\n" {
		t.Errorf("AppendBDAT: %q", got)
	}
}

// What the parser takes can be sent on and is then read the same.
func FuzzParseMail(f *testing.F) {
	for _, s := range []string{"FROM:<a@b> SIZE=1 BODY=8BITMIME", `FROM:<"a> X"@b> ENVID=a+20b RET=HDRS`, "FROM:<@x:jörg@bücher.example> SMTPUTF8",
		"FROM:<> REQUIRETLS AUTH=<>", "FROM:<a@b>\t"} {
		f.Add(s)
	}
	peer := Extensions{HasSize: true, EightBitMIME: true, BinaryMIME: true, SMTPUTF8: true, RequireTLS: true, DSN: true}
	f.Fuzz(func(t *testing.T, arg string) {
		m, err := ParseMail(arg, all)
		if err != nil {
			if m != (Mail{}) {
				t.Fatalf("%+v together with an error", m)
			}
			wireForm(t, err)
			return
		}
		e := &message.Envelope{From: m.Path, Body: m.Body, SMTPUTF8: m.SMTPUTF8, RequireTLS: m.RequireTLS, Return: m.Ret, EnvID: m.EnvID}
		b, err := AppendMail(nil, e, peer, m.Size)
		if err != nil {
			t.Fatalf("%+v can't be sent: %v", m, err)
		}
		m.HasSize, m.Auth = true, ""
		if again := sent(t, b, "MAIL"); again != nil {
			if got, err := ParseMail(*again, all); err != nil || got != m {
				t.Fatalf("%q sent as %q is read as %+v, %v", arg, b, got, err)
			}
		}
	})
}

func FuzzParseRcpt(f *testing.F) {
	for _, s := range []string{"TO:<a@b> NOTIFY=NEVER", "TO:<postmaster>", `TO:<a@b> ORCPT=utf-8;\x{F6}+2B`, "TO:<jörg@[x:y]> ORCPT=rfc822;a+20b NOTIFY=DELAY,SUCCESS"} {
		f.Add(s)
	}
	peer := Extensions{SMTPUTF8: true, DSN: true}
	f.Fuzz(func(t *testing.T, arg string) {
		r, err := ParseRcpt(arg, all)
		if err != nil {
			wireForm(t, err)
			return
		}
		b, err := AppendRcpt(nil, &message.Recipient{Address: r.Path, Notify: r.Notify, ORcpt: r.ORcpt}, peer)
		if err != nil {
			t.Fatalf("%+v can't be sent: %v", r, err)
		}
		if again := sent(t, b, "RCPT"); again != nil {
			// Encoding may make an original recipient longer than may be sent.
			if got, err := ParseRcpt(*again, all); (err != nil || got != r) && len(*again) < maxORcpt {
				t.Fatalf("%q sent as %q is read as %+v, %v", arg, b, got, err)
			}
		}
	})
}

// sent reads a command as it was sent, and sees that it is one line.
func sent(t *testing.T, b []byte, verb string) *string {
	line, ok := strings.CutSuffix(string(b), "\r\n")
	if !ok || strings.ContainsAny(line, "\r\n\x00") {
		t.Fatalf("%q is not one line", b)
	}
	c, err := ParseCommand([]byte(line))
	if err != nil || c.Verb != verb {
		t.Fatalf("%q is read as %+v, %v", b, c, err)
	}
	return &c.Arg
}

func FuzzParseCommand(f *testing.F) {
	f.Add([]byte("MAIL FROM:<>"))
	f.Add([]byte("EHLO a\x00"))
	f.Add([]byte("BDAT 5 LAST"))
	f.Fuzz(func(t *testing.T, line []byte) {
		c, err := ParseCommand(line)
		if err != nil {
			wireForm(t, err)
			return
		}
		if c.Verb == "" || c.Verb != strings.ToUpper(c.Verb) || len(line) < len(c.Verb)+len(c.Arg) {
			t.Fatalf("%q is %+v", line, c)
		}
		for _, v := range []HeloCheck{HeloStrict, HeloLenient, HeloOff} {
			if h, err := ParseHelo(c.Arg, Validation{Check: v}); err == nil && v != HeloOff {
				if b, err := AppendEHLO(nil, h.Name); err != nil {
					t.Fatalf("%q was taken but can't be sent: %q, %v", h.Name, b, err)
				}
			}
		}
		if size, last, err := ParseBDAT(c.Arg); err == nil {
			again := strings.TrimSuffix(strings.TrimPrefix(string(AppendBDAT(nil, size, last)), "BDAT "), "\r\n")
			if s, l, err := ParseBDAT(again); s != size || l != last || err != nil {
				t.Fatalf("BDAT %q", again)
			}
		}
	})
}

func TestSharedRepliesStay(t *testing.T) {
	r := NewReply(250, smtp.EnhancedCode{2, 0, 0}, "OK")
	if c := r.WithLog("x"); r.Log != "" || c.Log != "x" || c == r {
		t.Error("WithLog changes the reply")
	}
}
