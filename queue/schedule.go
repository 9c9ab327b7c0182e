package queue

import (
	"math/rand/v2"
	"time"

	"postern/config"
)

// The defaults for what config.Queue leaves at zero (reference: Exchange's Edge
// Transport).
const (
	defaultExpiration = 48 * time.Hour
	defaultDelay      = 4 * time.Hour
	defaultResubmit   = 12 * time.Hour
	defaultOutbound   = 1000
	defaultPerDomain  = 20
	jitterPart        = 5                // jitter is at most a fifth of the interval, later only
	maxWorkers        = 10000            // what "unlimited" connections come to: a goroutine and a socket each
	reservedPart      = 10               // a tenth of the workers is kept for queues with nothing in flight
	storageRetry      = 10 * time.Second // doubled up to maxStorageRetry while trouble lasts
	maxStorageRetry   = time.Minute
	loadRetry         = time.Minute
	queueMaxIdle      = 3 * time.Minute
	lastChance        = time.Hour        // what a message found expired at the start still gets
	workerMaxIdle     = 10 * time.Second // how long idle workers are kept at least
	mergeFailures     = 10 * time.Second
	maxClerks         = 8
	keepTime          = 10 * time.Second // for what an order changed to be durable
	maxUnsaved        = 1000
	sweepCost         = 5 * time.Microsecond // for each item: a sweep takes about a thousandth of the time
	sweepBatch        = 4096
	tickBatch         = 10000
	rerouteBatch      = 256
)

// never is a time that does not come.
const never int64 = 1<<63 - 1

// schedule is [queue] in the form in which it is used.
type schedule struct {
	steps      []config.RetryStep
	message    time.Duration // of a message's own clock; zero: steps
	resubmit   time.Duration
	expiration time.Duration
	delay      time.Duration
	workers    int
	perQueue   int
	reserve    int
}

func newSchedule(c config.Queue) schedule {
	s := schedule{steps: c.Retry, expiration: c.MessageExpiration, delay: c.DelayNotification,
		message: c.MessageRetryInterval, resubmit: c.MaxIdleTimeBeforeResubmit}
	if len(s.steps) == 0 {
		s.steps = []config.RetryStep{{Interval: time.Minute, Count: 4}, {Interval: 10 * time.Minute, Count: 6}, {Interval: 30 * time.Minute, Count: 1}}
	}
	if s.expiration <= 0 {
		s.expiration = defaultExpiration
	}
	if s.delay <= 0 {
		s.delay = defaultDelay
	}
	if s.resubmit <= 0 {
		s.resubmit = defaultResubmit
	}
	bound := func(n int64, otherwise int64) int {
		if n <= 0 {
			n = otherwise
		}
		return int(min(n, maxWorkers))
	}
	s.workers = bound(c.MaxOutboundConnections, defaultOutbound)
	s.perQueue = bound(c.MaxPerDomainOutboundConnections, defaultPerDomain)
	s.reserve = s.workers / reservedPart
	return s
}

// interval is how long to wait after the n-th failure, the first being 1. The
// last step repeats.
func (s *schedule) interval(n int) time.Duration {
	for i, step := range s.steps {
		if n <= max(step.Count, 1) || i == len(s.steps)-1 {
			return step.Interval
		}
		n -= max(step.Count, 1)
	}
	return 0
}

// wait is interval with jitter, but at least atLeast.
func (s *schedule) wait(n int, atLeast time.Duration) time.Duration {
	d := max(s.interval(n), atLeast)
	return d + jitter(d)
}

// messageWait is wait for a message that was refused for now after n tries.
func (s *schedule) messageWait(n int, atLeast time.Duration) time.Duration {
	if s.message == 0 {
		return s.wait(n, atLeast)
	}
	d := max(s.message, atLeast)
	return d + jitter(d)
}

func jitter(d time.Duration) time.Duration {
	if d < jitterPart {
		return 0
	}
	return rand.N(d / jitterPart)
}

// deadline is when something has to be done about an item that was not
// delivered: the delay notification first, then expiry.
func (s *schedule) deadline(it *item) int64 {
	switch {
	case it.suspended:
		return never
	case !it.delayTold && s.delay < s.expiration:
		return it.arrived + int64(s.delay)
	case it.granted:
		return never
	}
	return it.arrived + int64(s.expiration)
}

// expired reports whether an item is to be given up.
func (s *schedule) expired(it *item, now int64) bool {
	return !it.granted && !it.suspended && it.arrived+int64(s.expiration) <= now
}
