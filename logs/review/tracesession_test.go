package review

import (
	"testing"

	"postern/logs"
)

// refusedMail is a session that brought one message, whose content got a reply,
// or none.
func refusedMail(reply string, open bool) *shelf {
	s := &Session{ID: "08DD5A0B1C2D3E4F", Direction: logs.Receive, Connector: `EDGE\From Internet`, Start: at(0), End: at(3), HELO: "mx.fabrikam.example", Open: open,
		Messages: []Transaction{{Time: at(1), End: at(2), From: "lee@fabrikam.example", To: []Recipient{{"kim@contoso.example", "250 ok"}, {"no@contoso.example", "550 5.1.10 no"}},
			QueueID: "0AKWKNNHG0000", Reply: reply}}}
	if reply == "" && !open {
		s.Outcome, s.Reply = Broken, "the connection ended before the content was accepted"
	}
	return &shelf{sessions: []*Session{s}}
}

// A message whose content was refused, or never came to its end, was not
// received and is in no queue, though it had a queue id.
func TestTraceOfWhatWasNotAccepted(t *testing.T) {
	for _, c := range []struct {
		reply   string
		open    bool
		kind    StepKind
		end     End
		pending bool
	}{
		{"552 5.3.4 Message size exceeds fixed maximum message size", false, StepRefused, EndRefused, false},
		{"451 4.3.0 Storage trouble", true, StepRefused, EndRefused, false},
		{"", false, StepAborted, EndAborted, false},
		{"", true, StepReceiving, EndPending, true},
	} {
		found, err := FindTraces(t.Context(), refusedMail(c.reply, c.open), "0AKWKNNHG0000", TraceOptions{}, nil)
		if err != nil || len(found.Messages) != 1 {
			t.Fatalf("%q: %+v %v", c.reply, found, err)
		}
		m := found.Messages[0]
		if len(m.Steps) != 1 || m.Steps[0].Kind != c.kind || len(m.Recipients) != 1 || m.Pending != c.pending {
			t.Fatalf("%q: %s", c.reply, m.text())
		}
		if r := m.Recipients[0]; r.Address != "kim@contoso.example" || r.End != c.end || r.Reply != c.reply || r.Host != "" {
			t.Errorf("%q: %+v", c.reply, r)
		}
	}
	// What was sent on was accepted, whatever the log has of its arrival.
	s := refusedMail("", false)
	s.sessions = append(s.sessions, &Session{ID: "08DD5A0B1C2D3E50", Direction: logs.Send, Start: at(4), End: at(5),
		Messages: []Transaction{{QueueID: "0AKWKNNHG0000", End: at(5), To: []Recipient{{"kim@contoso.example", "250 ok"}}, Reply: "250 queued", Accepted: true}}})
	found, err := FindTraces(t.Context(), s, "0AKWKNNHG0000", TraceOptions{}, nil)
	if err != nil || found.Messages[0].Steps[0].Kind != StepReceived || found.Messages[0].Recipients[0].End != EndDelivered {
		t.Errorf("%+v %v", found, err)
	}
}

// The Message-ID of a refused message is in the agent log alone, which leads to
// its session; without a protocol log it tells what it knows.
func TestTraceOfARefusalByMessageID(t *testing.T) {
	const reply = "552 5.3.4 Message size exceeds fixed maximum message size"
	s := refusedMail(reply, false)
	// Another message of the session, refused later with another reply.
	s.sessions[0].Messages = append(s.sessions[0].Messages, Transaction{Time: at(2), End: at(3), From: "lee@fabrikam.example", QueueID: "0AKWKNNHG0001", Reply: "554 5.6.0 no"})
	for _, to := range []string{"kim@contoso.example", "ann@contoso.example"} {
		s.agent = append(s.agent, logs.AgentLine{Time: at(2), Session: "08DD5A0B1C2D3E4F", EnteredOrgFromIP: "198.51.100.7", MessageID: "<big@fabrikam.example>",
			P1From: "lee@fabrikam.example", Recipient: to, Agent: "Message Limits Agent", Response: reply, Reason: "max_message_size", ReasonData: "4096>1000"})
	}
	s.agent = append(s.agent, logs.AgentLine{Time: at(2), Session: "08DD5A0B1C2D3E4F", MessageID: "<other-big@fabrikam.example>", Response: "554 5.6.0 no"})
	const want = `0AKWKNNHG0000 <lee@fabrikam.example> 0 pending=false
+0.0 refused From Internet mx.fabrikam.example [kim@contoso.example] [552 5.3.4 Message size exceeds fixed maximum message size] 
kim@contoso.example refused "552 5.3.4 Message size exceeds fixed maximum message size"  tries=0 0.0s
`
	for _, name := range []string{"big@fabrikam.example", "<big@fabrikam.example>"} {
		found, err := FindTraces(t.Context(), s, name, TraceOptions{}, nil)
		if err != nil || len(found.Messages) != 1 {
			t.Fatalf("%s: %+v %v", name, found, err)
		}
		m := found.Messages[0]
		if m.text() != want || m.MessageID != "<big@fabrikam.example>" || len(m.Sessions) != 1 || m.Steps[0].Reason != "Message Limits Agent: max_message_size 4096>1000" {
			t.Errorf("%s: %s %+v", name, m.text(), m)
		}
	}
	s.sessions = nil
	found, err := FindTraces(t.Context(), s, "big@fabrikam.example", TraceOptions{}, nil)
	if err != nil || len(found.Messages) != 1 {
		t.Fatalf("%+v %v", found, err)
	}
	if m := found.Messages[0]; len(m.Recipients) != 2 || m.Recipients[1].End != EndRefused || m.Recipients[1].Reply != reply || m.Arrival.Client != "198.51.100.7" || m.SessionIDs[0] != "08DD5A0B1C2D3E4F" {
		t.Errorf("%+v", m)
	}
	if found, err := FindTraces(t.Context(), s, "big@fabrikam.example", TraceOptions{Since: at(10)}, nil); err != nil || len(found.Messages) != 0 {
		t.Errorf("later than it was: %+v %v", found, err)
	}
}
