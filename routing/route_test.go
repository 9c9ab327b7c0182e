package routing

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern/config"
	"postern/internal/message"
)

// conn is a Send connector that sends by MX and takes everything.
func conn(name string, spaces ...string) config.SendConnector {
	return config.SendConnector{Name: name, Enabled: true, AddressSpaces: spaces, Port: 25, MaxMessageSize: config.Unlimited}
}

func disabled(c config.SendConnector) config.SendConnector { c.Enabled = false; return c }

func limited(c config.SendConnector, size int64) config.SendConnector {
	c.MaxMessageSize = size
	return c
}

func blocking(c config.SendConnector, s ...string) config.SendConnector {
	c.BlockedSenders = s
	return c
}

func allowing(c config.SendConnector, s ...string) config.SendConnector {
	c.AllowedSenders = s
	return c
}

func scoped(c config.SendConnector, names ...string) config.SendConnector {
	c.Scope = names
	return c
}

func falling(c config.SendConnector, to string) config.SendConnector {
	c.Fallback, c.FallbackAfter, c.FallbackFailures = to, time.Hour, config.Unlimited
	return c
}

func via(c config.SendConnector, hosts ...string) config.SendConnector {
	for _, h := range hosts {
		c.SmartHosts = append(c.SmartHosts, config.SmartHost{Host: h})
	}
	return c
}

func accepted(domain string, kind config.DomainType) config.AcceptedDomain {
	return config.AcceptedDomain{Domain: domain, Type: kind}
}

func addr(t testing.TB, s string) message.Address {
	t.Helper()
	if s == "" {
		return message.Address{}
	}
	a, err := message.ParseAddress(s, true)
	if err != nil {
		t.Fatalf("address %q: %v", s, err)
	}
	return a
}

func table(t testing.TB, cfg *config.Config) *Table {
	t.Helper()
	tab, findings := New(cfg)
	if tab == nil {
		t.Fatalf("no table: %v", findings)
	}
	return tab
}

// TestSelection goes through the order of selection (reference 3) row by row.
func TestSelection(t *testing.T) {
	domains := []config.AcceptedDomain{
		accepted("contoso.example", config.InternalRelay),
		accepted("own.example", config.Authoritative),
		accepted("hosted.example", config.ExternalRelay),
		accepted("*.branch.example", config.InternalRelay),
		accepted("sold.branch.example", config.ExternalRelay),
	}
	const julia = "julia@marketing.contoso.com"
	for _, c := range []struct {
		name             string
		connectors       []config.SendConnector
		sender, rcpt     string
		size             int64
		source           string
		filter, enforced string // the winner's name, or the problem in brackets
	}{
		{name: "the exact domain before the wildcard before the asterisk", rcpt: julia,
			connectors: []config.SendConnector{conn("A", "*"), conn("B", "*.contoso.com"), conn("C", "marketing.contoso.com")},
			filter:     "C", enforced: "C"},
		{name: "the wildcard before the asterisk", rcpt: julia,
			connectors: []config.SendConnector{conn("A", "*"), conn("B", "*.contoso.com")}, filter: "B", enforced: "B"},
		{name: "the asterisk where nothing else matches", rcpt: julia,
			connectors: []config.SendConnector{conn("A", "*"), conn("B", "*.fabrikam.com")}, filter: "A", enforced: "A"},
		{name: "the longer wildcard", rcpt: julia,
			connectors: []config.SendConnector{conn("A", "*.com"), conn("B", "*.contoso.com")}, filter: "B", enforced: "B"},
		{name: "a wildcard matches its domain itself", rcpt: "a@contoso.com",
			connectors: []config.SendConnector{conn("A", "*"), conn("B", "*.contoso.com")}, filter: "B", enforced: "B"},
		{name: "the exact domain before the wildcard of the same domain", rcpt: "a@contoso.com",
			connectors: []config.SendConnector{conn("A", "*.contoso.com"), conn("B", "contoso.com")}, filter: "B", enforced: "B"},
		{name: "a domain does not match its subdomains", rcpt: julia,
			connectors: []config.SendConnector{conn("A", "contoso.com")}, filter: "[no_connector]", enforced: "[no_connector]"},
		{name: "a wildcard matches whole labels", rcpt: "a@notcontoso.com",
			connectors: []config.SendConnector{conn("A", "*.contoso.com")}, filter: "[no_connector]", enforced: "[no_connector]"},
		{name: "specificity before cost", rcpt: julia,
			connectors: []config.SendConnector{conn("A", "*;1"), conn("B", "marketing.contoso.com;100")}, filter: "B", enforced: "B"},
		{name: "the lower cost", rcpt: julia,
			connectors: []config.SendConnector{conn("A", "*;11"), conn("B", "*;9")}, filter: "B", enforced: "B"},
		{name: "the lower name", rcpt: julia,
			connectors: []config.SendConnector{conn("Zulu", "*"), conn("Mike", "*")}, filter: "Mike", enforced: "Mike"},
		{name: "names in any case", rcpt: julia,
			connectors: []config.SendConnector{conn("Beta", "*"), conn("alpha", "*")}, filter: "alpha", enforced: "alpha"},
		{name: "a connector's own cheaper space", rcpt: julia,
			connectors: []config.SendConnector{conn("A", "*;5"), conn("B", "*;9", "*;2")}, filter: "B", enforced: "B"},
		{name: "a disabled connector is not there", rcpt: julia,
			connectors: []config.SendConnector{conn("A", "*"), disabled(conn("B", "marketing.contoso.com"))}, filter: "A", enforced: "A"},
		{name: "only disabled ones", rcpt: julia,
			connectors: []config.SendConnector{disabled(conn("A", "*"))}, filter: "[no_connector]", enforced: "[no_connector]"},
		{name: "nothing at all", rcpt: julia, filter: "[no_connector]", enforced: "[no_connector]"},

		{name: "size filters before specificity", rcpt: julia, size: 101,
			connectors: []config.SendConnector{conn("A", "*"), limited(conn("B", "marketing.contoso.com"), 100)}, filter: "A", enforced: "[size]"},
		{name: "just the size", rcpt: julia, size: 100,
			connectors: []config.SendConnector{conn("A", "*"), limited(conn("B", "marketing.contoso.com"), 100)}, filter: "B", enforced: "B"},
		{name: "too large for all", rcpt: julia, size: 101,
			connectors: []config.SendConnector{limited(conn("A", "*"), 50), limited(conn("B", "*.contoso.com"), 100)}, filter: "[size]", enforced: "[size]"},
		{name: "too large for all that match", rcpt: julia, size: 101,
			connectors: []config.SendConnector{conn("A", "other.example"), limited(conn("B", "*"), 100)}, filter: "[size]", enforced: "[size]"},
		{name: "a zero limit is no limit", rcpt: julia, size: 101,
			connectors: []config.SendConnector{limited(conn("A", "*"), 0)}, filter: "A", enforced: "A"},

		{name: "a blocked sender", rcpt: julia, sender: "intern@contoso.example",
			connectors: []config.SendConnector{conn("A", "*"), blocking(conn("B", "*.contoso.com"), "intern@contoso.example")}, filter: "A", enforced: "[sender]"},
		{name: "a blocked sender in capitals and quotes", rcpt: julia, sender: `"InTern"@CONTOSO.example`,
			connectors: []config.SendConnector{blocking(conn("B", "*"), "intern@contoso.example")}, filter: "[sender]", enforced: "[sender]"},
		{name: "a colleague of the blocked sender", rcpt: julia, sender: "boss@contoso.example",
			connectors: []config.SendConnector{conn("A", "*"), blocking(conn("B", "*.contoso.com"), "intern@contoso.example")}, filter: "B", enforced: "B"},
		{name: "a blocked domain", rcpt: julia, sender: "any@contoso.example",
			connectors: []config.SendConnector{blocking(conn("B", "*"), "contoso.example")}, filter: "[sender]", enforced: "[sender]"},
		{name: "a blocked domain's subdomain is free", rcpt: julia, sender: "any@lab.contoso.example",
			connectors: []config.SendConnector{blocking(conn("B", "*"), "contoso.example")}, filter: "B", enforced: "B"},
		{name: "a blocked tree", rcpt: julia, sender: "any@a.lab.contoso.example",
			connectors: []config.SendConnector{blocking(conn("B", "*"), "*.contoso.example")}, filter: "[sender]", enforced: "[sender]"},
		{name: "a blocked tree's root", rcpt: julia, sender: "any@contoso.example",
			connectors: []config.SendConnector{blocking(conn("B", "*"), "*.contoso.example")}, filter: "[sender]", enforced: "[sender]"},
		{name: "allowed senders", rcpt: julia, sender: "sales@contoso.example",
			connectors: []config.SendConnector{allowing(conn("A", "*"), "sales@contoso.example"), conn("B", "*")}, filter: "A", enforced: "A"},
		{name: "not among the allowed senders", rcpt: julia, sender: "it@contoso.example",
			connectors: []config.SendConnector{allowing(conn("A", "*"), "sales@contoso.example"), conn("B", "*")}, filter: "B", enforced: "B"},
		{name: "not among the allowed senders of the more specific one", rcpt: julia, sender: "it@contoso.example",
			connectors: []config.SendConnector{allowing(conn("A", "*.com"), "sales@contoso.example"), conn("B", "*")}, filter: "B", enforced: "[sender]"},
		{name: "allowed and blocked", rcpt: julia, sender: "intern@contoso.example",
			connectors: []config.SendConnector{blocking(allowing(conn("A", "*"), "contoso.example"), "intern@contoso.example")}, filter: "[sender]", enforced: "[sender]"},
		{name: "the null reverse path passes allowed_senders", rcpt: julia, sender: "",
			connectors: []config.SendConnector{allowing(conn("A", "*"), "sales@contoso.example")}, filter: "A", enforced: "A"},
		{name: "the null reverse path can be blocked", rcpt: julia, sender: "",
			connectors: []config.SendConnector{blocking(conn("A", "*;1"), "<>"), conn("B", "*;2")}, filter: "B", enforced: "B"},
		{name: "the null reverse path can be blocked by the more specific one", rcpt: julia, sender: "",
			connectors: []config.SendConnector{blocking(conn("A", "*.com"), "<>"), conn("B", "*")}, filter: "B", enforced: "[sender]"},
		{name: "equals share sizes between them", rcpt: julia, size: 101,
			connectors: []config.SendConnector{conn("Internet", "*"), limited(conn("A", "*.com;1"), 100), limited(conn("B", "*.com;2"), 200)}, filter: "B", enforced: "B"},
		{name: "what no equal takes goes no further", rcpt: julia, size: 201,
			connectors: []config.SendConnector{conn("Internet", "*"), limited(conn("A", "*.com;1"), 100), limited(conn("B", "*.com;2"), 200)}, filter: "Internet", enforced: "[size]"},
		{name: "a scope", rcpt: julia, source: "from HUBS",
			connectors: []config.SendConnector{conn("A", "*"), scoped(conn("B", "*.com"), "From hubs")}, filter: "B", enforced: "B"},
		{name: "out of scope", rcpt: julia, source: "From scanner",
			connectors: []config.SendConnector{conn("A", "*"), scoped(conn("B", "*.com"), "From hubs")}, filter: "A", enforced: "[scope]"},
		{name: "out of every scope", rcpt: julia, source: "From scanner",
			connectors: []config.SendConnector{scoped(conn("A", "*"), "Pickup"), scoped(conn("B", "*.com"), "From hubs")}, filter: "[no_connector]", enforced: "[scope]"},
		{name: "out of scope, and too large for the other", rcpt: julia, source: "From scanner", size: 101,
			connectors: []config.SendConnector{limited(conn("A", "*"), 100), scoped(conn("B", "*.com"), "From hubs")}, filter: "[size]", enforced: "[scope]"},
		{name: "what did not come in any known way is in every scope", rcpt: julia,
			connectors: []config.SendConnector{conn("A", "*"), scoped(conn("B", "*.com"), "From hubs")}, filter: "B", enforced: "B"},
		{name: "each way in has its own", rcpt: julia, source: "Pickup",
			connectors: []config.SendConnector{scoped(conn("A", "*"), "From hubs"), scoped(conn("B", "*"), "pickup")}, filter: "B", enforced: "B"},
		{name: "<> blocks nobody else", rcpt: julia, sender: "a@b.example",
			connectors: []config.SendConnector{blocking(conn("A", "*"), "<>")}, filter: "A", enforced: "A"},
		{name: "the best match says why when the reasons differ", rcpt: julia, sender: "x@y.example", size: 101,
			connectors: []config.SendConnector{limited(conn("A", "*"), 100), blocking(conn("B", "*.com"), "x@y.example")}, filter: "[sender]", enforced: "[sender]"},

		{name: "-- is an authoritative domain", rcpt: "a@own.example",
			connectors: []config.SendConnector{conn("A", "*"), conn("B", "--")}, filter: "B", enforced: "B"},
		{name: "-- is an internal-relay domain", rcpt: "a@contoso.example",
			connectors: []config.SendConnector{conn("A", "*"), conn("B", "--")}, filter: "B", enforced: "B"},
		{name: "-- is no external-relay domain", rcpt: "a@hosted.example",
			connectors: []config.SendConnector{conn("A", "*"), conn("B", "--")}, filter: "A", enforced: "A"},
		{name: "-- is no stranger", rcpt: "a@fabrikam.example",
			connectors: []config.SendConnector{conn("B", "--")}, filter: "[no_connector]", enforced: "[no_connector]"},
		{name: "-- is as specific as an exact accepted domain", rcpt: "a@own.example",
			connectors: []config.SendConnector{conn("A", "*.own.example"), conn("B", "--;100")}, filter: "B", enforced: "B"},
		{name: "-- costs against the exact space", rcpt: "a@own.example",
			connectors: []config.SendConnector{conn("A", "own.example;2"), conn("B", "--;1")}, filter: "B", enforced: "B"},
		{name: "-- loses to a cheaper exact space", rcpt: "a@own.example",
			connectors: []config.SendConnector{conn("A", "own.example;1"), conn("B", "--;2")}, filter: "A", enforced: "A"},
		{name: "-- is as specific as a wildcard accepted domain", rcpt: "a@x.y.branch.example",
			connectors: []config.SendConnector{conn("A", "*.example"), conn("B", "--;100")}, filter: "B", enforced: "B"},
		{name: "-- of a wildcard loses to a longer wildcard", rcpt: "a@x.y.branch.example",
			connectors: []config.SendConnector{conn("A", "*.y.branch.example;100"), conn("B", "--")}, filter: "A", enforced: "A"},
		{name: "-- of a wildcard loses to the exact space", rcpt: "a@y.branch.example",
			connectors: []config.SendConnector{conn("A", "y.branch.example;100"), conn("B", "--")}, filter: "A", enforced: "A"},
		{name: "-- does not cover an external relay inside a wildcard", rcpt: "a@sold.branch.example",
			connectors: []config.SendConnector{conn("A", "*"), conn("B", "--")}, filter: "A", enforced: "A"},
		{name: "-- of a wildcard is not its base", rcpt: "a@branch.example",
			connectors: []config.SendConnector{conn("A", "*"), conn("B", "--")}, filter: "A", enforced: "A"},

		{name: "case, final dot and A-labels do not matter", rcpt: "a@BÜCHER.Example",
			connectors: []config.SendConnector{conn("A", "*"), conn("B", "xn--bcher-kva.example.")}, filter: "B", enforced: "B"},
		{name: "U-labels in the configuration", rcpt: "a@mail.XN--bcher-KVA.example",
			connectors: []config.SendConnector{conn("A", "*"), conn("B", "*.bücher.example")}, filter: "B", enforced: "B"},
		{name: "an address literal is matched by the asterisk", rcpt: "a@[192.0.2.1]",
			connectors: []config.SendConnector{conn("A", "*")}, filter: "A", enforced: "A"},
		{name: "an address literal is matched by nothing else", rcpt: "a@[192.0.2.1]",
			connectors: []config.SendConnector{conn("A", "*.com", "--")}, filter: "[no_connector]", enforced: "[no_connector]"},
	} {
		for restrictions, want := range map[string]string{"filter": c.filter, "enforce": c.enforced, "": c.filter} {
			tab := table(t, &config.Config{AcceptedDomains: domains, SendConnectors: c.connectors, Routing: config.Routing{Restrictions: restrictions}})
			q := Query{Sender: addr(t, c.sender), Recipient: addr(t, c.rcpt), Size: c.size, Source: c.source}
			d := tab.Explain(q)
			got := d.Connector
			if d.Problem != ProblemNone {
				got = "[" + d.Problem.String() + "]"
			}
			if got != want {
				t.Errorf("%s (%s): %s, want %s; %s", c.name, restrictions, got, want, d.Reason)
			}
			check(t, tab, q, d)
		}
	}
}

// check holds what is true of every Decision.
func check(t testing.TB, tab *Table, q Query, d Decision) {
	t.Helper()
	if (d.Connector == "") == (d.Problem == ProblemNone) {
		t.Errorf("%+v: not just one of connector and problem", d)
	}
	if d.Connector != d.NextHop.Connector || (d.Connector == "") != (d.NextHop == NextHop{}) {
		t.Errorf("%+v: the next hop is not the connector's", d)
	}
	if !strings.HasSuffix(d.Reason, ".") {
		t.Errorf("%q is no sentence", d.Reason)
	}
	if want := map[Problem]string{ProblemNone: "", ProblemNoConnector: "4.4.4", ProblemSize: "5.3.4", ProblemSender: "5.7.1", ProblemScope: "5.7.1"}[d.Problem]; d.Reply.EnhancedString() != want || d.Problem.Refuses() != strings.HasPrefix(want, "5") {
		t.Errorf("problem %v with reply %v", d.Problem, d.Reply)
	}
	if len(d.Candidates) != len(tab.connectors) {
		t.Errorf("%d candidates of %d connectors", len(d.Candidates), len(tab.connectors))
	}
	winners := 0
	for _, k := range d.Candidates {
		if k.EliminatedBy == "" {
			winners++
			if k.Name != d.Connector {
				t.Errorf("candidate %q is not eliminated, and %q wins", k.Name, d.Connector)
			}
		}
		if !strings.HasSuffix(k.Detail, ".") {
			t.Errorf("%q is no sentence", k.Detail)
		}
	}
	if winners > 1 || (winners == 1) != (d.Connector != "") {
		t.Errorf("%d candidates are left, the winner is %q", winners, d.Connector)
	}
	cheap := tab.Route(q)
	d.Candidates = nil
	if a, b := text(t, cheap), text(t, d); a != b {
		t.Errorf("Route says %s, Explain %s", a, b)
	}
}

func text(t testing.TB, d Decision) string {
	t.Helper()
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestNextHop(t *testing.T) {
	smart := via(conn("Org", "--"), "HUB2.corp.example.", "10.0.0.11", "2001:db8::5", "::ffff:10.0.0.12")
	smart.SmartHosts = append(smart.SmartHosts, config.SmartHost{Host: "hub2.corp.example", Port: 25}, config.SmartHost{Host: "hub1", Port: 587})
	cfg := &config.Config{
		Server:          config.Server{FQDN: "edge.contoso.example"},
		AcceptedDomains: []config.AcceptedDomain{accepted("contoso.example", config.Authoritative)},
		SendConnectors:  []config.SendConnector{smart, conn("Internet", "*")},
	}
	org := NextHop{"Org", SmartHost, "[10.0.0.11]:25,[10.0.0.12]:25,[2001:db8::5]:25,hub1:587,hub2.corp.example:25"}
	for _, c := range []struct {
		rcpt string
		want NextHop
	}{
		{"a@contoso.example", org},
		{"a@CONTOSO.example", org},
		{"a@Fabrikam.Example", NextHop{"Internet", MX, "fabrikam.example"}},
		{"a@bücher.example", NextHop{"Internet", MX, "xn--bcher-kva.example"}},
		{"a@[192.0.2.1]", NextHop{"Internet", MX, "[192.0.2.1]"}},
		{"a@[IPv6:2001:DB8:0::1]", NextHop{"Internet", MX, "[ipv6:2001:db8::1]"}},
	} {
		tab := table(t, cfg)
		if got := tab.Route(Query{Recipient: addr(t, c.rcpt)}).NextHop; got != c.want {
			t.Errorf("%s: %+v, want %+v", c.rcpt, got, c.want)
		}
		// RFC 5321 4.5.1: the bare postmaster is in the default domain.
		if got := tab.Route(Query{Recipient: message.Address{Local: "postmaster"}}).NextHop; got != org {
			t.Errorf("postmaster: %+v", got)
		}
	}
	if got := (NextHop{"Internet", MX, "fabrikam.example"}).String(); got != "Internet/fabrikam.example" {
		t.Errorf("the queue's name is %q", got)
	}
	if addr := netip.MustParseAddr("10.0.0.11"); !strings.Contains(org.String(), "["+addr.String()+"]:25") {
		t.Errorf("the queue's name is %q", org)
	}
}

// TestEliminatedBy looks at the explanation's words.
func TestEliminatedBy(t *testing.T) {
	cfg := &config.Config{SendConnectors: []config.SendConnector{
		conn("Elsewhere", "other.example;7", "*.else.example;3"),
		conn("Internet", "*"),
		conn("Backup", "*.fabrikam.example"),
		conn("Dear", "fabrikam.example;9"),
		limited(conn("Small", "fabrikam.example"), 1000),
		blocking(conn("Strict", "fabrikam.example"), "*.contoso.example"),
		allowing(conn("Picky", "fabrikam.example"), "vip@contoso.example"),
		conn("Partner", "fabrikam.example;2"),
		conn("Partner B", "fabrikam.example;2"),
		disabled(conn("Off", "fabrikam.example")),
	}}
	d := table(t, cfg).Explain(Query{Sender: addr(t, "bob@contoso.example"), Recipient: addr(t, "a@fabrikam.example"), Size: 2000})
	want := []Candidate{
		{"Picky", "fabrikam.example", 1, "allowed_senders", "The sender <bob@contoso.example> is not listed in allowed_senders."},
		{"Small", "fabrikam.example", 1, "size", "The message has 2000 octets, max_message_size is 1000."},
		{"Strict", "fabrikam.example", 1, "blocked_sender", `The sender <bob@contoso.example> is listed in blocked_senders as "*.contoso.example".`},
		{"Partner", "fabrikam.example;2", 2, "", `"fabrikam.example;2" is the best match for fabrikam.example that takes the message.`},
		{"Partner B", "fabrikam.example;2", 2, "name", `Specificity and cost are those of "Partner", whose name comes first.`},
		{"Dear", "fabrikam.example;9", 9, "higher_cost", `Its cost is 9, that of "Partner" is 2.`},
		{"Backup", "*.fabrikam.example", 1, "less_specific", `"*.fabrikam.example" is less specific than "fabrikam.example;2" of "Partner".`},
		{"Internet", "*", 1, "less_specific", `"*" is less specific than "fabrikam.example;2" of "Partner".`},
		{"Elsewhere", "other.example;7, *.else.example;3", 3, "address_space", "None of its address spaces matches fabrikam.example."},
		{"Off", "fabrikam.example", 1, "disabled", "It is disabled."},
	}
	if len(d.Candidates) != len(want) {
		t.Fatalf("%d candidates, want %d", len(d.Candidates), len(want))
	}
	for i := range want {
		if d.Candidates[i] != want[i] {
			t.Errorf("candidate %d:\n got %+v\nwant %+v", i, d.Candidates[i], want[i])
		}
	}
}

// TestEliminatedByEnforced: where limits bind, only the most specific connectors
// are asked.
func TestEliminatedByEnforced(t *testing.T) {
	tab := table(t, &config.Config{Routing: config.Routing{Restrictions: "enforce"}, SendConnectors: []config.SendConnector{
		limited(conn("Internet", "*"), 10), limited(conn("Third", "p.example"), 5000), limited(conn("Second", "p.example;2"), 5000), limited(conn("First", "p.example"), 1000),
	}})
	for size, want := range map[int64][]string{
		1000: {"First ", "Third name", "Second higher_cost", "Internet less_specific"},
		1001: {"First size", "Third ", "Second higher_cost", "Internet less_specific"},
		5001: {"First size", "Third size", "Second size", "Internet less_specific"},
	} {
		d := tab.Explain(Query{Recipient: addr(t, "a@p.example"), Size: size})
		for i, k := range d.Candidates {
			if got := k.Name + " " + k.EliminatedBy; got != want[i] {
				t.Errorf("size %d, candidate %d: %s, want %s", size, i, got, want[i])
			}
		}
	}
}

func TestDecisionJSON(t *testing.T) {
	tab := table(t, &config.Config{SendConnectors: []config.SendConnector{limited(conn("P", "p.example"), 10)}})
	for _, c := range []struct {
		rcpt string
		size int64
		want string
	}{
		{"a@p.example", 1, `{"connector":"P","address_space":"p.example","next_hop":{"kind":"mx","domain":"p.example","queue":"P/p.example"},"problem":null,"reply":null,` +
			`"reason":"The address space \"p.example\" of Send connector \"P\" is the best match for p.example that takes the message.",` +
			`"candidates":[{"name":"P","address_space":"p.example","cost":1,"eliminated_by":null,"detail":"\"p.example\" is the best match for p.example that takes the message."}]}`},
		{"a@p.example", 11, `{"connector":null,"address_space":null,"next_hop":null,"problem":"size","reply":"550 5.3.4 ROUTING.SizeLimit; message size exceeds fixed maximum size for route",` +
			`"reason":"The Send connector \"P\", the best match for p.example, does not take the message: the message has 11 octets, max_message_size is 10.",` +
			`"candidates":[{"name":"P","address_space":"p.example","cost":1,"eliminated_by":"size","detail":"The message has 11 octets, max_message_size is 10."}]}`},
		{"a@q.example", 1, `{"connector":null,"address_space":null,"next_hop":null,"problem":"no_connector","reply":"451 4.4.4 A matching connector cannot be found to route the external recipient",` +
			`"reason":"No enabled Send connector has an address space that matches q.example.",` +
			`"candidates":[{"name":"P","address_space":"p.example","cost":1,"eliminated_by":"address_space","detail":"None of its address spaces matches q.example."}]}`},
	} {
		if got := text(t, tab.Explain(Query{Recipient: addr(t, c.rcpt), Size: c.size})); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.rcpt, got, c.want)
		}
	}
	var empty struct{ Candidates []any }
	if err := json.Unmarshal([]byte(text(t, table(t, &config.Config{}).Explain(Query{}))), &empty); err != nil || empty.Candidates == nil {
		t.Errorf("without connectors: %v, %v; want an empty list", empty, err)
	}
}
