package send

import (
	"context"
	"net/netip"
	"time"

	"postern/internal/eventid"
	"postern/internal/message"
	"postern/routing"
)

// maxSkipped bounds the addresses named in a report that were passed over.
const maxSkipped = 8

// walk tries the hosts group by group, those that are dead after all others,
// and at the very end those that were left for being late.
func (r *run) walk(ctx context.Context, groups [][]host) {
	var dead, late []found
	for _, g := range groups {
		list, last := r.endpoints(ctx, g)
		list = r.usable(list)
		r.fresh = list
		for i, e := range list {
			if r.s.dead.has(e.addr) {
				dead = append(dead, e)
				continue
			}
			loop := r.visit(ctx, e, r.hasOther(list, i))
			if r.late[e.addr] != nil {
				late = append(late, e)
			}
			if r.done(ctx) {
				return
			}
			if last = loop && r.hop.Kind == routing.MX; last {
				break
			}
		}
		if last {
			break
		}
	}
	for _, e := range append(dead, late...) {
		if r.visit(ctx, e, false); r.done(ctx) {
			return
		}
	}
}

// usable leaves out the addresses that can't be used, and notes why.
func (r *run) usable(list []found) []found {
	kept := list[:0]
	for _, e := range list {
		if e.skipped == "" {
			kept = append(kept, e)
			continue
		}
		if r.isSkipped(e) || len(r.skipped) == maxSkipped {
			continue
		}
		r.skipped = append(r.skipped, message.Attempt{At: time.Now(), Host: e.host, Address: e.addr.String(),
			Reply: ours(451, codeNoRoute, "%s was passed over: %s", e, e.skipped)})
	}
	return kept
}

// isSkipped reports whether an address of the host and family is named already.
func (r *run) isSkipped(e found) bool {
	for _, a := range r.skipped {
		if at, err := netip.ParseAddrPort(a.Address); err == nil && a.Host == e.host && familyOf(at.Addr()) == familyOf(e.addr.Addr()) {
			return true
		}
	}
	return false
}

// hasOther reports whether a host has an address of the other family as well,
// which is still to be tried and not known to be dead.
func (r *run) hasOther(list []found, i int) bool {
	for _, e := range list[i+1:] {
		if e.host == list[i].host && familyOf(e.addr.Addr()) != familyOf(list[i].addr.Addr()) && !r.s.dead.isDead(e.addr) {
			return true
		}
	}
	return false
}

// visit delivers what is pending to an address, from one source address after
// the other as long as this host does not have them. In a hurry a connection
// that is not made soon is left for now, and nothing is noted of it: another
// family may do better (RFC 8305 5). Loop says that the address is the gateway
// itself.
func (r *run) visit(ctx context.Context, to found, hurry bool) (loop bool) {
	r.hurry = hurry
	delete(r.late, to.addr)
	for _, source := range r.own.sources.choose(to.addr.Addr(), to.destination, &r.s.gone) {
		r.unbound = nil
		e := to.endpoint
		e.source = source
		if loop = r.try(ctx, e); r.unbound == nil {
			if source.IsValid() && r.s.gone.clear(source) {
				r.s.o.Logger.Info("a source address can be used again", eventid.SourceAddressUsable.Attr(), "connector", r.connector.Name, "address", source)
			}
			return loop
		}
	}
	if r.unbound != nil {
		r.note(r.unbound, "")
	}
	return false
}

// left notes that a connection was not made soon.
func (r *run) left(a netip.AddrPort, f *failure) {
	if r.late == nil {
		r.late = make(map[netip.AddrPort]*failure)
	}
	r.late[a] = f
	r.s.dead.mark(a, time.Now().Add(r.s.timeouts.Dead))
}

// sourceGone notes that this host does not have a source address. That says
// nothing about the next hop, and counts as no connection to it.
func (r *run) sourceGone(a netip.Addr, f *failure) {
	r.unbound = f
	r.tries--
	if r.s.gone.mark(a, time.Now().Add(r.s.timeouts.Dead)) {
		r.s.o.Logger.Warn("a source address can't be used; others of the connector take its place where it has any", eventid.SourceAddressMissing.Attr(),
			"connector", r.connector.Name, "address", a, "error", f.reply.String())
	}
}
