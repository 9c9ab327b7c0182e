package eventid

import "log/slog"

// The store under the queue.
const (
	SpoolOpen         ID = 23000
	SpoolDamaged      ID = 23001
	SpoolDamage       ID = 23002
	SpoolFailed       ID = 23003
	SpoolMessageLost  ID = 23004
	SpoolStateDamaged ID = 23005
	SpoolBodyStays    ID = 23006
	SpoolLeftover     ID = 23007
)

func spoolEvents() []Event {
	return []Event{
		{ID: SpoolOpen, Level: slog.LevelInfo, Area: Spool, Text: "spool is open", Meaning: "The spool was read; the event says how much is queued and how long it took.", Remedy: "None."},
		{
			ID: SpoolDamaged, Level: slog.LevelError, Area: Spool, Text: "part of the spool is damaged", By: []string{"damage"},
			Meaning: "At the start, a stretch of the spool could not be read; its bytes were kept aside.", Remedy: "See to the disk; `postern spool salvage` gets messages out of what was kept.",
		},
		{
			ID: SpoolDamage, Level: slog.LevelError, Area: Spool, Text: "spool: damage", By: []string{"file"},
			Meaning: "A stretch of the spool can't be read.", Remedy: "See to the disk; `postern spool salvage` gets messages out of what was kept.",
		},
		{
			ID: SpoolFailed, Level: slog.LevelError, Area: Spool, Text: "spool: …", By: []string{"what"},
			Meaning: "A write or sync failed. New mail gets 452 while that lasts; what is queued stays.", Remedy: "Make room on the volume, or see to the disk.",
		},
		{
			ID: SpoolMessageLost, Level: slog.LevelError, Area: Spool, Text: "spool: a message is lost to damage; its record was put aside",
			Meaning: "The record of a queued message is damaged on disk.", Remedy: "`postern spool salvage` on what was put aside; see to the disk.",
		},
		{
			ID: SpoolStateDamaged, Level: slog.LevelError, Area: Spool, Text: "spool: a message's state is damaged; its recipients count as pending",
			Meaning: "It is not known any more who has got the message; all recipients get it, some perhaps again.", Remedy: "See to the disk.",
		},
		{
			ID: SpoolBodyStays, Level: slog.LevelWarn, Area: Spool, Text: "spool: removing a body file",
			Meaning: "A file of a message that ended could not be removed; the next start does it.", Remedy: "See to the directory's permissions.",
		},
		{
			ID: SpoolLeftover, Level: slog.LevelWarn, Area: Spool, Text: "spool: removing a leftover",
			Meaning: "A file that belongs to no message could not be removed.", Remedy: "See to the directory's permissions.",
		},
	}
}
