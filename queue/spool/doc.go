// Package spool is the durable store under the delivery queues. It knows how
// messages and what becomes of them are kept on disk so that nothing accepted
// is lost: journal segments, group commit, recovery, the room held back for a
// full disk, and the ids of messages. It knows nothing of schedules, next hops
// or SMTP.
//
// receive streams content into a Draft, queue commits it and reads, updates
// and finishes messages through a Store, and the spool commands read a
// directory without a server through a Reader. docs/design/spool.md has the
// format, the order of writes and syncs, and what every crash leaves behind.
//
// # Identity
//
// Every Draft gets a message.ID when it is created: the milliseconds since
// 2024-01-01 UTC in the upper 42 bits, a sequence in the lower 22. Ids only
// grow. Before an id is given out a ceiling above it is on stable storage, and
// after an unclean end the next id is above that ceiling, so no id comes
// twice, whatever the clock does and whether or not the draft was committed.
package spool
