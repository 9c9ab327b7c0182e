package logs

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"postern/internal/metrics"
)

// Direction says whose protocol log it is.
type Direction uint8

// The two directions. Each has a file set of its own below
// [logs].directory.
const (
	Receive Direction = iota // Receive connectors: ProtocolLog/SmtpReceive/RECVyyyymmdd-n.log
	Send                     // Send connectors: ProtocolLog/SmtpSend/SENDyyyymmdd-n.log
)

// String returns "receive" or "send".
func (d Direction) String() string {
	if d == Send {
		return "send"
	}
	return "receive"
}

// Kind returns the direction's protocol log.
func (d Direction) Kind() Kind {
	if d == Send {
		return SendProtocol
	}
	return ReceiveProtocol
}

// layout is where a direction's files are and what stands at their head.
func (d Direction) layout() (directory, prefix, logType string) {
	if d == Send {
		return filepath.Join("ProtocolLog", "SmtpSend"), "SEND", "SMTP Send Protocol Log"
	}
	return filepath.Join("ProtocolLog", "SmtpReceive"), "RECV", "SMTP Receive Protocol Log"
}

// What holds where ProtocolOptions leave a limit zero (reference 7), in octets.
const (
	defaultMaxFileSize      = 10 << 20
	defaultMaxDirectorySize = 250 << 20
)

// ProtocolOptions says where a protocol log goes and how much of it is kept.
type ProtocolOptions struct {
	// Directory is [logs].directory; the log's own directory is made below it.
	Directory string
	Direction Direction
	// Server is the name before the backslash in the connector-id of a Receive
	// connector, by custom the host's name in capitals; empty leaves it and the
	// backslash out.
	Server string
	// MaxFileSize and MaxDirectorySize are in octets; zero means 10 MB and 250
	// MB. The newest file is never deleted.
	MaxFileSize, MaxDirectorySize int64
	// MaxAge is how long a file is kept after its day (UTC) has passed; zero
	// keeps files whatever their age.
	MaxAge time.Duration
	// Metrics counts lines written and dropped; may be nil.
	Metrics *metrics.Registry
	// OnError hears once of each spell of trouble, when it begins; OnRecover
	// when it is over, with the number of lines that were dropped meanwhile.
	// Both are called by the goroutine that writes the files and may be nil.
	OnError   func(error)
	OnRecover func(dropped int64)
	// Tee sees every line as it is logged, also one that is then dropped, the
	// lines of a session in order. It is called in the midst of the session:
	// it must not block, nor call the Session. It may be nil.
	Tee func(Line)
}

// Protocol is the protocol log of one direction (reference 7.1). A nil Protocol
// gives nil Sessions. All methods may be called concurrently.
type Protocol struct {
	server  string
	tee     func(Line)
	buffers sync.Pool // of *[]byte, one line each
	writer  *writer
}

// OpenProtocol starts a protocol log. It fails only when the options make no
// sense: trouble with the disk, then as later, is reported to OnError and
// writing is tried again. Who opens a Protocol closes it.
func OpenProtocol(o ProtocolOptions) (*Protocol, error) {
	return openProtocol(o, osFS{})
}

func openProtocol(o ProtocolOptions, fs fileSystem) (*Protocol, error) {
	if o.Directory == "" {
		return nil, errors.New("protocol log: no directory; set [logs].directory")
	}
	if o.MaxFileSize < 0 || o.MaxDirectorySize < 0 || o.MaxAge < 0 {
		return nil, errors.New("protocol log: a limit is negative; leave it out for the default")
	}
	if o.MaxFileSize == 0 {
		o.MaxFileSize = defaultMaxFileSize
	}
	if o.MaxDirectorySize == 0 {
		o.MaxDirectorySize = defaultMaxDirectorySize
	}
	directory, prefix, logType := o.Direction.layout()
	set := &fileSet{
		fs: fs, directory: filepath.Join(o.Directory, directory), prefix: prefix,
		logType: logType, fields: strings.Join(o.Direction.Kind().Layout().Columns, ","),
		maxFile: o.MaxFileSize, maxDirectory: o.MaxDirectorySize, maxAge: o.MaxAge,
	}
	p := &Protocol{tee: o.Tee, writer: newWriter(set, o)}
	if o.Direction == Receive {
		p.server = o.Server
	}
	p.buffers.New = func() any { b := make([]byte, 0, 256); return &b }
	return p, nil
}

// Session returns the log of one session. The connector is its name as in the
// configuration, the session an id from SessionIDs. Local may be the zero value
// until SetEndpoints tells it.
func (p *Protocol) Session(connector, session string, local, remote netip.AddrPort) *Session {
	if p == nil {
		return nil
	}
	if p.server != "" {
		connector = p.server + `\` + connector
	}
	s := &Session{protocol: p, connector: connector, id: session}
	s.head = append(make([]byte, 0, len(connector)+len(session)+8), ',')
	s.head = appendField(s.head, connector)
	s.head = append(s.head, ',')
	s.head = appendField(s.head, session)
	s.head = append(s.head, ',')
	s.ends = make([]byte, 0, len(",255.255.255.255:65535,255.255.255.255:65535"))
	s.setEndpoints(local, remote)
	return s
}

// Close writes what is pending and ends the log. Sessions may go on calling;
// their lines are dropped. It waits no longer than the context allows, and
// returns an error when lines were lost or are still being written; a write
// that the disk never answers then ends with the process.
func (p *Protocol) Close(ctx context.Context) error {
	if p == nil {
		return nil
	}
	return p.writer.close(ctx)
}
