package queue

import (
	"context"
	"errors"
	"fmt"

	"postern/internal/dsn"
	"postern/internal/message"
)

// Refuse tells the sender of a message that the queue was never given, because
// nobody could send it, why that is: a failure notification for all of the
// envelope's recipients who want one, under the same rules as any other. It
// returns the notification's id, zero when there is nobody to tell or a rule
// keeps it from being sent. The original may hold anything. After an error, which
// is temporary, there is no notification.
func (q *Queue) Refuse(ctx context.Context, e *message.Envelope, reply message.Reply, original message.Content) (message.ID, error) {
	r := &dsn.Report{Kind: dsn.Failure, Envelope: e, Original: original, Now: q.wall()}
	for i := range e.Recipients {
		if dsn.Wanted(e, i, dsn.Failure) {
			st := message.RecipientState{Status: message.Failed, Reply: reply, At: r.Now}
			r.Recipients = append(r.Recipients, dsn.Recipient{Index: i, State: st})
		}
	}
	if len(r.Recipients) == 0 {
		return 0, nil
	}
	policy, reason := q.unsent(e, dsn.Failure)
	if reason != "" {
		return 0, nil
	}
	r.NoDiagnostics = !policy.NDRDiagnosticInfo
	q.mu.Lock()
	r.ReportingMTA, r.From, r.MaxOriginal = q.settings.ReportingMTA, q.settings.Postmaster, q.settings.Notifications.MaxReturned
	q.mu.Unlock()
	id, err := q.tellRefused(ctx, r)
	if err != nil {
		q.quota.back(e.From.Key())
		return 0, fmt.Errorf("make a notification: %w", err)
	}
	q.counters.notifications.Add(1)
	return id, nil
}

// tellRefused stores the notification, without the original if that can't be
// read.
func (q *Queue) tellRefused(ctx context.Context, r *dsn.Report) (message.ID, error) {
	d, err := q.newDraft()
	if err != nil {
		return 0, err
	}
	r.ID, r.NotificationID = d.ID(), d.ID()
	whole := r.Original
	if whole != nil {
		r.Original = &marked{whole}
	}
	e, err := composeDSN(d, r)
	if err != nil {
		d.Abort()
		var unreadable *readError
		if errors.As(err, &unreadable) && whole != nil {
			r.Original = nil
			return q.tellRefused(ctx, r)
		}
		return 0, err
	}
	return d.ID(), q.submit(ctx, d, e)
}
