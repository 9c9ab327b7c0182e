package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// check judges how the keys of a file go together. It looks at no key that
// could not be read.
func (d *decoder) check() {
	c := d.config
	d.checkServer(c)
	d.checkAcceptedDomains(c.AcceptedDomains)
	d.checkNames("receive_connector", len(c.ReceiveConnectors), func(i int) string { return c.ReceiveConnectors[i].Name })
	d.checkNames("send_connector", len(c.SendConnectors), func(i int) string { return c.SendConnectors[i].Name })
	d.checkUsers(c.Users)
	for i := range c.ReceiveConnectors {
		d.checkReceive(&c.ReceiveConnectors[i], d.rowPath("receive_connector", i))
	}
	d.checkBindings(c.ReceiveConnectors)
	for i := range c.SendConnectors {
		d.checkSend(&c.SendConnectors[i], d.rowPath("send_connector", i))
	}
	d.checkDKIM(c)
	d.checkRouting(c)
	d.checkQueue(&c.Queue)
	d.checkRemoteDomains(c.RemoteDomains)
	d.checkPressure(&c.BackPressure)
	d.checkLogs(&c.Logs)
	d.checkPickup(c)
	d.checkMetrics(&c.Metrics, c.ReceiveConnectors)
}

// rowPath is the path of a row, also where its table is wrongly written as a
// single one.
func (d *decoder) rowPath(table string, i int) string {
	if d.failed[table] {
		return table
	}
	return indexPath(table, i)
}

// read tells whether all of these keys of a row could be read.
func (d *decoder) read(row string, keys ...string) bool {
	for _, k := range keys {
		if d.failed[joinPath(row, k)] {
			return false
		}
	}
	return true
}

// written tells whether a key stands in the file.
func (d *decoder) written(row, key string) bool { return d.config.source.has(joinPath(row, key)) }

func (d *decoder) checkServer(c *Config) {
	if d.read("server", "fqdn") && !strings.Contains(c.Server.FQDN, ".") {
		from := ""
		if !d.written("server", "fqdn") {
			from = ", the name of this host,"
		}
		d.warn("server.fqdn", fmt.Sprintf("fqdn: %q%s is not fully qualified, so that EHLO sends an address literal instead", c.Server.FQDN, from),
			`write the whole name under [server], such as fqdn = "edge.contoso.example"`)
	}
	if len(c.ReceiveConnectors) == 0 && !d.failed["receive_connector"] {
		d.warn("receive_connector", "there is no [[receive_connector]], so that no mail comes in", "write one")
	}
	// The address of a Unix socket has 108 octets, the last one zero
	// (unix(7)).
	const most = 107
	if len(c.Control.Socket) > most {
		d.warn("control.socket", fmt.Sprintf("socket: the path has %d octets, of which most systems take %d", len(c.Control.Socket), most), "write a shorter one")
	}
}

// checkNames wants the names of a kind of row to differ by more than case.
func (d *decoder) checkNames(table string, n int, name func(int) string) {
	seen := map[string]int{}
	for i := range n {
		row := d.rowPath(table, i)
		if !d.read(row, "name") {
			continue
		}
		folded := strings.ToLower(name(i))
		if first, twice := seen[folded]; twice {
			d.fail(joinPath(row, "name"), fmt.Sprintf("name: %q is already the name of the [[%s]] in line %d", name(i), table,
				d.config.Position(d.rowPath(table, first)).Line), "write another name; case makes no difference")
			continue
		}
		seen[folded] = i
	}
}

func (d *decoder) checkAcceptedDomains(domains []AcceptedDomain) {
	seen, marked := map[string]bool{}, -1
	for i, a := range domains {
		row := d.rowPath("accepted_domain", i)
		if d.read(row, "domain") {
			star, base := "", a.Domain
			if rest, ok := strings.CutPrefix(base, "*."); ok {
				star, base = "*.", rest
			}
			// acceptedDomain has seen that there is such a form.
			ascii, _ := asciiDomain(base)
			if seen[star+ascii] {
				d.fail(joinPath(row, "domain"), fmt.Sprintf("domain: %q is accepted already", a.Domain), "take one of them out")
			}
			seen[star+ascii] = true
			if star != "" && a.Default {
				d.fail(joinPath(row, "default"), fmt.Sprintf("default: %q stands for many domains", a.Domain), "mark a domain without an asterisk")
			}
		}
		d.checkAuthenticated(a, row)
		if !a.Default {
			continue
		}
		if marked >= 0 {
			d.fail(joinPath(row, "default"), fmt.Sprintf("default: %q is marked as the default already", domains[marked].Domain), "mark one domain only")
			continue
		}
		marked = i
	}
}

// checkAuthenticated holds the rule that a domain speaks for its own recipients.
func (d *decoder) checkAuthenticated(a AcceptedDomain, row string) {
	const key = "require_sender_authentication_for"
	if !d.read(row, "domain", key) {
		return
	}
	base, below := strings.CutPrefix(a.Domain, "*.")
	base, _ = asciiDomain(base)
	for i, r := range a.RequireSenderAuthenticationFor {
		domain, _ := asciiDomain(r[strings.LastIndexByte(r, '@')+1:])
		if domain == base && !below || below && strings.HasSuffix(domain, "."+base) {
			continue
		}
		d.fail(indexPath(joinPath(row, key), i), fmt.Sprintf("%s: %q is no recipient in %s", key, r, a.Domain),
			"write it with the [[accepted_domain]] that it belongs to")
	}
	if a.RequireSenderAuthentication && len(a.RequireSenderAuthenticationFor) > 0 {
		d.warn(joinPath(row, key), key+" adds nothing where require_sender_authentication = true", "take it out")
	}
}

func (d *decoder) checkQueue(q *Queue) {
	if d.read("queue", "max_outbound_connections", "max_per_domain_outbound_connections") &&
		q.MaxPerDomainOutboundConnections > q.MaxOutboundConnections {
		at := "max_per_domain_outbound_connections"
		if !d.written("queue", at) {
			at = "max_outbound_connections"
		}
		d.fail("queue."+at, fmt.Sprintf("%s: one domain may have more connections (max_per_domain_outbound_connections) than all together (max_outbound_connections)", at),
			"write max_per_domain_outbound_connections no larger than max_outbound_connections")
	}
	if d.read("queue", "message_retry_interval") && q.MessageRetryInterval > 0 && q.MessageRetryInterval < time.Second {
		d.fail("queue.message_retry_interval", fmt.Sprintf("message_retry_interval: %q is out of range", FormatDuration(q.MessageRetryInterval)),
			"write 1s or more, or 0s to leave it to retry")
	}
	if d.read("queue", "delay_notification", "message_expiration") && q.DelayNotification >= q.MessageExpiration && q.DelayNotification != Unlimited {
		at := "delay_notification"
		if !d.written("queue", at) {
			at = "message_expiration"
		}
		d.warn("queue."+at, fmt.Sprintf("%s: messages expire after %s, before any delay is notified", at, FormatDuration(q.MessageExpiration)),
			"write delay_notification shorter than message_expiration")
	}
}

func (d *decoder) checkSend(c *SendConnector, row string) {
	d.checkSendTLS(c, row)
	d.checkSendHELO(c, row)
	auth := joinPath(row, "smart_host_auth")
	d.checkReplyRules(c, row)
	if !d.read(auth, "mechanism", "username", "password_file", "password_env") {
		return
	}
	a := &c.SmartHostAuth
	for _, k := range []struct{ name, value string }{{"username", a.Username}, {"password_file", a.PasswordFile}, {"password_env", a.PasswordEnv}} {
		switch {
		case a.Mechanism == "none" && k.value != "":
			d.fail(joinPath(auth, k.name), k.name+": without a mechanism it is never sent", `write mechanism = "basic_require_tls"`)
		case a.Mechanism == "none" || k.value != "":
		case k.name == "username", k.name == "password_file" && a.PasswordEnv == "":
			d.fail(joinPath(auth, k.name), fmt.Sprintf("%s is missing in smart_host_auth, for mechanism = %q", k.name, a.Mechanism), "write "+k.name+" = ...")
		}
	}
	if a.PasswordFile != "" && a.PasswordEnv != "" {
		d.fail(joinPath(auth, "password_env"), "password_env: password_file says where the password is already", "take one of them out")
	}
	if a.Mechanism != "none" && len(c.SmartHosts) == 0 && d.read(row, "smart_hosts") {
		d.fail(joinPath(auth, "mechanism"), "mechanism: there are no smart hosts to authenticate to", "write smart_hosts, or take smart_host_auth out")
	}
	if strings.HasSuffix(a.Mechanism, "_require_tls") && c.TLS == TLSIgnoreSTARTTLS && d.read(row, "tls") {
		d.fail(joinPath(auth, "mechanism"), fmt.Sprintf(`mechanism: %q needs TLS, which tls = "ignore_starttls" never asks for`, a.Mechanism), `write tls = "required"`)
	}
}

// checkMechanisms holds the rules between values of auth_mechanism
// (reference 1.5).
func (d *decoder) checkMechanisms(c *ReceiveConnector, row string) {
	if !d.read(row, "auth_mechanism", "require_tls", "implicit_tls", "permission_groups") {
		return
	}
	at := joinPath(row, "auth_mechanism")
	has := func(m string) bool { return slices.Contains(c.AuthMechanism, m) }
	withTLS := has("tls") || c.ImplicitTLS
	if has("none") && len(c.AuthMechanism) > 1 {
		d.fail(at, `auth_mechanism: "none" stands alone`, "take it out, or the others")
		return
	}
	if !withTLS {
		for _, k := range []string{"tls_certificate", "tls_ciphers", "session_tickets"} {
			if d.written(row, k) {
				d.fail(joinPath(row, k), k+" has no effect where nobody can start TLS", `write "tls" into auth_mechanism, or take `+k+" out")
			}
		}
	}
	if c.RequireTLS && !withTLS {
		d.fail(joinPath(row, "require_tls"), `require_tls: nobody can start TLS without "tls" in auth_mechanism`, `write "tls" into auth_mechanism`)
	}
	if has("basic_require_tls") && !(has("basic") && withTLS) {
		d.fail(at, `auth_mechanism: "basic_require_tls" needs "basic" and "tls" beside it`, `write ["tls", "basic", "basic_require_tls"]`)
	}
	if c.SessionTickets && has("scram") && d.read(row, "session_tickets") {
		d.fail(joinPath(row, "session_tickets"), `session_tickets does not go together with "scram" in auth_mechanism: SCRAM-SHA-256-PLUS binds to the certificate, which resumed sessions don't show`, "take one of them out")
	}
	for k, set := range map[string]bool{"client_ca_file": c.ClientCAFile != "", "tls_receive_domain_secure_list": len(c.TLSReceiveDomainSecureList) > 0, "tls_domain_capabilities": len(c.TLSDomainCapabilities) > 0} {
		if set && !has("client_certificate") {
			d.fail(joinPath(row, k), k+` has no effect without "client_certificate" in auth_mechanism`, `write auth_mechanism = ["tls", "client_certificate"], or take `+k+` out`)
		}
	}
	if c.DomainSecureEnabled && has("external_authoritative") {
		d.fail(joinPath(row, "domain_secure_enabled"), `domain_secure_enabled does not go together with "external_authoritative" in auth_mechanism`, "take one of them out")
	} else if c.DomainSecureEnabled && len(c.TLSReceiveDomainSecureList) == 0 {
		d.fail(joinPath(row, "domain_secure_enabled"), "domain_secure_enabled has no effect without tls_receive_domain_secure_list", `write tls_receive_domain_secure_list = ["fabrikam.example"], or take domain_secure_enabled out`)
	}
	if has("client_certificate") && !withTLS {
		d.fail(at, `auth_mechanism: "client_certificate" needs "tls" beside it`, `write ["tls", "client_certificate"]`)
	}
	if !has("external_authoritative") {
		return
	}
	for _, m := range c.AuthMechanism {
		if m != "tls" && m != "external_authoritative" {
			d.fail(at, fmt.Sprintf(`auth_mechanism: "external_authoritative" does not go together with %q`, m), `write ["external_authoritative"] or ["tls", "external_authoritative"]`)
		}
	}
	if !slices.Contains(c.PermissionGroups, "servers") {
		d.fail(at, `auth_mechanism: "external_authoritative" trusts clients as servers, which permission_groups does not name`, `write permission_groups = ["servers"]`)
	}
}
