package send

import (
	"bytes"
	"crypto"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	verifier "github.com/emersion/go-msgauth/dkim"

	"postern/config"
	"postern/internal/dkim"
	"postern/internal/message"
)

// signKeys are made once: an RSA key takes its time.
var signKeys = sync.OnceValue(func() map[string]crypto.Signer {
	r, err := dkim.GenerateRSA(dkim.MinRSABits)
	if err != nil {
		panic(err)
	}
	e, err := dkim.GenerateEd25519()
	if err != nil {
		panic(err)
	}
	return map[string]crypto.Signer{"edge1-rsa": r, "edge1-ed25519": e}
})

// signing gives a bench a signing domain with two keys in files.
func (b *bench) signing() *config.DKIM {
	b.t.Helper()
	b.config.DKIM = []config.DKIM{{
		Domain: "contoso.example", Keys: map[string]string{}, Canonicalization: "relaxed/relaxed", OnError: config.DKIMDefer,
		OversignedHeaders: []string{"From", "Subject"}, SignedHeaders: []string{"List-Id"}, Expiration: config.Unlimited,
	}}
	dir := b.t.TempDir()
	for selector, key := range signKeys() {
		path := filepath.Join(dir, selector+".pem")
		if err := dkim.WriteKey(path, key); err != nil {
			b.t.Fatal(err)
		}
		b.config.DKIM[0].Keys[selector] = path
	}
	b.connector.DKIMDomains = []string{"*"}
	return &b.config.DKIM[0]
}

// signatures are the signatures of a message that hold, as "d/algorithm"; the
// problems of the others are reported.
func signatures(t *testing.T, content string) int {
	t.Helper()
	all, err := verifier.VerifyWithOptions(strings.NewReader(content), &verifier.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		for selector, key := range signKeys() {
			if r, err := dkim.RecordFor("contoso.example", selector, key); err == nil && r.Name == name {
				return []string{r.Text}, nil
			}
		}
		return nil, errors.New("unexpected question for " + name)
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		if v.Err != nil || v.Domain != "contoso.example" {
			t.Errorf("signature of %s: %v", v.Domain, v.Err)
		}
	}
	return len(all)
}

// ownMail is a delivery of a message that may be signed.
func ownMail(content string, recipients ...string) *message.Delivery {
	d := mail(content, recipients...)
	d.Envelope.Origin.MayRelay = true
	return d
}

const signedLetter = "From: Anna <anna@contoso.example>\r\nSubject: hello\r\n\r\n.hello\r\n"

func TestSigned(t *testing.T) {
	large := signedLetter + strings.Repeat("a line of some length, many times\r\n", chunkingFrom/30)
	for _, tt := range []struct {
		name    string
		content string
		change  func(b *bench, d *message.Delivery)
		want    int // signatures
	}{
		{"both keys", signedLetter, nil, 2},
		{"in one chunk", large, func(b *bench, _ *message.Delivery) { b.net.hosts = nil }, 2},
		{"header alone", strings.Split(signedLetter, "\r\n\r\n")[0] + "\r\n\r\n", nil, 2},
		{"one key", signedLetter, func(b *bench, _ *message.Delivery) { delete(b.config.DKIM[0].Keys, "edge1-rsa") }, 1},
		{"a stranger", signedLetter, func(_ *bench, d *message.Delivery) { d.Envelope.Origin.MayRelay = false }, 0},
		{"a notification", signedLetter, func(_ *bench, d *message.Delivery) {
			d.Envelope.Origin = message.Origin{Internal: true}
		}, 2},
		{"another domain", strings.Replace(signedLetter, "contoso", "fabrikam", 1), nil, 0},
		{"a domain below", strings.Replace(signedLetter, "@", "@news.", 1), nil, 0},
		{"a domain below that counts", strings.Replace(signedLetter, "@", "@news.", 1), func(b *bench, _ *message.Delivery) { b.config.DKIM[0].Subdomains = true }, 2},
		{"no From", "Subject: hello\r\n\r\nhello\r\n", nil, 0},
		{"two of them", "From: a@contoso.example\r\n" + signedLetter, nil, 0},
		{"not through this connector", signedLetter, func(b *bench, _ *message.Delivery) { b.connector.DKIMDomains = nil }, 0},
		{"through this connector", signedLetter, func(b *bench, _ *message.Delivery) {
			b.connector.DKIMDomains = []string{"x.example", "Contoso.example"}
		}, 2},
		{"simple", signedLetter, func(b *bench, _ *message.Delivery) { b.config.DKIM[0].Canonicalization = "simple/simple" }, 2},
		{"a header without end", "From: a@contoso.example\r\n" + strings.Repeat("X: y\r\n", maxSignedHeader/6+1) + "\r\nbody\r\n", nil, 0},
		{"stripped before", strings.Replace(signedLetter, "Subject:", "X-MS-Exchange-Organization-SCL: 1\r\nSubject:", 1), nil, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mx := &fakeMX{ext: []string{"PIPELINING", "SIZE", "CHUNKING"}}
				b := newBench(t, mx)
				defer b.stop()
				b.signing()
				d := ownMail(tt.content)
				if tt.change != nil {
					tt.change(b, d)
				}
				if b.net.hosts == nil {
					b.net.hosts = newMemNet().hosts
					b.host("192.0.2.25:25", mx)
				}
				if got := sum(b.deliver(t.Context(), hop(), d)); got != took {
					t.Fatal(got)
				}
				m := mx.got()[0]
				if n := signatures(t, m.content); n != tt.want {
					t.Errorf("%d signatures, want %d, in %.2000q", n, tt.want, m.content)
				}
				at := strings.Index(m.content, "\r\nFrom:") + 2
				if tt.want == 0 {
					at = 0
				}
				if rest := m.content[at:]; rest != tt.content && !strings.Contains(tt.content, "X-MS") {
					t.Errorf("below the signatures the message is %.200q", rest)
				}
				if want := "SIZE=" + strconv.Itoa(len(m.content)); !strings.Contains(m.from, want) && !strings.Contains(tt.content, "X-MS") {
					t.Errorf("%s, want %s", m.from, want)
				}
			})
		})
	}
}

// TestSignedOnce: a message has the same signatures at the next host, and for
// recipients in another transaction.
func TestSignedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := &fakeMX{faults: map[string]fault{"DATA": replyAndClose("421 4.3.2 not now")}}
		second := &fakeMX{ext: []string{"PIPELINING", "LIMITS RCPTMAX=1"}}
		b := newBench(t, first)
		b.names.mx["example.test"], b.names.addrs["mx2.test"] = "mx.test,mx2.test", "192.0.2.26"
		b.host("192.0.2.26:25", second)
		defer b.stop()
		b.signing()
		b.connector.ProtocolLogging = "verbose"
		r := b.deliver(t.Context(), hop(), ownMail(signedLetter, "a", "b"))
		got := second.got()
		if len(got) != 2 || got[0].content != got[1].content || signatures(t, got[0].content) != 2 {
			t.Fatalf("%s: %v", sum(r), got)
		}
	})
}

func TestSigningFails(t *testing.T) {
	for _, tt := range []struct {
		onError string
		want    string
		signed  int
	}{
		{config.DKIMDefer, `0 deferred 451 4.3.0 the DKIM key of contoso.example with the selector "edge1-rsa" can't be used: open `, 0},
		{config.DKIMSendUnsigned, took, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			mx := &fakeMX{}
			b := newBench(t, mx)
			defer b.stop()
			c := b.signing()
			c.OnError = tt.onError
			var log bytes.Buffer
			b.options.Logger = slog.New(slog.NewTextHandler(&log, nil))
			gone := c.Keys["edge1-rsa"]
			if f := CheckKeys(b.config); len(f) != 0 {
				t.Errorf("findings %v", f)
			}
			if err := os.Rename(gone, gone+".away"); err != nil {
				t.Fatal(err)
			}
			if f := CheckKeys(b.config); len(f) != 1 || f[0].Path != "dkim[0].keys" {
				t.Errorf("findings %v", f)
			}
			for range 3 {
				r := b.deliver(t.Context(), hop(), ownMail(signedLetter))
				if got := sum(r); !strings.HasPrefix(got, tt.want) || r.Unreachable || r.Congested {
					t.Errorf("%s: %s", tt.onError, got)
				}
			}
			if n := strings.Count(log.String(), "can't be signed"); n != 1 {
				t.Errorf("told %d times in a minute:\n%s", n, log.String())
			}
			for _, m := range mx.got() {
				if n := signatures(t, m.content); n != tt.signed {
					t.Errorf("%d signatures, want %d", n, tt.signed)
				}
			}
			// The key comes back, without a reload.
			if err := os.Rename(gone+".away", gone); err != nil {
				t.Fatal(err)
			}
			if got := sum(b.deliver(t.Context(), hop(), ownMail(signedLetter))); got != took {
				t.Error(got)
			}
			if all := mx.got(); signatures(t, all[len(all)-1].content) != 2 {
				t.Error("not signed with the key that came back")
			}
		})
	}
}

func TestLintSigning(t *testing.T) {
	cfg := &config.Config{DKIM: []config.DKIM{{Domain: "contoso.example"}}, SendConnectors: []config.SendConnector{
		{Name: "off", FQDN: "a.b", DKIMDomains: []string{"*"}}, {Name: "on", FQDN: "a.b", Enabled: true, DKIMDomains: []string{"fabrikam.example"}}}}
	if f := Lint(cfg); len(f) != 1 || f[0].Path != "dkim[0].domain" || f[0].Remedy == "" {
		t.Errorf("findings %v", f)
	}
	cfg.SendConnectors[1].DKIMDomains = []string{"Contoso.example"}
	if f := Lint(cfg); len(f) != 0 {
		t.Errorf("findings %v", f)
	}
}

// TestHeaderFirewall: what a connector has no right to send is left out
// (reference 2.4).
func TestHeaderFirewall(t *testing.T) {
	const head = "Received: from a\r\n\tby b\r\nFrom: a@x.example\r\nX-MS-Exchange-Organization-AuthAs: Internal\r\n" +
		"Resent-From: c@x.example\r\nX-MS-Exchange-Forest-Y: 1\r\nSubject: s\r\n\r\n"
	const body = "Received: is text here\r\n"
	kept := func(names ...string) string {
		var b strings.Builder
		for line := range strings.SplitAfterSeq(strings.ReplaceAll(head, "\r\n\t", "\n"), "\r\n") {
			for _, n := range names {
				if strings.HasPrefix(line, n+":") {
					b.WriteString(strings.ReplaceAll(line, "\nby", "\r\n\tby"))
				}
			}
		}
		return b.String() + "\r\n"
	}
	long := strings.Repeat("text\r\n", chunkingFrom/6+1)
	for _, tt := range []struct {
		name                  string
		routing, organization bool
		want                  string
	}{
		{"default", true, false, kept("Received", "From", "Resent-From", "Subject")},
		{"everything", true, true, head},
		{"nothing of ours", false, false, kept("From", "Subject")},
		{"no way", false, true, kept("From", "X-MS-Exchange-Organization-AuthAs", "X-MS-Exchange-Forest-Y", "Subject")},
	} {
		for _, body := range []string{body, body + long} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					mx := &fakeMX{ext: []string{"CHUNKING", "SIZE", "LIMITS RCPTMAX=1"}}
					b := newBench(t, mx)
					defer b.stop()
					b.connector.SendHeadersRouting, b.connector.SendHeadersOrganization = tt.routing, tt.organization
					d := mail(head+body, "a", "b")
					if got := sum(b.deliver(t.Context(), hop(), d)); got != strings.Replace(took, "0", "0,1", 1) {
						t.Fatal(got)
					}
					for _, m := range mx.got() {
						if m.content != tt.want+body {
							t.Errorf("sent %.500q, want %.500q", m.content, tt.want+body)
						}
						if want := "SIZE=" + strconv.Itoa(len(m.content)); m.bdat && !strings.Contains(m.from, want) {
							t.Errorf("%s, want %s", m.from, want)
						}
					}
				})
			})
		}
	}
}

// Content that fails while it is looked at is nobody's fault, and the file is
// closed.
func TestSigningUnreadableContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeMX{})
		defer b.stop()
		b.signing()
		d := ownMail(signedLetter)
		open, closed := d.Open, false
		d.Open = func() (message.Content, error) {
			c, err := open()
			return &closing{broken{*c.(*stored), 0}, &closed}, err
		}
		if got := sum(b.deliver(t.Context(), hop(), d)); !strings.HasPrefix(got, "0 deferred 451 4.3.0 the content can't be read") {
			t.Error(got)
		}
		if !closed {
			t.Error("the content was left open")
		}
	})
}

type closing struct {
	broken
	closed *bool
}

func (c *closing) Close() error { *c.closed = true; return nil }

// endless is content of any size that is nowhere: a header, then lines.
type endless struct {
	stored
	header string
	size   int64
}

func (e *endless) Size() int64 { return e.size }

func (e *endless) ReadAt(p []byte, at int64) (int, error) {
	const line = "many words on a line of text, again\r\n"
	for n := range p {
		if i := at + int64(n); i < int64(len(e.header)) {
			p[n] = e.header[i]
		} else {
			p[n] = line[(i-int64(len(e.header)))%int64(len(line))]
		}
	}
	return len(p), nil
}

// TestSigningMemory: of a large message only its header and a block are ever in
// memory.
func TestSigningMemory(t *testing.T) {
	for _, header := range []string{signedLetter[:strings.Index(signedLetter, "\r\n\r\n")+4], "Subject: no author\r\n\r\n", "X-Header: without end\r\n"} {
		b := newBench(t, nil)
		b.signing()
		s := b.start()
		size := int64(36 << 20)
		r := &run{finder: finder{s: s, snap: s.snapshot.Load(), connector: b.connector}, d: ownMail("")}
		o := newOutgoing(&endless{header: header, size: size}, message.InternalHeaders)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := r.sign(o); err != nil {
			t.Fatal(err)
		}
		sent := int64(0)
		if err := o.stream(make([]byte, block), func(p []byte) (int, error) { sent += int64(len(p)); return len(p), nil }); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		most := uint64(1 << 20)
		if strings.Contains(header, "without end") { // looked at up to its bound, while it grows
			most = 8 * maxSignedHeader
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > most {
			t.Errorf("%q: %d octets were allocated, want at most %d", header, used, most)
		}
		if sent != o.size || sent != size+int64(len(o.front)) {
			t.Errorf("%q: %d octets were sent, and %d promised", header, sent, o.size)
		}
		b.stop()
	}
}

func TestOnce(t *testing.T) {
	var o once
	now := time.Unix(1, 0)
	if !o.tell("a", now) || o.tell("a", now.Add(tellEvery-1)) || !o.tell("b", now) || !o.tell("a", now.Add(tellEvery)) {
		t.Error("not once a minute")
	}
	for i := range 3 * maxTold {
		o.tell(strconv.Itoa(i), now)
	}
	if len(o.last) > maxTold {
		t.Errorf("%d things are remembered", len(o.last))
	}
}
