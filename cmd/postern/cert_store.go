package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"postern/config"
	"postern/internal/control"
	ptls "postern/tls"
)

// certChange is a change of the certificate store that is being planned, with
// the store locked.
type certChange struct {
	*ptls.Plan
	app *app
	cfg *config.Config
	now time.Time
	// findings are warnings about what is about to be done.
	findings []config.Finding
	// asked says that somebody has seen the shifts.
	asked bool
}

// changeCerts locks the store and lets f plan a change of it.
func (a *app) changeCerts(f func(*certChange) error) (err error) {
	cfg, err := a.mustLoad()
	if err != nil {
		return err
	}
	dir, err := ptls.OpenDirectory(ptls.StoreDirectory(cfg))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	plan, err := dir.Plan()
	if err != nil {
		return err
	}
	for _, p := range plan.Listing().Problems {
		tell(a.err, "passed over: "+clean(p.Error()))
	}
	return f(&certChange{Plan: plan, app: a, cfg: cfg, now: time.Now()})
}

// readCerts reads the store for a command that changes nothing.
func (a *app) readCerts() (*config.Config, *ptls.Chooser, []error, error) {
	cfg, err := a.mustLoad()
	if err != nil {
		return nil, nil, nil, err
	}
	path := ptls.StoreDirectory(cfg)
	if f, err := os.Open(path); err == nil {
		f.Close()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil, unreadable(path, err)
	}
	chooser, problems := ptls.ReadChooser(cfg)
	return cfg, chooser, problems, nil
}

func unreadable(path string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("the certificate directory %s can't be read: permission denied; call as root or as the user the gateway runs as", path)
	}
	return fmt.Errorf("the certificate directory %s can't be read: %w", path, err)
}

// lookUp finds an entry by its thumbprint for a command that has no use for a
// request.
func lookUp(l *ptls.Listing, prefix string) (*ptls.Entry, error) {
	e, w, err := l.Lookup(prefix)
	if err != nil {
		return nil, err
	}
	if w != nil {
		return nil, fmt.Errorf("%s is a request, which waits for its certificate; import that first: postern cert import FILE", w.ID()[:16])
	}
	return e, nil
}

// describe names a certificate in a sentence.
func describe(e *ptls.Entry) string {
	by := "issued by " + issuer(e)
	if e.SelfSigned() {
		by = "self-signed"
	}
	return fmt.Sprintf("%s %q (%s, until %s)", e.Thumbprint()[:16], clean(e.FriendlyName), by, e.Leaf().NotAfter.Local().Format(time.DateOnly))
}

// issuer names the authority in a few words.
func issuer(e *ptls.Entry) string {
	n := e.Leaf().Issuer
	switch {
	case n.CommonName != "":
		return clean(n.CommonName)
	case len(n.Organization) > 0:
		return clean(n.Organization[0])
	}
	return clean(n.String())
}

// shift is that a connector shows another certificate.
type shift struct {
	Kind      string  `json:"kind"`
	Connector string  `json:"connector"`
	From      *string `json:"from"` // thumbprints; null for none of the store
	To        *string `json:"to"`
	// FromOthers and ToOthers are those for clients that can't use the key of the
	// first.
	FromOthers []string `json:"from_others"`
	ToOthers   []string `json:"to_others"`
	Reason     string   `json:"reason"`

	from, to             *ptls.Entry
	fromOthers, toOthers []*ptls.Entry
}

// shifts is what the plan changes for connectors.
func (c *certChange) shifts() []shift {
	before, after := c.Choosers(c.cfg)
	type key struct{ kind, name string }
	was := make(map[key]ptls.Use)
	var order []key
	uses := before.Uses(c.cfg, c.now)
	for _, u := range uses {
		was[key{u.Kind, u.Connector}] = u
		order = append(order, key{u.Kind, u.Connector})
	}
	is := make(map[key]ptls.Use)
	for _, u := range after.Uses(c.cfg, c.now) {
		k := key{u.Kind, u.Connector}
		is[k] = u
		if _, known := was[k]; !known {
			order = append(order, k)
		}
	}
	var list []shift
	for _, k := range order {
		from, to := was[k].Choice.Entry, is[k].Choice.Entry
		s := shift{Kind: k.kind, Connector: k.name, Reason: clean(is[k].Choice.Reason), from: from, to: to,
			fromOthers: others(was[k], k.kind), toOthers: others(is[k], k.kind)}
		s.FromOthers, s.ToOthers = thumbprints(s.fromOthers), thumbprints(s.toOthers)
		if sameEntry(from, to) {
			if slices.Equal(s.FromOthers, s.ToOthers) {
				continue
			}
			s.Reason = "for clients that can't use the key of the first"
		}
		if from != nil {
			t := from.Thumbprint()
			s.From = &t
		}
		if to != nil {
			t := to.Thumbprint()
			s.To = &t
		}
		list = append(list, s)
	}
	return list
}

// others are the certificates that a Receive connector shows to clients that
// can't use the key of the first.
func others(u ptls.Use, kind string) []*ptls.Entry {
	if kind == "send" {
		return nil
	}
	return u.Choice.Others
}

func thumbprints(entries []*ptls.Entry) []string {
	list := []string{}
	for _, e := range entries {
		list = append(list, e.Thumbprint())
	}
	return list
}

func sameEntry(a, b *ptls.Entry) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Thumbprint() == b.Thumbprint()
}

// printShifts prints which connector shows what, and says of each certificate
// what it is.
func printShifts(w io.Writer, shifts []shift) {
	t := &table{header: []string{"CONNECTOR", "UNTIL NOW", "FROM NOW ON", "WHY"}, indent: "  "}
	var involved []*ptls.Entry
	kinds := false // which key each has matters
	name := func(e *ptls.Entry, kind string) string {
		if e == nil && kind == "send" {
			return "none"
		}
		if e == nil {
			return "(self-signed)"
		}
		if !slices.ContainsFunc(involved, func(x *ptls.Entry) bool { return sameEntry(x, e) }) {
			involved = append(involved, e)
		}
		return e.Thumbprint()[:16]
	}
	for i := range shifts {
		s := &shifts[i]
		connector := s.Connector
		if s.Kind == "send" {
			connector += " (sending)"
		}
		from, to := name(s.from, s.Kind), name(s.to, s.Kind)
		for _, e := range s.fromOthers {
			from += ", " + name(e, s.Kind)
		}
		for _, e := range s.toOthers {
			to += ", " + name(e, s.Kind)
		}
		kinds = kinds || len(s.fromOthers)+len(s.toOthers) > 0
		t.add(connector, from, to, s.Reason)
	}
	t.print(w)
	for _, e := range involved {
		what := describe(e)
		if kinds {
			what += ", " + ptls.DescribeKey(e.Leaf().PublicKey)
		}
		if e.Automatic() {
			what = e.Thumbprint()[:16] + ", the gateway's own self-signed one"
		}
		fmt.Fprintln(w, "  "+what)
	}
}

// agree asks whether a plan is to be carried out that changes what connectors
// show, and warns of what speaks against it.
func (c *certChange) agree(yes bool) ([]shift, error) {
	shifts := c.shifts()
	for i := range shifts {
		if s := &shifts[i]; s.Kind == "send" && s.to == nil {
			c.warnOfMail(s.Connector)
		}
	}
	c.warn()
	if yes || len(shifts) == 0 {
		return shifts, nil
	}
	fmt.Fprintln(c.app.err, "Connectors will show another certificate:")
	printShifts(c.app.err, shifts)
	c.asked = true
	return shifts, c.app.confirm("Is this what you want?")
}

// warnOfMail warns where a Send connector must have a certificate and is about to
// lose it.
func (c *certChange) warnOfMail(connector string) {
	for i := range c.cfg.SendConnectors {
		s := &c.cfg.SendConnectors[i]
		switch {
		case s.Name != connector:
		case s.TLSCertificate != "":
			c.find("enable another one by that name first, or change the configuration and postern reload", "Send connector %q has tls_certificate = %q, and without it its mail waits", s.Name, s.TLSCertificate)
		case s.DomainSecureEnabled:
			c.find("enable another one for its FQDN first", "Send connector %q has domain_secure_enabled, and without a certificate its mail waits", s.Name)
		}
	}
}

// tell prints a line, wrapped on a terminal alone.
func tell(w io.Writer, text string) {
	if _, tty := terminal(w); tty {
		say(w, text)
		return
	}
	fmt.Fprintln(w, text)
}

// say prints a sentence, wrapped.
func say(w io.Writer, text string) {
	width, _ := terminal(w)
	for _, line := range wrap(text, width) {
		fmt.Fprintln(w, line)
	}
}

// warn prints the warnings.
func (c *certChange) warn() {
	for _, f := range c.findings {
		say(c.app.err, fmt.Sprintf("%s: %s; %s", f.Severity, clean(f.Message), clean(f.Remedy)))
	}
}

// certDone is the answer of a command that has changed the store.
type certDone struct {
	Certificate *certJSON `json:"certificate,omitempty"`
	Request     *waitJSON `json:"request,omitempty"`
	// Changes are the connectors that show another certificate from now on.
	Changes  []shift       `json:"changes"`
	Warnings []certWarning `json:"warnings"`
	// Running says whether a gateway with this configuration runs; null where
	// that can't be said.
	Running *bool `json:"running"`
	// Commands show what is presented.
	Commands []string `json:"commands"`
}

type certWarning struct {
	Message string `json:"message"`
	Remedy  string `json:"remedy"`
}

// finish prints what was done, which lines of text say, those that stand in as
// they are; JSON gets done.
func (c *certChange) finish(ctx context.Context, done certDone, shifts []shift, lines ...string) error {
	done.Changes, done.Warnings, done.Commands = append([]shift{}, shifts...), []certWarning{}, c.clients(shifts)
	for _, f := range c.findings {
		done.Warnings = append(done.Warnings, certWarning{clean(f.Message), clean(f.Remedy)})
	}
	done.Running = c.running(ctx)
	if c.app.json() {
		return c.app.printJSON(done)
	}
	out := c.app.out
	for _, l := range lines {
		if strings.HasPrefix(l, " ") { // a command, to be copied
			fmt.Fprintln(out, l)
			continue
		}
		c.app.printField("", l)
	}
	if len(shifts) == 0 {
		return nil
	}
	if !c.asked {
		fmt.Fprintln(out, "Connectors show another certificate:")
		printShifts(out, shifts)
	}
	switch {
	case done.Running == nil:
	case *done.Running:
		c.app.printField("", "The running gateway takes it up by itself within seconds; sessions that are open keep what they began with.")
	default:
		c.app.printField("", "No gateway runs with this configuration; the next one that starts takes it up.")
	}
	if len(done.Commands) > 0 {
		fmt.Fprintln(out, "To see it as a client does:")
		for _, l := range done.Commands {
			fmt.Fprintln(out, "  "+l)
		}
	}
	return nil
}

// runningTime bounds the question whether a gateway runs.
const runningTime = 3 * time.Second

// running asks whether a gateway answers; nil when that can't be said.
func (c *certChange) running(ctx context.Context) *bool {
	ctx, cancel := context.WithTimeout(ctx, runningTime)
	defer cancel()
	_, err := control.NewClient(c.cfg.Control.Socket).Status(ctx, control.Thresholds{})
	runs := err == nil
	if err != nil && !errors.Is(err, control.ErrNoServer) {
		return nil
	}
	return &runs
}

// clients are the command lines that show what the Receive connectors of some
// shifts present.
func (c *certChange) clients(shifts []shift) []string {
	lines := []string{}
	for _, s := range shifts {
		if s.Kind == "receive" {
			if l := clientLine(receiveConnector(c.cfg, s.Connector)); l != "" {
				lines = append(lines, l)
			}
		}
	}
	return lines
}

// clientLine is a command line of OpenSSL that connects to a Receive connector.
func clientLine(r *config.ReceiveConnector) string {
	if r == nil || len(r.Bindings) == 0 {
		return ""
	}
	addr := r.Bindings[0]
	if addr.Addr().IsUnspecified() {
		local := netip.MustParseAddr("127.0.0.1")
		if addr.Addr().Is6() {
			local = netip.IPv6Loopback()
		}
		addr = netip.AddrPortFrom(local, addr.Port())
	}
	start := " -starttls smtp"
	if r.ImplicitTLS {
		start = ""
	}
	return fmt.Sprintf("openssl s_client%s -connect %s -servername %s -showcerts </dev/null", start, addr, r.FQDN)
}

// receiveConnector finds a Receive connector by name, in any case.
func receiveConnector(cfg *config.Config, name string) *config.ReceiveConnector {
	for i := range cfg.ReceiveConnectors {
		if strings.EqualFold(cfg.ReceiveConnectors[i].Name, name) {
			return &cfg.ReceiveConnectors[i]
		}
	}
	return nil
}

// mustReceive is receiveConnector for a name that must be one.
func mustReceive(cfg *config.Config, name string) (*config.ReceiveConnector, error) {
	if r := receiveConnector(cfg, name); r != nil {
		return r, nil
	}
	if slices.ContainsFunc(cfg.SendConnectors, func(s config.SendConnector) bool { return strings.EqualFold(s.Name, name) }) {
		return nil, fmt.Errorf("%q is a Send connector; what it shows stands in its tls_certificate, in the configuration", name)
	}
	return nil, fmt.Errorf("no Receive connector %q; \"postern connector list\" names them", name)
}
