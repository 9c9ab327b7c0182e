package review

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"postern/config"
	"postern/logs"
)

// writeLogs writes sessions through the gateway's own writers, in a bubble whose
// clock goes through the time that they take. From noon of one day to noon of
// another lines are written as JSON.
func writeLogs(t *testing.T, dir string, scripts []*script, jsonFrom, jsonTo int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		byID := map[string]*script{}
		tee := func(l logs.Line) { byID[l.Session].lines = append(byID[l.Session].lines, l) }
		settings := func(d logs.Direction, format string) config.Log {
			return config.Log{Enabled: true, Directory: filepath.Join(dir, d.Kind().Layout().Directory), Format: format, MaxFileSize: 200 << 10, MaxDirectorySize: 1 << 30}
		}
		var open [2]*logs.Protocol
		for _, d := range []logs.Direction{logs.Receive, logs.Send} {
			p, err := logs.OpenProtocol(logs.Options{Kind: d.Kind(), Server: "EDGE01", Log: settings(d, "csv"), Tee: tee, OnError: func(err error) { t.Error(err) }})
			if err != nil {
				t.Fatal(err)
			}
			open[d] = p
		}
		type event struct {
			at   time.Duration
			s    *script
			step int
		}
		var all []event
		for _, s := range scripts {
			at := s.begins
			for i, st := range s.steps {
				at += st.wait
				all = append(all, event{at, s, i})
			}
		}
		slices.SortStableFunc(all, func(a, b event) int { return int(a.at - b.at) })
		var ids logs.SessionIDs
		sessions := map[*script]*logs.Session{}
		began := time.Now()
		format := "csv"
		for _, e := range all {
			time.Sleep(time.Until(began.Add(e.at)))
			now := "csv"
			if day := int((e.at + 12*time.Hour) / (24 * time.Hour)); day >= jsonFrom && day < jsonTo {
				now = "json"
			}
			if now != format {
				format = now
				for d, p := range open {
					if err := p.Configure(settings(logs.Direction(d), format)); err != nil {
						t.Fatal(err)
					}
				}
			}
			l := sessions[e.s]
			if l == nil {
				e.s.id = ids.Next()
				byID[e.s.id] = e.s
				l = open[e.s.direction].Session(e.s.connector, e.s.id, e.s.local, e.s.remote)
				sessions[e.s] = l
			}
			switch st := e.s.steps[e.step]; st.event {
			case logs.EventConnect:
				l.Connect()
			case logs.EventDisconnect:
				l.Disconnect(st.context)
			case logs.EventSent:
				l.Sent(st.data)
			case logs.EventReceived:
				l.Received(st.data)
			default:
				l.Info(st.data, st.context)
			}
		}
		for _, p := range open {
			if err := p.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, s := range scripts {
		s.start, s.end = s.lines[0].Time, s.lines[len(s.lines)-1].Time
	}
}

// compress puts the older half of the files into gzip.
func compress(t *testing.T, dir string) {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(paths, func(a, b string) int { return strings.Compare(filepath.Base(a)[4:], filepath.Base(b)[4:]) })
	for _, path := range paths[:len(paths)/2] {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+".gz", b.Bytes(), 0o640); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// claim is some filters with what they mean, told by the facts of a script.
type claim struct {
	name string
	set  func(*Filters)
	is   func(*script) bool
}

func claims(now time.Time) []claim {
	say := func(list []string, f func(string) bool) bool { return slices.ContainsFunc(list, f) }
	folded := strings.EqualFold
	day := func(n int) time.Time {
		d := now.AddDate(0, 0, -n)
		return time.Date(d.Year(), d.Month(), d.Day(), 0, 0, 0, 0, now.Location())
	}
	overlaps := func(s *script, from, to time.Time) bool { return !s.end.Before(from) && s.start.Before(to) }
	reply := func(f func(code, status string) bool) func(*script) bool {
		return func(s *script) bool {
			return say(s.replies, func(r string) bool {
				fields := strings.Fields(r[4:] + " -")
				return f(r[:3], fields[0])
			})
		}
	}
	return []claim{
		{"since-hours", func(f *Filters) { f.Since = "30h" }, func(s *script) bool { return overlaps(s, now.Add(-30*time.Hour), now.AddDate(1, 0, 0)) }},
		{"until-days", func(f *Filters) { f.Until = "20d" }, func(s *script) bool { return s.start.Before(now.Add(-480 * time.Hour)) }},
		{"on-day", func(f *Filters) { f.On = day(9).Format("2006-01-02") }, func(s *script) bool { return overlaps(s, day(9), day(8)) }},
		{"yesterday", func(f *Filters) { f.On = "yesterday" }, func(s *script) bool { return overlaps(s, day(1), day(0)) }},
		{"window", func(f *Filters) {
			f.Since, f.Until = day(14).Format("2006-01-02")+" 09:30", day(13).Format("2006-01-02T15:04")
		}, func(s *script) bool { return overlaps(s, day(14).Add(9*time.Hour+30*time.Minute), day(13)) }},
		{"connector", func(f *Filters) { f.Connector = []string{"from internet"} }, func(s *script) bool { return s.connector == "From Internet" }},
		{"connector-server", func(f *Filters) { f.Connector = []string{`EDGE01\Submission`} }, func(s *script) bool { return s.connector == "Submission" }},
		{"connectors", func(f *Filters) { f.Connector = []string{"Partner*", "*comma"} }, func(s *script) bool { return s.connector[0] == 'P' || strings.Contains(s.connector, ",") }},
		{"receive", func(f *Filters) { f.Direction = "receive" }, func(s *script) bool { return s.direction == logs.Receive }},
		{"send", func(f *Filters) { f.Direction = "send" }, func(s *script) bool { return s.direction == logs.Send }},
		{"peer", func(f *Filters) {
			f.Peer = []string{"198.51.100.7", "198.51.101.0/28", "198.51.102.200-198.51.102.220"}
		}, func(s *script) bool {
			a := s.remote.Addr()
			b := a.As16()
			return a.Is4() && (b[14] == 100 && b[15] == 7 || b[14] == 101 && b[15] < 16 || b[14] == 102 && b[15] >= 200 && b[15] <= 220)
		}},
		{"peer6", func(f *Filters) { f.Peer = []string{"2001:db8::/124"} }, func(s *script) bool { return s.remote.Addr().Is6() }},
		{"helo", func(f *Filters) { f.HELO = []string{"MX.Fabrikam.example"} }, func(s *script) bool { return s.helo == "mx.fabrikam.example" }},
		{"helo-pattern", func(f *Filters) { f.HELO = []string{"*.northwind.*", "[*"} }, func(s *script) bool { return strings.Contains(s.helo, "northwind") || strings.HasPrefix(s.helo, "[") }},
		{"from", func(f *Filters) { f.From = []string{"ann@fabrikam.example"} }, func(s *script) bool {
			return say(s.froms, func(a string) bool { return folded(a, "Ann@Fabrikam.example") })
		}},
		{"from-null", func(f *Filters) { f.From = []string{"<>"} }, func(s *script) bool { return slices.Contains(s.froms, "") }},
		{"from-domain", func(f *Filters) { f.From = []string{"contoso.example"} }, func(s *script) bool {
			return say(s.froms, func(a string) bool { return strings.HasSuffix(strings.ToLower(a), "@contoso.example") })
		}},
		{"from-below", func(f *Filters) { f.From = []string{"*.northwind.example", `"odd, name"@*`} }, func(s *script) bool {
			return say(s.froms, func(a string) bool { return strings.HasSuffix(a, "northwind.example") || a != "" && a[0] == '"' })
		}},
		{"to", func(f *Filters) { f.To = []string{"kim@contoso.example"} }, func(s *script) bool {
			return say(s.tos, func(a string) bool { return folded(a, "kim@contoso.example") })
		}},
		{"to-below", func(f *Filters) { f.To = []string{"*.contoso.example"} }, func(s *script) bool {
			return say(s.tos, func(a string) bool {
				a = strings.ToLower(a)
				return strings.HasSuffix(a, "@contoso.example") || strings.HasSuffix(a, ".contoso.example")
			})
		}},
		{"to-pattern", func(f *Filters) { f.To = []string{"*k@*"} }, func(s *script) bool {
			return say(s.tos, func(a string) bool { return strings.Contains(a, "k@") })
		}},
		{"reply-class", func(f *Filters) { f.Reply = []string{"4xx"} }, reply(func(code, _ string) bool { return code[0] == '4' })},
		{"reply-code", func(f *Filters) { f.Reply = []string{"554", "421"} }, reply(func(code, _ string) bool { return code == "554" || code == "421" })},
		{"reply-status", func(f *Filters) { f.Reply = []string{"5.7.*"} }, reply(func(_, status string) bool { return strings.HasPrefix(status, "5.7.") })},
		{"reply-exact", func(f *Filters) { f.Reply = []string{"4.3.1"} }, reply(func(_, status string) bool { return status == "4.3.1" })},
		{"text", func(f *Filters) { f.Text = "UNABLE to relay" }, func(s *script) bool { return s.says("unable to relay") }},
		{"text-context", func(f *Filters) { f.Text = "connection lost" }, func(s *script) bool { return s.says("connection lost") }},
		{"text-odd", func(f *Filters) { f.Text = `temp, "quoted"` }, func(s *script) bool { return s.says(`temp, "quoted"`) }},
		{"text-control", func(f *Filters) { f.Text = "\u00e9 \x1b[31m" }, func(s *script) bool { return s.says("\u00e9 \x1b[31m") }},
		{"text-formula", func(f *Filters) { f.Text = "=cmd|" }, func(s *script) bool { return s.says("=cmd|") }},
		{"text-backslash", func(f *Filters) { f.Text = `\x41\temp` }, func(s *script) bool { return s.says(`\x41\temp`) }},
		{"tls", func(f *Filters) { f.TLS = "yes" }, func(s *script) bool { return s.tls != "" }},
		{"clear", func(f *Filters) { f.TLS = "no" }, func(s *script) bool { return s.tls == "" }},
		{"tls-version", func(f *Filters) { f.TLS = "1.2" }, func(s *script) bool { return strings.HasPrefix(s.tls, "TLS1.2 ") }},
		{"duration", func(f *Filters) { f.MinDuration = "11s" }, func(s *script) bool { return s.end.Sub(s.start) >= 11*time.Second }},
		{"duration-long", func(f *Filters) { f.MinDuration = "1h" }, func(s *script) bool { return s.end.Sub(s.start) >= time.Hour }},
		{"user", func(f *Filters) { f.User = []string{"Scanner"} }, func(s *script) bool { return s.user == "scanner" }},
		{"failed", func(f *Filters) { f.Failed = true }, func(s *script) bool { return s.outcome != Accepted && s.outcome != NoMail }},
	}
}

// says tells whether a line of the script has some text, in any case.
func (s *script) says(text string) bool {
	return slices.ContainsFunc(s.steps, func(st step) bool {
		return strings.Contains(strings.ToLower(st.data), text) || strings.Contains(strings.ToLower(st.context), text)
	})
}

// same compares a session that was found with what was written.
func (s *script) same(t interface{ Errorf(string, ...any) }, got *Session) {
	distinctOf := func(list []string) []string {
		var d distinct
		for _, s := range list {
			d.add(s)
		}
		return d.items
	}
	connector := s.connector
	if s.direction == logs.Receive {
		connector = `EDGE01\` + connector
	}
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"direction", got.Direction, s.direction}, {"connector", got.Connector, connector}, {"start", got.Start, s.start}, {"end", got.End, s.end},
		{"remote", got.Remote, s.remote}, {"local", got.Local, s.local}, {"helo", got.HELO, s.helo}, {"tls", got.TLS, s.tls}, {"user", got.User, s.user},
		{"senders", fmt.Sprintf("%q", got.Senders()), fmt.Sprintf("%q", distinctOf(s.froms))},
		{"recipients", fmt.Sprintf("%q", got.Recipients()), fmt.Sprintf("%q", distinctOf(s.tos))},
		{"queue ids", fmt.Sprintf("%q", got.QueueIDs()), fmt.Sprintf("%q", distinctOf(s.queueIDs))},
		{"outcome", got.Outcome, s.outcome}, {"open", got.Open, s.endless}, {"lines", got.LineCount, len(s.steps)}, {"missing", got.Missing, 0},
		{"headless", got.Headless, false}, {"omitted", got.Omitted, false},
	} {
		if c.got != c.want {
			t.Errorf("session %s: %s = %v, want %v", s.id, c.what, c.got, c.want)
		}
	}
	if got.Lines != nil && !slices.Equal(got.Lines, s.lines) {
		t.Errorf("session %s: lines differ from those written:\n%v\n%v", s.id, got.Lines, s.lines)
	}
}

// check reads sessions back and compares them with those that were written.
func check(t interface {
	Errorf(string, ...any)
	Fatalf(string, ...any)
}, files *Files, scripts []*script, f Filters, now time.Time, is func(*script) bool, lines bool) int {
	q, err := f.Query(now)
	if err != nil {
		t.Fatalf("%+v: %v", f, err)
	}
	q.Lines = lines
	want := map[string]*script{}
	for _, s := range scripts {
		if is(s) {
			want[s.id] = s
		}
	}
	var p Progress
	n, last := len(want), time.Time{}
	for s, err := range files.Sessions(context.Background(), q, &p) {
		if err != nil {
			t.Fatalf("%+v: %v", f, err)
		}
		if !last.IsZero() && s.Start.After(last) {
			t.Errorf("%+v: session %s of %v comes behind one of %v", f, s.ID, s.Start, last)
		}
		last = s.Start
		w := want[s.ID]
		if w == nil {
			t.Errorf("%+v: session %s should not be there, or is there twice", f, s.ID)
			continue
		}
		delete(want, s.ID)
		w.same(t, s)
	}
	for id := range want {
		t.Errorf("%+v: session %s is missing", f, id)
	}
	if bad, places := p.Unreadable(); bad > 0 || len(p.Troubles()) > 0 {
		t.Errorf("%+v: %d unreadable lines at %v, troubles %v", f, bad, places, p.Troubles())
	}
	return n
}

// planted adds sessions whose facts only they have.
func planted(over time.Duration) []*script {
	r := rand.New(rand.NewPCG(7, 7))
	internet := func(at time.Duration) *dialog {
		s := &script{begins: at, direction: logs.Receive, connector: "From Internet", local: netip.MustParseAddrPort("192.0.2.10:25"),
			remote: netip.MustParseAddrPort("203.0.113.99:4711"), outcome: NoMail}
		d := &dialog{s, r}
		d.step(logs.EventConnect, "", "")
		d.server("220 edge.contoso.example ESMTP")
		return d
	}
	refused := internet(over / 3)
	refused.ehlo("planted.helo.example")
	refused.froms, refused.tos = []string{"planted@sender.example"}, []string{"planted@contoso.example"}
	refused.client("MAIL FROM:<planted@sender.example>")
	refused.server("250 2.1.0 Sender OK")
	refused.client("RCPT TO:<planted@contoso.example>")
	refused.server("550 5.7.99 Planted reason")
	refused.note(false)
	refused.close()

	// A day and a half of keeping a connection open, over many files.
	long := internet(over / 2)
	long.ehlo("long.example")
	for range 200 {
		long.client("NOOP")
		long.pause(11 * time.Minute)
		long.server("250 2.0.0 OK")
	}
	long.froms, long.tos = []string{"late@sender.example"}, []string{"kim@contoso.example"}
	long.client("MAIL FROM:<late@sender.example>")
	long.server("250 2.1.0 Sender OK")
	long.client("RCPT TO:<kim@contoso.example>")
	long.server("250 2.1.5 Recipient OK")
	long.close()
	return []*script{refused.script, long.script}
}

// TestMonth writes a month of mixed traffic and reads it back by every filter and
// by combinations of them.
func TestMonth(t *testing.T) {
	const days = 30
	dir := t.TempDir()
	scripts := append(traffic(2026, 800, days*24*time.Hour), planted(days*24*time.Hour)...)
	writeLogs(t, dir, scripts, 12, 19)
	compress(t, dir)
	var end time.Time
	for _, s := range scripts {
		end = later(end, s.end)
	}
	// The administrator is east of Greenwich.
	now := end.Add(time.Minute).In(time.FixedZone("", 2*3600))
	files, err := At(dir)
	if err != nil {
		t.Fatal(err)
	}
	check(t, files, scripts, Filters{}, now, func(*script) bool { return true }, true)
	all := claims(now)
	for _, c := range all {
		var f Filters
		c.set(&f)
		if n := check(t, files, scripts, f, now, c.is, false); n == 0 || n == len(scripts) {
			t.Errorf("%s: %d of %d sessions: the filter shows nothing", c.name, n, len(scripts))
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	some := 0
	for range 40 {
		a, b := all[r.IntN(len(all))], all[r.IntN(len(all))]
		var f, other Filters
		a.set(&f)
		b.set(&other)
		if !merge(&f, &other) {
			continue
		}
		if n := check(t, files, scripts, f, now, func(s *script) bool { return a.is(s) && b.is(s) }, false); n > 0 {
			some++
		}
	}
	if some < 8 {
		t.Errorf("only %d combinations of filters found anything", some)
	}
	for _, f := range []Filters{
		{From: []string{"planted@sender.example"}}, {To: []string{"planted@contoso.example"}}, {Reply: []string{"5.7.99"}}, {HELO: []string{"planted.helo.*"}},
		{Text: "planted REASON"}, {Peer: []string{"203.0.113.0/24"}, Failed: true}, {MinDuration: "10h", From: []string{"late@sender.example"}},
	} {
		if n := check(t, files, scripts, f, now, func(s *script) bool {
			return s.helo == "planted.helo.example" && f.MinDuration == "" || s.helo == "long.example" && f.MinDuration != ""
		}, true); n != 1 {
			t.Errorf("%+v found %d sessions, want the planted one", f, n)
		}
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// merge puts two filters together, if they don't say two things of one.
func merge(f, o *Filters) bool {
	text := func(a *string, b string) bool {
		if *a != "" && b != "" {
			return false
		}
		*a += b
		return true
	}
	list := func(a *[]string, b []string) bool {
		if *a != nil && b != nil {
			return false
		}
		*a = append(*a, b...)
		return true
	}
	if (f.On != "" && o.Since+o.Until != "") || (o.On != "" && f.Since+f.Until != "") || f.Since != "" && o.Until != "" || f.Until != "" && o.Since != "" {
		return false
	}
	f.Failed = f.Failed || o.Failed
	return text(&f.Since, o.Since) && text(&f.Until, o.Until) && text(&f.On, o.On) && text(&f.Direction, o.Direction) && text(&f.Text, o.Text) &&
		text(&f.TLS, o.TLS) && text(&f.MinDuration, o.MinDuration) && list(&f.Connector, o.Connector) && list(&f.Peer, o.Peer) && list(&f.HELO, o.HELO) &&
		list(&f.From, o.From) && list(&f.To, o.To) && list(&f.Reply, o.Reply) && list(&f.User, o.User)
}

// TestTraffic writes days of traffic that rapid chooses and reads them back.
func TestTraffic(t *testing.T) {
	if testing.Short() {
		t.Skip("writes logs for each trial")
	}
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		if n++; n > 8 {
			return // each trial writes and reads files; so many are enough
		}
		hours := rapid.IntRange(1, 60).Draw(r, "hours")
		scripts := traffic(rapid.Uint64().Draw(r, "seed"), rapid.IntRange(1, 120).Draw(r, "sessions"), time.Duration(hours)*time.Hour)
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		writeLogs(t, dir, scripts, rapid.IntRange(0, 3).Draw(r, "from"), rapid.IntRange(0, 3).Draw(r, "to"))
		files, err := At(dir)
		if err != nil {
			t.Fatal(err)
		}
		now := scripts[len(scripts)-1].end.Add(time.Hour)
		check(t, files, scripts, Filters{}, now, func(*script) bool { return true }, true)
		all := claims(now)
		c := all[rapid.IntRange(0, len(all)-1).Draw(r, "claim")]
		var f Filters
		c.set(&f)
		check(t, files, scripts, f, now, c.is, false)
	})
}
