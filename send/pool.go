package send

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"postern/config"
	"postern/internal/message"
	ptls "postern/tls"
)

// key says for what a connection can be used again: the same connector, the
// same two ends, and the same demands on TLS, which rest on the same files.
type key struct {
	connector string
	endpoint  endpoint
	policy    ptls.Policy
	// material is the generation of the certificates that it rests on.
	material uint64
}

// The bounds of a pool.
const (
	maxIdle            = 500  // connections kept for reuse, of all hosts
	maxQuitting        = 100  // connections being closed politely at once
	maxWaiting         = 5000 // deliveries that wait for a connection to one host: half of those that a queue lets wait
	sweepInterval      = time.Second
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

// pool keeps connections for reuse and counts those to each host. What the
// next hop sends while a connection is idle, or its end, belongs to no command,
// and the connection is of no more use: whoever takes it sees that before the
// first command (conn.unsolicited), and a sweeper looks at those that nobody
// takes.
type pool struct {
	s *Sender

	mu         sync.Mutex
	limit      int
	generation int
	idle       map[key][]idleConn
	idleCount  int
	open       map[netip.AddrPort]int             // connections to each host, idle ones included
	waiting    map[netip.AddrPort][]chan struct{} // for a connection to a host, each closed when it is its turn
	quitting   int
	sweeping   bool
	closed     chan struct{}
	wg         sync.WaitGroup // the sweeper and polite ends
}

// idleConn is a connection in the pool.
type idleConn struct {
	c     *conn
	until time.Time
}

var (
	errBusy    = errors.New("all the connections that a host is allowed are in use")
	errCrowded = errors.New("all the connections that a host is allowed are in use, and too many deliveries wait for one")
)

func newPool(s *Sender) *pool {
	return &pool{s: s, idle: make(map[key][]idleConn), open: make(map[netip.AddrPort]int), waiting: make(map[netip.AddrPort][]chan struct{}), closed: make(chan struct{})}
}

// configure sets the limit for each host and gives up the idle connections,
// which were made under another configuration.
func (p *pool) configure(limit int) {
	p.mu.Lock()
	p.limit = limit
	p.generation++
	for remote, list := range p.waiting { // the limit may be higher now
		for range list {
			p.notify(remote)
		}
	}
	all := p.takeAll()
	p.mu.Unlock()
	p.retireAll(all)
}

func (p *pool) takeAll() []idleConn {
	var all []idleConn
	for _, list := range p.idle {
		all = append(all, list...)
	}
	clear(p.idle)
	p.idleCount = 0
	return all
}

func (p *pool) retireAll(list []idleConn) {
	for _, it := range list {
		p.retire(it.c, true)
	}
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
// none from the pool is taken. While it waits for others to end it has left the
// delivery's place, which may be nil, and it waits for no longer than
// Timeouts.Slot, but for the place.
func (p *pool) get(ctx context.Context, k key, fresh bool, place message.Place) (*conn, error) {
	remote := k.endpoint.addr
	var patience <-chan time.Time
	var turn chan struct{}
	for {
		p.mu.Lock()
		c := p.takeIdle(k)
		if c != nil {
			p.mu.Unlock()
			if !fresh {
				return c, nil
			}
			p.retire(c, true) // it makes room for another
			continue
		}
		if p.open[remote] < p.limit {
			p.open[remote]++
			p.mu.Unlock()
			return nil, nil
		}
		other := p.takeOther(remote)
		if turn == nil && len(p.waiting[remote]) >= maxWaiting {
			p.mu.Unlock()
			if other != nil {
				p.retire(other, true)
			}
			return nil, errCrowded
		}
		turn = p.wait(remote, turn != nil)
		p.mu.Unlock()
		if other != nil {
			p.retire(other, true)
		}
		if patience == nil {
			timer := time.NewTimer(p.s.timeouts.Slot)
			defer timer.Stop()
			patience = timer.C
		}
		if err := p.await(ctx, remote, turn, patience, place); err != nil {
			return nil, err
		}
	}
}

// await waits for the caller's turn at a host. Whoever waits holds up nobody who
// has mail for others: when the delivery can't leave its place it does not wait.
func (p *pool) await(ctx context.Context, remote netip.AddrPort, turn chan struct{}, patience <-chan time.Time, place message.Place) error {
	if place != nil {
		if !place.Leave() {
			p.leave(remote, turn)
			return errCrowded
		}
		defer place.Return(ctx)
	}
	select {
	case <-turn:
		return nil
	case <-patience:
		p.leave(remote, turn)
		return errBusy
	case <-ctx.Done():
		p.leave(remote, turn)
		return ctx.Err()
	}
}

// wait makes the caller wait for a connection to a host: in front of all others
// when it was its turn before and somebody else was faster. The caller holds
// the lock.
func (p *pool) wait(remote netip.AddrPort, front bool) (turn chan struct{}) {
	turn = make(chan struct{})
	if front {
		p.waiting[remote] = slices.Insert(p.waiting[remote], 0, turn)
	} else {
		p.waiting[remote] = append(p.waiting[remote], turn)
	}
	return turn
}

// leave ends a wait. A turn that came meanwhile goes to the next.
func (p *pool) leave(remote netip.AddrPort, turn chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.waiting[remote]
	i := slices.Index(list, turn)
	switch {
	case i < 0:
		p.notify(remote)
	case len(list) == 1:
		delete(p.waiting, remote)
	default:
		p.waiting[remote] = slices.Delete(list, i, i+1)
	}
}

// takeIdle takes the connection that was used last: those beyond what is
// needed then grow old and are closed.
func (p *pool) takeIdle(k key) *conn {
	list := p.idle[k]
	if len(list) == 0 {
		return nil
	}
	return p.remove(k, len(list)-1)
}

// takeOther takes any idle connection to a host.
func (p *pool) takeOther(remote netip.AddrPort) *conn {
	for k := range p.idle {
		if k.endpoint.addr == remote {
			return p.remove(k, 0)
		}
	}
	return nil
}

// remove takes a connection out of the pool; the caller holds the lock.
func (p *pool) remove(k key, i int) *conn {
	list := p.idle[k]
	c := list[i].c
	p.idleCount--
	if list = slices.Delete(list, i, i+1); len(list) == 0 {
		delete(p.idle, k)
	} else {
		p.idle[k] = list
	}
	return c
}

// put gives a connection back after use. Idle is how long it may wait. One that
// can't be looked at without waiting is not kept.
func (p *pool) put(c *conn, idle time.Duration) {
	p.mu.Lock()
	if p.isClosed() || c.spent() || c.generation != p.generation || p.idleCount >= maxIdle || idle <= 0 || c.r.Buffered() > 0 || c.raw.readable == nil {
		p.mu.Unlock()
		p.retire(c, true)
		return
	}
	p.keep(idleConn{c, time.Now().Add(idle)})
	p.mu.Unlock()
}

// keep makes a connection idle; the caller holds the lock.
func (p *pool) keep(it idleConn) {
	p.idle[it.c.key] = append(p.idle[it.c.key], it)
	p.idleCount++
	p.notify(it.c.key.endpoint.addr)
	if !p.sweeping {
		p.sweeping = true
		p.wg.Add(1)
		go p.sweep()
	}
}

func (p *pool) isClosed() bool {
	select {
	case <-p.closed:
		return true
	default:
		return false
	}
}

// sweep ends the connections that have been idle for too long, and those whose
// next hop has said something or closed, until none is idle.
func (p *pool) sweep() {
	defer p.wg.Done()
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-p.closed:
			return
		case <-ticker.C:
		}
		p.mu.Lock()
		old, talking := p.takeSpoilt(time.Now())
		if p.idleCount == 0 && len(talking) == 0 {
			p.sweeping = false
			p.mu.Unlock()
			p.retireAll(old)
			return
		}
		p.mu.Unlock()
		p.retireAll(old)
		for _, it := range talking {
			p.examine(it)
		}
	}
}

// takeSpoilt takes out the connections whose time is up and those with
// something to be read; the caller holds the lock.
func (p *pool) takeSpoilt(now time.Time) (old, talking []idleConn) {
	for k, list := range p.idle {
		for i := len(list) - 1; i >= 0; i-- {
			switch it := list[i]; {
			case !now.Before(it.until):
				old = append(old, it)
				p.remove(k, i)
			case it.c.raw.readable():
				talking = append(talking, it)
				p.remove(k, i)
			}
		}
	}
	return old, talking
}

// examine closes an idle connection with something to be read, unless it was
// no more than a matter of TLS, a session ticket say.
func (p *pool) examine(it idleConn) {
	if silent, err := it.c.silent(); !silent || err != nil {
		p.retire(it.c, false)
		return
	}
	p.mu.Lock()
	kept := !p.isClosed() && it.c.generation == p.generation
	if kept {
		p.keep(it)
	}
	p.mu.Unlock()
	if !kept {
		p.retire(it.c, true)
	}
}

// notify gives the turn to who has waited longest for a connection to a host:
// one connection more is one's turn, and thousands may wait. The caller holds
// the lock.
func (p *pool) notify(remote netip.AddrPort) {
	list := p.waiting[remote]
	if len(list) == 0 {
		return
	}
	close(list[0])
	if len(list) == 1 {
		delete(p.waiting, remote)
	} else {
		p.waiting[remote] = list[1:]
	}
}

// free gives back the leave to have a connection to a host.
func (p *pool) free(remote netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[remote]--; p.open[remote] <= 0 {
		delete(p.open, remote)
	}
	p.notify(remote)
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
	close(p.closed)
	all := p.takeAll()
	p.mu.Unlock()
	p.retireAll(all)
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
