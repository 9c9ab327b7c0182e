package routing

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"postern/config"
	"postern/internal/message"
)

// What follows is the choice of the reference, section 3, written down without
// any index, to hold the table against.

// naiveSpecificity is how well a space matches a domain: -1 not at all, else
// more is more specific.
func naiveSpecificity(cfg *config.Config, space, domain string) int {
	covers := func(pattern, domain string) int {
		base, wildcard := strings.CutPrefix(pattern, "*.")
		switch {
		case pattern == "*":
			return 0
		case !wildcard && domain == pattern:
			return 1000
		case wildcard && (domain == base || strings.HasSuffix(domain, "."+base)):
			return 1 + strings.Count(base, ".")
		}
		return -1
	}
	if space != "--" {
		return covers(space, domain)
	}
	best, kind := -1, config.ExternalRelay
	for _, a := range cfg.AcceptedDomains {
		if "*."+domain == a.Domain { // a wildcard does not accept its base
			continue
		}
		if n := covers(a.Domain, domain); n > best {
			best, kind = n, a.Type
		}
	}
	if kind == config.ExternalRelay {
		return -1
	}
	return best
}

func naiveListed(patterns []string, sender message.Address) bool {
	for _, p := range patterns {
		base, wildcard := strings.CutPrefix(p, "*.")
		switch {
		case p == "<>":
			if sender.IsNull() {
				return true
			}
		case strings.Contains(p, "@"):
			if strings.EqualFold(p, sender.String()) {
				return true
			}
		case strings.EqualFold(sender.Domain, base):
			return true
		case wildcard && strings.HasSuffix(strings.ToLower(sender.Domain), "."+base):
			return true
		}
	}
	return false
}

func naiveTakes(c *config.SendConnector, q Query) bool {
	if q.Size > c.MaxMessageSize || naiveListed(c.BlockedSenders, q.Sender) {
		return false
	}
	return len(c.AllowedSenders) == 0 || q.Sender.IsNull() || naiveListed(c.AllowedSenders, q.Sender)
}

// naiveRoute returns the winner's name, "" when there is none.
func naiveRoute(cfg *config.Config, q Query) string {
	type option struct {
		name              string
		specificity, cost int
		takes             bool
	}
	var options []option
	for i := range cfg.SendConnectors {
		c := &cfg.SendConnectors[i]
		for _, text := range c.AddressSpaces {
			space, cost := text, 1
			if s, n, ok := strings.Cut(text, ";"); ok {
				space = s
				fmt.Sscan(n, &cost)
			}
			if n := naiveSpecificity(cfg, space, strings.ToLower(q.Recipient.Domain)); n >= 0 && c.Enabled {
				options = append(options, option{name: c.Name, specificity: n, cost: cost, takes: naiveTakes(c, q)})
			}
		}
	}
	slices.SortStableFunc(options, func(a, b option) int {
		if a.specificity != b.specificity {
			return b.specificity - a.specificity
		}
		if a.cost != b.cost {
			return a.cost - b.cost
		}
		return strings.Compare(strings.ToLower(a.name), strings.ToLower(b.name))
	})
	if cfg.Routing.Restrictions == "enforce" && len(options) > 1 {
		options = options[:1]
	}
	for _, o := range options {
		if o.takes {
			return o.name
		}
	}
	return ""
}

var (
	someDomains  = []string{"a.test", "b.test", "x.a.test", "y.x.a.test", "test", "other.example"}
	somePatterns = append([]string{"*.a.test", "*.x.a.test", "*.test", "*.other.example"}, someDomains...)
)

func someConfig(t *rapid.T) *config.Config {
	cfg := &config.Config{Routing: config.Routing{Restrictions: rapid.SampledFrom([]string{"filter", "enforce"}).Draw(t, "restrictions")}}
	for _, d := range rapid.SliceOfNDistinct(rapid.SampledFrom(somePatterns), 0, 5, rapid.ID[string]).Draw(t, "accepted") {
		kind := rapid.SampledFrom([]config.DomainType{config.Authoritative, config.InternalRelay, config.ExternalRelay}).Draw(t, "type")
		cfg.AcceptedDomains = append(cfg.AcceptedDomains, accepted(d, kind))
	}
	space := rapid.Custom(func(t *rapid.T) string {
		s := rapid.SampledFrom(append([]string{"*", "--"}, somePatterns...)).Draw(t, "space")
		if cost := rapid.IntRange(0, 3).Draw(t, "cost"); cost > 0 {
			s += fmt.Sprintf(";%d", cost)
		}
		return s
	})
	list := rapid.SliceOfN(rapid.SampledFrom([]string{"<>", "s@a.test", "S@b.test", "a.test", "*.a.test", "*.test"}), 0, 2)
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"A", "b", "C", "d", "E", "f", "10", "9"}), 0, 8, rapid.ID[string]).Draw(t, "names") {
		c := conn(name, rapid.SliceOfN(space, 0, 4).Draw(t, "spaces")...)
		c.Enabled = rapid.IntRange(0, 5).Draw(t, "disabled") > 0
		c.MaxMessageSize = rapid.SampledFrom([]int64{100, 200, config.Unlimited}).Draw(t, "max")
		if rapid.IntRange(0, 3).Draw(t, "restricted") == 0 {
			c.BlockedSenders, c.AllowedSenders = list.Draw(t, "blocked"), list.Draw(t, "allowed")
		}
		cfg.SendConnectors = append(cfg.SendConnectors, c)
	}
	return cfg
}

func someQuery(t *rapid.T) Query {
	q := Query{
		Recipient: message.Address{Local: "r", Domain: rapid.SampledFrom(append([]string{"z.Y.x.A.test", "stranger.invalid"}, someDomains...)).Draw(t, "rcpt")},
		Size:      rapid.SampledFrom([]int64{0, 100, 101, 201}).Draw(t, "size"),
	}
	if d := rapid.SampledFrom(append([]string{""}, someDomains...)).Draw(t, "sender"); d != "" {
		q.Sender = message.Address{Local: rapid.SampledFrom([]string{"s", "S", "t"}).Draw(t, "local"), Domain: d}
	}
	return q
}

func TestRouteIsTheReference(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg, q := someConfig(rt), someQuery(rt)
		tab, findings := New(cfg)
		if tab == nil {
			rt.Fatalf("no table: %v", findings)
		}
		d := tab.Explain(q)
		if want := naiveRoute(cfg, q); d.Connector != want {
			rt.Fatalf("%q wins, want %q\n%s", d.Connector, want, d.Reason)
		}
		check(t, tab, q, d)
		if t.Failed() {
			rt.FailNow()
		}
	})
}

func TestOrderInTheFileNeverMatters(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg, q := someConfig(rt), someQuery(rt)
		tab, _ := New(cfg)
		shuffled := *cfg
		shuffled.SendConnectors = rapid.Permutation(cfg.SendConnectors).Draw(rt, "connectors")
		shuffled.AcceptedDomains = rapid.Permutation(cfg.AcceptedDomains).Draw(rt, "domains")
		other, _ := New(&shuffled)
		if a, b := text(t, tab.Explain(q)), text(t, other.Explain(q)); a != b {
			rt.Fatalf("the order of the file matters:\n%s\n%s", a, b)
		}
	})
}
