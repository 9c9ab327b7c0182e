package send

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// TestLineDeadlines: whatever was set before, what is read and written ends at
// the deadline that was set last.
func TestLineDeadlines(t *testing.T) {
	const never = 0
	for _, tt := range []struct {
		name string
		set  []time.Duration // from the start
		want time.Duration
	}{
		{"one", []time.Duration{time.Minute}, time.Minute},
		{"a later one", []time.Duration{time.Minute, 3 * time.Minute}, 3 * time.Minute},
		{"an earlier one", []time.Duration{3 * time.Minute, time.Minute}, time.Minute},
		{"earlier and later", []time.Duration{3 * time.Minute, time.Minute, 2 * time.Minute}, 2 * time.Minute},
		{"one again after none", []time.Duration{time.Minute, never, 2 * time.Minute}, 2 * time.Minute},
		{"one that has passed", []time.Duration{time.Minute, -time.Second}, 0},
		{"another after one that has passed", []time.Duration{-time.Second, time.Minute}, time.Minute},
	} {
		for _, way := range []string{"read", "write"} {
			t.Run(way+" "+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					near, far := net.Pipe()
					defer near.Close()
					defer far.Close()
					l, began := newLine(near), time.Now()
					for _, d := range tt.set {
						at := began.Add(d)
						if d == never {
							at = time.Time{}
						}
						if way == "read" {
							l.SetReadDeadline(at)
						} else {
							l.SetWriteDeadline(at)
						}
					}
					use := l.Read
					if way == "write" {
						use = l.Write
					}
					_, err := use(make([]byte, 10))
					if got := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || got != tt.want {
						t.Errorf("%v after %v, want a timeout after %v", err, got, tt.want)
					}
				})
			})
		}
	}
}

// TestLineGoesOn: a deadline that passes too early costs no octet in either
// direction.
func TestLineGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		l := newLine(near)
		l.SetDeadline(time.Now().Add(time.Minute))
		l.SetDeadline(time.Now().Add(time.Hour))
		go func() {
			half := make([]byte, 5)
			io.ReadFull(far, half)
			time.Sleep(2 * time.Minute)
			rest, _ := io.ReadAll(io.LimitReader(far, 5))
			far.Write(append(half, rest...))
		}()
		if n, err := l.Write([]byte("0123456789")); n != 10 || err != nil {
			t.Errorf("wrote %d octets: %v", n, err)
		}
		l.SetReadDeadline(time.Time{})
		got := make([]byte, 10)
		if _, err := io.ReadFull(l, got); err != nil || string(got) != "0123456789" {
			t.Errorf("read %q: %v", got, err)
		}
	})
}

// TestSpan: the end of the caller's context, or of the Sender, cuts the lines
// that are watched and no others, whenever it comes.
func TestSpan(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(s *Sender, cancel func())
	}{
		{"the caller's context", func(_ *Sender, cancel func()) { cancel() }},
		{"the Sender's", func(s *Sender, _ func()) { s.abandon() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := new(Sender)
				s.base, s.abandon = context.WithCancel(context.Background())
				defer s.abandon()
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				sp, done := s.under(ctx)
				defer done()
				if again, _ := s.under(ctx); again != sp {
					t.Error("the next delivery under the same context has another span")
				}
				other, over := s.under(t.Context())
				defer over()
				if other == sp {
					t.Error("another context has the same span")
				}
				line := func() *line {
					near, far := net.Pipe()
					t.Cleanup(func() { near.Close(); far.Close() })
					l := newLine(near)
					l.SetReadDeadline(time.Now().Add(time.Minute))
					l.SetReadDeadline(time.Now().Add(time.Hour))
					return l
				}
				watched, left, late := line(), line(), line()
				sp.watch(watched)
				sp.watch(left)
				if !sp.leave(left) {
					t.Error("a line was cut before the end")
				}
				began := time.Now()
				time.AfterFunc(time.Second, func() { tt.end(s, cancel) })
				if _, err := watched.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Second {
					t.Errorf("%v after %v", err, time.Since(began))
				}
				sp.watch(late)
				if sp.leave(watched) || sp.leave(late) || !late.severed.Load() || left.severed.Load() {
					t.Error("other lines were cut than those watched")
				}
				if fresh, end := s.under(context.WithoutCancel(ctx)); fresh == sp {
					t.Error("a span that has ended is used again")
				} else {
					end()
				}
			})
		})
	}
}
