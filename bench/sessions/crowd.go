package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"postern/bench/internal/rig"
)

const (
	// perSource is how many sessions come from one address: as many as the
	// default of max_inbound_connection_per_source.
	perSource = 20
	// gathering is how many sessions are opened or asked at a time.
	gathering = 50
)

// crowd is a number of sessions that do nothing.
type crowd struct {
	addr string

	mu   sync.Mutex
	open []member
}

// member is one session of the crowd.
type member struct {
	net.Conn
	tarpitted bool // it waits for a reply; else it may speak
}

// gather opens all sessions and waits until each is what it should be.
func (c *crowd) gather(ctx context.Context, s *settings) error {
	return parallel(ctx, s.idle+s.tarpitted, func(i int) error {
		m, err := c.enter(ctx, i/perSource, i >= s.idle, s.tls)
		if m.Conn != nil {
			c.mu.Lock()
			c.open = append(c.open, m)
			c.mu.Unlock()
		}
		return err
	})
}

// enter opens a session from one of the addresses 127.1.0.1 and up.
func (c *crowd) enter(ctx context.Context, source int, tarpitted, secure bool) (member, error) {
	m := member{tarpitted: tarpitted}
	d := net.Dialer{Timeout: rig.Waiting, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(source/250), byte(source%250+1))}}
	conn, err := d.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return m, err
	}
	m.Conn = conn
	if err := m.dialog("", "220", "EHLO client.example", "250"); err != nil {
		return m, err
	}
	if secure && !tarpitted {
		if err := m.dialog("STARTTLS", "220"); err != nil {
			return m, err
		}
		m.Conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		if err := m.dialog("EHLO client.example", "250"); err != nil {
			return m, err
		}
	}
	if !tarpitted {
		return m, nil
	}
	if err := m.dialog("MAIL FROM:<a@stranger.example>", "250"); err != nil {
		return m, err
	}
	_, err = fmt.Fprint(m, "RCPT TO:<b@elsewhere.example>\r\n")
	return m, err
}

// dialog gives commands, each followed by the beginning of its reply. Replies
// are short enough to come in one piece, or to be read until they are whole.
func (m member) dialog(lines ...string) error {
	_ = m.SetDeadline(time.Now().Add(rig.Waiting))
	defer m.SetDeadline(time.Time{})
	for i := 0; i < len(lines); i += 2 {
		if lines[i] != "" {
			if _, err := fmt.Fprint(m, lines[i]+"\r\n"); err != nil {
				return err
			}
		}
		reply, err := m.reply()
		if err != nil {
			return fmt.Errorf("%q was answered with %q: %w", lines[i], reply, err)
		}
		if !strings.HasPrefix(reply, lines[i+1]) {
			return fmt.Errorf("%q was answered with %q", lines[i], reply)
		}
	}
	return nil
}

// reply reads a whole reply. The server has nothing more to say behind it.
func (m member) reply() (string, error) {
	var text string
	b := make([]byte, 1024)
	for {
		n, err := m.Read(b)
		text += string(b[:n])
		last := text[strings.LastIndexByte(strings.TrimSuffix(text, "\n"), '\n')+1:]
		if err != nil || strings.HasSuffix(text, "\r\n") && len(last) > 3 && last[3] == ' ' {
			return text, err
		}
	}
}

// check asks every session whether it is still what it was.
func (c *crowd) check(ctx context.Context) error {
	return parallel(ctx, len(c.open), func(i int) error {
		m := c.open[i]
		if !m.tarpitted {
			return m.dialog("NOOP", "250")
		}
		_ = m.SetReadDeadline(time.Now().Add(time.Millisecond))
		n, err := m.Read(make([]byte, 64))
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("a tarpitted session is held back no longer (%d octets, %v)", n, err)
		}
		return nil
	})
}

// close ends what is open.
func (c *crowd) close() {
	for _, m := range c.open {
		if t, ok := m.Conn.(*tls.Conn); ok {
			t.NetConn().Close()
			continue
		}
		m.Close()
	}
	c.open = nil
}

// parallel calls f for the numbers below n, a few at a time, until one fails.
func parallel(ctx context.Context, n int, f func(i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var wg sync.WaitGroup
	for range gathering {
		wg.Go(func() {
			for i := range next {
				if err := f(i); err != nil {
					cancel(fmt.Errorf("session %d of %d: %w", i+1, n, err))
				}
			}
		})
	}
	for i := range n {
		select {
		case next <- i:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}
