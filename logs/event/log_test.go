package event

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"postern/config"
	"postern/internal/eventid"
	"postern/internal/metrics"
	"postern/logs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// paper is a writer that is read while it is written.
type paper struct {
	mu sync.Mutex
	b  strings.Builder
}

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(b)
}

func (p *paper) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.String()
}

func (p *paper) lines() []string { return split(p.String()) }

// take returns the lines, and forgets them.
func (p *paper) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.b.String()
	p.b.Reset()
	return split(s)
}

func split(s string) []string {
	s = strings.TrimSuffix(s, "\n")
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// openLog opens a log that writes to paper and is closed when the test ends.
func openLog(t testing.TB, c config.EventLog) (*Log, *paper) {
	t.Helper()
	p := new(paper)
	l := Open(Options{Config: c, Stderr: p, Host: "edge.contoso.example", Metrics: new(metrics.Registry)})
	t.Cleanup(func() { closeLog(t, l) })
	return l, p
}

func closeLog(t testing.TB, l *Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

type stringer struct{ s string }

func (s stringer) String() string { return s.s }

type bad struct{}

func (bad) MarshalText() ([]byte, error) { panic("no text") }

// TestText holds lines of text to the letter, so that scripts go on working.
func TestText(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		log        func(*slog.Logger)
	}{
		{"plain", `level=INFO msg=listening event_id=21000 area=receive binding=0.0.0.0:25`,
			func(l *slog.Logger) { l.Info("listening", eventid.Listening.Attr(), "binding", "0.0.0.0:25") }},
		{"kinds of values", `level=WARN msg="a text" area=receive i=-3 b=true d=1m30s t=2026-11-22T07:00:00.000Z f=0.5 e="not here" nil= list="a, b" s=<kim> g.k=v none=""`,
			func(l *slog.Logger) {
				l.Warn("a text", "i", -3, "b", true, "d", 90*time.Second, "t", time.Date(2026, 11, 22, 8, 0, 0, 0, time.FixedZone("", 3600)), "f", 0.5,
					"e", errors.New("not here"), "nil", nil, "list", []string{"a", "b"}, "s", stringer{"<kim>"}, slog.Group("g", "k", "v"), "none", "")
			}},
		{"peers' text", `level=ERROR msg="two\nlines" area=receive a="\x1b[2J" b="a\u202eb" c="\xff" d="x=\"y\"" e=grün f="C:\\x" g="a\u009bb"`,
			func(l *slog.Logger) {
				l.Error("two\nlines", "a", "\x1b[2J", "b", "a\u202eb", "c", "\xff", "d", `x="y"`, "e", "grün", "f", `C:\x`, "g", "a\u009bb")
			}},
		{"with and groups", `level=INFO msg=x area=receive directory=Pickup g.a=1 g.b=2`,
			func(l *slog.Logger) { l.With("directory", "Pickup").WithGroup("g").With("a", 1).Info("x", "b", 2) }},
		{"another area", `level=INFO msg=x area=dns`, func(l *slog.Logger) { l.With(eventid.AreaKey, "dns").Info("x") }},
		{"a marshaller that panics", `level=INFO msg=x area=receive a={}`, func(l *slog.Logger) { l.Info("x", "a", bad{}) }},
		{"a nil error", `level=INFO msg=x area=receive a=<nil>`, func(l *slog.Logger) { l.Info("x", "a", (*slog.Source)(nil)) }},
		{"a key of a stranger", `level=INFO msg=x area=receive "a b"=c`, func(l *slog.Logger) { l.Info("x", "a b", "c") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, p := openLog(t, config.EventLog{})
			tt.log(l.Logger(eventid.Receive))
			closeLog(t, l)
			_, got, _ := strings.Cut(strings.TrimSuffix(p.String(), "\n"), " ")
			if want := strings.Replace(tt.want, "nil= ", `nil="" `, 1); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// TestLoggersAreApart: a logger made from another does not write into its
// attributes.
func TestLoggersAreApart(t *testing.T) {
	l, p := openLog(t, config.EventLog{})
	one := l.Logger(eventid.Queue).With("a", 1).With("b", 2).With("c", 3)
	x, y := one.With("d", "x"), one.With("d", "y")
	x.Info("x", "e", 1)
	y.Info("y", "e", 2)
	x.Info("x")
	closeLog(t, l)
	for i, want := range []string{"a=1 b=2 c=3 d=x e=1", "a=1 b=2 c=3 d=y e=2", "a=1 b=2 c=3 d=x"} {
		if got := p.lines()[i]; !strings.HasSuffix(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestJSON: a line is what the files have, and comes back.
func TestJSON(t *testing.T) {
	l, p := openLog(t, config.EventLog{Format: "json"})
	l.Logger(eventid.Spool).Error("spool: damage", eventid.SpoolDamage.Attr(), "file", "a\x1b\"b\n", "offset", 7)
	closeLog(t, l)
	if got := p.lines(); len(got) != 1 || !strings.Contains(got[0], `"level":"error","event_id":23002,"area":"spool","text":"spool: damage","attributes":{"file":"a\\x1B\"b\\x0A","offset":"7"}}`) {
		t.Fatalf("%s", p)
	}
	line, err := logs.ParseEvent(p.lines()[0])
	if err != nil || line.ID != 23002 || line.Attributes.Get("file") != "a\x1b\"b\n" || time.Since(line.Time) > time.Minute {
		t.Errorf("%+v, %v", line, err)
	}
}

// TestBounds: what is logged has a size.
func TestBounds(t *testing.T) {
	l, p := openLog(t, config.EventLog{})
	var attrs []any
	for i := range 3 * maxAttributes {
		attrs = append(attrs, fmt.Sprint("k", i), strings.Repeat("x", 2*maxValue))
	}
	l.Logger(eventid.Queue).Info(strings.Repeat("y", 2*maxValue), attrs...)
	closeLog(t, l)
	if n := len(p.String()); n < maxAttributes*maxValue || n > (maxAttributes+2)*(maxValue+100) {
		t.Errorf("%d octets", n)
	}
	if !strings.Contains(p.String(), fmt.Sprintf("x[+%d octets]", maxValue)) {
		t.Error("the cut does not say how much is missing")
	}
}

// TestLevels: each area has its level, in force at once, also for loggers that
// are there already.
func TestLevels(t *testing.T) {
	l, p := openLog(t, config.EventLog{Level: "warn", Levels: map[string]string{"routing": "debug"}})
	queue, routing, none := l.Logger(eventid.Queue), l.Logger(eventid.Routing), slog.New(l.Handler())
	say := func(text string) {
		for name, logger := range map[string]*slog.Logger{"queue": queue, "routing": routing, "none": none} {
			logger.Debug(text + " debug " + name)
			logger.Info(text + " info " + name)
			logger.Warn(text + " warn " + name)
		}
	}
	say("1")
	l.Configure(config.EventLog{Level: "info"})
	say("2")
	l.Order(map[eventid.Area]slog.Level{eventid.Queue: slog.LevelDebug, eventid.Server: slog.LevelError}, 0)
	say("3")
	l.Configure(config.EventLog{Level: "error"}) // what is ordered stays
	say("4")
	l.ResetLevels(eventid.Areas()...)
	say("5")
	closeLog(t, l)
	for i, want := range []map[string]string{
		{"queue": "warn", "routing": "debug info warn", "none": "warn"},
		{"queue": "info warn", "routing": "info warn", "none": "info warn"},
		{"queue": "debug info warn", "routing": "info warn", "none": ""},
		{"queue": "debug info warn", "routing": "", "none": ""},
		{"queue": "", "routing": "", "none": ""},
	} {
		for name, levels := range want {
			for _, level := range []string{"debug", "info", "warn"} {
				text := fmt.Sprintf("%d %s %s", i+1, level, name)
				if got := strings.Contains(p.String(), text); got != strings.Contains(levels, level) {
					t.Errorf("%q was written: %v", text, got)
				}
			}
		}
	}
}

// TestOrderEnds: an order is over when its time is, which is told once.
func TestOrderEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, p := openLog(t, config.EventLog{})
		debug := l.Logger(eventid.DNS)
		ctx := context.Background()
		l.Order(map[eventid.Area]slog.Level{eventid.DNS: slog.LevelDebug}, 10*time.Minute)
		l.Order(map[eventid.Area]slog.Level{eventid.Send: slog.LevelError}, time.Hour)
		l.Order(map[eventid.Area]slog.Level{eventid.TLS: slog.LevelDebug}, 0)
		time.Sleep(10*time.Minute - time.Second)
		synctest.Wait()
		if !debug.Enabled(ctx, slog.LevelDebug) || len(p.lines()) != 0 {
			t.Errorf("ended too early: %s", p)
		}
		if a := l.Levels()[areaIndex(eventid.DNS)]; !a.Ordered || a.Level != slog.LevelDebug || a.Configured != slog.LevelInfo || time.Until(a.Until) != time.Second {
			t.Errorf("%+v", a)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if debug.Enabled(ctx, slog.LevelDebug) {
			t.Error("not ended")
		}
		if a := l.Levels()[areaIndex(eventid.DNS)]; a.Ordered || a.Level != slog.LevelInfo || !a.Until.IsZero() {
			t.Errorf("%+v", a)
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if l.Logger(eventid.Send).Enabled(ctx, slog.LevelWarn) == false || !l.Logger(eventid.TLS).Enabled(ctx, slog.LevelDebug) {
			t.Error("an order of an hour holds after a day, or an unlimited one does not")
		}
		lines := p.lines()
		if len(lines) != 2 || !strings.Contains(lines[0], "event_id=20210 area=logs areas=dns") || !strings.Contains(lines[1], "areas=send") {
			t.Errorf("%s", p)
		}
	})
}

// TestOrderAgain: a later order takes the place of an earlier one, its time too.
func TestOrderAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := openLog(t, config.EventLog{})
		dns := l.Logger(eventid.DNS)
		enabled := func() bool { synctest.Wait(); return dns.Enabled(context.Background(), slog.LevelDebug) }
		order := func(d time.Duration) { l.Order(map[eventid.Area]slog.Level{eventid.DNS: slog.LevelDebug}, d) }
		order(time.Hour)
		order(time.Minute)
		time.Sleep(time.Minute)
		if enabled() {
			t.Error("the shorter order does not end")
		}
		order(time.Minute)
		order(time.Hour)
		time.Sleep(59 * time.Minute)
		if !enabled() {
			t.Error("the longer order has ended with the shorter")
		}
		l.ResetLevels(eventid.DNS)
		if enabled() {
			t.Error("reset does nothing")
		}
		order(0)
		time.Sleep(1000 * time.Hour)
		if !enabled() {
			t.Error("an unlimited order has ended")
		}
	})
}

// TestTrouble: the latest events of some gravity are kept, newest first.
func TestTrouble(t *testing.T) {
	l, _ := openLog(t, config.EventLog{})
	logger := l.Logger(eventid.Queue)
	if got := l.Trouble(); len(got) != 0 {
		t.Errorf("%v", got)
	}
	for i := range 3*maxTrouble + 7 {
		logger.Info("not this")
		logger.Error(fmt.Sprint(i))
		got := l.Trouble()
		if len(got) != min(i+1, maxTrouble) || got[0].Text != fmt.Sprint(i) || got[len(got)-1].Text != fmt.Sprint(max(0, i+1-maxTrouble)) {
			t.Fatalf("after %d: %d, %s to %s", i, len(got), got[0].Text, got[len(got)-1].Text)
		}
	}
}

// TestAfterClose: late events harm nobody.
func TestAfterClose(t *testing.T) {
	l, p := openLog(t, config.EventLog{})
	logger := l.Logger(eventid.Queue)
	closeLog(t, l)
	logger.Error("late")
	l.Configure(config.EventLog{Format: "json"})
	closeLog(t, l)
	if p.String() != "" {
		t.Errorf("%s", p)
	}
}

// TestConcurrent is for the race detector: everything at once.
func TestConcurrent(t *testing.T) {
	l, p := openLog(t, config.EventLog{})
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			logger := l.Logger(eventid.Areas()[i])
			for n := range 200 {
				switch n % 20 {
				case 3:
					l.Configure(config.EventLog{Format: []string{"text", "json"}[n/20%2], Level: "debug"})
				case 7:
					l.Order(map[eventid.Area]slog.Level{eventid.Queue: slog.LevelDebug}, time.Duration(n)*time.Microsecond)
				case 9:
					l.Trouble()
					l.Levels()
				default:
					logger.Debug("x", "n", n)
				}
				logger.Warn("message deferred", eventid.MessageDeferred.Attr(), "host", n%10)
			}
		})
	}
	group.Wait()
	closeLog(t, l)
	if p.String() == "" {
		t.Error("nothing was written")
	}
}

// TestAreas: config knows the same areas and levels.
func TestAreas(t *testing.T) {
	var areas, levels []string
	for _, a := range eventid.Areas() {
		areas = append(areas, string(a))
	}
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		levels = append(levels, LevelName(l))
	}
	if fmt.Sprint(areas) != fmt.Sprint(config.EventAreas()) || fmt.Sprint(levels) != fmt.Sprint(config.EventLevels()) {
		t.Errorf("%v %v", areas, levels)
	}
}

// BenchmarkOff is what an event costs that nobody wants.
func BenchmarkOff(b *testing.B) {
	l := Open(Options{Stderr: io.Discard})
	defer l.Close(context.Background())
	logger := l.Logger(eventid.Routing)
	ctx := context.Background()
	b.Run("asked", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if logger.Enabled(ctx, slog.LevelDebug) {
				b.Fatal("enabled")
			}
		}
	})
	b.Run("called", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			logger.LogAttrs(ctx, slog.LevelDebug, "a routing decision", slog.String("connector", "Internet"))
		}
	})
}

// BenchmarkOn is what one costs that is written.
func BenchmarkOn(b *testing.B) {
	l := Open(Options{Stderr: io.Discard})
	defer l.Close(context.Background())
	logger := l.Logger(eventid.Control)
	b.ReportAllocs()
	for b.Loop() {
		logger.Info("control socket", eventid.ControlRequest.Attr(), "uid", 0, "pid", 12345, "request", "GET /v1/status")
	}
}
