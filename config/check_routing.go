package config

import (
	"fmt"
	"slices"
	"strings"
)

// checkRouting judges how the connectors go together: which mail a Send
// connector gets, and what takes over from it.
func (d *decoder) checkRouting(c *Config) {
	byName := make(map[string]int)
	target := make(map[string]bool)
	for i := range c.SendConnectors {
		byName[strings.ToLower(c.SendConnectors[i].Name)] = i
		if to := c.SendConnectors[i].Fallback; to != "" {
			target[strings.ToLower(to)] = true
		}
	}
	for i := range c.SendConnectors {
		s, row := &c.SendConnectors[i], d.rowPath("send_connector", i)
		d.checkSpaces(s, row, target[strings.ToLower(s.Name)])
		d.checkScope(c, s, row)
		d.checkFallback(c, i, row, byName)
	}
}

// checkSpaces wants some way to a connector: an address space, a file of them,
// or another connector whose fallback it is.
func (d *decoder) checkSpaces(s *SendConnector, row string, target bool) {
	if len(s.AddressSpaces) == 0 && !target && d.read(row, "address_spaces", "address_spaces_file") && s.AddressSpacesFile == "" {
		d.fail(joinPath(row, "address_spaces"), "address_spaces is missing in "+d.headingOf(row), "write address_spaces = ..., or address_spaces_file = ...; only what another connector names as its fallback needs neither")
	}
}

func (d *decoder) checkScope(c *Config, s *SendConnector, row string) {
	if !d.read(row, "scope") || d.failed["receive_connector"] {
		return
	}
	for i, name := range s.Scope {
		known := func(n string) bool { return strings.EqualFold(n, name) }
		if known(SourcePickup) || known(SourceReplay) || known(SourceImport) ||
			slices.ContainsFunc(c.ReceiveConnectors, func(r ReceiveConnector) bool { return known(r.Name) }) {
			continue
		}
		d.fail(indexPath(joinPath(row, "scope"), i), fmt.Sprintf("scope: there is no [[receive_connector]] %q", name),
			"write the name of one, or Pickup, Replay or Import")
	}
}

// checkFallback wants a fallback to be another connector that can take over, to
// lead nowhere in a circle, and not to weaken TLS unasked.
func (d *decoder) checkFallback(c *Config, i int, row string, byName map[string]int) {
	s := &c.SendConnectors[i]
	if !d.read(row, "name", "fallback", "fallback_after", "fallback_failures", "allow_weaker_tls") {
		return
	}
	at := joinPath(row, "fallback")
	if s.Fallback == "" {
		for _, k := range []struct {
			name string
			set  bool
		}{{"fallback_after", s.FallbackAfter != defaultFallbackAfter}, {"fallback_failures", s.FallbackFailures != Unlimited}, {"allow_weaker_tls", s.AllowWeakerTLS}} {
			if k.set {
				d.fail(joinPath(row, k.name), k.name+" has no effect without fallback", `write fallback = "...", or take `+k.name+" out")
			}
		}
		return
	}
	if s.FallbackAfter == Unlimited && s.FallbackFailures == Unlimited {
		d.fail(at, "fallback: neither fallback_after nor fallback_failures ever comes about", "limit one of them")
	}
	j, known := byName[strings.ToLower(s.Fallback)]
	switch {
	case !known:
		d.fail(at, fmt.Sprintf("fallback: there is no [[send_connector]] %q", s.Fallback), "write the name of one")
		return
	case j == i:
		d.fail(at, "fallback: the connector is its own", "write the name of another")
		return
	case !c.SendConnectors[j].Enabled:
		d.fail(at, fmt.Sprintf("fallback: %q is disabled", s.Fallback), "enable it, or write the name of another")
		return
	}
	d.checkFallbackCircle(c, i, at, byName)
	to := &c.SendConnectors[j]
	weaker := to.weakerSomewhere(s)
	switch {
	case weaker != "" && !s.AllowWeakerTLS:
		d.fail(at, fmt.Sprintf("fallback: %q asks for less TLS: %s", to.Name, weaker), "ask for as much there, or write allow_weaker_tls = true")
	case weaker == "" && s.AllowWeakerTLS:
		d.warn(joinPath(row, "allow_weaker_tls"), fmt.Sprintf("allow_weaker_tls: there is nothing to allow, %q asks for no less TLS", to.Name), "take it out")
	}
	if s.FallbackFailures == Unlimited && s.FallbackAfter != Unlimited && s.FallbackAfter >= c.Queue.MessageExpiration && d.read("queue", "message_expiration") {
		d.warn(joinPath(row, "fallback_after"), fmt.Sprintf("fallback_after: messages expire after %s, before %q takes over", FormatDuration(c.Queue.MessageExpiration), to.Name),
			"write a shorter time, or fallback_failures")
	}
}

// checkFallbackCircle follows the fallbacks from one connector on. A circle is
// told of once, at its first connector in the file.
func (d *decoder) checkFallbackCircle(c *Config, i int, at string, byName map[string]int) {
	way := []string{c.SendConnectors[i].Name}
	for j := i; ; {
		next, known := byName[strings.ToLower(c.SendConnectors[j].Fallback)]
		if c.SendConnectors[j].Fallback == "" || !known || next < i || len(way) > len(c.SendConnectors) {
			return
		}
		way = append(way, c.SendConnectors[next].Name)
		if next == i {
			break
		}
		j = next
	}
	d.fail(at, "fallback goes in a circle: "+strings.Join(way, ", "), "take one of them out")
}
