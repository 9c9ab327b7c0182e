package main

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/miekg/dns"
)

// The domains of the recipients: those whose hosts are down, and those whose
// hosts all are the sink.
func downDomain(i int) string { return fmt.Sprintf("d%d.down.example", i) }
func upDomain(i int) string   { return fmt.Sprintf("d%d.up.example", i) }

// nameServer answers for all domains of the measurements: the MX of a domain
// is mail.domain, whose address is 127.0.0.1 below up.example and one of its
// own below down.example.
type nameServer struct {
	addr    string
	servers [2]*dns.Server
	done    chan error
}

func serveNames() (*nameServer, error) {
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n := &nameServer{addr: packets.LocalAddr().String(), done: make(chan error, 2)}
	stream, err := net.Listen("tcp", n.addr)
	if err != nil {
		return nil, errors.Join(err, packets.Close())
	}
	n.servers[0] = &dns.Server{PacketConn: packets, Handler: dns.HandlerFunc(answer)}
	n.servers[1] = &dns.Server{Listener: stream, Handler: dns.HandlerFunc(answer)}
	for _, s := range n.servers {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { n.done <- s.ActivateAndServe() }()
		<-started
	}
	return n, nil
}

func (n *nameServer) close() error {
	return errors.Join(n.servers[0].Shutdown(), n.servers[1].Shutdown(), <-n.done, <-n.done)
}

func answer(w dns.ResponseWriter, r *dns.Msg) {
	m := new(dns.Msg).SetReply(r)
	m.Authoritative, m.RecursionAvailable = true, true
	if len(r.Question) == 1 {
		q := r.Question[0]
		header := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: 3600}
		name := strings.ToLower(q.Name)
		host := strings.HasPrefix(name, "mail.")
		switch {
		case q.Qtype == dns.TypeMX && !host:
			m.Answer = append(m.Answer, &dns.MX{Hdr: header, Preference: 10, Mx: "mail." + name})
		case q.Qtype == dns.TypeA && host:
			m.Answer = append(m.Answer, &dns.A{Hdr: header, A: address(name)})
		}
	}
	_ = w.WriteMsg(m) // who gets no answer asks again
}

// address is that of mail.d<i>.down.example. or mail.d<i>.up.example.
func address(name string) net.IP {
	var i int
	if n, _ := fmt.Sscanf(name, "mail.d%d.down.", &i); n == 1 && strings.HasSuffix(name, ".down.example.") {
		return net.IPv4(127, byte(1+i>>16), byte(i>>8), byte(i))
	}
	return net.IPv4(127, 0, 0, 1)
}
