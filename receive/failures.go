package receive

import (
	"time"

	"postern/internal/eventid"
	"postern/internal/wire"
)

const (
	// failureWindow is how long it takes until as many failed logons as a source
	// may have are forgotten, one after the other.
	failureWindow = 10 * time.Minute
	// maxFailed bounds the sources whose failed logons are remembered.
	maxFailed = 10_000
)

// forgets is how long it takes until one failed logon is forgotten; 0 where
// they don't count.
func (s *session) forgets() time.Duration {
	limit := s.connector.MaxLogonFailuresPerSource
	if limit <= 0 || limit == unlimited {
		return 0
	}
	return failureWindow / time.Duration(limit)
}

// throttled refuses AUTH to a source that has no failure left, whatever the
// session and the connector. A success resets nothing: whoever guesses may have
// an account, too.
func (s *session) throttled() *wire.Reply {
	one := s.forgets()
	if one <= 0 {
		return nil
	}
	level := s.server.failures.Level(sourceOf(s.remote.Addr()), time.Now())
	if level <= failureWindow-one {
		return nil
	}
	s.server.guessers.tell(s.server.logger.Warn, "somebody tries passwords; AUTH is refused for a while", nil, eventid.PasswordsTried.Attr(),
		"remote", s.remote.Addr().String(), "connector", s.connector.Name, "limit", limitSourceLogons)
	return atLimit(replySourceLogons, int64((level+one-1)/one), s.connector.MaxLogonFailuresPerSource)
}

// countFailure counts a failed logon of the session's source.
func (s *session) countFailure() {
	if one := s.forgets(); one > 0 {
		s.server.failures.Pour(sourceOf(s.remote.Addr()), time.Now(), one, failureWindow)
	}
}
