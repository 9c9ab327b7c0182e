// Package backpressure knows when a resource runs short, and what is refused
// then. A Monitor measures each resource at an interval, gives each a level by
// thresholds that are apart for rising and falling values, and publishes what
// follows from all of them: Receive connectors ask it at MAIL, Pickup and Replay
// before each file. It serves internal/server, which hands it the meters of
// spool and queues, and tells the event log what it does (reference 5).
//
// # From a value to a level
//
// Every value is turned so that more is worse: of what may run out it is what
// is in use. A level rises when so many values in a row as the history is deep
// are at its threshold or beyond, and falls as soon as one is below the lower
// threshold that is for falling. In between nothing changes. This is a pure
// function (machine) of the values.
//
// # From levels to actions
//
//	medium   resources of the first kind (disk, inodes, segments, memory, file
//	         descriptors): mail from outsiders is refused at MAIL with 452 4.3.1.
//	         Of the second kind (queues, sync latency): it is delayed there, by
//	         10 seconds that grow to 55. Pickup and Replay wait for either.
//	high     all mail is refused at MAIL, whoever it comes from.
//
// An outsider is a session that may not send to every recipient. Connections
// stay possible, a message under way goes on, and what the gateway makes itself
// is never asked about. Deliveries go on, which is how queues shrink; where
// delivering is what hurts (memory, file descriptors) fewer run at a time.
package backpressure
