package ptls

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"postern/config"
)

// Plan is a change of a certificate directory that is being put together. It
// is carried out by Commit, as a whole or not at all.
type Plan struct {
	dir         *Directory
	listing     *Listing
	entries     []*Entry // after the change
	assignments Assignments
	before      Assignments
	change      change
}

// Plan reads the directory for a change of it.
func (d *Directory) Plan() (*Plan, error) {
	l, err := d.Read()
	if err != nil {
		return nil, unreadable(d.path, err)
	}
	a, err := ReadAssignments(d.path)
	if err != nil {
		return nil, err
	}
	if a == nil {
		a = make(Assignments)
	}
	return &Plan{dir: d, listing: l, entries: slices.Clone(l.Entries), assignments: maps.Clone(a), before: a, change: change{write: make(map[string][]byte)}}, nil
}

// Choosers are the choices of certificates before the change and after it.
func (p *Plan) Choosers(cfg *config.Config) (before, after *Chooser) {
	files, fails := namedFiles(cfg)
	return newChooser(p.dir.path, p.listing, p.before, files, fails),
		newChooser(p.dir.path, &Listing{Entries: p.entries}, p.assignments, files, fails)
}

// settle puts an entry in the place of those with the same file.
func (p *Plan) settle(e *Entry) {
	p.entries = slices.DeleteFunc(p.entries, func(x *Entry) bool { return x.File == e.File })
	p.entries = append(p.entries, e)
}

// Listing is what stands in the directory before the change.
func (p *Plan) Listing() *Listing { return p.listing }

// Assignments are those that the change leaves. They are not to be changed.
func (p *Plan) Assignments() Assignments { return p.assignments }

// Empty reports whether there is nothing to do.
func (p *Plan) Empty() bool { return len(p.change.write)+len(p.change.remove) == 0 }

// Commit carries the plan out. When it returns nil, a power cut takes nothing
// of it back; when it returns an error, nothing was done.
func (p *Plan) Commit() error {
	if p.Empty() {
		return nil
	}
	return p.dir.apply(p.change)
}

func (p *Plan) write(name string, text []byte) { p.change.write[name] = text }

// Add plans a certificate with its chain and key in a file of its own, or, where
// the store has it already, in the place of what the store has. Of the entry it
// takes Chain, Key, FriendlyName, Exportable and Enabled; the entry that it
// returns has its File as well.
func (p *Plan) Add(e Entry) (*Entry, error) {
	e.FriendlyName = friendly(e.FriendlyName)
	e.thumbprint, e.selfSigned = Thumbprint(e.Leaf()), IsSelfSigned(e.Leaf())
	name := fileName(label(e.Leaf()), e.thumbprint) + ".pem"
	withKey := true
	if old := p.listing.withKey(e.thumbprint); old != nil {
		name = filepath.Base(old.File)
		withKey = old.KeyFile == "" || old.KeyFile == old.File
	} else if slices.ContainsFunc(p.listing.Entries, func(x *Entry) bool { return filepath.Base(x.File) == name }) {
		name = e.thumbprint + ".pem" // another has the same first digits
	}
	e.File = filepath.Join(p.dir.path, name)
	e.KeyFile = e.File
	var key crypto.Signer
	if withKey {
		key = e.Key
	}
	text, err := e.text(key, true)
	if err != nil {
		return nil, err
	}
	p.write(name, text)
	p.settle(&e)
	return &e, nil
}

// withKey is the entry with a thumbprint, one with a key before one without.
func (l *Listing) withKey(thumbprint string) *Entry {
	var found *Entry
	for _, e := range l.Entries {
		if e.Thumbprint() == thumbprint && (found == nil || found.Key == nil) {
			found = e
		}
	}
	return found
}

// Remove plans that the files of an entry go: that of the certificate, and that
// of its key, unless another certificate needs it.
func (p *Plan) Remove(e *Entry) {
	p.remove(e.File)
	p.entries = slices.DeleteFunc(p.entries, func(x *Entry) bool { return x.File == e.File })
	if e.KeyFile == "" || e.KeyFile == e.File {
		return
	}
	for _, other := range p.listing.Entries {
		if other.File != e.File && other.KeyFile == e.KeyFile {
			return
		}
	}
	for _, w := range p.listing.Waiting {
		if w.File == e.KeyFile {
			return
		}
	}
	p.remove(e.KeyFile)
}

// RemoveWaiting plans that a waiting key and its request go.
func (p *Plan) RemoveWaiting(w *Waiting) { p.remove(w.File) }

func (p *Plan) remove(path string) {
	if !slices.Contains(p.change.remove, path) {
		p.change.remove = append(p.change.remove, path)
	}
}

// SetEnabled plans that connectors may choose a certificate by its names, or may
// not.
func (p *Plan) SetEnabled(e *Entry, enabled bool) error {
	if e.Enabled == enabled {
		return nil
	}
	value := ""
	if !enabled {
		value = "no"
	}
	for i, path := range []string{e.File, e.KeyFile} {
		if path == "" || i == 1 && path == e.File {
			continue
		}
		name := filepath.Base(path)
		text, planned := p.change.write[name]
		if !planned {
			var err error
			if text, err = readOwn(path); err != nil {
				return err
			}
		}
		if i == 1 {
			value = "" // what forbids it stands in one place
		}
		if out := setAttribute(text, "posternEnabled", value); !bytes.Equal(out, text) {
			p.write(name, out)
		}
	}
	changed := *e
	changed.Enabled = enabled
	p.settle(&changed)
	return nil
}

// Supersede plans that an entry is not chosen by its names any more, where it
// would go on going before the one that was issued in its place, as it does
// when the authority writes an earlier beginning than it did before. It does so
// where the next one can be used at the time for all that the old one can, and
// reports whether it did.
func (p *Plan) Supersede(old, next *Entry, now time.Time) (bool, error) {
	if !old.Enabled || !next.Enabled || next.Usable(now) != nil || ForClients(old.Leaf()) && !ForClients(next.Leaf()) || ForServers(old.Leaf()) && !ForServers(next.Leaf()) {
		return false, nil
	}
	ahead := false
	for _, name := range old.Leaf().DNSNames {
		name = strings.Replace(strings.ToLower(name), "*.", "x.", 1)
		if next.Leaf().VerifyHostname(name) != nil {
			return false, nil
		}
		ahead = ahead || better(old, next, name, now)
	}
	if !ahead {
		return false, nil
	}
	return true, p.SetEnabled(old, false)
}

// Assign plans that a Receive connector shows a certificate, or, with an empty
// thumbprint, none that is assigned to it.
func (p *Plan) Assign(connector, thumbprint string) {
	if p.assignments.For(connector) == thumbprint {
		return
	}
	for name := range p.assignments {
		if strings.EqualFold(name, connector) {
			delete(p.assignments, name)
		}
	}
	if thumbprint != "" {
		p.assignments[connector] = thumbprint
	}
	p.write(AssignmentsFile, p.assignments.text())
}

// text is the file of assignments.
func (a Assignments) text() []byte {
	var b bytes.Buffer
	b.WriteString("# Which certificate of this directory each Receive connector shows. \"postern cert\n" +
		"# enable\" writes it; tls_certificate in the configuration comes before it.\n\n[receive_connector]\n")
	for _, name := range slices.Sorted(maps.Keys(a)) {
		fmt.Fprintf(&b, "%s = %q\n", tomlString(name), a[name])
	}
	return b.Bytes()
}

// tomlString writes a basic string of TOML.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.IsControl(r):
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// text is the file of an entry: its attributes, its chain, and a key unless that
// is nil. Ours says whether the attributes that are ours go with it.
func (e *Entry) text(key crypto.Signer, ours bool) ([]byte, error) {
	var b bytes.Buffer
	writeBag(&b, e.FriendlyName, e.Exportable || !ours, e.Enabled || !ours)
	if e.Incomplete && ours {
		b.WriteString("    posternChain: incomplete\n")
	}
	for _, c := range e.Chain {
		fmt.Fprintf(&b, "subject=%s\nissuer=%s\n", friendly(c.Subject.String()), friendly(c.Issuer.String()))
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
			return nil, err
		}
	}
	if key != nil {
		text, err := keyPEM(key)
		if err != nil {
			return nil, err
		}
		b.Write(text)
	}
	return b.Bytes(), nil
}

// writeBag writes what bag reads.
func writeBag(b *bytes.Buffer, name string, exportable, enabled bool) {
	b.WriteString("Bag Attributes\n")
	if name != "" {
		fmt.Fprintf(b, "    friendlyName: %s\n", name)
	}
	if !exportable {
		b.WriteString("    posternExportable: no\n")
	}
	if !enabled {
		b.WriteString("    posternEnabled: no\n")
	}
}

// setAttribute changes one attribute of a file, wherever it stands, and leaves
// everything else as it is; an empty value takes it out.
func setAttribute(text []byte, key, value string) []byte {
	var out bytes.Buffer
	line := fmt.Sprintf("    %s: %s\n", key, value)
	written := value == ""
	for l := range bytes.Lines(text) {
		trimmed := strings.TrimSpace(string(l))
		if name, _, ok := strings.Cut(trimmed, ":"); ok && strings.TrimSpace(name) == key {
			continue
		}
		if !written && bytes.Contains(l, []byte("-----BEGIN ")) {
			out.WriteString("Bag Attributes\n" + line)
			written = true
		}
		out.Write(l)
		if !written && trimmed == "Bag Attributes" {
			if !bytes.HasSuffix(l, []byte("\n")) {
				out.WriteByte('\n')
			}
			out.WriteString(line)
			written = true
		}
	}
	return out.Bytes()
}

// label is the name by which a certificate's file is called.
func label(c *x509.Certificate) string {
	if len(c.DNSNames) > 0 {
		return c.DNSNames[0]
	}
	return c.Subject.CommonName
}

// fileName makes a file's name of a DNS name or another text and a digest.
func fileName(label, digest string) string {
	label = strings.ReplaceAll(strings.ToLower(label), "*", "wildcard")
	label = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '-'
	}, label)
	if label = strings.Trim(label, ".-"); len(label) > 100 {
		label = label[:100]
	}
	if label == "" {
		label = "certificate"
	}
	return label + "-" + strings.ToLower(digest[:8])
}

// unreadable says what to do about a directory that can't be read.
func unreadable(path string, err error) error {
	if os.IsPermission(err) {
		return fmt.Errorf("the certificate directory %s can't be read: %w; call as root or as the user the gateway runs as", path, err)
	}
	return fmt.Errorf("the certificate directory can't be read: %w", err)
}
