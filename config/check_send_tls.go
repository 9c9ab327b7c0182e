package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// tlsRow is what the TLS keys of a connector and of an override have in
// common, with the path of the row.
type tlsRow struct {
	path, mode, level, ca string
	domains, pins         []string
}

// checkSendTLS holds the rules between the TLS parameters (reference 2.1).
func (d *decoder) checkSendTLS(c *SendConnector, row string) {
	if !d.read(row, "smart_hosts", "tls", "tls_auth_level", "tls_domain", "tls_ca_file", "tls_fingerprints", "tls_fallback",
		"implicit_tls", "tls_certificate", "domain_secure_enabled") {
		return
	}
	own := tlsRow{row, c.TLS, c.TLSAuthLevel, c.TLSCAFile, c.TLSDomain, c.TLSFingerprints}
	d.checkTLSRow(own, len(c.SmartHosts) > 0)
	d.checkImplicitTLS(c, row)
	d.checkDomainSecure(c, own)
	usesTLS := c.TLS != TLSIgnoreSTARTTLS
	for i := range c.TLSOverrides {
		o := &c.TLSOverrides[i]
		at := d.rowPath(joinPath(row, "tls_override"), i)
		if !d.read(at, "domain", "tls", "tls_auth_level", "tls_domain", "tls_ca_file", "tls_fingerprints", "tls_fallback") {
			return
		}
		usesTLS = usesTLS || o.TLS != TLSIgnoreSTARTTLS
		d.checkTLSRow(tlsRow{at, o.TLS, o.TLSAuthLevel, o.TLSCAFile, o.TLSDomain, o.TLSFingerprints}, len(c.SmartHosts) > 0)
		d.checkOverride(c, i, at)
	}
	if !usesTLS && c.TLSCertificate != "" {
		d.fail(joinPath(row, "tls_certificate"), `tls_certificate has no effect with tls = "ignore_starttls"`, "write another value for tls, or take tls_certificate out")
	}
}

// checkTLSRow wants every key that is written to have an effect.
func (d *decoder) checkTLSRow(r tlsRow, smartHosts bool) {
	if d.written(r.path, "tls_fallback") && r.mode != TLSOpportunistic {
		d.fail(joinPath(r.path, "tls_fallback"), fmt.Sprintf("tls_fallback has no effect with tls = %q", r.mode), `write tls = "opportunistic", or take tls_fallback out`)
	}
	if r.mode != TLSRequired {
		for _, k := range []struct {
			name string
			set  bool
		}{{"tls_auth_level", r.level != ""}, {"tls_domain", len(r.domains) > 0}, {"tls_ca_file", r.ca != ""}, {"tls_fingerprints", len(r.pins) > 0}} {
			if k.set {
				d.fail(joinPath(r.path, k.name), fmt.Sprintf("%s has no effect with tls = %q", k.name, r.mode), fmt.Sprintf(`write tls = "required", or take %s out`, k.name))
			}
		}
		return
	}
	if len(r.domains) > 0 && r.level != DomainValidation {
		d.fail(joinPath(r.path, "tls_domain"), "tls_domain has no effect without domain validation", `write tls_auth_level = "domain_validation", or take tls_domain out`)
	}
	if r.ca != "" && r.level != DomainValidation && r.level != CertificateValidation {
		d.fail(joinPath(r.path, "tls_ca_file"), "tls_ca_file has no effect where certificates are not validated", `write tls_auth_level = "certificate_validation", or take tls_ca_file out`)
	}
	if r.level == DomainValidation && len(r.domains) == 0 && smartHosts {
		d.fail(joinPath(r.path, "tls_auth_level"), `tls_auth_level: "domain_validation" of smart hosts needs a name to ask for`, `write tls_domain = "..."`)
	}
}

func (d *decoder) checkImplicitTLS(c *SendConnector, row string) {
	at := joinPath(row, "implicit_tls")
	switch {
	case !c.ImplicitTLS:
		return
	case len(c.SmartHosts) == 0:
		d.fail(at, "implicit_tls: mail exchangers begin in clear, at port 25", "write smart_hosts, or take implicit_tls out")
		return
	case c.TLS != TLSRequired:
		d.fail(at, fmt.Sprintf("implicit_tls leaves no way to go in clear, which tls = %q allows", c.TLS), `write tls = "required"`)
	}
	if !d.read(row, "port") {
		return
	}
	for _, h := range c.SmartHosts {
		if h.Port == 25 || h.Port == 0 && c.Port == 25 {
			d.warn(at, fmt.Sprintf("implicit_tls: at port 25 of %s SMTP usually begins in clear", h.Host), "write port = 465")
			return
		}
	}
}

// checkDomainSecure holds the rules of mutual TLS (reference 2.1,
// DomainSecureEnabled).
func (d *decoder) checkDomainSecure(c *SendConnector, own tlsRow) {
	if !c.DomainSecureEnabled {
		return
	}
	at := joinPath(own.path, "domain_secure_enabled")
	switch {
	case len(c.SmartHosts) > 0:
		d.fail(at, "domain_secure_enabled: smart hosts are no hosts of the recipient's domain", "take smart_hosts out, or domain_secure_enabled")
	case c.TLS != TLSRequired || c.TLSAuthLevel != DomainValidation:
		d.fail(at, "domain_secure_enabled needs the certificate of the recipient's domain", `write tls = "required" and tls_auth_level = "domain_validation"`)
	case c.TLSCertificate == "none":
		d.fail(at, `domain_secure_enabled needs a certificate of ours, which tls_certificate = "none" denies`, "write the certificate's name for tls_certificate")
	}
}

// checkOverride wants an override to keep what the connector as a whole needs.
func (d *decoder) checkOverride(c *SendConnector, i int, at string) {
	o := &c.TLSOverrides[i]
	for j := range i {
		if foldedDomain(c.TLSOverrides[j].Domain) == foldedDomain(o.Domain) {
			d.fail(joinPath(at, "domain"), fmt.Sprintf("domain: %s has an override in this connector already", quote(o.Domain)), "take one of them out")
		}
	}
	switch {
	case c.ImplicitTLS && o.TLS != TLSRequired:
		d.fail(joinPath(at, "tls"), fmt.Sprintf("tls: implicit_tls of the connector leaves no way to go in clear, which %q allows", o.TLS), `write tls = "required"`)
	case c.DomainSecureEnabled && (o.TLS != TLSRequired || o.TLSAuthLevel != DomainValidation):
		d.fail(joinPath(at, "tls"), "tls: domain_secure_enabled of the connector needs the certificate of the recipient's domain",
			`write tls = "required" and tls_auth_level = "domain_validation"`)
	case c.SmartHostAuth.Mechanism == "basic_require_tls" && o.TLS == TLSIgnoreSTARTTLS:
		d.fail(joinPath(at, "tls"), `tls: "basic_require_tls" of the connector needs TLS, which "ignore_starttls" never asks for`, `write tls = "required"`)
	}
	if len(c.SmartHosts) > 0 && !overridesAny(o, c.SmartHosts) {
		d.warn(joinPath(at, "domain"), fmt.Sprintf("domain: no smart host of the connector is called %s", quote(o.Domain)),
			"write the name or address of a smart host: recipient domains don't count where smart hosts take all mail")
	}
}

func overridesAny(o *TLSOverride, hosts []SmartHost) bool {
	pattern := foldedDomain(o.Domain)
	base, star := strings.CutPrefix(pattern, "*.")
	for _, h := range hosts {
		name := foldedDomain(h.Host)
		if name == base || star && strings.HasSuffix(name, "."+base) {
			return true
		}
	}
	return false
}

// foldedDomain is a domain, pattern or address in the form in which they are
// compared.
func foldedDomain(s string) string {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().String()
	}
	base, star := strings.CutPrefix(s, "*.")
	if a, err := asciiDomain(base); err == nil {
		base = a
	}
	if star {
		return "*." + base
	}
	return base
}
