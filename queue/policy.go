package queue

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/config"
	"postern/internal/dsn"
	"postern/internal/message"
)

// Notifications are the rules for telling senders what became of their mail.
// The zero value has the defaults.
type Notifications struct {
	// MaxReturned is the size in octets up to which a failure returns the whole
	// message; zero means dsn.DefaultMaxOriginal, less than zero never.
	MaxReturned int64
	// MaxPerHour is how many notifications an address gets in an hour; zero
	// means 100.
	MaxPerHour int64
	// CopyFor are the enhanced status codes of failures, such as "5.4.6", of
	// whose notifications the postmaster gets a copy.
	CopyFor []string
	// RemoteDomains says what senders of which domains are told.
	RemoteDomains []config.RemoteDomain
}

// defaultPerHour is Notifications.MaxPerHour where none is given.
const defaultPerHour = 100

// remoteDomains finds the policy for a sender's domain.
type remoteDomains struct {
	exact, below map[string]config.RemoteDomain // by DomainKey
	all          config.RemoteDomain
}

func newRemoteDomains(list []config.RemoteDomain) *remoteDomains {
	r := &remoteDomains{
		exact: make(map[string]config.RemoteDomain), below: make(map[string]config.RemoteDomain),
		all: config.RemoteDomain{Domain: "*", NDREnabled: true, NDRDiagnosticInfo: true, DeliveryReportEnabled: true},
	}
	for _, d := range list {
		base, star := strings.CutPrefix(d.Domain, "*.")
		switch {
		case d.Domain == "*":
			r.all = d
		case star:
			r.below[message.DomainKey(base)] = d
		default:
			r.exact[message.DomainKey(base)] = d
		}
	}
	return r
}

// of returns the most specific policy: that of the domain itself, then the one
// with the longest "*.", which also takes in the domain behind it, then "*".
func (r *remoteDomains) of(domain string) config.RemoteDomain {
	key := message.DomainKey(domain)
	if d, ok := r.exact[key]; ok {
		return d
	}
	for ok := len(r.below) > 0 && !strings.HasPrefix(key, "["); ok; _, key, ok = strings.Cut(key, ".") {
		if d, found := r.below[key]; found {
			return d
		}
	}
	return r.all
}

// refuses says why a policy keeps a notification of that kind from being sent;
// empty when it does not.
func refuses(d *config.RemoteDomain, kind dsn.Kind) string {
	switch {
	case kind == dsn.Failure && !d.NDREnabled:
		return fmt.Sprintf("ndr_enabled is false in the remote domain %q", d.Domain)
	case kind != dsn.Failure && !d.DeliveryReportEnabled:
		return fmt.Sprintf("delivery_report_enabled is false in the remote domain %q", d.Domain)
	}
	return ""
}

// maxWindows is for how many addresses a quota remembers what they got.
const maxWindows = 10000

// quota bounds how many notifications an address gets in an hour, so that mail
// in somebody's name does not become a flood of notifications to him. An hour
// begins with an address's first notification. The memory is bounded and not
// kept over a restart.
type quota struct {
	mu      sync.Mutex
	windows map[string]*told
}

type told struct {
	began time.Time
	sent  int64
}

// take counts a notification to an address and reports whether it may be sent.
func (q *quota) take(key string, limit int64, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.windows[key]
	if w == nil {
		if q.windows == nil {
			q.windows = make(map[string]*told)
		}
		if len(q.windows) >= maxWindows {
			q.forget(now)
		}
		w = &told{began: now}
		q.windows[key] = w
	} else if w.over(now) {
		*w = told{began: now}
	}
	if w.sent >= limit {
		return false
	}
	w.sent++
	return true
}

// back uncounts a notification that could not be made.
func (q *quota) back(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w := q.windows[key]; w != nil && w.sent > 0 {
		w.sent--
	}
}

func (w *told) over(now time.Time) bool {
	age := now.Sub(w.began)
	return age < 0 || age >= time.Hour
}

// forget makes room: of what is over, else of the address that got least among
// a few, so that whoever is being flooded stays known.
func (q *quota) forget(now time.Time) {
	const few = 64
	least, looked := "", 0
	for key, w := range q.windows {
		if w.over(now) {
			delete(q.windows, key)
			continue
		}
		if least == "" || w.sent < q.windows[least].sent {
			least = key
		}
		if looked++; looked >= few {
			break
		}
	}
	if len(q.windows) >= maxWindows {
		delete(q.windows, least)
	}
}

// unsent decides whether a notification of that kind to the sender of a message
// is sent. If not, the reason is not empty; if so, it is counted against the
// sender's quota, and the policy says what it may tell.
func (q *Queue) unsent(e *message.Envelope, kind dsn.Kind) (policy config.RemoteDomain, reason string) {
	q.mu.Lock()
	policy, limit := q.remote.of(e.From.Domain), q.settings.Notifications.MaxPerHour
	q.mu.Unlock()
	if reason = refuses(&policy, kind); reason != "" {
		return policy, reason
	}
	if !q.quota.take(e.From.Key(), limit, time.Unix(0, q.now())) {
		return policy, fmt.Sprintf("the address has had %d notifications within the hour (max_per_sender_per_hour)", limit)
	}
	return policy, ""
}

// copied reports whether the postmaster gets a copy of a failure notification.
func (q *Queue) copied(r *dsn.Report) bool {
	q.mu.Lock()
	codes, postmaster := q.settings.Notifications.CopyFor, q.settings.Postmaster
	q.mu.Unlock()
	if r.Kind != dsn.Failure || r.Envelope.From.Equal(postmaster) {
		return false
	}
	return slices.ContainsFunc(r.Recipients, func(rcpt dsn.Recipient) bool {
		return slices.Contains(codes, dsn.StatusCode(r.Kind, rcpt.State.Reply))
	})
}
