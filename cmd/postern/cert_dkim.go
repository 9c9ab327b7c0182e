package main

import (
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"postern/config"
	"postern/internal/dkim"
	"postern/internal/message"
	"postern/internal/resolver"
)

// dkimOptions are the flags of "postern cert dkim".
type dkimOptions struct {
	domain, selector string
	rsa, ed25519     bool
	bits             int
	directory        string
	show, check      bool
}

func (a *app) certDKIM() *cobra.Command {
	var o dkimOptions
	cmd := &cobra.Command{
		Use:   "dkim --domain DOMAIN --selector SELECTOR",
		Short: "Make the keys that sign a domain's mail, and print their DNS records",
		Long: `Dkim makes a key of RSA and one of Ed25519, each in a file of its own that only
its owner can read, and prints the TXT records that publish them and the
[[dkim]] table that uses them. Publish first; sign once everybody sees the
records. No file is ever overwritten: a new key gets a new selector.

Many verifiers don't know Ed25519 yet, which is why there are two keys. The
selectors are SELECTOR-rsa and SELECTOR-ed25519; with --rsa or --ed25519 one
key is made, and its selector is SELECTOR.

With --show no key is made, and the records of those that are there are
printed again; --check also asks the DNS servers of the configuration whether
they have the records, and fails when one is missing.`,
		Example: `  postern cert dkim --domain contoso.example --selector edge2026
  postern cert dkim --domain contoso.example --selector edge2026 --rsa --bits 3072
  postern cert dkim --domain contoso.example --selector edge2026 --check`,
		Args: a.noArguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.judge(); err != nil {
				return usageError{err}
			}
			return a.runDKIM(cmd.Context(), &o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.domain, "domain", "", "the signing domain (required)")
	f.StringVar(&o.selector, "selector", "", "the name of the keys below the domain (required)")
	f.BoolVar(&o.rsa, "rsa", false, "make or show the RSA key alone")
	f.BoolVar(&o.ed25519, "ed25519", false, "make or show the Ed25519 key alone")
	f.IntVar(&o.bits, "bits", dkim.DefaultRSABits, fmt.Sprintf("bits of the RSA key, %d to %d", dkim.MinRSABits, dkim.MaxRSABits))
	f.StringVar(&o.directory, "directory", "", "where the files are (default: dkim in server.data_dir)")
	f.BoolVar(&o.show, "show", false, "print the records of keys that are there")
	f.BoolVar(&o.check, "check", false, "like --show, and ask the DNS for them")
	return cmd
}

// judge says what is wrong with the flags.
func (o *dkimOptions) judge() error {
	domain := message.DomainKey(o.domain)
	switch {
	case o.domain == "":
		return errors.New("--domain is missing")
	case message.CheckDomain(domain, false) != nil || strings.HasPrefix(domain, "["):
		return fmt.Errorf("--domain %s is no domain", o.domain)
	case o.selector == "":
		return errors.New("--selector is missing; the year or the host's name makes a good one")
	case !isSelector(o.selector):
		return fmt.Errorf("--selector %s: write letters, digits and hyphens, 50 at most", o.selector)
	case o.bits < dkim.MinRSABits || o.bits > dkim.MaxRSABits:
		return fmt.Errorf("--bits %d: an RSA key has %d to %d", o.bits, dkim.MinRSABits, dkim.MaxRSABits)
	}
	o.domain, o.selector = domain, strings.ToLower(o.selector)
	return nil
}

// isSelector reports whether s is one label with room for "-ed25519" (RFC 6376
// 3.1).
func isSelector(s string) bool {
	return len(s) <= 50 && !strings.Contains(s, ".") && message.CheckDomain(s, false) == nil
}

// dkimKey is a key as the command answers it.
type dkimKey struct {
	Selector string   `json:"selector"`
	Type     string   `json:"type"`
	Bits     int      `json:"bits,omitempty"`
	File     string   `json:"file"`
	Name     string   `json:"dns_name"`
	Text     string   `json:"txt"`
	Strings  []string `json:"txt_strings"`
	Zone     string   `json:"zone_line"`
	// Problem is null when nobody asked, "" when the DNS has the record.
	Problem *string `json:"dns_problem"`

	record dkim.Record
}

// dkimAnswer is the answer of "postern cert dkim" as JSON.
type dkimAnswer struct {
	Domain        string    `json:"domain"`
	Made          bool      `json:"made"`
	Keys          []dkimKey `json:"keys"`
	Configuration string    `json:"configuration"`
}

func (a *app) runDKIM(ctx context.Context, o *dkimOptions) error {
	cfg, err := a.mustLoad()
	if err != nil {
		return err
	}
	if o.directory == "" {
		o.directory = filepath.Join(cfg.Server.DataDir, "dkim")
	}
	if o.directory, err = filepath.Abs(o.directory); err != nil {
		return err
	}
	answer := dkimAnswer{Domain: o.domain, Made: !o.show && !o.check}
	keys := o.keys()
	if answer.Made {
		err = makeKeys(keys, o.bits)
	} else {
		err = readKeys(keys)
	}
	if err != nil {
		return err
	}
	for i := range keys {
		if err := keys[i].publish(o.domain); err != nil {
			return err
		}
		answer.Keys = append(answer.Keys, keys[i].dkimKey)
	}
	answer.Configuration = dkimTable(o.domain, answer.Keys)
	missing := false
	if o.check {
		missing = checkDKIM(ctx, cfg, answer.Keys)
	}
	if a.json() {
		err = a.printJSON(answer)
	} else {
		a.printDKIM(&answer)
	}
	if err == nil && missing {
		return errReported
	}
	return err
}

// madeKey is a key with what it is made of.
type madeKey struct {
	dkimKey
	key crypto.Signer
}

// keys are those that the flags ask for.
func (o *dkimOptions) keys() []madeKey {
	var list []madeKey
	add := func(kind, selector string) {
		list = append(list, madeKey{dkimKey: dkimKey{Selector: selector, Type: kind, File: filepath.Join(o.directory, dkim.FileName(selector, o.domain))}})
	}
	switch {
	case o.rsa == o.ed25519:
		add("rsa", o.selector+"-rsa")
		add("ed25519", o.selector+"-ed25519")
	case o.rsa:
		add("rsa", o.selector)
	default:
		add("ed25519", o.selector)
	}
	return list
}

func makeKeys(keys []madeKey, bits int) error {
	for _, k := range keys {
		if _, err := os.Lstat(k.File); err == nil {
			return fmt.Errorf("%s is there already; print its record with --show, or choose another --selector", k.File)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for i := range keys {
		k := &keys[i]
		var err error
		if k.Type == "rsa" {
			k.key, err = dkim.GenerateRSA(bits)
		} else {
			k.key, err = dkim.GenerateEd25519()
		}
		if err == nil {
			err = dkim.WriteKey(k.File, k.key)
		}
		if err != nil {
			return fmt.Errorf("the key %s was not made: %w", k.File, err)
		}
	}
	return nil
}

func readKeys(keys []madeKey) error {
	for i := range keys {
		k := &keys[i]
		var err error
		if k.key, err = dkim.ReadKey(k.File); err != nil {
			return fmt.Errorf("%w; without --show and --check a key is made", err)
		}
	}
	return nil
}

// publish fills in what the DNS is to have.
func (k *madeKey) publish(domain string) error {
	r, err := dkim.RecordFor(domain, k.Selector, k.key)
	if err != nil {
		return err
	}
	if pub, ok := k.key.Public().(*rsa.PublicKey); ok {
		k.Type, k.Bits = "rsa", pub.N.BitLen()
	} else {
		k.Type = "ed25519"
	}
	k.record, k.Name, k.Text, k.Strings, k.Zone = r, r.Name, r.Text, r.Strings(), r.Zone()
	return nil
}

// dkimTable is the configuration that uses the keys.
func dkimTable(domain string, keys []dkimKey) string {
	pairs := make([]string, len(keys))
	for i, k := range keys {
		pairs[i] = strconv.Quote(k.Selector) + " = " + strconv.Quote(k.File)
	}
	return fmt.Sprintf("[[dkim]]\ndomain = %q\nkeys = { %s }\n", domain, strings.Join(pairs, ", "))
}

// checkDKIM asks the DNS for the records, and reports whether one is missing.
func checkDKIM(ctx context.Context, cfg *config.Config, keys []dkimKey) (missing bool) {
	d := cfg.DNS
	r := resolver.New(resolver.Options{Servers: d.Servers, Protocol: d.Protocol, Hosts: d.Hosts})
	for i := range keys {
		answers, err := r.TXT(ctx, keys[i].Name)
		problem := ""
		if e, ok := errors.AsType[*resolver.Error](err); err != nil && (!ok || e.Kind == resolver.Temporary) {
			problem = err.Error()
		} else {
			problem = keys[i].record.Published(answers)
		}
		keys[i].Problem = &problem
		missing = missing || problem != ""
	}
	return missing
}

func (a *app) printDKIM(answer *dkimAnswer) {
	fmt.Fprintf(a.out, "%s\n", map[bool]string{true: "Made; the gateway's user must be able to read them:", false: "Keys:"}[answer.Made])
	for _, k := range answer.Keys {
		kind := "Ed25519"
		if k.Type == "rsa" {
			kind = fmt.Sprintf("RSA, %d bits", k.Bits)
		}
		fmt.Fprintf(a.out, "  %s (%s)\n", k.File, kind)
	}
	fmt.Fprintf(a.out, "\nTo publish in the DNS:\n")
	for _, k := range answer.Keys {
		fmt.Fprintf(a.out, "  %s\n", k.Zone)
	}
	fmt.Fprintf(a.out, "\nThe same for web forms, as one text each:\n")
	for _, k := range answer.Keys {
		fmt.Fprintf(a.out, "  %s\n    %s\n", k.Name, k.Text)
	}
	fmt.Fprintf(a.out, "\nTo sign with them once they are published:\n")
	for line := range strings.Lines(answer.Configuration) {
		fmt.Fprint(a.out, "  "+line)
	}
	for i, k := range answer.Keys {
		if k.Problem == nil {
			continue
		}
		if i == 0 {
			fmt.Fprintf(a.out, "\nIn the DNS:\n")
		}
		state := "published"
		if *k.Problem != "" {
			state = "NOT published: " + *k.Problem
		}
		fmt.Fprintf(a.out, "  %s  %s\n", k.Name, state)
	}
}
