//go:build linux

package main_test

import (
	"fmt"
	"strings"
	"testing"
)

// A gateway between every client and every next hop: each client sends one
// message to recipients behind four Send connectors.
func TestClientsAndNextHops(t *testing.T) {
	t.Parallel()
	cert := newCertificate(t, tempDir(t), "sink.example")
	plain := newSink(t, sinkOptions{})
	secure := newSink(t, sinkOptions{TLS: cert.server()})
	mailbox := newPostfix(t, "clear.example", "may.example", "must.example")

	e := newEdge(t)
	e.route("sink", "sink.example", plain.addr, `tls = "opportunistic"`)
	e.route("secure sink", "secure.example", secure.addr, `tls = "required"`)
	e.route("postfix in clear", "clear.example", mailbox.addr, `tls = "ignore_starttls"`)
	e.route("postfix may", "may.example", mailbox.addr, `tls = "opportunistic"`)
	e.route("postfix must", "must.example", mailbox.addr, `tls = "required"`)
	g := e.serve(t)

	hops := []string{"sink.example", "secure.example", "clear.example", "may.example", "must.example"}
	var names []string
	for _, c := range realClients() {
		names = append(names, c.name)
		c.send(t, e.addr, c.name+"@source.example", recipients("bob", hops), strings.ReplaceAll(letter(c.name), "\r\n", "\n"))
	}

	want := map[string]string{}
	for _, name := range names {
		want[name] = strings.Join(strings.Split(letter(name), "\r\n")[1:], "\n") // From is the client's own
	}
	for i, s := range []*sink{plain, secure} {
		for _, d := range s.await(t, len(names)) {
			trace, rest, err := splitTrace(d.Data)
			if err != nil {
				t.Error(err)
			}
			name, _, _ := strings.Cut(strings.TrimPrefix(d.Mail, "FROM:<"), "@")
			if got := strings.ReplaceAll(string(rest), "\r\n", "\n"); !strings.HasSuffix(got, want[name]) || want[name] == "" {
				t.Errorf("from %s the sink got %q, want it to end with %q", d.Mail, got, want[name])
			}
			if d.TLS != (i == 1) {
				t.Errorf("from %s: TLS is %v at %s", d.Mail, d.TLS, hops[i])
			}
			inTLS := strings.Contains(string(trace), "ESMTPS") && strings.Contains(string(trace), "TLS1.")
			if inTLS != strings.HasSuffix(name, "-tls") {
				t.Errorf("from %s the Received field is %q", name, trace)
			}
		}
	}
	found := map[string]int{}
	for _, m := range mailbox.awaitMail(t, 3*len(names)) {
		head, _, _ := strings.Cut(m, "by edge.contoso.example")
		tls := strings.Contains(head, "using TLSv1.")
		for _, hop := range hops[2:] {
			if strings.Contains(m, "X-Original-To: bob@"+hop) {
				if tls != (hop != "clear.example") {
					t.Errorf("to %s: TLS is %v:\n%s", hop, tls, head)
				}
				found[hop]++
			}
		}
		complete := false
		for _, text := range want {
			complete = complete || strings.HasSuffix(m, text)
		}
		if !complete {
			t.Errorf("Postfix has %q", m)
		}
	}
	for _, hop := range hops[2:] {
		if found[hop] != len(names) {
			t.Errorf("%d messages for %s, want %d", found[hop], hop, len(names))
		}
	}
	g.stop(t)
}

func recipients(local string, domains []string) []string {
	all := make([]string, len(domains))
	for i, d := range domains {
		all[i] = local + "@" + d
	}
	return all
}

// realClient is a mail client of other people's making.
type realClient struct {
	name string // ends in "-tls" when it uses STARTTLS
	send func(t testing.TB, addr, from string, to []string, content string)
}

func realClients() []realClient {
	return []realClient{
		{"swaks", swaks()},
		{"swaks-tls", swaks("--tls")},
		{"smtplib", smtplib("")},
		{"smtplib-tls", smtplib("c.starttls(context=ssl._create_unverified_context())")},
	}
}

func swaks(options ...string) func(t testing.TB, addr, from string, to []string, content string) {
	return func(t testing.TB, addr, from string, to []string, content string) {
		t.Helper()
		if code, _, _ := runCommand(t, "", need(t, "perl"), "-MNet::SSLeay", "-e", "1"); code != 0 && len(options) > 0 {
			lacking(t, "swaks has no TLS without Net::SSLeay")
		}
		content = strings.TrimSuffix(content, "\n") // swaks ends the last line
		args := append([]string{"--server", addr, "--helo", "swaks.example", "--from", from, "--to", strings.Join(to, ","), "--data", "-"}, options...)
		if code, stdout, stderr := runCommand(t, content, need(t, "swaks"), args...); code != 0 {
			t.Fatalf("swaks: exit code %d\n%s%s", code, stdout, stderr)
		}
	}
}

func smtplib(before string) func(t testing.TB, addr, from string, to []string, content string) {
	return func(t testing.TB, addr, from string, to []string, content string) {
		t.Helper()
		script := `import smtplib, ssl, sys
host, port = sys.argv[1].split(":")
c = smtplib.SMTP(host, int(port), local_hostname="python.example", timeout=20)
` + before + `
refused = c.sendmail(sys.argv[2], sys.argv[3:], sys.stdin.read(), mail_options=["BODY=8BITMIME"])
assert not refused, refused
c.quit()
`
		args := append([]string{"-c", script, addr, from}, to...)
		if code, stdout, stderr := runCommand(t, content, need(t, "python3"), args...); code != 0 {
			t.Fatalf("smtplib: exit code %d\n%s%s", code, stdout, stderr)
		}
	}
}

// smtp-source delivers many small messages over many connections, to Postfix
// and to the sink.
func TestSMTPSource(t *testing.T) {
	t.Parallel()
	source := need(t, "smtp-source")
	s := newSink(t, sinkOptions{})
	mailbox := newPostfix(t, "postfix.example")
	e := newEdge(t)
	e.route("sink", "sink.example", s.addr, "")
	e.route("postfix", "postfix.example", mailbox.addr, `tls = "required"`)
	e.serve(t)
	for _, c := range []struct {
		to   string
		n    int
		args []string
	}{
		{"bob@sink.example", 200, []string{"-s", "10", "-l", "4096"}},
		{"kim@sink.example", 200, []string{"-s", "10", "-l", "4096", "-d"}},
		{"bob@postfix.example", 40, []string{"-s", "4", "-l", "20000", "-d"}},
	} {
		args := append(c.args, "-m", fmt.Sprint(c.n), "-f", "load@source.example", "-t", c.to, "inet:"+e.addr)
		if code, stdout, stderr := runCommand(t, "", source, args...); code != 0 {
			t.Fatalf("smtp-source: exit code %d\n%s%s", code, stdout, stderr)
		}
	}
	for _, d := range s.await(t, 400) {
		if _, rest, err := splitTrace(d.Data); err != nil || len(rest) < 4096 {
			t.Errorf("%d octets arrived: %v", len(rest), err)
		}
	}
	mailbox.awaitMail(t, 40)
}
