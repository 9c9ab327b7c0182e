package send

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"postern/config"
	"postern/internal/message"
	"postern/internal/resolver"
	"postern/routing"
)

// Plan is how mail for a next hop would be delivered now: to which hosts, at
// which addresses, from where. Its JSON form is that of the commands.
type Plan struct {
	Connector string `json:"connector"`
	NextHop   string `json:"next_hop"`
	// Hosts are in the order in which they would be tried. Those of the same
	// Rank share the mail: their order is another for each delivery.
	Hosts []PlannedHost `json:"hosts"`
	// Reply is what the mail would get at once, because there is no host to try;
	// empty when there is one. Its class says whether it waits (4yz) or fails.
	Reply string `json:"reply,omitempty"`
	// Notes say what else decides: that exchangers are left out because the
	// gateway is one of them, or that smart hosts and source addresses take turns.
	Notes []string `json:"notes,omitempty"`
}

// PlannedHost is a mail exchanger or a smart host.
type PlannedHost struct {
	// Host is its name, or its address where it is given by address.
	Host string `json:"host"`
	// Rank counts the groups of hosts from 1; Preference is that of an MX
	// record, and zero for other hosts.
	Rank       int    `json:"rank"`
	Preference uint16 `json:"preference"`
	// Problem says why the host would not be tried.
	Problem string `json:"problem,omitempty"`
	// IPv4 and IPv6 say why there is no address of a family that was asked for,
	// where the other one has some.
	IPv4      string           `json:"ipv4,omitempty"`
	IPv6      string           `json:"ipv6,omitempty"`
	Addresses []PlannedAddress `json:"addresses"`
}

// PlannedAddress is an address of a host.
type PlannedAddress struct {
	Address netip.AddrPort `json:"address"`
	// Sources are the local addresses that the connection may come from, in the
	// order in which they would be taken; empty where the system chooses.
	Sources []netip.Addr `json:"sources,omitempty"`
	// Skipped says why the address is not used; empty when it is.
	Skipped string `json:"skipped,omitempty"`
	// Unhealthy says that the address took no connection lately and is tried
	// after all others. Only a running gateway knows.
	Unhealthy bool `json:"unhealthy,omitempty"`
	// TLS says where what the connection's TLS must be comes from.
	TLS string `json:"tls,omitempty"`
}

// NewPlan is Sender.Plan for a configuration that no Sender runs. It asks the
// DNS servers of the configuration, and opens no other connection.
func NewPlan(ctx context.Context, cfg *config.Config, hop routing.NextHop) Plan {
	s := New(Options{Config: cfg})
	defer func() { _ = s.Close(ctx) }()
	return s.Plan(ctx, hop)
}

// Plan tells how mail for a next hop would be delivered now. It looks the hosts
// up as a delivery does, with the same answers from the cache, and connects to
// none of them. It takes no longer than the context and the look-ups of one
// delivery allow. The zero TLS of an address that is skipped says nothing.
func (s *Sender) Plan(ctx context.Context, hop routing.NextHop) Plan {
	p := Plan{Connector: hop.Connector, NextHop: hop.String(), Hosts: []PlannedHost{}}
	snap := s.snapshot.Load()
	connector := snap.connectors[hop.Connector]
	if connector == nil {
		p.Reply = ours(451, codeConfig, "There is no send connector %q in the configuration", hop.Connector).String()
		return p
	}
	var problem *failure
	f := &finder{s: s, snap: snap, connector: connector, own: snap.exits[hop.Connector], hop: hop,
		noted: func(f *failure) { problem = f }}
	groups, v := f.hostGroups(ctx)
	if v != nil {
		p.Reply = v.reply.String()
		return p
	}
	p.note(f, groups)
	var all planned
	for i, group := range groups {
		for _, h := range group {
			problem = nil
			list, missing := f.lookUp(ctx, h)
			ph := f.plannedHost(h, i+1, list, missing)
			if problem != nil {
				ph.Problem = problem.reply.String()
				all.problem(problem)
			}
			if self := f.ourselves(list); self != "" {
				ph.Problem, all.loop = self, self
			}
			p.Hosts = append(p.Hosts, ph)
			if ph.Problem == "" {
				all.add(ph)
			}
		}
		if all.loop != "" && hop.Kind == routing.MX {
			p.dropRank(i + 1)
			p.Notes = append(p.Notes, fmt.Sprintf("%s; it, those of the same preference and all after them are left out (RFC 5321 5.1)", all.loop))
			break
		}
	}
	if !p.usable() {
		p.Reply = all.reply(f).String()
	}
	return p
}

// note tells of a loop that was found among the names, and of what the next
// delivery would do in another order.
func (p *Plan) note(f *finder, groups [][]host) {
	if f.loop != "" {
		p.Notes = append(p.Notes, f.loop+"; it, those of the same preference and all after them are left out (RFC 5321 5.1)")
	}
	if f.hop.Kind == routing.SmartHost && len(groups) > 1 {
		p.Notes = append(p.Notes, "The smart hosts share the mail: each delivery begins with the next of them, and goes on to the others when one fails.")
	}
	if f.own.sources.inTurn() {
		p.Notes = append(p.Notes, `Source addresses of a family take turns, since source_ip_selection is "round_robin"; the others stand in for the one whose turn it is.`)
	}
}

// dropRank says of the hosts of a rank that they are left out.
func (p *Plan) dropRank(rank int) {
	for i := range p.Hosts {
		if p.Hosts[i].Rank == rank && p.Hosts[i].Problem == "" {
			p.Hosts[i].Problem = "the gateway itself has the same preference"
		}
	}
}

// usable reports whether there is an address to connect to.
func (p *Plan) usable() bool {
	return slices.ContainsFunc(p.Hosts, func(h PlannedHost) bool {
		return h.Problem == "" && slices.ContainsFunc(h.Addresses, func(a PlannedAddress) bool { return a.Skipped == "" })
	})
}

func (f *finder) plannedHost(h host, rank int, list []found, missing resolver.HostAddresses) PlannedHost {
	ph := PlannedHost{Host: h.name, Rank: rank, Preference: h.preference, Addresses: []PlannedAddress{}}
	if h.addr.IsValid() {
		ph.Host = h.addr.String()
	}
	if missing.IPv4 != nil {
		ph.IPv4 = missing.IPv4.Error()
	}
	if missing.IPv6 != nil {
		ph.IPv6 = missing.IPv6.Error()
	}
	for _, e := range list {
		a := PlannedAddress{Address: e.addr, Skipped: e.skipped}
		if a.Skipped == "" {
			a.Unhealthy = f.s.dead.isDead(e.addr)
			a.TLS = f.snap.policyFor(f.hop, e.endpoint, false).String()
			for _, source := range f.own.sources.peek(e.addr.Addr(), e.destination, &f.s.gone) {
				if source.IsValid() {
					a.Sources = append(a.Sources, source)
				}
			}
		}
		ph.Addresses = append(ph.Addresses, a)
	}
	return ph
}

// ourselves says in what way a host is the gateway itself; "" when it is not.
func (f *finder) ourselves(list []found) string {
	for _, e := range list {
		if f.snap.isOurs(e.addr, &f.s.own) {
			return loopText(e.endpoint)
		}
	}
	return ""
}

// planned sums up what the hosts came to, as run.finish does.
type planned struct {
	temporary, permanent *failure
	loop, skipped        string
}

func (a *planned) problem(f *failure) {
	switch {
	case f.reply.Code < 500 && a.temporary == nil:
		a.temporary = f
	case f.reply.Code >= 500 && a.permanent == nil:
		a.permanent = f
	}
}

func (a *planned) add(h PlannedHost) {
	for _, at := range h.Addresses {
		if at.Skipped != "" && a.skipped == "" {
			a.skipped = fmt.Sprintf("%s was passed over: %s", endpoint{host: h.Host, named: h.Host != at.Address.Addr().String(), addr: at.Address}, at.Skipped)
		}
	}
}

// reply is what the mail gets when there is no address to connect to.
func (a *planned) reply(f *finder) message.Reply {
	loop := a.loop
	if loop == "" {
		loop = f.loop
	}
	switch {
	case a.temporary != nil:
		return a.temporary.reply
	case loop != "" && a.permanent == nil:
		return ours(554, [3]int{5, 4, 6}, "%s", loop)
	case a.permanent != nil:
		return a.permanent.reply
	case a.skipped != "":
		return ours(451, codeNoRoute, "%s", a.skipped)
	}
	return ours(451, codeNoRoute, "There is no host to connect to")
}
