package ptls

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postern/config"
	"postern/internal/eventid"
	"postern/internal/message"
	"postern/internal/metrics"
)

// PresenterOptions say what a Presenter works with.
type PresenterOptions struct {
	Config *config.Config
	// Material reads the files; nil: one of its own, for the directory of the
	// configuration.
	Material *Material
	Metrics  *metrics.Registry
	Logger   *slog.Logger
}

// Presenter presents certificates to the clients of Receive connectors: it
// keeps a Chooser up to date with the files, and the self-signed certificate
// that stands in where there is no other. Files are looked at when somebody
// shakes hands, once a second at most, and by Look. It is safe for concurrent
// use.
type Presenter struct {
	material *Material
	own      *Store
	metrics  *metrics.Registry
	logger   *slog.Logger
	current  atomic.Pointer[presented]

	mu sync.Mutex // one at a time makes the next current
	// cfg is the configuration in force, before the one that it took the place
	// of: sessions that began with that may still shake hands.
	cfg, before *config.Config
	told        map[string]string // what the event log knows of each connector
	stages      map[string]string // and of each certificate, by thumbprint
	gauges      map[gauge]int64

	cancel context.CancelFunc
	done   chan struct{}
}

// presented is what handshakes go by.
type presented struct {
	chooser    *Chooser
	generation uint64
}

// OpenPresenter reads what there is, and makes a self-signed certificate for
// the names of the server and its connectors. A disk that can't be read or
// written is no error: certificates are made in memory then, and the event log
// says so.
func OpenPresenter(o PresenterOptions) (*Presenter, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Material == nil {
		o.Material = NewMaterial(MaterialOptions{Directory: StoreDirectory(o.Config), Logger: o.Logger})
	}
	p := &Presenter{material: o.Material, metrics: o.Metrics, logger: o.Logger, told: make(map[string]string)}
	var err error
	if p.own, err = OpenStore(StoreOptions{Directory: o.Material.o.Directory, Names: OwnNames(o.Config), Logger: o.Logger}); err != nil {
		return nil, err
	}
	return p, p.Configure(o.Config)
}

// OwnNames lists the names that the self-signed certificate is for: the
// server's own first, then those of its Receive connectors.
func OwnNames(cfg *config.Config) []string {
	names := []string{message.DomainKey(cfg.Server.FQDN)}
	for i := range cfg.ReceiveConnectors {
		if n := message.DomainKey(cfg.ReceiveConnectors[i].FQDN); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// Configure puts another configuration in force. The directory stays the one
// that the presenter was opened with.
func (p *Presenter) Configure(cfg *config.Config) error {
	if err := p.own.Cover(OwnNames(cfg)); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before, p.cfg = p.cfg, cfg
	p.material.present(p.before, p.cfg)
	p.build(p.material.Generation())
	return nil
}

// Look looks at the files, renews the self-signed certificate if it is time,
// and tells the event log what has changed for whom.
func (p *Presenter) Look() {
	p.own.Current()
	p.own.save()
	p.mu.Lock()
	defer p.mu.Unlock()
	if g := p.material.Generation(); g != p.current.Load().generation {
		p.build(g)
		return
	}
	p.tell(p.current.Load().chooser, time.Now())
}

// Chooser is the one in force, after a look at the files.
func (p *Presenter) Chooser() *Chooser {
	now := p.current.Load()
	g := p.material.Generation()
	if g == now.generation || !p.mu.TryLock() {
		return now.chooser
	}
	defer p.mu.Unlock()
	return p.build(g)
}

// build makes a Chooser of what the files hold. The caller holds the lock.
func (p *Presenter) build(generation uint64) *Chooser {
	listing, err := p.material.list()
	if err != nil {
		listing = new(Listing) // the log knows
	}
	assignments, _ := p.material.assigned()
	files, fails := make(map[string]*Entry), make(map[string]error)
	for _, path := range presentedFiles(p.before, p.cfg) {
		if files[path], err = p.material.file(path); err != nil {
			delete(files, path)
			fails[path] = err
		}
	}
	c := newChooser(p.material.o.Directory, listing, assignments, files, fails)
	p.current.Store(&presented{c, generation})
	p.tell(c, time.Now())
	return c
}

// presentedFiles lists the paths that Receive connectors name.
func presentedFiles(configs ...*config.Config) []string {
	var paths []string
	for _, cfg := range configs {
		if cfg == nil {
			continue
		}
		for i := range cfg.ReceiveConnectors {
			if path := cfg.ReceiveConnectors[i].TLSCertificate; isPath(path) && !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// Choose is Chooser.Choose for the certificates in force. Its Entry is never
// nil.
func (p *Presenter) Choose(r *config.ReceiveConnector, serverName string) Choice {
	c := p.Chooser().Choose(r, serverName, time.Now())
	p.standIn(&c)
	return c
}

// standIn puts the certificate that the gateway made where there is no other,
// or where that in the store does not do.
func (p *Presenter) standIn(c *Choice) {
	if c.By != ByNothing {
		return
	}
	own := p.own.entry()
	if e := c.Entry; e == nil || e.Usable(time.Now()) != nil || e.Leaf().VerifyHostname(c.Name) != nil || own.Leaf().NotAfter.After(e.Leaf().NotAfter) {
		c.Entry = own
	}
}

// ServerConfig returns the configuration of the server side of handshakes on a
// connector, in the way of RFC 9325: TLS 1.2 and 1.3 only (3.1.1), forward
// secrecy and authenticated encryption (4.2) unless the connector asks for
// less, no tickets unless it asks for them.
func (p *Presenter) ServerConfig(r *config.ReceiveConnector) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS12,
		CipherSuites:           cipherSuites(r.TLSCiphers),
		SessionTicketsDisabled: !r.SessionTickets,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			c := p.Choose(r, hello.ServerName)
			return c.forClient(hello), nil
		},
	}
}

// cipherSuites are those of TLS 1.2; crypto/tls chooses the order, and those of
// TLS 1.3 by itself.
func cipherSuites(which string) []uint16 {
	suites := []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
	if which == config.CompatibleCiphers {
		suites = append(suites, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA)
	}
	return suites
}

// forClient is the first of the certificates whose key the client can use. That
// the name is another than the client asked for is the client's affair.
func (c *Choice) forClient(hello *tls.ClientHelloInfo) *tls.Certificate {
	first := c.Entry.TLS()
	if len(c.Others) == 0 {
		return first
	}
	nameless := *hello
	nameless.ServerName = ""
	if nameless.SupportsCertificate(first) == nil {
		return first
	}
	for _, e := range c.Others {
		if t := e.TLS(); nameless.SupportsCertificate(t) == nil {
			return t
		}
	}
	return first
}

// tell writes to the event log what clients of each connector see, when that
// changes, and what expires; and sets the gauges. The caller holds the lock.
func (p *Presenter) tell(c *Chooser, now time.Time) {
	told := make(map[string]string)
	for _, u := range c.receiveUses(p.cfg, now) {
		p.standIn(&u.Choice)
		e := u.Choice.Entry
		text := string(u.Choice.By)
		if u.Choice.By != ByNothing { // that is replaced quietly
			text += " " + e.Thumbprint()
		}
		if u.Choice.Problem != nil {
			text += " " + u.Choice.Problem.Error()
		}
		told[u.Connector] = text
		if p.told[u.Connector] == text {
			continue
		}
		attrs := []any{"connector", u.Connector, "fqdn", u.FQDN, "thumbprint", e.Thumbprint(), "subject", e.Leaf().Subject.String(),
			"expires", e.Leaf().NotAfter.UTC().Format(time.RFC3339), "reason", u.Choice.Reason}
		if u.Choice.Problem == nil {
			p.logger.Info("a connector presents a certificate", append([]any{eventid.CertificateChosen.Attr()}, attrs...)...)
			continue
		}
		attrs = append(attrs, "problem", strings.ReplaceAll(u.Choice.Problem.Error(), "\n", "; "), "remedy", u.Choice.Remedy)
		p.logger.Log(context.Background(), p.gravity(u.Connector), "no certificate is for the name of a connector", append([]any{eventid.CertificateMissing.Attr()}, attrs...)...)
	}
	p.told = told
	shown := p.shown(c, now)
	p.warn(shown, now)
	p.measure(shown)
}

// gravity is how grave it is that a connector has no certificate for its name:
// little where it is reached from this host alone.
func (p *Presenter) gravity(connector string) slog.Level {
	i := slices.IndexFunc(p.cfg.ReceiveConnectors, func(r config.ReceiveConnector) bool { return r.Name == connector })
	if i >= 0 && localOnly(&p.cfg.ReceiveConnectors[i]) {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// present says which files Receive connectors name, so that they are kept in
// mind, and forgets those of connectors that are gone.
func (m *Material) present(configs ...*config.Config) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := make(map[string]bool)
	for _, path := range presentedFiles(configs...) {
		next[path] = true
	}
	for path := range m.presented {
		if !next[path] {
			delete(m.entries, path) // a Send connector that names it too reads it again
		}
	}
	m.presented = next
}

func (m *Material) assigned() (Assignments, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, err := use(m, m.assignments, AssignmentsFile)
	if err != nil {
		err = fmt.Errorf("the assignments of certificates can't be read: %w", err)
	}
	return a, err
}
