package resolver

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"postern/internal/message"
)

// Families says which kinds of addresses are looked up.
type Families uint8

// The families. The zero value is both.
const (
	BothFamilies Families = iota
	OnlyIPv4
	OnlyIPv6
)

// silenceTTL is how long a family is not asked for again after the other one
// had answered and this one was silent or slow: each such look-up costs
// Options.FamilyGrace. RFC 9520 3.2 allows five minutes for a failure.
const silenceTTL = time.Minute

// HostAddresses is what is known of a host's addresses.
type HostAddresses struct {
	// Addrs has at least one address, IPv4 first.
	Addrs []netip.Addr
	// IPv4 and IPv6 say why the host has no address of a family; nil when it has
	// one or the family was not asked for.
	IPv4, IPv6 *Error
}

// Addresses looks up the addresses of a host, IPv4 first; see Host. The error
// is an *Error.
func (r *Resolver) Addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	h, err := r.Host(ctx, host, BothFamilies)
	return h.Addrs, err
}

// Host looks up the addresses of a host. A and AAAA are asked at the same time
// and stand alone: when one family has addresses, the failure of the other is of
// no concern, and it is waited for no longer than Options.FamilyGrace. The error
// is an *Error.
func (r *Resolver) Host(ctx context.Context, host string, want Families) (HostAddresses, error) {
	if addrs, ok := r.static(host); ok {
		return staticHost(host, addrs, want)
	}
	if want != BothFamilies {
		qtype := dns.TypeA
		if want == OnlyIPv6 {
			qtype = dns.TypeAAAA
		}
		addrs, err := r.family(ctx, host, qtype)
		if err != nil {
			return HostAddresses{}, err
		}
		return HostAddresses{Addrs: addrs}, nil
	}
	v4, v6 := r.bothFamilies(ctx, host)
	if v4.err != nil && v6.err != nil {
		return HostAddresses{}, bothMissing(host, v4.err, v6.err)
	}
	return HostAddresses{Addrs: append(v4.addrs, v6.addrs...), IPv4: v4.err, IPv6: v6.err}, nil
}

// staticHost is the static answer, as far as it is wanted.
func staticHost(host string, addrs []netip.Addr, want Families) (HostAddresses, error) {
	var found HostAddresses
	for _, a := range addrs {
		if want == BothFamilies || a.Unmap().Is4() == (want == OnlyIPv4) {
			found.Addrs = append(found.Addrs, a)
		}
	}
	if len(found.Addrs) == 0 {
		qtype := dns.TypeA
		if want == OnlyIPv6 {
			qtype = dns.TypeAAAA
		}
		return found, question{host, qtype}.failure(NoData, "", errors.New("the static addresses are all of the other family"))
	}
	return found, nil
}

func (r *Resolver) bothFamilies(ctx context.Context, host string) (v4, v6 family) {
	a4, both := r.known(host, dns.TypeA)
	if both {
		var a6 answer
		if a6, both = r.known(host, dns.TypeAAAA); both {
			return familyOf(host, dns.TypeA, &a4), familyOf(host, dns.TypeAAAA, &a6)
		}
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
	first := <-done
	if err := families[first].err; err == nil || first == 0 && err.Kind == NXDomain {
		// Enough to connect to, or to know that there is nothing (bothMissing):
		// the other family gets a short grace.
		grace := time.AfterFunc(r.o.FamilyGrace, cancel)
		defer grace.Stop()
	}
	<-done
	if asker.Err() == nil {
		r.noteSilence(families, 0)
		r.noteSilence(families, 1)
	}
	return families[0], families[1]
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
	err.Err = errors.New("no answer in time")
	r.cache.put(q, answer{err: q.failure(Temporary, err.Server, err.Err), ttl: silenceTTL}, time.Now())
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
	return usable(host, qtype, records)
}

// familyOf is what an answer that is known comes to.
func familyOf(host string, qtype uint16, a *answer) family {
	records, err := a.result()
	if err != nil {
		e, _ := errors.AsType[*Error](err)
		return family{err: e}
	}
	addrs, e := usable(host, qtype, records)
	return family{addrs, e}
}

// usable are the addresses in an answer that somebody may connect to.
func usable(host string, qtype uint16, records []dns.RR) ([]netip.Addr, *Error) {
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
