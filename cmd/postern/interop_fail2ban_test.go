//go:build linux

package main_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
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
	e.top = scanner + "[logs.event]\nformat = \"text\"\n"
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
	// The same events as journald and syslog show them.
	var syslog strings.Builder
	for _, m := range regexp.MustCompile(`(?m)^time=(\S+) level=\w+ msg=("(?:[^"\\]|\\.)*"|\S+) ((?:event_id=\d+ ?)?)(?:area=\w+ )?(.*)$`).FindAllStringSubmatch(text, -1) {
		fmt.Fprintf(&syslog, "Nov 22 08:00:00 edge postern[4711]: %s %s%s\n", strings.Trim(m[2], `"`), m[3], m[4])
	}
	for name, log := range map[string]string{"text": text, "syslog": syslog.String(), "protocol": e.protocolLog(t)} {
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
