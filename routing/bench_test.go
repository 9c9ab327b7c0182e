package routing

import (
	"fmt"
	"testing"

	"postern/config"
	"postern/internal/message"
)

// large is 10,000 connectors with ten address spaces each.
func large(restrictions string) *config.Config {
	cfg := &config.Config{Routing: config.Routing{Restrictions: restrictions}}
	for i := range 10_000 {
		c := conn(fmt.Sprintf("Connector %05d", i))
		for j := range 10 {
			format := "d%d.c%d.example;%d"
			if j%3 == 0 {
				format = "*.d%d.c%d.example;%d"
			}
			c.AddressSpaces = append(c.AddressSpaces, fmt.Sprintf(format, j, i, 1+j))
		}
		if i%100 == 0 {
			c.AddressSpaces[9] = "*;" + fmt.Sprint(1+i/100)
		}
		if i%10 == 0 {
			c.AddressSpaces[8] = "--"
		}
		c.MaxMessageSize = 10 << 20
		c.BlockedSenders = []string{fmt.Sprintf("intern@c%d.example", i)}
		cfg.SendConnectors = append(cfg.SendConnectors, c)
		cfg.AcceptedDomains = append(cfg.AcceptedDomains, accepted(fmt.Sprintf("in%d.example", i), config.InternalRelay))
	}
	return cfg
}

func BenchmarkRoute(b *testing.B) {
	tab := table(b, large("filter"))
	sender := message.Address{Local: "bob", Domain: "contoso.example"}
	for _, c := range []struct{ name, domain string }{
		{"exact", "d4.c7777.example"},
		{"wildcard", "mail.eu.d3.c7777.example"},
		{"asterisk", "mail.fabrikam.example"},
		{"accepted", "in5000.example"},
		{"literal", "[192.0.2.1]"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			q := Query{Sender: sender, Recipient: message.Address{Local: "a", Domain: c.domain}, Size: 5000}
			for b.Loop() {
				if d := tab.Route(q); d.Connector == "" {
					b.Fatal(d.Reason)
				}
			}
		})
	}
}

func BenchmarkRouteSmall(b *testing.B) {
	tab := table(b, &config.Config{SendConnectors: []config.SendConnector{conn("Partners", "fabrikam.example", "*.fabrikam.example"), conn("Internet", "*")}})
	q := Query{Sender: message.Address{Local: "bob", Domain: "contoso.example"}, Recipient: message.Address{Local: "a", Domain: "mail.example"}}
	b.ReportAllocs()
	for b.Loop() {
		if d := tab.Route(q); d.Connector != "Internet" {
			b.Fatal(d.Reason)
		}
	}
}

func BenchmarkExplain(b *testing.B) {
	tab := table(b, large("enforce"))
	q := Query{Recipient: message.Address{Local: "a", Domain: "mail.fabrikam.example"}}
	for b.Loop() {
		tab.Explain(q)
	}
}

func BenchmarkNew(b *testing.B) {
	cfg := large("filter")
	for b.Loop() {
		table(b, cfg)
	}
}
