package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
)

// maxString is how long a character string of a TXT record may be, in octets
// (RFC 1035 3.3).
const maxString = 255

// Record is the TXT record that publishes a key (RFC 6376 3.6).
type Record struct {
	// Name is where it belongs, without a final dot.
	Name string
	// Text is its whole text.
	Text string
}

// RecordFor makes the record of a private key.
func RecordFor(domain, selector string, key crypto.Signer) (Record, error) {
	r := Record{Name: selector + "._domainkey." + strings.TrimSuffix(domain, ".")}
	switch pub := key.Public().(type) {
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(pub) // RFC 6376 3.6.1, p=
		if err != nil {
			return r, err
		}
		r.Text = "v=DKIM1; k=rsa; h=sha256; p=" + base64.StdEncoding.EncodeToString(der)
	case ed25519.PublicKey: // RFC 8463 4
		r.Text = "v=DKIM1; k=ed25519; h=sha256; p=" + base64.StdEncoding.EncodeToString(pub)
	default:
		return r, fmt.Errorf("dkim: keys of type %T are not known", key)
	}
	return r, nil
}

// Strings is the text in pieces of at most 255 octets, as a TXT record holds it.
func (r Record) Strings() []string {
	var list []string
	for s := r.Text; s != ""; {
		n := min(maxString, len(s))
		list, s = append(list, s[:n]), s[n:]
	}
	return list
}

// Zone is the record as a line of a zone file.
func (r Record) Zone() string {
	quoted := r.Strings()
	for i := range quoted {
		quoted[i] = `"` + quoted[i] + `"`
	}
	text := quoted[0]
	if len(quoted) > 1 {
		text = "( " + strings.Join(quoted, " ") + " )"
	}
	return r.Name + ". IN TXT " + text
}

// Published compares the record with what DNS has, each answer with its strings
// joined, and says what is wrong; empty when the key is there.
func (r Record) Published(answers []string) (problem string) {
	want, others := tags(r.Text), 0
	for _, a := range answers {
		have := tags(a)
		if v, ok := have["v"]; ok && v != "DKIM1" || have["p"] == "" && !strings.Contains(a, "p=") {
			continue // no key record (RFC 6376 3.6.1)
		}
		others++
		switch kind := have["k"]; {
		case have["p"] == "":
			problem = "the key is revoked there: its p= is empty"
		case have["p"] != want["p"]:
			problem = "another key stands there"
		case kind != want["k"] && !(kind == "" && want["k"] == "rsa"):
			problem = fmt.Sprintf("the key stands there with k=%s instead of k=%s", kind, want["k"])
		case have["h"] != "" && !strings.Contains(":"+have["h"]+":", ":sha256:"):
			problem = "its h= does not allow sha256"
		default:
			problem = ""
		}
	}
	switch {
	case others == 0:
		return "there is no such record"
	case others > 1: // RFC 6376 3.6.2.2
		return fmt.Sprintf("there are %d records of keys at this name; verifiers may take any", others)
	}
	return problem
}

// tags reads a list of tags (RFC 6376 3.2), with all white space taken out of
// their values.
func tags(s string) map[string]string {
	list := make(map[string]string)
	for item := range strings.SplitSeq(s, ";") {
		name, value, ok := strings.Cut(item, "=")
		if ok {
			list[strings.TrimSpace(name)] = strings.Join(strings.Fields(value), "")
		}
	}
	return list
}
