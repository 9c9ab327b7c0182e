package routing

import (
	"testing"
	"time"

	"postern/config"
)

// TestFallback goes through what takes over from whom.
func TestFallback(t *testing.T) {
	a, b := falling(conn("A", "a.example"), "b"), falling(limited(conn("B"), 100), "C")
	a.FallbackFailures = 5
	tab := table(t, &config.Config{SendConnectors: []config.SendConnector{
		a, b, via(conn("C", "*"), "backup"), falling(conn("D", "d.example"), "Off"), disabled(conn("Off", "*")),
	}})
	hour := func(to string) Fallback { return Fallback{to, time.Hour, config.Unlimited} }
	for _, c := range []struct {
		rcpt, fallback string
		size           int64
		connector, of  string
		next           Fallback
	}{
		{rcpt: "x@a.example", connector: "A", next: Fallback{"B", time.Hour, 5}},
		{rcpt: "x@a.example", fallback: "b", connector: "B", of: "A", next: hour("C")},
		{rcpt: "x@a.example", fallback: "C", connector: "C", of: "A"},
		{rcpt: "x@a.example", fallback: "D", connector: "A", next: Fallback{"B", time.Hour, 5}}, // no fallback of A's
		{rcpt: "x@a.example", fallback: "Gone", connector: "A", next: Fallback{"B", time.Hour, 5}},
		{rcpt: "x@a.example", size: 101, connector: "A", next: Fallback{"C", time.Hour, 5}}, // B does not take it
		{rcpt: "x@a.example", size: 101, fallback: "B", connector: "A", next: Fallback{"C", time.Hour, 5}},
		{rcpt: "x@a.example", size: 101, fallback: "C", connector: "C", of: "A"},
		{rcpt: "x@c.example", fallback: "B", connector: "C"},
		{rcpt: "x@d.example", connector: "D"}, // a disabled one takes nothing over
	} {
		q := Query{Recipient: addr(t, c.rcpt), Size: c.size, Fallback: c.fallback}
		d := tab.Explain(q)
		if d.Connector != c.connector || d.FallbackOf != c.of || d.Fallback != c.next || d.NextHop.Connector != c.connector {
			t.Errorf("%+v: %s of %q, then %+v: %s", c, d.Connector, d.FallbackOf, d.Fallback, d.Reason)
		}
		check(t, tab, q, d)
		for _, k := range d.Candidates {
			if k.Name == c.of && k.EliminatedBy != EliminatedFallback {
				t.Errorf("%+v: %+v", c, k)
			}
		}
	}
	if d := tab.Route(Query{Recipient: addr(t, "x@a.example"), Fallback: "C"}); d.NextHop != (NextHop{"C", SmartHost, "backup:25"}) || d.AddressSpace != "a.example" {
		t.Errorf("%+v", d)
	}
	want := `{"connector":"B","address_space":"a.example","next_hop":{"kind":"mx","domain":"a.example","queue":"B/a.example"},"fallback_of":"A",` +
		`"fallback":{"connector":"C","after":3600,"failures":null},"problem":null,"reply":null,"reason":"Send connector \"B\" has taken over from \"A\", the best match for a.example.","candidates":[]}`
	if got := text(t, tab.Route(Query{Recipient: addr(t, "x@a.example"), Fallback: "B"})); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
