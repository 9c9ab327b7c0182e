// Package queue keeps messages moving: it routes what was accepted, groups it
// by next hop, delivers it within limits, retries on the schedule, expires what
// stays, and tells senders by delivery status notification. It serves receive,
// which submits to it, and the administration API, which looks at it and gives
// it orders. It declares what it needs of routing (Router) and of package send
// (Deliverer); what is on disk belongs to queue/spool.
//
// # The model
//
// A message stands in one delivery queue for each next hop that its pending
// recipients have; those for whom no Send connector matches wait in the
// Unreachable queue. In a delivery queue a message is an item of 32 octets: its
// id, when it is due, when it arrived. Everything else is read from the spool
// when the item comes due. A recipient belongs to exactly one item as long as it
// is pending. For a message with a single item that needs no bookkeeping; for the
// others a table (splits) says which recipient stands in which queue.
//
// An item is at any moment in exactly one of these places:
//
//	waiting     in its queue's heap, ordered by due time
//	in flight   in the hands of a worker, listed in its queue's active items
//	with clerks as a chore: its deadline has passed, or it is being re-routed
//
// and it ends when all its recipients are final. A delivery queue is in Retry
// after no host of its next hop took a connection: until its own retry time
// nothing of it is tried, then one item is, and the first one that gets through
// lets the others go.
//
// # Who does what
//
// Workers deliver, at most max_outbound_connections in all and as many for one
// queue as its window has, which is never more than
// max_per_domain_outbound_connections. They are started when
// something is ready and end when nothing is. Queues with nothing in flight come
// first, in turn, then those that have something; the last tenth of all workers
// is kept for the former, and half of that for those of them whose next hop
// answered last, so that neither slow, nor huge, nor dead destinations keep
// another one waiting. A Send connector with limits of its own has a gate: its
// queues wait behind that in turn, and as many as it lets through stand where
// workers look. Clerks, a few at most, do what is not delivery: delay
// notifications, expiry, notifications owed, re-routing, updates that could not
// be stored. One goroutine keeps the time for all with one timer.
//
// # The window
//
// How many deliveries a next hop stands at a time nobody knows beforehand. As
// Postfix does (SCHEDULER_README), a queue begins with 5 and goes by what it
// meets with:
//
//   - Each delivery that a host heard lets one more run, so that the window
//     doubles in every round and reaches a limit of 20 after 15 deliveries. It
//     grows only while it is used. What became of the message is the same:
//     refusals of a sender, a recipient or the content say nothing of how much
//     the host stands, nor does a dead host beside one that took the message.
//   - Each delivery that met with congestion (message.Report.Congested, or no host
//     took the connection) lets one less run, but one at least; and from then on a
//     whole window of successes lets one more run. A next hop that takes ten
//     connections and refuses the eleventh is thus tried with the eleventh once in
//     a round, and hears one delivery in ten or so in vain.
//   - When a whole window of deliveries, five at least, met with congestion and
//     none in between got through, the queue is in Retry as if nobody was there. A
//     queue in which nothing else is under way, or whose latest attempt reached no
//     host either, is so at the first failure to connect.
//   - After Retry the window is 5 again: a next hop that comes back is not run
//     over by those who waited for it.
//
// # What is recorded when
//
// What a delivery brought is handed to the spool at once and rides its next
// group. A failure is recorded first, with the notification owed, and so is a
// delivery to a next hop without DSN whose sender asked for SUCCESS; then the
// notification is stored as a message of its own and routed like any other;
// then the recipients are marked notified; only then may the message be done.
// After a restart owed notifications are made up. If an update can't be stored
// the message stays in memory with what is known of it, so that nobody is sent
// the same message twice, and deliveries pause when too many such messages are
// at hand.
package queue
