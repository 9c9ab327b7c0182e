package pickup

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postern/config"
	"postern/internal/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeQueue accepts messages into memory. It lives on while gateways end.
type fakeQueue struct {
	next      message.ID
	accepted  map[message.ID]*message.Envelope
	contents  map[message.ID]string
	refused   []*message.Envelope
	originals []string
	createErr error
	submitErr error
	refuseErr error
	storedErr error
}

func newFakeQueue() *fakeQueue {
	return &fakeQueue{accepted: make(map[message.ID]*message.Envelope), contents: make(map[message.ID]string)}
}

func (q *fakeQueue) create() (draft, error) {
	if q.createErr != nil {
		return nil, q.createErr
	}
	q.next++
	return &memoryDraft{id: q.next}, nil
}

func (q *fakeQueue) submit(ctx context.Context, d draft, e *message.Envelope) error {
	if q.submitErr != nil {
		return q.submitErr
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	q.accepted[d.ID()], q.contents[d.ID()] = e, d.(*memoryDraft).String()
	return nil
}

func (q *fakeQueue) refuse(_ context.Context, e *message.Envelope, _ message.Reply, original message.Content) (message.ID, error) {
	if q.refuseErr != nil {
		return 0, q.refuseErr
	}
	b, err := io.ReadAll(original)
	q.refused, q.originals = append(q.refused, e), append(q.originals, string(b))
	q.next++
	return q.next, err
}

func (q *fakeQueue) stored(id message.ID) (bool, error) { return q.accepted[id] != nil, q.storedErr }

// bench is a directory with what looks after it.
type bench struct {
	t      *testing.T
	path   string
	queue  acceptor
	fake   *fakeQueue
	files  files
	events bytes.Buffer
	replay bool
	paused bool
	change func(s *Settings)
	d      *directory
}

func newBench(t *testing.T) *bench {
	q := newFakeQueue()
	b := &bench{t: t, path: t.TempDir(), queue: q, fake: q, files: osFiles{}}
	b.start()
	return b
}

func (b *bench) settings() Settings {
	s := Settings{FQDN: "edge.contoso.example", Domain: "contoso.example", MaxMessageSize: 1 << 20, Pickup: config.Pickup{
		PickupDirectoryMaxMessagesPerMinute: 20000, PickupDirectoryMaxHeaderSize: 64 << 10, PickupDirectoryMaxRecipientsPerMessage: 100,
	}}
	if b.replay {
		s.Pickup.ReplayDirectoryPath = b.path
	} else {
		s.Pickup.PickupDirectoryPath = b.path
	}
	if b.change != nil {
		b.change(&s)
	}
	return s
}

// start begins a new life.
func (b *bench) start() {
	p := build(Options{Settings: b.settings(), Paused: func() bool { return b.paused },
		Logger: slog.New(slog.NewTextHandler(&b.events, &slog.HandlerOptions{Level: slog.LevelInfo}))}, b.queue, b.files)
	b.d = p.directories[0]
	if b.replay {
		b.d = p.directories[1]
	}
}

func (b *bench) poll() { b.d.poll(context.Background()) }

// put writes a file that has been at rest for a while.
func (b *bench) put(name, text string) {
	b.t.Helper()
	path := filepath.Join(b.path, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	old := time.Now().Add(-time.Minute)
	if err := os.Chtimes(path, old, old); err != nil {
		b.t.Fatal(err)
	}
}

// names lists the directory.
func (b *bench) names() string {
	b.t.Helper()
	entries, err := os.ReadDir(b.path)
	if err != nil {
		b.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func (b *bench) want(names string, accepted int) {
	b.t.Helper()
	if got := b.names(); got != names || len(b.fake.accepted) != accepted {
		b.t.Errorf("the directory holds %q and the queue %d messages; want %q and %d\n%s", got, len(b.fake.accepted), names, accepted, b.events.String())
	}
}

const plainFile = "From: a@x.example\nTo: b@y.example\nSubject: hello\n\nline\n.\nlast"

func TestPickup(t *testing.T) {
	b := newBench(t)
	b.put("one.eml", plainFile)
	b.put("two.EML", strings.ReplaceAll(plainFile, "\n", "\r\n"))
	b.put("three.txt", plainFile)
	b.put("four.tmp", plainFile)
	b.put(".eml", plainFile)
	b.poll()
	b.want(".eml four.tmp three.txt", 2)
	for id, e := range b.fake.accepted {
		got := b.fake.contents[id]
		head, body, _ := strings.Cut(got, "\r\n\r\n")
		if body != "line\r\n.\r\nlast" || !strings.HasPrefix(head, "Received: from localhost by edge.contoso.example with Pickup id "+id.String()) {
			t.Errorf("content %q", got)
		}
		_, below, _ := strings.Cut(got, "Message-ID: ")
		if e.Size != int64(len("Message-ID: "+below)) || e.Subject != "hello" || e.MessageID != "<"+id.String()+"@contoso.example>" || e.Origin.Protocol != "Pickup" {
			t.Errorf("envelope %+v", e)
		}
	}
}

func TestReplay(t *testing.T) {
	b := newBench(t)
	b.replay = true
	b.start()
	b.put("one.eml", "X-Sender: <a@x.example> BODY=BINARYMIME\nX-Receiver: <b@y.example>\nSubject: x\n\n\x00bare\rcr\nlf\r\n")
	b.poll()
	b.want("", 1)
	if e := b.fake.accepted[1]; e.Body != message.BodyBinaryMIME || !strings.HasSuffix(b.fake.contents[1], "\r\n\r\n\x00bare\rcr\nlf\r\n") {
		t.Errorf("%+v %q", e, b.fake.contents[1])
	}
}

func TestBody(t *testing.T) {
	for text, want := range map[string]message.BodyType{"ascii": 0, "gr\u00fc\u00df": message.Body8BitMIME} {
		b := newBench(t)
		b.put("a.eml", "From: a@x.example\nTo: b@y.example\nSubject: \u00fc\n\n"+text)
		b.poll()
		if e := b.fake.accepted[1]; e == nil || e.Body != want || e.SMTPUTF8 {
			t.Errorf("%s: %+v", text, e)
		}
	}
}

// TestBad: what is no message is set aside, and the sender told where there is one.
func TestBad(t *testing.T) {
	const from, to = "From: a@x.example\n", "To: b@y.example\n"
	for name, tt := range map[string]struct {
		text string
		told bool
	}{
		"no sender":    {to + "\n", false},
		"no recipient": {from + "\n", false},
		"empty":        {"", false},
		"NUL in body":  {from + to + "\na\x00b", true},
		"NUL in head":  {from + to + "Subject: a\x00\n\n", true},
		"header":       {from + to + "X: " + strings.Repeat("x", 70<<10) + "\n\n", true},
		"size":         {from + to + "\n" + strings.Repeat("x\n", 600<<10), true},
		"recipients":   {from + "To: " + many(101) + "\n\n", true},
		"cut header":   {from + to + "nonsense\n\n", true},
	} {
		b := newBench(t)
		b.put("x.bad", "older")
		b.put("x.eml", tt.text)
		b.poll()
		b.poll()
		names := strings.Fields(b.names())
		if len(b.fake.accepted) != 0 || len(names) != 2 || !slices.Contains(names, "x.bad") || !strings.HasSuffix(names[0], ".bad") {
			t.Errorf("%s: %d accepted, %q", name, len(b.fake.accepted), names)
		}
		if told := len(b.fake.refused) == 1 && b.fake.originals[0] == tt.text; told != tt.told || len(b.fake.refused) > 1 {
			t.Errorf("%s: %d notifications, told %v", name, len(b.fake.refused), told)
		}
		if n := strings.Count(b.events.String(), "kept as .bad"); n != 1 {
			t.Errorf("%s: %d events:\n%s", name, n, b.events.String())
		}
	}
}

// TestStillWritten: a file is left alone while it is young, and when it grows
// while it is read.
func TestStillWritten(t *testing.T) {
	b := newBench(t)
	young := filepath.Join(b.path, "young.eml")
	if err := os.WriteFile(young, []byte(plainFile), 0o600); err != nil {
		t.Fatal(err)
	}
	b.put("grows.eml", plainFile)
	b.files = growing{osFiles{}, b}
	b.start()
	b.poll()
	b.want("grows.eml young.eml", 0)
	b.files = osFiles{}
	b.start()
	b.put("grows.eml", plainFile)
	b.put("young.eml", plainFile)
	future := time.Now().Add(time.Hour)
	if err := os.Chtimes(young, future, future); err != nil {
		t.Fatal(err)
	}
	b.poll()
	b.want("", 2)
}

// growing files grow once they are in hand.
type growing struct {
	osFiles
	b *bench
}

func (g growing) rename(from, to string) error {
	err := g.osFiles.rename(from, to)
	if strings.HasSuffix(to, tmpSuffix) && err == nil {
		f, err := os.OpenFile(to, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteString("more")
		return err
	}
	return err
}

// TestRate: no more than what the minute allows, in even shares.
func TestRate(t *testing.T) {
	b := newBench(t)
	b.change = func(s *Settings) { s.Pickup.PickupDirectoryMaxMessagesPerMinute = 24 }
	b.start()
	for i := range 10 {
		b.put(fmt.Sprintf("%d.eml", i), plainFile)
	}
	b.poll()
	if n := len(b.fake.accepted); n != 2 {
		t.Errorf("%d at first, want 2", n)
	}
	b.d.filled = b.d.filled.Add(-time.Hour)
	b.poll()
	if n := len(b.fake.accepted); n != 6 {
		t.Errorf("%d after an hour, want 4 more", n)
	}
}

// TestStorageTrouble: a full spool leaves the files, tells once and is not asked
// for every file; nor does it lose a refusal.
func TestStorageTrouble(t *testing.T) {
	for name, fail := range map[string]func(q *fakeQueue, err error){
		"create": func(q *fakeQueue, err error) { q.createErr = err },
		"submit": func(q *fakeQueue, err error) { q.submitErr = err },
		"refuse": func(q *fakeQueue, err error) { q.refuseErr = err },
	} {
		b := newBench(t)
		b.put("a.eml", plainFile)
		if name == "refuse" {
			b.put("a.eml", plainFile+"\x00")
		}
		fail(b.fake, syscall.ENOSPC)
		for range 3 {
			b.poll()
		}
		b.want("a.eml", 0)
		if n := strings.Count(b.events.String(), "level=ERROR"); n != 1 || len(b.fake.refused) != 0 {
			t.Errorf("%s: %d events, %d refused:\n%s", name, n, len(b.fake.refused), b.events.String())
		}
		fail(b.fake, nil)
		b.poll()
		if name == "refuse" {
			b.want("a.bad", 0)
		} else {
			b.want("", 1)
		}
	}
}

func TestPaused(t *testing.T) {
	b := newBench(t)
	b.put("a.eml", plainFile)
	b.paused = true
	b.poll()
	b.want("a.eml", 0)
	b.paused = false
	b.poll()
	b.want("", 1)
}

// TestReload: directories come and go with the settings.
func TestReload(t *testing.T) {
	b := newBench(t)
	first := b.path
	b.put("a.eml", plainFile)
	off := b.settings()
	off.Pickup.PickupDirectoryPath = ""
	b.d.configure(off)
	b.poll()
	b.want("a.eml", 0)
	b.path = filepath.Join(t.TempDir(), "new", "deep")
	b.d.configure(b.settings())
	b.poll()
	info, err := os.Stat(b.path)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Fatal(info, err)
	}
	b.put("b.eml", plainFile)
	b.poll()
	b.want("", 1)
	b.path = first
	b.d.configure(b.settings())
	b.poll()
	b.want("", 2)
}

// TestLongName: the names that a file gets fit where its own did.
func TestLongName(t *testing.T) {
	b := newBench(t)
	long := strings.Repeat("\u00e4", 125) + "x" + emlSuffix
	b.put(long, plainFile+"\x00")
	b.poll()
	if got := b.names(); got != strings.Repeat("\u00e4", 100)+badSuffix {
		t.Errorf("names %q", got)
	}
}

// TestStartAndStop runs the goroutines.
func TestStartAndStop(t *testing.T) {
	b := newBench(t)
	b.put("a.eml", plainFile)
	p := build(Options{Settings: b.settings()}, b.queue, b.files)
	gone := make(chan struct{})
	p.directories[0].files = tellsRemoval{osFiles{}, gone}
	p.Start()
	<-gone
	p.Stop()
	b.want("", 1)
	build(Options{Settings: b.settings()}, b.queue, b.files).Stop() // never started
}

type tellsRemoval struct {
	osFiles
	gone chan struct{}
}

func (r tellsRemoval) remove(path string) error {
	defer close(r.gone)
	return r.osFiles.remove(path)
}
