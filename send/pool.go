package send

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"postern/config"
	"postern/internal/message"
	ptls "postern/tls"
)

// key says for what a connection can be used again: the same connector, the
// same two ends, and the same demands on TLS.
type key struct {
	connector string
	endpoint  endpoint
	policy    ptls.Policy
}

// The bounds of a pool.
const (
	maxIdle            = 500 // connections kept for reuse, of all hosts
	maxQuitting        = 100 // connections being closed politely at once
	defaultHostLimit   = 20
	defaultPerSession  = 20 // messages of a connection, where the connector has none
	unlimitedHostLimit = 1 << 30
)

// perHostLimit is how many connections a host gets: as many as a domain.
func perHostLimit(perDomain int64) int {
	switch {
	case perDomain <= 0:
		return defaultHostLimit
	case perDomain > unlimitedHostLimit || perDomain == config.Unlimited:
		return unlimitedHostLimit
	}
	return int(perDomain)
}

// pool keeps connections for reuse and counts those to each host. While a
// connection is idle a goroutine reads from it: what the next hop sends then,
// or the end of the connection, belongs to no command, and the connection is
// of no more use.
type pool struct {
	s *Sender

	mu         sync.Mutex
	limit      int
	generation int
	idle       map[key][]*idleConn
	idleCount  int
	open       map[netip.AddrPort]int // connections to each host, idle ones included
	changed    chan struct{}          // closed when a connection was freed or became idle
	quitting   int
	closed     bool
	wg         sync.WaitGroup // watchers and polite ends
}

// idleConn is a connection in the pool.
type idleConn struct {
	c *conn
	// taken is set by who takes it out of the pool, under the pool's lock.
	taken bool
	// fresh tells who took it whether it can be used.
	fresh chan bool
}

var errBusy = errors.New("all the connections that a host is allowed are in use")

func newPool(s *Sender) *pool {
	return &pool{s: s, idle: make(map[key][]*idleConn), open: make(map[netip.AddrPort]int), changed: make(chan struct{})}
}

// configure sets the limit for each host and gives up the idle connections,
// which were made under another configuration.
func (p *pool) configure(limit int) {
	p.mu.Lock()
	p.limit = limit
	p.generation++
	all := p.takeAll()
	p.mu.Unlock()
	p.retireTaken(all)
}

func (p *pool) takeAll() []*idleConn {
	var all []*idleConn
	for _, list := range p.idle {
		all = append(all, list...)
	}
	for _, it := range all {
		it.taken = true
	}
	clear(p.idle)
	p.idleCount = 0
	return all
}

func (p *pool) retireTaken(list []*idleConn) {
	for _, it := range list {
		p.retire(it.c, it.interrupt())
	}
}

// interrupt ends the watch over an idle connection that was taken, and reports
// whether it can be used.
func (it *idleConn) interrupt() bool {
	_ = it.c.raw.SetReadDeadline(past)
	ok := <-it.fresh
	return ok
}

// current is the generation of the configuration, by which put knows a
// connection that was made under an earlier one.
func (p *pool) current() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.generation
}

// get returns a connection from the pool, or nil with leave to open one: the
// caller then owes a call of free, or of put with the connection. With fresh
// none from the pool is taken.
func (p *pool) get(ctx context.Context, k key, fresh bool) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, p.s.timeouts.Slot)
	defer cancel()
	remote := k.endpoint.addr
	for {
		p.mu.Lock()
		if it := p.takeIdle(k); it != nil && !fresh {
			p.mu.Unlock()
			if it.interrupt() {
				return it.c, nil
			}
			p.retire(it.c, false)
			continue
		} else if it != nil {
			// One that is not wanted makes room for another.
			p.mu.Unlock()
			p.retire(it.c, it.interrupt())
			continue
		}
		if p.open[remote] < p.limit {
			p.open[remote]++
			p.mu.Unlock()
			return nil, nil
		}
		other, changed := p.takeOther(remote), p.changed
		p.mu.Unlock()
		if other != nil {
			p.retire(other.c, other.interrupt())
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, errBusy
			}
			return nil, ctx.Err()
		}
	}
}

// takeIdle takes the connection that was used last: those beyond what is
// needed then grow old and are closed.
func (p *pool) takeIdle(k key) *idleConn {
	list := p.idle[k]
	if len(list) == 0 {
		return nil
	}
	it := list[len(list)-1]
	p.remove(it)
	return it
}

// takeOther takes any idle connection to a host.
func (p *pool) takeOther(remote netip.AddrPort) *idleConn {
	for k, list := range p.idle {
		if k.endpoint.addr == remote {
			it := list[0]
			p.remove(it)
			return it
		}
	}
	return nil
}

// remove takes a connection out of the pool; the caller holds the lock.
func (p *pool) remove(it *idleConn) {
	list := p.idle[it.c.key]
	i := slices.Index(list, it)
	if i < 0 {
		return
	}
	it.taken = true
	p.idleCount--
	if list = slices.Delete(list, i, i+1); len(list) == 0 {
		delete(p.idle, it.c.key)
	} else {
		p.idle[it.c.key] = list
	}
}

// put gives a connection back after use. Idle is how long it may wait.
func (p *pool) put(c *conn, idle time.Duration) {
	p.mu.Lock()
	if p.closed || c.spent() || c.generation != p.generation || p.idleCount >= maxIdle || idle <= 0 || c.r.Buffered() > 0 {
		p.mu.Unlock()
		p.retire(c, true)
		return
	}
	it := &idleConn{c: c, fresh: make(chan bool, 1)}
	p.idle[c.key] = append(p.idle[c.key], it)
	p.idleCount++
	// Set before anybody can take the connection and set another.
	_ = c.raw.SetReadDeadline(time.Now().Add(idle))
	p.wg.Add(1)
	p.notify()
	p.mu.Unlock()
	go p.watch(it)
}

// watch waits for what ends an idle connection: someone takes it, its time is
// up, or the next hop says something or closes.
func (p *pool) watch(it *idleConn) {
	defer p.wg.Done()
	var b [1]byte
	n, err := it.c.nc.Read(b[:])
	quiet := n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
	p.mu.Lock()
	if it.taken {
		p.mu.Unlock()
		it.fresh <- quiet
		return
	}
	p.remove(it)
	p.mu.Unlock()
	p.retire(it.c, quiet)
}

// notify wakes who waits for a connection; the caller holds the lock.
func (p *pool) notify() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// free gives back the leave to have a connection to a host.
func (p *pool) free(remote netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[remote]--; p.open[remote] <= 0 {
		delete(p.open, remote)
	}
	p.notify()
}

// retire closes a connection, politely if it can still be spoken to. It does
// not wait. Until the connection is closed it counts as one to its host.
func (p *pool) retire(c *conn, polite bool) {
	p.mu.Lock()
	if polite = polite && p.quitting < maxQuitting; polite {
		p.quitting++
		p.wg.Add(1)
	}
	p.mu.Unlock()
	if !polite {
		c.close("Local")
		p.free(c.key.endpoint.addr)
		return
	}
	go func() {
		defer p.wg.Done()
		c.quit(p.s.base)
		p.mu.Lock()
		p.quitting--
		p.mu.Unlock()
		p.free(c.key.endpoint.addr)
	}()
}

// close ends every idle connection and returns when nothing is left running.
// No delivery may be under way.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	all := p.takeAll()
	p.mu.Unlock()
	p.retireTaken(all)
	p.wg.Wait()
}

// idleTime is how long a connector's connections are kept for reuse.
func (s *Sender) idleTime(c *config.SendConnector) time.Duration {
	if t := c.ConnectionInactivityTimeout; t > 0 {
		return min(t, s.timeouts.Idle)
	}
	return s.timeouts.Idle
}

// past is a deadline that ends what waits at once.
var past = time.Unix(1, 0)

// refuseAll reports the same for every recipient.
func refuseAll(d *message.Delivery, reply message.Reply) message.Report {
	status := message.Deferred
	if !reply.Temporary() {
		status = message.Failed
	}
	return message.Report{Outcomes: []message.Outcome{{Recipients: slices.Clone(d.Recipients), Status: status, Reply: reply}}}
}
