package receive

import (
	"context"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"postern/internal/message"
	"postern/queue/spool"
)

// stores is a Queue that stores and does no more.
type stores struct{ *spool.Store }

func (s stores) Submit(ctx context.Context, d *spool.Draft, e *message.Envelope) error {
	return d.Commit(ctx, e)
}

// fullFS is a file system whose disk can be full.
type fullFS struct {
	spool.FS
	full *atomic.Bool
}

func (f fullFS) OpenFile(path string, flag int) (spool.File, error) {
	file, err := f.FS.OpenFile(path, flag)
	if err != nil {
		return nil, err
	}
	return fullFile{file, f.full}, nil
}

type fullFile struct {
	spool.File
	full *atomic.Bool
}

func (f fullFile) WriteAt(p []byte, at int64) (int, error) {
	if f.full.Load() {
		return 0, syscall.ENOSPC
	}
	return f.File.WriteAt(p, at)
}

func (f fullFile) Sync() error {
	if f.full.Load() {
		return syscall.ENOSPC
	}
	return f.File.Sync()
}

// spoolOptions are those of a small spool.
func spoolOptions(full *atomic.Bool) spool.Options {
	return spool.Options{FS: fullFS{spool.OS(), full}, SegmentSize: 1 << 20, InlineSize: 16 << 10}
}

// TestSpool stores messages in a real spool, opens it again and reads them.
func TestSpool(t *testing.T) {
	dir, full := t.TempDir(), new(atomic.Bool)
	store, err := spool.Open(dir, spoolOptions(full))
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	b.server.queue = queueIntake{stores{store}}
	want := map[string]string{}
	c := b.dialog(greet)
	for _, size := range []int{0, 1, 100, 1000, 100_000} {
		body := "Subject: x\r\n\r\n" + strings.Repeat("0123456789\r\n", size)
		c.play("C: MAIL FROM:<a@b.example>\nS: 250 .*\nC: RCPT TO:<b@contoso.example>\nS: 250 .*\nC: DATA\nS: 354 .*")
		go c.send(body + ".\r\n")
		reply := c.reply()
		_, id, _ := strings.Cut(reply, "[InternalId=")
		id, _, ok := strings.Cut(id, ",")
		if !ok || !strings.HasPrefix(reply, "250 ") {
			t.Fatal(reply)
		}
		want[id] = body
	}
	// One that is cut off leaves nothing.
	half := b.dialog(begin)
	half.send(strings.Repeat("0123456789\r\n", 5000))
	half.close()
	c.play("C: QUIT\nS: 221 .*\nEND")
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	store, err = spool.Open(dir, spoolOptions(full))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	n := 0
	if err := store.Each(func(e spool.Entry) error {
		n++
		body, ok := want[e.ID.String()]
		if !ok {
			t.Errorf("%s was never accepted", e.ID)
			return nil
		}
		content, err := store.Content(e.ID)
		if err != nil {
			return err
		}
		defer content.Close()
		raw, err := io.ReadAll(content)
		if err != nil {
			return err
		}
		if bodyOf(string(raw)) != body {
			t.Errorf("%s has changed", e.ID)
		}
		if addresses(e.Envelope) != "<a@b.example> -> b@contoso.example" || e.Envelope.Size != int64(len(body)) {
			t.Errorf("envelope: %+v", e.Envelope)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if n != len(want) {
		t.Errorf("%d messages, want %d", n, len(want))
	}
}

// TestFullDisk: a full disk is answered 452, whenever it is found full, and the
// session takes mail again when there is room.
func TestFullDisk(t *testing.T) {
	full := new(atomic.Bool)
	store, err := spool.Open(t.TempDir(), spoolOptions(full))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	b := newBench(t)
	b.server.queue = queueIntake{stores{store}}
	c := b.dialog(greet)
	const transaction = "C: MAIL FROM:<>\nS: 250 .*\nC: RCPT TO:<b@contoso.example>\nS: 250 .*\nC: DATA\n"
	for _, size := range []int{10, 100_000} {
		full.Store(true)
		c.play(transaction)
		reply := c.reply()
		if strings.HasPrefix(reply, "354 ") {
			go c.send(strings.Repeat("0123456789\r\n", size) + ".\r\n")
			reply = c.reply()
		}
		if reply != "452 4.3.1 Insufficient system resources" {
			t.Fatalf("with a full disk the server said %q", reply)
		}
		full.Store(false)
		taken := false
		for range 200 {
			c.play("C: RSET\nS: 250 .*\n" + transaction)
			if reply = c.reply(); strings.HasPrefix(reply, "354 ") {
				c.send("x\r\n.\r\n")
				reply = c.reply()
			}
			if taken = strings.HasPrefix(reply, "250 "); taken {
				break
			}
		}
		if !taken {
			t.Fatalf("with room again the server said %q", reply)
		}
	}
}
