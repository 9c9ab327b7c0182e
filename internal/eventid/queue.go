package eventid

import (
	"log/slog"
	"time"
)

// The delivery queues and what becomes of messages.
const (
	MessageDeferred    ID = 22000
	MessageRefused     ID = 22001
	MessageExpired     ID = 22002
	SenderNotTold      ID = 22003
	NotificationSent   ID = 22004
	MessageOrdered     ID = 22005
	MessageRemoved     ID = 22006
	FallbackTakesOver  ID = 22007
	MessagePoisoned    ID = 22008
	MessageUnreachable ID = 22009
	MessageDelivered   ID = 22010
	MessageQueued      ID = 22011

	MessageGone          ID = 22100
	MessageUnreadable    ID = 22101
	ChoreFailed          ID = 22102
	OutcomeDropped       ID = 22103
	OutcomeUnstored      ID = 22104
	OutcomesLost         ID = 22105
	SuspendedUnreadable  ID = 22106
	QueuesSuspended      ID = 22107
	MessageUnlisted      ID = 22108
	PostmasterCopyLost   ID = 22109
	OriginalUnreadable   ID = 22110
	DeliveryPanic        ID = 22111
	MessageNotRerouted   ID = 22112
	InHandNotNoted       ID = 22113
	InHandUnreadable     ID = 22114
	UncleanEnd           ID = 22115
	SuspectNotParked     ID = 22116
	SuspectParked        ID = 22117
	RoutedAnew           ID = 25000
	ListsUsable          ID = 25001
	ListsUnusable        ID = 25002
	RoutingDecision      ID = 25010
	DNSLookup            ID = 29000
	deliveryTroubleEvery    = time.Minute
)

// byHop tells what happens at one next hop for one reason from the rest.
func byHop() []string { return []string{"connector", "next_hop", "host", "status"} }

func queueEvents() []Event {
	return append(append(messageEvents(), queueTrouble()...), routingEvents()...)
}

func messageEvents() []Event {
	return []Event{
		{
			ID: MessageDeferred, Level: slog.LevelWarn, Area: Queue, Text: "message deferred", By: byHop(), Burst: 1, Every: deliveryTroubleEvery,
			Meaning: "A next hop did not take a message for now; it will be tried again at `next_try`. One line a minute for each next hop, host and status; message tracking has each message.",
			Remedy:  "None for a while; `postern queue list` shows what waits and why.",
		},
		{
			ID: MessageRefused, Level: slog.LevelWarn, Area: Queue, Text: "message refused", By: byHop(), Every: deliveryTroubleEvery,
			Meaning: "A next hop refused a message for good, or it has no way to its recipients; the sender is told.",
			Remedy:  "None, unless the next hop is ours: then see why it refuses.",
		},
		{
			ID: MessageExpired, Level: slog.LevelWarn, Area: Queue, Text: "message expired", By: byHop(), Every: deliveryTroubleEvery,
			Meaning: "A message was not taken within `queue.message_expiration`; the sender is told.", Remedy: "See why the next hop did not take it.",
		},
		{
			ID: SenderNotTold, Level: slog.LevelWarn, Area: Queue, Text: "the sender is not told", By: []string{"reason"}, Every: deliveryTroubleEvery,
			Meaning: "A notification was due and is left out, for the reason given.", Remedy: "See docs/notifications.md when it was wanted.",
		},
		{ID: NotificationSent, Level: slog.LevelInfo, Area: Queue, Text: "notification sent", Every: deliveryTroubleEvery, Meaning: "A sender is told of a failure or a delay.", Remedy: "None."},
		{
			ID: MessageOrdered, Level: slog.LevelInfo, Area: Queue, Text: "message …", By: []string{"by"}, Every: deliveryTroubleEvery,
			Meaning: "An administrator suspended, resumed, redirected or resubmitted a message; `by` says who.", Remedy: "None.",
		},
		{
			ID: MessageRemoved, Level: slog.LevelWarn, Area: Queue, Text: "message removed", By: []string{"by"}, Every: deliveryTroubleEvery,
			Meaning: "An administrator removed a message; `by` says who.", Remedy: "None.",
		},
		{
			ID: FallbackTakesOver, Level: slog.LevelWarn, Area: Queue, Text: "the fallback of a Send connector takes over", By: append(byHop(), "fallback"), Burst: 1, Every: deliveryTroubleEvery,
			Meaning: "The Send connector did not get a message through; its `fallback` tries now.", Remedy: "See why the connector's hosts don't take mail.",
		},
		{
			ID: MessagePoisoned, Level: slog.LevelError, Area: Queue, Text: "message parked in the poison queue; look into it, then resume or remove it",
			Meaning: "The gateway failed twice with this message in hand.", Remedy: "Export it, report the fault, then `postern queue resume` or `remove` it.",
		},
		{
			ID: MessageUnreachable, Level: slog.LevelWarn, Area: Queue, Text: "message waits in the Unreachable queue", By: []string{"reason"}, Every: deliveryTroubleEvery,
			Meaning: "No Send connector takes the message; it waits until the configuration changes.", Remedy: "`postern explain route SENDER RECIPIENT` shows what every connector says.",
		},
		{
			ID: MessageDelivered, Level: slog.LevelDebug, Area: Queue, Text: "a message is delivered",
			Meaning: "A next hop has taken a message for some recipients.", Remedy: "None.",
		},
		{ID: MessageQueued, Level: slog.LevelDebug, Area: Queue, Text: "a message is queued", Meaning: "A message is stored and on its way.", Remedy: "None."},
	}
}

func queueTrouble() []Event {
	return []Event{
		{
			ID: MessageGone, Level: slog.LevelError, Area: Queue, Text: "a queued message is not in the spool any more and is dropped",
			Meaning: "The spool does not know a message that the queue holds.", Remedy: "See the spool's events for damage; `postern spool salvage` shows what is there.",
		},
		{
			ID: MessageUnreadable, Level: slog.LevelError, Area: Queue, Text: "a queued message can't be read; it will be tried again",
			Meaning: "Reading the spool failed.", Remedy: "See to the disk; the message stays.",
		},
		{
			ID: ChoreFailed, Level: slog.LevelError, Area: Queue, Text: "queue: work on a message failed; it will be tried again, and others like it",
			Meaning: "A notification, an order or a new route could not be stored, for want of room most often.", Remedy: "Make room on the volume of `queue.directory`.",
		},
		{
			ID: OutcomeDropped, Level: slog.LevelError, Area: Queue, Text: "an outcome was dropped: its message is not in the spool",
			Meaning: "A delivery ended for a message that the spool does not know any more.", Remedy: "See the spool's events for damage.",
		},
		{
			ID: OutcomeUnstored, Level: slog.LevelError, Area: Queue, Text: "an outcome could not be stored and is kept in memory; it will be tried again",
			Meaning: "The disk takes no writes; should the gateway end before it does, the message is delivered twice.", Remedy: "See to the disk at once; don't restart before.",
		},
		{
			ID: OutcomesLost, Level: slog.LevelError, Area: Queue, Text: "outcomes could not be stored before the end; these messages may be delivered twice",
			Meaning: "The gateway stopped while the disk took no writes.", Remedy: "See to the disk before the next start.",
		},
		{
			ID: SuspendedUnreadable, Level: slog.LevelError, Area: Queue, Text: "the list of suspended queues can't be read: NO QUEUE IS SUSPENDED now; suspend again what has to be",
			Meaning: "The file `suspended-queues` is damaged; it is kept aside.", Remedy: "Suspend again what has to be.",
		},
		{
			ID: QueuesSuspended, Level: slog.LevelWarn, Area: Queue, Text: "queues are suspended by an administrator",
			Meaning: "At the start, these queues are suspended still.", Remedy: "`postern queue resume` when the reason is gone.",
		},
		{
			ID: MessageUnlisted, Level: slog.LevelError, Area: Queue, Text: "a queued message can't be read and is left out of a list",
			Meaning: "Reading the spool failed while an administrator looked.", Remedy: "See to the disk.",
		},
		{
			ID: PostmasterCopyLost, Level: slog.LevelWarn, Area: Queue, Text: "the postmaster's copy of a notification could not be stored and is left out",
			Meaning: "The sender's notification is stored, the copy is not.", Remedy: "Make room on the volume of `queue.directory`.",
		},
		{
			ID: OriginalUnreadable, Level: slog.LevelError, Area: Queue, Text: "a message can't be read to be returned to its sender; the notification goes without it",
			Meaning: "Reading the spool failed.", Remedy: "See to the disk.",
		},
		{
			ID: DeliveryPanic, Level: slog.LevelError, Area: Queue, Text: "panic with a message in hand",
			Meaning: "A fault of the gateway ended one attempt; at the second the message is parked.", Remedy: "Report it, with the stack in the event.",
		},
		{
			ID: MessageNotRerouted, Level: slog.LevelError, Area: Queue, Text: "a message can't be read and is not routed anew",
			Meaning: "Reading the spool failed after a reload; the message stays in its queue.", Remedy: "See to the disk.",
		},
		{
			ID: InHandNotNoted, Level: slog.LevelWarn, Area: Queue, Text: "what is in hand can't be noted",
			Meaning: "After an unclean end, the messages in hand are written down, to find one that ends the gateway; that failed.", Remedy: "See to the directory of the spool.",
		},
		{
			ID: InHandUnreadable, Level: slog.LevelWarn, Area: Queue, Text: "what was in hand at the last end can't be read",
			Meaning: "The file `in-hand` is damaged; no message is suspected.", Remedy: "None.",
		},
		{
			ID: UncleanEnd, Level: slog.LevelWarn, Area: Queue, Text: "the gateway did not end in an orderly way; what is in hand is noted until it has run for a while",
			Meaning: "The process was killed, or crashed, or the machine went down. No accepted message is lost.", Remedy: "Find out what ended it: the system's log, or a stack trace on standard error.",
		},
		{
			ID: SuspectNotParked, Level: slog.LevelError, Area: Queue, Text: "a message that was alone in hand when the gateway ended could not be parked",
			Meaning: "The spool refused to record it.", Remedy: "See to the disk.",
		},
		{
			ID: SuspectParked, Level: slog.LevelError, Area: Queue, Text: "a message was alone in hand at several unclean ends of the gateway in a row, and is parked in the poison queue; resume it to try again",
			Meaning: "This message is likely to be what ends the gateway.", Remedy: "Export it, report the fault, then resume or remove it.",
		},
	}
}

func routingEvents() []Event {
	return []Event{
		{
			ID: RoutedAnew, Level: slog.LevelInfo, Area: Routing, Text: "address spaces or senders were read again from their files; mail is routed by them",
			Meaning: "A file of entries has changed.", Remedy: "None.",
		},
		{
			ID: ListsUsable, Level: slog.LevelInfo, Area: Routing, Text: "the files of address spaces and senders can be used again",
			Meaning: "The trouble told by 25002 is over.", Remedy: "None.",
		},
		{
			ID: ListsUnusable, Level: slog.LevelError, Area: Routing, Text: "a file of address spaces or senders can't be used; mail is routed as before until it is mended",
			Meaning: "A file of entries is missing or has an error.", Remedy: "Mend what the error names; it is read again by itself.",
		},
		{
			ID: RoutingDecision, Level: slog.LevelDebug, Area: Routing, Text: "a routing decision",
			Meaning: "A recipient was given to a Send connector; the event says why, and why not to the others.", Remedy: "None.",
		},
		{ID: DNSLookup, Level: slog.LevelDebug, Area: DNS, Text: "a look-up", Meaning: "Names were asked for; the event has the answer.", Remedy: "None."},
	}
}
