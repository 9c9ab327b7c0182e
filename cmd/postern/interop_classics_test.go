//go:build linux

package main_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// classic is a set-up of examples, run with addresses and ports of this host.
// What it sends goes to a sink.
type classic struct {
	*gateway
	sink *sink
}

// newClassic starts an example. Each of the replacements must have something to
// replace, and refusals are not held back.
func newClassic(t *testing.T, file string, replace ...string) *classic {
	t.Helper()
	file = filepath.Join("../../examples", file)
	code, stdout, stderr := runCommand(t, "", binary(t), "check", "--strict", "--config", file)
	if want := " is valid: 0 errors, 0 warnings\n"; code != 0 || !strings.HasSuffix(stdout, want) {
		t.Fatalf("check: exit code %d\n%s%s", code, stdout, stderr)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	e := newEdge(t)
	s := newSink(t, sinkOptions{})
	in, _, ok := strings.Cut(string(text), "[[send_connector]]")
	if !ok {
		t.Fatal("the example has no Send connector")
	}
	replace = append(replace, `data_dir = "/var/lib/postern"`, `data_dir = "`+e.dataDir+`"`, "protocol_logging = \"verbose\"\n", "protocol_logging = \"verbose\"\ntarpit_interval = \"0s\"\nauth_tarpit_interval = \"0s\"\n")
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(in, replace[i]) {
			t.Fatalf("the example has no %s", replace[i])
		}
		in = strings.ReplaceAll(in, replace[i], replace[i+1])
	}
	e.route("sink", "*", s.addr, "")
	writeFile(t, e.path(), in+e.send)
	e.addr = replace[1]
	g := &gateway{process: launch(t, home(), &output{}, binary(t), "serve", "--config", e.path()), edge: e}
	g.awaitGreeting(t, home())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the gateway printed:\n%s", tail(g.output.String()))
		}
	})
	return &classic{g, s}
}

// visit is one session with a set-up.
type visit struct {
	name     string
	from, to string // from may be empty
	// startTLS and implicit say when TLS begins, if it does.
	startTLS, implicit bool
	// dialog has commands, each followed by the beginning of its reply; a
	// command "SEND from to" is a whole message.
	dialog []string
}

func (v visit) play(t *testing.T) {
	t.Helper()
	conn, err := home().dial(v.from, v.to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if v.implicit {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	c, err := newClient(conn)
	if err != nil {
		t.Fatal(err)
	}
	if v.startTLS {
		c.want(t, 250, "EHLO client.example")
		c.startTLS(t)
	}
	for i := 0; i < len(v.dialog); i += 2 {
		var r reply
		if words := strings.Fields(v.dialog[i]); len(words) == 3 && words[0] == "SEND" {
			r, err = c.submit("<"+words[1]+">", words[2:], []byte(letter(v.name)))
		} else {
			r, err = c.command(v.dialog[i])
		}
		if err != nil || !strings.HasPrefix(r.String(), v.dialog[i+1]) {
			t.Errorf("%s: %s: %v %v, want %s", v.name, v.dialog[i], r, err, v.dialog[i+1])
			return
		}
	}
}

// arrived holds that these recipients got mail at the sink, and no others.
func (c *classic) arrived(t *testing.T, want ...string) {
	t.Helper()
	c.sink.await(t, len(want))
	c.stop(t)
	var got []string
	for _, d := range c.sink.all() {
		for _, r := range d.Rcpt {
			a, _, _ := strings.Cut(strings.TrimPrefix(r, "TO:<"), ">")
			got = append(got, a)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("mail arrived for %q, want %q", got, want)
	}
}

const (
	relayDenied   = "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain"
	spoofDenied   = "550 5.7.1 Anonymous client does not have permissions to send as this sender"
	notThere      = "502 5.5.1 Command not implemented"
	needsStartTLS = "530 5.7.0 Must issue a STARTTLS command first"
)

func plain(user, password string) string {
	return "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password))
}

// needIPv6 is for tests of bindings of ::1.
func needIPv6(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		lacking(t, "no IPv6 on loopback: %v", err)
		return
	}
	l.Close()
}

// offers asks for the extensions of a set-up.
func offers(t *testing.T, addr string) reply {
	t.Helper()
	c := dial(t, addr)
	defer c.close()
	return c.want(t, 250, "EHLO client.example")
}

// TestClassicEdge: the Internet-facing edge takes mail for its own domains from
// anybody and nothing else, and the hubs may do everything.
func TestClassicEdge(t *testing.T) {
	t.Parallel()
	needIPv6(t)
	p := port(t, freeAddr(t))
	v4, v6 := "127.0.0.1:"+p, "[::1]:"+p
	c := newClassic(t, "edge.toml", `0.0.0.0:25`, v4, `[::]:25`, v6, `"10.0.0.11", "10.0.0.12"`, `"127.0.0.11", "127.0.0.12"`)
	if r := offers(t, v4); !r.has("STARTTLS") || r.has("AUTH") {
		t.Errorf("it offers %v", r)
	}
	for _, v := range []visit{
		{name: "a stranger", to: v4, dialog: []string{
			"EHLO client.example", "250",
			"SEND bob@fabrikam.example kim@contoso.example", "250 2.6.0",
			"SEND bob@fabrikam.example lee@sales.contoso.example", "250 2.6.0"}},
		{name: "a stranger within TLS", to: v6, startTLS: true, dialog: []string{"SEND bob@fabrikam.example v6@contoso.example", "250 2.6.0"}},
		{name: "a notification", to: v4, dialog: []string{"EHLO client.example", "250", "MAIL FROM:<>", "250", "RCPT TO:<kim@contoso.example>", "250"}},
		{name: "relay", to: v4, dialog: []string{
			"EHLO client.example", "250", "MAIL FROM:<bob@fabrikam.example>", "250",
			"RCPT TO:<eve@elsewhere.example>", relayDenied, "RCPT TO:<eve@contoso.example.elsewhere.example>", relayDenied,
			"RCPT TO:<eve%elsewhere.example@contoso.example>", "550 5.7.1 Unable to relay", "DATA", "503 5.5.2 Need rcpt command"}},
		{name: "relay in a notification's name", to: v6, dialog: []string{"EHLO client.example", "250", "MAIL FROM:<>", "250", "RCPT TO:<eve@elsewhere.example>", relayDenied}},
		{name: "our own name", to: v4, dialog: []string{
			"EHLO client.example", "250", "MAIL FROM:<kim@contoso.example>", spoofDenied, "MAIL FROM:<kim@Sales.Contoso.Example>", spoofDenied}},
		{name: "logon", to: v4, startTLS: true, dialog: []string{plain("kim", "secret"), notThere}},
		{name: "a hub", from: "127.0.0.11", to: v4, dialog: []string{
			"EHLO hub1.corp.contoso.example", "250",
			"SEND kim@contoso.example bob@fabrikam.example", "250 2.6.0",
			"SEND other@forwarded.example eve@elsewhere.example", "250 2.6.0"}},
		{name: "a neighbour of the hubs", from: "127.0.0.13", to: v4, dialog: []string{
			"EHLO hub3.corp.contoso.example", "250", "MAIL FROM:<kim@contoso.example>", spoofDenied,
			"MAIL FROM:<bob@fabrikam.example>", "250", "RCPT TO:<eve@elsewhere.example>", relayDenied}},
	} {
		v.play(t)
	}
	c.arrived(t, "kim@contoso.example", "lee@sales.contoso.example", "v6@contoso.example", "bob@fabrikam.example", "eve@elsewhere.example")
}

// TestClassicRelay: who logs on within TLS relays anywhere, and nobody else
// does anything there.
func TestClassicRelay(t *testing.T) {
	t.Parallel()
	needIPv6(t)
	_, hash, _ := runCommand(t, "pencil\n", binary(t), "user", "hash", "--scheme", "scram-sha-256")
	p25, p587, p465 := port(t, freeAddr(t)), port(t, freeAddr(t)), port(t, freeAddr(t))
	internet, submit, implicit := "127.0.0.10:"+p25, "127.0.0.11:"+p587, "127.0.0.11:"+p465
	submit6 := "[::1]:" + p587
	c := newClassic(t, "relay.toml", "192.0.2.10:25", internet, "[2001:db8::10]:25", "[::1]:"+p25, "192.0.2.11:587", submit, "[2001:db8::11]:587", submit6,
		"192.0.2.11:465", implicit, "[2001:db8::11]:465", "[::1]:"+p465,
		"SCRAM-SHA-256$15000:Yf8wKw2zsGLu/ebi5MIf0Q==$Z2tEPIp0rUtR+AmxiAK+43PeCfgv7QzvHmOlTxJcgco=:APU9FANMtTtGp3oiYCgNf/3YmcMNZyxiKC38eyeqD+k=", strings.TrimSpace(hash))
	if r := offers(t, submit); !r.has("STARTTLS") || r.has("AUTH") {
		t.Errorf("in clear text it offers %v", r)
	}
	logon := plain("kim@contoso.example", "pencil")
	for _, v := range []visit{
		{name: "before STARTTLS", to: submit, dialog: []string{
			"EHLO client.example", "250", "MAIL FROM:<kim@contoso.example>", needsStartTLS, "RCPT TO:<kim@contoso.example>", needsStartTLS,
			"DATA", needsStartTLS, logon, needsStartTLS, "VRFY kim", needsStartTLS, "NOOP", "250", "QUIT", "221"}},
		{name: "without a logon", to: submit, startTLS: true, dialog: []string{
			"MAIL FROM:<bob@fabrikam.example>", "530 5.7.57", "MAIL FROM:<kim@contoso.example>", "530 5.7.57", "MAIL FROM:<>", "530 5.7.57",
			"RCPT TO:<kim@contoso.example>", "503", "DATA", "503"}},
		{name: "a wrong password", to: submit6, startTLS: true, dialog: []string{
			plain("kim@contoso.example", "pen"), "535 5.7.8 Authentication unsuccessful", "MAIL FROM:<kim@contoso.example>", "530 5.7.57"}},
		{name: "as somebody else", to: submit, startTLS: true, dialog: []string{
			logon, "235 2.7.0 Authentication successful", "MAIL FROM:<lee@contoso.example>", "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
			"MAIL FROM:<eve@elsewhere.example>", "550 5.7.60"}},
		{name: "a roaming user", to: submit, startTLS: true, dialog: []string{
			logon, "235", "SEND kim@contoso.example eve@elsewhere.example", "250 2.6.0", "SEND kim@contoso.example lee@contoso.example", "250 2.6.0"}},
		{name: "a roaming user with IPv6", to: submit6, startTLS: true, dialog: []string{logon, "235", "SEND kim@contoso.example v6@elsewhere.example", "250 2.6.0"}},
		{name: "a roaming user with implicit TLS", to: implicit, implicit: true, dialog: []string{
			"EHLO client.example", "250", "MAIL FROM:<kim@contoso.example>", "530 5.7.57", logon, "235", "SEND kim@contoso.example tls@elsewhere.example", "250 2.6.0"}},
		{name: "a stranger", to: internet, dialog: []string{
			"EHLO client.example", "250", "SEND bob@fabrikam.example kim@contoso.example", "250 2.6.0",
			"MAIL FROM:<kim@contoso.example>", spoofDenied, "MAIL FROM:<bob@fabrikam.example>", "250", "RCPT TO:<eve@elsewhere.example>", relayDenied}},
		{name: "a user at the strangers' door", to: internet, startTLS: true, dialog: []string{logon, notThere}},
	} {
		v.play(t)
	}
	// A mail program of other people's making.
	for _, mechanism := range []string{"PLAIN", "LOGIN"} {
		swaks("--tls", "--auth", mechanism, "--auth-user", "kim@contoso.example", "--auth-password", "pencil")(t, submit, "kim@contoso.example", []string{mechanism + "@elsewhere.example"}, strings.ReplaceAll(letter("swaks"), "\r\n", "\n"))
	}
	c.arrived(t, "eve@elsewhere.example", "lee@contoso.example", "v6@elsewhere.example", "tls@elsewhere.example", "kim@contoso.example",
		"PLAIN@elsewhere.example", "LOGIN@elsewhere.example")
	if log := c.edge.protocolLog(t); strings.Contains(log, "pencil") || strings.Contains(log, strings.TrimPrefix(logon, "AUTH PLAIN ")) {
		t.Error("the password is in the protocol log")
	}
}

// TestClassicLocalRelay: programs of this host send what they like; nothing
// is offered to prove who one is, nothing of the kind taken, and no other
// address answers.
func TestClassicLocalRelay(t *testing.T) {
	t.Parallel()
	needIPv6(t)
	p := port(t, freeAddr(t))
	v4, v6 := "127.0.0.1:"+p, "[::1]:"+p
	c := newClassic(t, "local-relay.toml", "127.0.0.1:25", v4, "[::1]:25", v6)
	for _, addr := range []string{v4, v6} {
		if r := offers(t, addr); r.has("AUTH") || r.has("STARTTLS") || !r.has("PIPELINING") {
			t.Errorf("%s offers %v", addr, r)
		}
		visit{name: "AUTH and STARTTLS", to: addr, dialog: []string{
			"EHLO localhost", "250", "AUTH PLAIN", notThere, plain("root", ""), notThere, "AUTH LOGIN", notThere, "STARTTLS", notThere,
			"MAIL FROM:<root@app1.contoso.example>", "250", "RCPT TO:<kim@contoso.example>", "250"}}.play(t)
	}
	for _, v := range []visit{
		{name: "a program", to: v4, dialog: []string{"EHLO localhost", "250", "SEND root@app1.contoso.example kim@contoso.example", "250 2.6.0", "SEND anybody@elsewhere.example bob@fabrikam.example", "250 2.6.0"}},
		{name: "a program with IPv6", to: v6, dialog: []string{"HELO localhost", "250", "SEND root@app1.contoso.example v6@contoso.example", "250 2.6.0"}},
		{name: "cron", to: v4, dialog: []string{"EHLO localhost", "250", "SEND root root", "250 2.6.0"}},
		{name: "another address of loopback", from: "127.0.0.2", to: v4, dialog: []string{"EHLO localhost", "250", "SEND root@app1.contoso.example two@contoso.example", "250 2.6.0"}},
	} {
		v.play(t)
	}
	for _, addr := range append(others(t), "127.0.0.2") {
		conn, err := (&net.Dialer{Timeout: 5 * time.Second}).Dial("tcp", net.JoinHostPort(addr, p))
		if err == nil {
			line, _ := bufio.NewReader(conn).ReadString('\n')
			conn.Close()
			t.Errorf("%s answers too: %q", addr, line)
		}
	}
	// 40 programs at a time are not too many, though they are one source.
	open := make([]*client, 40)
	for i := range open {
		open[i] = dial(t, v4)
	}
	for _, x := range open {
		x.want(t, 221, "QUIT")
	}
	code, stdout, stderr := c.edge.postern(t, "explain", "connection", v4, "127.0.0.1")
	for _, want := range []string{"Receive connector: Local relay\n", "TLS:               none\n", "AUTH:              not offered\n", "may send to:     anybody: it may relay\n", "may send as:     anybody\n"} {
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("explain connection does not say %q:\n%s%s", want, stdout, stderr)
		}
	}
	c.arrived(t, "kim@contoso.example", "bob@fabrikam.example", "v6@contoso.example", "two@contoso.example", "root@contoso.example")
}

// others are the addresses of this host that are not of loopback.
func others(t *testing.T) (addresses []string) {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			addresses = append(addresses, n.IP.String())
		}
	}
	return addresses
}
