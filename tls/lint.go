package ptls

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"postern/config"
	"postern/routing"
)

// Lint tells what is worth knowing about the TLS of Send connectors beyond what
// their keys must keep, which package config sees to. It does no I/O.
func Lint(cfg *config.Config) []config.Finding {
	var findings []config.Finding
	fallback := make(map[string]bool) // connectors that take over from others
	for i := range cfg.SendConnectors {
		fallback[cfg.SendConnectors[i].Fallback] = true
	}
	for i := range cfg.SendConnectors {
		c := &cfg.SendConnectors[i]
		if len(c.SmartHosts) == 0 && c.AddressSpacesFile == "" && !fallback[c.Name] {
			findings = append(findings, lintOverrides(c, i)...)
		}
		note := func(field, remedy, format string, args ...any) {
			findings = append(findings, config.Finding{Severity: config.Note, Path: fmt.Sprintf("send_connector[%d].%s", i, field),
				Message: fmt.Sprintf("send connector %q: ", c.Name) + fmt.Sprintf(format, args...), Remedy: remedy})
		}
		byMX := len(c.SmartHosts) == 0
		if byMX && c.TLSAuthLevel == config.DomainValidation && len(c.TLSDomain) == 0 && !c.DomainSecureEnabled {
			note("tls_auth_level", `write tls_domain with the name in the mail exchangers' certificates, or tls_auth_level = "certificate_validation"`,
				"without tls_domain each certificate must be for the recipient's domain itself, which those of most mail exchangers are not")
		}
		proven := c.TLSAuthLevel == config.DomainValidation || len(c.TLSFingerprints) > 0
		if !byMX && c.TLS == config.TLSRequired && !proven && c.SmartHostAuth.Mechanism != "" && c.SmartHostAuth.Mechanism != "none" {
			note("tls_auth_level", `write tls_auth_level = "domain_validation" and tls_domain, or tls_fingerprints`,
				"the password of smart_host_auth is shown to any host that answers for the smart host, since nothing proves its name")
		}
	}
	return findings
}

// lintOverrides finds overrides for domains that no address space of the
// connector takes in.
func lintOverrides(c *config.SendConnector, i int) []config.Finding {
	var findings []config.Finding
	for j := range c.TLSOverrides {
		base, star := strings.CutPrefix(c.TLSOverrides[j].Domain, "*.")
		base = overrideKey(base)
		met := false
		for _, text := range c.AddressSpaces {
			space, err := routing.ParseAddressSpace(text)
			if err != nil {
				return nil // package routing tells
			}
			switch space.Kind {
			case routing.SpaceDomain:
				met = met || space.Domain == base || star && strings.HasSuffix(space.Domain, "."+base)
			case routing.SpaceSubdomains:
				met = met || space.Domain == base || strings.HasSuffix(base, "."+space.Domain) || star && strings.HasSuffix(space.Domain, "."+base)
			default:
				met = true
			}
		}
		if !met {
			findings = append(findings, config.Finding{Severity: config.Warning, Path: fmt.Sprintf("send_connector[%d].tls_override[%d].domain", i, j),
				Message: fmt.Sprintf("send connector %q: the override for %s has no effect: no address space of the connector matches", c.Name, c.TLSOverrides[j].Domain),
				Remedy:  "add the domain to address_spaces, or put the override into the connector that takes its mail"})
		}
	}
	return findings
}

// expiresSoon is how long before its end a certificate is warned of.
const expiresSoon = 14 * 24 * time.Hour

// CheckFiles reads what the TLS keys of Send connectors name, authorities and
// certificates of ours, and reports as warnings what can't be used or soon
// can't. It is for the host where the gateway runs; where there is no
// certificate directory, names are not looked up.
func CheckFiles(cfg *config.Config) []config.Finding {
	c := &fileCheck{cfg: cfg, now: time.Now(), directory: StoreDirectory(cfg), roots: make(map[string]error)}
	for i := range cfg.SendConnectors {
		s := &cfg.SendConnectors[i]
		row := fmt.Sprintf("send_connector[%d]", i)
		c.authorities(s, row+".tls_ca_file", s.TLSCAFile)
		for j := range s.TLSOverrides {
			c.authorities(s, fmt.Sprintf("%s.tls_override[%d].tls_ca_file", row, j), s.TLSOverrides[j].TLSCAFile)
		}
		if s.TLSCertificate != "" && s.TLSCertificate != NoCertificate {
			c.certificate(s, row+".tls_certificate", s.TLSCertificate)
		} else if s.DomainSecureEnabled {
			c.automatic(s, row+".domain_secure_enabled")
		}
	}
	return c.findings
}

type fileCheck struct {
	cfg       *config.Config
	now       time.Time
	directory string
	listing   *Listing // nil: not read, or there is none
	roots     map[string]error
	findings  []config.Finding
}

func (c *fileCheck) warn(s *config.SendConnector, path, remedy, format string, args ...any) {
	c.findings = append(c.findings, config.Finding{Severity: config.Warning, Path: path,
		Message: fmt.Sprintf("send connector %q: ", s.Name) + fmt.Sprintf(format, args...), Remedy: remedy})
}

// mailWaits is what an unusable file means.
const mailWaits = "until then mail that needs it waits"

func (c *fileCheck) authorities(s *config.SendConnector, path, file string) {
	if file == "" {
		return
	}
	err, known := c.roots[file]
	if !known {
		_, err = readRoots(file)
		c.roots[file] = err
	}
	if err != nil {
		c.warn(s, path, "write the path of a PEM file that the gateway may read; "+mailWaits, "the authorities can't be read: %v", err)
	}
}

func (c *fileCheck) list() (*Listing, bool) {
	if c.listing != nil {
		return c.listing, true
	}
	if _, err := os.Stat(c.directory); errors.Is(err, fs.ErrNotExist) {
		return nil, false
	}
	l, err := ReadDirectory(c.directory)
	if err != nil {
		return nil, false
	}
	c.listing = l
	return l, true
}

func (c *fileCheck) certificate(s *config.SendConnector, path, name string) {
	var e *Entry
	if isPath(name) {
		var err error
		if e, err = ReadEntry(name); err != nil {
			c.warn(s, path, "write the path of a PEM file with certificate and key that the gateway may read; "+mailWaits, "the certificate can't be used: %v", err)
			return
		}
	} else {
		l, ok := c.list()
		if !ok {
			return
		}
		if e = l.Find(name, c.now); e == nil {
			for _, p := range l.Problems {
				c.warn(s, path, "mend the file, or take it out of the directory", "%v", p)
			}
			c.warn(s, path, "put certificate and key there in PEM, or write another name; "+mailWaits, "there is no certificate %q in %s", name, c.directory)
			return
		}
	}
	c.usable(s, path, e)
}

func (c *fileCheck) automatic(s *config.SendConnector, path string) {
	if l, ok := c.list(); ok && l.FindClient(s.FQDN, c.now) == nil {
		c.warn(s, path, "write tls_certificate; until then the mail waits", "no certificate in %s was issued for %s and may be used by clients", c.directory, s.FQDN)
	}
}

func (c *fileCheck) usable(s *config.SendConnector, path string, e *Entry) {
	leaf := e.Leaf()
	switch err := e.Usable(c.now); {
	case e.Key == nil:
		c.warn(s, path, "put the key there in PEM; "+mailWaits, "%v", err)
	case err != nil:
		c.warn(s, path, "renew it; hosts that look at it may refuse the mail", "%v", err)
	case leaf.NotAfter.Sub(c.now) < expiresSoon:
		c.warn(s, path, "renew it", "the certificate in %s expires on %s", e.File, day(leaf.NotAfter))
	}
	if !ForClients(leaf) {
		c.warn(s, path, "ask for one that clients may use, with the extended key usage clientAuth",
			"the certificate in %s is for servers only, so that hosts that look at it may refuse it", e.File)
	}
}
