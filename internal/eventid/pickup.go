package eventid

import (
	"log/slog"
	"time"
)

// The Pickup and Replay directories.
const (
	PickupWatches        ID = 28000
	PickupQueued         ID = 28001
	PickupLeftInHand     ID = 28002
	PickupRejected       ID = 28003
	PickupNoDirectory    ID = 28010
	PickupUnreadable     ID = 28011
	PickupUnsure         ID = 28012
	PickupStuck          ID = 28013
	PickupFileNotLooked  ID = 28014
	PickupNotRegular     ID = 28015
	PickupFileNotOpened  ID = 28016
	PickupStorage        ID = 28017
	PickupFileNotRenamed ID = 28018
	PickupNotSynced      ID = 28019
	PickupFileNotRead    ID = 28020
)

func pickupEvents() []Event {
	in := []string{"directory"}
	again := "Told again every 15 minutes while it lasts."
	return []Event{
		{ID: PickupWatches, Level: slog.LevelInfo, Area: Pickup, Text: "messages are taken from a directory", By: in, Meaning: "The directory is watched.", Remedy: "None."},
		{ID: PickupQueued, Level: slog.LevelInfo, Area: Pickup, Text: "message queued", By: in, Every: time.Minute, Meaning: "A file became a message; the event has its queue id.", Remedy: "None."},
		{
			ID: PickupLeftInHand, Level: slog.LevelInfo, Area: Pickup, Text: "a file was left in hand", By: in,
			Meaning: "The gateway ended with the file in hand; `queued` says whether its message is in the queue.", Remedy: "None: it is neither lost nor sent twice.",
		},
		{
			ID: PickupRejected, Level: slog.LevelWarn, Area: Pickup, Text: "a file is no message that can be sent; it is kept as .bad", By: in,
			Meaning: "The file breaks the rules of the directory; the event says which.", Remedy: "Mend the program that wrote it; rename the mended file to .eml.",
		},
		{
			ID: PickupNoDirectory, Level: slog.LevelError, Area: Pickup, Text: "the directory can't be made; make it, writable for the gateway's user", By: in,
			Meaning: "The configured directory is missing. " + again, Remedy: "Make it, writable for the gateway's user.",
		},
		{
			ID: PickupUnreadable, Level: slog.LevelError, Area: Pickup, Text: "the directory can't be read; make it readable and writable for the gateway's user", By: in,
			Meaning: "Nothing is taken from the directory. " + again, Remedy: "Mend its permissions.",
		},
		{
			ID: PickupUnsure, Level: slog.LevelError, Area: Pickup, Text: "it is not known whether a file that was left in hand is in the queue; it stays", By: in,
			Meaning: "The spool could not be asked. " + again, Remedy: "See to the disk; afterwards it goes on by itself.",
		},
		{
			ID: PickupStuck, Level: slog.LevelError, Area: Pickup, Text: "a file in hand can't be renamed or removed; nothing more is taken from the directory until it can", By: in,
			Meaning: "The directory is not writable any more. " + again, Remedy: "Mend its permissions, or make room.",
		},
		{ID: PickupFileNotLooked, Level: slog.LevelWarn, Area: Pickup, Text: "a file can't be looked at; it is tried again", By: in, Meaning: "stat failed. " + again, Remedy: "See to the file."},
		{
			ID: PickupNotRegular, Level: slog.LevelWarn, Area: Pickup, Text: "not a regular file; it is left alone", By: in,
			Meaning: "A link, a directory or a pipe has the name of a message. " + again, Remedy: "Take it away; write files.",
		},
		{ID: PickupFileNotOpened, Level: slog.LevelWarn, Area: Pickup, Text: "a file can't be opened; it is tried again", By: in, Meaning: "Its permissions forbid it, most often. " + again, Remedy: "Make it readable for the gateway's user."},
		{
			ID: PickupStorage, Level: slog.LevelError, Area: Pickup, Text: "files wait: the queue can't store a message", By: in,
			Meaning: "The spool refused a message. " + again, Remedy: "Make room on the volume of `queue.directory`.",
		},
		{ID: PickupFileNotRenamed, Level: slog.LevelWarn, Area: Pickup, Text: "a file can't be renamed; it is tried again", By: in, Meaning: "The directory is not writable. " + again, Remedy: "Mend its permissions."},
		{ID: PickupNotSynced, Level: slog.LevelError, Area: Pickup, Text: "the directory can't be synced; its files wait", By: in, Meaning: "fsync of the directory failed. " + again, Remedy: "See to the disk."},
		{ID: PickupFileNotRead, Level: slog.LevelWarn, Area: Pickup, Text: "a file can't be read; it is tried again", By: in, Meaning: "Reading failed midway. " + again, Remedy: "See to the disk."},
	}
}
