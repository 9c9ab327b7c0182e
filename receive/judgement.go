package receive

import (
	"bytes"
	"strings"

	"postern/internal/message"
	"postern/internal/wire"
	"postern/logs"
)

// Agents of the agent log: who judges what, in stable names. Reference 7.4 has
// those of Exchange; these are the gateway's own rules.
const (
	AgentConnectionLimits = "Connection Limits" // how many connections, how fast, and who speaks too early
	AgentSessionLimits    = "Session Limits"    // errors, idle commands and messages a minute
	AgentAuthentication   = "Authentication"    // failed logons
	AgentPermissions      = "Permissions"       // rights that the session lacks
	AgentSenderGuard      = "Sender Guard"      // who may send as whom, in envelope and header
	AgentDomainSecurity   = "Domain Security"   // senders that a certificate has to prove
	AgentRecipientRules   = "Recipient Rules"   // recipients that are not taken from this client
	AgentRouting          = "Routing"           // what no Send connector takes
	AgentMessageLimits    = "Message Limits"    // size, recipients, header and hops
	AgentContentRules     = "Content Rules"     // line ends
	AgentBackPressure     = "Back Pressure"     // resources that are short
)

// The rules by which something is refused that is no limit. Where a key of the
// configuration or a right makes the rule, it is its name.
const (
	ruleSubmit         = "submit"
	ruleRequireTLS     = "require_tls"
	ruleAnySender      = "accept_any_sender"
	ruleOurDomain      = "accept_authoritative_domain_sender"
	ruleDomainSecure   = "domain_secure_enabled"
	ruleAnyRecipient   = "accept_any_recipient"
	ruleRouted         = "allow_untrusted_routing"
	ruleLiterals       = "accept_address_literals"
	ruleReservedTop    = "reject_reserved_top_level_recipient_domains"
	ruleReservedSecond = "reject_reserved_second_level_recipient_domains"
	ruleSingleLabel    = "reject_single_label_recipient_domains"
	ruleAuthenticated  = "require_sender_authentication"
	ruleRoute          = "send_connector" // with a dot and the problem
	ruleBareLines      = "bare_line_ends"
	ruleLogon          = "authentication"
)

// ruled is a reply by a rule.
func ruled(r *wire.Reply, rule string) *wire.Reply {
	c := *r
	c.Rule = rule
	return &c
}

// agentOf says who has judged with a reply; empty where it is no judgement but an
// error of syntax or order, a deadline, or trouble of ours.
func agentOf(r *wire.Reply) string {
	switch r.Limit {
	case limitConnections, limitPerSource, limitPercentage, limitRate, limitEarlyTalker, limitForeign:
		return AgentConnectionLimits
	case limitErrors, limitIdleCommands, limitMessageRate:
		return AgentSessionLimits
	case limitLogons, limitSourceLogons, limitAuthRounds:
		return AgentAuthentication
	case limitMessageSize, limitHeaderSize, limitHopCount, limitLocalHops, limitRecipients, limitLongLines:
		return AgentMessageLimits
	case limitRouteSize:
		return AgentRouting
	}
	if strings.HasPrefix(r.Limit, limitPressure+".") {
		return AgentBackPressure
	}
	switch r.Rule {
	case ruleLogon:
		return AgentAuthentication
	case ruleSubmit, ruleRequireTLS, ruleAnyRecipient:
		return AgentPermissions
	case ruleAnySender, ruleOurDomain:
		return AgentSenderGuard
	case ruleDomainSecure:
		return AgentDomainSecurity
	case ruleRouted, ruleLiterals, ruleReservedTop, ruleReservedSecond, ruleSingleLabel, ruleAuthenticated:
		return AgentRecipientRules
	case ruleBareLines:
		return AgentContentRules
	}
	if strings.HasPrefix(r.Rule, ruleRoute+".") {
		return AgentRouting
	}
	return ""
}

// judge writes a refusal to the agent log, a line for each recipient that it is
// about.
func (s *session) judge(r *wire.Reply) {
	log := s.server.agents
	if r.Code < 400 || !log.On() {
		return
	}
	agent := agentOf(r)
	if agent == "" {
		return
	}
	l := logs.AgentLine{
		Session: s.id, Local: s.local, Remote: s.remote, EnteredOrgFromIP: s.remote.Addr().Unmap().String(),
		Agent: agent, Response: s.text(r), Reason: r.Limit, ReasonData: r.Log,
	}
	if r.Limit == "" {
		l.Reason = r.Rule
	}
	l.Event, l.Action = s.moment(r, agent)
	e := s.judged
	if e == nil && s.tx != nil {
		e = s.tx.envelope
	}
	if e == nil {
		if s.verb == verbMAIL && s.named {
			l.P1From = path(s.path)
		}
		log.Write(&l)
		return
	}
	l.P1From, l.MessageID, l.Recipients = path(e.From), e.MessageID, len(e.Recipients)
	switch {
	case s.verb == verbRCPT:
		if s.named {
			l.Recipient = s.path.String()
		}
		log.Write(&l)
	case s.content() && len(e.Recipients) > 0:
		for i := range e.Recipients {
			l.Recipient = e.Recipients[i].Address.String()
			log.Write(&l)
		}
	default:
		log.Write(&l)
	}
}

// path is a reverse path as the log has it.
func path(a message.Address) string {
	if a.IsNull() {
		return "<>"
	}
	return a.String()
}

// text is a reply as the client gets it, on one line.
func (s *session) text(r *wire.Reply) string {
	b := r.Append(make([]byte, 0, 128), s.connector.EnhancedStatusCodesEnabled)
	return string(bytes.ReplaceAll(bytes.TrimSuffix(b, []byte("\r\n")), []byte("\r\n"), []byte(" ")))
}

// content reports whether the session is at a message's content.
func (s *session) content() bool { return s.verb == verbDATA || s.verb == verbBDAT }

// moment is when a refusal happens and what it does (reference 7.4).
func (s *session) moment(r *wire.Reply, agent string) (event, action string) {
	switch {
	case s.verb == verbNone:
		return "OnConnect", "RejectConnection"
	case s.content():
		event, action = "OnEndOfData", "RejectMessage"
		if r.Limit == limitHeaderSize || r.Limit == limitHopCount || r.Limit == limitLocalHops || agent == AgentSenderGuard {
			event = "OnEndOfHeaders"
		}
	case s.verb == verbMAIL:
		event, action = "OnMailCommand", "RejectCommand"
	case s.verb == verbRCPT:
		event, action = "OnRcptCommand", "RejectCommand"
	case s.verb == verbAUTH:
		event, action = "OnAuthCommand", "RejectAuthentication"
	default:
		event, action = "OnCommand", "RejectCommand"
	}
	if r.Close {
		action = "Disconnect"
	}
	return event, action
}
