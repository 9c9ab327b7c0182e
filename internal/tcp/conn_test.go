package tcp

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// pair returns both ends of a connection over loopback, the first as New has it.
func pair(t *testing.T) (net.Conn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	for _, c := range []net.Conn{near, far} {
		c.SetDeadline(time.Now().Add(20 * time.Second))
	}
	return New(near), far.(*net.TCPConn)
}

// TestOctets: much passes unchanged in both directions at once, whoever waits
// for whom, and ends when the other side has said all.
func TestOctets(t *testing.T) {
	near, far := pair(t)
	want := make([]byte, 5<<20)
	for i := range want {
		want[i] = byte(i * i >> 8)
	}
	go func() {
		time.Sleep(10 * time.Millisecond) // until what the kernel holds is full
		io.Copy(far, far)
		far.CloseWrite()
	}()
	go func() {
		if n, err := near.Write(want); n != len(want) || err != nil {
			t.Errorf("wrote %d octets: %v", n, err)
		}
		if err := near.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Error(err)
		}
	}()
	// Not io.ReadAll, which might find another method.
	var got []byte
	buf := make([]byte, 10000)
	for {
		n, err := near.Read(buf)
		got = append(got, buf[:n]...)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d octets came back changed", len(got))
	}
}

// TestErrors: what goes wrong is the same as without the package.
func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(near net.Conn, far *net.TCPConn) error
		want error
	}{
		{"the read deadline", func(near net.Conn, _ *net.TCPConn) error {
			near.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			_, err := near.Read(make([]byte, 1))
			return err
		}, os.ErrDeadlineExceeded},
		{"the write deadline", func(near net.Conn, _ *net.TCPConn) error {
			near.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
			_, err := near.Write(make([]byte, 64<<20))
			return err
		}, os.ErrDeadlineExceeded},
		{"a deadline set by another goroutine", func(near net.Conn, _ *net.TCPConn) error {
			time.AfterFunc(10*time.Millisecond, func() { near.SetDeadline(time.Unix(1, 0)) })
			_, err := near.Read(make([]byte, 1))
			return err
		}, os.ErrDeadlineExceeded},
		{"closed meanwhile", func(near net.Conn, _ *net.TCPConn) error {
			time.AfterFunc(10*time.Millisecond, func() { near.Close() })
			_, err := near.Read(make([]byte, 1))
			return err
		}, net.ErrClosed},
		{"closed before", func(near net.Conn, _ *net.TCPConn) error {
			near.Close()
			_, err := near.Write(make([]byte, 1))
			return err
		}, net.ErrClosed},
		{"reset", func(near net.Conn, far *net.TCPConn) error {
			far.SetLinger(0)
			far.Close()
			_, err := near.Read(make([]byte, 1))
			return err
		}, syscall.ECONNRESET},
		{"written to what is closed", func(near net.Conn, far *net.TCPConn) error {
			far.SetLinger(0)
			far.Close()
			var err error
			for err == nil || errors.Is(err, syscall.ECONNRESET) {
				_, err = near.Write(make([]byte, 1))
			}
			return err
		}, syscall.EPIPE},
	} {
		t.Run(tt.name, func(t *testing.T) {
			near, far := pair(t)
			err := tt.do(near, far)
			if !errors.Is(err, tt.want) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			var op *net.OpError
			var timeout net.Error
			if !errors.As(err, &op) || !errors.As(err, &timeout) || timeout.Timeout() != (tt.want == os.ErrDeadlineExceeded) {
				t.Errorf("%#v", err)
			}
		})
	}
}

func TestNothing(t *testing.T) {
	near, _ := pair(t)
	if n, err := near.Read(nil); n != 0 || err != nil {
		t.Errorf("read %d octets: %v", n, err)
	}
	if n, err := near.Write(nil); n != 0 || err != nil {
		t.Errorf("wrote %d octets: %v", n, err)
	}
}

// TestOthers: what is not TCP is left alone.
func TestOthers(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if New(a) != a {
		t.Error("a pipe was wrapped")
	}
}

func BenchmarkPingPong(b *testing.B) {
	for _, way := range []struct {
		name string
		wrap func(net.Conn) net.Conn
	}{{"net", func(c net.Conn) net.Conn { return c }}, {"tcp", New}} {
		b.Run(way.name, func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			go func() {
				c, err := l.Accept()
				if err == nil {
					c = way.wrap(c)
					buf := make([]byte, 100)
					for {
						n, err := c.Read(buf)
						if err != nil {
							break
						}
						c.Write(buf[:n])
					}
					c.Close()
				}
			}()
			raw, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer raw.Close()
			c := way.wrap(raw)
			buf := make([]byte, 100)
			b.ReportAllocs()
			for b.Loop() {
				c.Write(buf[:50])
				c.Read(buf)
			}
		})
	}
}
