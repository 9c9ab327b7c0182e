package receive

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
)

// after asserts how much time has gone by.
func after(t *testing.T, since time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(since); got != want {
		t.Errorf("it took %v, want %v", got, want)
	}
}

// drip sends text again and again until the connection ends, which the returned
// function waits for.
func (c *client) drip(text string, every time.Duration) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := io.WriteString(c.conn, text); err != nil {
				return
			}
			time.Sleep(every)
		}
	}()
	return func() { <-done }
}

func TestIdleClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t)
		c := b.dialog(greet)
		time.Sleep(59 * time.Second)
		c.play("C: NOOP\nS: 250 .*")
		start := time.Now()
		c.play(`
			S: 421 4\.4\.1 Connection timed out
			END`)
		after(t, start, time.Minute)
		if b.limitCount(limitInactivity) != 1 {
			t.Error("the limit was not counted")
		}
	})
}

// TestSlowCommand: octets of a command that never ends keep no session alive
// for ever.
func TestSlowCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t)
		start := time.Now()
		c := b.dialog(greet)
		defer c.drip("x", 30*time.Second)()
		c.play(`
			S: 421 4\.4\.1 Connection timed out
			END`)
		after(t, start, 5*time.Minute)
		if b.limitCount(limitTimeout) != 1 {
			t.Error("the limit was not counted")
		}
	})
}

func TestSessionTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t)
		start := time.Now()
		c := b.dialog(greet)
		for range 9 {
			time.Sleep(30 * time.Second)
			c.play("C: NOOP\nS: 250 .*")
		}
		c.play(`
			S: 421 4\.4\.1 Connection timed out
			END`)
		after(t, start, 5*time.Minute)
	})
}

// TestSilentInData: the client falls silent in the content. What it says later
// is no command.
func TestSilentInData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t)
		c := b.dialog(begin)
		c.send("Subject: x\r\n\r\nbody\r\n")
		start := time.Now()
		c.play(`S: 421 4\.4\.1 Connection timed out`)
		after(t, start, time.Minute)
		c.conn.Write([]byte("MAIL FROM:<evil@b.example>\r\n.\r\nQUIT\r\n"))
		c.play("END")
		if n := len(b.queue.all()); n != 0 {
			t.Errorf("%d messages", n)
		}
	})
}

// TestSlowData: content that comes too slowly ends when the grace is over.
func TestSlowData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t)
		c := b.dialog(begin)
		start := time.Now()
		// 100 octets in 10 s: less than minDataRate
		defer c.drip(strings.Repeat("x", 98)+"\r\n", 10*time.Second)()
		c.play(`
			S: 421 4\.4\.1 Connection timed out
			END`)
		if took := time.Since(start); took < dataGrace || took > dataGrace+10*time.Second {
			t.Errorf("it took %v", took)
		}
		if b.limitCount(limitDataRate) != 1 {
			t.Error("the limit was not counted")
		}
	})
}

// TestLongData: content at the minimum rate may take longer than the session,
// and leaves it what it had.
func TestLongData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t)
		c := b.dialog(begin)
		start := time.Now()
		for range 60 { // 20 minutes at 640 octets a second
			c.send(strings.Repeat(strings.Repeat("x", 98)+"\r\n", 128))
			time.Sleep(20 * time.Second)
		}
		c.play("C: .\nS: 250 .*")
		after(t, start, 20*time.Minute)
		start = time.Now()
		for range 9 {
			time.Sleep(30 * time.Second)
			c.play("C: NOOP\nS: 250 .*")
		}
		c.play("S: 421 .*\nEND")
		after(t, start, 5*time.Minute)
	})
}

// TestLongRefusedData: for content that was refused the session clock runs.
func TestLongRefusedData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, testConnector(func(c *config.ReceiveConnector) { c.MaxMessageSize = 100 }))
		c := b.dialog(begin)
		start := time.Now()
		defer c.drip(strings.Repeat("x", 1022)+"\r\n", time.Second)()
		c.play(`
			S: 421 4\.4\.1 Connection timed out
			END`)
		after(t, start, 5*time.Minute)
	})
}

// TestSlowStorageIsNotTheClientsFault: time that storage takes does not count
// against the client's rate.
func TestSlowStorageIsNotTheClientsFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t)
		b.queue.submitting = func(context.Context) { time.Sleep(4 * time.Minute) }
		c := b.dialog(begin + `
			C: x
			C: .
			S: 250 .*`)
		time.Sleep(59 * time.Second)
		c.play("C: NOOP\nS: 250 .*")
	})
}

func TestStorageThatNeverAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t)
		b.queue.submitting = func(ctx context.Context) { <-ctx.Done(); b.queue.fail(nil, nil, ctx.Err()) }
		start := time.Now()
		b.dialog(begin + `
			C: x
			C: .
			S: 452 4\.3\.1 .*`)
		after(t, start, commitTimeout)
	})
}

func TestSilentHandshake(t *testing.T) {
	for _, implicit := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := startBench(t, testConnector(func(c *config.ReceiveConnector) { c.ImplicitTLS = implicit }))
			c := b.dial(netip.AddrPort{})
			if !implicit {
				c.play(greet + "\nC: STARTTLS\nS: 220 .*")
			}
			start := time.Now()
			rest, _ := io.ReadAll(c.r)
			after(t, start, handshakeTimeout)
			if len(rest) > 0 {
				t.Errorf("the server said %q", rest)
			}
			if b.limitCount(limitHandshake) != 1 {
				t.Error("the limit was not counted")
			}
		})
	}
}

// TestClientThatDoesNotRead: replies that nobody takes hold no session for
// ever.
func TestClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t)
		c := b.dialog(greet)
		start := time.Now()
		for {
			if _, err := io.WriteString(c.conn, strings.Repeat("NOOP\r\n", 1000)); err != nil {
				break
			}
		}
		<-c.done
		if took := time.Since(start); took > writeTimeout {
			t.Errorf("it took %v", took)
		}
		if b.limitCount(limitWrite) != 1 {
			t.Error("the limit was not counted")
		}
	})
}

func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t)
		idle, handshake := b.dialog(greet), b.dialog(greet+"\nC: STARTTLS\nS: 220 .*")
		sending := b.dialog(begin)
		sending.send("Subject: x\r\n")
		synctest.Wait()

		over := make(chan error)
		go func() { over <- b.server.Shutdown(t.Context()) }()
		idle.play(`
			S: 421 4\.3\.2 Service not available, closing transmission channel
			END`)
		if rest, _ := io.ReadAll(handshake.r); len(rest) > 0 {
			t.Errorf("in the handshake the server said %q", rest)
		}
		select {
		case err := <-over:
			t.Fatalf("Shutdown did not wait for DATA: %v", err)
		case <-time.After(30 * time.Second):
		}
		if late := b.dial(netip.AddrPort{}); late != nil {
			late.play("END")
		}
		sending.play(`
			C: body
			C: .
			S: 250 .*
			S: 421 4\.3\.2 .*
			END`)
		if err := <-over; err != nil {
			t.Error(err)
		}
		b.only()
	})
}

func TestShutdownLosesPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t)
		b.queue.submitting = func(ctx context.Context) { <-ctx.Done(); b.queue.fail(nil, nil, ctx.Err()) }
		sending, storing := b.dialog(begin), b.dialog(begin+"\nC: x\nC: .")
		sending.send("Subject: x\r\n")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		if err := b.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		after(t, start, 10*time.Second)
		sending.play("END")
		// Nobody may learn that the message was taken: it was not.
		if rest, _ := io.ReadAll(storing.r); strings.HasPrefix(string(rest), "250") {
			t.Errorf("the server said %q", rest)
		}
		if n := len(b.queue.all()); n != 0 {
			t.Errorf("%d messages", n)
		}
	})
}
