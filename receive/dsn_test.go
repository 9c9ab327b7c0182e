package receive

import (
	"strings"
	"testing"

	"postern/config"
	"postern/internal/message"
)

// TestDSNParameters: what the client asks for stands in the envelope.
func TestDSNParameters(t *testing.T) {
	b := newBench(t)
	b.dialog(greet + `
		C: MAIL FROM:<a@b.example> RET=HDRS ENVID=QQ+2B314159
		S: 250 .*
		C: RCPT TO:<b@contoso.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob+2Bx@old.example
		S: 250 .*
		C: RCPT TO:<c@contoso.example> notify=never
		S: 250 .*
		C: RCPT TO:<d@contoso.example>
		S: 250 .*
		C: RCPT TO:<e@[192.0.2.10]> NOTIFY=DELAY
		S: 250 .*
		C: RCPT TO:<f@[192.0.2.10]> ORCPT=rfc822;f@given.example
		S: 250 .*
		C: RCPT TO:<g@contoso.example> ORCPT=utf-8;us\x{E9}r@old.example
		S: 250 .*
		C: DATA
		S: 354 .*
		C: .
		S: 250 .*` + quit)
	e := b.only().envelope
	if e.Return != message.ReturnHeaders || e.EnvID != "QQ+314159" {
		t.Errorf("envelope: %+v", e)
	}
	for i, want := range []message.Recipient{
		{Notify: message.NotifySuccess | message.NotifyFailure, ORcpt: "rfc822;Bob+x@old.example"},
		{Notify: message.NotifyNever},
		{},
		{Notify: message.NotifyDelay, ORcpt: "rfc822;e@[192.0.2.10]"},
		{ORcpt: "rfc822;f@given.example"},
		{ORcpt: "utf-8;usér@old.example"},
	} {
		if got := e.Recipients[i]; got.Notify != want.Notify || got.ORcpt != want.ORcpt {
			t.Errorf("recipient %d: %+v, want %+v", i, got, want)
		}
	}
}

func TestDSNParametersRefused(t *testing.T) {
	b := newBench(t, testConnector(patient))
	c := b.dialog(greet)
	for _, p := range []string{"RET=ALL", "RET", "RET=", "RET=FULL RET=FULL", "ENVID=", "ENVID=a+0D+0Ab", "ENVID=a+", "ENVID=a+ZZ", "ENVID=" + strings.Repeat("x", 101)} {
		c.play("C: MAIL FROM:<a@b.example> " + p + "\nS: 501 5\\.5\\.4 Invalid arguments")
	}
	c.play("C: MAIL FROM:<a@b.example> NOTIFY=NEVER\nS: 555 5\\.5\\.4 .*\nC: MAIL FROM:<a@b.example>\nS: 250 .*")
	for _, p := range []string{"NOTIFY=", "NOTIFY=NEVER,SUCCESS", "NOTIFY=SOMETIMES", "NOTIFY=SUCCESS,", "NOTIFY=NEVER NOTIFY=NEVER", "ORCPT=b@old.example", "ORCPT=rfc822;",
		"ORCPT=;b", "ORCPT=rfc822;b+0D+0A", "ORCPT=rfc822;" + strings.Repeat("x", 500)} {
		c.play("C: RCPT TO:<b@contoso.example> " + p + "\nS: 501 5\\.5\\.4 Invalid arguments")
	}
	c.play("C: RCPT TO:<b@contoso.example> RET=FULL\nS: 555 5\\.5\\.4 .*\nC: DATA\nS: 503 .*" + quit)
}

func TestDSNSwitchedOff(t *testing.T) {
	b := newBench(t, testConnector(func(c *config.ReceiveConnector) { c.DeliveryStatusNotificationEnabled = false }))
	c := b.dial(strangerAddr)
	c.play("S: 220 .*\nC: EHLO client.example")
	if offer := c.reply(); strings.Contains(offer, "DSN") {
		t.Errorf("offered: %s", offer)
	}
	c.play(`
		C: MAIL FROM:<a@b.example> RET=FULL
		S: 555 5\.5\.4 .*
		C: MAIL FROM:<a@b.example>
		S: 250 .*
		C: RCPT TO:<b@contoso.example> NOTIFY=SUCCESS
		S: 555 5\.5\.4 .*` + quit)
}

// TestSubjectNoted: the envelope holds the subject as people read it.
func TestSubjectNoted(t *testing.T) {
	b := newBench(t)
	b.dialog(greet + `
		C: MAIL FROM:<a@b.example>
		S: 250 .*
		C: RCPT TO:<b@contoso.example>
		S: 250 .*
		C: DATA
		S: 354 .*
		C: Subject: =?iso-8859-1?q?Gr=FC=DFe?=
		C:  from afar
		C: 
		C: Subject: no
		C: .
		S: 250 .*` + quit)
	if got := b.only().envelope.Subject; got != "Grüße from afar" {
		t.Errorf("subject %q", got)
	}
}
