package resolver

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"postern/internal/message"
)

// MX is one mail exchanger.
type MX struct {
	// Host is the exchanger's name in the form of message.DomainKey.
	Host       string
	Preference uint16
}

// MXResult is what a domain says about its mail exchangers.
type MXResult struct {
	// Records are sorted by preference, the lowest first, and by name where
	// that is equal. Who connects shuffles equal ones (RFC 5321 5.1).
	Records []MX
	// Implicit says that the domain has no MX record and stands for its own
	// exchanger (RFC 5321 5.1): Records has the domain alone. Whether it has
	// an address is not known yet.
	Implicit bool
	// Null says that the domain takes no mail (RFC 7505); Records is empty.
	Null bool
}

// MX looks up the mail exchangers of a domain. Aliases are followed (RFC 5321
// 5.1). The error is an *Error of Kind NXDomain or Temporary; a domain that
// exists without MX records gives an implicit one.
func (r *Resolver) MX(ctx context.Context, domain string) (MXResult, error) {
	implicit := MXResult{Records: []MX{{Host: message.DomainKey(domain)}}, Implicit: true}
	if _, ok := r.static(domain); ok {
		return implicit, nil
	}
	records, err := r.lookup(ctx, domain, dns.TypeMX)
	if e, ok := errors.AsType[*Error](err); ok && e.Kind == NoData {
		return implicit, nil
	}
	if err != nil {
		return MXResult{}, err
	}
	var res MXResult
	for _, rr := range records {
		mx, ok := rr.(*dns.MX)
		if !ok {
			continue
		}
		if mx.Mx == "." {
			// RFC 7505 3: beside others, which must not be, it says nothing.
			res.Null = true
			continue
		}
		res.Records = append(res.Records, MX{Host: message.DomainKey(mx.Mx), Preference: mx.Preference})
	}
	if len(res.Records) > 0 {
		res.Null = false
	}
	slices.SortFunc(res.Records, func(a, b MX) int {
		return cmp.Or(cmp.Compare(a.Preference, b.Preference), strings.Compare(a.Host, b.Host))
	})
	res.Records = slices.Compact(res.Records)
	return res, nil
}

// TXT looks up text records; the strings of each are joined (RFC 7208 3.3).
// The error is an *Error.
func (r *Resolver) TXT(ctx context.Context, name string) ([]string, error) {
	records, err := r.lookup(ctx, name, dns.TypeTXT)
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, rr := range records {
		if t, ok := rr.(*dns.TXT); ok {
			texts = append(texts, strings.Join(t.Txt, ""))
		}
	}
	return texts, nil
}
