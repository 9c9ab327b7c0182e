package send

import (
	"fmt"
	"net"
	"os"
	"strings"

	"postern/config"
)

// Lint tells what is worth knowing about the Send connectors of a
// configuration beyond what its keys must keep, which package config sees to.
// It does no I/O.
func Lint(cfg *config.Config) []config.Finding {
	var findings []config.Finding
	for i := range cfg.SendConnectors {
		c := &cfg.SendConnectors[i]
		warn := func(field, remedy, format string, args ...any) {
			findings = append(findings, config.Finding{Severity: config.Warning,
				Path:    fmt.Sprintf("send_connector[%d].%s", i, field),
				Message: fmt.Sprintf("send connector %q: ", c.Name) + fmt.Sprintf(format, args...), Remedy: remedy})
		}
		// Of server.fqdn, where the name may come from, package config tells.
		if c.FQDN != cfg.Server.FQDN && !strings.Contains(c.FQDN, ".") {
			warn("fqdn", "write the fully-qualified name of this gateway, which its address resolves to",
				"%q is not fully qualified, so that EHLO sends an address literal instead", c.FQDN)
		}
		if c.SmartHostAuth.Mechanism == authSCRAM && c.TLS != config.TLSRequired {
			warn("smart_host_auth", `write mechanism = "scram_require_tls", or tls = "required"`,
				"whoever sees the logon of smart_host_auth in clear can try passwords on it")
		}
		if c.SmartHostAuth.Mechanism == authBasic && c.TLS != config.TLSRequired {
			warn("smart_host_auth", `write mechanism = "basic_require_tls", or tls = "required"`,
				"the password of smart_host_auth may travel in clear")
		} else if strings.HasPrefix(c.SmartHostAuth.Mechanism, authBasic) && c.TLSStrength("") < config.TLSNamed {
			warn("smart_host_auth", `write tls = "required" with tls_auth_level = "domain_validation" and tls_domain, or tls_fingerprints; or take a mechanism of SCRAM`,
				"whoever stands between learns the password of smart_host_auth, since the smart host need not prove its name")
		}
		lintHosts(c, warn)
		lintMasquerade(cfg, c, warn)
	}
	return append(findings, lintSigning(cfg)...)
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
