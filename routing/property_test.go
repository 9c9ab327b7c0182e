package routing

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

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
	if !naiveInScope(c, q) || q.Size > c.MaxMessageSize || naiveListed(c.BlockedSenders, q.Sender) {
		return false
	}
	return len(c.AllowedSenders) == 0 || q.Sender.IsNull() || naiveListed(c.AllowedSenders, q.Sender)
}

func naiveInScope(c *config.SendConnector, q Query) bool {
	return len(c.Scope) == 0 || q.Source == "" || slices.Contains(c.Scope, strings.ToUpper(q.Source))
}

// naiveFollow returns the connector that has taken over from the winner.
func naiveFollow(cfg *config.Config, winner string, q Query) string {
	find := func(name string) *config.SendConnector {
		for i := range cfg.SendConnectors {
			if c := &cfg.SendConnectors[i]; strings.EqualFold(c.Name, name) && c.Enabled {
				return c
			}
		}
		return nil
	}
	for c := find(winner); c != nil && c.Fallback != ""; {
		if c = find(c.Fallback); c != nil && strings.EqualFold(c.Name, q.Fallback) {
			if naiveTakes(c, q) {
				return c.Name
			}
			return winner
		}
	}
	return winner
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
	for _, o := range options {
		if cfg.Routing.Restrictions == "enforce" && o.specificity != options[0].specificity {
			break
		}
		if o.takes {
			return naiveFollow(cfg, o.name, q)
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
		if rapid.IntRange(0, 3).Draw(t, "scoped") == 0 {
			c.Scope = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"IN", "OUT"}), 0, 2, rapid.ID[string]).Draw(t, "scope")
		}
		c.TLS = rapid.SampledFrom([]string{config.TLSRequired, config.TLSOpportunistic, config.TLSIgnoreSTARTTLS}).Draw(t, "tls")
		c.FallbackAfter, c.FallbackFailures = time.Hour, 3
		if n := len(cfg.SendConnectors); n > 0 && rapid.Bool().Draw(t, "falls back") { // to one before it: in no circle
			c.Fallback = strings.ToUpper(cfg.SendConnectors[rapid.IntRange(0, n-1).Draw(t, "to")].Name)
		}
		cfg.SendConnectors = append(cfg.SendConnectors, c)
	}
	for _, r := range []string{"In", "Out", "Third"} {
		cfg.ReceiveConnectors = append(cfg.ReceiveConnectors, config.ReceiveConnector{Name: r, Enabled: true})
	}
	return cfg
}

func someQuery(t *rapid.T) Query {
	q := Query{
		Recipient: message.Address{Local: "r", Domain: rapid.SampledFrom(append([]string{"z.Y.x.A.test", "stranger.invalid"}, someDomains...)).Draw(t, "rcpt")},
		Size:      rapid.SampledFrom([]int64{0, 100, 101, 201}).Draw(t, "size"),
		Source:    rapid.SampledFrom([]string{"", "In", "out", "Third"}).Draw(t, "source"),
		Fallback:  rapid.SampledFrom([]string{"", "a", "B", "c", "D", "e"}).Draw(t, "fallback"),
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

// TestLintFindsEverySlip: whenever a message of any kind gets past a connector
// that guards something, lint has told of it, and its example does the same.
func TestLintFindsEverySlip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg, q := someConfig(rt), someQuery(rt)
		q.Fallback = ""
		if q.Source == "out" { // as the connector is called
			q.Source = "Out"
		}
		if q.Source == "" && slices.ContainsFunc(cfg.SendConnectors, func(c config.SendConnector) bool { return len(c.Scope) > 0 }) {
			q.Sender, q.Size = message.Address{}, 0 // only a notification has come in no way
		}
		tab, findings := New(cfg)
		d := tab.Explain(q)
		if d.Connector == "" {
			return
		}
		byName := make(map[string]*config.SendConnector)
		for i := range cfg.SendConnectors {
			byName[cfg.SendConnectors[i].Name] = &cfg.SendConnectors[i]
		}
		to := byName[d.Connector]
		for _, k := range d.Candidates {
			if k.EliminatedBy == "" {
				break
			}
			from := byName[k.Name]
			key := map[string]string{EliminatedSize: "max_message_size", EliminatedScope: "scope", EliminatedBlockedSender: "blocked_senders", EliminatedAllowedSenders: "allowed_senders"}[k.EliminatedBy]
			var ways []string
			if from.TLS == config.TLSRequired && to.TLS != config.TLSRequired {
				ways = append(ways, "with less TLS")
			}
			free := len(to.BlockedSenders) == 0 && len(to.AllowedSenders) == 0
			if strings.HasSuffix(key, "_senders") && free && !tab.enforce {
				ways = append(ways, "which takes every sender's")
			}
			for _, way := range ways {
				part := fmt.Sprintf("which Send connector %q does not take (%s), leaves through %q, %s", from.Name, key, to.Name, way)
				if !slices.ContainsFunc(findings, func(f config.Finding) bool { return strings.Contains(f.Message, part) }) {
					rt.Fatalf("nothing is said of %s -> %s: %s\n%v", q.Sender.Path(), q.Recipient.Path(), part, findings)
				}
			}
		}
	})
}

// TestExamplesOfSlips routes each message that lint gives as an example.
func TestExamplesOfSlips(t *testing.T) {
	example := regexp.MustCompile(`^a message from <(.*)> to <(.*)> of (any size|(\d+) octets)(?: received through "(.*)")?, which Send connector "(.*)" does not take \(.*\), leaves through "(.*?)", `)
	rapid.Check(t, func(rt *rapid.T) {
		cfg := someConfig(rt)
		tab, findings := New(cfg)
		for _, f := range findings {
			if !strings.HasPrefix(f.Message, "a message from") {
				continue
			}
			m := example.FindStringSubmatch(f.Message)
			if m == nil {
				rt.Fatal(f.Message)
			}
			size, _ := strconv.ParseInt(m[4], 10, 64)
			d := tab.Explain(Query{Sender: addr(t, m[1]), Recipient: addr(t, m[2]), Size: size, Source: m[5]})
			passed := slices.IndexFunc(d.Candidates, func(k Candidate) bool { return k.Name == m[6] })
			winner := slices.IndexFunc(d.Candidates, func(k Candidate) bool { return k.EliminatedBy == "" })
			if d.Connector != m[7] || passed > winner || !strings.HasPrefix(f.Path, fmt.Sprintf("send_connector[%d].", slices.IndexFunc(cfg.SendConnectors, func(c config.SendConnector) bool { return c.Name == m[6] }))) {
				rt.Fatalf("%s: %s, %s", f.Path, f.Message, d.Reason)
			}
		}
	})
}

func TestGeneration(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := someConfig(rt)
		tab, _ := New(cfg)
		shuffled := *cfg
		shuffled.SendConnectors = rapid.Permutation(cfg.SendConnectors).Draw(rt, "connectors")
		for i := range shuffled.SendConnectors {
			shuffled.SendConnectors[i].Comment = "of no concern"
		}
		if other, _ := New(&shuffled); tab.Generation() != other.Generation() {
			rt.Fatal("the order of the file, or a comment, makes another generation")
		}
		if len(cfg.SendConnectors) == 0 || !cfg.SendConnectors[0].Enabled {
			return
		}
		changed := *cfg
		changed.SendConnectors = slices.Clone(cfg.SendConnectors)
		c := &changed.SendConnectors[0]
		what := rapid.SampledFrom([]string{"space", "size", "blocked", "allowed", "scope", "host", "enabled"}).Draw(rt, "change")
		switch what {
		case "space":
			c.AddressSpaces = append(slices.Clone(c.AddressSpaces), "new.example")
		case "size":
			c.MaxMessageSize = 77
		case "blocked":
			c.BlockedSenders = append(slices.Clone(c.BlockedSenders), "new@x.example")
		case "allowed":
			c.AllowedSenders = append(slices.Clone(c.AllowedSenders), "new@x.example")
		case "scope":
			c.Scope = append(slices.Clone(c.Scope), "NEW")
		case "host":
			*c = via(*c, "hub.example")
		case "enabled":
			c.Enabled = false
		}
		if other, _ := New(&changed); tab.Generation() == other.Generation() {
			rt.Fatalf("%s changes no generation", what)
		}
	})
}
