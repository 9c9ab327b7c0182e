package send

// Shed closes the connections that are kept for reuse.
func (s *Sender) Shed() {
	s.pool.mu.Lock()
	all := s.pool.takeAll()
	s.pool.mu.Unlock()
	s.pool.retireAll(all)
}
