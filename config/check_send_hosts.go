package config

// checkSendHELO holds what HELO leaves out against the keys that need it: only
// the answer to EHLO offers extensions (RFC 5321 2.2.1).
func (d *decoder) checkSendHELO(c *SendConnector, row string) {
	if !c.ForceHELO || !d.read(row, "force_helo", "tls", "implicit_tls") {
		return
	}
	at := joinPath(row, "force_helo")
	switch {
	case c.ImplicitTLS: // it is there before the first command
	case c.TLS == TLSRequired:
		d.fail(at, `force_helo: tls = "required" needs EHLO, without which no host offers STARTTLS`, "take force_helo out")
	case c.TLS == TLSOpportunistic:
		d.warn(at, "force_helo: without EHLO no host offers STARTTLS, so that all mail goes in clear", `write tls = "ignore_starttls" as well`)
	}
	if auth := joinPath(row, "smart_host_auth"); d.read(auth, "mechanism") && c.SmartHostAuth.Mechanism != "none" {
		d.fail(at, "force_helo: smart_host_auth needs EHLO, without which no host offers AUTH", "take force_helo out")
	}
}
