package spool

import (
	"errors"
	"fmt"
)

// The errors of a Store. All of them are temporary to a client (RFC 5321
// 4.2.1): a message that could not be stored may be offered again.
var (
	// ErrNoSpace says that there is no room for new messages. Outcomes are
	// still recorded, and intake works again by itself when there is room.
	ErrNoSpace = errors.New("spool: no space for new messages")
	// ErrLocked says that another process has the spool open.
	ErrLocked = errors.New("spool: in use by another process")
	// ErrVersion says that a newer version of the program wrote the spool.
	ErrVersion = errors.New("spool: written by a newer version")
	// ErrNotFound says that there is no such message, or no longer.
	ErrNotFound = errors.New("spool: no such message")
	// ErrDamaged says that what is stored does not match its checksum.
	ErrDamaged = errors.New("spool: stored data is damaged")
	// ErrTooLarge says that an envelope does not fit into a segment. Only a
	// spool on a very small volume has segments that small.
	ErrTooLarge = errors.New("spool: envelope too large for this volume")
	// ErrClosed says that the store, draft or content has been closed.
	ErrClosed = errors.New("spool: closed")
)

// Damage is a stretch of a spool that could not be read back.
type Damage struct {
	// File is the path within the spool's directory.
	File string `json:"file"`
	// Offset and Length are in octets.
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
	// Kept is the path within the spool's directory where the octets were
	// put aside; empty when they could not be read, or were only looked at.
	Kept string `json:"kept,omitempty"`
	// Reason is one sentence for people.
	Reason string `json:"reason"`
}

// String returns the damage on one line.
func (d Damage) String() string {
	s := fmt.Sprintf("%s at %d, %d octets: %s", d.File, d.Offset, d.Length, d.Reason)
	if d.Kept != "" {
		s += ", kept as " + d.Kept
	}
	return s
}
