package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The fields of a header that are signed (RFC 6376 5.4.1). Of those that are
// oversigned nobody can add another on the way: the ones that people read and
// by which a message is taken apart. The others are such as mailing lists add.
var (
	dkimOversigned = []any{"From", "Reply-To", "Subject", "Date", "Message-ID", "To", "Cc",
		"MIME-Version", "Content-Type", "Content-Transfer-Encoding"}
	dkimSigned = []any{"Sender", "In-Reply-To", "References", "Content-ID", "Content-Description", "Content-Disposition",
		"Resent-Date", "Resent-From", "Resent-Sender", "Resent-To", "Resent-Cc", "Resent-Message-ID",
		"List-Id", "List-Help", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Subscribe", "List-Post", "List-Owner", "List-Archive"}
)

func dkimTable() *table {
	return repeated(table{
		name: "dkim", identity: "domain", fold: true,
		doc: "A domain of ours whose mail is signed (DKIM, RFC 6376) when it leaves through a Send connector. `postern cert dkim` makes the keys.",
		keys: []key{
			{
				Name: "domain", Type: fqdn(), Required: true,
				Doc:   "The domain in whose name mail is signed that has it in its From field.",
				Field: in(func(c *DKIM) any { return &c.Domain }),
			},
			{
				Name: "subdomains", Type: boolean(), Default: false,
				Doc:   "Whether mail from the domains below is signed too, in the name of `domain`, where they have no row of their own.",
				Field: in(func(c *DKIM) any { return &c.Subdomains }),
			},
			{
				Name: "keys", Type: selectors(), Required: true,
				Doc:   "The private keys, each with its selector: `{ \"edge1\" = \"/etc/postern/dkim/edge1.pem\" }`. Each makes a signature: one of RSA and one of Ed25519, say. Nobody but a file's owner and its group may read it; a file that has changed is read again.",
				Field: in(func(c *DKIM) any { return &c.Keys }),
			},
			{
				Name: "oversigned_headers", Type: list(headerName(), 1, sameHeader), Default: dkimOversigned,
				Doc:   "The header fields that are signed in such a way that none can be changed, removed or added. From must be among them.",
				Field: in(func(c *DKIM) any { return &c.OversignedHeaders }),
			},
			{
				Name: "signed_headers", Type: list(headerName(), 0, sameHeader), Default: dkimSigned,
				Doc:   "The header fields that are signed in such a way that none can be changed or removed, but others can be added, as mailing lists do.",
				Field: in(func(c *DKIM) any { return &c.SignedHeaders }),
			},
			{
				Name: "canonicalization", Type: choice("relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"), Default: "relaxed/relaxed",
				Doc:   "How much white space may change on the way, of the header and of the body.",
				Field: in(func(c *DKIM) any { return &c.Canonicalization }),
			},
			{
				Name: "expiration", Type: durationLimit(time.Hour, 365*day), Default: "unlimited",
				Doc:   "How long a signature holds.",
				Field: in(func(c *DKIM) any { return &c.Expiration }),
			},
			{
				Name: "on_error", Type: choice(DKIMDefer, DKIMSendUnsigned), Default: DKIMDefer,
				Doc:   "Whether a message waits when a key can't be used, or goes with the signatures that can be made, which may be none.",
				Field: in(func(c *DKIM) any { return &c.OnError }),
			},
		},
	}, func(c *Config) *[]DKIM { return &c.DKIM })
}

// optionalDKIMDomain is a domain, or "*" for all there are.
func optionalDKIMDomain() typed[string] {
	one := fqdn()
	one.name = "domain"
	parse := one.parse
	one.parse = func(value any) (string, []fault) {
		if value == "*" {
			return "*", nil
		}
		return parse(value)
	}
	return one
}

// headerName is the name of a header field (RFC 5322 3.6.8).
func headerName() typed[string] {
	return text[string]("field name", func(s string) (string, []fault) {
		bad := func(r rune) bool { return r <= ' ' || r > '~' || r == ':' || r == ';' }
		switch {
		case s == "" || len(s) > 70 || strings.ContainsFunc(s, bad):
			return "", []fault{{message: quote(s) + " is no name of a header field", remedy: `write it without the colon: "Subject"`}}
		case strings.EqualFold(s, "DKIM-Signature"): // RFC 6376 3.5, h=
			return "", []fault{{message: quote(s) + " is never signed itself", remedy: "take it out"}}
		case strings.EqualFold(s, "Received") || strings.EqualFold(s, "Return-Path"): // RFC 6376 5.4
			return "", []fault{{message: quote(s) + " changes on the way, which would break every signature", remedy: "take it out"}}
		}
		return s, nil
	})
}

func sameHeader(a, b string) *fault {
	if !strings.EqualFold(a, b) {
		return nil
	}
	return &fault{message: quote(b) + " stands here twice", remedy: "take one of them out"}
}

// maxSelectors bounds the signatures of a message.
const maxSelectors = 8

// selectors is a table of selectors with the files of their keys.
func selectors() typed[map[string]string] {
	const write = `a table of selectors with their files: { "edge1" = "/etc/postern/dkim/edge1.pem" }`
	file := path()
	return typed[map[string]string]{
		name: "table of paths",
		parse: func(value any) (map[string]string, []fault) {
			table, ok := value.(map[string]any)
			if !ok {
				return nil, wrongType(value, write)
			}
			if len(table) == 0 || len(table) > maxSelectors {
				return nil, []fault{{message: fmt.Sprintf("there are %d keys", len(table)), remedy: fmt.Sprintf("write 1 to %d", maxSelectors)}}
			}
			keys, faults := make(map[string]string, len(table)), []fault(nil)
			for _, name := range slices.Sorted(maps.Keys(table)) {
				sub := "." + joinPath("", name)
				f, bad := file.parse(table[name])
				if _, nested := table[name].(map[string]any); nested {
					bad = []fault{{message: quote(name) + " is a table here", remedy: `write a selector with a dot in quotes: "edge1.2026" = "..."`}}
				} else if err := checkHostName(name); err != nil { // RFC 6376 3.1
					bad = append(bad, fault{message: quote(name) + " is no selector: " + err.Error(), remedy: `write letters, digits and hyphens: "edge1" = "..."`})
				}
				for _, b := range bad {
					b.sub = sub + b.sub
					faults = append(faults, b)
				}
				keys[strings.ToLower(name)] = f
			}
			return keys, faults
		},
		json: func(keys map[string]string) any {
			out := make(map[string]any, len(keys))
			for name, f := range keys {
				out[name] = f
			}
			return out
		},
		toml: func(keys map[string]string) string {
			out := make([]string, 0, len(keys))
			for _, name := range slices.Sorted(maps.Keys(keys)) {
				out = append(out, strconv.Quote(name)+" = "+strconv.Quote(keys[name]))
			}
			return "{ " + strings.Join(out, ", ") + " }"
		},
	}
}
