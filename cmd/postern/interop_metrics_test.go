//go:build linux

package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// watched is a gateway that everything a gateway counts has happened to.
type watched struct {
	*edge
	gateway          *gateway
	strangers, full  string // addresses
	metrics          string
	up, down, broken *sink
}

// scanner is the user "scanner" with the password "pencil" (RFC 7677 3).
const scanner = `
[[user]]
name = "scanner"
password_hash = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
`

func newWatched(t *testing.T) *watched {
	t.Helper()
	w := &watched{edge: newEdge(t), strangers: freeAddr(t), full: freeAddr(t), metrics: freeAddr(t)}
	cert := newCertificate(t, tempDir(t), "sink.example")
	w.up = newSink(t, sinkOptions{TLS: cert.server()})
	w.down = newSink(t, sinkOptions{})
	w.down.close()
	w.broken = newSink(t, sinkOptions{TLS: cert.server(), BreakTLS: true})
	w.route("Up", "up.example", w.up.addr, "tls = \"required\"\ntls_auth_level = \"encryption_only\"\n")
	w.route("Down", "down.example", w.down.addr, "")
	w.route("Broken", "broken.example", w.broken.addr, "tls = \"required\"\ntls_auth_level = \"encryption_only\"\n")
	w.top = fmt.Sprintf("[metrics]\naddress = %q\n", w.metrics) + scanner
	w.more = fmt.Sprintf(`
[[receive_connector]]
name = "Strangers"
bindings = [%q]
permission_groups = ["anonymous", "users"]
auth_mechanism = ["tls", "basic"]
tarpit_interval = "100ms"
auth_tarpit_interval = "100ms"

[[receive_connector]]
name = "Full"
bindings = [%q]
max_inbound_connection_per_source = 1
protocol_logging = "verbose"
`, w.strangers, w.full)
	w.gateway = w.serve(t)
	return w
}

// happen makes everything happen.
func (w *watched) happen(t *testing.T) {
	t.Helper()
	c := dial(t, w.addr)
	for _, to := range []string{"b@up.example", "b@down.example", "b@broken.example", "b@nowhere.example"} {
		c.deliver(t, "kim@contoso.example", to, letter("counted"))
	}
	s := dial(t, w.strangers)
	s.startTLS(t)
	s.want(t, 535, plain("scanner", "wrong"))
	s.want(t, 235, plain("scanner", "pencil"))
	s.close()
	s = dial(t, w.strangers)
	s.want(t, 250, "EHLO relay.example")
	s.want(t, 250, "MAIL FROM:<a@relay.example>")
	s.want(t, 550, "RCPT TO:<b@elsewhere.example>")
	s.want(t, 500, "NONSENSE")
	first := dial(t, w.full)
	first.want(t, 250, "NOOP")
	second, err := net.Dial("tcp", w.full)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if line, err := bufio.NewReader(second).ReadString('\n'); err != nil || !strings.HasPrefix(line, "421 ") {
		t.Fatalf("a second connection: %q, %v", line, err)
	}
	w.up.await(t, 1)
	until(t, "two deferrals, and lines that are written", func() bool {
		m := w.scrape(t)
		return m.value(`postern_log_lines_total{log="receive"}`) > 0 &&
			m.value(`postern_queue_recipients_total{outcome="deferred"}`) >= 2 && m.value(`postern_queue_recipients_total{outcome="delivered"}`) >= 1
	})
}

// scraped is what GET /metrics answered: the text, and its samples.
type scraped struct {
	text    string
	kinds   map[string]string // by family
	helps   map[string]string
	labels  map[string]string   // by family, those that a series has, sorted, with commas
	samples map[string]float64  // by name and labels as they stand there
	names   map[string][]string // of series, by the name of a sample
}

func (m *scraped) value(series string) float64 { return m.samples[series] }

var sample = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})? ([0-9.e+-]+|\+Inf)$`)
var labelPair = regexp.MustCompile(`([a-z_]+)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"`)

// parseMetrics reads the text format and holds it to its rules: a HELP and a TYPE
// before the samples of a family, no sample twice, no family in two pieces.
func parseMetrics(t *testing.T, text string) *scraped {
	t.Helper()
	m := &scraped{text: text, kinds: map[string]string{}, helps: map[string]string{}, labels: map[string]string{}, samples: map[string]float64{}, names: map[string][]string{}}
	family := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, help, _ := strings.Cut(rest, " ")
			if m.helps[name] != "" || help == "" {
				t.Errorf("the help of %s is %q", name, help)
			}
			m.helps[name], family = help, name
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			if name != family || m.kinds[name] != "" {
				t.Errorf("%s stands behind the help of %s", line, family)
			}
			m.kinds[name] = kind
			continue
		}
		parts := sample.FindStringSubmatch(line)
		if parts == nil {
			t.Errorf("no sample: %q", line)
			continue
		}
		base := parts[1]
		if m.kinds[family] == "histogram" {
			base = regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(base, "")
		}
		series, _, _ := strings.Cut(line, "} ")
		if strings.Contains(line, "{") {
			series += "}"
		} else {
			series = parts[1]
		}
		v, err := strconv.ParseFloat(parts[3], 64)
		if _, twice := m.samples[series]; base != family || twice || err != nil {
			t.Errorf("%q in the family %s, twice %v, %v", line, family, twice, err)
		}
		m.samples[series] = v
		m.names[parts[1]] = append(m.names[parts[1]], series)
		var labels []string
		for _, l := range labelPair.FindAllStringSubmatch(parts[2], -1) {
			if l[1] != "le" {
				labels = append(labels, l[1])
			}
		}
		m.labels[family] = strings.Join(labels, ", ")
	}
	return m
}

// scrape asks the address of [metrics].
func (w *watched) scrape(t *testing.T) *scraped {
	t.Helper()
	status, text := get(t, &http.Client{Timeout: patience}, "http://"+w.metrics+"/metrics")
	if status != http.StatusOK {
		t.Fatalf("GET /metrics: %d\n%s", status, text)
	}
	return parseMetrics(t, text)
}

func get(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestMetrics: what happened is counted, once, and the same everywhere; the
// judge is Prometheus itself.
func TestMetrics(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.happen(t)
	m := w.scrape(t)
	for series, want := range map[string]float64{
		`postern_receive_connections_total{connector="Strangers"}`:                                               2,
		`postern_receive_connections_refused_total{connector="Full",reason="max_inbound_connection_per_source"}`: 1,
		`postern_receive_messages_total{connector="In"}`:                                                         4,
		`postern_receive_logons_total{connector="Strangers"}`:                                                    1,
		`postern_receive_logon_failures_total{connector="Strangers"}`:                                            1,
		`postern_receive_replies_total{verb="AUTH",class="5xx"}`:                                                 1,
		`postern_receive_replies_total{verb="other",class="5xx"}`:                                                1,
		`postern_receive_replies_total{verb="DATA",class="3xx"}`:                                                 4,
		`postern_receive_replies_total{verb="DATA",class="2xx"}`:                                                 4,
		`postern_receive_replies_total{verb="RCPT",class="5xx"}`:                                                 1,
		`postern_receive_sessions{connector="Full"}`:                                                             1,
		`postern_tls_handshakes_total{direction="receive",version="1.3",result="success"}`:                       1,
		`postern_tls_handshakes_total{direction="send",version="1.3",result="success"}`:                          1,
		`postern_tls_handshakes_total{direction="send",version="none",result="failure"}`:                         1,
		`postern_send_messages_total{connector="Up"}`:                                                            1,
		`postern_send_recipients_total{connector="Up"}`:                                                          1,
		`postern_send_connections_opened_total{connector="Up"}`:                                                  1,
		`postern_send_connections_failed_total{connector="Down",phase="connect"}`:                                1,
		`postern_send_connections_failed_total{connector="Broken",phase="tls"}`:                                  1,
		`postern_queue_messages_submitted_total`:                                                                 4,
		`postern_queue_messages`:                                                                                 3,
		`postern_queue_unreachable`:                                                                              1,
		`postern_queues{status="retry"}`:                                                                         1,
		`postern_delivery_latency_seconds_count{connector="Up"}`:                                                 1,
		`postern_delivery_latency_seconds_bucket{connector="Up",le="+Inf"}`:                                      1,
		`postern_receive_bindings{state="listening"}`:                                                            3,
		`postern_receive_bindings{state="failed"}`:                                                               0,
		`postern_spool_no_space`:                                                                                 0,
		`postern_configuration_refused`:                                                                          0,
		`postern_back_pressure_level`:                                                                            0,
		`postern_receive_limits_total{connector="Full",limit="max_inbound_connection_per_source"}`:               1,
	} {
		if got, there := m.samples[series]; !there || got != want && !(series == `postern_queues{status="retry"}` && got >= want) {
			t.Errorf("%s is %v (there: %v), want %v", series, got, there, want)
		}
	}
	size := float64(4 * len(letter("counted")))
	for series, most := range map[string]float64{
		`postern_receive_bytes_total{connector="In"}`: size, `postern_send_bytes_total{connector="Up"}`: size, `process_resident_memory_bytes`: 1 << 34,
		`process_open_fds`: 1 << 20, `go_goroutines`: 10000, `process_cpu_seconds_total`: 1000, `postern_spool_sync_seconds_count`: 1000,
		`postern_receive_tarpit_seconds_total{connector="Strangers"}`: 60, `postern_receive_tarpits_total{connector="Strangers"}`: 60, `postern_log_lines_total{log="receive"}`: 1e6,
	} {
		if got := m.value(series); got <= 0 || got > most {
			t.Errorf("%s is %v", series, got)
		}
	}
	for _, s := range m.names["postern_build_info"] {
		if !strings.Contains(s, `version="0.`) || !strings.Contains(s, `goversion="go1.`) {
			t.Errorf("%s", s)
		}
	}
	for name := range m.kinds {
		if !strings.HasPrefix(name, "postern_") && !strings.HasPrefix(name, "process_") && !strings.HasPrefix(name, "go_") {
			t.Errorf("%s is in nobody's name", name)
		}
	}
	if strings.Contains(m.text, "127.0.0.1") || strings.Contains(m.text, "up.example") || strings.Contains(m.text, "scanner") {
		t.Errorf("an address, a domain or a name is a label:\n%s", m.text)
	}

	// The same over the control socket, by both ways to ask.
	socket := &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(w.dataDir, "control.sock"))
	}}}
	_, overSocket := get(t, socket, "http://localhost/metrics")
	for what, text := range map[string]string{"the control socket": overSocket, "the command": w.must(t, "metrics")} {
		other := parseMetrics(t, text)
		for name, kind := range m.kinds {
			if other.kinds[name] != kind || len(other.names[name]) != len(m.names[name]) {
				t.Errorf("%s: %s is a %q with %v", what, name, other.kinds[name], other.names[name])
			}
		}
	}
	var families []struct {
		Name, Kind, Help string
		Series           []struct{ Value float64 }
	}
	if err := json.Unmarshal([]byte(w.must(t, "metrics", "--output", "json")), &families); err != nil || len(families) != len(m.kinds) {
		t.Errorf("%d families as JSON, %v", len(families), err)
	}

	// A reload moves the address without a restart, and a refused one is a figure.
	old := w.metrics
	w.metrics = freeAddr(t)
	w.top = strings.Replace(w.top, old, w.metrics, 1)
	w.write(t)
	if code, out, errors := w.gateway.reload(t); code != 0 {
		t.Fatalf("reload: %s%s", out, errors)
	}
	w.scrape(t)
	if c, err := net.DialTimeout("tcp", old, time.Second); err == nil {
		c.Close()
		t.Error("the old address still answers")
	}
	w.top += "nonsense = 1\n"
	w.write(t)
	w.gateway.hup(t)
	until(t, "the refusal of a file with an unknown key", func() bool { return w.scrape(t).value("postern_configuration_refused") == 1 })

	promtool := need(t, "promtool")
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(m.text)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// TestMetricsOfThePage: docs/monitoring.md names every metric with its kind and
// labels, and none that is not there.
func TestMetricsOfThePage(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.happen(t)
	m := w.scrape(t)
	page, err := os.ReadFile("../../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, r := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (counter|gauge|histogram) \\| ([a-z, ]*) ?\\| .+ \\|$").FindAllStringSubmatch(string(page), -1) {
		rows[r[1]] = r[2] + " " + strings.TrimSpace(r[3])
	}
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range m.kinds {
			if !yield(name) {
				return
			}
		}
	}) {
		if want := m.kinds[name] + " " + m.labels[name]; rows[name] != want {
			t.Errorf("the page says %q of %s, want\n| `%s` | %s | %s | %s |", rows[name], name, name, m.kinds[name], m.labels[name], m.helps[name])
		}
		delete(rows, name)
	}
	for name := range rows {
		t.Errorf("the page names %s, which is not there", name)
	}
}
