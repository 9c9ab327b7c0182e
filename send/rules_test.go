package send

import (
	"strings"
	"testing"
	"testing/synctest"

	"postern/config"
	"postern/internal/message"
	"postern/internal/resolver"
	"postern/routing"
)

func TestReplyRules(t *testing.T) {
	later := config.ReplyRule{Name: "later", Class: "temporary", Codes: []int64{550}, Pattern: "greylist|try again"}
	policy := config.ReplyRule{Name: "policy", Class: "temporary", EnhancedCodes: []string{"5.7.1"}, Domains: []string{"*.example.test"}}
	full := config.ReplyRule{Name: "full", Class: "permanent", Codes: []int64{452}, EnhancedCodes: []string{"4.2.2"}, Domains: []string{"Example.test"}}
	const ours = ` by the reply rule "`
	for _, tt := range []struct {
		name  string
		rules []config.ReplyRule
		place string // where the host gives the reply
		reply string
		want  string
	}{
		{"code and pattern", []config.ReplyRule{later}, "RCPT", "550 5.7.1 Greylisted, come back",
			`0 deferred 450 4.7.1 Greylisted, come back (the next hop said 550 5.7.1, which is temporary by the reply rule "later" of send connector "Internet")`},
		{"quoted to the end", []config.ReplyRule{{Name: "q", Class: "temporary", Pattern: `\Qlist [a`}}, "RCPT", "550 on LIST [A]",
			`0 deferred 450 on LIST [A] (the next hop said 550, which is temporary` + ours + `q" of send connector "Internet")`},
		{"either", []config.ReplyRule{{Name: "q", Class: "temporary", Pattern: `nothing|black`}}, "RCPT", "550 BLACK",
			`0 deferred 450 BLACK (the next hop said 550, which is temporary` + ours + `q" of send connector "Internet")`},
		{"no pattern", []config.ReplyRule{later}, "RCPT", "550 5.1.1 unknown", "0 failed 550 5.1.1 unknown"},
		{"no code", []config.ReplyRule{later}, "RCPT", "551 5.7.1 try again", "0 failed 551 5.7.1 try again"},
		{"after MAIL", []config.ReplyRule{later}, "MAIL", "550 Try AGAIN",
			`0 deferred 450 Try AGAIN (the next hop said 550, which is temporary` + ours + `later" of send connector "Internet")`},
		{"after DATA", []config.ReplyRule{later}, "DATA", "550 try again", `0 deferred 450 try again (the next hop said 550, which is temporary` + ours + `later" of send connector "Internet")`},
		{"after the content", []config.ReplyRule{later}, "end", "550 try again", `0 deferred 450 try again (the next hop said 550, which is temporary` + ours + `later" of send connector "Internet")`},
		{"in the place of a greeting", []config.ReplyRule{later}, "greeting", "550 try again",
			`0 deferred 450 try again (the next hop said 550, which is temporary` + ours + `later" of send connector "Internet"); unreachable`},
		{"the first that fits", []config.ReplyRule{later, policy}, "end", "550 5.7.1 no",
			`0 deferred 450 4.7.1 no (the next hop said 550 5.7.1, which is temporary` + ours + `policy" of send connector "Internet")`},
		{"upgrade", []config.ReplyRule{later, full}, "RCPT", "452 4.2.2 mailbox full",
			`0 failed 554 5.2.2 mailbox full (the next hop said 452 4.2.2, which is permanent` + ours + `full" of send connector "Internet")`},
		{"an enhanced code that is missing", []config.ReplyRule{full}, "end", "452 mailbox full", "0 deferred 452 mailbox full"},
		{"another domain", []config.ReplyRule{{Name: "x", Class: "temporary", Codes: []int64{550}, Domains: []string{"*.x.test", "test"}}}, "RCPT", "550 no", "0 failed 550 no"},
		{"what is accepted stays accepted", []config.ReplyRule{{Name: "x", Class: "permanent", Pattern: "."}}, "end", "250 ok", "0 delivered 250 ok"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, &fakeMX{faults: map[string]fault{tt.place: reply(tt.reply)}})
				defer b.stop()
				b.connector.ReplyRules = tt.rules
				if got := sum(b.send("a")); got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
			})
		})
	}
}

// TestReplyRulesByRecipient: at a smart host each recipient's own domain counts.
func TestReplyRulesByRecipient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeMX{faults: map[string]fault{"end": reply("550 5.7.1 no")}})
		defer b.stop()
		b.connector.SmartHosts = []config.SmartHost{{Host: "192.0.2.25"}}
		b.connector.ReplyRules = []config.ReplyRule{{Name: "r", Class: "temporary", Codes: []int64{550}, Domains: []string{"b.test"}}}
		d := mail("x\r\n", "a", "b", "c")
		d.Envelope.Recipients[1].Address.Domain = "B.test"
		r := b.deliver(t.Context(), routing.NextHop{Connector: "Internet", Kind: routing.SmartHost, Domain: "[192.0.2.25]:25"}, d)
		if got := sum(r); !strings.HasPrefix(got, "0,2 failed 550 5.7.1 no; 1 deferred 450 4.7.1 no (the next hop said 550 5.7.1") {
			t.Error(got)
		}
		if last := r.Attempts[0].Reply.String(); last != "550 5.7.1 no" {
			t.Errorf("the attempt tells %q", last)
		}
	})
}

func TestDowngradeDNSFailures(t *testing.T) {
	for _, tt := range []struct {
		name      string
		mx        any
		downgrade bool
		want      string
	}{
		{"no such domain", dnsTrouble(resolver.NXDomain), false, "0 failed 550 5.4.4 Nonexistent domain example.test"},
		{"no such domain, downgraded", dnsTrouble(resolver.NXDomain), true,
			`0 deferred 451 4.4.4 Nonexistent domain example.test (send connector "Internet" has downgrade_dns_failures); unreachable`},
		{"no host, downgraded", dnsTrouble(resolver.NoData), true,
			`0 deferred 451 4.4.4 The domain example.test has no mail host (send connector "Internet" has downgrade_dns_failures); unreachable`},
		{"exchangers that do not exist", "gone.test", true,
			`0 deferred 451 4.4.4 Nonexistent domain gone.test (send connector "Internet" has downgrade_dns_failures); unreachable`},
		{"a null MX is an answer", resolver.MXResult{Null: true}, true, "0 failed 556 5.1.10 The domain example.test does not accept mail (null MX)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, &fakeMX{})
				defer b.stop()
				b.names.mx["example.test"] = tt.mx
				b.connector.DowngradeDNSFailures = tt.downgrade
				if got := sum(b.send("a")); got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
			})
		})
	}
}

// Each reply of a next hop is looked at with each rule: it must stay cheap.
func BenchmarkReplyRules(b *testing.B) {
	c := &config.SendConnector{Name: "c"}
	for range 20 {
		c.ReplyRules = append(c.ReplyRules, config.ReplyRule{Name: "r", Class: "temporary", Pattern: "(a|b)*c{1,50}greylist"})
	}
	r := &run{finder: finder{connector: c, snap: &snapshot{rules: map[string]replyRules{"c": newReplyRules(c)}}}}
	reply := message.Reply{Code: 550, Text: strings.Repeat("abc ", maxReplyText/4)}
	for b.Loop() {
		r.reclassify(reply, "x.test")
	}
}
