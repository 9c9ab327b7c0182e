package resolver

import (
	"strings"
	"time"

	"github.com/miekg/dns"
)

// result is what a server's message says about a question.
type result struct {
	records []dns.RR
	// alias is a name for which the question is to be asked again.
	alias string
	// missing says that there is no such record; kind says whether the name
	// exists.
	missing bool
	kind    Kind
	ttl     time.Duration
}

// interpret follows the aliases within the answer (RFC 1034 5.3.3) and picks
// the records of the type asked for at their end. Records of other names, of
// which a server may add any number, are not looked at.
func interpret(m *dns.Msg, q question) result {
	name := dns.Fqdn(q.name)
	ttl := time.Duration(1<<31-1) * time.Second
	followed := false
	for range len(m.Answer) + 1 {
		var found []dns.RR
		alias := ""
		for _, rr := range m.Answer {
			h := rr.Header()
			if h.Class != dns.ClassINET || !strings.EqualFold(h.Name, name) {
				continue
			}
			if h.Rrtype == q.qtype {
				found = append(found, rr)
				ttl = min(ttl, seconds(h.Ttl))
			} else if c, ok := rr.(*dns.CNAME); ok && alias == "" {
				alias = c.Target
				ttl = min(ttl, seconds(h.Ttl))
			}
		}
		if len(found) > 0 {
			return result{records: found, ttl: ttl}
		}
		if alias == "" {
			break
		}
		name, followed = alias, true
	}
	negative, soa := negativeTTL(m)
	ttl = min(ttl, negative)
	switch {
	case m.Rcode == dns.RcodeNameError:
		return result{missing: true, kind: NXDomain, ttl: ttl}
	case followed && !soa:
		// The server left the end of the chain to us. The whole answer may
		// be kept no longer than the alias.
		return result{alias: name, ttl: aliasTTL(m)}
	}
	return result{missing: true, kind: NoData, ttl: ttl}
}

// negativeTTL returns how long the absence of a record may be kept: not at
// all without an SOA record (RFC 2308 5).
func negativeTTL(m *dns.Msg) (time.Duration, bool) {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return seconds(min(soa.Minttl, soa.Hdr.Ttl)), true
		}
	}
	return 0, false
}

func aliasTTL(m *dns.Msg) time.Duration {
	ttl := uint32(1<<31 - 1)
	for _, rr := range m.Answer {
		if rr.Header().Rrtype == dns.TypeCNAME {
			ttl = min(ttl, rr.Header().Ttl)
		}
	}
	return seconds(ttl)
}

// seconds reads a TTL; one with the top bit set counts as zero (RFC 2181 8).
func seconds(ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}
