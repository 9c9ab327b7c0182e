package config

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
)

// sendTLS are the keys of a Send connector that say what the TLS of its next
// hops must be.
func sendTLS() []key {
	return []key{
		{
			Name: "tls", Type: tlsMode(), Default: TLSOpportunistic,
			Doc:   "Whether mail waits rather than travel in clear (`required`), goes in clear where TLS can't be had (`opportunistic`), or never asks for TLS (`ignore_starttls`).",
			Field: in(func(c *SendConnector) any { return &c.TLS }),
		},
		{
			Name: "tls_auth_level", Type: tlsAuthLevel(), Default: "",
			Doc:   "What is asked of the next hop's certificate, with `tls = \"required\"`: nothing (`encryption_only`, also when empty), a chain to a known root (`certificate_validation`), or also the right name (`domain_validation`).",
			Field: in(func(c *SendConnector) any { return &c.TLSAuthLevel }),
		},
		{
			Name: "tls_domain", Type: tlsDomains(), Default: "",
			Doc:   "The names of which `domain_validation` wants one in the certificate; `*.contoso.example` stands for any name below. When empty, the recipient's domain; smart hosts need it.",
			Field: in(func(c *SendConnector) any { return &c.TLSDomain }),
		},
		{
			Name: "tls_ca_file", Type: optionalPath(), Default: "",
			Doc:   "A PEM file with the authorities that may have issued the certificate, in the place of the system's. It is read again when it changes.",
			Field: in(func(c *SendConnector) any { return &c.TLSCAFile }),
		},
		{
			Name: "tls_fingerprints", Type: list(fingerprint(), 0, once[string]), Default: []any{},
			Doc:   "Pins, with `tls = \"required\"`: the next hop's certificate must be one of these, besides what `tls_auth_level` asks. Each is the SHA-256 digest of a certificate, or `spki:` and that of its public key.",
			Field: in(func(c *SendConnector) any { return &c.TLSFingerprints }),
		},
		{
			Name: "tls_fallback", Type: denied(), Default: true,
			Doc:   "With `tls = \"opportunistic\"`: whether mail goes in clear when a host offers STARTTLS and TLS then fails. Otherwise it waits.",
			Field: in(func(c *SendConnector) any { return &c.NoTLSFallback }),
		},
		{
			Name: "implicit_tls", Type: boolean(), Default: false,
			Doc:   "Whether TLS begins with the first octet, without STARTTLS, as smart hosts want it at port 465.",
			Field: in(func(c *SendConnector) any { return &c.ImplicitTLS }),
		},
		{
			Name: "tls_certificate", Type: comment(), Default: "",
			Doc:   "The certificate that is shown to next hops that ask for one: its SHA-256 thumbprint (16 digits of it at least) or SHA-1 thumbprint, a name in it or its friendly name in the certificate store, the path of a PEM file, or `none`. When empty, the one in the store that an authority issued for `fqdn`, if there is one.",
			Field: in(func(c *SendConnector) any { return &c.TLSCertificate }),
		},
		{
			Name: "domain_secure_enabled", Type: boolean(), Default: false,
			Doc:   "Mutual TLS: mail waits also when there is no certificate of ours to show, or the host asks for none.",
			Field: in(func(c *SendConnector) any { return &c.DomainSecureEnabled }),
		},
	}
}

func tlsOverrideTable() *table {
	return repeated(table{
		name: "tls_override", identity: "domain", fold: true,
		doc: "For some domains of a Send connector, another TLS policy in the place of the connector's: what is not written here has its default, not the connector's value. The most specific domain counts.",
		keys: []key{
			{
				Name: "domain", Type: overrideDomain(), Required: true,
				Doc:   "The recipient domain, or `*.contoso.example` for a domain and its subdomains; of a connector with smart hosts, the name or address of one.",
				Field: in(func(o *TLSOverride) any { return &o.Domain }),
			},
			{
				Name: "tls", Type: tlsMode(), Required: true,
				Doc:   "As in the connector.",
				Field: in(func(o *TLSOverride) any { return &o.TLS }),
			},
			{
				Name: "tls_auth_level", Type: tlsAuthLevel(), Default: "",
				Doc:   "As in the connector.",
				Field: in(func(o *TLSOverride) any { return &o.TLSAuthLevel }),
			},
			{
				Name: "tls_domain", Type: tlsDomains(), Default: "",
				Doc:   "As in the connector.",
				Field: in(func(o *TLSOverride) any { return &o.TLSDomain }),
			},
			{
				Name: "tls_ca_file", Type: optionalPath(), Default: "",
				Doc:   "As in the connector.",
				Field: in(func(o *TLSOverride) any { return &o.TLSCAFile }),
			},
			{
				Name: "tls_fingerprints", Type: list(fingerprint(), 0, once[string]), Default: []any{},
				Doc:   "As in the connector.",
				Field: in(func(o *TLSOverride) any { return &o.TLSFingerprints }),
			},
			{
				Name: "tls_fallback", Type: denied(), Default: true,
				Doc:   "As in the connector.",
				Field: in(func(o *TLSOverride) any { return &o.NoTLSFallback }),
			},
		},
	}, func(c *SendConnector) *[]TLSOverride { return &c.TLSOverrides })
}

func tlsMode() typed[string] { return choice(TLSRequired, TLSOpportunistic, TLSIgnoreSTARTTLS) }

// tlsAuthLevel is a choice that may also be left open.
func tlsAuthLevel() typed[string] {
	return optional(choice(EncryptionOnly, CertificateValidation, DomainValidation))
}

// denied is a truth value kept the other way round, for keys that are true
// when nothing is written and variables that are false then.
func denied() typed[bool] {
	b := boolean().(typed[bool])
	parse, toml := b.parse, b.toml
	b.parse = func(value any) (bool, []fault) {
		v, faults := parse(value)
		return !v, faults
	}
	b.json = func(v bool) any { return !v }
	b.toml = func(v bool) string { return toml(!v) }
	return b
}

// tlsDomains is one name to be looked for in certificates, or a list of them.
func tlsDomains() typed[[]string] {
	one := text[string]("domain name", func(s string) (string, []fault) {
		base := strings.TrimPrefix(s, "*.")
		if err := checkDomain(base); err != nil {
			remedy := `write a domain name, such as "edge.contoso.example", or "*.contoso.example" for any name below`
			if a, idnErr := asciiDomain(base); !isASCII(base) && idnErr == nil && checkDomain(a) == nil {
				remedy = "write its A-labels, " + quote(strings.TrimSuffix(s, base)+a)
			}
			return "", []fault{{message: quote(s) + " is not a domain name: " + err.Error(), remedy: remedy}}
		}
		return s, nil
	})
	return oneOrMore(one)
}

// oneOrMore is a list that may be written without brackets when it has one
// element, and as the empty string when it has none.
func oneOrMore(one typed[string]) typed[[]string] {
	many := list(one, 0, once[string])
	t := many
	t.name = one.name + ", or list of " + plural(one.name)
	t.parse = func(value any) ([]string, []fault) {
		switch value.(type) {
		case []any:
			return many.parse(value)
		case string:
			if value == "" {
				return nil, nil
			}
			s, faults := one.parse(value)
			return []string{s}, faults
		}
		return nil, wrongType(value, "a string in quotes, or a list of them")
	}
	t.json = func(all []string) any {
		switch len(all) {
		case 0:
			return ""
		case 1:
			return one.json(all[0])
		}
		return many.json(all)
	}
	t.toml = func(all []string) string {
		switch len(all) {
		case 0:
			return `""`
		case 1:
			return one.toml(all[0])
		}
		return many.toml(all)
	}
	return t
}

// PublicKeyPin begins a fingerprint that is the digest of a public key.
const PublicKeyPin = "spki:"

// fingerprint is the SHA-256 digest of a certificate, or PublicKeyPin and that
// of its public key (the SubjectPublicKeyInfo, as in a TLSA record with
// selector 1), both in upper-case hexadecimal. The second may also be written
// in base64.
func fingerprint() typed[string] {
	certificate := thumbprint()
	t := text[string]("fingerprint", func(s string) (string, []fault) {
		digest, isKey := cutPrefixFold(s, PublicKeyPin)
		if !isKey {
			if n, err := certificate.parse(s); err == nil {
				return n, nil
			}
			return "", []fault{{message: quote(s) + " is not the SHA-256 digest of a certificate or public key",
				remedy: "write the 64 digits that `openssl x509 -noout -fingerprint -sha256` prints, or " + quote(PublicKeyPin) + " and the digest of the public key"}}
		}
		if b, err := base64.StdEncoding.DecodeString(digest); err == nil && len(b) == sha256.Size {
			return PublicKeyPin + strings.ToUpper(hex.EncodeToString(b)), nil
		}
		if n, err := certificate.parse(digest); err == nil {
			return PublicKeyPin + n, nil
		}
		return "", []fault{{message: quote(s) + " is not the SHA-256 digest of a public key",
			remedy: fmt.Sprintf("write %q and the 64 digits of a TLSA record `3 1 1`, or the digest in base64", PublicKeyPin)}}
	})
	return t
}

func cutPrefixFold(s, prefix string) (rest string, found bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// overrideDomain is what a TLS override may be for: a domain, "*." before one,
// or an address.
func overrideDomain() typed[string] {
	domain := acceptedDomain()
	return text[string]("domain", func(s string) (string, []fault) {
		if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
			return a.Unmap().String(), nil
		}
		return domain.parse(s)
	})
}
