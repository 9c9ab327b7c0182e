package receive

import (
	"postern/internal/eventid"
	"postern/internal/wire"
)

// The offences that the event log tells of, for whoever bans clients that go
// on. They are words of a contract: deploy/fail2ban reads them.
const (
	offenceLogon    = "logon"    // a logon was refused
	offenceRelay    = "relay"    // a recipient that the client may not relay to; once a session
	offenceProtocol = "protocol" // too many errors, another protocol, or talk before the greeting
)

// offenceOf is the offence that a reply answers; empty: none.
func offenceOf(r *wire.Reply) string {
	switch {
	case r.Code == replyAuthFailed.Code, r.Limit == limitSourceLogons:
		return offenceLogon
	case r.EnhancedCode == replyRelay.EnhancedCode, r.Code == replyRelayTrick.Code && r.Message == replyRelayTrick.Message:
		return offenceRelay
	case r.Limit == limitErrors, r.Limit == limitForeign, r.Limit == limitEarlyTalker:
		return offenceProtocol
	}
	return ""
}

// tellOffence tells the event log of an offence. Nothing that the client said
// stands in the event, so that it can't put another's address there.
func (s *session) tellOffence(r *wire.Reply) {
	offence := offenceOf(r)
	if offence == "" || offence == offenceRelay && s.relayTold {
		return
	}
	s.relayTold = s.relayTold || offence == offenceRelay
	s.server.logger.Info("a client misbehaves", eventid.ClientMisbehaves.Attr(), "remote", s.remote.Addr().String(), "offence", offence,
		"connector", s.connector.Name, "session", s.id)
}
