package config

import (
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzParseSize compares with arithmetic that knows no bounds.
func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"36MB", "0", "7b", "8388607TB", "8388608TB", "9223372036854775808", "-1", "1.5MB", "1 KB", "KB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseSize(s)
		digits, worth := s, int64(1)
		for i, unit := range []string{"B", "KB", "MB", "GB", "TB"} {
			if len(s) > len(unit) && strings.EqualFold(s[len(s)-len(unit):], unit) {
				digits, worth = s[:len(s)-len(unit)], 1<<(10*i)
			}
		}
		want, ok := new(big.Int).SetString(digits, 10)
		ok = ok && strings.Trim(digits, "0123456789") == ""
		if ok {
			want.Mul(want, big.NewInt(worth))
			ok = want.IsInt64()
		}
		if ok != (err == nil) || ok && want.Int64() != n {
			t.Fatalf("ParseSize(%q) = %d, %v", s, n, err)
		}
		if err != nil {
			if n != 0 {
				t.Fatalf("ParseSize(%q) = %d together with %v", s, n, err)
			}
			return
		}
		if again, err := ParseSize(FormatSize(n)); again != n || err != nil {
			t.Fatalf("%q is %d, written %q, read as %d, %v", s, n, FormatSize(n), again, err)
		}
	})
}

// FuzzParseDuration: what is read is never negative and is read again as it is
// written; the sum is that of the time package where that knows the units.
func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"5s", "1h30m", "30d", "10", "1d2h3m4s5ms", "30m1h", "1h1h", "-1s", "1.5h", "106751d", "106752d", "9223372036", "9223372037", "0d", "1us"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDuration(s)
		if err != nil {
			if d != 0 {
				t.Fatalf("ParseDuration(%q) = %v together with %v", s, d, err)
			}
			return
		}
		if d < 0 || d%time.Millisecond != 0 {
			t.Fatalf("ParseDuration(%q) = %v", s, d)
		}
		if again, err := ParseDuration(FormatDuration(d)); again != d || err != nil {
			t.Fatalf("%q is %v, written %q, read as %v, %v", s, d, FormatDuration(d), again, err)
		}
		theirs := s
		if strings.Trim(s, "0123456789") == "" {
			theirs += "s"
		}
		if want, err := time.ParseDuration(theirs); err == nil && want != d {
			t.Fatalf("%q is %v, want %v", s, d, want)
		}
	})
}

// FuzzParseRange: a range has two ends of one family in order, holds both and
// neither of their neighbours, and is read again as it is written.
func FuzzParseRange(f *testing.F) {
	for _, s := range []string{"10.0.0.0/8", "10.1.2.3/8", "10.0.0.1-10.0.0.9", "::/0", "0.0.0.0/0", "2001:db8::/32", "::ffff:10.0.0.0/104", "::ffff:0:0/90",
		"10.0.0.9-10.0.0.1", "fe80::1%eth0", "1.2.3.4 - 1.2.3.5", "255.255.255.255", "10.0.0.1-::1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRange(s)
		if err != nil {
			if r.From.IsValid() && r.To.IsValid() && r == (Range{}) {
				t.Fatalf("ParseRange(%q) = %+v together with %v", s, r, err)
			}
			return
		}
		if !r.From.IsValid() || r.From.BitLen() != r.To.BitLen() || r.To.Less(r.From) || r.From.Zone() != "" {
			t.Fatalf("ParseRange(%q) = %+v", s, r)
		}
		again, err := ParseRange(r.String())
		if err != nil || again != r {
			t.Fatalf("%q is %+v, written %q, read as %+v, %v", s, r, r, again, err)
		}
		for _, end := range []netip.Addr{r.From, r.To} {
			// An IPv4-mapped address is never asked for as one of IPv6.
			if !end.Is4In6() && !r.Contains(end) {
				t.Fatalf("%q, which is %+v, does not hold %s", s, r, end)
			}
		}
		for _, outside := range []netip.Addr{r.From.Prev(), r.To.Next()} {
			if outside.IsValid() && r.Contains(outside) {
				t.Fatalf("%q, which is %+v, holds %s", s, r, outside)
			}
		}
	})
}

// A scope is the name of an interface, and brings nothing else into a log or a
// command.
func TestScopes(t *testing.T) {
	for s, ok := range map[string]bool{
		"fe80::1%eth0": true, "fe80::1%eth0.5": true, "fe80::1%2": true, "fe80::1%a b": false, "fe80::1%a\r\nb": false,
		"fe80::1%\x1b[2J": false, "fe80::1%a]": false, "fe80::1%\u00fc": false, "fe80::1%a%b": false,
	} {
		if _, err := ParseSmartHost(s); (err == nil) != ok {
			t.Errorf("smart host %q: %v", s, err)
		}
		if _, faults := address().parse(s); (len(faults) == 0) != ok {
			t.Errorf("address %q: %+v", s, faults)
		}
		if _, faults := nameServer().parse(s); (len(faults) == 0) != ok {
			t.Errorf("name server %q: %+v", s, faults)
		}
		if _, faults := binding().parse("[" + s + "]:25"); (len(faults) == 0) != ok {
			t.Errorf("binding %q: %+v", s, faults)
		}
	}
}

func FuzzParseSmartHost(f *testing.F) {
	for _, s := range []string{"hub1.contoso.example", "HUB:2525", "10.0.0.11:25", "[2001:db8::11]:2525", "2001:db8::11", "[IPv6:::1]", "smtp://x", "x:0", "x:65536", "[10.0.0.1]:", "::ffff:10.0.0.1", "fe80::1%eth0.5", "[fe80::1%eth0:1]:25", "::0% ", "[fe80::1%a\r\nb]:25"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParseSmartHost(s)
		if err != nil {
			if h != (SmartHost{}) {
				t.Fatalf("%+v together with %v", h, err)
			}
			return
		}
		if h.Host == "" || strings.ContainsAny(h.Host, "[]/ \r\n\x00") {
			t.Fatalf("%q is %+v", s, h)
		}
		if again, err := ParseSmartHost(h.String()); again != h || err != nil {
			t.Fatalf("%q is %+v, written %q, read as %+v, %v", s, h, h, again, err)
		}
	})
}

// FuzzRetryStep: steps within the bounds, read again as they are written.
func FuzzRetryStep(f *testing.F) {
	for _, s := range []string{"1m x4", "10m x6", "30m", "1m x0", "1m x1001", "999ms", "20d x1000", "21d", "1m x", "1m x+4", "1m  x4", "60 x2", "1m x004"} {
		f.Add(s)
	}
	step := retryStep()
	f.Fuzz(func(t *testing.T, s string) {
		r, faults := step.parse(s)
		if len(faults) > 0 {
			if r != (RetryStep{}) || faults[0].message == "" || faults[0].remedy == "" {
				t.Fatalf("%q: %+v, %+v", s, r, faults)
			}
			return
		}
		if r.Interval < time.Second || r.Interval > 20*24*time.Hour || r.Count < 1 || r.Count > 1000 {
			t.Fatalf("%q is %+v", s, r)
		}
		if again, faults := step.parse(formatRetryStep(r)); again != r || len(faults) > 0 {
			t.Fatalf("%q is %+v, written %q, read as %+v, %+v", s, r, formatRetryStep(r), again, faults)
		}
	})
}

func FuzzParseThreshold(f *testing.F) {
	for _, s := range []string{"500MB free", "96%", "0%", "101%", "1GB", "0 free", "+5%", "5% free", "100%", "auto", "2s", "15000", "5000 free"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, w := range []thresholds{volumeThresholds(), inodeThresholds(), segmentThresholds(), memoryThresholds(), messageThresholds(), latencyThresholds(), descriptorThresholds()} {
			h, err := w.read(s)
			if err != nil {
				if h != (Threshold{}) {
					t.Fatalf("%+v together with %v", h, err)
				}
				continue
			}
			percent := h.Measure == MeasureUsedPercent || h.Measure == MeasureFreePercent
			if h.N < 0 || percent && (h.N < 1 || h.N > 100) || h.Measure != MeasureAuto && !slices.Contains(w.forms, h.Measure) {
				t.Fatalf("%q is %+v", s, h)
			}
			if again, err := w.read(w.text(h)); err != nil || again != h {
				t.Fatalf("%q is %+v, written %q, read as %+v, %v", s, h, w.text(h), again, err)
			}
		}
	})
}
