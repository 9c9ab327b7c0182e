// Package pickup takes messages from files: from the Pickup directory, into
// which programs and administrators put new mail, and from the Replay directory,
// into which messages are put that bring their envelope along. It knows the
// rules for both, of names, headers and envelopes, and hands what it finds to
// the queue; it serves internal/server.
//
// # Whom it trusts
//
// Whoever can write into one of the directories can send: as anybody, to
// anybody, without authentication. No Receive connector has a say, no filter is
// asked. The mode of the directory is all the protection there is. A file in the
// Replay directory moreover says for itself through whose hands it came, and
// with X-CreatedBy keeps header fields that tell the organisation's own servers
// how far to trust a message: keep that directory tighter still. Both are off
// unless the configuration names them.
//
// What is in the directories is hostile all the same. Nothing but regular files
// is opened, no link is followed, and a file costs no more memory than its
// header.
//
// # How a file is taken
//
//	X.eml         found, regular, at rest for a second
//	X.<id>.tmp    renamed, with the queue id that its message will have; this is
//	              durable before the message is
//	(stored)      the queue has accepted the message
//	-             removed, durably
//
// or X.bad, when it is no message. So after a crash at any point the name of the
// file tells the id, and the spool tells whether a message of that id was stored:
// then the file is removed, and else it is X.eml again. A .tmp file without such
// an id is somebody else's and is left alone.
package pickup
