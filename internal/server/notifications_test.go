package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"postern/internal/message"
	"postern/queue"
)

const notifying = `[server]
fqdn = "edge.contoso.example"
data_dir = %q
postmaster_address = "mail@contoso.example"
[dns]
hosts = { "hub1.corp.contoso.example" = ["127.0.0.1"], "mx1.late.example" = ["127.0.0.1"], "mx.back.example" = ["127.0.0.1"] }
[[accepted_domain]]
domain = "contoso.example"
[[accepted_domain]]
domain = "late.example"
[[receive_connector]]
name = "From Internet"
tarpit_interval = "0s"
bindings = ["127.0.0.1:%d"]
permission_groups = ["anonymous"]
[[send_connector]]
name = "To organization"
address_spaces = ["contoso.example"]
smart_hosts = ["hub1.corp.contoso.example:%d"]
[[send_connector]]
name = "Late"
address_spaces = ["late.example"]
smart_hosts = ["mx1.late.example:%d"]
[[send_connector]]
name = "Back"
address_spaces = ["*"]
smart_hosts = ["mx.back.example:%d"]
[queue]
retry = ["1s"]
delay_notification = "1s"
message_expiration = "1h"
[[remote_domain]]
domain = "*.quiet.example"
ndr_diagnostic_info = false
[[remote_domain]]
domain = "off.example"
ndr_enabled = false
`

// TestNotificationsThrough: what senders are told, over the wire all the way.
func TestNotificationsThrough(t *testing.T) {
	hub, back := newSink(t, "127.0.0.1:0"), newHop(t, func(s *smtp.Server) { s.EnableDSN, s.EnableSMTPUTF8 = true, true })
	port, dead := freePort(t), freePort(t)
	suppressed := make(chan queue.Event, 10)
	s := start(t, Options{
		Config: parse(t, fmt.Sprintf(notifying, t.TempDir(), port, hub.port, dead, back.port)),
		OnEvent: func(e queue.Event) {
			if e.Kind == queue.Suppressed {
				suppressed <- e
			}
		},
	})
	defer stop(t, s)
	say := func(from, mail string, to ...string) {
		t.Helper()
		dialog := []string{"250 EHLO client.example\r\n", "250 MAIL FROM:<" + from + ">" + mail + "\r\n"}
		for _, r := range to {
			dialog = append(dialog, "250 RCPT TO:"+r+"\r\n")
		}
		converse(t, port, append(dialog, "354 DATA\r\n", "250 From: <"+from+">\r\nSubject: Our meeting\r\nMessage-ID: <20261121.1@fabrikam.example>\r\n\r\nSee you.\r\n.\r\n", "221 QUIT\r\n")...)
	}
	check := func(name string, l *letter, to string, want, not []string) {
		t.Helper()
		t.Logf("%s:\n%s", name, l.content)
		if l.from != "" || len(l.to) != 1 || l.to[0] != to || len(l.rcpt[0].Notify) != 1 || l.rcpt[0].Notify[0] != smtp.DSNNotifyNever {
			t.Errorf("%s: from <%s> to %v, %+v", name, l.from, l.to, l.rcpt)
		}
		for _, w := range append(want, "From: Mail Delivery System <mail@contoso.example>\r\n", "Auto-Submitted: auto-replied\r\n") {
			if !strings.Contains(l.content, w) {
				t.Errorf("%s lacks %q", name, w)
			}
		}
		for _, n := range not {
			if strings.Contains(l.content, n) {
				t.Errorf("%s holds %q", name, n)
			}
		}
	}

	say("bob@fabrikam.example", " RET=HDRS ENVID=QQ+2B314159", "<nobody@contoso.example> NOTIFY=FAILURE ORCPT=rfc822;kim@first.example",
		"<nobody2@contoso.example> NOTIFY=NEVER", "<nobody3@contoso.example> NOTIFY=SUCCESS,DELAY")
	check("failure", back.next(t), "bob@fabrikam.example", []string{"Subject: Undeliverable: Our meeting\r\n", "Action: failed\r\n", "Status: 5.1.1\r\n",
		"Original-Envelope-Id: QQ+314159\r\n", "Original-Recipient: rfc822; kim@first.example\r\n", "Content-Type: text/rfc822-headers\r\n",
		"The address does not exist", "hub1.corp.contoso.example", "Hosts tried:"}, []string{"nobody2", "nobody3", "See you."})

	say("bob@fabrikam.example", "", "<kim@contoso.example> NOTIFY=SUCCESS")
	check("relayed", back.next(t), "bob@fabrikam.example", []string{"Subject: Relayed: Our meeting\r\n", "Action: relayed\r\n"}, []string{"See you."})

	say("ann@a.quiet.example", "", "<nobody@contoso.example>")
	check("quiet", back.next(t), "ann@a.quiet.example", []string{"The address does not exist", "See you."},
		[]string{"hub1", "User unknown", "Diagnostic", "Remote-MTA"})

	say("ann@off.example", "", "<nobody@contoso.example>")
	for range 2 { // one tells of those two whom NOTIFY= leaves out
		select {
		case e := <-suppressed:
			off := e.Envelope.From == (message.Address{Local: "ann", Domain: "off.example"})
			if off != strings.Contains(e.Reason, "ndr_enabled") || !off && len(e.Outcome.Recipients) != 2 {
				t.Errorf("suppressed: %+v", e)
			}
		case <-time.After(wait):
			t.Fatal("nothing is suppressed")
		}
	}

	say("bob@fabrikam.example", "", "<kim@late.example>")
	check("delay", back.next(t), "bob@fabrikam.example", []string{"Subject: Delivery delayed: Our meeting\r\n", "Action: delayed\r\n", "Will-Retry-Until: ",
		"mx1.late.example"}, []string{"See you."})
}
