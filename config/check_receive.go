package config

import (
	"fmt"
	"net/netip"
	"slices"
)

func (d *decoder) checkReceive(c *ReceiveConnector, row string) {
	d.checkMechanisms(c, row)
	const total, idle = "connection_timeout", "connection_inactivity_timeout"
	if d.read(row, total, idle) && c.ConnectionTimeout <= c.ConnectionInactivityTimeout {
		at := total
		if !d.written(row, at) {
			at = idle
		}
		d.fail(joinPath(row, at), fmt.Sprintf("%s: %s = %s is not longer than %s = %s", at,
			total, FormatDuration(c.ConnectionTimeout), idle, FormatDuration(c.ConnectionInactivityTimeout)), "write a longer "+total)
	}
	d.checkExtensions(c, row)
	if d.read(row, "early_talker", "greeting_delay") && c.EarlyTalker == "reject" && c.GreetingDelay == 0 {
		d.warn(joinPath(row, "early_talker"), `early_talker: nobody is refused without a greeting_delay`, "write a greeting_delay, of a few seconds")
	}
	if !d.read(row, "grant", "deny") {
		return
	}
	for i, right := range c.Deny {
		if slices.Contains(c.Grant, right) {
			d.warn(indexPath(joinPath(row, "deny"), i), fmt.Sprintf("deny: %q stands in grant too, and deny wins", right), "take it out of one of them")
		}
	}
}

// checkExtensions holds the rule that an extension that needs another is not
// offered without it.
func (d *decoder) checkExtensions(c *ReceiveConnector, row string) {
	for _, e := range []struct {
		key, needs    string
		on, available bool
	}{
		{"binary_mime_enabled", "chunking_enabled", c.BinaryMIMEEnabled, c.ChunkingEnabled},       // RFC 3030 3
		{"smtp_utf8_enabled", "eight_bit_mime_enabled", c.SMTPUTF8Enabled, c.EightBitMIMEEnabled}, // RFC 6531 3.1
	} {
		if !e.on || e.available || !d.read(row, e.key, e.needs) {
			continue
		}
		at := e.key
		if !d.written(row, at) {
			at = e.needs
		}
		d.fail(joinPath(row, at), fmt.Sprintf("%s: %s needs %s", at, e.key, e.needs),
			fmt.Sprintf("write %s = false too, or %s = true", e.key, e.needs))
	}
}

// checkBindings holds the rule that a connection finds one connector: two of
// them may share a binding only with ranges that differ and, where they meet,
// nest (reference 1.1).
func (d *decoder) checkBindings(connectors []ReceiveConnector) {
	users := map[netip.AddrPort][]int{}
	for i := range connectors {
		c := &connectors[i]
		if !c.Enabled || !d.read(d.rowPath("receive_connector", i), "bindings", "remote_ip_ranges") {
			continue
		}
		met := map[int]bool{}
		for _, b := range c.Bindings {
			for _, j := range users[b] {
				if !met[j] {
					met[j] = d.checkRanges(connectors, i, j, b)
				}
			}
			users[b] = append(users[b], i)
		}
	}
}

// checkRanges compares the ranges of connector i with those of the earlier
// connector j, and tells whether it found a clash.
func (d *decoder) checkRanges(connectors []ReceiveConnector, i, j int, b netip.AddrPort) bool {
	at := joinPath(d.rowPath("receive_connector", i), "remote_ip_ranges")
	for k, r := range connectors[i].RemoteIPRanges {
		for _, o := range connectors[j].RemoteIPRanges {
			overlap, nested := r.overlaps(o)
			switch {
			case r == o:
				d.fail(indexPath(at, k), fmt.Sprintf("remote_ip_ranges: %s on %s belongs to %q already", r, b, connectors[j].Name),
					"write another range or another binding")
				return true
			case overlap && !nested:
				d.fail(indexPath(at, k), fmt.Sprintf("remote_ip_ranges: %s overlaps in part with %s of %q on %s", r, o, connectors[j].Name, b),
					"write ranges that lie apart or one within the other")
				return true
			}
		}
	}
	return false
}
