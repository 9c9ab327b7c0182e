package resolver

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

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

// Addresses looks up the addresses of a host, IPv4 first. A and AAAA are
// asked at the same time and stand alone: when one family has addresses, the
// failure of the other is of no concern, and it is waited for no longer than
// Options.FamilyGrace. The error is an *Error.
func (r *Resolver) Addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if addrs, ok := r.static(host); ok {
		return slices.Clone(addrs), nil
	}
	asker := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var families [2]family
	done := make(chan int, len(families))
	for i, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		go func() {
			families[i].addrs, families[i].err = r.family(ctx, host, qtype)
			done <- i
		}()
	}
	if first := <-done; families[first].err == nil {
		// Enough to connect to: the other family gets a short grace.
		grace := time.AfterFunc(r.o.FamilyGrace, cancel)
		defer grace.Stop()
	}
	<-done
	if asker.Err() == nil {
		r.noteSilence(families, 0)
		r.noteSilence(families, 1)
	}
	v4, v6 := families[0], families[1]
	if v4.err == nil || v6.err == nil {
		return append(v4.addrs, v6.addrs...), nil
	}
	return nil, bothMissing(host, v4.err, v6.err)
}

// noteSilence remembers that a family was not waited for any longer, as other
// failures are remembered: else each look-up of a host whose servers are silent
// about one family would take the grace again.
func (r *Resolver) noteSilence(families [2]family, i int) {
	err := families[i].err
	if err == nil || families[1-i].err != nil || !errors.Is(err.Err, context.Canceled) {
		return
	}
	q := question{name: err.Name, qtype: [2]uint16{dns.TypeA, dns.TypeAAAA}[i]}
	r.cache.put(q, answer{err: q.failure(Temporary, err.Server, errors.New("no answer in time")), ttl: failureTTL}, time.Now())
}

// family is what one address family's look-up came to.
type family struct {
	addrs []netip.Addr
	err   *Error
}

// bothMissing decides what two failures mean together. NXDOMAIN concerns the
// name as a whole (RFC 8020), so one for A is believed though AAAA failed;
// the other way round it is not: load balancers exist that deny the name when
// asked for AAAA (RFC 4074 4.2).
func bothMissing(host string, v4, v6 *Error) *Error {
	e := Error{Name: host, Type: "A+AAAA", Kind: NoData, Server: v4.Server, Err: v4.Err}
	switch {
	case v4.Kind == Temporary:
		e.Kind = Temporary
	case v4.Kind == NXDomain && v6.Kind != NoData:
		e.Kind = NXDomain
	case v6.Kind == Temporary:
		e.Kind, e.Server, e.Err = Temporary, v6.Server, v6.Err
	}
	return &e
}

func (r *Resolver) family(ctx context.Context, host string, qtype uint16) ([]netip.Addr, *Error) {
	records, err := r.lookup(ctx, host, qtype)
	if err != nil {
		e, _ := errors.AsType[*Error](err)
		return nil, e
	}
	var addrs []netip.Addr
	for _, rr := range records {
		var a netip.Addr
		switch rr := rr.(type) {
		case *dns.A:
			a, _ = netip.AddrFromSlice(rr.A.To4())
		case *dns.AAAA:
			a, _ = netip.AddrFromSlice(rr.AAAA.To16())
		}
		// The unspecified address would reach this host, and a mapped one
		// says IPv4 where IPv6 was asked for.
		if a.IsValid() && !a.IsUnspecified() && !a.Is4In6() && !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	if len(addrs) == 0 {
		return nil, question{host, qtype}.failure(NoData, "", errors.New("no usable address"))
	}
	return addrs, nil
}

// static returns the static answer for a name. "localhost" is one always
// (RFC 6761 6.3).
func (r *Resolver) static(name string) ([]netip.Addr, bool) {
	key := message.DomainKey(name)
	if addrs, ok := r.o.Hosts[key]; ok {
		return addrs, true
	}
	if key == "localhost" {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, true
	}
	return nil, false
}
