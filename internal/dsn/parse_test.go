package dsn

import (
	"bufio"
	"bytes"
	"io"
	"net/textproto"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	gomessage "github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset"
	"github.com/emersion/go-message/mail"

	"postern/internal/message"
)

// memory is content in memory. A read at or behind fail gives an error.
type memory struct {
	*bytes.Reader
	fail error
}

func content(s string) *memory { return &memory{Reader: bytes.NewReader([]byte(s))} }
func (m *memory) Close() error { return nil }
func (m *memory) Read(p []byte) (int, error) {
	if m.fail != nil && m.Len() == 0 {
		return 0, m.fail
	}
	return m.Reader.Read(p)
}

func addr(s string) message.Address {
	local, domain, _ := strings.Cut(s, "@")
	return message.Address{Local: local, Domain: domain}
}

var at = time.Date(2026, 3, 4, 9, 10, 11, 0, time.FixedZone("", 3600))

// plainOriginal has fields that do not come back: see returnedOriginal.
const plainOriginal = "Received: from a by b; Wed, 4 Mar 2026 09:10:11 +0100\r\n" +
	"X-MS-Exchange-Organization-AuthAs: Internal\r\nResent-From: c\r\n\t@example.net\r\n" + returnedOriginal

// returnedOriginal is what comes back of it (reference 4.13).
const returnedOriginal = "From: Bob <bob@example.net>\r\nTo: kim@example.org\r\nSubject: Hello\r\n there\r\n" +
	"Message-ID: <a1@example.net>\r\n\r\nBody line\r\n.dot\r\n"

// failure is a report that every test changes in one place.
func failure(original string) *Report {
	e := &message.Envelope{
		From: addr("bob@example.net"), EnvID: "QQ314159", Arrived: at.Add(-time.Hour),
		MessageID: "<a1@example.net>", Size: int64(len(original)),
		Recipients: []message.Recipient{
			{Address: addr("kim@example.org"), ORcpt: "rfc822;Kim@example.org"},
			{Address: addr("lee@example.org")},
		},
	}
	r := &Report{
		Kind: Failure, ReportingMTA: "edge.contoso.example", From: addr("postmaster@contoso.example"),
		ID: 77, NotificationID: 78, Envelope: e, Original: content(original), Now: at,
	}
	r.Recipients = []Recipient{{Index: 0, State: message.RecipientState{
		Status: message.Failed, At: at, Tries: 1, RemoteMTA: "mx1.example.org [198.51.100.25]",
		Reply: message.Reply{Code: 550, Enhanced: [3]int{5, 1, 1}, Text: "User unknown"},
	}}}
	return r
}

// parsed is a notification read back by an independent parser.
type parsed struct {
	raw        string
	header     mail.Header
	text       string
	fields     []textproto.MIMEHeader // message/delivery-status, group by group
	reportType string
	kind       string // of the third part; empty without one
	encoding   string
	third      string
	envelope   *message.Envelope
}

func compose(t *testing.T, r *Report) parsed {
	t.Helper()
	var out bytes.Buffer
	env, err := Compose(&out, r)
	if err != nil {
		t.Fatalf("Compose: %v", err)
	}
	if env.Size != int64(out.Len()) {
		t.Errorf("the envelope says %d octets, written were %d", env.Size, out.Len())
	}
	checkLines(t, out.String())
	p := parse(t, out.String())
	p.envelope = env
	return p
}

// checkLines holds what is true of the lines of every notification's first two
// parts; odd octets of the third pass unchanged.
func checkLines(t *testing.T, raw string) {
	t.Helper()
	for _, third := range []string{"message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers"} {
		raw, _, _ = strings.Cut(raw, "\r\nContent-Type: "+third+"\r\n")
	}
	for i, line := range strings.Split(raw, "\r\n") {
		if strings.ContainsAny(line, "\r\n\x00") {
			t.Errorf("line %d holds a bare CR, LF or NUL: %q", i+1, line)
		}
		if len(line) > 998 {
			t.Errorf("line %d is %d octets long", i+1, len(line))
		}
	}
}

func parse(t *testing.T, raw string) parsed {
	t.Helper()
	p := parsed{raw: raw}
	e, err := gomessage.Read(strings.NewReader(raw))
	if err != nil {
		t.Fatalf("read back: %v\n%s", err, raw)
	}
	p.header = mail.Header{Header: e.Header}
	kind, params, err := e.Header.ContentType()
	reportType := params["report-type"]
	if err != nil || kind != "multipart/report" || reportType != "delivery-status" && reportType != "global-delivery-status" {
		t.Fatalf("Content-Type is %q %v (%v)", kind, params, err)
	}
	mr := e.MultipartReader()
	for i := 0; ; i++ {
		part, err := mr.NextPart()
		if err == io.EOF {
			if i < 2 || i > 3 {
				t.Fatalf("%d parts", i)
			}
			return p
		}
		if err != nil {
			t.Fatalf("part %d: %v\n%s", i+1, err, raw)
		}
		body, err := io.ReadAll(part.Body)
		if err != nil {
			t.Fatalf("part %d: %v", i+1, err)
		}
		kind, _, _ := part.Header.ContentType()
		switch i {
		case 0:
			if kind != "text/plain" {
				t.Errorf("the first part is %s", kind)
			}
			p.text = string(body)
		case 1:
			if kind != "message/"+reportType { // RFC 6522 3
				t.Errorf("the second part is %s in a report of type %s", kind, reportType)
			}
			p.reportType = reportType
			p.fields = groups(t, body, part.Header.Get("Content-Transfer-Encoding") == "8bit")
		case 2:
			p.kind, p.third, p.encoding = kind, string(body), part.Header.Get("Content-Transfer-Encoding")
		}
	}
}

func groups(t *testing.T, body []byte, eightBit bool) []textproto.MIMEHeader {
	t.Helper()
	high := bytes.ContainsFunc(body, func(r rune) bool { return r > 126 })
	if high != eightBit || !utf8.Valid(body) {
		t.Errorf("the second part is declared 8-bit %v: %q", eightBit, body)
	}
	var g []textproto.MIMEHeader
	r := textproto.NewReader(bufio.NewReader(bytes.NewReader(body)))
	for {
		h, err := r.ReadMIMEHeader()
		if len(h) > 0 {
			g = append(g, h)
		}
		if err == io.EOF {
			return g
		}
		if err != nil {
			t.Fatalf("message/delivery-status: %v\n%s", err, body)
		}
	}
}
