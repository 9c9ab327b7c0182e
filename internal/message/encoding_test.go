package message

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The generators make every field, zero values included.

func genString() *rapid.Generator[string] {
	return rapid.OneOf(rapid.Just(""), rapid.StringN(0, 40, 80), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 20), func(b []byte) string { return string(b) }))
}

func genTime() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}
		return time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "s"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns")).UTC()
	})
}

func genAddrPort() *rapid.Generator[netip.AddrPort] {
	return rapid.SampledFrom([]netip.AddrPort{{}, netip.MustParseAddrPort("192.0.2.1:25"),
		netip.MustParseAddrPort("[2001:db8::1]:587"), netip.MustParseAddrPort("[fe80::1%eth0]:1"), netip.MustParseAddrPort("[::ffff:192.0.2.1]:0")})
}

func genReply() *rapid.Generator[Reply] {
	return rapid.Custom(func(t *rapid.T) Reply {
		return Reply{
			Code:     rapid.SampledFrom([]int{0, 250, 421, 550, -1}).Draw(t, "code"),
			Enhanced: [3]int{rapid.IntRange(0, 5).Draw(t, "e"), rapid.IntRange(0, 999).Draw(t, "e"), rapid.IntRange(0, 999).Draw(t, "e")},
			Text:     genString().Draw(t, "text"),
		}
	})
}

func genInts() *rapid.Generator[[]int] {
	return rapid.Map(rapid.SliceOfN(rapid.IntRange(-2, 5000), 0, 5), func(l []int) []int {
		if len(l) == 0 {
			return nil
		}
		return l
	})
}

func genAttempts() *rapid.Generator[[]Attempt] {
	return rapid.Custom(func(t *rapid.T) (l []Attempt) {
		for range rapid.IntRange(0, 3).Draw(t, "attempts") {
			l = append(l, Attempt{Peer: genString().Draw(t, "peer"), Trust: genString().Draw(t, "trust"), Client: genString().Draw(t, "client"), Policy: genString().Draw(t, "policy"), At: genTime().Draw(t, "at"), Host: genString().Draw(t, "host"), Address: genString().Draw(t, "address"),
				Source: genString().Draw(t, "source"), TLS: genString().Draw(t, "tls"), Session: genString().Draw(t, "session"), Reply: genReply().Draw(t, "reply"), NextHop: genString().Draw(t, "hop"), Sender: genString().Draw(t, "sender")})
		}
		return l
	})
}

func genEnvelope() *rapid.Generator[*Envelope] {
	return rapid.Custom(func(t *rapid.T) *Envelope {
		str := func(name string) string { return genString().Draw(t, name) }
		e := &Envelope{
			From: Address{Local: str("local"), Domain: str("domain")},
			Body: BodyType(rapid.IntRange(0, 3).Draw(t, "body")), SMTPUTF8: rapid.Bool().Draw(t, "utf8"), RequireTLS: rapid.Bool().Draw(t, "tls"),
			Return: Return(rapid.IntRange(0, 2).Draw(t, "ret")), EnvID: str("envid"), Size: rapid.Int64().Draw(t, "size"), Arrived: genTime().Draw(t, "arrived"), MessageID: str("mid"), Subject: str("subject"), Auth: str("auth"),
			Origin: Origin{Connector: str("connector"), Session: str("session"), Client: genAddrPort().Draw(t, "client"), Local: genAddrPort().Draw(t, "local"),
				Helo: str("helo"), Protocol: str("protocol"), Internal: rapid.Bool().Draw(t, "internal"), ReportOf: ID(rapid.Uint64().Draw(t, "report")), User: str("user"), MayRelay: rapid.Bool().Draw(t, "relay")},
		}
		for range rapid.IntRange(0, 4).Draw(t, "rcpts") {
			e.Recipients = append(e.Recipients, Recipient{Address: Address{Local: str("l"), Domain: str("d")},
				Notify: Notify(rapid.IntRange(0, 15).Draw(t, "notify")), ORcpt: str("orcpt")})
		}
		return e
	})
}

func genStanding() *rapid.Generator[Standing] {
	return rapid.Custom(func(t *rapid.T) Standing {
		return Standing{Suspended: rapid.Bool().Draw(t, "suspended"), Redirect: genString().Draw(t, "redirect"), Panics: rapid.IntRange(0, 3).Draw(t, "panics"),
			Poison: rapid.Bool().Draw(t, "poison"), Removal: Removal(rapid.IntRange(0, 2).Draw(t, "removal"))}
	})
}

func genUpdate() *rapid.Generator[*Update] {
	return rapid.Custom(func(t *rapid.T) *Update {
		u := &Update{At: genTime().Draw(t, "at"), Attempts: genAttempts().Draw(t, "attempts"), Notified: genInts().Draw(t, "notified"),
			DelayNotified: genInts().Draw(t, "delay"), Done: rapid.Bool().Draw(t, "done")}
		for range rapid.IntRange(0, 3).Draw(t, "outcomes") {
			u.Outcomes = append(u.Outcomes, Outcome{Recipients: genInts().Draw(t, "rcpts"), Status: Status(rapid.IntRange(0, 5).Draw(t, "status")),
				Reply: genReply().Draw(t, "reply"), RemoteMTA: genString().Draw(t, "mta"), NextHop: genString().Draw(t, "hop"), Due: genTime().Draw(t, "due"), Tries: rapid.IntRange(0, 99).Draw(t, "tries"),
				NoDSN: rapid.Bool().Draw(t, "noDSN")})
		}
		for range rapid.IntRange(0, 2).Draw(t, "fallbacks") {
			u.Fallbacks = append(u.Fallbacks, Fallback{Recipients: genInts().Draw(t, "fallen"), Connector: genString().Draw(t, "connector"), Tries: rapid.IntRange(0, 99).Draw(t, "tries")})
		}
		if rapid.Bool().Draw(t, "ordered") {
			st := genStanding().Draw(t, "standing")
			u.Standing = &st
		}
		return u
	})
}

func fallen(t *rapid.T) Fallen {
	if !rapid.Bool().Draw(t, "fallen") {
		return Fallen{}
	}
	return Fallen{Connector: genString().Draw(t, "connector"), At: genTime().Draw(t, "since"), Tries: rapid.IntRange(0, 99).Draw(t, "triesBefore")}
}

func genState() *rapid.Generator[*State] {
	return rapid.Custom(func(t *rapid.T) *State {
		s := &State{Attempts: genAttempts().Draw(t, "attempts"), Done: rapid.Bool().Draw(t, "done")}
		if rapid.Bool().Draw(t, "ordered") {
			s.Standing = genStanding().Draw(t, "standing")
		}
		replies := rapid.SliceOfN(genReply(), 1, 3).Draw(t, "replies") // few, so that they are shared
		for range rapid.IntRange(0, 8).Draw(t, "rcpts") {
			s.Recipients = append(s.Recipients, RecipientState{Status: Status(rapid.IntRange(0, 5).Draw(t, "status")), Reply: rapid.SampledFrom(replies).Draw(t, "reply"),
				RemoteMTA: rapid.SampledFrom([]string{"", "mx1.example.net [198.51.100.25]"}).Draw(t, "mta"), NextHop: genString().Draw(t, "hop"), At: genTime().Draw(t, "at"), Due: genTime().Draw(t, "due"),
				Tries: rapid.IntRange(0, 99).Draw(t, "tries"), NoDSN: rapid.Bool().Draw(t, "noDSN"), Fallen: fallen(t), Notified: rapid.Bool().Draw(t, "n"), DelayNotified: rapid.Bool().Draw(t, "dn")})
		}
		return s
	})
}

// checkRoundTrip encodes, decodes and compares, then again with unknown fields
// before and behind, as a later version would write them.
func checkRoundTrip[T any](t *rapid.T, v *T, app func([]byte, *T) []byte, dec func([]byte) (*T, error)) {
	b := app([]byte("prefix"), v)
	if string(b[:6]) != "prefix" {
		t.Fatalf("prefix overwritten: %q", b[:6])
	}
	b = b[6:]
	unknown := appendString(nil, 1<<40, "from the future")
	for _, in := range [][]byte{b, append(append(append([]byte(nil), unknown...), b...), unknown...)} {
		got, err := dec(in)
		if err != nil {
			t.Fatalf("decode: %v", err)
		}
		if !reflect.DeepEqual(got, v) {
			t.Fatalf("got  %+v\nwant %+v", got, v)
		}
	}
	if len(b) > 0 { // every true prefix is either an error or a shorter value, never a panic
		n := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		_, _ = dec(b[:n])
	}
}

func TestEncodingRoundTrip(t *testing.T) {
	t.Run("envelope", rapid.MakeCheck(func(t *rapid.T) { checkRoundTrip(t, genEnvelope().Draw(t, "v"), AppendEnvelope, DecodeEnvelope) }))
	t.Run("update", rapid.MakeCheck(func(t *rapid.T) { checkRoundTrip(t, genUpdate().Draw(t, "v"), AppendUpdate, DecodeUpdate) }))
	t.Run("state", rapid.MakeCheck(func(t *rapid.T) { checkRoundTrip(t, genState().Draw(t, "v"), AppendState, DecodeState) }))
}

// TestEncodingStable pins the bytes: what one version wrote, the next reads.
func TestEncodingStable(t *testing.T) {
	e := &Envelope{From: Address{"a", "b.example"}, Recipients: []Recipient{{Address: Address{"c", "d.example"}, Notify: NotifyFailure}},
		Size: 300, Arrived: time.Unix(1000000000, 5).UTC(), Origin: Origin{Connector: "In"}}
	const want = "\x01\x0e\x01\x01a\x02\x09b.example" + "\x07\x11\x01\x01c\x02\x09d.example\x03\x01\x04" +
		"\x08\x02\xd8\x04" + "\x09\x06\x80\xa8\xd6\xb9\x07\x05" + "\x0b\x04\x01\x02In"
	if got := string(AppendEnvelope(nil, e)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	// NoDSN came later: a record without it reads as false, and is what is
	// written for false.
	const delivered, noDSN = "\x02\x09\x01\x01\x02\x02\x01\x02\x06\x01\x02", "\x02\x0c\x01\x01\x02\x02\x01\x02\x06\x01\x02\x07\x01\x01"
	for want, no := range map[string]bool{delivered: false, noDSN: true} {
		u := &Update{Outcomes: []Outcome{{Recipients: []int{1}, Status: Delivered, Tries: 1, NoDSN: no}}}
		if got := string(AppendUpdate(nil, u)); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		if got, err := DecodeUpdate([]byte(want)); err != nil || !reflect.DeepEqual(got, u) {
			t.Errorf("%q is read as %+v, %v", want, got, err)
		}
	}
	const state, stateNo = "\x02\x03\x01\x01\x02", "\x02\x06\x01\x01\x02\x08\x01\x01"
	for want, no := range map[string]bool{state: false, stateNo: true} {
		s := &State{Recipients: []RecipientState{{Status: Delivered, NoDSN: no}}}
		if got := string(AppendState(nil, s)); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		if got, err := DecodeState([]byte(want)); err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("%q is read as %+v, %v", want, got, err)
		}
	}
}

// TestStandingStable: a state without a standing is written as before there
// were any, and one from then reads as the zero Standing; an update can set the
// zero Standing, and leaves it alone when it has none.
func TestStandingStable(t *testing.T) {
	const old = "\x02\x03\x01\x01\x02"
	s := &State{Recipients: []RecipientState{{Status: Delivered}}}
	if got := string(AppendState(nil, s)); got != old {
		t.Errorf("without standing: got %q, want %q", got, old)
	}
	s.Standing = Standing{Suspended: true, Redirect: "[10.0.0.11]:25", Panics: 1, Poison: true, Removal: RemovalQuiet}
	const want = old + "\x05\x1c" + "\x01\x01\x01" + "\x02\x0e[10.0.0.11]:25" + "\x03\x01\x02" + "\x04\x01\x01" + "\x05\x01\x02"
	if got := string(AppendState(nil, s)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for _, tt := range []struct {
		u    *Standing
		want Standing
	}{{nil, s.Standing}, {&Standing{}, Standing{}}, {&Standing{Panics: 2}, Standing{Panics: 2}}} {
		u, err := DecodeUpdate(AppendUpdate(nil, &Update{Standing: tt.u}))
		if err != nil || !reflect.DeepEqual(u.Standing, tt.u) {
			t.Fatalf("%+v is read as %+v, %v", tt.u, u.Standing, err)
		}
		c := *s
		if c.Apply(u); c.Standing != tt.want {
			t.Errorf("after %+v: %+v, want %+v", tt.u, c.Standing, tt.want)
		}
	}
}

func TestStateSharesReplies(t *testing.T) {
	s := NewState(64)
	text := strings.Repeat("x", 500)
	for i := range s.Recipients {
		s.Recipients[i] = RecipientState{Status: Deferred, Reply: Reply{Code: 451, Text: text}}
	}
	if n := len(AppendState(nil, s)); n > 500+64*16 {
		t.Errorf("%d octets: the shared reply is written more than once", n)
	}
}

func TestDecodeMalformed(t *testing.T) {
	huge := binary.AppendUvarint([]byte{envRecipient}, 1<<62)
	for name, in := range map[string][]byte{
		"length beyond the end": {envEnvID, 5, 'a'},
		"huge length":           huge,
		"no length":             {envEnvID},
		"endless varint":        []byte(strings.Repeat("\xff", 12)),
		"empty number":          {envBody, 0},
		"number too large":      {envBody, 2, 0xff, 0x7f},
		"bad address and port":  {envOrigin, 4, originClient, 2, 1, 2},
		"nested":                {envFrom, 2, rcptLocal, 9},
		"bad nanoseconds":       {envArrived, 6, 0, 0xff, 0xff, 0xff, 0xff, 0x7f},
	} {
		if e, err := DecodeEnvelope(in); err == nil {
			t.Errorf("%s: no error, got %+v", name, e)
		}
	}
	if _, err := DecodeState([]byte{stateRecipient, 3, rstatAnswer, 1, 1}); err == nil {
		t.Error("a reply that is not there: no error")
	}
}

func fuzzDecoder[T any](f *testing.F, app func([]byte, *T) []byte, dec func([]byte) (*T, error), seeds ...*T) {
	for _, s := range seeds {
		f.Add(app(nil, s))
	}
	f.Add([]byte{7, 0, 7, 0, 7, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		v, err := dec(in)
		if err != nil {
			return
		}
		again, err := dec(app(nil, v))
		if err != nil {
			t.Fatalf("what we wrote does not decode: %v", err)
		}
		if !reflect.DeepEqual(v, again) {
			t.Fatalf("got  %+v\nwant %+v", again, v)
		}
	})
}

func FuzzDecodeEnvelope(f *testing.F) {
	fuzzDecoder(f, AppendEnvelope, DecodeEnvelope, &Envelope{From: Address{"a", "b"}, Recipients: []Recipient{{}, {ORcpt: "rfc822;x"}}, Arrived: time.Unix(1, 2), Origin: Origin{Client: netip.MustParseAddrPort("[::1]:25")}})
}

func FuzzDecodeUpdate(f *testing.F) {
	fuzzDecoder(f, AppendUpdate, DecodeUpdate, &Update{At: time.Unix(1, 2), Outcomes: []Outcome{{Recipients: []int{0, 1}, Reply: Reply{Code: 250, Enhanced: [3]int{2, 0, 0}, Text: "ok"}}}, Done: true, Standing: &Standing{Suspended: true, Redirect: "hub.example:25"}})
}

func FuzzDecodeState(f *testing.F) {
	fuzzDecoder(f, AppendState, DecodeState, &State{Recipients: []RecipientState{{Reply: Reply{Code: 451}, Due: time.Unix(9, 9)}, {Status: Failed}}, Attempts: []Attempt{{Host: "mx"}}, Standing: Standing{Panics: 2, Poison: true, Removal: RemovalTold}})
}

func BenchmarkEnvelope(b *testing.B) {
	e := &Envelope{From: Address{"alice", "fabrikam.example"}, Recipients: []Recipient{{Address: Address{"bob", "contoso.example"}}}, Size: 8192, Arrived: time.Now(),
		MessageID: "<1234567890@fabrikam.example>", Origin: Origin{Connector: "From Internet", Session: "08DE23A4C5B60001", Client: netip.MustParseAddrPort("192.0.2.1:33445"),
			Local: netip.MustParseAddrPort("192.0.2.2:25"), Helo: "mail.fabrikam.example", Protocol: "ESMTPS"}}
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		buf = AppendEnvelope(buf[:0], e)
		if _, err := DecodeEnvelope(buf); err != nil {
			b.Fatal(err)
		}
	}
}
