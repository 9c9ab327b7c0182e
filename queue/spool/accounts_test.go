package spool

import "fmt"

// checkAccounts counts live octets, copies and content anew.
func (s *Store) checkAccounts() (problems []string) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	live := make(map[uint32]int64)
	copies := make(map[uint64]int)
	var bytes, room int64
	for _, g := range s.cat.segs {
		for _, id := range g.messages {
			copies[uint64(id)]++
		}
		if g.seal != 0 {
			live[g.seal.epoch()] += recordHeader
		}
	}
	for id, e := range s.cat.index {
		bytes += e.size
		live[e.msg.epoch()] += int64(e.msgLen)
		for i := range shardCount(e.rcpts) {
			p := s.cat.statePlace(id, &e, i)
			live[p.loc.epoch()] += int64(p.len)
			if p.loc == 0 {
				room += stateRoom(e.rcpts, i)
			}
		}
		if s.cat.segs[e.msg.epoch()] == nil {
			bad("message %s is in segment %d, which is gone", id, e.msg.epoch())
		}
		if int(e.copies) != copies[uint64(id)] {
			bad("message %s: %d copies, counted %d", id, e.copies, copies[uint64(id)])
		}
	}
	for id, d := range s.cat.dead {
		live[d.epoch] += recordHeader
		if int(d.copies) != copies[uint64(id)] {
			bad("finished message %s: %d copies, counted %d", id, d.copies, copies[uint64(id)])
		}
		if s.cat.segs[d.epoch] == nil {
			bad("finished message %s: its done record is in segment %d, which is gone", id, d.epoch)
		}
	}
	for epoch, g := range s.cat.segs {
		if g.live != live[epoch] {
			bad("segment %d: %d live, counted %d", epoch, g.live, live[epoch])
		}
		if g.readers != 0 {
			bad("segment %d: %d readers", epoch, g.readers)
		}
	}
	if room != s.cat.room {
		bad("%d octets of room, counted %d", s.cat.room, room)
	}
	if bytes != s.cat.bytes {
		bad("%d octets of content, counted %d", s.cat.bytes, bytes)
	}
	return problems
}
