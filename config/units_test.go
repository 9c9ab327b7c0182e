package config

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseSize(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want int64
		err  string
	}{
		{"36MB", 37748736, ""}, {"64KB", 65536, ""}, {"1B", 1, ""}, {"0B", 0, ""}, {"4096", 4096, ""}, {"1gb", 1 << 30, ""}, {"2Tb", 2 << 40, ""},
		{"8388607TB", 8388607 << 40, ""},
		{"8388608TB", 0, "too large"}, {"99999999999999999999", 0, "too large"},
		{"", 0, "not a size"}, {"MB", 0, "not a size"}, {"36 MB", 0, "not a size"}, {"36M", 0, "not a size"}, {"36MiB", 0, "not a size"},
		{"1.5MB", 0, "not a size"}, {"0x10", 0, "not a size"}, {"-1MB", 0, "negative"}, {"+1MB", 0, "not a size"}, {"1MB1KB", 0, "not a size"}, {"١MB", 0, "not a size"},
		{"unlimited", 0, "not a size"},
	} {
		got, err := ParseSize(tt.in)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("ParseSize(%q) = %d, %v; want %d, %q", tt.in, got, err, tt.want, tt.err)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want time.Duration
		err  string
	}{
		{"5s", 5 * time.Second, ""}, {"48h", 48 * time.Hour, ""}, {"30d", 720 * time.Hour, ""}, {"1h30m", 90 * time.Minute, ""}, {"1d1h1m1s1ms", 25*time.Hour + time.Minute + time.Second + time.Millisecond, ""},
		{"300", 5 * time.Minute, ""}, {"0", 0, ""}, {"0s", 0, ""}, {"90m", 90 * time.Minute, ""},
		{"106751d", 106751 * 24 * time.Hour, ""}, {"106752d", 0, "too large"}, {"106751d24h", 0, "too large"}, {"9223372037", 0, "too large"},
		{"", 0, "not a duration"}, {"s", 0, "not a duration"}, {"5", 5 * time.Second, ""}, {"5S", 0, "not a duration"}, {"5 s", 0, "not a duration"}, {"30m1h", 0, "not a duration"},
		{"1m1m", 0, "not a duration"}, {"1h30", 0, "not a duration"}, {"1.5h", 0, "not a duration"}, {"-5s", 0, "negative"}, {"5min", 0, "not a duration"}, {"1w", 0, "not a duration"}, {"00:05:00", 0, "not a duration"},
	} {
		got, err := ParseDuration(tt.in)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v, %q", tt.in, got, err, tt.want, tt.err)
		}
	}
}

func TestSizesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Min(0).Draw(t, "n")
		if got, err := ParseSize(FormatSize(n)); err != nil || got != n {
			t.Fatalf("%d is written %q and comes back as %d, %v", n, FormatSize(n), got, err)
		}
	})
}

func TestDurationsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, math.MaxInt64/int64(time.Millisecond)).Draw(t, "ms")) * time.Millisecond
		if got, err := ParseDuration(FormatDuration(d)); err != nil || got != d {
			t.Fatalf("%v is written %q and comes back as %v, %v", d, FormatDuration(d), got, err)
		}
	})
}

// TestUnitsHaveNoSurprise reads any text: what is read is never negative, and
// is the same when written and read again.
func TestUnitsHaveNoSurprise(t *testing.T) {
	texts := rapid.OneOf(rapid.StringMatching(`-?[0-9]{0,20}[a-zA-Z]{0,2}[0-9]{0,3}(ms|s|h|d|m)?`), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		s := texts.Draw(t, "s")
		if n, err := ParseSize(s); err == nil {
			if again, err := ParseSize(FormatSize(n)); n < 0 || err != nil || again != n {
				t.Fatalf("ParseSize(%q) = %d, again %d, %v", s, n, again, err)
			}
		}
		if d, err := ParseDuration(s); err == nil {
			if again, err := ParseDuration(FormatDuration(d)); d < 0 || err != nil || again != d {
				t.Fatalf("ParseDuration(%q) = %v, again %v, %v", s, d, again, err)
			}
		}
	})
}

func TestParseRange(t *testing.T) {
	for _, tt := range []struct{ in, from, to, out string }{
		{"10.0.0.0/8", "10.0.0.0", "10.255.255.255", "10.0.0.0/8"},
		{"192.168.1.1/24", "192.168.1.0", "192.168.1.255", "192.168.1.0/24"}, // host bits, as in Exchange
		{"0.0.0.0-255.255.255.255", "0.0.0.0", "255.255.255.255", "0.0.0.0/0"},
		{"10.0.0.1 - 10.0.0.9", "10.0.0.1", "10.0.0.9", "10.0.0.1-10.0.0.9"},
		{"10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.1"},
		{"10.0.0.1/32", "10.0.0.1", "10.0.0.1", "10.0.0.1"},
		{"::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0"},
		{"2001:db8::1/33", "2001:db8::", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff", "2001:db8::/33"},
		{"::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.1"},
		{"::ffff:10.0.0.0/104", "10.0.0.0", "10.255.255.255", "10.0.0.0/8"},
	} {
		r, err := ParseRange(tt.in)
		if err != nil || r.From.String() != tt.from || r.To.String() != tt.to || r.String() != tt.out {
			t.Errorf("ParseRange(%q) = %v-%v, %q, %v", tt.in, r.From, r.To, r, err)
		}
	}
	for _, in := range []string{"", "10.0.0.0/33", "10.0.0.9-10.0.0.1", "10.0.0.1-::1", "-", "10.0.0.1-", "a-b", "10.0.0.1-10.0.0.2-10.0.0.3", "fe80::1%e", "10.0.0.0/8-10.0.0.1", "010.0.0.1"} {
		if r, err := ParseRange(in); err == nil {
			t.Errorf("ParseRange(%q) = %v", in, r)
		}
	}
}

func TestRangeContains(t *testing.T) {
	r, _ := ParseRange("10.0.0.1-10.0.0.9")
	six, _ := ParseRange("fe80::/10")
	for _, tt := range []struct {
		r    Range
		addr string
		want bool
	}{
		{r, "10.0.0.1", true}, {r, "10.0.0.9", true}, {r, "10.0.0.0", false}, {r, "10.0.0.10", false}, {r, "::ffff:10.0.0.5", true}, {r, "::10.0.0.5", false},
		{six, "fe80::1%eth0", true}, {six, "fec0::1", false}, {six, "10.0.0.1", false},
	} {
		if got := tt.r.Contains(netip.MustParseAddr(tt.addr)); got != tt.want {
			t.Errorf("%v contains %s: %v", tt.r, tt.addr, got)
		}
	}
	if r.Contains(netip.Addr{}) {
		t.Error("the zero address lies in a range")
	}
}

// TestRangesAgree holds overlaps against a count over a small space.
func TestRangesAgree(t *testing.T) {
	byteRange := rapid.Custom(func(t *rapid.T) Range {
		a, b := rapid.Byte().Draw(t, "a"), rapid.Byte().Draw(t, "b")
		return Range{netip.AddrFrom4([4]byte{10, 0, 0, min(a, b)}), netip.AddrFrom4([4]byte{10, 0, 0, max(a, b)})}
	})
	rapid.Check(t, func(t *rapid.T) {
		r, o := byteRange.Draw(t, "r"), byteRange.Draw(t, "o")
		both, onlyR, onlyO := 0, 0, 0
		for i := range 256 {
			a := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
			switch {
			case r.Contains(a) && o.Contains(a):
				both++
			case r.Contains(a):
				onlyR++
			case o.Contains(a):
				onlyO++
			}
		}
		overlap, nested := r.overlaps(o)
		if overlap != (both > 0) || overlap && nested != (onlyR == 0 || onlyO == 0) {
			t.Fatalf("%v and %v: overlap %v, nested %v; in both %d, in one %d and %d", r, o, overlap, nested, both, onlyR, onlyO)
		}
		if again, err := ParseRange(r.String()); err != nil || again != r {
			t.Fatalf("%v comes back as %v, %v", r, again, err)
		}
	})
}

func TestParseSmartHost(t *testing.T) {
	for _, tt := range []struct {
		in, host string
		port     uint16
		out      string
	}{
		{"Hub1.contoso.example", "hub1.contoso.example", 0, "hub1.contoso.example"},
		{"hub1:2525", "hub1", 2525, "hub1:2525"},
		{"mail_hub", "mail_hub", 0, "mail_hub"},
		{"10.0.0.11", "10.0.0.11", 0, "10.0.0.11"},
		{"10.0.0.11:26", "10.0.0.11", 26, "10.0.0.11:26"},
		{"[10.0.0.11]", "10.0.0.11", 0, "10.0.0.11"},
		{"[10.0.0.11]:26", "10.0.0.11", 26, "10.0.0.11:26"},
		{"2001:DB8::11", "2001:db8::11", 0, "2001:db8::11"},
		{"[2001:db8::11]:26", "2001:db8::11", 26, "[2001:db8::11]:26"},
		{"[IPv6:2001:db8::11]", "2001:db8::11", 0, "2001:db8::11"},
		{"::ffff:10.0.0.11", "10.0.0.11", 0, "10.0.0.11"},
	} {
		h, err := ParseSmartHost(tt.in)
		if err != nil || h != (SmartHost{tt.host, tt.port}) || h.String() != tt.out {
			t.Errorf("ParseSmartHost(%q) = %+v %q, %v", tt.in, h, h, err)
		}
		if again, err := ParseSmartHost(h.String()); err != nil || again != h {
			t.Errorf("%+v comes back as %+v, %v", h, again, err)
		}
	}
	for _, in := range []string{"", ":25", "hub1:", "hub1:0", "hub1:65536", "hub1:+25", "hub1:25x", "[hub1]", "[10.0.0.1]25", "[10.0.0.1", "hub1.", "a..b", "hub 1", "hub1\r\nDATA", "10.0.0.300", "user@hub1"} {
		if h, err := ParseSmartHost(in); err == nil {
			t.Errorf("ParseSmartHost(%q) = %+v", in, h)
		}
	}
}

func TestParseThreshold(t *testing.T) {
	type want map[string]Threshold // zero: refused
	free, used := MeasureFree, MeasureUsed
	for name, tt := range map[string]struct {
		write thresholds
		want  want
	}{
		"volume": {volumeThresholds(), want{
			"1GB free": {free, 1 << 30}, "96%": {MeasureUsedPercent, 96}, "5% free": {MeasureFreePercent, 5},
			"1% ": {}, "0%": {}, "101%": {}, "0B free": {}, "free": {}, "1GB": {}, "%": {}, "+5%": {}, "-5% free": {}, " free": {}, "": {},
		}},
		"inodes":      {inodeThresholds(), want{"5000 free": {free, 5000}, "5KB free": {}, "0 free": {}, "5000": {}}},
		"segments":    {segmentThresholds(), want{"1 free": {free, 1}, "0 free": {free, 0}, "10%": {}, "10% free": {}}},
		"memory":      {memoryThresholds(), want{"2GB": {used, 2 << 30}, "75%": {MeasureUsedPercent, 75}, "1GB free": {}, "0B": {}}},
		"messages":    {messageThresholds(), want{"15000": {}, "10%": {}, "10 free": {}}},
		"latency":     {latencyThresholds(), want{"2s": {used, 2e9}, "0s": {}, "2s free": {}, "fast": {}}},
		"descriptors": {descriptorThresholds(), want{"200 free": {free, 200}, "90%": {MeasureUsedPercent, 90}, "200": {}}},
	} {
		for in, want := range tt.want {
			got, err := tt.write.read(in)
			if got != want || (err != nil) != (want == Threshold{}) {
				t.Errorf("%s: %q is %+v, %v", name, in, got, err)
			}
		}
		if got, err := tt.write.read("auto"); err != nil || got != (Threshold{}) {
			t.Errorf("%s: auto is %+v, %v", name, got, err)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"banner", "bindings", "max_message_size", "max_header_size", "tls", "tls_domain", "password_file"}
	for in, want := range map[string]string{
		"banne": "banner", "bannner": "banner", "abnner": "banner", "Binding": "bindings", "maxMessageSize": "max_message_size", "max_mesage_sise": "max_message_size",
		"tsl": "tls", "tls-domain": "tls_domain", "password": "password_file", "pass": "password_file", "pas": "", "": "", "xyz": "", "colour": "", strings.Repeat("x", 1000): "",
	} {
		if got := Nearest(in, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", in, got, want)
		}
	}
}
