package server

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"postern/internal/message"
	"postern/internal/wire"
)

// TestImport: content is kept octet by octet behind one field of ours, but that
// lines that all end in LF get CRLF; what could not be sent on is refused, and
// what is refused leaves nothing behind.
func TestImport(t *testing.T) {
	s := start(t, Options{Config: parse(t, fmt.Sprintf(edge, t.TempDir(), freePort(t), "", freePort(t)))})
	defer stop(t, s)
	long := strings.Repeat("x", 3*importBuffer)
	for name, tt := range map[string]struct {
		content, want, refused string
		binary                 bool
		limit                  int64
	}{
		"CRLF":                     {content: "Subject: a\r\n\r\nb\r\n", want: "Subject: a\r\n\r\nb\r\n"},
		"LF":                       {content: "Subject: a\n\nb\n", want: "Subject: a\r\n\r\nb\r\n"},
		"no line end at all":       {content: "Subject: a", want: "Subject: a"},
		"no end of the last line":  {content: "Subject: a\r\n\r\nb", want: "Subject: a\r\n\r\nb"},
		"odd octets":               {content: "Subject: a\r\n\r\n\x00\xff\r\n", want: "Subject: a\r\n\r\n\x00\xff\r\n"},
		"no header":                {content: " text\r\n", want: "\r\n text\r\n"},
		"a long first line":        {content: long + "\r\n\r\n", want: long + "\r\n\r\n"},
		"a bare LF":                {content: "Subject: a\r\n\r\nb\n.\r\n", refused: "bare CR or LF"},
		"a bare CR":                {content: "Subject: a\r\n\r\nb\r.\r\n", refused: "bare CR or LF"},
		"CRLF among LF":            {content: "Subject: a\n\nb\r\n", refused: "bare CR or LF"},
		"a CR at the end":          {content: "Subject: a\r\n\r\nb\r", refused: "bare CR or LF"},
		"a bare LF behind a block": {content: long + "\r\n" + long + "\n", refused: "bare CR or LF"},
		"binary":                   {content: "Subject: a\r\n\r\nb\n\r", want: "Subject: a\r\n\r\nb\n\r", binary: true},
		"at the limit":             {content: "Subject: a\r\n", want: "Subject: a\r\n", limit: 12},
		"beyond the limit":         {content: "Subject: a\r\n", refused: "--no-limit", limit: 11},
		"nothing":                  {refused: "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			before := s.SpoolStats().Messages
			e := &message.Envelope{Recipients: []message.Recipient{{Address: message.Address{Local: "bob", Domain: "nowhere.example"}}}}
			if tt.binary {
				e.Body = message.BodyBinaryMIME
			}
			id, err := s.Import(t.Context(), e, strings.NewReader(tt.content), tt.limit)
			if tt.refused != "" {
				var reply *wire.Reply
				if !errors.As(err, &reply) || !strings.Contains(err.Error(), tt.refused) || s.SpoolStats().Messages != before {
					t.Errorf("error %v, want a reply with %q; %d messages, before it were %d", err, tt.refused, s.SpoolStats().Messages, before)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c, err := s.Queue().Content(id)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			text, err := io.ReadAll(c)
			trace, rest, _ := strings.Cut(strings.ReplaceAll(string(text), "\r\n\t", " "), "\r\n") // unfolded
			if err != nil || rest != tt.want || !strings.HasPrefix(trace, "Received: by edge.contoso.example with Import id "+id.String()) {
				t.Errorf("%v, it is kept as %.200q, want %.200q behind the Received field", err, text, tt.want)
			}
			info, err := s.Queue().Show(id)
			if err != nil || info.Envelope.Size != int64(len(strings.TrimPrefix(tt.want, "\r\n"))) || info.Envelope.Origin.Protocol != "Import" {
				t.Errorf("%v, the envelope is %+v", err, info.Envelope)
			}
		})
	}
	broken := errors.New("the caller went away")
	before := s.SpoolStats()
	e := &message.Envelope{Recipients: []message.Recipient{{Address: message.Address{Local: "bob", Domain: "nowhere.example"}}}}
	if _, err := s.Import(t.Context(), e, io.MultiReader(strings.NewReader("Subject: a\r\n"), iotest.ErrReader(broken)), 0); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if after := s.SpoolStats(); after.Messages != before.Messages || after.DraftBytes != 0 {
		t.Errorf("something stays behind: %+v", after)
	}
}
