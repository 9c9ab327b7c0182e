package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// idleSessions are held open at a time, and sessionMemory is what each of them
// may cost in octets, with the client's end of it, which is in this process
// too.
const (
	idleSessions  = 300
	sessionMemory = 40 << 10
)

// memoryInUse is what the process holds in heap and stacks, in octets.
func memoryInUse() int64 {
	var m runtime.MemStats
	for range 3 { // the first finds what is unused, the later ones free it and shrink stacks
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// TestIdleSessionsAreCheap holds sessions open that have said EHLO, and nothing
// since.
func TestIdleSessionsAreCheap(t *testing.T) {
	g := newProbeGateway(t)
	for _, mode := range probeModes[:3] {
		t.Run(mode.name, func(t *testing.T) {
			open := make([]net.Conn, 0, idleSessions)
			defer func() {
				for _, c := range open {
					c.Close()
				}
			}()
			hold := func() {
				c, err := g.dial(mode, "")
				if err != nil {
					t.Fatal(err)
				}
				open = append(open, c.Conn) // without the buffers of the probe
				if err := c.expect("EHLO client.example\r\n", "250"); err != nil {
					t.Fatal(err)
				}
			}
			for range 10 { // pools, caches, tables
				hold()
			}
			before := memoryInUse()
			for range idleSessions {
				hold()
			}
			each := (memoryInUse() - before) / idleSessions
			t.Logf("%d octets each", each)
			if each > sessionMemory {
				t.Errorf("an idle session costs %d octets, want at most %d", each, sessionMemory)
			}
		})
	}
}

// drain is a next hop that counts the octets of messages and keeps none, so
// that all memory is the gateway's.
func drain(t *testing.T, keywords string) (port int, counted <-chan int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	count, done := make(chan int64, 1), make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serveDrain(c, keywords, count)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().(*net.TCPAddr).Port, count
}

func serveDrain(c net.Conn, keywords string, count chan<- int64) {
	c.SetDeadline(time.Now().Add(probeWait))
	r := bufio.NewReaderSize(c, 64<<10)
	var n int64
	fmt.Fprintf(c, "220 drain.example ESMTP\r\n")
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		switch command := string(line[:4]); command {
		case "EHLO":
			fmt.Fprintf(c, "250-drain.example\r\n250 %s\r\n", keywords)
		case "DATA":
			fmt.Fprintf(c, "354 go\r\n")
			for {
				if line, err = r.ReadSlice('\n'); err != nil {
					return
				}
				if string(line) == ".\r\n" {
					break
				}
				n += int64(len(line))
			}
			count <- n
			fmt.Fprintf(c, "250 counted\r\n")
		case "BDAT":
			var size int64
			rest := string(line)
			fmt.Sscan(rest[5:], &size)
			if _, err := io.CopyN(io.Discard, r, size); err != nil {
				return
			}
			if n += size; strings.HasSuffix(rest, " LAST\r\n") {
				count <- n
			}
			fmt.Fprintf(c, "250 ok\r\n")
		case "QUIT":
			fmt.Fprintf(c, "221 bye\r\n")
			return
		default:
			fmt.Fprintf(c, "250 ok\r\n")
		}
	}
}

// TestLargeMessageIsStreamed takes a message as large as they may be from the
// client to the next hop. All that is allocated on the way, whether it is freed
// again or not, is less than the message.
func TestLargeMessageIsStreamed(t *testing.T) {
	const lines = 36 << 20 / 1024
	for _, way := range []struct{ name, keywords string }{{"DATA", "8BITMIME"}, {"BDAT", "CHUNKING"}} {
		t.Run(way.name, func(t *testing.T) {
			hop, counted := drain(t, way.keywords)
			port := freePort(t)
			s := start(t, Options{Config: parse(t, fmt.Sprintf(edge, t.TempDir(), port, `max_message_size = "37MB"`, hop))})
			defer stop(t, s)
			conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(probeWait))
			c := &probeConn{Conn: conn, r: bufio.NewReader(conn), enhanced: true}
			if err := c.expect("", "220"); err != nil {
				t.Fatal(err)
			}
			if err := (&probe{after: "rcpt"}).begin(c); err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if err := c.sendLarge(way.name, lines); err != nil {
				t.Fatal(err)
			}
			var n int64
			select {
			case n = <-counted:
			case <-time.After(probeWait):
				t.Fatal("no message arrived")
			}
			runtime.ReadMemStats(&after)
			allocated := after.TotalAlloc - before.TotalAlloc
			t.Logf("%d octets arrived, %d were allocated", n, allocated)
			if n < lines*1024 || allocated > lines*1024/2 {
				t.Errorf("of %d octets %d arrived; %d octets were allocated on the way", lines*1024, n, allocated)
			}
		})
	}
}

// sendLarge sends lines of 1024 octets as a message.
func (c *probeConn) sendLarge(way string, lines int) error {
	piece := []byte(strings.Repeat(strings.Repeat("x", 1022)+"\r\n", 64))
	if way == "DATA" {
		if err := c.expect("DATA\r\n", "354"); err != nil {
			return err
		}
	} else if _, err := fmt.Fprintf(c, "BDAT %d LAST\r\n", lines*1024); err != nil {
		return err
	}
	for range lines / 64 {
		if _, err := c.Write(piece); err != nil {
			return err
		}
	}
	end := ""
	if way == "DATA" {
		end = ".\r\n"
	}
	return c.expect(end, "250 2.6.0")
}
