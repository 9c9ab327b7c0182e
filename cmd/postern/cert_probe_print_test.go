package main

import (
	"net/netip"
	"testing"

	"postern/send"
)

// TestCertTestPrints: which host and port it was, the level in force, and what
// the certificate proves, but where nothing asks for one.
func TestCertTestPrints(t *testing.T) {
	level := func(name, outcome, reason, lines string, inForce bool) send.TLSLevel {
		return send.TLSLevel{Level: name, TLSVerdict: send.TLSVerdict{Outcome: outcome, Reason: reason, OK: true}, InForce: inForce, Configuration: lines}
	}
	host := func(name, at string, levels ...send.TLSLevel) *send.TLSReport {
		return &send.TLSReport{Connector: "Internet", Domain: "fabrikam.example", Hosts: []send.TLSHost{{
			Host: name, Address: netip.MustParseAddrPort(at), Offered: true, Version: "TLS1.3", Cipher: "TLS_AES_128_GCM_SHA256", Trust: "trusted",
			Configured: send.TLSVerdict{Asks: "TLS", Source: `send connector "Internet"`, Outcome: send.OutcomeTLS, Reason: "trusted", OK: true}, Levels: levels,
		}}}
	}
	clear := level("ignore_starttls", send.OutcomeClear, "", "tls = \"ignore_starttls\"\n", false)
	golden(t, func(a *app) {
		a.printTLSReport(host("127.0.71.1", "127.0.71.1:4025", clear, level("required, encryption_only", send.OutcomeTLS, "trusted", "tls = \"required\"\n", true)))
	}, `
127.0.71.1:4025, by send connector "Internet"
  TLS           TLS1.3 TLS_AES_128_GCM_SHA256
  offers then   nothing
  proves        trusted
  of ours       no certificate is asked for

     LEVEL                      MAIL      WHY
     ignore_starttls            in clear
  *  required, encryption_only  TLS       trusted

Send connector "Internet" asks for TLS: mail goes over TLS.
`)
	golden(t, func(a *app) {
		a.printTLSReport(host("2001:db8::1", "[2001:db8::1]:25", clear, level("required, encryption_only", send.OutcomeTLS, "trusted", "tls = \"required\"\n", false),
			level("required, encryption_only, tls_fingerprints", send.OutcomeTLS, "pinned, trusted", "tls = \"required\"\ntls_fingerprints = [\"...\"]\n", true)))
	}, `
[2001:db8::1]:25, by send connector "Internet"
  TLS           TLS1.3 TLS_AES_128_GCM_SHA256
  offers then   nothing
  proves        trusted
  of ours       no certificate is asked for

     LEVEL                                        MAIL      WHY
     ignore_starttls                              in clear
     required, encryption_only                    TLS       trusted
  *  required, encryption_only, tls_fingerprints  TLS       pinned, trusted

Send connector "Internet" asks for TLS: mail goes over TLS.
`)
}
