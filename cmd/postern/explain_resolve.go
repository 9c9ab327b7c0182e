package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"postern/config"
	"postern/routing"
	"postern/send"
)

// resolveTime bounds the look-ups of explain route --resolve.
const resolveTime = time.Minute

// explained is the answer of explain route: a Decision, and what else was asked.
type explained struct {
	routing.Decision
	// Generation names the routing configuration, Restrictions is what
	// [routing].restrictions says.
	Generation, Restrictions string
	Plan                     *send.Plan // nil when nobody asked
}

// MarshalJSON writes the Decision's object with the rest behind it.
func (e explained) MarshalJSON() ([]byte, error) {
	d, err := json.Marshal(e.Decision)
	if err != nil {
		return nil, err
	}
	rest, err := json.Marshal(struct {
		Restrictions string     `json:"restrictions"`
		Generation   string     `json:"generation"`
		Plan         *send.Plan `json:"plan,omitempty"`
	}{e.Restrictions, e.Generation, e.Plan})
	if err != nil {
		return nil, err
	}
	return append(append(d[:len(d)-1], ','), rest[1:]...), nil
}

// fallbackWords says when a fallback takes over.
func fallbackWords(f routing.Fallback) string {
	var when []string
	if f.After != config.Unlimited {
		when = append(when, "after "+config.FormatDuration(f.After))
	}
	if f.Failures != config.Unlimited {
		times := fmt.Sprintf("%d failures", f.Failures)
		if f.Failures == 1 {
			times = "one failure"
		}
		when = append(when, "after "+times)
	}
	return strings.Join(when, " or ")
}

// printPlan prints the hosts of the next hop in the order in which they are
// tried.
func (a *app) printPlan(p *send.Plan) {
	if p == nil {
		return
	}
	s := styleFor(a.out)
	fmt.Fprintf(a.out, "\n%s\n", s.bold("Hosts, in the order in which they are tried; those with the same number take turns"))
	t := &table{header: []string{"", "HOST", "ADDRESS", "FAMILY", "FROM", "TLS"}}
	for _, h := range p.Hosts {
		rank := fmt.Sprintf("%d.", h.Rank)
		name := clean(h.Host)
		if h.Preference > 0 {
			name += fmt.Sprintf(" (preference %d)", h.Preference)
		}
		rows := hostRows(&h)
		if len(rows) == 0 {
			rows = [][4]string{{"none", "", "", ""}}
		}
		for i, r := range rows {
			if i > 0 {
				rank, name = "", ""
			}
			t.add(rank, name, r[0], r[1], r[2], clean(r[3]))
		}
	}
	if len(p.Hosts) > 0 {
		t.print(a.out)
	}
	for _, n := range p.Notes {
		a.printField("Note: ", clean(n))
	}
	if p.Reply != "" {
		a.printField(s.red("Now it would get: "), clean(p.Reply))
	}
}

// hostRows are the address, family, source and TLS of each address of a host,
// and what is wrong with it.
func hostRows(h *send.PlannedHost) (rows [][4]string) {
	for _, x := range h.Addresses {
		r := [4]string{x.Address.String(), family(x.Address.Addr()), "any", x.TLS}
		if len(x.Sources) > 0 {
			var from []string
			for _, s := range x.Sources {
				from = append(from, s.String())
			}
			r[2] = strings.Join(from, ", then ")
		}
		if x.Skipped != "" {
			r[2], r[3] = "", "not used: "+x.Skipped
		}
		rows = append(rows, r)
	}
	for _, missing := range []struct{ family, why string }{{"IPv4", h.IPv4}, {"IPv6", h.IPv6}} {
		if missing.why != "" {
			rows = append(rows, [4]string{"none", missing.family, "", missing.why})
		}
	}
	if h.Problem != "" {
		rows = append(rows, [4]string{"", "", "", "not tried: " + h.Problem})
	}
	return rows
}

func family(a netip.Addr) string {
	if a.Unmap().Is4() {
		return "IPv4"
	}
	return "IPv6"
}
