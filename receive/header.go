package receive

import "postern/internal/message"

// firewalled are the header fields that a message of the session loses on its
// way in (reference 4.13).
func (s *session) firewalled() message.HeaderClass {
	var strip message.HeaderClass
	if !s.rights.Has(AcceptHeadersRouting) {
		strip |= message.RoutingHeaders
	}
	if !s.rights.Has(AcceptHeadersOrganization) {
		strip |= message.InternalHeaders
	}
	return strip
}

// noteFirewall tells the log and the metric what the firewall took.
func (b *body) noteFirewall() {
	fields, octets := b.firewall.Removed()
	if fields == 0 {
		return
	}
	b.s.connector.firewalled.Add(int64(fields))
	b.s.log.Info(itoa(int64(fields))+" fields, "+itoa(octets)+" octets", "removed by the header firewall")
}
