package receive

import "net"

// maxResting bounds the goroutines that wait for a connection to serve.
const maxResting = 64

// arrival is a connection, and the port of the binding that it came to.
type arrival struct {
	conn net.Conn
	port uint16
}

// spawn serves a connection in a goroutine of its own: one that has served
// others, if one rests, for its stack has grown to what a session takes.
func (s *Server) spawn(a arrival) {
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		a.conn.Close()
		return
	}
	if n := len(s.resting); n > 0 {
		next := s.resting[n-1]
		s.resting = s.resting[:n-1]
		s.mu.Unlock()
		next <- a
		return
	}
	s.work.Add(1)
	s.mu.Unlock()
	go s.carry(a)
}

// carry serves connections, one after the other.
func (s *Server) carry(a arrival) {
	defer s.work.Done()
	next := make(chan arrival, 1)
	for more := true; more; {
		s.serve(a.conn, a.port)
		if !s.rest(next) {
			return
		}
		a, more = <-next
	}
}

// rest puts a goroutine to those that wait, unless they are enough.
func (s *Server) rest(next chan arrival) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping || len(s.resting) == maxResting {
		return false
	}
	s.resting = append(s.resting, next)
	return true
}
