package main

import (
	"context"
	"errors"
	"os"
	"time"

	"postern/bench/internal/rig"
)

// warmUp is how many messages a gateway relays before it is measured.
const warmUp = 500

// bench is the frame of all measurements: a directory and a sink.
type bench struct {
	*settings
	dir  string
	sink *rig.Sink
}

func newBench(ctx context.Context, s *settings) (b *bench, err error) {
	dir, err := os.MkdirTemp(s.dir, "relay-")
	if err != nil {
		return nil, err
	}
	b = &bench{settings: s, dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if err = os.Chmod(dir, 0o755); err != nil { // Postfix enters it as another user
		return nil, err
	}
	if b.binary, err = rig.Binary(ctx, s.binary, dir); err != nil {
		return b, err
	}
	b.sink, err = rig.NewSink(ctx, rig.FreeAddr())
	return b, err
}

func (b *bench) close() error {
	if b.sink != nil {
		b.sink.Stop()
	}
	return os.RemoveAll(b.dir)
}

// measured is what one measurement gave.
type measured struct {
	accepted time.Duration // until smtp-source had ended
	total    time.Duration // until the last message was at the sink
	cpu      time.Duration // of the gateway for one message, with its start and stop spread over all
}

// measure starts a contender, warms it up, and times the messages through it.
func (b *bench) measure(ctx context.Context, c contender) (m measured, err error) {
	addr := b.sink.Addr
	stop := func() time.Duration { return 0 }
	if c.start != nil {
		addr = rig.FreeAddr()
		if stop, err = c.start(ctx, addr); err != nil {
			return m, err
		}
	}
	defer func() { m.cpu = stop() / time.Duration(warmUp+b.messages) }()
	if err = rig.Await(ctx, addr); err != nil {
		return m, err
	}
	load := rig.Load{Sessions: b.sessions, Size: b.size, Reuse: b.reuse}
	if _, _, err = load.Relay(ctx, addr, b.sink, warmUp); err != nil {
		return m, err
	}
	m.accepted, m.total, err = load.Relay(ctx, addr, b.sink, b.messages)
	return m, err
}
