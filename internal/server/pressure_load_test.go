package server

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"postern/backpressure"
)

// senders send without end, each message with a subject of its own.
type senders struct {
	t    *testing.T
	stop chan struct{}
	done sync.WaitGroup

	mu      sync.Mutex
	acked   map[string]bool
	refused map[string]int // by the reply
	waited  int            // gave up while they were held back
}

func (s *senders) start(who string, port int) {
	s.done.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-s.stop:
				return
			default:
			}
			subject := fmt.Sprintf("%s-%d", who, n)
			err := s.send(port, subject)
			var reply *smtp.SMTPError
			var timeout net.Error
			s.mu.Lock()
			switch {
			case err == nil:
				s.acked[subject] = true
			case errors.As(err, &reply):
				s.refused[fmt.Sprintf("%d %d.%d.%d %s", reply.Code, reply.EnhancedCode[0], reply.EnhancedCode[1], reply.EnhancedCode[2], reply.Message)]++
			case errors.As(err, &timeout) && timeout.Timeout():
				s.waited++
			default:
				s.t.Errorf("%s: %v", subject, err)
			}
			s.mu.Unlock()
		}
	})
}

// send sends a message, and gives up after a while.
func (s *senders) send(port int, subject string) error {
	c, err := smtp.Dial(fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	defer c.Close()
	c.CommandTimeout = 300 * time.Millisecond
	if err := c.Hello("client.example"); err != nil {
		return err
	}
	return c.SendMail("bob@fabrikam.example", []string{"kim@contoso.example"}, strings.NewReader("Subject: "+subject+"\r\n\r\nx\r\n"))
}

func (s *senders) count(refused bool) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !refused {
		return len(s.acked)
	}
	for _, k := range s.refused {
		n += k
	}
	return n
}

func (s *senders) held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waited
}

// TestPressureUnderLoad turns the dials of the Submission queue and of memory up
// and down while strangers and hosts of ours send: every refusal is 452 4.3.1,
// deliveries never stop, everything acknowledged arrives, and it comes back by
// itself.
func TestPressureUnderLoad(t *testing.T) {
	for name, steps := range map[backpressure.Name][3]int64{
		backpressure.SubmissionQueue: {12, 30, 0},
		backpressure.Memory:          {1 << 30 / 1000 * 735, 1 << 30 / 100 * 80, 1 << 30 / 2},
	} {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			p := newPressed(t)
			hub := newSink(t, fmt.Sprintf("127.0.0.1:%d", p.hubPort))
			arrived := map[string]int{}
			var mu sync.Mutex
			ended := make(chan struct{})
			t.Cleanup(func() { <-ended })
			over := make(chan struct{})
			go func() {
				defer close(ended)
				for {
					select {
					case m := <-hub.arrived:
						_, subject, _ := strings.Cut(m, "Subject: ")
						subject, _, _ = strings.Cut(subject, "\r\n")
						mu.Lock()
						arrived[subject]++
						mu.Unlock()
					case <-over:
						return
					}
				}
			}()
			defer close(over)
			delivered := func() int {
				mu.Lock()
				defer mu.Unlock()
				return len(arrived)
			}
			s := &senders{t: t, stop: make(chan struct{}), acked: map[string]bool{}, refused: map[string]int{}}
			for i := range 3 {
				s.start(fmt.Sprintf("outside%d", i), p.outside)
				s.start(fmt.Sprintf("inside%d", i), p.inside)
			}
			more := func(what string, count func() int, n int) {
				t.Helper()
				had := count()
				p.await(fmt.Sprintf("%d %s more", n, what), func() bool { return count() >= had+n })
			}
			acked, refused := func() int { return s.count(false) }, func() int { return s.count(true) }
			for range 2 {
				more("messages", acked, 20)
				p.set(name, steps[0], backpressure.Medium)
				more("messages of hosts of ours", acked, 10)
				if name == backpressure.Memory {
					more("refusals", refused, 10)
				} else {
					more("strangers who wait", s.held, 3)
				}
				more("deliveries", delivered, 10)
				p.set(name, steps[1], backpressure.High)
				more("refusals", refused, 20)
				p.await("all that is queued to leave", func() bool { n, _ := p.Queue().Lengths(); return n == 0 })
				p.set(name, steps[2], backpressure.Normal)
			}
			more("messages", acked, 20)
			close(s.stop)
			s.done.Wait()
			p.await("all that is queued to leave", func() bool { n, _ := p.Queue().Lengths(); return n == 0 && delivered() >= s.count(false) })
			for subject := range s.acked {
				if arrived[subject] != 1 {
					t.Errorf("%s arrived %d times", subject, arrived[subject])
				}
			}
			for reply, n := range s.refused {
				if reply != "452 4.3.1 Insufficient system resources" {
					t.Errorf("%d refusals are %q", n, reply)
				}
			}
			// One that gave up may not have seen its refusal.
			if n := p.Pressure().Refused; n < int64(refused()) || n > int64(refused()+s.held()) {
				t.Errorf("%d refusals are counted, clients saw %d", n, refused())
			}
			t.Logf("%d acknowledged, %d refused, %d waited", acked(), refused(), s.held())
		})
	}
}
