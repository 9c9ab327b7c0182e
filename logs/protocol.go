package logs

import (
	"context"
	"net/netip"
	"time"

	"postern/internal/metrics"
)

// Direction says whose protocol log it is.
type Direction uint8

// The two directions.
const (
	Receive Direction = iota // Receive connectors: ProtocolLog/SmtpReceive/RECVyyyymmdd-n.log
	Send                     // Send connectors: ProtocolLog/SmtpSend/SENDyyyymmdd-n.log
)

// ProtocolOptions says where a protocol log goes and how much of it is kept.
type ProtocolOptions struct {
	// Directory is [logs].directory; the log's own directory is made below it.
	Directory string
	Direction Direction
	// Server is the name before the backslash in the connector-id of a Receive
	// connector, by custom the host's name in capitals.
	Server string
	// MaxFileSize and MaxDirectorySize are in octets; zero means 10 MB and 250
	// MB.
	MaxFileSize, MaxDirectorySize int64
	// MaxAge is how long files are kept; zero keeps them whatever their age.
	MaxAge time.Duration
	// Metrics counts lines written and dropped; may be nil.
	Metrics *metrics.Registry
	// OnError hears once of each spell of trouble, when it begins; OnRecover
	// when it is over, with the number of lines that were dropped meanwhile.
	// Both are called from the writing goroutine and may be nil.
	OnError   func(error)
	OnRecover func(dropped int64)
	// Tee sees every line as it is logged, the lines of a session in order. It
	// is called by the session's goroutine and must not block; it may be nil.
	Tee func(Line)
}

// Protocol is the protocol log of one direction (reference 7.1). A nil Protocol
// gives nil Sessions. All methods may be called concurrently.
type Protocol struct{}

// OpenProtocol starts a protocol log. It fails only when the options make no
// sense: trouble with the disk, then as later, is reported to OnError and
// writing is tried again.
func OpenProtocol(o ProtocolOptions) (*Protocol, error) { return &Protocol{}, nil }

// Session returns the log of one session. The connector is its name as in the
// configuration, the session an id from SessionIDs. Local may be the zero value
// until SetEndpoints tells it.
func (p *Protocol) Session(connector, session string, local, remote netip.AddrPort) *Session {
	return nil
}

// Close writes what is pending and ends the log. Sessions may go on calling;
// their lines are dropped. It waits no longer than the context allows.
func (p *Protocol) Close(ctx context.Context) error { return nil }
