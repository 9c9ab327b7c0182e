package routing

import (
	"testing"

	"postern/config"
	"postern/internal/message"
)

// TestQueryFor: what is asked about messages that came in different ways.
func TestQueryFor(t *testing.T) {
	for _, c := range []struct {
		origin message.Origin
		size   int64
		source string
	}{
		{message.Origin{Connector: "From hubs", Protocol: "ESMTPS"}, 100, "From hubs"},
		{message.Origin{Protocol: "Pickup"}, 100, config.SourcePickup},
		{message.Origin{Protocol: "Replay"}, 100, config.SourceReplay},
		{message.Origin{Protocol: "Import"}, 100, config.SourceImport},
		{message.Origin{Protocol: "ESMTP"}, 100, ""}, // a record that names no connector
		{message.Origin{Internal: true, ReportOf: 1}, 0, ""},
	} {
		e := &message.Envelope{From: addr(t, "a@b.example"), Size: 100, Origin: c.origin, Recipients: []message.Recipient{{Address: addr(t, "c@d.example")}, {Address: addr(t, "e@f.example")}}}
		want := Query{Sender: e.From, Recipient: e.Recipients[1].Address, Size: c.size, Source: c.source}
		if got := QueryFor(e, nil, 1); got != want {
			t.Errorf("%+v: %+v", c.origin, got)
		}
		st := message.NewState(2)
		st.Recipients[1].Fallen.Connector, want.Fallback = "Other", "Other"
		if got := QueryFor(e, st, 1); got != want {
			t.Errorf("%+v: %+v", c.origin, got)
		}
	}
}
