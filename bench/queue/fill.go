package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/message"
	"postern/queue/spool"
)

// writers is how many messages are stored at a time.
const writers = 256

// filling is a spool that is filled while no gateway runs.
type filling struct {
	messages int
	domain   func(i int) string
	deferred bool // each was tried three times in vain
}

// fill makes the spool of a measurement and returns the queue id of a message in
// the middle. Every message is durable, as it is when a client has its 250.
func (b *bench) fill(ctx context.Context, name string, f filling) (middle message.ID, err error) {
	dir := filepath.Join(b.dir, name, "data", "spool")
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return 0, err
	}
	s, err := spool.Open(dir, spool.Options{})
	if err != nil {
		return 0, err
	}
	progress := newProgress("filling " + name)
	defer progress.end()
	began := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= f.messages {
					return
				}
				id, err := f.store(ctx, s, i)
				if err != nil {
					cancel(err)
				}
				if i == f.messages/2 {
					middle = id
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	tick := time.NewTicker(time.Second / 2)
	defer tick.Stop()
	for done := false; !done; {
		select {
		case <-ended:
			done = true
		case <-tick.C:
			progress.show("%d of %d messages", min(int(next.Load()), f.messages), f.messages)
		}
	}
	if err = context.Cause(ctx); err == nil {
		err = s.Flush(ctx)
	}
	err = errors.Join(err, s.Close())
	fmt.Printf("%d messages of 1 to 4 KB stored by the spool's API in %v\n", f.messages, time.Since(began).Round(100*time.Millisecond))
	return middle, err
}

func (f *filling) store(ctx context.Context, s *spool.Store, i int) (message.ID, error) {
	d, err := s.Create()
	if err != nil {
		return 0, err
	}
	now := time.Now()
	e := &message.Envelope{
		From:       message.Address{Local: "newsletter", Domain: "contoso.example"},
		Recipients: []message.Recipient{{Address: message.Address{Local: fmt.Sprintf("recipient%d", i), Domain: f.domain(i)}}},
		Arrived:    now, MessageID: fmt.Sprintf("<20260101120000.%d@contoso.example>", i), Subject: "News of this week",
		Origin: message.Origin{Connector: "In", Session: fmt.Sprintf("%016X", i), Client: netip.MustParseAddrPort("192.0.2.1:33445"),
			Local: netip.MustParseAddrPort("192.0.2.2:25"), Helo: "app.contoso.example", Protocol: "ESMTP"},
	}
	r := rand.New(rand.NewPCG(uint64(i), 3))
	content := fmt.Appendf(nil, "From: newsletter@contoso.example\r\nMessage-ID: %s\r\nSubject: %s\r\n\r\n", e.MessageID, e.Subject)
	content = append(content, bytes.Repeat([]byte("What is new this week, in a line of text of seventy-two octets or so..\r\n"), 12+r.IntN(44))...)
	if _, err := d.Write(content); err != nil {
		d.Abort()
		return 0, err
	}
	e.Size = d.Size()
	if err := d.Commit(ctx, e); err != nil {
		return 0, err
	}
	if !f.deferred {
		return d.ID(), nil
	}
	reply := message.Reply{Code: 451, Enhanced: [3]int{4, 4, 1}, Text: "No connection to mail." + f.domain(i) + " [127.1.2.3]:25: connection refused"}
	u := &message.Update{At: now, Outcomes: []message.Outcome{{Recipients: []int{0}, Status: message.Deferred, Reply: reply, NextHop: "By MX/" + f.domain(i), Due: now, Tries: 3}}}
	for range 3 {
		u.Attempts = append(u.Attempts, message.Attempt{At: now, Host: "mail." + f.domain(i), Address: "127.1.2.3:25", Reply: reply, NextHop: "By MX/" + f.domain(i)})
	}
	return d.ID(), s.Update(d.ID(), u)
}
