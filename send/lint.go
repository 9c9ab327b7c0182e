package send

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"postern/config"
	"postern/internal/message"
)

// Lint tells what is wrong, or worth knowing, about the Send connectors of a
// configuration, as far as the file alone shows it. It does no I/O.
func Lint(cfg *config.Config) []config.Finding {
	var findings []config.Finding
	for i := range cfg.SendConnectors {
		c := &cfg.SendConnectors[i]
		add := func(severity config.Severity, field, remedy, format string, args ...any) {
			findings = append(findings, config.Finding{Severity: severity,
				Path:    fmt.Sprintf("send_connector[%d].%s", i, field),
				Message: fmt.Sprintf("send connector %q: ", c.Name) + fmt.Sprintf(format, args...), Remedy: remedy})
		}
		lintName(c, add)
		lintTLS(c, add)
		lintAuth(c, add)
		lintSources(c, add)
	}
	return findings
}

type addFunc func(severity config.Severity, field, remedy, format string, args ...any)

func lintName(c *config.SendConnector, add addFunc) {
	name := strings.TrimSuffix(c.FQDN, ".")
	switch {
	case !strings.Contains(name, "."):
		add(config.Warning, "fqdn", "set fqdn to the fully-qualified name of this gateway, which its address resolves to",
			"%q is no fully-qualified name, so that EHLO sends an address literal", c.FQDN)
	case message.CheckDomain(message.DomainKey(name), false) != nil:
		add(config.Error, "fqdn", "write a domain name of letters, digits, hyphens and dots", "%q can't be sent with EHLO", c.FQDN)
	}
}

func lintTLS(c *config.SendConnector, add addFunc) {
	switch {
	case c.TLS != config.TLSRequired && c.TLSAuthLevel != "":
		add(config.Warning, "tls_auth_level", `set tls = "required", or remove tls_auth_level`,
			"tls_auth_level %q has no effect with tls = %q", c.TLSAuthLevel, c.TLS)
	case c.TLS == config.TLSRequired && c.TLSAuthLevel == config.DomainValidation && c.TLSDomain == "" && len(c.SmartHosts) > 0:
		add(config.Warning, "tls_domain", "set tls_domain to the name in the smart hosts' certificate",
			"domain_validation towards smart hosts has no tls_domain, so that each smart host's own name is looked for")
	}
}

func lintAuth(c *config.SendConnector, add addFunc) {
	a := c.SmartHostAuth
	switch {
	case a.Mechanism == "" || a.Mechanism == authNone:
	case len(c.SmartHosts) == 0:
		add(config.Warning, "smart_host_auth", "name smart_hosts, or remove smart_host_auth", "smart_host_auth has no effect without smart_hosts")
	case a.Mechanism == authBasic && c.TLS != config.TLSRequired:
		add(config.Warning, "smart_host_auth", `use mechanism "basic_require_tls", or set tls = "required"`,
			"the password of smart_host_auth may travel in clear")
	case a.Mechanism == authRequireTLS && c.TLS == config.TLSIgnoreSTARTTLS:
		add(config.Error, "smart_host_auth", `set tls = "required"`,
			"smart_host_auth needs TLS, which tls = %q never uses", c.TLS)
	}
}

func lintSources(c *config.SendConnector, add addFunc) {
	if len(c.SourceIPAddress) == 0 {
		return
	}
	for _, h := range c.SmartHosts {
		a, err := netip.ParseAddr(h.Host)
		if err != nil {
			continue
		}
		if _, ok := sourceFor(c, a.Unmap()); !ok {
			add(config.Warning, "source_ip_address", "add a source address of the smart host's family, or remove the smart host",
				"the smart host %s is never used: there is no source address of its family", h.Host)
		}
	}
}

// CheckSources tries to bind each source address, and reports as warnings
// those that this host does not have. It is for the start of the gateway, on
// the host where it runs.
func CheckSources(cfg *config.Config) []config.Finding {
	var findings []config.Finding
	for i := range cfg.SendConnectors {
		c := &cfg.SendConnectors[i]
		for n, a := range c.SourceIPAddress {
			l, err := net.Listen("tcp", net.JoinHostPort(a.String(), "0"))
			if err == nil {
				_ = l.Close()
				continue
			}
			if se, ok := err.(*net.OpError); ok {
				err = se.Err
			}
			if se, ok := err.(*os.SyscallError); ok {
				err = se.Err
			}
			findings = append(findings, config.Finding{Severity: config.Warning,
				Path:    fmt.Sprintf("send_connector[%d].source_ip_address[%d]", i, n),
				Message: fmt.Sprintf("send connector %q can't use the source address %s: %v", c.Name, a, err),
				Remedy:  "give the address to an interface of this host, or remove it"})
		}
	}
	return findings
}
