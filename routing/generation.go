package routing

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"slices"
	"strings"

	"postern/config"
)

// fingerprint is the Generation of a table: a digest of everything that a
// decision depends on, in an order that is not that of the file.
func (t *Table) fingerprint(cfg *config.Config) string {
	d := digest{sha256.New(), nil}
	d.text("1", cfg.Routing.Restrictions, t.domains.standard)
	for _, m := range []map[string]*config.AcceptedDomain{t.domains.exact, t.domains.below} {
		d.number(int64(len(m)))
		for _, key := range slices.Sorted(maps.Keys(m)) {
			d.text(key, string(m[key].Type))
		}
	}
	order := slices.SortedFunc(slices.Values(t.connectors), (*connector).compare)
	shared := make(map[*senders]string)
	for _, c := range order {
		if !c.enabled {
			continue
		}
		d.text("connector", c.name, c.smartHosts)
		d.number(c.maxSize)
		d.list(c.spaces)
		d.listed(&c.blocked, shared)
		d.listed(&c.allowed, shared)
		scope := make([]string, len(c.scope))
		for i, s := range c.scope {
			scope[i] = strings.ToLower(s)
		}
		d.list(scope)
		if c.fallback != nil {
			d.text(c.fallback.name)
			d.number(int64(c.after))
			d.number(c.failures)
		}
	}
	sum := d.h.Sum(nil)
	return hex.EncodeToString(sum[:6])
}

// digest takes values into a hash so that no two lists of values look the same.
type digest struct {
	h   hash.Hash
	buf []byte
}

func (d *digest) number(n int64) {
	d.buf = binary.BigEndian.AppendUint64(d.buf[:0], uint64(n))
	d.h.Write(d.buf)
}

func (d *digest) text(values ...string) {
	for _, v := range values {
		d.buf = append(binary.BigEndian.AppendUint64(d.buf[:0], uint64(len(v))), v...)
		d.h.Write(d.buf)
	}
}

// list takes values in, in whatever order they are.
func (d *digest) list(values []string) {
	d.number(int64(len(values)))
	for _, v := range slices.SortedFunc(slices.Values(values), cmp.Compare[string]) {
		d.text(v)
	}
}

// listed takes senders in, those of a file by their own digest, which is made
// once.
func (d *digest) listed(l *listed, shared map[*senders]string) {
	d.list(l.own.all())
	if l.file == nil {
		d.text("")
		return
	}
	sum, ok := shared[l.file]
	if !ok {
		of := digest{sha256.New(), nil}
		of.list(l.file.all())
		sum = string(of.h.Sum(nil))
		shared[l.file] = sum
	}
	d.text(sum)
}

// all lists a form of every pattern by which they are compared.
func (s *senders) all() []string {
	out := make([]string, 0, len(s.addresses)+len(s.domains)+len(s.subdomains)+1)
	if s.null != "" {
		out = append(out, "<>")
	}
	for k := range s.addresses {
		out = append(out, k)
	}
	for k := range s.domains {
		out = append(out, k)
	}
	for k := range s.subdomains {
		out = append(out, "*."+k)
	}
	return out
}
