package ptls

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"postern/internal/message"
)

// maxNames bounds the names of a certificate; public authorities take 100.
const maxNames = 100

// CertificateName brings a DNS name for a certificate into the form in which it
// stands there: lower case, in A-labels (RFC 5890 2.3.2.1), a wildcard as the
// whole first label alone (RFC 9525 6.3).
func CertificateName(name string) (string, error) {
	text := strings.TrimSuffix(strings.TrimSpace(name), ".")
	base, star := strings.CutPrefix(text, "*.")
	if _, err := netip.ParseAddr(strings.Trim(base, "[]")); err == nil {
		return "", fmt.Errorf("%s is an address, and certificates of mail gateways are for names; write the FQDN", name)
	}
	if strings.Contains(base, "*") {
		return "", fmt.Errorf("%s: a wildcard is the whole first label, as in *.contoso.example", name)
	}
	ascii, err := idna.Lookup.ToASCII(base)
	if err != nil {
		// Underscores and the like stand in no certificate; what is left is a
		// name in ASCII that IDNA has no opinion of.
		return "", fmt.Errorf("%q is no DNS name: %s", name, strings.TrimPrefix(err.Error(), "idna: "))
	}
	ascii = strings.ToLower(ascii)
	if err := message.CheckDomain(ascii, false); err != nil || strings.HasPrefix(ascii, "[") {
		return "", fmt.Errorf("%q is no DNS name", name)
	}
	if star {
		if !strings.Contains(ascii, ".") {
			return "", fmt.Errorf("%s is too wide for any authority to sign", name)
		}
		return "*." + ascii, nil
	}
	return ascii, nil
}

// CertificateNames brings names into the form in which they stand in a
// certificate, without those that are there twice.
func CertificateNames(names []string) ([]string, error) {
	var list []string
	for _, n := range names {
		n, err := CertificateName(n)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	switch {
	case len(list) == 0:
		return nil, errors.New("a certificate needs a name; write --domain, or fqdn in the connector")
	case len(list) > maxNames:
		return nil, fmt.Errorf("%d names are too many for a certificate; %d are the most", len(list), maxNames)
	}
	return list, nil
}
