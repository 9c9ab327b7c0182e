package spool

import "encoding/binary"

// Settle waits until the recycler has made an attempt that began after now.
func (s *Store) Settle() {
	c := make(chan struct{})
	select {
	case s.settle <- c:
		<-c
	case <-s.stopRecycler:
	}
}

// CheckAccounts compares what is counted along the way with what a count of
// everything gives; it returns what differs.
func (s *Store) CheckAccounts() (problems []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checkAccounts()
}

// MakeNewer makes the header of a segment one of the next version.
func MakeNewer(b []byte) {
	b[8]++
	binary.LittleEndian.PutUint32(b[60:], checksum(b[:60]))
}

// RaceEnabled says that the race detector is at work.
const RaceEnabled = raceEnabled

// MemoryHeld is how many octets drafts and kept content hold.
func (s *Store) MemoryHeld() int64 { return s.memory.Load() }
