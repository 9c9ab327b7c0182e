package review

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
	"postern/logs"
)

// gateway writes a receive log in a bubble.
type gateway struct {
	t   *testing.T
	dir string
	log *logs.Protocol
	ids logs.SessionIDs
}

func newGateway(t *testing.T, maxFile int64) *gateway {
	g := &gateway{t: t, dir: t.TempDir()}
	log, err := logs.OpenProtocol(logs.Options{Kind: logs.ReceiveProtocol, Server: "EDGE", OnError: func(err error) { t.Error(err) },
		Log: config.Log{Enabled: true, Directory: g.dir, MaxFileSize: maxFile, MaxDirectorySize: 1 << 30}})
	if err != nil {
		t.Fatal(err)
	}
	g.log = log
	return g
}

func (g *gateway) open(connector string) *logs.Session {
	s := g.log.Session(connector, g.ids.Next(), netip.MustParseAddrPort("192.0.2.1:25"), netip.MustParseAddrPort("198.51.100.7:999"))
	s.Connect()
	s.Sent("220 edge ESMTP")
	return s
}

// session writes a whole session.
func (g *gateway) session(connector, helo, reply string) {
	s := g.open(connector)
	s.Received("EHLO " + helo)
	s.Sent(reply)
	s.Disconnect("Remote")
}

// files are the log's files, in order.
func (g *gateway) files() []string {
	found, err := filepath.Glob(filepath.Join(g.dir, "*"))
	if err != nil {
		g.t.Fatal(err)
	}
	slices.Sort(found)
	return found
}

// follow follows a log until the test ends, and returns what was seen so far.
func follow(t *testing.T, dir string, q *Query, p *Progress) func() string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	var seen []string
	files := &Files{places: []place{{path: dir, kind: logs.ReceiveProtocol, flat: true}}}
	go func() {
		defer close(done)
		for l, err := range files.Follow(ctx, q, p) {
			if err != nil {
				t.Error(err)
				return
			}
			if l.Line != nil {
				seen = append(seen, fmt.Sprintf("%c%s", l.Line.Event, l.Line.Data))
			} else {
				text := l.Session.HELO
				if l.Session.Headless {
					text += "(headless)"
				}
				seen = append(seen, text)
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return func() string {
		time.Sleep(3 * time.Second)
		synctest.Wait()
		out := strings.Join(seen, " ")
		seen = nil
		return out
	}
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(22 * time.Hour) // of the first day of the bubble's clock
		g := newGateway(t, 2000)
		defer g.log.Close(t.Context())
		g.session("In", "old", "250 ok")
		early := g.open("In")
		early.Received("EHLO early")
		time.Sleep(2 * time.Second)
		var p Progress
		seen := follow(t, g.dir, &Query{}, &p)
		expect := func(what, want string) {
			t.Helper()
			if got := seen(); got != want {
				t.Errorf("%s: saw %q, want %q", what, got, want)
			}
		}
		expect("before anything happens", "")
		g.session("In", "a", "250 ok")
		expect("a session", "a")
		early.Disconnect("Local")
		expect("a session that was open before", "early")
		var want []string
		for i := range 30 {
			g.session("In", fmt.Sprintf("n%d", i), "250 ok")
			want = append(want, fmt.Sprintf("n%d", i))
			time.Sleep(400 * time.Millisecond)
		}
		expect("over full files", strings.Join(want, " "))
		if n := len(g.files()); n < 4 {
			t.Fatalf("%d files, want some", n)
		}
		late := g.open("In")
		late.Received("EHLO late")
		time.Sleep(2 * time.Hour)
		g.session("In", "next-day", "250 ok")
		expect("over midnight, with what was quiet for long", "late next-day")
		for _, path := range g.files() {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		g.session("In", "after-removal", "250 ok")
		expect("after the files were removed", "after-removal")
		files := g.files()
		if err := os.Rename(files[len(files)-1], filepath.Join(g.dir, "moved")); err != nil {
			t.Fatal(err)
		}
		g.session("In", "after-move", "250 ok")
		g.session("In", "after-move-2", "250 ok")
		expect("after the file was moved away", "after-move after-move-2")
		if bad, places := p.Unreadable(); bad != 0 || len(p.Troubles()) != 0 {
			t.Errorf("unreadable %q, troubles %q", places, p.Troubles())
		}
	})
}

// TestFollowNothing: a log that begins later is followed from its beginning.
func TestFollowNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t, 1<<20)
		defer g.log.Close(t.Context())
		seen := follow(t, filepath.Join(g.dir), &Query{}, nil)
		if got := seen(); got != "" {
			t.Errorf("saw %q", got)
		}
		g.session("In", "first", "250 ok")
		if got := seen(); got != "first" {
			t.Errorf("saw %q, want the first session", got)
		}
	})
}

func TestFollowFilters(t *testing.T) {
	for _, c := range []struct {
		name    string
		filters Filters
		lines   bool
		want    string
	}{
		{"by connector", Filters{Connector: []string{"Out*"}}, false, "three"},
		{"by HELO", Filters{HELO: []string{"t*"}}, false, "two three"},
		{"failed", Filters{Failed: true}, false, "two"},
		{"lines of all", Filters{HELO: []string{"two"}}, true, "+ >220 edge ESMTP <EHLO two >550 5.7.1 no - two"},
		{"lines when it is known", Filters{Reply: []string{"550"}}, true, "+ >220 edge ESMTP <EHLO two >550 5.7.1 no - two"},
		{"lines when it is over", Filters{TLS: "no", Failed: true}, true, "+ >220 edge ESMTP <EHLO two >550 5.7.1 no - two"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGateway(t, 1<<20)
				defer g.log.Close(t.Context())
				q, err := c.filters.Query(time.Now())
				if err != nil {
					t.Fatal(err)
				}
				q.Lines = c.lines
				seen := follow(t, g.dir, q, nil)
				seen()
				g.session("In", "one", "250 ok")
				g.session("In", "two", "550 5.7.1 no")
				g.session("Outside", "three", "250 ok")
				if got := seen(); got != c.want {
					t.Errorf("saw %q, want %q", got, c.want)
				}
			})
		})
	}
}

// TestFollowRenamed: a file that is given a higher number is not new, and what is
// begun anew under its name is followed.
func TestFollowRenamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t, 1<<20)
		defer g.log.Close(t.Context())
		g.session("In", "old", "250 ok")
		time.Sleep(2 * time.Second)
		var p Progress
		seen := follow(t, g.dir, &Query{}, &p)
		seen()
		g.session("In", "a", "250 ok")
		seen()
		first := g.files()[0]
		moved := strings.Replace(first, "-1.", "-9.", 1)
		if err := os.Rename(first, moved); err != nil || moved == first {
			t.Fatal(err, moved)
		}
		if got := seen(); got != "" {
			t.Errorf("after the file was renamed: saw %q", got)
		}
		g.session("In", "b", "250 ok")
		if got := seen(); got != "b" {
			t.Errorf("in the renamed file, which is still written: saw %q", got)
		}
		text, err := os.ReadFile(moved)
		if err != nil {
			t.Fatal(err)
		}
		anew := strings.NewReplacer("EHLO old", "EHLO new", "#Date: 2000", "#Date: 2001").Replace(string(text))
		put(t, g.dir, filepath.Base(first), anew)
		if got := seen(); got != "new a b" {
			t.Errorf("of the file that was begun anew: saw %q", got)
		}
		if got := seen(); got != "" {
			t.Errorf("the renamed file again: saw %q", got)
		}
		if len(p.Troubles()) > 0 {
			t.Errorf("troubles %q", p.Troubles())
		}
	})
}
