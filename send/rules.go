package send

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"postern/config"
	"postern/internal/message"
)

// replyRules are the reply rules of a connector as they are used.
type replyRules []replyRule

type replyRule struct {
	config  *config.ReplyRule
	class   int            // the first digit that replies get
	pattern *regexp.Regexp // nil for any text
	exact   map[string]bool
	below   []string // the domain itself and all below it
}

func newReplyRules(c *config.SendConnector) replyRules {
	var rules replyRules
	for i := range c.ReplyRules {
		r := replyRule{config: &c.ReplyRules[i], class: 4}
		if r.config.Class == "permanent" {
			r.class = 5
		}
		if p := r.config.Pattern; p != "" {
			if r.pattern, _ = config.CompileReplyPattern(p); r.pattern == nil {
				continue // no configuration that was checked has it
			}
		}
		for _, d := range r.config.Domains {
			if base, star := strings.CutPrefix(d, "*."); star {
				r.below = append(r.below, message.DomainKey(base))
				continue
			}
			if r.exact == nil {
				r.exact = make(map[string]bool)
			}
			r.exact[message.DomainKey(d)] = true
		}
		rules = append(rules, r)
	}
	return rules
}

// fits reports whether the rule changes what a reply about a recipient domain
// counts for.
func (r *replyRule) fits(reply message.Reply, domain string) bool {
	c := r.config
	switch class := reply.Code / 100; {
	case class != 4 && class != 5 || class == r.class:
		return false
	case len(c.Codes) > 0 && !slices.Contains(c.Codes, int64(reply.Code)):
		return false
	case len(c.EnhancedCodes) > 0 && !slices.Contains(c.EnhancedCodes, reply.EnhancedString()):
		return false
	case r.pattern != nil && !r.pattern.MatchString(reply.Text):
		return false
	}
	return r.exact == nil && r.below == nil || r.covers(message.DomainKey(domain))
}

func (r *replyRule) covers(key string) bool {
	if key == "" {
		return false
	}
	return r.exact[key] || slices.ContainsFunc(r.below, func(base string) bool {
		return key == base || strings.HasSuffix(key, "."+base)
	})
}

// reclassify is what a next hop's reply about a recipient domain counts for by
// the connector's rules (reference 2.3): itself, or one of the other class that
// tells by which rule and what was said.
func (r *run) reclassify(reply message.Reply, domain string) message.Reply {
	rules := r.snap.rules[r.connector.Name]
	for i := range rules {
		rule := &rules[i]
		if !rule.fits(reply, domain) {
			continue
		}
		said := fmt.Sprint(reply.Code)
		if e := reply.EnhancedString(); e != "" {
			said += " " + e
		}
		reply.Code = map[int]int{4: 450, 5: 554}[rule.class]
		if reply.Enhanced != [3]int{} {
			reply.Enhanced[0] = rule.class
		}
		reply.Text += fmt.Sprintf(" (the next hop said %s, which is %s by the reply rule %q of send connector %q)",
			said, rule.config.Class, rule.config.Name, r.connector.Name)
		return reply
	}
	return reply
}
