package send

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/config"
	"postern/internal/dkim"
	"postern/internal/eventid"
	"postern/internal/message"
)

// maxSignedHeader is how large the header of a message may be that is signed, in
// octets: it is looked at whole.
const maxSignedHeader = 1 << 20

// signingDomain is a row of [[dkim]] as it is used.
type signingDomain struct {
	config    *config.DKIM
	policy    dkim.Policy
	selectors []string // in the order of the signatures
}

// signingDomains are those of a configuration by domain, as message.DomainKeys.
type signingDomains map[string]*signingDomain

func newSigningDomains(rows []config.DKIM) signingDomains {
	all := make(signingDomains, len(rows))
	for i := range rows {
		c := &rows[i]
		header, body, _ := strings.Cut(c.Canonicalization, "/")
		d := &signingDomain{config: c, selectors: slices.Sorted(maps.Keys(c.Keys)), policy: dkim.Policy{
			Domain: message.DomainKey(c.Domain), RelaxedHeader: header != "simple", RelaxedBody: body != "simple",
			Oversigned: c.OversignedHeaders,
		}}
		if c.Expiration != config.Unlimited {
			d.policy.Expiration = c.Expiration
		}
		for _, name := range c.SignedHeaders {
			if !slices.ContainsFunc(c.OversignedHeaders, func(o string) bool { return strings.EqualFold(o, name) }) {
				d.policy.Signed = append(d.policy.Signed, name)
			}
		}
		all[d.policy.Domain] = d
	}
	return all
}

// find returns who signs mail from a domain, nil for nobody: the domain itself,
// or the nearest above it that signs for its subdomains.
func (s signingDomains) find(domain string) *signingDomain {
	if d := s[domain]; d != nil {
		return d
	}
	for !strings.HasPrefix(domain, "[") {
		_, above, ok := strings.Cut(domain, ".")
		if !ok {
			return nil
		}
		if d := s[above]; d != nil && d.config.Subdomains {
			return d
		}
		domain = above
	}
	return nil
}

// signs reports whether mail through a connector is signed for a domain.
func signs(c *config.SendConnector, d *signingDomain) bool {
	return slices.ContainsFunc(c.DKIMDomains, func(name string) bool { return name == "*" || message.DomainKey(name) == d.policy.Domain })
}

// maySign reports whether a message is ours to sign: whoever brought it may send
// to anybody through this gateway, or the gateway made it itself. A stranger who
// writes our domain into his From field gets no signature for it.
func maySign(e *message.Envelope) bool { return e.Origin.MayRelay || e.Origin.Internal }

// sign puts the signatures on top of the content, if it is to be signed. An
// error is one of reading, or, where the message is to wait for its signatures,
// an *errSign.
func (r *run) sign(o *outgoing) error {
	if len(r.snap.signing) == 0 || len(r.connector.DKIMDomains) == 0 || !maySign(r.d.Envelope) {
		return nil
	}
	x := &examined{run: r}
	b := buffers.Get().(*contentBuffer)
	defer buffers.Put(b)
	if err := o.streamStored(b.in, x.write, x.enough); err != nil {
		return err
	}
	x.end()
	if x.signer == nil {
		return nil
	}
	return r.addSignatures(o, x)
}

// addSignatures makes a signature with each key, the one whose selector comes
// first on top.
func (r *run) addSignatures(o *outgoing, x *examined) error {
	d, now, sum := x.signer, time.Now(), x.body.Sum()
	for _, selector := range d.selectors {
		path := d.config.Keys[selector]
		key, err := r.s.keys.Get(path)
		var field []byte
		if err == nil {
			field, err = dkim.Sign(x.header, sum, &d.policy, dkim.Key{Selector: selector, Signer: key}, now)
		}
		if err != nil {
			err = &errSign{d.config.Domain, selector, err}
			if r.s.unsigned.tell(path, now) {
				r.s.o.Logger.Error("a message can't be signed; look at its key", eventid.NotSigned.Attr(), "domain", d.config.Domain, "selector", selector,
					"on_error", d.config.OnError, "error", err)
			}
			if d.config.OnError == config.DKIMSendUnsigned {
				continue
			}
			return err
		}
		o.front = append(o.front, field...)
		o.remarks = append(o.remarks, remark{"d=" + d.policy.Domain + " s=" + selector, "signed with DKIM"})
	}
	o.size += int64(len(o.front))
	return nil
}

// errSign says that a signature could not be made.
type errSign struct {
	domain, selector string
	err              error
}

func (e *errSign) Error() string {
	return fmt.Sprintf("the DKIM key of %s with the selector %q can't be used: %v", e.domain, e.selector, e.err)
}

func (e *errSign) Unwrap() error { return e.err }

// examined is what is learnt of a message as it streams by: its header, and the
// hash of its body if it is to be signed.
type examined struct {
	run    *run
	raw    []byte // the header as far as it has come
	header *dkim.Header
	signer *signingDomain
	body   *dkim.BodyHash
	done   bool // the header has been judged
}

func (x *examined) write(p []byte) (int, error) {
	n := len(p)
	if !x.done {
		before := len(x.raw)
		x.raw = append(x.raw, p...)
		end := dkim.HeaderEnd(x.raw, before)
		switch {
		case end > maxSignedHeader, end < 0 && len(x.raw) > maxSignedHeader:
			x.done, x.raw = true, nil
		case end >= 0:
			p = x.raw[end:]
			x.raw = x.raw[:end]
			x.judge()
		default:
			return n, nil
		}
	}
	if x.body != nil {
		_, _ = x.body.Write(p)
	}
	return n, nil
}

// enough says that nothing more has to be read.
func (x *examined) enough() bool { return x.done && x.signer == nil }

// end says that the content is over: without an empty line it was all header.
func (x *examined) end() {
	if !x.done {
		x.judge()
	}
}

// judge finds out who signs.
func (x *examined) judge() {
	x.done = true
	x.header = dkim.ParseHeader(x.raw)
	domain, _ := x.header.FromDomain()
	if domain == "" {
		return
	}
	if d := x.run.snap.signing.find(domain); d != nil && signs(x.run.connector, d) {
		x.signer, x.body = d, dkim.NewBodyHash(d.policy.RelaxedBody)
	}
}

// lintSigning tells of domains in whose name nothing is ever signed.
func lintSigning(cfg *config.Config) []config.Finding {
	var findings []config.Finding
	for i := range cfg.DKIM {
		d := &signingDomain{policy: dkim.Policy{Domain: message.DomainKey(cfg.DKIM[i].Domain)}}
		if !slices.ContainsFunc(cfg.SendConnectors, func(c config.SendConnector) bool { return c.Enabled && signs(&c, d) }) {
			findings = append(findings, config.Finding{Severity: config.Warning, Path: fmt.Sprintf("dkim[%d].domain", i),
				Message: fmt.Sprintf("no Send connector signs for %s: no dkim_domains has it", cfg.DKIM[i].Domain),
				Remedy:  `write it, or "*", into the dkim_domains of the connectors that its mail leaves through`})
		}
	}
	return findings
}

// CheckKeys reads the key of each [[dkim]], and reports as warnings those that
// can't be used. It is for the start of the gateway, on the host where it runs.
func CheckKeys(cfg *config.Config) []config.Finding {
	var findings []config.Finding
	for i := range cfg.DKIM {
		c := &cfg.DKIM[i]
		for _, selector := range slices.Sorted(maps.Keys(c.Keys)) {
			if _, err := dkim.ReadKey(c.Keys[selector]); err != nil {
				remedy := "mail from " + c.Domain + " waits until it can be used"
				if c.OnError == config.DKIMSendUnsigned {
					remedy = "mail from " + c.Domain + " goes without this signature until it can be used"
				}
				findings = append(findings, config.Finding{Severity: config.Warning, Path: fmt.Sprintf("dkim[%d].keys", i),
					Message: (&errSign{c.Domain, selector, err}).Error(), Remedy: remedy})
			}
		}
	}
	return findings
}

// keyPaths are the files of all keys of a configuration.
func keyPaths(cfg *config.Config) map[string]bool {
	paths := make(map[string]bool)
	for i := range cfg.DKIM {
		for _, path := range cfg.DKIM[i].Keys {
			paths[path] = true
		}
	}
	return paths
}

// once keeps the event log from being told the same for each of many messages.
type once struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// tellEvery is how often the same is told, maxTold of how many things it is
// known when they were told last.
const (
	tellEvery = time.Minute
	maxTold   = 1000
)

// tell reports whether it is time to tell of something.
func (o *once) tell(what string, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if last, ok := o.last[what]; ok && now.Sub(last) < tellEvery {
		return false
	}
	if o.last == nil || len(o.last) >= maxTold {
		o.last = make(map[string]time.Time)
	}
	o.last[what] = now
	return true
}
