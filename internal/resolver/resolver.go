package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"postern/internal/message"
)

// Defaults of Options.
const (
	DefaultQueryTimeout   = 3 * time.Second
	DefaultTimeout        = 20 * time.Second
	DefaultFamilyGrace    = time.Second
	DefaultCacheSize      = 10000
	DefaultMaxTTL         = time.Hour
	DefaultMaxNegativeTTL = 5 * time.Minute
)

// failureTTL is how long a temporary failure is remembered, so that a queue
// full of mail does not hammer a broken zone. RFC 9520 3.2 asks for a second
// at least.
const failureTTL = 5 * time.Second

// maxAliases bounds the CNAME records followed for one look-up.
const maxAliases = 8

// Options say whom to ask and how long. The zero value asks the system's
// resolvers.
type Options struct {
	// Servers are the recursive servers, asked in turn. Empty means those of
	// /etc/resolv.conf, which is read again when it changes.
	Servers []netip.AddrPort
	// Protocol is config.DNSUDP or DNSTCP to ask over one of them alone; else
	// TCP takes over what UDP can't carry.
	Protocol string
	// Hosts are static answers, before the DNS; keys are lower case without a
	// final dot. Such a name is its own mail exchanger.
	Hosts map[string][]netip.Addr
	// QueryTimeout bounds one question to one server, Timeout a whole
	// look-up.
	QueryTimeout time.Duration
	Timeout      time.Duration
	// FamilyGrace is how long Addresses waits for the other family once one
	// has answered.
	FamilyGrace time.Duration
	// CacheSize bounds the number of cached answers; negative turns the cache
	// off. MaxTTL and MaxNegativeTTL cap how long they are kept.
	CacheSize      int
	MaxTTL         time.Duration
	MaxNegativeTTL time.Duration
	// Dial opens a connection to a server, network being "udp" or "tcp". It
	// must heed the context. Nil means net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Config is the file read when Servers is empty; "" means
	// /etc/resolv.conf.
	Config string
}

func (o *Options) setDefaults() {
	setDefault(&o.QueryTimeout, DefaultQueryTimeout)
	setDefault(&o.Timeout, DefaultTimeout)
	setDefault(&o.FamilyGrace, DefaultFamilyGrace)
	setDefault(&o.CacheSize, DefaultCacheSize)
	setDefault(&o.MaxTTL, DefaultMaxTTL)
	setDefault(&o.MaxNegativeTTL, DefaultMaxNegativeTTL)
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
}

func setDefault[T int | time.Duration](p *T, v T) {
	if *p == 0 {
		*p = v
	}
}

// Resolver looks names up. It is safe for concurrent use and needs no
// closing: it starts nothing that outlives a call.
type Resolver struct {
	o       Options
	servers serverList
	// preferred is the index of the server that answered last; a dead first
	// server costs its timeout once, not at every look-up.
	preferred atomic.Uint32

	cache   cache
	mu      sync.Mutex
	flights map[question]*flight
}

// New returns a resolver. It asks nothing yet.
func New(o Options) *Resolver {
	o.setDefaults()
	return &Resolver{
		o:       o,
		servers: serverList{fixed: o.Servers, path: o.Config},
		cache:   cache{max: o.CacheSize},
		flights: make(map[question]*flight),
	}
}

// Flush forgets every cached answer.
func (r *Resolver) Flush() { r.cache.flush() }

// question is what is asked: a name in the form of message.DomainKey and a
// record type.
type question struct {
	name  string
	qtype uint16
}

func (q question) typeName() string { return dns.TypeToString[q.qtype] }

// answer is what came of a question: records, which nobody changes, or an
// error.
type answer struct {
	records []dns.RR
	err     *Error
	// ttl is how long the answer may be kept; zero: not at all.
	ttl time.Duration
}

// flight is a question being asked; those who ask the same meanwhile wait for
// its answer.
type flight struct {
	done   chan struct{}
	answer answer
	// abandoned says that the asker's own context ended, which is no answer
	// for the others.
	abandoned bool
}

// lookup answers a question from the cache, from a look-up under way, or from
// the servers.
func (r *Resolver) lookup(ctx context.Context, name string, qtype uint16) ([]dns.RR, error) {
	q := question{name: name, qtype: qtype}
	key, err := canonical(name)
	if err != nil {
		return nil, &Error{Name: name, Type: q.typeName(), Kind: NXDomain, Err: err}
	}
	q.name = key
	a := r.ask(ctx, q)
	return a.result()
}

// result gives the caller an error of its own.
func (a *answer) result() ([]dns.RR, error) {
	if a.err != nil {
		e := *a.err
		return nil, &e
	}
	return a.records, nil
}

// known returns the answer to a question that the cache has.
func (r *Resolver) known(name string, qtype uint16) (answer, bool) {
	key, err := canonical(name)
	if err != nil {
		return answer{}, false
	}
	return r.cache.get(question{name: key, qtype: qtype}, time.Now())
}

// KnowsMX reports whether MX, called now, would answer without asking anybody.
// It says so of a name that can't be asked, too.
func (r *Resolver) KnowsMX(domain string) bool {
	if _, ok := r.static(domain); ok {
		return true
	}
	return r.knows(domain, dns.TypeMX)
}

// KnowsHost reports whether Host, called now, would answer without asking
// anybody. It says so of a name that can't be asked, too.
func (r *Resolver) KnowsHost(host string, want Families) bool {
	if _, ok := r.static(host); ok {
		return true
	}
	return (want == OnlyIPv6 || r.knows(host, dns.TypeA)) && (want == OnlyIPv4 || r.knows(host, dns.TypeAAAA))
}

func (r *Resolver) knows(name string, qtype uint16) bool {
	if _, ok := r.known(name, qtype); ok {
		return true
	}
	_, err := canonical(name)
	return err != nil
}

func (r *Resolver) ask(ctx context.Context, q question) answer {
	for {
		if a, ok := r.cache.get(q, time.Now()); ok {
			return a
		}
		r.mu.Lock()
		f, waiting := r.flights[q]
		if !waiting {
			f = &flight{done: make(chan struct{})}
			r.flights[q] = f
		}
		r.mu.Unlock()
		if !waiting {
			r.lead(ctx, q, f)
			return f.answer
		}
		select {
		case <-f.done:
			if !f.abandoned {
				return f.answer
			}
		case <-ctx.Done():
			return answer{err: q.failure(Temporary, "", ctx.Err())}
		}
	}
}

// lead asks the question in the caller's goroutine and wakes those waiting.
func (r *Resolver) lead(ctx context.Context, q question, f *flight) {
	// Even when a hook panics, nobody is left waiting for this flight.
	f.abandoned = true
	defer func() {
		r.mu.Lock()
		delete(r.flights, q)
		r.mu.Unlock()
		close(f.done)
	}()
	limited, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	f.answer = r.follow(limited, q)
	f.abandoned = ctx.Err() != nil && f.answer.err != nil && f.answer.err.Kind == Temporary
	if !f.abandoned {
		r.cache.put(q, f.answer, time.Now())
	}
}

// follow asks the servers and follows aliases that they did not follow.
func (r *Resolver) follow(ctx context.Context, q question) answer {
	ttl := r.o.MaxTTL
	at := q
	for range maxAliases {
		m, server, err := r.query(ctx, at)
		if err != nil {
			return answer{err: q.failure(Temporary, server, err), ttl: failureTTL}
		}
		res := interpret(m, at)
		ttl = min(ttl, res.ttl)
		switch {
		case res.alias != "":
			next, err := canonical(res.alias)
			if err != nil {
				return answer{err: q.failure(NXDomain, server, fmt.Errorf("alias for %w", err)), ttl: ttl}
			}
			at.name = next
		case res.missing:
			return answer{err: q.failure(res.kind, server, nil), ttl: min(ttl, r.o.MaxNegativeTTL)}
		default:
			return answer{records: res.records, ttl: ttl}
		}
	}
	return answer{err: q.failure(Temporary, "", errors.New("the chain of aliases is too long")), ttl: failureTTL}
}

func (q question) failure(k Kind, server string, err error) *Error {
	return &Error{Name: q.name, Type: q.typeName(), Kind: k, Server: server, Err: err}
}

// canonical returns the name as questions carry it, or why it can't be asked.
// Letters, digits, hyphens and, since they are met in the wild, underscores
// are taken; anything else would need escapes, and no mail host has it.
func canonical(name string) (string, error) {
	key := message.DomainKey(name)
	if key == "" || len(key) > 253 { // RFC 1035 2.3.4
		return "", fmt.Errorf("%q is no domain name: its length must be 1 to 253 octets", name)
	}
	for label := range strings.SplitSeq(key, ".") {
		if label == "" || len(label) > 63 { // RFC 1035 2.3.4
			return "", fmt.Errorf("%q is no domain name: each label must have 1 to 63 octets", name)
		}
	}
	for i := range len(key) {
		switch c := key[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return "", fmt.Errorf("%q is no domain name: %q is not allowed in it", name, c)
		}
	}
	return key, nil
}
