package logon

import (
	"fmt"
	"slices"
	"strings"

	"postern/config"
	"postern/routing"
)

// Lint says what is wrong with the accounts and with how they may be used.
func Lint(cfg *config.Config) []config.Finding {
	out := lintUsers(cfg.Users)
	users, all := cfg.Users, true
	if f := cfg.Server.UsersFile; f != "" {
		more, findings, err := readUsers(f)
		if err != nil {
			out = append(out, config.Finding{Severity: config.Warning, Path: "server.users_file", Message: "users_file can't be read now: " + err.Error(),
				Remedy: "make it readable for the gateway's user before it starts"})
		}
		// A file that the gateway starts without is no reason not to start.
		for _, x := range append(findings, lintUsers(more)...) {
			at := ""
			if !x.Position.IsZero() {
				at = fmt.Sprintf(" line %d", x.Position.Line)
			}
			out = append(out, config.Finding{Severity: config.Warning, Path: "server.users_file", Message: "users_file" + at + ": " + x.Message, Remedy: x.Remedy})
		}
		all = err == nil && !config.HasErrors(findings)
		if len(more) > 0 {
			users = append(slices.Clone(users), more...)
		}
	}
	if config.HasErrors(out) {
		return out
	}
	if _, err := build(cfg.Users, cfg.Server.FQDN); err != nil {
		out = append(out, config.Finding{Severity: config.Error, Path: "user[0].name", Message: err.Error(), Remedy: "take one of them out"})
	} else if _, err := build(users, cfg.Server.FQDN); err != nil {
		out = append(out, config.Finding{Severity: config.Warning, Path: "server.users_file", Message: "users_file can't be used: " + err.Error(), Remedy: "mend it, or take the user out"})
	}
	return append(out, lintConnectors(cfg, users, all)...)
}

func lintUsers(users []config.User) []config.Finding {
	var out []config.Finding
	fail := func(i int, key, format string, args ...any) *config.Finding {
		out = append(out, config.Finding{Severity: config.Error, Path: fmt.Sprintf("user[%d].%s", i, key), Message: fmt.Sprintf(format, args...)})
		return &out[len(out)-1]
	}
	for i, u := range users {
		if u.PasswordHash != "" {
			if err := ParseHash(u.PasswordHash); err != nil {
				fail(i, "password_hash", "password_hash of user %q: %v", u.Name, err).Remedy = "write the whole of it, or what `postern user hash` prints"
			}
		}
		for _, s := range u.CertificateSubject {
			if _, err := parseSubject(s); err != nil {
				fail(i, "certificate_subject", "user %q: %v", u.Name, err)
			}
		}
		for _, p := range u.AllowedSenders {
			if p == anySender {
				continue
			}
			if p == "<>" {
				fail(i, "allowed_senders", `allowed_senders of user %q: "<>" is everybody's already`, u.Name)
			} else if _, err := routing.ParseSenders([]string{p}); err != nil {
				fail(i, "allowed_senders", "allowed_senders of user %q: %v", u.Name, err)
			}
		}
	}
	return out
}

// lintConnectors names connectors that offer what no account can use, that let
// passwords travel in clear text, or whose users may then do nothing. Of what
// accounts lack it speaks only where all of them could be read.
func lintConnectors(cfg *config.Config, users []config.User, all bool) []config.Finding {
	var out []config.Finding
	scrams := slices.ContainsFunc(users, func(u config.User) bool { return strings.HasPrefix(u.PasswordHash, scramPrefix) })
	passwords := slices.ContainsFunc(users, func(u config.User) bool { return u.PasswordHash != "" })
	certificates := slices.ContainsFunc(users, func(u config.User) bool { return len(u.CertificateThumbprint)+len(u.CertificateSubject) > 0 })
	for i := range cfg.ReceiveConnectors {
		c := &cfg.ReceiveConnectors[i]
		if !c.Enabled {
			continue
		}
		warn := func(key, message, remedy string) {
			out = append(out, config.Finding{Severity: config.Warning, Path: fmt.Sprintf("receive_connector[%d].%s", i, key), Message: message, Remedy: remedy})
		}
		has := func(m string) bool { return slices.Contains(c.AuthMechanism, m) }
		if has(valueBasic) && !has("basic_require_tls") && !c.RequireTLS && !c.ImplicitTLS {
			warn("auth_mechanism", fmt.Sprintf(`connector %q takes passwords in clear text: "basic" stands without "basic_require_tls"`, c.Name),
				`write ["tls", "basic", "basic_require_tls"], or require_tls = true`)
		}
		capable := len(c.TLSDomainCapabilities) > 0
		switch partners := capable || len(c.TLSReceiveDomainSecureList) > 0; {
		case !all:
		case has(valueBasic) && !passwords:
			warn("auth_mechanism", fmt.Sprintf(`connector %q offers no AUTH for "basic": no user has a password`, c.Name), "add [[user]] tables with what `postern user hash` prints")
		case has(valueScram) && !scrams:
			warn("auth_mechanism", fmt.Sprintf(`connector %q offers no AUTH for "scram": no user has a SCRAM verifier as password_hash`, c.Name), "make one with `postern user hash --scheme scram-sha-256`")
		case has(valueCertificate) && !certificates && !partners:
			warn("auth_mechanism", fmt.Sprintf(`connector %q asks for client certificates and nobody has one: no user has certificate_thumbprint or certificate_subject, and tls_receive_domain_secure_list is empty`, c.Name), "name the certificates, or take client_certificate out")
		}
		offers := has(valueBasic) || has(valueScram) || has(valueCertificate) && (certificates || !capable)
		if offers && !slices.Contains(c.PermissionGroups, "users") && !slices.Contains(c.PermissionGroups, "partners") {
			warn("permission_groups", fmt.Sprintf("connector %q lets users log on and gives them no rights", c.Name), `add "users" to permission_groups`)
		}
		if len(c.TLSReceiveDomainSecureList) > 0 && !slices.Contains(c.PermissionGroups, "partners") {
			warn("tls_receive_domain_secure_list", fmt.Sprintf("connector %q knows partners and gives them no rights", c.Name), `add "partners" to permission_groups`)
		}
	}
	return out
}
