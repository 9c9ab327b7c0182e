//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// statusOf is what `postern status` says of back pressure.
type statusOf struct {
	Queues struct {
		Messages int `json:"messages"`
	} `json:"queues"`
	BackPressure struct {
		Level     string `json:"level"`
		Resources []struct {
			Name      string `json:"name"`
			State     string `json:"state"`
			Level     string `json:"level"`
			ValueText string `json:"value_text"`
		} `json:"resources"`
	} `json:"back_pressure"`
}

func (e *edge) status(t testing.TB) (s statusOf) {
	t.Helper()
	if err := json.Unmarshal([]byte(e.must(t, "status", "--output", "json")), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// leave makes a file as large as it takes to leave so many percent of a volume
// free.
func leave(t testing.TB, volume, hog string, percent float64) {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(volume, &fs); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(hog, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	more := int64(fs.Bavail)*int64(fs.Bsize) - int64(percent/100*float64(fs.Blocks)*float64(fs.Bsize))
	if more < 0 {
		if err := f.Truncate(max(st.Size()+more, 0)); err != nil {
			t.Fatal(err)
		}
		return
	}
	for more > 0 {
		n, err := f.Write(make([]byte, min(more, 64<<10)))
		if more -= int64(n); err != nil {
			return // it is full
		}
	}
}

// pressed is a gateway on a small volume with smtp-source sending, as strangers
// and as hosts that may relay.
type pressed struct {
	*edge
	t           *testing.T
	sink        *sink
	volume, hog string
	outside     string
}

// hold keeps so many percent of the volume free until the level is as wanted,
// since the spool takes and gives meanwhile.
func (p *pressed) hold(percent float64, level string) {
	p.t.Helper()
	until(p.t, "the level "+level, func() bool {
		leave(p.t, p.volume, p.hog, percent)
		return p.status(p.t).BackPressure.Level == level
	})
}

// asks says MAIL on a new connection.
func (p *pressed) asks(addr string) reply {
	p.t.Helper()
	c := dial(p.t, addr)
	defer c.close()
	c.want(p.t, 250, "EHLO asks.example")
	r, err := c.command("MAIL FROM:<asks@contoso.example>")
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// delivers insists that deliveries go on, for as long as there is anything to
// deliver: the longer the steps of the test take, the less of the backlog is left.
func (p *pressed) delivers(n int) {
	p.t.Helper()
	had := p.sink.count()
	until(p.t, fmt.Sprintf("%d deliveries more", n), func() bool {
		return p.sink.count() >= had+n || p.status(p.t).Queues.Messages == 0
	})
}

var (
	acknowledged = regexp.MustCompile(`\[InternalId=([0-9A-Z]+),`)
	stampedID    = regexp.MustCompile(`\bid ([0-9A-Z]{13})\b`)
)

// judgeLog holds the protocol log to what was promised: every refusal is 4xx and
// says why on the line before it. It returns what was acknowledged.
func judgeLog(t *testing.T, log string) (acked map[string]bool, refusals map[string]int) {
	t.Helper()
	acked, refusals = map[string]bool{}, map[string]int{}
	before := map[string]string{} // by session
	for line := range strings.Lines(log) {
		fields := strings.SplitN(strings.TrimSpace(line), ",", 8)
		if len(fields) < 8 || strings.HasPrefix(line, "#") {
			continue
		}
		session, event, data := fields[2], fields[6], strings.TrimPrefix(fields[7], `"`)
		if event == ">" {
			if m := acknowledged.FindStringSubmatch(data); m != nil {
				acked[m[1]] = true
			}
			if data[0] >= '4' {
				why := before[session]
				limit := why[strings.LastIndex(why, ",")+1:]
				refusals[limit]++
				if !strings.HasPrefix(data, "452 4.3.1 Insufficient system resources") || limit != "limit back_pressure.disk" && limit != "limit back_pressure.segments" && limit != "limit storage" {
					t.Errorf("a refusal that is not 452, or does not name itself: %q after %q", data, why)
				}
			}
		}
		before[session] = strings.TrimSpace(line)
	}
	return acked, refusals
}

// TestPressureOnSmallVolume fills a real volume step by step under load, through
// medium, high and full, and empties it again. Every refusal is 452 and names
// itself in the log, deliveries never stop, everything that was acknowledged
// arrives, and the gateway comes back without a hand.
func TestPressureOnSmallVolume(t *testing.T) {
	t.Parallel()
	source := need(t, "smtp-source")
	volume := newVolume(t, "64m")
	p := &pressed{t: t, edge: newEdge(t), volume: volume, hog: filepath.Join(volume, "hog"), outside: freeAddr(t)}
	p.sink = newSink(t, sinkOptions{Delay: 25 * time.Millisecond}) // so that there is always something to deliver
	p.dataDir = filepath.Join(volume, "data")
	logs := filepath.Join(p.dir, "logs")
	p.top = "[queue]\nretry = [\"1s\"]\nmax_outbound_connections = 2\nmax_per_domain_outbound_connections = 2\n" +
		"[logs]\ndirectory = \"" + logs + "\"\nmax_directory_size = \"1GB\"\n[back_pressure]\ninterval = \"100ms\"\n"
	p.receive = relay + "protocol_logging = \"verbose\"\n"
	p.more = fmt.Sprintf("[[receive_connector]]\nname = \"Outside\"\nbindings = [%q]\npermission_groups = [\"anonymous\"]\nprotocol_logging = \"verbose\"\n", p.outside) + unlimited
	p.route("out", "*", p.sink.addr, "")
	g := p.serve(t)
	var sources []*process
	for _, addr := range []string{p.outside, p.addr} {
		sources = append(sources, launch(t, home(), &output{}, source, "-A", "-N", "-s", "30", "-R", "1", "-l", "20000", "-m", "1000000", "-f", "load@source.example", "-t", "m@contoso.example", "inet:"+addr))
	}
	until(t, "a backlog", func() bool { return p.status(t).Queues.Messages >= 150 })

	p.hold(8, "medium")
	if r := p.asks(p.outside); r.String() != "452 4.3.1 Insufficient system resources" {
		t.Errorf("at medium an outsider gets %v", r)
	}
	if r := p.asks(p.addr); r.code != 250 {
		t.Errorf("at medium a host that may relay gets %v", r)
	}
	p.delivers(20)
	p.hold(3, "high")
	for _, addr := range []string{p.outside, p.addr} {
		if r := p.asks(addr); r.String() != "452 4.3.1 Insufficient system resources" {
			t.Errorf("at high %s answers %v", addr, r)
		}
	}
	out := p.must(t, "status")
	if !strings.Contains(out, "Back pressure high") || !strings.Contains(out, "all mail is refused at MAIL; Pickup and Replay wait") || !strings.Contains(out, "[############|####|") {
		t.Errorf("the status is\n%s", out)
	}
	p.delivers(20)
	p.hold(0, "high") // and not an octet is free
	p.delivers(20)
	if r := p.asks(p.addr); r.code != 452 {
		t.Errorf("on a full volume the answer is %v", r)
	}
	p.hold(8, "medium")
	p.delivers(10)
	if err := os.Remove(p.hog); err != nil {
		t.Fatal(err)
	}
	until(t, "the level normal", func() bool { return p.status(t).BackPressure.Level == "normal" })
	until(t, "mail of outsiders", func() bool { return p.asks(p.outside).code == 250 })
	p.delivers(20)
	for _, s := range sources {
		s.kill()
	}
	untilWithin(t, 3*patience, "the queues to empty", func() bool { return p.status(t).Queues.Messages == 0 })
	g.stop(t)
	for _, id := range []string{"event_id=15004", "event_id=15005", "event_id=15006"} {
		if !strings.Contains(g.output.String(), id) {
			t.Errorf("no %s in the event log", id)
		}
	}

	acked, refusals := judgeLog(t, readTree(t, logs))
	arrived := map[string]bool{}
	for _, d := range p.sink.all() {
		if m := stampedID.FindSubmatch(d.Data); m != nil {
			arrived[string(m[1])] = true
		}
	}
	missing := 0
	for id := range acked {
		if !arrived[id] {
			missing++
		}
	}
	if missing > 0 || len(acked) < 200 {
		t.Errorf("%d of %d acknowledged messages did not arrive", missing, len(acked))
	}
	if refusals["limit back_pressure.disk"] < 20 {
		t.Errorf("too few refusals to say anything: %v", refusals)
	}
	t.Logf("%d messages acknowledged, %d arrived; refusals: %v", len(acked), len(arrived), refusals)
}

// readTree returns all files below a directory, one behind the other.
func readTree(t testing.TB, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// TestThresholdsThatDontFit: check refuses them, names the place and shows what
// holds; the gateway starts all the same, says so and goes by the defaults. A
// reload puts others in force.
func TestThresholdsThatDontFit(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.dataDir = filepath.Join(newVolume(t, "40m"), "data")
	e.top = "[back_pressure]\ninterval = \"100ms\"\n[back_pressure.disk]\nhigh = \"50MB free\"\n"
	s := newSink(t, sinkOptions{})
	e.route("out", "*", s.addr, "")
	e.write(t)
	code, stdout, stderr := e.postern(t, "check")
	if want := e.path() + ":7:1: high is beyond the size of the resource (" + filepath.Join(e.dataDir, "spool") + " has 40MB)"; code != 1 || !strings.Contains(stdout, want) || !strings.Contains(stdout, "is not valid: 1 error") {
		t.Errorf("check: exit code %d, want 1 and %q\n%s%s", code, want, stdout, stderr)
	}
	g := e.serve(t)
	if !strings.Contains(g.output.String(), "the thresholds of [back_pressure.disk] don't fit the resource; the defaults hold instead") {
		t.Errorf("the gateway does not say so:\n%s", g.output)
	}
	dial(t, e.addr).deliver(t, "a@x.example", "b@y.example", letter("taken"))
	s.await(t, 1)

	e.top = "[back_pressure]\ninterval = \"100ms\"\n[back_pressure.disk]\nmedium = \"39MB free\"\n"
	if code, stdout, stderr := g.reload(t); code != 0 || !strings.Contains(stdout, "back_pressure.disk.medium") {
		t.Fatalf("reload: exit code %d\n%s%s", code, stdout, stderr)
	}
	until(t, "the level medium", func() bool { return e.status(t).BackPressure.Level == "medium" })
	if out := e.must(t, "check"); !strings.Contains(strings.Join(strings.Fields(out), " "), "39MB free 2MB free 2.2MB free 39.5MB free") {
		t.Errorf("check does not show what holds:\n%s", out)
	}
	e.top = "[back_pressure]\nenabled = false\n"
	if code, _, stderr := g.reload(t); code != 0 {
		t.Fatalf("reload: %s", stderr)
	}
	until(t, "the level normal", func() bool { return e.status(t).BackPressure.Level == "normal" })
	g.stop(t)
}
