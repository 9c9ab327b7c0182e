//go:build unix

package ptls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postern/config"
)

// TestHostileStore: what lies in the directory and is no certificate holds
// nobody up, and what is there in excess costs a bounded time.
func TestHostileStore(t *testing.T) {
	ca := newAuthority(t, "Test authority", nil)
	dir := t.TempDir()
	lasting := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(1000 * time.Hour) }
	var names []string
	for i := range 10_000 {
		names = append(names, fmt.Sprintf("host%d.many.example", i))
	}
	many := ca.issue(t, nil, lasting, names...)
	writePEM(t, dir, "many.pem", many)
	key := newKey(t)
	for i := range 900 {
		writePEM(t, dir, fmt.Sprintf("n%d.pem", i), ca.issue(t, key, lasting, fmt.Sprintf("n%d.example", i)))
	}
	if err := errors.Join(syscall.Mkfifo(filepath.Join(dir, "pipe.pem"), 0o600), syscall.Mkfifo(filepath.Join(dir, AssignmentsFile), 0o600),
		os.Symlink("loop.pem", filepath.Join(dir, "loop.pem")), os.Symlink("/dev/zero", filepath.Join(dir, "zero.pem")), os.Mkdir(filepath.Join(dir, "folder.pem"), 0o700),
		os.WriteFile(filepath.Join(dir, "large.pem"), make([]byte, maxPEM+1), 0o600)); err != nil {
		t.Fatal(err)
	}
	var log journal
	cfg := edge(dir, func(r *config.ReceiveConnector) { r.TLSCertificate = filepath.Join(dir, "pipe.pem") })
	began := time.Now()
	p, err := OpenPresenter(PresenterOptions{Config: cfg, Logger: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("reading takes %v", took)
	} else {
		t.Logf("read in %v", took)
	}
	if text := log.take(); strings.Count(text, "event_id=26004") != 5 {
		t.Errorf("5 files can't be used, and the event log says\n%s", text)
	}
	cfg = edge(dir, nil)
	if err := p.Configure(cfg); err != nil {
		t.Fatal(err)
	}
	server := p.ServerConfig(&cfg.ReceiveConnectors[0])
	for name, want := range map[string]bool{"host9999.many.example": true, "HOST0.many.example": true, "host10000.many.example": false} {
		cs, err := seen(t, server, &tls.Config{ServerName: name})
		if err != nil || cs.PeerCertificates[0].Equal(many.Leaf) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	shown := p.Shown()
	if i := slices.IndexFunc(shown, func(s Shown) bool { return s.FriendlyName == "many" }); i < 0 || len(shown[i].Names) != maxShownNames ||
		!strings.HasSuffix(shown[i].For(), "host4.many.example and 9995 more") {
		t.Errorf("%d are shown", len(shown))
	}
	began = time.Now()
	p.Look()
	t.Logf("a look at them takes %v", time.Since(began))
	began = time.Now()
	const choices = 1000
	for i := range choices {
		p.Choose(&cfg.ReceiveConnectors[0], fmt.Sprintf("host%d.many.example", i))
	}
	t.Logf("a choice takes %v", time.Since(began)/choices)
	if took := time.Since(began) / choices; took > time.Millisecond {
		t.Errorf("a choice takes %v", took)
	}
}

// TestHostileServerNames: whatever a client asks for, it gets a certificate or
// an alert.
func TestHostileServerNames(t *testing.T) {
	dir := t.TempDir()
	cfg := edge(dir, nil)
	p, err := OpenPresenter(PresenterOptions{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", ".", "..", "*", "*.", "*.contoso.example", "a..b", "\x00", "\xff\xfe", strings.Repeat("a", 65_000), strings.Repeat("a.", 30_000), "192.0.2.1", "[::1]",
		"edge.contoso.example\x00.evil.example", "xn--", "xn--\xff", strings.Repeat(".", 1000), "EDGE.CONTOSO.EXAMPLE.", "é.example"} {
		c := p.Choose(&cfg.ReceiveConnectors[0], name)
		if c.Entry == nil || c.By != ByNothing {
			t.Errorf("%.40q: %+v", name, c)
		}
	}
	// On the wire: names of a length that no hello may have, and rubbish.
	server := p.ServerConfig(&cfg.ReceiveConnectors[0])
	for _, size := range []int{100, 60_000, 65_535} {
		a, b := net.Pipe()
		done := make(chan error, 1)
		go func() {
			defer b.Close()
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			done <- tls.Server(b, server).HandshakeContext(ctx)
		}()
		go func() {
			hello := clientHello(strings.Repeat("\xff", size))
			for len(hello) > 0 {
				n := min(len(hello), 16_000)
				record := append([]byte{22, 3, 1, byte(n >> 8), byte(n)}, hello[:n]...)
				if _, err := a.Write(record); err != nil {
					return
				}
				hello = hello[n:]
			}
		}()
		go func() {
			buf := make([]byte, 4096)
			for {
				if _, err := a.Read(buf); err != nil {
					return
				}
			}
		}()
		if err := <-done; err == nil {
			t.Errorf("a name of %d octets: a handshake", size)
		}
		a.Close()
	}
}

// clientHello is one of TLS 1.2 with a server name of any octets (RFC 5246
// 7.4.1.2, RFC 6066 3).
func clientHello(name string) []byte {
	n := len(name)
	entry := append([]byte{0, byte(n >> 8), byte(n)}, name...)
	list := append([]byte{byte(len(entry) >> 8), byte(len(entry))}, entry...)
	ext := append([]byte{0, 0, byte(len(list) >> 8), byte(len(list))}, list...)
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0, 0, 2, 0xc0, 0x2b, 1, 0, byte(len(ext)>>8), byte(len(ext)))
	body = append(body, ext...)
	return append([]byte{1, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

// TestSwappedUnderLoad: clients come while files are replaced without care,
// removed and put back; each gets a certificate that was there whole once.
func TestSwappedUnderLoad(t *testing.T) {
	ca := newAuthority(t, "Test authority", nil)
	dir := t.TempDir()
	lasting := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(1000 * time.Hour) }
	known := map[string]bool{}
	var certs []*tls.Certificate
	for range 3 {
		c := ca.issue(t, nil, lasting, "edge.contoso.example")
		certs = append(certs, c)
		known[Thumbprint(c.Leaf)] = true
	}
	writePEM(t, dir, "edge.crt", certs[0].Leaf)
	writePEM(t, dir, "edge.key", certs[0].PrivateKey)
	cfg := edge(dir, nil)
	p, err := OpenPresenter(PresenterOptions{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	server := p.ServerConfig(&cfg.ReceiveConnectors[0])
	stop := make(chan struct{})
	var work sync.WaitGroup
	for range 3 {
		work.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				cs, err := seen(t, server, &tls.Config{})
				if err != nil || !known[Thumbprint(cs.PeerCertificates[0])] {
					t.Errorf("a client sees %v, %v", cs.PeerCertificates, err)
					return
				}
			}
		})
	}
	for i := range 6 {
		c := certs[(i+1)%3]
		writePEM(t, dir, "edge.crt", c.Leaf) // for a while with another's key
		time.Sleep(400 * time.Millisecond)
		writePEM(t, dir, "edge.key", c.PrivateKey)
		if err := os.Chmod(filepath.Join(dir, "edge.key"), 0o644); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
		if err := errors.Join(os.Chmod(filepath.Join(dir, "edge.key"), 0o600), p.Configure(cfg)); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	work.Wait()
	for range 3 {
		time.Sleep(watchInterval)
		p.Look()
	}
	if got := p.Choose(&cfg.ReceiveConnectors[0], "").Entry.Thumbprint(); got != Thumbprint(certs[0].Leaf) {
		t.Errorf("at the end clients see %s", got)
	}
}
