package logs

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"postern/config"
	"postern/internal/metrics"
)

// Options says what a log is opened with.
type Options struct {
	// Kind is needed for a protocol log, of either direction; the others have
	// theirs.
	Kind Kind
	// Log says where the files are and how much of them is kept; see Configure.
	Log config.Log
	// Server is the name before the backslash in the connector-id of a Receive
	// connector, by custom the host's name in capitals; empty leaves it and the
	// backslash out.
	Server string
	// Metrics counts lines written and dropped; may be nil.
	Metrics *metrics.Registry
	// OnError hears once of each spell of trouble, when it begins; OnRecover
	// when it is over, with the number of lines that were dropped meanwhile.
	// Both are called by the goroutine that writes the files and may be nil.
	OnError   func(error)
	OnRecover func(dropped int64)
	// Tee sees every line of a protocol log as it is logged, also one that is
	// then dropped, the lines of a session in order. It is called in the midst
	// of the session: it must not block, nor call the Session. It may be nil.
	Tee func(Line)
}

// What holds where limits are zero (reference 7), in octets.
const (
	defaultMaxFileSize      = 10 << 20
	defaultMaxDirectorySize = 250 << 20
)

// targetOf makes settings into a target for lines.
func targetOf(k Kind, l config.Log) (*target, error) {
	if l.Directory == "" && l.Enabled {
		return nil, fmt.Errorf("%s log: no directory; set [logs].directory", k)
	}
	if l.MaxFileSize < 0 || l.MaxDirectorySize < 0 || l.MaxAge < 0 {
		return nil, fmt.Errorf("%s log: a limit is negative; leave it out for the default", k)
	}
	t := &target{
		kind: k, layout: k.Layout(), mode: modeCSV, enabled: l.Enabled, directory: l.Directory,
		maxFile: l.MaxFileSize, maxDirectory: l.MaxDirectorySize, maxAge: l.MaxAge,
	}
	switch l.Format {
	case "", "csv":
	case "json":
		t.mode = modeJSON
	default:
		return nil, fmt.Errorf("%s log: there is no format %q; write csv or json", k, l.Format)
	}
	if t.maxFile == 0 {
		t.maxFile = defaultMaxFileSize
	}
	if t.maxDirectory == 0 {
		t.maxDirectory = defaultMaxDirectorySize
	}
	return t, nil
}

// Log is a log of records that stand for themselves, one line each. A nil Log
// takes every call and does nothing. All methods may be called concurrently;
// none waits for the disk but Close.
type Log[R any] struct {
	columns []column[R]
	writer  *writer
	buffers sync.Pool // of *lineBuffer
}

// OpenTracking starts a message tracking log. It fails only when the options
// make no sense: trouble with the disk, then as later, is reported to OnError
// and writing is tried again. Who opens a Log closes it.
func OpenTracking(o Options) (*Log[Tracking], error) {
	return openLog(MessageTracking, o, trackingColumns, osFS{})
}

// OpenConnectivity starts a connectivity log, as OpenTracking does.
func OpenConnectivity(o Options) (*Log[ConnectivityLine], error) {
	return openLog(Connectivity, o, connectivityColumns, osFS{})
}

// OpenAgent starts an agent log, as OpenTracking does.
func OpenAgent(o Options) (*Log[AgentLine], error) { return openLog(Agent, o, agentColumns, osFS{}) }

// OpenEvents starts the files of the event log, as OpenTracking does.
func OpenEvents(o Options) (*Log[EventLine], error) {
	return openLog(EventLog, o, eventColumns, osFS{})
}

func openLog[R any](k Kind, o Options, columns []column[R], fs fileSystem) (*Log[R], error) {
	o.Kind = k
	t, err := targetOf(k, o.Log)
	if err != nil {
		return nil, err
	}
	l := &Log[R]{columns: columns, writer: newWriter(t, o, fs)}
	l.buffers.New = newBuffer
	return l, nil
}

// lineBuffer holds lines on their way to the writer. Each begins with room for
// its stamp, what it has up to its time, which the writer fills in.
type lineBuffer struct {
	b      []byte
	starts []int
}

// maxPooled is the largest buffer that is kept for the next line.
const maxPooled = 4 * MaxField

func newBuffer() any { return &lineBuffer{b: make([]byte, 0, 1024), starts: make([]int, 0, 16)} }

func (l *lineBuffer) reset() { l.b, l.starts = l.b[:0], l.starts[:0] }

// begin begins a line with a stamp of that size.
func (l *lineBuffer) begin(stamp int) {
	l.starts = append(l.starts, len(l.b))
	l.b = append(l.b, blankStamp[:stamp]...)
}

// blankStamp is room for the longest stamp.
var blankStamp [64]byte

// kept is the buffer for the next lines.
func (l *lineBuffer) kept() *lineBuffer {
	if cap(l.b) > maxPooled || cap(l.starts) > maxPooled/64 {
		return newBuffer().(*lineBuffer)
	}
	return l
}

// On reports whether lines are written, so that who calls often need not make
// up what nobody reads.
func (l *Log[R]) On() bool { return l != nil && l.writer.mode() != modeOff }

// Write writes a record. Its time is when it is written; what it has is left
// alone, as is all of the record.
func (l *Log[R]) Write(r *R) {
	if l == nil {
		return
	}
	buf := l.buffers.Get().(*lineBuffer)
	for mode := l.writer.mode(); mode != modeOff; mode = l.writer.mode() {
		buf.reset()
		buf.begin(l.writer.stampSize(mode))
		if mode == modeJSON {
			buf.b = appendJSON(buf.b, l.columns, r)
		} else {
			buf.b = appendCSV(buf.b, l.columns, r)
		}
		if _, ok := l.writer.append(mode, buf); ok {
			break
		}
	}
	l.buffers.Put(buf.kept())
}

// Configure puts other settings in force for the lines from now on. Those that
// wait for the disk go where they were meant to go, unless that fails: then they
// follow.
func (l *Log[R]) Configure(c config.Log) error {
	if l == nil {
		return nil
	}
	return l.writer.configure(c)
}

// Close writes what is pending and ends the log. Write may still be called; its
// lines are dropped. It waits no longer than the context allows, and returns an
// error when lines were lost or are still being written; a write that the disk
// never answers then ends with the process.
func (l *Log[R]) Close(ctx context.Context) error {
	if l == nil {
		return nil
	}
	return l.writer.close(ctx)
}

// errClosed is what Configure gives after Close.
var errClosed = errors.New("the log is closed")
