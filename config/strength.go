package config

import "fmt"

// WeakerTLS says how c asks for less TLS than another Send connector does; empty
// when it asks for as much. It goes by what the connectors are configured to ask
// for in general.
func (c *SendConnector) WeakerTLS(than *SendConnector) string {
	if have, want := c.TLSStrength(), than.TLSStrength(); have < want {
		return fmt.Sprintf("%s rather than %s", c.tlsWords(), than.tlsWords())
	}
	return ""
}

// TLSStrength orders the Send connectors by what TLS they ask for: 0 never to
// use it, 1 opportunistic, 2 required, 3 with a valid certificate, 4 that has
// the right name (reference 2.1).
func (c *SendConnector) TLSStrength() int {
	switch {
	case c.TLS == TLSIgnoreSTARTTLS:
		return 0
	case c.TLS != TLSRequired:
		return 1
	case c.TLSAuthLevel == DomainValidation:
		return 4
	case c.TLSAuthLevel == CertificateValidation:
		return 3
	}
	return 2
}

// tlsWords is what the file says of TLS.
func (c *SendConnector) tlsWords() string {
	if c.TLSAuthLevel != "" {
		return fmt.Sprintf("tls = %q with tls_auth_level = %q", c.TLS, c.TLSAuthLevel)
	}
	return fmt.Sprintf("tls = %q", c.TLS)
}
