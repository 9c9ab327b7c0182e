package receive

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestTimeoutInChunks: after a timeout in a chunk nothing is read any more.
func TestTimeoutInChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t)
		c := b.dialog(ready)
		start := time.Now()
		c.play(`
			C> "BDAT 1000 LAST\r\nSubject: x\r\n\r\nMAIL FROM:<>\r\n"
			S: 421 4\.4\.1 Connection timed out
			END`)
		after(t, start, time.Minute)
	})
}

// TestSlowChunks: a client that begins chunk after chunk gets no new grace with
// each, and the session's clock runs between them.
func TestSlowChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t)
		c := b.dialog(ready)
		start := time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				// Half of the chunk comes at once, half late.
				if _, err := io.WriteString(c.conn, "BDAT 2\r\nx"); err != nil {
					return
				}
				time.Sleep(25 * time.Second)
				io.WriteString(c.conn, "x")
			}
		}()
		c.play(`
			S: 250 .*
			S: 250 .*
			S: 421 4\.4\.1 Connection timed out
			END`)
		after(t, start, time.Minute)
		<-done
		if b.limitCount(limitDataRate) != 1 {
			t.Error("the limit was not counted")
		}
	})
}

// TestLongChunks: the session's clock stands still while chunks come fast
// enough.
func TestLongChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t)
		c := b.dialog(ready)
		for range 10 {
			c.send("BDAT 100000\r\n")
			for range 100 {
				time.Sleep(time.Second)
				c.send(strings.Repeat("x", 998) + "\r\n")
			}
			c.play(`S: 250 2\.6\.0 CHUNK received OK, 100000 octets`)
		}
		c.play(`
			C: BDAT 0 LAST
			S: 250 .*` + quit)
	})
}

// TestShutdownBetweenChunks: a session that waits for the next chunk is told to
// come again.
func TestShutdownBetweenChunks(t *testing.T) {
	b := newBench(t)
	c := b.dialog(ready + `
		C> "BDAT 3\r\nx\r\n"
		S: 250 .*`)
	go b.server.Shutdown(t.Context())
	c.play(`
		S: 421 4\.3\.2 .*
		END`)
}
