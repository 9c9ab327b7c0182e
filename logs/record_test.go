package logs

import (
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// appended is what a record looks like in a file of either format.
type appended struct {
	kind      Kind
	csv, json []byte
	parse     func(string) (any, error)
}

func appendedOf(record any) appended {
	switch r := record.(type) {
	case Line:
		return appended{ReceiveProtocol, r.Append(nil), r.AppendJSON(nil, ReceiveProtocol), func(s string) (any, error) { return ParseLine(s) }}
	case Tracking:
		return appended{MessageTracking, r.Append(nil), r.AppendJSON(nil), func(s string) (any, error) { return ParseTracking(s) }}
	case ConnectivityLine:
		return appended{Connectivity, r.Append(nil), r.AppendJSON(nil), func(s string) (any, error) { return ParseConnectivity(s) }}
	case AgentLine:
		return appended{Agent, r.Append(nil), r.AppendJSON(nil), func(s string) (any, error) { return ParseAgent(s) }}
	case EventLine:
		return appended{EventLog, r.Append(nil), r.AppendJSON(nil), func(s string) (any, error) { return ParseEvent(s) }}
	}
	panic("no record of a log")
}

// sameBack holds that a record comes back from both formats, that each is one
// line of printable text, and that the JSON is JSON with the keys of the layout.
func sameBack(t *testing.T, record any) {
	t.Helper()
	a := appendedOf(record)
	for format, line := range map[string][]byte{"CSV": a.csv, "JSON": a.json} {
		text, ended := strings.CutSuffix(string(line), "\n")
		if !ended {
			t.Fatalf("%s: no line end in %q", format, line)
		}
		safe(t, text)
		for _, end := range []string{"", "\n", "\r\n"} {
			if got, err := a.parse(text + end); err != nil || !reflect.DeepEqual(got, record) {
				t.Fatalf("%s: %s gives\n%#v, %v, want\n%#v", format, text, got, err, record)
			}
		}
	}
	var object map[string]any
	if err := json.Unmarshal(a.json, &object); err != nil {
		t.Fatalf("%s: %v", a.json, err)
	}
	if object["log"] != a.kind.String() || object["time"] == nil {
		t.Fatalf("%s: no log or time", a.json)
	}
	for key := range object {
		if key != "log" && !slices.Contains(a.kind.Layout().Keys, key) {
			t.Fatalf("%s: the key %s is not in the layout", a.json, key)
		}
	}
}

func fullTracking() Tracking {
	return Tracking{
		Time: time.Date(2025, 3, 4, 8, 0, 12, 1e6, time.UTC), ClientIP: "198.51.100.7", ClientHostname: "mx.example.net", ServerIP: "192.0.2.10", ServerHostname: "EDGE01",
		SourceContext: "08DD5A0B1C2D3E4F;2025-03-04T08:00:10.900Z;0", Connector: `EDGE01\From Internet`, Source: SourceSMTP, Event: TrackReceive,
		InternalID: "73014444033", MessageID: "<a1@example.net>", NetworkID: "1341ac7b-13fb-42ab-4d44-08cf7f55890f",
		Recipients: []string{"kim@example.org"}, Statuses: []string{"250 2.1.5 Recipient OK"}, Octets: 4210, RecipientCount: 1, Subject: "hello",
		Sender: "bob@example.net", ReturnPath: "bob@example.net", MessageInfo: "0A: ", Directionality: Incoming,
		OriginalClientIP: "198.51.100.7", OriginalServerIP: "192.0.2.10", TrafficType: "Email", SchemaVersion: "15.01.2507.006",
	}
}

// TestExchangeLines: lines as Exchange writes them (reference 7.2 to 7.4).
func TestExchangeLines(t *testing.T) {
	const tracking = `2025-03-04T08:00:12.001Z,198.51.100.7,mx.example.net,192.0.2.10,EDGE01,08DD5A0B1C2D3E4F;2025-03-04T08:00:10.900Z;0,EDGE01\From Internet,SMTP,RECEIVE,73014444033,<a1@example.net>,1341ac7b-13fb-42ab-4d44-08cf7f55890f,kim@example.org,250 2.1.5 Recipient OK,4210,1,,,hello,bob@example.net,bob@example.net,0A: ,Incoming,,198.51.100.7,192.0.2.10,,Email,,15.01.2507.006`
	if got, err := ParseTracking(tracking); err != nil || !reflect.DeepEqual(got, fullTracking()) {
		t.Errorf("%+v, %v", got, err)
	}
	if got := string(fullTracking().Append(nil)); got != tracking+"\n" {
		t.Errorf("got\n%swant\n%s", got, tracking)
	}
	at := time.Date(2025, 3, 4, 9, 0, 0, 10e6, time.UTC)
	for _, c := range []struct {
		text string
		want ConnectivityLine
	}{
		{
			"2025-03-04T09:00:00.010Z,08DD5A0B1C2D3E50,SMTP,example.net,+,DnsConnectorDelivery 3b0e4c1a-0000-4000-8000-000000000001;QueueLength=TQ=2;RN=2;",
			ConnectivityLine{at, "08DD5A0B1C2D3E50", "SMTP", "example.net", '+', "DnsConnectorDelivery 3b0e4c1a-0000-4000-8000-000000000001;QueueLength=TQ=2;RN=2;"},
		},
		{
			"2025-03-04T09:00:00.010Z,08DD5A0B1C2D3E50,SMTP,example.net,-,Messages: 2 Bytes: 18422 ()",
			ConnectivityLine{at, "08DD5A0B1C2D3E50", "SMTP", "example.net", '-', "Messages: 2 Bytes: 18422 ()"},
		},
	} {
		if got, err := ParseConnectivity(c.text); err != nil || got != c.want {
			t.Errorf("%+v, %v", got, err)
		}
		if got := string(c.want.Append(nil)); got != c.text+"\n" {
			t.Errorf("got %s want %s", got, c.text)
		}
	}
}

// TestHeader: the columns of a file are those that its head names, in their
// order; who wrote it tells whether \xHH means something.
func TestHeader(t *testing.T) {
	h := NewHeader(MessageTracking)
	for _, line := range []string{
		"\ufeff#Software: Microsoft Exchange Server\r\n", "#Version: 08.00.0535.000", "#Log-type: Message Tracking Log",
		"#Fields: date-time,client-ip,event-id,recipient-address,no-such-column,message-subject,custom-data\r\n",
	} {
		if !h.Read(line) {
			t.Errorf("%q is not taken for a header line", line)
		}
	}
	if h.Read("2025") {
		t.Error("a line is taken for a header line")
	}
	got, err := h.Tracking(`2008-03-04T08:00:12.001Z,192.0.2.1,SEND,a@x;b@x,1,"say ""C:\x41""",S:E2ELatency=1.2;Hops=;S:E2ELatency=3;Odd` + "\r\n")
	want := Tracking{
		Time: time.Date(2008, 3, 4, 8, 0, 12, 1e6, time.UTC), ClientIP: "192.0.2.1", Event: TrackSend, Recipients: []string{"a@x", "b@x"},
		Subject: `say "C:\x41"`, Custom: Pairs{{"E2ELatency", "1.2"}, {"Hops", ""}, {"E2ELatency", "3"}, {"Odd", ""}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if got.Custom.Get("E2ELatency") != "1.2" || !reflect.DeepEqual(got.Custom.Map(), map[string]string{"E2ELatency": "1.2", "Hops": "", "Odd": ""}) {
		t.Errorf("%v", got.Custom.Map())
	}
	if h.Columns() != 7 || h.Kind() != MessageTracking {
		t.Errorf("%d columns of %v", h.Columns(), h.Kind())
	}
	if _, err := h.Tracking("2008-03-04T08:00:12.001Z,192.0.2.1"); err == nil {
		t.Error("a torn line is read")
	}
	if _, err := h.Tracking("#Dropped: 1"); !errors.Is(err, ErrComment) {
		t.Errorf("a comment: %v", err)
	}
}

// TestJSONFromElsewhere: white space, other orders, unknown keys and escapes
// that we don't write.
func TestJSONFromElsewhere(t *testing.T) {
	got, err := ParseConnectivity(`{ "description" : "a\u0062\/\ud83d\ude42", "new": {"x": [1, -2.5e3, null, true, {}]},
		"direction": ">", "time":"2025-03-04T09:00:00.010Z", "session": "S" } `)
	want := ConnectivityLine{Time: time.Date(2025, 3, 4, 9, 0, 0, 10e6, time.UTC), Session: "S", Direction: '>', Description: "ab/🙂"}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ParseConnectivity(`{"log":"connectivity","time":"2025-03-04T09:00:00.010Z","dropped":3}`); !errors.Is(err, ErrComment) {
		t.Errorf("a note of lines dropped: %v", err)
	}
	for _, bad := range []string{"{", "{}", `{"log":"x"}`, `{"direction":"+"}`, `{"time":"2025-03-04T09:00:00.010Z"}`, `{"time":1}`, `{"session":"a}`, `{"session":"a"`, `{"session":"a"} x`, `{"session" "a"}`, `{"session":"\q"}`, `{"session":"\u12"}`, `{"x":}`,
		`{"direction":"?"}`, `{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, `{"session":"a","x":tru}`, `{,}`} {
		if got, err := ParseConnectivity(bad); err == nil {
			t.Errorf("%s gives %+v", bad, got)
		}
	}
}

// TestLayouts: every record has the columns of reference 7, and a key for each.
func TestLayouts(t *testing.T) {
	for k, want := range map[Kind]string{
		ReceiveProtocol: "date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context",
		SendProtocol:    "date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context",
		Connectivity:    "date-time,session,source,Destination,direction,description",
		MessageTracking: "date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,source,event-id,internal-message-id,message-id,network-message-id,recipient-address,recipient-status,total-bytes,recipient-count,related-recipient-address,reference,message-subject,sender-address,return-path,message-info,directionality,tenant-id,original-client-ip,original-server-ip,custom-data,transport-traffic-type,log-id,schema-version",
		Agent:           "Timestamp,SessionId,LocalEndpoint,RemoteEndpoint,EnteredOrgFromIP,MessageId,P1FromAddress,P2FromAddresses,Recipient,NumRecipients,Agent,Event,Action,SmtpResponse,Reason,ReasonData",
		RoutingTable:    "",
	} {
		l := k.Layout()
		if got := strings.Join(l.Columns, ","); got != want {
			t.Errorf("%v: %s, want %s", k, got, want)
		}
		if len(l.Keys) != len(l.Columns) {
			t.Errorf("%v: %d keys for %d columns", k, len(l.Keys), len(l.Columns))
		}
		if again, ok := KindOf(k.String()); !ok || again != k {
			t.Errorf("%v comes back as %v", k, again)
		}
	}
}

// FuzzTracking, FuzzConnectivity and FuzzAgent: what is appended comes back the
// same from both formats, whatever peers say.
func FuzzTracking(f *testing.F) {
	f.Add("kim@example.org", "250 2.1.5 OK; go on", "hello, \"world\"", "key", "v=1;2", int64(1), int64(12))
	f.Add("\"a;b\"@x", "=1", "\r\n\xff", "S:a=b", "\\x3B", int64(-1), int64(1e12))
	f.Add("+", "", "-", "", "", int64(0), int64(0))
	f.Fuzz(func(t *testing.T, recipient, status, subject, key, value string, n, ms int64) {
		if len(recipient)+len(status)+len(subject)+len(key)+len(value) > MaxField || ms < -62135596800000 || ms > 253402300799999 {
			return
		}
		r := Tracking{
			Time: time.UnixMilli(ms).UTC(), ClientIP: value, Source: status, Subject: subject, ReturnPath: recipient, Octets: n, RecipientCount: int(int32(n)),
			Recipients: []string{recipient, status}, Statuses: []string{"x" + subject}, Custom: Pairs{{key, value}, {value, key}}, SchemaVersion: key,
		}
		sameBack(t, r)
	})
}

func FuzzConnectivity(f *testing.F) {
	f.Add("example.net", "mx1.example.net[198.51.100.25]", int64(1))
	f.Add("=x", "\x00,\"\\", int64(2))
	f.Fuzz(func(t *testing.T, destination, description string, ms int64) {
		if len(destination) > MaxField || len(description) > MaxField || ms < -62135596800000 || ms > 253402300799999 {
			return
		}
		sameBack(t, ConnectivityLine{Time: time.UnixMilli(ms).UTC(), Session: description, Source: "SMTP", Destination: destination, Direction: '+', Description: description})
	})
}

func FuzzAgent(f *testing.F) {
	f.Add("kim@example.org", "550 5.1.1 User unknown", "192.0.2.1:25", int64(1))
	f.Add("a;b", "-", "[fe80::1%e,\"0]:1", int64(2))
	f.Fuzz(func(t *testing.T, address, text, endpoint string, ms int64) {
		if len(address) > MaxField || len(text) > MaxField || ms < -62135596800000 || ms > 253402300799999 {
			return
		}
		l := AgentLine{Time: time.UnixMilli(ms).UTC(), Session: text, EnteredOrgFromIP: address, P1From: address, P2From: []string{address, text}, Recipient: address,
			Recipients: int(int32(ms)), Agent: text, Event: text, Action: address, Response: text, Reason: address, ReasonData: text}
		if a, err := netip.ParseAddrPort(endpoint); err == nil {
			l.Local = unmap(a)
		}
		sameBack(t, l)
	})
}

func FuzzEvent(f *testing.F) {
	f.Add("listening", "binding", "0.0.0.0:25", int64(1))
	f.Add("=x\n", "a=b;c", "\x1b[2J\u202e", int64(2))
	f.Fuzz(func(t *testing.T, text, key, value string, ms int64) {
		if len(text) > MaxField || len(key) > MaxField || len(value) > MaxField || ms < -62135596800000 || ms > 253402300799999 {
			return
		}
		sameBack(t, EventLine{Time: time.UnixMilli(ms).UTC(), Level: "warn", ID: int(int32(ms)), Area: key, Text: text, Attributes: Pairs{{key, value}, {"a", text}}})
	})
}

// FuzzParse: no text harms a parser, and what it reads is written so that it
// reads the same.
func FuzzParse(f *testing.F) {
	for _, r := range []any{fullTracking(), ConnectivityLine{Direction: '+'}, AgentLine{P2From: []string{"a", "b"}}, Line{Event: EventInfo}} {
		a := appendedOf(r)
		f.Add(string(a.csv))
		f.Add(string(a.json))
	}
	f.Add(`{"event":"+","x":{"a":[1,{"b":null}]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > MaxField {
			return
		}
		if r, err := ParseTracking(text); err == nil && !slices.Equal(r.Recipients, []string{""}) && !slices.Equal(r.Statuses, []string{""}) {
			sameBack(t, r)
		}
		if r, err := ParseConnectivity(text); err == nil {
			sameBack(t, r)
		}
		if r, err := ParseAgent(text); err == nil && !slices.Equal(r.P2From, []string{""}) {
			r.Local, r.Remote = unmap(r.Local), unmap(r.Remote)
			sameBack(t, r)
		}
		if r, err := ParseEvent(text); err == nil {
			sameBack(t, r)
		}
		if r, err := ParseLine(text); err == nil {
			r.Local, r.Remote = unmap(r.Local), unmap(r.Remote)
			sameBack(t, r)
		}
	})
}
