package resolver

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"postern/config"
)

// udpSize is the UDP payload we say we take: what fits the smallest IPv6
// path without fragments.
const udpSize = 1232

// maxStrays is how many datagrams that do not answer the question are passed
// over before it is asked over TCP, where nobody can push in an answer.
const maxStrays = 32

var (
	errStrays   = errors.New("too many answers to other questions")
	errTooLarge = errors.New(`the answer does not fit into a datagram, and TCP is left out (protocol = "udp")`)
	errLame     = errors.New("the server is not responsible for the name and does not ask on")
)

// rcodeError is an answer that says that the server can't answer.
type rcodeError int

func (e rcodeError) Error() string {
	if s, ok := dns.RcodeToString[int(e)]; ok {
		return "the server answered " + s
	}
	return fmt.Sprintf("the server answered with code %d", int(e))
}

// query asks the servers in turn until one answers. The error of the last one
// and its name are returned when none does.
func (r *Resolver) query(ctx context.Context, q question) (*dns.Msg, string, error) {
	servers := r.servers.list(time.Now())
	start := int(r.preferred.Load())
	var last error
	var asked string
	for range 2 {
		again := false
		for i := range servers {
			n := (start + i) % len(servers)
			asked = servers[n].String()
			m, err := r.askServer(ctx, servers[n], q)
			if err == nil {
				if again {
					r.preferred.Store(uint32(n))
				}
				return m, asked, nil
			}
			last = err
			if ctx.Err() != nil {
				return nil, asked, last
			}
			// A server that answered, if only SERVFAIL, would say the same
			// again; one that did not answer may have lost the question.
			var rc rcodeError
			again = again || !errors.As(err, &rc) && !errors.Is(err, errLame) && !errors.Is(err, errTooLarge)
		}
		if !again {
			break
		}
	}
	return nil, asked, last
}

// askServer asks one server: over UDP with EDNS(0), without it when the
// server does not know it, over TCP when the answer does not fit. Options.Protocol
// may leave one of the two out.
func (r *Resolver) askServer(ctx context.Context, server netip.AddrPort, q question) (*dns.Msg, error) {
	network := "udp"
	if r.o.Protocol == config.DNSTCP {
		network = "tcp"
	}
	m, err := r.exchange(ctx, network, server, q, true)
	edns := true
	if err == nil && lacksEDNS(m) {
		edns = false
		m, err = r.exchange(ctx, network, server, q, false)
	}
	if network == "udp" && (errors.Is(err, errStrays) || err == nil && m.Truncated) {
		if r.o.Protocol == config.DNSUDP {
			return nil, cmp.Or(err, errTooLarge)
		}
		m, err = r.exchange(ctx, "tcp", server, q, edns)
	}
	if err != nil {
		return nil, err
	}
	switch m.Rcode {
	case dns.RcodeSuccess:
		if lame(m) {
			return nil, errLame
		}
	case dns.RcodeNameError:
	default:
		return nil, rcodeError(m.Rcode)
	}
	return m, nil
}

// lacksEDNS reports whether the server refused the question for its EDNS(0)
// (RFC 6891 7).
func lacksEDNS(m *dns.Msg) bool {
	return m.Rcode == dns.RcodeFormatError || m.Rcode == dns.RcodeNotImplemented || m.Rcode == dns.RcodeBadVers
}

// lame reports whether an answer without records is a mere referral, or comes
// from a server that neither knows nor asks: it says nothing about the name.
func lame(m *dns.Msg) bool {
	if len(m.Answer) > 0 || m.Authoritative {
		return false
	}
	referral := false
	for _, rr := range m.Ns {
		switch rr.Header().Rrtype {
		case dns.TypeSOA:
			return false
		case dns.TypeNS:
			referral = true
		}
	}
	return referral || !m.RecursionAvailable
}

// exchange sends one question and reads its answer.
func (r *Resolver) exchange(ctx context.Context, network string, server netip.AddrPort, q question, edns bool) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, r.o.QueryTimeout)
	defer cancel()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(q.name), q.qtype)
	if edns {
		m.SetEdns0(udpSize, false)
	}
	packed, err := m.Pack()
	if err != nil {
		return nil, fmt.Errorf("question can't be written: %w", err)
	}
	// A new socket for each question gives it a port of its own, which is
	// half of the protection against forged answers (RFC 5452 4.5).
	conn, err := r.o.Dial(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	var answer *dns.Msg
	if network == "tcp" {
		answer, err = exchangeTCP(conn, m, packed)
	} else {
		answer, err = exchangeUDP(conn, m, packed)
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no answer in time: %w", err)
		}
	}
	return answer, err
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

func exchangeUDP(conn net.Conn, m *dns.Msg, packed []byte) (*dns.Msg, error) {
	if _, err := conn.Write(packed); err != nil {
		return nil, err
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for range maxStrays {
		n, err := conn.Read(*buf)
		if err != nil {
			return nil, err
		}
		// Anybody can send a datagram; what is no answer to this question is
		// passed over while the time lasts (RFC 5452 9.1).
		answer := new(dns.Msg)
		if answer.Unpack((*buf)[:n]) == nil && answers(answer, m) {
			return answer, nil
		}
	}
	return nil, errStrays
}

func exchangeTCP(conn net.Conn, m *dns.Msg, packed []byte) (*dns.Msg, error) {
	// RFC 7766 8: length and message leave in one write.
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, len(packed)+2), uint16(len(packed)))
	if _, err := conn.Write(append(framed, packed...)); err != nil {
		return nil, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	buf := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, buf); err != nil {
		return nil, err
	}
	answer := new(dns.Msg)
	if err := answer.Unpack(buf); err != nil {
		return nil, fmt.Errorf("the answer is damaged: %w", err)
	}
	if !answers(answer, m) {
		return nil, errors.New("the server answered another question")
	}
	return answer, nil
}

// answers reports whether a belongs to the question m (RFC 5452 9.1).
func answers(a, m *dns.Msg) bool {
	if a.Id != m.Id || !a.Response || a.Opcode != dns.OpcodeQuery {
		return false
	}
	if len(a.Question) == 0 {
		// Servers that could not read the question don't repeat it.
		return a.Rcode != dns.RcodeSuccess && a.Rcode != dns.RcodeNameError && len(a.Answer) == 0
	}
	asked, got := m.Question[0], a.Question[0]
	return len(a.Question) == 1 && got.Qtype == asked.Qtype && got.Qclass == asked.Qclass &&
		strings.EqualFold(got.Name, asked.Name)
}
