package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

func notificationsTable() *table {
	return single(table{
		name: "notifications",
		doc:  "Delivery status notifications, by which senders learn what became of their mail.",
		keys: []key{
			{
				Name: "max_message_attach_size", Type: size(0, maxCount), Default: "10MB",
				Doc:   "The largest message that a failure notification returns whole; of larger ones it returns the header. With 0 always the header alone.",
				Field: in(func(n *Notifications) any { return &n.MaxMessageAttachSize }),
			},
			{
				Name: "max_per_sender_per_hour", Type: limit(1, maxCount), Default: int64(100),
				Doc:   "The most notifications that one address gets in an hour. What is beyond is not sent, so that the gateway can't be made to flood an address by mail in its name.",
				Field: in(func(n *Notifications) any { return &n.MaxPerSenderPerHour }),
			},
			{
				Name: "copy_dsn_to_postmaster_for", Type: list(statusCode(), 0, once[string]), Default: []any{},
				Doc:   "The enhanced status codes of failures, such as `5.4.6`, of whose notifications `server.postmaster_address` gets a copy.",
				Field: in(func(n *Notifications) any { return &n.CopyDSNToPostmasterFor }),
			},
		},
	}, func(c *Config) *Notifications { return &c.Notifications })
}

func remoteDomainTable() *table {
	return repeated(table{
		name: "remote_domain", identity: "domain", fold: true,
		doc: "What senders of a domain are told. It is chosen by the domain of whom a notification goes to; the most specific `domain` holds.",
		keys: []key{
			{
				Name: "domain", Type: remoteDomain(), Required: true,
				Doc:   "The domain, `*.` before it for the domain and all its subdomains, or `*` for every domain.",
				Field: in(func(r *RemoteDomain) any { return &r.Domain }),
			},
			{
				Name: "ndr_enabled", Type: boolean(), Default: true,
				Doc:   "Whether failures are told.",
				Field: in(func(r *RemoteDomain) any { return &r.NDREnabled }),
			},
			{
				Name: "ndr_diagnostic_info", Type: boolean(), Default: true,
				Doc:   "Whether notifications say what servers said, and have a section for administrators. Without it, no server but the gateway itself is named.",
				Field: in(func(r *RemoteDomain) any { return &r.NDRDiagnosticInfo }),
			},
			{
				Name: "delivery_report_enabled", Type: boolean(), Default: true,
				Doc:   "Whether delays are told, and that a message went to a system without notifications.",
				Field: in(func(r *RemoteDomain) any { return &r.DeliveryReportEnabled }),
			},
		},
	}, func(c *Config) *[]RemoteDomain { return &c.RemoteDomains })
}

// remoteDomain is an accepted domain's grammar and "*".
func remoteDomain() typed[string] {
	t := acceptedDomain()
	inner := t.parse
	t.parse = func(value any) (string, []fault) {
		if value == "*" {
			return "*", nil
		}
		return inner(value)
	}
	return t
}

// statusCode is the enhanced status code of a failure (RFC 3463 2). Expiry is
// told as 4.4.7, so class 4 is one too.
func statusCode() typed[string] {
	return text[string]("status code", func(s string) (string, []fault) {
		parts := strings.Split(s, ".")
		ok := len(parts) == 3 && (parts[0] == "4" || parts[0] == "5")
		for _, p := range parts {
			n, err := strconv.Atoi(p)
			ok = ok && err == nil && n >= 0 && strconv.Itoa(n) == p && len(p) <= 3
		}
		if !ok {
			return "", []fault{{message: quote(s) + " is not the enhanced status code of a failure", remedy: `write one of class 5 or 4, such as "5.4.6"`}}
		}
		return s, nil
	})
}

// mailbox is an address that goes into header fields and commands: a dot-string
// and a domain, in ASCII (RFC 5321 4.1.2).
func mailbox() typed[string] {
	return text[string]("address", func(s string) (string, []fault) {
		const write = `write an address, such as "postmaster@contoso.example"`
		local, domain, ok := strings.Cut(s, "@")
		if !ok {
			return "", []fault{{message: quote(s) + " has no @", remedy: write}}
		}
		const special = "!#$%&'*+-/=?^_`{|}~."
		bad := local == "" || len(local) > 64 || strings.HasPrefix(local, ".") || strings.HasSuffix(local, ".") || strings.Contains(local, "..")
		for _, r := range local {
			bad = bad || !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(special, r))
		}
		if bad {
			return "", []fault{{message: quote(s) + " has no local part of letters, digits and dots", remedy: write}}
		}
		if err := checkDomain(domain); err != nil {
			return "", []fault{{message: fmt.Sprintf("%s has no domain behind its @: %v", quote(s), err), remedy: write}}
		}
		return s, nil
	})
}

// durationOrNever is a duration, or 0 for what never comes, which is Unlimited.
func durationOrNever(lo, hi time.Duration) typed[time.Duration] {
	t := timeSpan(lo, hi, false)
	parse, json, toml := t.parse, t.json, t.toml
	t.permits += ", or 0 for never"
	t.parse = func(value any) (time.Duration, []fault) {
		if value == int64(0) || value == "0" || value == "0s" {
			return Unlimited, nil
		}
		d, faults := parse(value)
		for i := range faults {
			faults[i].remedy += ", or 0 for never"
		}
		return d, faults
	}
	t.json = func(d time.Duration) any {
		if d == Unlimited {
			return int64(0)
		}
		return json(d)
	}
	t.toml = func(d time.Duration) string {
		if d == Unlimited {
			return `"0s"`
		}
		return toml(d)
	}
	return t
}

// checkRemoteDomains wants each domain to stand once.
func (d *decoder) checkRemoteDomains(domains []RemoteDomain) {
	seen := map[string]bool{}
	for i, r := range domains {
		row := d.rowPath("remote_domain", i)
		if !d.read(row, "domain") {
			continue
		}
		base, star := strings.CutPrefix(r.Domain, "*.")
		ascii, _ := asciiDomain(base) // remoteDomain has seen that there is such a form
		if star {
			ascii = "*." + ascii
		}
		if seen[ascii] {
			d.fail(joinPath(row, "domain"), fmt.Sprintf("domain: there is a [[remote_domain]] for %q already", r.Domain), "take one of them out")
		}
		seen[ascii] = true
	}
}
