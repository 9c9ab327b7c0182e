package logs

import "net/netip"

// Session writes the lines of one SMTP session. A nil Session takes every call
// and does nothing, which is how protocol_logging = "none" looks. All methods
// may be called concurrently; none waits for the disk.
type Session struct{}

// Connect notes that the connection stands ("+").
func (s *Session) Connect() {}

// Disconnect notes the end of the connection ("-"); context is "Local" or
// "Remote", whoever closed it.
func (s *Session) Disconnect(context string) {}

// Sent notes one line that went to the peer (">"), without its CRLF.
func (s *Session) Sent(line string) {}

// Received notes one line that came from the peer ("<"), without its CRLF. A
// line that holds credentials is given as Redacted.
func (s *Session) Received(line string) {}

// Info notes something that is not on the wire ("*"): text in data, a label in
// context, or the context alone (reference 7.1).
func (s *Session) Info(data, context string) {}

// SetEndpoints says where the two ends of the connection are from now on: a
// Send connector knows its local end only once it is connected.
func (s *Session) SetEndpoints(local, remote netip.AddrPort) {}

// SessionIDs gives out session ids: 16 upper-case hexadecimal digits that grow
// with time. The zero value works; one value serves the whole gateway. Next may
// be called concurrently.
type SessionIDs struct{}

// Next returns an id that was not given out before.
func (g *SessionIDs) Next() string { return "" }
