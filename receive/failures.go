package receive

import (
	"net/netip"
	"sync"
	"time"

	"postern/internal/wire"
)

const (
	// failureWindow is how long failed logons of a source count.
	failureWindow = 10 * time.Minute
	// maxSources bounds the sources that are remembered. When there are more,
	// the one whose window ends first is forgotten among a few.
	maxSources = 10_000
	// sourceSample is how many are looked at for that.
	sourceSample = 16
)

// failures counts failed logons by where they come from, over all sessions and
// connectors. A success resets nothing: whoever guesses has an account, too.
// The zero value works.
type failures struct {
	mu      sync.Mutex
	sources map[netip.Prefix]*failed
}

type failed struct {
	count int64
	end   time.Time
}

// sourceOf is whom failures are counted for: an IPv4 address, or the /64 of an
// IPv6 one, which one customer has.
func sourceOf(a netip.Addr) netip.Prefix {
	bits := 32
	if a = plainAddr(a); a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// add counts one failure and returns how many there are in the window.
func (f *failures) add(a netip.Addr, now time.Time) int64 {
	key := sourceOf(a)
	f.mu.Lock()
	defer f.mu.Unlock()
	x := f.sources[key]
	if x == nil || !now.Before(x.end) {
		if x == nil && len(f.sources) >= maxSources {
			f.forgetOne(now)
		}
		if f.sources == nil {
			f.sources = make(map[netip.Prefix]*failed)
		}
		x = &failed{end: now.Add(failureWindow)}
		f.sources[key] = x
	}
	x.count++
	return x.count
}

// forgetOne makes room for one more. The order of a map is random.
func (f *failures) forgetOne(now time.Time) {
	var oldest netip.Prefix
	n := 0
	for key, x := range f.sources {
		if n == 0 || x.end.Before(f.sources[oldest].end) {
			oldest = key
		}
		if n++; n == sourceSample || !now.Before(x.end) {
			break
		}
	}
	delete(f.sources, oldest)
}

// count returns how many failures a source has in its window.
func (f *failures) count(a netip.Addr, now time.Time) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if x := f.sources[sourceOf(a)]; x != nil && now.Before(x.end) {
		return x.count
	}
	return 0
}

// throttled refuses AUTH to a source of too many failures.
func (s *session) throttled() *wire.Reply {
	limit := s.connector.MaxLogonFailuresPerSource
	if n := s.server.failures.count(s.remote.Addr(), time.Now()); limit > 0 && n >= limit {
		return atLimit(replySourceLogons, n, limit)
	}
	return nil
}

// countFailure counts a failed logon of the session's source. The event log
// hears of it once it is at the limit.
func (s *session) countFailure() {
	n := s.server.failures.add(s.remote.Addr(), time.Now())
	if limit := s.connector.MaxLogonFailuresPerSource; limit > 0 && n == limit {
		s.server.guessers.tell(s.server.logger.Warn, "somebody tries passwords; its logons are refused for a while", nil,
			"remote", s.remote.Addr().String(), "connector", s.connector.Name, "failures", n)
	}
}
