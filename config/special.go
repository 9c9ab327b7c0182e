package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// retryStep is "10m x6": an interval and how often it is waited, once when no
// count is written.
func retryStep() typed[RetryStep] {
	const (
		least, most = time.Second, 20 * 24 * time.Hour // reference 2.5
		maxCount    = 1000
	)
	write := fmt.Sprintf(`an interval from 1s to %s with how often it is waited, from 1 to %d: "10m x6"`, FormatDuration(most), maxCount)
	return parsed("retry step", write, func(s string) (RetryStep, error) {
		interval, times, counted := strings.Cut(s, " x")
		if !counted {
			times = "1"
		}
		d, err := ParseDuration(interval)
		if err != nil {
			return RetryStep{}, fmt.Errorf("%s is not a retry step", quote(s))
		}
		n, err := strconv.Atoi(times)
		if err != nil || leadingDigits(times) != times {
			return RetryStep{}, fmt.Errorf("%s is not a retry step", quote(s))
		}
		if d < least || d > most || n < 1 || n > maxCount {
			return RetryStep{}, fmt.Errorf("%s is out of range", quote(s))
		}
		return RetryStep{Interval: d, Count: n}, nil
	}, formatRetryStep)
}

func formatRetryStep(r RetryStep) string {
	if r.Count == 1 {
		return FormatDuration(r.Interval)
	}
	return fmt.Sprintf("%s x%d", FormatDuration(r.Interval), r.Count)
}

// staticHosts is a table of names with their addresses.
func staticHosts() typed[map[string][]netip.Addr] {
	addresses := list(address(), 1, once[netip.Addr])
	const write = `a table of names with lists of addresses: { "hub1.contoso.example" = ["10.0.0.11"] }`
	return typed[map[string][]netip.Addr]{
		name: "table of address lists",
		parse: func(value any) (map[string][]netip.Addr, []fault) {
			table, ok := value.(map[string]any)
			if !ok {
				return nil, wrongType(value, write)
			}
			hosts, faults := make(map[string][]netip.Addr, len(table)), []fault(nil)
			for _, name := range slices.Sorted(maps.Keys(table)) {
				sub := joinPath("", name)
				normal := strings.ToLower(strings.TrimSuffix(name, "."))
				if err := checkHostName(normal); err != nil {
					faults = append(faults, fault{sub: "." + sub, message: quote(name) + " is not a host name: " + err.Error(),
						remedy: `write the name in quotes: "hub1.contoso.example" = ["10.0.0.11"]`})
					continue
				}
				list, bad := addresses.parse(table[name])
				if _, nested := table[name].(map[string]any); nested {
					bad = []fault{{message: quote(name) + " is a table here", remedy: `write the whole name in quotes: "hub1.contoso.example" = ["10.0.0.11"]`}}
				}
				for _, f := range bad {
					f.sub = "." + sub + f.sub
					faults = append(faults, f)
				}
				if _, twice := hosts[normal]; twice {
					faults = append(faults, fault{sub: "." + sub, message: quote(name) + " stands here twice", remedy: "write all its addresses in one list"})
				}
				hosts[normal] = list
			}
			return hosts, faults
		},
		json: func(hosts map[string][]netip.Addr) any {
			out := make(map[string]any, len(hosts))
			for name, list := range hosts {
				out[name] = addresses.json(list)
			}
			return out
		},
		toml: func(hosts map[string][]netip.Addr) string {
			out := make([]string, 0, len(hosts))
			for _, name := range slices.Sorted(maps.Keys(hosts)) {
				out = append(out, strconv.Quote(name)+" = "+addresses.toml(hosts[name]))
			}
			if len(out) == 0 {
				return "{}"
			}
			return "{ " + strings.Join(out, ", ") + " }"
		},
	}
}

// sourceAddresses is a list of addresses to send from.
func sourceAddresses() typed[[]netip.Addr] {
	return list(hostAddress("is no address to send from", "write an address of this host, or leave the key out to let the system choose"), 0, once[netip.Addr])
}

// externalAddresses is a list of at most one address of each family.
func externalAddresses() typed[[]netip.Addr] {
	t := list(hostAddress("is no address of a host", "write the address at which this host is reached from outside"), 0, func(a, b netip.Addr) *fault {
		if a.BitLen() != b.BitLen() {
			return nil
		}
		return &fault{message: b.String() + " is a second address of its family", remedy: "write at most one IPv4 and one IPv6 address"}
	})
	t.permits = "at most one address of each family"
	return t
}

// hostAddress is an address that a host can have.
func hostAddress(wrong, remedy string) typed[netip.Addr] {
	one := address()
	parse := one.parse
	one.parse = func(value any) (netip.Addr, []fault) {
		a, faults := parse(value)
		if len(faults) == 0 && (a.IsUnspecified() || a.IsMulticast()) {
			return a, []fault{{message: a.String() + " " + wrong, remedy: remedy}}
		}
		return a, faults
	}
	return one
}

// passwordHash never shows the hash in a message.
func passwordHash() typed[string] {
	prefixes := []string{"$argon2id$", "$2a$", "$2b$", "$2y$", "SCRAM-SHA-256$"}
	t := text[string]("password hash", func(s string) (string, []fault) {
		for _, prefix := range prefixes {
			if strings.HasPrefix(s, prefix) {
				return plain(s)
			}
		}
		return "", []fault{{remedy: "write what `postern user hash` prints, or another hash that begins with " + oneOf(prefixes)}}
	})
	inner := t.parse
	t.parse = func(value any) (string, []fault) {
		hash, faults := inner(value)
		for i := range faults {
			// A password written here by mistake must not reach a log.
			faults[i].message = "this is not the hash of a password"
		}
		return hash, faults
	}
	return t
}

// thumbprint is the SHA-256 digest of a certificate, as openssl and Windows
// write it: colons, spaces and case don't matter.
func thumbprint() typed[string] {
	return text[string]("thumbprint", func(s string) (string, []fault) {
		b, err := hex.DecodeString(strings.NewReplacer(":", "", " ", "").Replace(s))
		if err != nil || len(b) != sha256.Size {
			return "", []fault{{message: quote(s) + " is not the SHA-256 digest of a certificate",
				remedy: "write the 64 digits that `openssl x509 -noout -fingerprint -sha256` prints"}}
		}
		return strings.ToUpper(hex.EncodeToString(b)), nil
	})
}
