package queue

import "time"

// A minute is counted in slots, and one more: of the oldest one as much counts
// as lies within the minute.
const (
	rateSlots = 6
	rateSlot  = int64(time.Minute) / rateSlots
)

// rates count what came into a queue and what left it over the last minute. They
// need no timer: whoever counts or looks first moves them on.
type rates struct {
	slot    int64 // the present one, since 1970
	in, out [rateSlots + 1]uint32
}

func (r *rates) move(now int64) {
	slot := now / rateSlot
	for n := 0; r.slot < slot && n <= rateSlots; n++ {
		r.slot++
		i := r.slot % (rateSlots + 1)
		r.in[i], r.out[i] = 0, 0
	}
	r.slot = max(r.slot, slot)
}

// came and left count one message.
func (r *rates) came(now int64) {
	r.move(now)
	r.in[r.slot%(rateSlots+1)]++
}

func (r *rates) left(now int64) {
	r.move(now)
	r.out[r.slot%(rateSlots+1)]++
}

// perSecond are the messages in a second over the last minute.
func (r *rates) perSecond(now int64) (in, out float64) {
	r.move(now)
	oldest := 1 - float64(now%rateSlot)/float64(rateSlot)
	for n := range int64(rateSlots + 1) {
		part := 1.0
		if n == 0 {
			part = oldest
		}
		i := (r.slot + 1 + n) % (rateSlots + 1)
		in, out = in+part*float64(r.in[i]), out+part*float64(r.out[i])
	}
	return in / time.Minute.Seconds(), out / time.Minute.Seconds()
}
