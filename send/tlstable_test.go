package send

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/config"
	"postern/logs"
)

// tlsTable says what becomes of a message for example.test under each mode and
// level (lines) at each kind of host (columns).
//
//	TLS (x)    delivered over TLS; x is what the certificate was found to prove
//	clear      delivered in clear over the first connection
//	clear (x)  TLS failed because of x; delivered in clear over a second connection
//	waits (x)  deferred because of x; nothing was sent
//
// The levels of modes other than required are refused by `postern check`, which
// the second table holds; here stands what they would do, which is nothing.
const tlsTable = `
                                     | no STARTTLS        | good                       | self-signed         | expired         | wrong name         | TLS 1.0         | cut         | refused
required       encryption_only       | waits (not offered)| TLS (trusted)              | TLS (self-signed)   | TLS (expired)   | TLS (trusted)      | waits (too old) | waits (cut) | waits (refused)
required       certificate_validation| waits (not offered)| TLS (trusted)              | waits (self-signed) | waits (expired) | TLS (trusted)      | waits (too old) | waits (cut) | waits (refused)
required       domain_validation     | waits (not offered)| TLS (trusted for example.test) | waits (self-signed) | waits (expired) | waits (wrong name) | waits (too old) | waits (cut) | waits (refused)
opportunistic  encryption_only       | clear              | TLS (trusted)              | TLS (self-signed)   | TLS (expired)   | TLS (trusted)      | clear (too old) | clear (cut) | clear (refused)
opportunistic  certificate_validation| clear              | TLS (trusted)              | TLS (self-signed)   | TLS (expired)   | TLS (trusted)      | clear (too old) | clear (cut) | clear (refused)
opportunistic  domain_validation     | clear              | TLS (trusted)              | TLS (self-signed)   | TLS (expired)   | TLS (trusted)      | clear (too old) | clear (cut) | clear (refused)
no fallback    -                     | clear              | TLS (trusted)              | TLS (self-signed)   | TLS (expired)   | TLS (trusted)      | waits (too old) | waits (cut) | waits (refused)
ignore_starttls encryption_only      | clear              | clear                      | clear               | clear           | clear              | clear           | clear       | clear
ignore_starttls certificate_validation| clear             | clear                      | clear               | clear           | clear              | clear           | clear       | clear
ignore_starttls domain_validation    | clear              | clear                      | clear               | clear           | clear              | clear           | clear       | clear
`

// tlsReasons are the words of the outcome and, where the handshake or the
// certificate is at fault, of the protocol log.
var tlsReasons = map[string]struct{ reply, logged string }{
	"not offered": {"451 4.7.4 TLS is required, but the host does not offer STARTTLS", ""},
	"refused":     {"454 4.7.4 The host refuses STARTTLS: 454 4.3.0 TLS is not to be had", "< 454 4.3.0 TLS is not to be had"},
	"cut":         {"454 4.7.5 TLS negotiation failed: the host cut the connection in the handshake", "* the host cut the connection in the handshake TLS negotiation failed"},
	"too old": {"454 4.7.5 TLS negotiation failed: the host speaks no version of TLS from 1.2 on, and older ones are not safe (alert: protocol version not supported)",
		"* the host speaks no version of TLS from 1.2 on, and older ones are not safe (alert: protocol version not supported) TLS negotiation failed"},
	"self-signed": {"454 4.7.5 Certificate validation failure: the host's certificate is self-signed: no authority vouches for it. It is for self.test",
		"* the host's certificate is self-signed: no authority vouches for it. It is for self.test Certificate validation failed"},
	"expired": {"454 4.7.5 Certificate validation failure: the host's certificate expired on 2001-02-03. It is for example.test, mx.test",
		"* the host's certificate expired on 2001-02-03. It is for example.test, mx.test Certificate validation failed"},
	"wrong name": {"454 4.7.5 Certificate validation failure: the host's certificate is not for example.test. It is for other.test",
		"* the host's certificate is not for example.test. It is for other.test Certificate validation failed"},
}

// tlsHosts makes the hosts of the table.
func tlsHosts(t *testing.T) map[string]func() *fakeMX {
	good, other := testServerTLS(t, "example.test", "mx.test"), testServerTLS(t, "other.test")
	old := good.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
	expired, err := issueWith(authority(), func(c *x509.Certificate) { c.NotAfter = time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC) }, "example.test", "mx.test")
	if err != nil {
		t.Fatal(err)
	}
	alone, err := issueWith(nil, func(c *x509.Certificate) { c.DNSNames = []string{"self.test"} }, "self.test")
	if err != nil {
		t.Fatal(err)
	}
	with := func(c *tls.Config, faults map[string]fault) func() *fakeMX {
		return func() *fakeMX { return &fakeMX{tls: c, faults: faults} }
	}
	return map[string]func() *fakeMX{
		"no STARTTLS": with(nil, nil),
		"good":        with(good, nil),
		"self-signed": with(&tls.Config{Certificates: []tls.Certificate{*alone}}, nil),
		"expired":     with(&tls.Config{Certificates: []tls.Certificate{*expired}}, nil),
		"wrong name":  with(other, nil),
		"TLS 1.0":     with(old, nil),
		"cut":         with(good, map[string]fault{"STARTTLS": replyAndClose("220 ready")}),
		"refused":     with(good, map[string]fault{"STARTTLS": reply("454 4.3.0 TLS is not to be had")}),
	}
}

func cells(line string) []string {
	var out []string
	for c := range strings.SplitSeq(line, "|") {
		out = append(out, strings.TrimSpace(c))
	}
	return out
}

// TestTLSTable runs tlsTable, and reads outcome, attempts, protocol log and
// event log.
func TestTLSTable(t *testing.T) {
	hosts := tlsHosts(t)
	lines := strings.Split(strings.Trim(tlsTable, "\n"), "\n")
	columns := cells(lines[0])[1:]
	if want := slices.Sorted(maps.Keys(hosts)); !slices.Equal(slices.Sorted(slices.Values(columns)), want) {
		t.Fatalf("columns %q, want %q", columns, want)
	}
	for _, line := range lines[1:] {
		row := cells(line)
		for i, server := range columns {
			t.Run(strings.Join(strings.Fields(row[0]), " ")+"/"+server, func(t *testing.T) {
				runTLSCell(t, row[0], hosts[server](), row[i+1])
			})
		}
	}
}

func runTLSCell(t *testing.T, row string, mx *fakeMX, want string) {
	b := newBench(t, mx)
	words := strings.Fields(row)
	b.connector.TLS, b.connector.TLSAuthLevel = words[0], words[len(words)-1]
	asks := map[string]string{config.EncryptionOnly: "TLS", config.CertificateValidation: "TLS with a valid certificate", config.DomainValidation: "TLS with a valid certificate for example.test"}[words[len(words)-1]]
	because := `. Send connector "Internet" asks for ` + asks
	if words[0] == "no" {
		b.connector.TLS, b.connector.TLSAuthLevel, b.connector.NoTLSFallback = config.TLSOpportunistic, "", true
		because = `. With tls_fallback = false in send connector "Internet", mail does not go in clear to a host that offers TLS`
	}
	b.options.Roots = testRoots()
	protocol := b.logged()
	var events bytes.Buffer
	b.options.Logger = slog.New(slog.NewTextHandler(&events, nil))

	r := b.send()
	b.stop()
	log := protocol()
	verb, reason, _ := strings.Cut(strings.TrimSuffix(want, ")"), " (")
	why := tlsReasons[reason]
	got, last := sum(r), r.Attempts[len(r.Attempts)-1]
	messages := mx.got()

	if verb == "waits" {
		if got != "0 deferred "+why.reply+because || len(messages) != 0 || len(r.Attempts) != 1 {
			t.Errorf("outcome %q, %d messages, attempts %+v\nwant    %q", got, len(messages), r.Attempts, "0 deferred "+why.reply+because)
		}
		if !strings.Contains(log, why.logged) {
			t.Errorf("the log lacks %q:\n%s", why.logged, log)
		}
		trust := ""
		if strings.Contains(why.reply, "Certificate") {
			trust = reason
		}
		if last.TLS != "" || last.Trust != trust || !strings.HasSuffix(last.Policy, `(send connector "Internet")`) {
			t.Errorf("attempt %+v, want trust %q and no TLS", last, trust)
		}
		return
	}
	if got != took || len(messages) != 1 || messages[0].tls != (verb == "TLS") || (last.TLS != "") != (verb == "TLS") {
		t.Fatalf("outcome %q, attempts %+v; want %s", got, r.Attempts, want)
	}
	switch {
	case verb == "TLS":
		if last.Trust != reason || last.Peer == "" || !strings.HasPrefix(last.TLS, "TLS1.3 TLS_") || last.Client != "" || !strings.HasSuffix(last.Policy, `(send connector "Internet")`) {
			t.Errorf("attempt %+v, want trust %q", last, reason)
		}
		if !strings.Contains(log, "* "+reason+" Certificate validation\n") {
			t.Errorf("the log lacks %q:\n%s", reason, log)
		}
		fallthrough
	case reason == "":
		if len(r.Attempts) != 1 || events.Len() != 0 {
			t.Errorf("%d attempts, events %s", len(r.Attempts), &events)
		}
	default: // in clear after all, and loudly
		first := r.Attempts[0]
		if len(r.Attempts) != 2 || first.Reply.String() != why.reply || first.Session == last.Session || mx.count() != 2 {
			t.Errorf("attempts %+v over %d connections, want two, the first ended by %q", r.Attempts, mx.count(), why.reply)
		}
		if !strings.Contains(log, why.logged) || !strings.Contains(log, "going on in clear") {
			t.Errorf("the log lacks %q:\n%s", why.logged, log)
		}
		if e := events.String(); strings.Count(e, "\n") != 1 || !strings.Contains(e, "level=WARN") || !strings.Contains(e, "the message goes in clear") || !strings.Contains(e, fmt.Sprintf("%.20s", why.reply)) {
			t.Errorf("events %s", e)
		}
	}
}

// logged switches the protocol log on. The function returned gives what was
// logged, one line each: event, data, context.
func (b *bench) logged() func() string {
	b.t.Helper()
	var mu sync.Mutex
	var out strings.Builder
	log, err := logs.OpenProtocol(logs.Options{Kind: logs.SendProtocol, Log: config.Log{Enabled: true, Directory: b.t.TempDir()}, Tee: func(l logs.Line) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(&out, strings.Join(strings.Fields(fmt.Sprintf("%c %s %s", l.Event, l.Data, l.Context)), " "))
	}})
	if err != nil {
		b.t.Fatal(err)
	}
	b.options.Log = log
	b.connector.ProtocolLogging = "verbose"
	return func() string {
		_ = log.Close(b.t.Context())
		mu.Lock()
		defer mu.Unlock()
		return out.String()
	}
}

// TestTLSLevelsAreChecked: what the table says of levels without required is
// refused before it can come to that.
func TestTLSLevelsAreChecked(t *testing.T) {
	for _, mode := range []string{config.TLSRequired, config.TLSOpportunistic, config.TLSIgnoreSTARTTLS} {
		for _, level := range []string{config.EncryptionOnly, config.CertificateValidation, config.DomainValidation} {
			text := fmt.Sprintf("[server]\nfqdn = \"edge.contoso.example\"\n[[receive_connector]]\nname = \"r\"\nbindings = [\"127.0.0.1:25\"]\n"+
				"[[send_connector]]\nname = \"s\"\naddress_spaces = [\"*\"]\ntls = %q\ntls_auth_level = %q\n", mode, level)
			_, findings, err := config.Parse("edge.toml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if config.HasErrors(findings) != (mode != config.TLSRequired) {
				t.Errorf("%s, %s: %v", mode, level, findings)
			}
		}
	}
}

// TestTLSBehindTheHandshake: what happens between the handshake and the first
// command that counts. Only a failure of TLS itself lets an opportunistic
// message go in clear; what the host says over TLS is its word.
func TestTLSBehindTheHandshake(t *testing.T) {
	server := testServerTLS(t, "mx.test")
	wants := server.Clone()
	wants.ClientAuth = tls.RequireAnyClientCert
	second := func(f fault) fault {
		return func(s *fakeSession) bool {
			if s.tls {
				return f(s)
			}
			s.send(s.ehlo()...)
			return true
		}
	}
	for name, tt := range map[string]struct {
		mx                      *fakeMX
		opportunistic, required string
	}{
		"EHLO is not answered": {&fakeMX{tls: server, faults: map[string]fault{"EHLO": second(closes)}}, took,
			"0 deferred 454 4.7.5 TLS broke off behind the handshake: the host cut the connection in the handshake"},
		"our certificate is missed": {&fakeMX{tls: wants}, took,
			"0 deferred 454 4.7.5 TLS broke off behind the handshake: the host wants a certificate of ours (alert: certificate required)"},
		"EHLO is refused for now": {&fakeMX{tls: server, faults: map[string]fault{"EHLO": second(reply("451 4.3.2 not now"))}},
			"0 deferred 451 4.3.2 not now; unreachable", "0 deferred 451 4.3.2 not now; unreachable"},
		"the host hangs up with a word": {&fakeMX{tls: server, faults: map[string]fault{"EHLO": second(replyAndClose("421 4.3.2 closing"))}},
			"0 deferred 421 4.3.2 closing; unreachable", "0 deferred 421 4.3.2 closing; unreachable"},
		"EHLO is unknown there, HELO is not": {&fakeMX{tls: server, faults: map[string]fault{"EHLO": second(reply("502 5.5.1 what?"))}}, took, took},
	} {
		for _, mode := range []string{config.TLSOpportunistic, config.TLSRequired} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				mx := &fakeMX{tls: tt.mx.tls, faults: tt.mx.faults}
				b := newBench(t, mx)
				b.connector.TLS = mode
				r := b.send()
				b.stop()
				want := tt.opportunistic
				if mode == config.TLSRequired {
					want = tt.required
				}
				if got := sum(r); !strings.HasPrefix(got, want) {
					t.Errorf("outcome %q, want %q", got, want)
				}
				for _, m := range mx.got() {
					if !m.tls && mode == config.TLSRequired {
						t.Error("sent in clear")
					}
				}
			})
		}
	}
}

// TestImplicitTLS: TLS comes before the greeting, and STARTTLS is not asked
// for any more.
func TestImplicitTLS(t *testing.T) {
	server := testServerTLS(t, "hub.test")
	for _, tt := range []struct {
		implicit bool // on the host's side
		want     string
	}{
		{true, took},
		{false, "0 deferred 454 4.7.5 TLS negotiation failed: the host sent something that is not TLS. Send connector \"Internet\" asks for TLS with a valid certificate for hub.test"},
	} {
		t.Run(fmt.Sprint(tt.implicit), func(t *testing.T) {
			mx := &fakeMX{tls: server, implicit: tt.implicit}
			b := newBench(t, nil)
			b.options.Roots = testRoots()
			b.host("192.0.2.25:465", mx)
			b.connector.SmartHosts = []config.SmartHost{{Host: "mx.test", Port: 465}}
			b.connector.TLS, b.connector.TLSAuthLevel, b.connector.TLSDomain, b.connector.ImplicitTLS = config.TLSRequired, config.DomainValidation, []string{"hub.test"}, true
			r := b.deliver(t.Context(), smartHop("mx.test:465"), mail("x\r\n"))
			b.stop()
			if got := sum(r); got != tt.want {
				t.Errorf("outcome %q\nwant    %q", got, tt.want)
			}
			if tt.want != took {
				return
			}
			if lines := strings.Join(mx.commands(), "|"); strings.Contains(lines, "STARTTLS") || strings.Count(lines, "EHLO") != 1 || r.Attempts[0].Trust != "trusted for hub.test" {
				t.Errorf("commands %s, attempt %+v", lines, r.Attempts[0])
			}
		})
	}
}
