// Package message knows what a message is to a gateway: its addresses, its
// envelope, its recipients and what has become of them, its header block and
// trace fields. It does no I/O and knows no protocol; every package above
// speaks in its types.
package message
