// Command routing measures the choice of Send connectors: how long a decision
// takes among many connectors, how long the table takes to build, and how much
// memory it has. It exits with 1 when a decision takes longer than -at-most.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"postern/config"
	"postern/internal/message"
	"postern/routing"
)

func main() {
	connectors := flag.Int("connectors", 10_000, "Send connectors")
	spaces := flag.Int("spaces", 100_000, "address spaces of all connectors together")
	decisions := flag.Int("decisions", 1_000_000, "decisions to measure")
	atMost := flag.Duration("at-most", 10*time.Microsecond, "fail when the median of some kind of decision is above this")
	flag.Parse()
	if *connectors < 1 || *spaces < *connectors || *decisions < 100 {
		fmt.Fprintln(os.Stderr, "routing: want a connector, a space for each and a hundred decisions at least")
		os.Exit(2)
	}
	over, err := measure(*connectors, *spaces, *decisions, *atMost)
	if err != nil {
		fmt.Fprintln(os.Stderr, "routing:", err)
		os.Exit(1)
	}
	if over {
		os.Exit(1)
	}
}

// measure prints all figures, and reports whether decisions take too long.
func measure(connectors, spaces, decisions int, atMost time.Duration) (over bool, err error) {
	dir, err := os.MkdirTemp("", "postern-routing-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	for _, restrictions := range []string{"filter", "enforce"} {
		cfg, err := configuration(dir, connectors, spaces, restrictions)
		if err != nil {
			return false, err
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		began := time.Now()
		table, findings := routing.New(cfg)
		built := time.Since(began)
		if table == nil {
			return false, fmt.Errorf("no table: %s", findings[0].Message)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		fmt.Printf("%s: %d connectors, %d address spaces: checked and built in %v, %.1f MB, generation %s\n", restrictions, connectors, spaces,
			built.Round(time.Millisecond), float64(after.HeapAlloc-min(before.HeapAlloc, after.HeapAlloc))/(1<<20), table.Generation())
		worst := decide(table, connectors, spaces, decisions)
		over = over || worst > atMost
		runtime.KeepAlive(cfg)
	}
	if over {
		fmt.Printf("a decision is to take %v at most\n", atMost)
	}
	return over, nil
}

// configuration has a hundred connectors for every domain, the accepted domains
// at every tenth, and the other spaces spread over all, every tenth connector's
// in a file. Each has a limit of size and a blocked sender, every fifth a scope
// and every seventh a fallback.
func configuration(dir string, connectors, spaces int, restrictions string) (*config.Config, error) {
	cfg := &config.Config{Routing: config.Routing{Restrictions: restrictions}}
	each := spaces / connectors
	for i := range connectors {
		c := config.SendConnector{Name: fmt.Sprintf("Connector %05d", i), Enabled: true, MaxMessageSize: 10 << 20,
			BlockedSenders: []string{fmt.Sprintf("intern@c%d.example", i)}, FallbackAfter: time.Hour, FallbackFailures: config.Unlimited}
		if i%5 == 2 {
			c.Scope = []string{"From hubs"}
		}
		if i%7 == 0 {
			c.Fallback = fmt.Sprintf("Connector %05d", (i+1)%connectors)
		}
		for j := range each {
			c.AddressSpaces = append(c.AddressSpaces, space(i, j))
		}
		if i%10 == 3 {
			c.AddressSpacesFile = filepath.Join(dir, fmt.Sprintf("spaces%d", i))
			if err := os.WriteFile(c.AddressSpacesFile, []byte(strings.Join(c.AddressSpaces, "\n")), 0o600); err != nil {
				return nil, err
			}
			c.AddressSpaces = nil
		}
		cfg.SendConnectors = append(cfg.SendConnectors, c)
		cfg.AcceptedDomains = append(cfg.AcceptedDomains, config.AcceptedDomain{Domain: fmt.Sprintf("in%d.example", i), Type: config.InternalRelay})
	}
	cfg, findings := cfg.ReadLists()
	if cfg == nil {
		return nil, fmt.Errorf("%s", findings[0].Message)
	}
	return cfg, nil
}

// space is one of a connector's address spaces.
func space(i, j int) string {
	switch {
	case j == 0 && i%100 == 0:
		return fmt.Sprintf("*;%d", 1+i/100%100)
	case j == 1 && i%10 == 0:
		return "--"
	case j%3 == 2:
		return fmt.Sprintf("*.d%d.c%d.example;%d", j, i, 1+j%100)
	}
	return fmt.Sprintf("d%d.c%d.example;%d", j, i, 1+j%100)
}

// decide measures decisions one by one, prints how long they take by kind of
// domain, and returns the median of the slowest kind: the other figures are as
// much about what else the machine does.
func decide(table *routing.Table, connectors, spaces, decisions int) (worst time.Duration) {
	each := spaces / connectors
	for _, kind := range []struct {
		name   string
		size   int64
		domain func() string
	}{
		{"exact", 5000, func() string { return fmt.Sprintf("d%d.c%d.example", rand.N(each)/3*3, 1+rand.N(max(connectors-1, 1))) }},
		{"wildcard", 5000, func() string { return fmt.Sprintf("mail.eu.d2.c%d.example", rand.N(connectors)) }},
		{"accepted", 5000, func() string { return fmt.Sprintf("in%d.example", rand.N(connectors)) }},
		{"asterisk", 5000, func() string { return fmt.Sprintf("mail.x%d.woodgrove.example", rand.N(1_000_000)) }},
		{"refused", 20 << 20, func() string { return fmt.Sprintf("mail.x%d.woodgrove.example", rand.N(1_000_000)) }}, // by all connectors with "*"
	} {
		times := make([]time.Duration, 0, decisions/5)
		for n := range decisions / 4 {
			q := routing.Query{Sender: message.Address{Local: "intern", Domain: "contoso.example"}, Recipient: message.Address{Local: "a", Domain: kind.domain()},
				Size: kind.size, Source: "From Internet"}
			if n%2 == 0 {
				q.Source = "From hubs"
			}
			began := time.Now()
			table.Route(q)
			times = append(times, time.Since(began))
		}
		slices.Sort(times)
		at := func(share float64) time.Duration { return times[int(share*float64(len(times)-1))] }
		fmt.Printf("  %-9s median %v, 99 %% within %v, 99.9 %% within %v\n", kind.name, at(0.5), at(0.99), at(0.999))
		worst = max(worst, at(0.5))
	}
	return worst
}
