//go:build linux

package main_test

import (
	"strings"
	"testing"
)

// What Postfix writes down of us: the name in HELO or EHLO, the source address,
// and the reverse path of a sender in our domains, with everything else as it
// was. Without 8BITMIME it gets no 8-bit content unless the connector says so.
func TestNamesAtPostfix(t *testing.T) {
	t.Parallel()
	hop := newPostfixAt(t, freeAddr(t), "smtpd_discard_ehlo_keywords = 8bitmime\n", "fabrikam.example", "old.example", "eight.example")
	inside := newSink(t, sinkOptions{})
	e := newEdge(t)
	e.top = impatient
	e.route("inside", "contoso.example", inside.addr, "")
	const names = "fqdn = \"out.contoso.example\"\nsource_ip_address = [\"127.0.0.7\"]\nmasquerade_domain = \"mail.contoso.example\"\n"
	e.route("Partner", "fabrikam.example", hop.addr, names)
	e.route("Old", "old.example", hop.addr, names+"force_helo = true\ntls = \"ignore_starttls\"\n")
	e.route("Eight", "eight.example", hop.addr, names+"eight_bit_mime_missing = \"send\"\n")
	e.serve(t)
	c := dial(t, e.addr)
	c.deliver(t, "kim@contoso.example", "bob@fabrikam.example", letter("plain"))
	c.deliver(t, "kim@contoso.example", "bob@old.example", letter("old"))
	c.deliver(t, "ann@adatum.example", "bob@old.example", letter("other"))
	eight := strings.Replace(letter("eight"), "hello", "Käse", 1)
	c.deliver(t, "kim@contoso.example", "bob@fabrikam.example", eight)
	c.deliver(t, "kim@contoso.example", "bob@eight.example", eight)
	got := map[string]string{}
	for _, m := range hop.awaitMail(t, 4) {
		_, subject, _ := strings.Cut(m, "\nSubject: ")
		subject, _, _ = strings.Cut(subject, "\n")
		got[subject] = m
	}
	for subject, want := range map[string][]string{
		"plain": {"Return-Path: <kim@mail.contoso.example>\n", "Received: from out.contoso.example (unknown [127.0.0.7])\n", " with ESMTPS ", "\nFrom: kim@contoso.example\n", "Delivered-To: bob@fabrikam.example\n"},
		"old":   {"Return-Path: <kim@mail.contoso.example>\n", "Received: from out.contoso.example (unknown [127.0.0.7])\n", " with SMTP ", "\nFrom: kim@contoso.example\n"},
		"other": {"Return-Path: <ann@adatum.example>\n"},
		"eight": {"Return-Path: <kim@mail.contoso.example>\n", "Käse", "Delivered-To: bob@eight.example\n"},
	} {
		for _, part := range want {
			if !strings.Contains(got[subject], part) {
				t.Errorf("Postfix has no %q in\n%s", part, got[subject])
			}
		}
	}
	// The sender learns of the one that could not go, as himself.
	note := inside.await(t, 1)[0]
	if len(note.Rcpt) != 1 || !strings.Contains(note.Rcpt[0], "<kim@contoso.example>") ||
		!strings.Contains(string(note.Data), "5.6.3") {
		t.Errorf("a notification to %s:\n%s", note.Rcpt, note.Data)
	}
	if n := len(hop.mail(t)); n != 4 {
		t.Errorf("Postfix has %d messages, want 4", n)
	}
}
