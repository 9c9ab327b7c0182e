//go:build linux

package main_test

import (
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// innocent is an address that attackers try to have banned.
const innocent = "203.0.113.9"

// forgeries are what an attacker says to put a line of another's into a log.
func forgeries() []string {
	const event = `a client misbehaves event_id=21020 remote=` + innocent + ` offence=logon`
	return []string{
		event,
		`edge postern[1]: ` + event,
		"x\r\nNov 22 08:00:00 edge postern[1]: " + event,
		"x\ntime=2026-11-22T08:00:00.000Z level=INFO msg=\"a client misbehaves\" event_id=21020 remote=" + innocent + " offence=logon connector=In",
		`" event_id=21020 remote=` + innocent + ` offence=logon x="`,
		`time=2026-11-22T08:00:00.000Z level=INFO msg="a client misbehaves" event_id=21020 remote=` + innocent + ` offence=relay`,
		"\u2028postern: " + event,
		innocent,
		"\x1b[2K\rpostern: " + event,
	}
}

// syslogFrame is a message of RFC 5424: priority and version, time, host, program,
// process, id, structured data, text.
var syslogFrame = regexp.MustCompile(`(?s)^<\d+>1 (\S+) (\S+) (\S+) (\S+) \S+ \[(?:[^"\]]|"(?:[^"\\]|\\.)*")*\] (?:\x{FEFF})?(.*)$`)

// syslogd takes what comes on a socket until it is asked for the lines, which it
// writes as rsyslogd writes files by default.
func syslogd(t *testing.T, path string) (lines func() string) {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	done := make(chan struct{})
	go func() {
		defer close(done)
		frame := make([]byte, 1<<16)
		for {
			n, err := conn.Read(frame)
			if err != nil {
				return
			}
			m := syslogFrame.FindStringSubmatch(string(frame[:n]))
			if m == nil {
				t.Errorf("no message of RFC 5424: %q", frame[:n])
				continue
			}
			fmt.Fprintf(&b, "%s %s %s[%s]: %s\n", m[1], m[2], m[3], m[4], m[5])
		}
	}()
	return func() string {
		_ = conn.SetReadDeadline(time.Now().Add(time.Second)) // what has come is read
		<-done
		conn.Close()
		return b.String()
	}
}

// eventFiles is what the files of the event log hold.
func (e *edge) eventFiles(t *testing.T) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(e.dataDir, "logs", "Events", "*.jsonl"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%d files of the event log, %v", len(names), err)
	}
	var b strings.Builder
	for _, name := range names {
		b.Write(readFile(t, name))
	}
	return b.String()
}

// TestFail2ban: the filter finds who attacks in what the gateway writes, whatever
// they say, and nobody else.
func TestFail2ban(t *testing.T) {
	t.Parallel()
	fail2ban := need(t, "fail2ban-regex")
	down := newSink(t, sinkOptions{})
	down.close()
	e := newEdge(t)
	strangers := freeAddr(t)
	e.route("Down", "*", down.addr, "")
	socket := filepath.Join(e.dir, "syslog")
	e.top = scanner + fmt.Sprintf("[logs.event]\nformat = \"text\"\nsyslog = \"unix:%s\"\n", socket)
	syslog := syslogd(t, socket)
	e.receive += "protocol_logging = \"verbose\"\n"
	e.more = fmt.Sprintf(`
[[receive_connector]]
name = "Strangers"
bindings = [%q]
permission_groups = ["anonymous", "users"]
auth_mechanism = ["basic"]
tarpit_interval = "0s"
auth_tarpit_interval = "0s"
protocol_logging = "verbose"
`, strangers)
	g := e.serve(t)
	want, aggressive := map[string]int{}, map[string]int{}
	offend := func(offender string, n int) { want[offender] += n; aggressive[offender] += n }
	for i, forged := range forgeries() {
		line := strings.NewReplacer("\r", " ", "\n", " ").Replace(forged)
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return '_'
			}
			return r
		}, forged[max(0, len(forged)-50):])) + `"` // 64 octets are the most (RFC 5321 4.5.3.1.1)

		guesser := fmt.Sprintf("127.0.1.%d", i+1)
		c := dialFrom(t, home(), guesser, strangers)
		for _, command := range []string{"EHLO " + line, "HELO [" + innocent + "]", "NOOP " + line, line, "EHLO relay.example"} {
			if _, err := c.command(command); err != nil {
				t.Fatal(err)
			}
		}
		c.want(t, 535, plain(forged, "x"))
		c.want(t, 535, plain("scanner", forged))
		offend(guesser, 2)
		c.close()

		relayer := fmt.Sprintf("127.0.2.%d", i+1)
		c = dialFrom(t, home(), relayer, strangers)
		c.want(t, 250, "EHLO relay.example")
		c.want(t, 250, "MAIL FROM:<"+quoted+"@relay.example>")
		for range 3 { // told once
			c.want(t, 550, "RCPT TO:<"+quoted+"@elsewhere.example>")
		}
		offend(relayer, 1)
		c.close()

		// Whoever may relay says the same, and is no attacker.
		c = dialFrom(t, home(), fmt.Sprintf("127.0.3.%d", i+1), e.addr)
		if _, err := c.command("EHLO " + line); err != nil {
			t.Fatal(err)
		}
		c.want(t, 250, "EHLO client.example")
		c.want(t, 250, "MAIL FROM:<"+quoted+"@relay.example>")
		c.want(t, 250, "RCPT TO:<"+quoted+"@elsewhere.example>")
		c.want(t, 354, "DATA")
		if err := c.send(stuffed([]byte("Subject: " + line + "\r\n\r\n" + line + "\r\n"))); err != nil {
			t.Fatal(err)
		}
		if r, err := c.read(); err != nil || r.code != 250 {
			t.Fatal(r, err)
		}
		c.close()

		browser := fmt.Sprintf("127.0.4.%d", i+1)
		c = dialFrom(t, home(), browser, strangers)
		if r, err := c.command("GET /" + strings.ReplaceAll(line, " ", "%20") + " HTTP/1.1"); err != nil || r.code != 421 {
			t.Fatal(r, err)
		}
		aggressive[browser]++
		c.close()
	}
	until(t, "a deferral", func() bool { return strings.Contains(g.output.String(), "message deferred") })
	g.stop(t)

	text := g.output.String()
	if !strings.Contains(text, innocent) {
		t.Error("what attackers say does not reach the log: the test proves nothing")
	}
	for name, log := range map[string]string{"text": text, "json": e.eventFiles(t), "syslog": syslog(), "protocol": e.protocolLog(t)} {
		file := writeFile(t, filepath.Join(e.dir, name+".log"), log)
		for mode, banned := range map[string]map[string]int{"normal": want, "aggressive": aggressive} {
			if name == "protocol" {
				banned = map[string]int{} // it is not to be read, and must do no harm
			}
			code, out, errors := runCommand(t, "", fail2ban, "-o", "ip", file, "../../deploy/fail2ban/filter.d/postern.conf[mode="+mode+"]")
			got := map[string]int{}
			for ip := range strings.FieldsSeq(out) {
				got[ip]++
			}
			if !maps.Equal(got, banned) || code > 1 {
				t.Errorf("%s, %s: fail2ban counts %v, want %v (exit code %d)\n%s", name, mode, got, banned, code, errors)
			}
		}
	}
}
