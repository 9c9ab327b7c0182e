package review

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/logs"
)

// Logs as an Exchange server writes them (reference 7.1 to 7.4): a byte order
// mark, CRLF, its names for folders, TLS in a context, its session ids.
const (
	exchangeReceive = "\ufeff" + `#Software: Microsoft Exchange Server
#Version: 15.0.0.0
#Log-type: SMTP Receive Protocol Log
#Date: 2025-03-04T08:00:00.000Z
#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context
2025-03-04T08:00:01.101Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,0,192.0.2.10:25,198.51.100.7:40122,+,,
2025-03-04T08:00:01.101Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,1,192.0.2.10:25,198.51.100.7:40122,*,SMTPSubmit SMTPAcceptAnySender SMTPAcceptAuthoritativeDomainSender AcceptRoutingHeaders,Set Session Permissions
2025-03-04T08:00:01.102Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,2,192.0.2.10:25,198.51.100.7:40122,>,"220 edge01.example.org Microsoft ESMTP MAIL Service ready at Tue, 4 Mar 2025 08:00:00 +0000",
2025-03-04T08:00:01.190Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,3,192.0.2.10:25,198.51.100.7:40122,<,EHLO mx.example.net,
2025-03-04T08:00:01.191Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,4,192.0.2.10:25,198.51.100.7:40122,>,250  edge01.example.org Hello [198.51.100.7] SIZE 37748736 PIPELINING DSN ENHANCEDSTATUSCODES STARTTLS 8BITMIME BINARYMIME CHUNKING,
2025-03-04T08:00:01.250Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,5,192.0.2.10:25,198.51.100.7:40122,<,STARTTLS,
2025-03-04T08:00:01.251Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,6,192.0.2.10:25,198.51.100.7:40122,>,220 2.0.0 SMTP server ready,
2025-03-04T08:00:01.252Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,7,192.0.2.10:25,198.51.100.7:40122,*,,Sending certificate
2025-03-04T08:00:01.252Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,8,192.0.2.10:25,198.51.100.7:40122,*,CN=edge01.example.org,Certificate subject
2025-03-04T08:00:01.400Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,9,192.0.2.10:25,198.51.100.7:40122,*,,"TLS protocol SP_PROT_TLS1_2_SERVER negotiation succeeded using bulk encryption algorithm CALG_AES_256 with strength 256 bits, MAC hash algorithm CALG_SHA_384 with strength 384 bits and key exchange algorithm CALG_ECDHE with strength 384 bits"
2025-03-04T08:00:01.500Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,10,192.0.2.10:25,198.51.100.7:40122,<,EHLO mx.example.net,
2025-03-04T08:00:01.501Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,11,192.0.2.10:25,198.51.100.7:40122,>,250  edge01.example.org Hello [198.51.100.7] SIZE 37748736 PIPELINING,
2025-03-04T08:00:02.000Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,12,192.0.2.10:25,198.51.100.7:40122,<,MAIL FROM:<bob@example.net> SIZE=4210,
2025-03-04T08:00:02.001Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,13,192.0.2.10:25,198.51.100.7:40122,*,08DD5A0B1C2D3E4F;2025-03-04T08:00:01.101Z;1,receiving message
2025-03-04T08:00:02.002Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,14,192.0.2.10:25,198.51.100.7:40122,>,250 2.1.0 Sender OK,
2025-03-04T08:00:02.100Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,15,192.0.2.10:25,198.51.100.7:40122,<,RCPT TO:<kim@example.org>,
2025-03-04T08:00:02.101Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,16,192.0.2.10:25,198.51.100.7:40122,>,250 2.1.5 Recipient OK,
2025-03-04T08:00:02.404Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,19,192.0.2.10:25,198.51.100.7:40122,<,RCPT TO:<nobody@example.org>,
2025-03-04T08:00:02.405Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,20,192.0.2.10:25,198.51.100.7:40122,*,Tarpit for '0.00:00:05',550 5.1.1 User unknown
2025-03-04T08:00:07.406Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,21,192.0.2.10:25,198.51.100.7:40122,>,550 5.1.1 User unknown,
2025-03-04T08:00:07.490Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,22,192.0.2.10:25,198.51.100.7:40122,<,BDAT 4210 LAST,
2025-03-04T08:00:07.600Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,23,192.0.2.10:25,198.51.100.7:40122,>,"250 2.6.0 <a1@example.net> [InternalId=73014444033, Hostname=EDGE01.example.org] 4923 bytes in 0.110, 43.704 KB/sec Queued mail for delivery",
2025-03-04T08:00:07.690Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,24,192.0.2.10:25,198.51.100.7:40122,-,,Remote
2025-03-04T08:00:09.000Z,EDGE01\From Internet,3b0e4c1a-0000-4000-8000-000000000001,0,[2001:db8::1]:25,[2001:db8::7]:999,+,,
2025-03-04T08:00:09.100Z,EDGE01\From Internet,3b0e4c1a-0000-4000-8000-000000000001,1,[2001:db8::1]:25,[2001:db8::7]:999,-,,Local
`
	exchangeSend = `#Software: Microsoft Exchange Server
#Version: 15.0.0.0
#Log-type: SMTP Send Protocol Log
#Date: 2025-03-04T09:00:00.000Z
#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context
2025-03-04T09:00:00.062Z,Internet,08DD5A0B1C2D3E50,0,,198.51.100.25:25,*,,attempting to connect
2025-03-04T09:00:00.131Z,Internet,08DD5A0B1C2D3E50,1,192.0.2.12:17222,198.51.100.25:25,+,,
2025-03-04T09:00:00.200Z,Internet,08DD5A0B1C2D3E50,2,192.0.2.12:17222,198.51.100.25:25,<,220 mx1.example.net ESMTP,
2025-03-04T09:00:00.201Z,Internet,08DD5A0B1C2D3E50,3,192.0.2.12:17222,198.51.100.25:25,>,EHLO EDGE01.example.org,
2025-03-04T09:00:00.300Z,Internet,08DD5A0B1C2D3E50,4,192.0.2.12:17222,198.51.100.25:25,<,250 mx1.example.net,
2025-03-04T09:00:00.301Z,Internet,08DD5A0B1C2D3E50,5,192.0.2.12:17222,198.51.100.25:25,*,,sending message with RecordId 73014444033 and InternetMessageId <a1@example.net>
2025-03-04T09:00:00.302Z,Internet,08DD5A0B1C2D3E50,6,192.0.2.12:17222,198.51.100.25:25,>,MAIL FROM:<kim@example.org> SIZE=18422,
2025-03-04T09:00:00.302Z,Internet,08DD5A0B1C2D3E50,7,192.0.2.12:17222,198.51.100.25:25,>,RCPT TO:<bob@example.net>,
2025-03-04T09:00:00.400Z,Internet,08DD5A0B1C2D3E50,8,192.0.2.12:17222,198.51.100.25:25,<,250 2.1.0 Ok,
2025-03-04T09:00:00.401Z,Internet,08DD5A0B1C2D3E50,9,192.0.2.12:17222,198.51.100.25:25,<,250 2.1.5 Ok,
2025-03-04T09:00:00.402Z,Internet,08DD5A0B1C2D3E50,10,192.0.2.12:17222,198.51.100.25:25,>,DATA,
2025-03-04T09:00:00.500Z,Internet,08DD5A0B1C2D3E50,11,192.0.2.12:17222,198.51.100.25:25,<,354 go ahead,
2025-03-04T09:00:01.900Z,Internet,08DD5A0B1C2D3E50,12,192.0.2.12:17222,198.51.100.25:25,<,"250 2.6.0 <a1@example.net> [InternalId=4711, Hostname=hub] Queued mail for delivery",
2025-03-04T09:00:01.901Z,Internet,08DD5A0B1C2D3E50,13,192.0.2.12:17222,198.51.100.25:25,>,QUIT,
2025-03-04T09:00:01.905Z,Internet,08DD5A0B1C2D3E50,14,192.0.2.12:17222,198.51.100.25:25,-,,Local
`
	exchangeTracking = `#Software: Microsoft Exchange Server
#Version: 15.01.2507.006
#Log-type: Message Tracking Log
#Date: 2025-03-04T08:00:00.000Z
#Fields: date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,source,event-id,internal-message-id,message-id,network-message-id,recipient-address,recipient-status,total-bytes,recipient-count,related-recipient-address,reference,message-subject,sender-address,return-path,message-info,directionality,tenant-id,original-client-ip,original-server-ip,custom-data,transport-traffic-type,log-id,schema-version
2025-03-04T08:00:12.001Z,198.51.100.7,mx.example.net,192.0.2.10,EDGE01,08DD5A0B1C2D3E4F;2025-03-04T08:00:10.900Z;0,EDGE01\From Internet,SMTP,RECEIVE,73014444033,<a1@example.net>,1341ac7b-13fb-42ab-4d44-08cf7f55890f,kim@example.org,250 2.1.5 Recipient OK,4210,1,,,hello,bob@example.net,bob@example.net,0A: ,Incoming,,198.51.100.7,192.0.2.10,,Email,,15.01.2507.006
2025-03-04T08:00:13.001Z,192.0.2.12,EDGE01,198.51.100.25,mx1.example.net,;250 2.0.0 OK;ClientSubmitTime:,Internet,SMTP,SEND,73014444034,<a2@example.net>,,bob@example.net;ann@example.net,250 2.1.5 Ok;550 5.1.1 no such user,18422,2,,,"comma, in it",kim@example.org,kim@example.org,,Originating,,,,S:DeliveryPriority=Normal;S:AccountForest=,Email,,15.01.2507.006
`
	exchangeOldTracking = `#Software: Microsoft Exchange Server
#Version: 14.0.0.0
#Log-type: Message Tracking Log
#Date: 2024-03-04T08:00:00.000Z
#Fields: date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,source,event-id,internal-message-id,message-id,recipient-address,recipient-status,total-bytes,recipient-count,related-recipient-address,reference,message-subject,sender-address,return-path,message-info
2024-03-04T08:00:12.001Z,,,,EDGE01,,,ROUTING,FAIL,12,<old@example.net>,kim@example.org,550 5.1.1 unknown,10,1,,,old,bob@example.net,<>,
`
	exchangeConnectivity = `#Software: Microsoft Exchange Server
#Version: 15.0.0.0
#Log-type: Transport Connectivity Log
#Date: 2025-03-04T09:00:00.000Z
#Fields: date-time,session,source,Destination,direction,description
2025-03-04T09:00:00.010Z,08DD5A0B1C2D3E50,SMTP,example.net,+,DnsConnectorDelivery 3b0e4c1a-0000-4000-8000-000000000001;QueueLength=TQ=2;RN=2;
2025-03-04T09:00:00.062Z,08DD5A0B1C2D3E50,SMTP,example.net,>,mx1.example.net[198.51.100.25]
2025-03-04T09:00:00.131Z,08DD5A0B1C2D3E50,SMTP,example.net,>,Established connection to 198.51.100.25
2025-03-04T09:00:01.905Z,08DD5A0B1C2D3E50,SMTP,example.net,-,Messages: 2 Bytes: 18422 ()
`
	exchangeAgent = `#Software: Microsoft Exchange Server
#Version: 15.0.0.0
#Log-type: Agent Log
#Date: 2025-03-04T09:00:00.000Z
#Fields: Timestamp,SessionId,LocalEndpoint,RemoteEndpoint,EnteredOrgFromIP,MessageId,P1FromAddress,P2FromAddresses,Recipient,NumRecipients,Agent,Event,Action,SmtpResponse,Reason,ReasonData,Diagnostics,NetworkMsgID,TenantID,Directionality
2025-03-04T09:00:00.010Z,08DD5A0B1C2D3E4F,192.0.2.10:25,198.51.100.7:40122,198.51.100.7,<a1@example.net>,bob@example.net,bob@example.net;second@example.net,nobody@example.org,1,Recipient Filter Agent,OnRcptCommand,RejectCommand,550 5.1.1 User unknown,RecipientDoesNotExist,,,,,Undefined
2025-03-04T09:00:01.010Z,08DD5A0B1C2D3E60,192.0.2.10:25,203.0.113.7:40122,203.0.113.7,,<>,,,0,Connection Filtering Agent,OnMailCommand,RejectCommand,"550 5.7.1 blocked, see list",BlockListProvider,list.example,,,,Undefined
`
)

// exchangeFolder lays the samples out as below TransportRoles\Logs.
func exchangeFolder(t *testing.T) *Files {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"Edge/ProtocolLog/SmtpReceive/RECV2025030408-1.LOG": exchangeReceive,
		"Edge/ProtocolLog/SmtpSend/SEND20250304-1.LOG":      exchangeSend,
		"MessageTracking/MSGTRK2025030408-1.LOG":            exchangeTracking,
		"MessageTracking/MSGTRK2024030408-1.LOG":            exchangeOldTracking,
		"Edge/Connectivity/CONNECTLOG20250304-1.LOG":        exchangeConnectivity,
		"Edge/AgentLog/AGENTLOG20250304-1.LOG":              exchangeAgent,
		"Edge/Routing/RoutingConfig#1@20250304.xml":         "<RoutingConfig/>",
		"QueueViewer/QUEUE20250304-1.LOG":                   "no log of ours\n",
	} {
		put(t, dir, name, strings.ReplaceAll(text, "\n", "\r\n"))
	}
	return filesAt(t, dir)
}

func TestExchangeProtocol(t *testing.T) {
	var p Progress
	list := all(t, exchangeFolder(t), &Query{Lines: true}, &p)
	if bad, places := p.Unreadable(); bad > 0 || len(p.Troubles()) > 0 || len(list) != 3 {
		t.Fatalf("%d sessions, unreadable %q, troubles %q", len(list), places, p.Troubles())
	}
	send, guid, receive := list[0], list[1], list[2]
	if guid.ID != "3b0e4c1a-0000-4000-8000-000000000001" || guid.Outcome != NoMail || guid.Remote.String() != "[2001:db8::7]:999" {
		t.Errorf("session with a GUID: %+v", guid)
	}
	r := *receive
	r.Lines, r.Messages = nil, nil
	want := Session{
		ID: "08DD5A0B1C2D3E4F", Connector: `EDGE01\From Internet`, Start: time.Date(2025, 3, 4, 8, 0, 1, 101e6, time.UTC), End: time.Date(2025, 3, 4, 8, 0, 7, 690e6, time.UTC),
		Local: receive.Local, Remote: receive.Remote, HELO: "mx.example.net", TLS: "TLS1.2 CALG_AES_256", Outcome: Partly, Reply: "550 5.1.1 User unknown",
		Failed: true, Missing: 2, LineCount: 23,
	}
	if got := fmt.Sprintf("%+v", r); got != fmt.Sprintf("%+v", want) {
		t.Errorf("session\n%s\nwant\n%+v", got, want)
	}
	if m := receive.Messages; len(m) != 1 || m[0].QueueID != "73014444033" || m[0].MessageID != "<a1@example.net>" || m[0].Octets != 4210 || !m[0].Accepted ||
		len(m[0].To) != 2 || m[0].To[1] != (Recipient{"nobody@example.org", "550 5.1.1 User unknown"}) {
		t.Errorf("messages %+v", m)
	}
	if m := send.Messages; send.Direction != logs.Send || send.Outcome != Accepted || len(m) != 1 || m[0].QueueID != "73014444033" || m[0].MessageID != "<a1@example.net>" ||
		m[0].To[0].Reply != "250 2.1.5 Ok" || !strings.Contains(m[0].Reply, "[InternalId=4711,") {
		t.Errorf("send session %+v", send)
	}
	for _, c := range []struct {
		f    Filters
		want int
	}{
		{Filters{TLS: "1.2"}, 1}, {Filters{TLS: "no"}, 2}, {Filters{TLS: "1.3"}, 0}, {Filters{Reply: []string{"5.1.1"}}, 1}, {Filters{Text: "calg_ecdhe"}, 1},
		{Filters{Connector: []string{"from internet"}}, 2}, {Filters{To: []string{"example.net"}}, 1}, {Filters{Peer: []string{"2001:db8::/32"}}, 1},
		{Filters{On: "2025-03-04"}, 3}, {Filters{On: "2025-03-05"}, 0}, {Filters{Since: "2025-03-04T09:00:00Z"}, 1},
	} {
		q, err := c.f.Query(time.Date(2025, 3, 6, 0, 0, 0, 0, time.UTC))
		if err != nil {
			t.Fatal(err)
		}
		if got := len(all(t, exchangeFolder(t), q, nil)); got != c.want {
			t.Errorf("%+v: %d sessions, want %d", c.f, got, c.want)
		}
	}
	for id, want := range map[string]string{"08dd5a0b1c2d3e4f": receive.ID, "3E50": send.ID, "3b0e4c1a": guid.ID, "0001": guid.ID} {
		if found := all(t, exchangeFolder(t), &Query{Sessions: []string{id}}, nil); len(found) != 1 || found[0].ID != want {
			t.Errorf("the session %q was not found alone", id)
		}
	}
	if found := all(t, exchangeFolder(t), &Query{Names: []string{"73014444033"}}, nil); len(found) != 2 {
		t.Errorf("%d sessions of a message, want both sides", len(found))
	}
}

// keep gathers a sequence.
func keep[R any](t *testing.T, list func(func(*R, error) bool)) (out []*R) {
	t.Helper()
	for r, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func TestExchangeRecords(t *testing.T) {
	files := exchangeFolder(t)
	ctx := context.Background()
	var p Progress
	tracked := keep(t, files.Tracking(ctx, &Query{}, &p))
	var events []string
	for _, e := range tracked {
		events = append(events, e.Event+" "+e.InternalID)
	}
	if want := []string{"SEND 73014444034", "RECEIVE 73014444033", "FAIL 12"}; !slices.Equal(events, want) {
		t.Fatalf("events %q, want %q", events, want)
	}
	if s := tracked[0]; s.Subject != "comma, in it" || !slices.Equal(s.Recipients, []string{"bob@example.net", "ann@example.net"}) || s.Statuses[1] != "550 5.1.1 no such user" || s.Custom.Get("DeliveryPriority") != "Normal" {
		t.Errorf("SEND %+v", s)
	}
	for _, c := range []struct {
		q    Query
		want string
	}{
		{Query{Names: []string{"73014444033"}}, "RECEIVE"}, {Query{Names: []string{"<a2@example.net>", "12"}}, "SEND FAIL"}, {Query{Sessions: []string{"08DD5A0B1C2D3E4F"}}, "RECEIVE"},
		{Query{Failed: true}, "FAIL"}, {Query{Text: "COMMA, in"}, "SEND"}, {Query{Since: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}, "SEND RECEIVE"},
		{Query{Until: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}, "FAIL"},
	} {
		var got []string
		for _, e := range keep(t, files.Tracking(ctx, &c.q, nil)) {
			got = append(got, e.Event)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: %q, want %s", c.q, got, c.want)
		}
	}
	for _, c := range []struct {
		f    Filters
		want string
	}{
		{Filters{From: []string{"<>"}}, "FAIL"}, {Filters{From: []string{"kim@example.org"}}, "SEND"}, {Filters{To: []string{"ANN@example.net"}}, "SEND"},
		{Filters{Reply: []string{"550"}}, "SEND FAIL"}, {Filters{Connector: []string{"from internet"}}, "RECEIVE"}, {Filters{Peer: []string{"198.51.100.0/28"}}, "RECEIVE"},
		{Filters{Peer: []string{"198.51.100.25"}}, "SEND"}, {Filters{HELO: []string{"mx*"}}, "SEND RECEIVE"},
	} {
		q, err := c.f.Query(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range keep(t, files.Tracking(ctx, q, nil)) {
			got = append(got, e.Event)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: %q, want %s", c.f, got, c.want)
		}
	}
	if lines := keep(t, files.Connectivity(ctx, &Query{Sessions: []string{"08DD5A0B1C2D3E50"}}, &p)); len(lines) != 4 || lines[0].Direction != '-' || lines[3].Destination != "example.net" {
		t.Errorf("connectivity %+v", lines)
	}
	agent := keep(t, files.Agent(ctx, &Query{}, &p))
	if len(agent) != 2 || agent[0].Response != "550 5.7.1 blocked, see list" || agent[1].Reason != "RecipientDoesNotExist" {
		t.Errorf("agent %+v", agent)
	}
	q, err := Filters{To: []string{"nobody@example.org"}, Reply: []string{"5.1.*"}}.Query(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if got := keep(t, files.Agent(ctx, q, nil)); len(got) != 1 {
		t.Errorf("%d lines of the agent log, want 1", len(got))
	}
	if bad, places := p.Unreadable(); bad != 0 {
		t.Errorf("unreadable: %q", places)
	}
}

// TestSingleFiles: a file is read whatever its name, if its head tells what it
// is.
func TestSingleFiles(t *testing.T) {
	dir := t.TempDir()
	csv := put(t, dir, "from-partner.txt", exchangeSend)
	js := put(t, dir, "copy.json", string(logs.Line{Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Session: "AAAAAAAAAAAAAAA1", Event: logs.EventConnect}.AppendJSON(nil, logs.ReceiveProtocol)))
	unknown := put(t, dir, "photo.jpg", "\xff\xd8\xff")
	var p Progress
	if list := all(t, filesAt(t, csv, js, unknown), &Query{}, &p); len(list) != 2 || list[0].ID != "AAAAAAAAAAAAAAA1" || list[1].Direction != logs.Send {
		t.Errorf("sessions %+v", list)
	}
	if tr := p.Troubles(); len(tr) != 1 || !strings.Contains(tr[0], "photo.jpg") {
		t.Errorf("troubles %q", tr)
	}
}
