package ptls

import (
	"context"
	"time"
)

// lookInterval is how often a Presenter looks at its files and at the time when
// nobody shakes hands.
const lookInterval = 5 * time.Minute

// Start begins to look every few minutes, so that what changes and what expires is
// told of although no client comes. Stop ends it. Each is called once.
func (p *Presenter) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.done = make(chan struct{})
	go func() {
		defer close(p.done)
		tick := time.NewTicker(lookInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				p.Look()
			}
		}
	}()
}

// Stop ends what Start began, and waits until the context ends for a disk that
// does not answer. It may be called without a Start.
func (p *Presenter) Stop(ctx context.Context) error {
	if p.cancel == nil {
		return nil
	}
	p.cancel()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
