// Package wire is the grammar of SMTP (RFC 5321) for both sides of a
// conversation: command lines and their parameters, replies, and the transfer
// coding of message content. The Receive and Send engines are built on it. It
// does no I/O but through the readers and writers it is handed, keeps no time
// and sets no deadlines: these are the engines' affair.
package wire
