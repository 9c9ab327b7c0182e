package backpressure

import "time"

// How long outsiders are delayed at MAIL (reference 5.3): all within the five
// minutes that a client waits for the reply (RFC 5321 4.5.3.2.2).
const (
	firstDelay = 10 * time.Second
	delayStep  = 5 * time.Second
	maxDelay   = 55 * time.Second
	// stepTime is how long the pressure must last for one step more.
	stepTime = 10 * time.Second
)

// ramp is how long pressure has lasted, less how long it has been gone since,
// and no more than the longest delay takes to come about: a short break does
// not begin it anew.
type ramp time.Duration

// after is the ramp some time later.
func (r ramp) after(d time.Duration, pressure bool) ramp {
	if !pressure {
		d = -d
	}
	return min(max(r+ramp(d), 0), ramp((maxDelay-firstDelay)/delayStep*stepTime))
}

func (r ramp) delay() time.Duration {
	return firstDelay + time.Duration(r)/stepTime*delayStep
}
