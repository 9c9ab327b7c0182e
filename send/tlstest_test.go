package send

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
	"postern/internal/message"
	ptls "postern/tls"
)

// asked is a test of mx.test, for mail to example.test.
func (b *bench) asked(change func(*TLSTest)) *TLSReport {
	b.t.Helper()
	t := TLSTest{Connector: "Internet", Host: "mx.test", Domain: "example.test"}
	if change != nil {
		change(&t)
	}
	r, err := b.start().TestTLS(b.t.Context(), t)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (h *TLSHost) level(name string) string {
	for _, l := range h.Levels {
		if l.Level == name {
			if l.Reason == "" {
				return l.Outcome
			}
			return l.Outcome + ": " + l.Reason
		}
	}
	return "no such level"
}

// troubled are hosts beyond those of tlsHosts.
func troubled(t *testing.T) map[string]func() *fakeMX {
	good := testServerTLS(t, "example.test", "mx.test")
	wants := good.Clone()
	wants.ClientAuth = tls.RequireAnyClientCert
	with := func(c *tls.Config, place string, f fault) func() *fakeMX {
		return func() *fakeMX { return &fakeMX{tls: c, faults: map[string]fault{place: f}} }
	}
	second := func(f fault) fault {
		return func(s *fakeSession) bool {
			if s.tls {
				return f(s)
			}
			s.send(s.ehlo()...)
			return true
		}
	}
	return map[string]func() *fakeMX{
		"no HELO either":             with(good, "EHLO", replyAndClose("421 4.3.2 go away")),
		"refuses":                    with(good, "greeting", replyAndClose("554 5.3.2 no mail here")),
		"knows HELO alone":           with(good, "EHLO", reply("502 5.5.1 what?")),
		"hangs at the greeting":      with(good, "greeting", hangs),
		"hangs at EHLO":              with(good, "EHLO", hangs),
		"hangs at STARTTLS":          with(good, "STARTTLS", hangs),
		"hangs in the handshake":     with(good, "STARTTLS", func(s *fakeSession) bool { s.send("220 go on"); return hangs(s) }),
		"hangs at EHLO over TLS":     with(good, "EHLO", second(hangs)),
		"drips":                      with(good, "greeting", drips),
		"clear text behind STARTTLS": with(good, "STARTTLS", reply("220 go on\r\n250 2.0.0 and on")),
		"no TLS behind STARTTLS": with(good, "STARTTLS", func(s *fakeSession) bool {
			s.send("220 go on")
			time.Sleep(time.Second)
			s.send("220 hello")
			return hangs(s)
		}),
		"wants our certificate": func() *fakeMX { return &fakeMX{tls: wants} },
		"neither EHLO nor HELO over TLS": func() *fakeMX {
			no := reply("550 5.3.2 no mail here")
			return &fakeMX{tls: good, faults: map[string]fault{"EHLO": second(no), "HELO": second(no)}}
		},
		"EHLO over TLS is refused": with(good, "EHLO", second(reply("451 4.3.2 not now"))),
		"cuts at EHLO over TLS":    with(good, "EHLO", second(closes)),
	}
}

// TestTLSTestAgrees: whatever a host is like and whatever a connector asks for,
// the test says what then becomes of a message; and so it does of each level,
// when the connector gets the lines that it gives.
func TestTLSTestAgrees(t *testing.T) {
	hosts := tlsHosts(t)
	maps.Copy(hosts, troubled(t))
	levels := map[string]func(*config.SendConnector){
		"ignore_starttls":                     func(c *config.SendConnector) { c.TLS = config.TLSIgnoreSTARTTLS },
		"opportunistic":                       func(*config.SendConnector) {},
		"opportunistic, tls_fallback = false": func(c *config.SendConnector) { c.NoTLSFallback = true },
		"required, encryption_only":           func(c *config.SendConnector) { c.TLS, c.TLSAuthLevel = config.TLSRequired, config.EncryptionOnly },
		"required, certificate_validation": func(c *config.SendConnector) {
			c.TLS, c.TLSAuthLevel = config.TLSRequired, config.CertificateValidation
		},
		"required, domain_validation": func(c *config.SendConnector) { c.TLS, c.TLSAuthLevel = config.TLSRequired, config.DomainValidation },
		"required, mutual, domain_validation": func(c *config.SendConnector) {
			c.TLS, c.TLSAuthLevel, c.DomainSecureEnabled = config.TLSRequired, config.DomainValidation, true
		},
		"opportunistic, no such certificate": func(c *config.SendConnector) { c.TLSCertificate = "/nowhere/own.pem" },
		"required, no such authorities": func(c *config.SendConnector) {
			c.TLS, c.TLSAuthLevel, c.TLSCAFile = config.TLSRequired, config.CertificateValidation, "/nowhere/ca.pem"
		},
		"required, another key pinned": func(c *config.SendConnector) {
			c.TLS, c.TLSFingerprints = config.TLSRequired, []string{strings.Repeat("A", 64)}
		},
		"opportunistic, but HELO alone":         func(c *config.SendConnector) { c.ForceHELO = true },
		"required, encryption_only, HELO alone": func(c *config.SendConnector) { c.TLS, c.ForceHELO = config.TLSRequired, true },
	}
	for host, mx := range hosts {
		for name, change := range levels {
			t.Run(host+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bench := func(change func(*config.SendConnector)) (*bench, *fakeMX) {
						m := mx()
						b := newBench(t, m)
						b.options.Roots = testRoots()
						change(b.connector)
						return b, m
					}
					b, _ := bench(change)
					h := b.asked(nil).Hosts[0]
					b.stop()
					b, m := bench(change)
					r := b.send()
					b.stop()
					if got, want := h.Configured.Outcome, outcomeOf(m, r); got != want {
						t.Errorf("the test says %s (%s), the message: %s", got, h.Configured.Reason, want)
					}
					if inForce := slices.IndexFunc(h.Levels, func(l TLSLevel) bool { return l.InForce }); inForce >= 0 {
						if l := h.Levels[inForce]; l.Level != strings.Replace(name, "mutual, ", "", 1) && !strings.Contains(name, "no such") && !strings.HasSuffix(name, "HELO alone") && !strings.Contains(name, "pinned") {
							t.Errorf("%q is said to be in force", l.Level)
						} else if l.Outcome != h.Configured.Outcome || l.Reason != h.Configured.Reason {
							t.Errorf("the level: %+v, the configuration: %+v", l, h.Configured)
						}
					} else if len(h.Levels) > 0 {
						t.Error("no level is said to be in force")
					}
					if name != "opportunistic" {
						return
					}
					for _, l := range h.Levels {
						b, m := bench(func(c *config.SendConnector) { *c = withLines(t, c, l.Configuration) })
						r := b.send()
						b.stop()
						if got := outcomeOf(m, r); got != l.Outcome {
							t.Errorf("%s: the test says %s (%s), the message: %s (%s)", l.Level, l.Outcome, l.Reason, got, sum(r))
						}
					}
				})
			})
		}
	}
}

// outcomeOf is how a message came to a host, or what became of it.
func outcomeOf(m *fakeMX, r message.Report) string {
	switch got := m.got(); {
	case len(got) == 0 && r.Outcomes[0].Status == message.Failed:
		return OutcomeReturned
	case len(got) == 0:
		return OutcomeWaits
	case got[0].tls:
		return OutcomeTLS
	}
	return OutcomeClear
}

// withLines is a connector with lines below it.
func withLines(t *testing.T, c *config.SendConnector, lines string) config.SendConnector {
	t.Helper()
	text := "[server]\nfqdn = \"edge.contoso.example\"\n[[receive_connector]]\nname = \"r\"\nbindings = [\"127.0.0.1:25\"]\n[[send_connector]]\nname = \"s\"\naddress_spaces = [\"*\"]\n"
	if len(c.SmartHosts) > 0 {
		text += fmt.Sprintf("smart_hosts = [%q]\n", c.SmartHosts[0].Host)
	}
	cfg, findings, err := config.Parse("edge.toml", []byte(text+lines))
	if err != nil || config.HasErrors(findings) {
		t.Fatalf("%v, %v:\n%s", err, findings, lines)
	}
	changed := *c
	changed.TLSOverrides = cfg.SendConnectors[0].TLSOverrides
	return changed
}

// TestTLSTestTells holds what is told of a host that has everything.
func TestTLSTestTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := testServerTLS(t, "mx.test", "*.fabrikam.example")
		server.ClientAuth, server.ClientCAs = tls.RequestClientCert, testRoots()
		client := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
		own := must(t)(issueWith(authority(), client, "out.contoso.example"))
		f := newFiles(t)
		f.write("own.pem", own)
		b := newBench(t, &fakeMX{tls: server, greeting: "220-mx.test says\r\n220 hello", ext: []string{"SIZE 1000", "PIPELINING"}, tlsExt: []string{"SIZE 1000", "REQUIRETLS", "AUTH PLAIN"}})
		b.options.Roots, b.options.Certificates = testRoots(), f.dir
		h := b.asked(nil).Hosts[0]
		b.stop()
		leaf := server.Certificates[0].Leaf
		got := fmt.Sprintf("%s %v %q %q %q %v %s %s %s|%s|%v %s %q", h.Host, h.Address, h.Greeting, h.EHLOBefore, h.EHLOAfter, h.Offered, h.Version, h.Cipher, h.Trust, h.Distrust, h.Asked, h.Shown, h.Problem)
		want := fmt.Sprintf(`mx.test 192.0.2.25:25 "220-mx.test says\n220 hello" ["STARTTLS" "SIZE 1000" "PIPELINING"] ["SIZE 1000" "REQUIRETLS" "AUTH PLAIN"] true TLS1.3 %s trusted||true %s ""`, h.Cipher, ptls.Thumbprint(own.Leaf))
		if got != want || h.Curve == "" || !strings.HasPrefix(h.Cipher, "TLS_") {
			t.Errorf("got  %s\nwant %s\ncurve %q", got, want, h.Curve)
		}
		if c := h.Certificates[0]; len(h.Certificates) != 1 || c.Thumbprint != ptls.Thumbprint(leaf) || fmt.Sprint(c.Names) != "[mx.test *.fabrikam.example]" || !c.NotAfter.Equal(leaf.NotAfter) ||
			c.Subject != leaf.Subject.String() || c.Issuer != authority().Leaf.Subject.String() || c.PublicKeyThumbprint != "spki:"+ptls.PublicKeyThumbprint(leaf) {
			t.Errorf("certificates %+v", h.Certificates)
		}
		for name, want := range map[string]string{
			"ignore_starttls":                              "clear",
			"opportunistic":                                "tls: trusted",
			"required, certificate_validation":             "tls: trusted",
			"required, domain_validation":                  "waits: the host's certificate is not for example.test. It is for mx.test, *.fabrikam.example",
			"required, domain_validation, the host's name": "tls: trusted for mx.test",
			"required, the key pinned":                     "tls: pinned, trusted",
		} {
			if got := h.level(name); got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
	})
}

// TestTLSTestHangs: a host that hangs holds the test up for no longer than each
// phase may take, wherever it hangs.
func TestTLSTestHangs(t *testing.T) {
	for name, mx := range troubled(t) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, mx())
				b.options.Timeouts = Timeouts{Connect: 10 * time.Second, Greeting: 10 * time.Second, EHLO: 10 * time.Second, TLS: 10 * time.Second}
				began := time.Now()
				r := b.asked(nil)
				took := time.Since(began)
				h := r.Hosts[0]
				if hangs := strings.HasPrefix(name, "hangs") || name == "drips"; took > 20*time.Second || hangs && took < 10*time.Second {
					t.Errorf("took %v", took)
				}
				if fails := name != "knows HELO alone"; (h.Problem != "") != fails || r.OK() {
					t.Errorf("problem %q, ok %v", h.Problem, r.OK())
				}
				b.stop()
			})
		})
	}
}

// TestTLSTestHosts: which hosts are looked at, at which port, for whom.
func TestTLSTestHosts(t *testing.T) {
	server := testServerTLS(t, "mx.test", "hub.test")
	for name, tt := range map[string]struct {
		bench func(b *bench)
		test  TLSTest
		want  string // host address configured.asks, each; or the problem
		ok    bool
	}{
		"the exchangers of a domain": {func(b *bench) { b.names.mx["example.test"] = "mx.test,away.test" }, TLSTest{Host: "example.test", MX: true},
			`example.test: mx.test 192.0.2.25:25 TLS where it can be had; away.test 192.0.2.26:25 TLS where it can be had`, false},
		"no such domain":     {nil, TLSTest{Host: "no.test", MX: true}, `no.test: 550 5.4.4 Nonexistent domain no.test`, false},
		"no such host":       {nil, TLSTest{Host: "no.test"}, `no.test: no.test invalid AddrPort TLS where it can be had`, false},
		"an address":         {nil, TLSTest{Host: "192.0.2.25"}, `192.0.2.25: 192.0.2.25 192.0.2.25:25 TLS where it can be had`, true},
		"another port":       {func(b *bench) { b.host("192.0.2.25:2525", &fakeMX{tls: server}) }, TLSTest{Host: "mx.test", Port: 2525}, `mx.test: mx.test 192.0.2.25:2525 TLS where it can be had`, true},
		"of two addresses":   {func(b *bench) { b.names.addrs["mx.test"] = "192.0.2.99 192.0.2.25" }, TLSTest{Host: "mx.test"}, `mx.test: mx.test 192.0.2.25:25 TLS where it can be had (passed [mx.test [192.0.2.99]: Unable to connect: dial tcp: connect: connection refused])`, true},
		"implicit TLS":       {func(b *bench) { b.host("192.0.2.25:465", &fakeMX{tls: server, implicit: true}) }, TLSTest{Host: "mx.test", Begins: ByImplicit}, `mx.test: mx.test 192.0.2.25:465 TLS`, true},
		"not implicit there": {func(b *bench) { b.host("192.0.2.25:465", &fakeMX{tls: server}) }, TLSTest{Host: "mx.test", Begins: ByImplicit}, `mx.test: mx.test 192.0.2.25:465 TLS`, false},
		"an override": {func(b *bench) {
			b.connector.TLSOverrides = []config.TLSOverride{{Domain: "*.example.test", TLS: config.TLSRequired, TLSAuthLevel: config.CertificateValidation}}
		}, TLSTest{Host: "mx.test", Domain: "sub.example.test"}, `sub.example.test: mx.test 192.0.2.25:25 TLS with a valid certificate`, true},
		"a smart host": {func(b *bench) {
			b.connector.SmartHosts = []config.SmartHost{{Host: "hub.test", Port: 2525}}
			b.names.addrs["hub.test"] = "192.0.2.30"
			b.host("192.0.2.30:2525", &fakeMX{tls: server})
		}, TLSTest{Host: "HUB.test", Domain: "example.test"}, `hub.test: hub.test 192.0.2.30:2525 TLS where it can be had`, true},
		"a smart host with implicit TLS": {func(b *bench) {
			b.connector.SmartHosts = []config.SmartHost{{Host: "hub.test", Port: 465}}
			b.connector.TLS, b.connector.TLSAuthLevel, b.connector.TLSDomain, b.connector.ImplicitTLS = config.TLSRequired, config.DomainValidation, []string{"hub.test"}, true
			b.names.addrs["hub.test"] = "192.0.2.30"
			b.host("192.0.2.30:465", &fakeMX{tls: server, implicit: true})
		}, TLSTest{Host: "hub.test"}, `hub.test: hub.test 192.0.2.30:465 TLS with a valid certificate for hub.test`, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, &fakeMX{tls: server})
				b.names.addrs["away.test"] = "192.0.2.26"
				b.options.Roots = testRoots()
				if tt.bench != nil {
					tt.bench(b)
				}
				tt.test.Connector = "Internet"
				r, err := b.start().TestTLS(t.Context(), tt.test)
				if err != nil {
					t.Fatal(err)
				}
				var parts []string
				for _, h := range r.Hosts {
					part := fmt.Sprintf("%s %v %s", h.Host, h.Address, h.Configured.Asks)
					if len(h.Passed) > 0 {
						part += fmt.Sprintf(" (passed %v)", h.Passed)
					}
					parts = append(parts, part)
				}
				if got := r.Domain + ": " + strings.Join(parts, "; ") + r.Problem; got != tt.want || r.OK() != tt.ok {
					t.Errorf("got  %s, %v\nwant %s, %v", got, r.OK(), tt.want, tt.ok)
				}
				for _, h := range r.Hosts {
					for _, l := range h.Levels { // each can be put into a file
						changed := withLines(t, b.connector, l.Configuration)
						if strings.HasPrefix(tt.test.Host, "192.") || len(changed.TLSOverrides) != 1 {
							continue
						}
						hop := ptls.Hop{Domain: r.Domain, Host: h.Host}
						if len(b.connector.SmartHosts) > 0 {
							hop.Domain = ""
						}
						if got := ptls.PolicyFor(&changed, hop).Asks(); got != l.Asks {
							t.Errorf("the lines ask for %q, and the level for %q:\n%s", got, l.Asks, l.Configuration)
						}
					}
				}
				b.stop()
			})
		})
	}
	b := newBench(t, nil)
	if _, err := b.start().TestTLS(t.Context(), TLSTest{Connector: "None", Host: "mx.test"}); err == nil || !strings.Contains(err.Error(), `no send connector "None"`) {
		t.Errorf("error %v", err)
	}
	b.stop()
}

// TestTLSTestStar: of a configuration as it is read from a file one level is
// said to be in force, whatever it asks for.
func TestTLSTestStar(t *testing.T) {
	pin := strings.Repeat("A", 64)
	for lines, want := range map[string]string{
		"tls = \"ignore_starttls\"": "ignore_starttls",
		"":                          "opportunistic",
		"tls_fallback = false":      "opportunistic, tls_fallback = false",
		"tls = \"required\"":        "required, encryption_only",
		"tls = \"required\"\ntls_auth_level = \"encryption_only\"":                                              "required, encryption_only",
		"tls = \"required\"\ntls_auth_level = \"certificate_validation\"":                                       "required, certificate_validation",
		"tls = \"required\"\ntls_auth_level = \"domain_validation\"":                                            "required, domain_validation",
		"tls = \"required\"\ntls_auth_level = \"domain_validation\"\ntls_domain = \"mx.test\"":                  "required, domain_validation",
		"tls = \"required\"\ntls_auth_level = \"domain_validation\"\ndomain_secure_enabled = true":              "required, domain_validation",
		"tls = \"required\"\ntls_fingerprints = [\"" + pin + "\"]":                                              "required, encryption_only, tls_fingerprints",
		"tls = \"required\"\ntls_auth_level = \"certificate_validation\"\ntls_fingerprints = [\"" + pin + "\"]": "required, certificate_validation, tls_fingerprints",
		"[[send_connector.tls_override]]\ndomain = \"*.test\"\ntls = \"required\"":                              "required, encryption_only",
	} {
		t.Run(want, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg, findings, err := config.Parse("edge.toml", []byte("[server]\nfqdn = \"edge.contoso.example\"\n[[receive_connector]]\nname = \"r\"\nbindings = [\"127.0.0.1:25\"]\n"+
					"[[send_connector]]\nname = \"Internet\"\naddress_spaces = [\"*\"]\n"+lines))
				if err != nil || config.HasErrors(findings) {
					t.Fatalf("%v, %v", err, findings)
				}
				b := newBench(t, &fakeMX{tls: testServerTLS(t, "mx.test", "example.test")})
				b.options.Roots = testRoots()
				c, as := b.connector, cfg.SendConnectors[0]
				c.TLS, c.TLSAuthLevel, c.TLSDomain, c.TLSFingerprints, c.NoTLSFallback = as.TLS, as.TLSAuthLevel, as.TLSDomain, as.TLSFingerprints, as.NoTLSFallback
				c.DomainSecureEnabled, c.TLSOverrides = as.DomainSecureEnabled, as.TLSOverrides
				h := b.asked(func(x *TLSTest) { x.Domain = "sub.test" }).Hosts[0]
				b.stop()
				var got []string
				for _, l := range h.Levels {
					if l.InForce {
						got = append(got, l.Level)
						if l.Outcome != h.Configured.Outcome || l.Reason != h.Configured.Reason || l.Asks != h.Configured.Asks {
							t.Errorf("the level: %+v, the configuration: %+v", l, h.Configured)
						}
					}
				}
				if len(got) != 1 || got[0] != want {
					t.Errorf("in force are %q, want %q", got, want)
				}
			})
		})
	}
}

// TestTLSTestOwn: the gateway connects to none of its own ports, and mail for one
// is returned at once, also where another address of the host is a stranger's.
func TestTLSTestOwn(t *testing.T) {
	for _, addrs := range []string{"192.0.2.1", "192.0.2.25 192.0.2.1"} {
		synctest.Test(t, func(t *testing.T) {
			mx := &fakeMX{tls: testServerTLS(t, "mx.test")}
			b := newBench(t, nil)
			b.host("192.0.2.1:587", mx)
			b.host("192.0.2.25:587", mx)
			b.names.mx["example.test"], b.names.addrs["mx.test"] = "mx.test", addrs
			b.connector.Port, b.connector.TLS = 587, config.TLSRequired
			r := b.asked(nil)
			sent := b.send()
			b.stop()
			h := r.Hosts[0]
			if !h.Own || h.Configured.Outcome != OutcomeReturned || h.Problem != "Mail loop: mx.test [192.0.2.1] at port 587 is this gateway" || r.OK() || len(h.Levels) > 0 || len(mx.commands()) > 0 {
				t.Errorf("own %v, problem %q, %+v, levels %v, the host was told %q", h.Own, h.Problem, h.Configured, h.Levels, mx.commands())
			}
			if got := sum(sent); !strings.Contains(got, "554 5.4.6 "+h.Problem) {
				t.Errorf("the message: %s", got)
			}
		})
	}
}

// TestTLSTestSupposed: what implicit TLS would be for a connector that is
// opportunistic leaves no clear text to go back to, and no level is in force.
func TestTLSTestSupposed(t *testing.T) {
	for _, implicit := range []bool{true, false} { // whether the host knows it
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, nil)
			b.host("192.0.2.25:465", &fakeMX{tls: testServerTLS(t, "mx.test"), implicit: implicit})
			b.names.addrs["mx.test"] = "192.0.2.25"
			r := b.asked(func(x *TLSTest) { x.Begins = ByImplicit })
			b.stop()
			h, want := r.Hosts[0], OutcomeWaits
			if implicit {
				want = OutcomeTLS
			}
			if h.Configured.Outcome != want || r.OK() != implicit || !r.Supposed || !strings.Contains(strings.Join(r.Notes, " "), `the connector has tls = "opportunistic"`) {
				t.Errorf("%+v, supposed %v, notes %q", h.Configured, r.Supposed, r.Notes)
			}
			for _, l := range h.Levels {
				if l.InForce || !strings.HasPrefix(l.Level, "required") || l.Outcome == OutcomeClear {
					t.Errorf("level %+v", l)
				}
			}
		})
	}
}
