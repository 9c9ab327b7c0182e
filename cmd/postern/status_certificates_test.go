package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"postern/internal/control"
	ptls "postern/tls"
)

// TestStatusCertificates: what is shown for how long, and in which colour.
func TestStatusCertificates(t *testing.T) {
	at := func(left time.Duration) time.Time { return noon().Add(left) }
	st := &control.Status{Certificates: []ptls.Shown{
		{FriendlyName: "old\x1b[31m", Names: []string{"old.contoso.example"}, NotAfter: at(-time.Hour), SendConnectors: []string{"Partners"}, Problem: "expired, and is not shown any more"},
		{FriendlyName: "soon", Names: []string{"edge.contoso.example"}, NotAfter: at(47 * time.Hour), ReceiveConnectors: []string{"From Internet", "From organization"}},
		{FriendlyName: "early", NotBefore: at(9 * day), NotAfter: at(98 * day), ReceiveConnectors: []string{"Partners"}},
		{FriendlyName: "month", Names: []string{"a.example", "b.example"}, NotAfter: at(20 * day)},
		{FriendlyName: "self-signed", Own: true, NotAfter: at(20 * day), ReceiveConnectors: []string{"Submission"}},
		{FriendlyName: "Mail edge", NotAfter: at(200 * day), ReceiveConnectors: []string{"Inside"}, SendConnectors: []string{"Internet"}},
	}}
	golden(t, func(a *app) { a.statusCertificates(st, style{}, noon()) }, `
Certificates
  NAME                       SHOWN BY                       EXPIRES         LEFT
  old?[31m                   to next hops of Partners       2026-11-22   expired
      expired, and is not shown any more
  soon                       From Internet, From            2026-11-24      47 h
                             organization
  early                      Partners                       2027-02-28   not yet
      not valid before 2026-12-01 12:00
  month                      clients that ask for           2026-12-12   20 days
                             a.example, b.example
  self-signed (self-signed)  Submission                     2026-12-12   20 days
  Mail edge                  Inside; to next hops of        2027-06-10  200 days
                             Internet
`)
	if got, want := certificatesBrief(st.Certificates, style{}, noon()), "6; old?[31m has expired; early is not valid yet; soon is the first to expire, in 47 h"; got != want {
		t.Errorf("in brief %q, want %q", got, want)
	}
	if got, want := certificatesBrief(st.Certificates[:1], style{}, noon()), "1; old?[31m has expired"; got != want {
		t.Errorf("in brief %q, want %q", got, want)
	}
	var out bytes.Buffer
	(&app{streams: streams{out: &out}}).statusCertificates(st, style{on: true}, noon())
	for _, want := range []string{"\x1b[31mexpired", "\x1b[31m47 h", "\x1b[31mnot yet", "\x1b[33m20 days", "\x1b[32m20 days", "\x1b[32m200 days"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
