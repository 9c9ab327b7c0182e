// Package dsn composes delivery status notifications: the mail by which the
// gateway tells a sender what became of a message (RFC 3461 to RFC 3464,
// wrapped as RFC 6522 says). It serves the queue, which decides when one is
// owed and stores it as mail of the gateway's own.
//
// A notification has three parts. The first is for people: what happened, to
// whom, what the remote server said, what to do about it, and below that a
// section for administrators. The second, message/delivery-status, is for
// programs. The third returns the message, or its header alone.
//
// Everything that came from outside - the subject, a next hop's reply, ORCPT,
// ENVID, the message itself - may be hostile. Header fields and the second part
// hold printable ASCII only, in lines that are folded here and nowhere else; the
// first part goes through quoted-printable unless it is plain ASCII in short
// lines; the third is kept apart by a boundary that is known not to occur in it.
package dsn
