package queue

import (
	"context"

	"postern/internal/message"
)

// Messages lists messages that stand in some queue, in the order of their ids,
// from after on. One call looks at a few thousand messages at most and takes a
// fraction of a second, so a page may have fewer than limit messages, even none,
// and not be the last: that is the one whose Next is zero. No delivery stands
// still meanwhile. Messages that move between queues while the page is made may
// be left out.
//
// The error is ErrBadOrder when the filter can't be understood, or ctx's.
func (q *Queue) Messages(ctx context.Context, f Filter, after message.ID, limit int) (Page, error) {
	return Page{}, ctx.Err()
}

// Content opens a message's content, for export. It is closed after use. The
// error is spool.ErrNotFound when there is no such message.
func (q *Queue) Content(id message.ID) (message.Content, error) { return q.store.Content(id) }

// Ages counts the messages of each queue by age, ordered as Snapshot orders
// them. It looks at every queued message, in memory.
func (q *Queue) Ages() []AgeInfo { return nil }
