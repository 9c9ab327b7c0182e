package logs

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"postern/config"
)

// Protocol is the protocol log of one direction (reference 7.1). A nil Protocol
// gives nil Sessions. All methods may be called concurrently.
type Protocol struct {
	server  string
	tee     func(Line)
	buffers sync.Pool // of *lineBuffer
	writer  *writer
}

// OpenProtocol starts a protocol log. It fails only when the options make no
// sense: trouble with the disk, then as later, is reported to OnError and
// writing is tried again. Who opens a Protocol closes it.
func OpenProtocol(o Options) (*Protocol, error) { return openProtocol(o, osFS{}) }

func openProtocol(o Options, fs fileSystem) (*Protocol, error) {
	if o.Kind != ReceiveProtocol && o.Kind != SendProtocol {
		return nil, fmt.Errorf("the %s log is no protocol log", o.Kind)
	}
	t, err := targetOf(o.Kind, o.Log)
	if err != nil {
		return nil, err
	}
	p := &Protocol{tee: o.Tee, writer: newWriter(t, o, fs)}
	if o.Kind == ReceiveProtocol {
		p.server = o.Server
	}
	p.buffers.New = newBuffer
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
	return &Session{protocol: p, connector: connector, id: session, local: local, remote: remote}
}

// Configure puts other settings in force for the lines from now on, those of
// sessions under way, too. Lines that wait for the disk go where they were meant
// to go, unless that fails: then they follow.
func (p *Protocol) Configure(c config.Log) error {
	if p == nil {
		return nil
	}
	return p.writer.configure(c)
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
