package receive

import (
	"net/netip"
	"sync"
	"time"

	"postern/config"
	"postern/internal/bucket"
	"postern/internal/eventid"
	"postern/internal/wire"
)

// maxRateSources bounds the sources whose rates are remembered. Beyond it the
// quietest of a few is forgotten.
const maxRateSources = 10000

// crowd counts the sessions of each source on each connector. It holds no more
// than there are sessions.
type crowd struct {
	mu       sync.Mutex
	sessions map[crowdKey]int64
}

type crowdKey struct {
	connector string
	source    netip.Prefix
}

func newCrowd() *crowd { return &crowd{sessions: make(map[crowdKey]int64)} }

// enter counts a session in, unless its source has as many as it may of the
// connector, or of what the connector has free. The reply is then the refusal.
func (w *crowd) enter(c *connector, source netip.Prefix) *wire.Reply {
	key := crowdKey{c.Name, source}
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.sessions[key]
	if n >= c.MaxInboundConnectionPerSource {
		return atLimit(replyTooManyFromSource, n+1, c.MaxInboundConnectionPerSource)
	}
	// The session itself is among the active ones by now.
	if share, limited := c.share(c.active.Load() - 1); limited && n >= share {
		return atLimit(replyTooLargeAShare, n+1, share)
	}
	w.sessions[key] = n + 1
	return nil
}

func (w *crowd) leave(key crowdKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sessions[key]--; w.sessions[key] <= 0 {
		delete(w.sessions, key)
	}
}

// share is how many sessions one source may have by percentage: of those that
// the connector has free with so many active, rounded up.
func (c *connector) share(active int64) (n int64, limited bool) {
	percent := c.MaxInboundConnectionPercentagePerSource
	if percent == config.Unlimited || c.MaxInboundConnection == config.Unlimited {
		return 0, false
	}
	free := max(c.MaxInboundConnection-active, 0)
	return free/100*percent + (free%100*percent+99)/100, true
}

// admit counts the session in, or says why the connector does not take it.
func (s *session) admit() *wire.Reply {
	c := s.connector
	if !s.countIn(c) {
		return atLimit(replyTooManyConnections, c.MaxInboundConnection+1, c.MaxInboundConnection)
	}
	from := sourceOf(s.remote.Addr())
	if r := s.server.crowd.enter(c, from); r != nil {
		return r
	}
	s.crowded = crowdKey{c.Name, from}
	if !pour(s.server.connectionRates, c.Name, c.MaxConnectionRatePerMinute) {
		return replyConnectionRate.WithLog("more than " + itoa(c.MaxConnectionRatePerMinute) + " a minute")
	}
	return nil
}

// tellLimited tells the event log of a connection beyond a limit: once a minute
// for each limit of a connector, with the number of those before.
func (s *session) tellLimited(r *wire.Reply) {
	event := eventid.ConnectorFull
	if r.Limit == limitPerSource || r.Limit == limitPercentage {
		event = eventid.SourceFull
	}
	s.server.limited.of(r.Limit+" "+s.connector.Name).tell(s.server.logger.Warn, "a connection is refused: "+r.Limit, nil,
		event.Attr(), "connector", s.connector.Name, "figures", r.Log, "limit", r.Limit, "remote", s.remote.Addr().String())
}

// dismiss makes the session nobody's.
func (s *session) dismiss() {
	s.countOut()
	if s.crowded != (crowdKey{}) {
		s.server.crowd.leave(s.crowded)
		s.crowded = crowdKey{}
	}
}

// pour counts an event against a rate a minute, of which a minute's worth may
// come at once. It reports false, and counts nothing, when there were too many.
func pour[K comparable](t *bucket.Table[K], key K, limit int64) bool {
	if limit == config.Unlimited {
		return true
	}
	_, ok := t.Pour(key, time.Now(), time.Minute/time.Duration(limit), time.Minute)
	return ok
}

// rateKey is whose messages are counted: a user's or an address's.
type rateKey struct {
	connector, user string
	source          netip.Prefix
}

// checkMessageRate counts a message that begins against the rate of its source
// (reference 1.4). Where users are counted, a client that has not authenticated
// counts by its address.
func (s *session) checkMessageRate() *wire.Reply {
	c := s.connector
	byAddress := rateKey{connector: c.Name, source: sourceOf(s.remote.Addr())}
	byUser := rateKey{connector: c.Name, user: s.user}
	var keys []rateKey
	switch c.MessageRateSource {
	case "ip_address":
		keys = []rateKey{byAddress}
	case "user", "all":
		if c.MessageRateSource == "all" || s.user == "" {
			keys = append(keys, byAddress)
		}
		if s.user != "" {
			keys = append(keys, byUser)
		}
	}
	for _, key := range keys {
		if !pour(s.server.messageRates, key, c.MessageRateLimit) {
			of := "this address"
			if key.user != "" {
				of = "user " + key.user
			}
			return replyMessageRate.WithLog("more than " + itoa(c.MessageRateLimit) + " a minute of " + of)
		}
	}
	return nil
}
