package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// block composes a header of version 2.
func block(command, family byte, body ...string) string {
	b := append([]byte(proxySignature), command, family)
	rest := strings.Join(body, "")
	return string(binary.BigEndian.AppendUint16(b, uint16(len(rest)))) + rest
}

func tlv(kind byte, value string) string {
	return string(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value)))) + value
}

// summed fills in the checksum of a header whose CRC32C stands as four zeros at
// its end.
func summed(header string) string {
	sum := crc32.Checksum([]byte(header), crc32.MakeTable(crc32.Castagnoli))
	return header[:len(header)-4] + string(binary.BigEndian.AppendUint32(nil, sum))
}

// compose writes a header with addresses, as a proxy does.
func compose(h ProxyHeader, tlvs string) string {
	s, d := h.Source, h.Destination
	switch {
	case h.Version == 1 && !s.IsValid():
		return "PROXY UNKNOWN\r\n"
	case h.Version == 1:
		family := "TCP6"
		if s.Addr().Is4() {
			family = "TCP4"
		}
		return fmt.Sprintf("PROXY %s %s %s %d %d\r\n", family, s.Addr(), d.Addr(), s.Port(), d.Port())
	case !s.IsValid():
		return block(proxyProxy, proxyUnspec, tlvs)
	}
	family := byte(proxyStream6)
	if s.Addr().Is4() {
		family = proxyStream4
	}
	b := append(s.Addr().AsSlice(), d.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, s.Port())
	b = binary.BigEndian.AppendUint16(b, d.Port())
	return block(proxyProxy, family, string(b), tlvs)
}

const (
	ends4 = "\xc0\x00\x02\x01\xcb\x00\x71\x09\xde\xad\x00\x19" // 192.0.2.1:57005 203.0.113.9:25
	ends6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01\x00\x19"
	mapped = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xcb\x00\x71\x09\x00\x01\x00\x19"
)

func TestReadProxyHeader(t *testing.T) {
	ends := func(s, d string) ProxyHeader {
		return ProxyHeader{Source: netip.MustParseAddrPort(s), Destination: netip.MustParseAddrPort(d)}
	}
	longest := "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"
	for _, tt := range []struct {
		in   string
		want ProxyHeader
	}{
		{"PROXY TCP4 192.0.2.1 203.0.113.9 57005 25\r\n", ends("192.0.2.1:57005", "203.0.113.9:25")},
		{"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", ends("255.255.255.255:65535", "255.255.255.255:65535")},
		{"PROXY TCP4 1.1.1.1 2.2.2.2 0 0\r\n", ends("1.1.1.1:0", "2.2.2.2:0")},
		{"PROXY TCP6 2001:db8::1 2001:DB8::2 1 25\r\n", ends("[2001:db8::1]:1", "[2001:db8::2]:25")},
		{"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:203.0.113.9 1 25\r\n", ends("192.0.2.1:1", "203.0.113.9:25")},
		{longest, ends("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")},
		{"PROXY UNKNOWN\r\n", ProxyHeader{}},
		{"PROXY UNKNOWN \r\n", ProxyHeader{}},
		{"PROXY UNKNOWN" + longest[len("PROXY TCP6"):], ProxyHeader{}},
		{"PROXY UNKNOWN " + strings.Repeat("x", MaxProxyLine-16) + "\r\n", ProxyHeader{}},
		{"PROXY UNKNOWN a\rb\r\r\n", ProxyHeader{}},

		{block(proxyLocal, proxyUnspec), ProxyHeader{}},
		{block(proxyLocal, proxyStream4, ends4), ProxyHeader{}},
		{block(proxyLocal, 0x31, "what it likes"), ProxyHeader{}},
		{block(proxyProxy, proxyUnspec), ProxyHeader{}},
		{block(proxyProxy, proxyUnspec, tlv(4, "padding")), ProxyHeader{}},
		{block(proxyProxy, proxyStream4, ends4), ends("192.0.2.1:57005", "203.0.113.9:25")},
		{block(proxyProxy, proxyStream6, ends6), ends("[2001:db8::1]:1", "[2001:db8::2]:25")},
		{block(proxyProxy, proxyStream6, mapped), ends("192.0.2.1:1", "203.0.113.9:25")},
		{block(proxyProxy, proxyStream4, ends4, tlv(1, "h2"), tlv(2, ""), tlv(0xee, "x")), ends("192.0.2.1:57005", "203.0.113.9:25")},
		{block(proxyProxy, proxyStream4, ends4, tlv(4, strings.Repeat("x", MaxProxyBlock-12-3))), ends("192.0.2.1:57005", "203.0.113.9:25")},
		{summed(block(proxyProxy, proxyStream4, ends4, tlv(1, "h2"), tlv(proxyCRC32C, "\x00\x00\x00\x00"))), ends("192.0.2.1:57005", "203.0.113.9:25")},
		{summed(block(proxyProxy, proxyUnspec, tlv(proxyCRC32C, "\x00\x00\x00\x00"))), ProxyHeader{}},
	} {
		tt.want.Version = 1
		if tt.in[0] == '\r' {
			tt.want.Version = 2
		}
		for name, reader := range readers(tt.in + "EHLO") {
			got, err := ReadProxyHeader(reader)
			if err != nil || got != tt.want {
				t.Errorf("%q, %s: got %+v, %v, want %+v", tt.in, name, got, err, tt.want)
			}
			if rest, _ := io.ReadAll(reader); string(rest) != "EHLO" {
				t.Errorf("%q, %s: %q is left to read", tt.in, name, rest)
			}
		}
		for n := range tt.in { // cut off anywhere
			_, err := ReadProxyHeader(strings.NewReader(tt.in[:n]))
			if want := io.ErrUnexpectedEOF; n == 0 && err != io.EOF || n > 0 && err != want {
				t.Errorf("%q: got %v", tt.in[:n], err)
			}
		}
	}
}

// readers gives the same octets in different pieces.
func readers(s string) map[string]io.Reader {
	return map[string]io.Reader{
		"at once": strings.NewReader(s), "by octets": iotest.OneByteReader(strings.NewReader(s)),
		"by halves": iotest.HalfReader(strings.NewReader(s)), "with the error": iotest.DataErrReader(strings.NewReader(s)),
	}
}

func TestReadProxyHeaderRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"EHLO client.example\r\n":                                        ErrNoProxyHeader.Error(),
		"\x16\x03\x01\x02\x00":                                           ErrNoProxyHeader.Error(),
		"proxy TCP4 ":                                                    ErrNoProxyHeader.Error(),
		"PROXYTCP4":                                                      ErrNoProxyHeader.Error(),
		"PROX\r\n":                                                       ErrNoProxyHeader.Error(),
		"\r\n\r\n\x00\r\nQUIT\r":                                         ErrNoProxyHeader.Error(),
		" PROXY UNKNOWN\r\n":                                             ErrNoProxyHeader.Error(),
		"\r\nPROXY UNKNOWN\r\n":                                          ErrNoProxyHeader.Error(),
		"PROXY \r\n    ":                                                 "not TCP4 or TCP6",
		"PROXY \n      ":                                                 "bare line feed",
		"PROXY UNKNOWN\n":                                                "bare line feed",
		"PROXY UNKNOWN a\nb\r\n":                                         "bare line feed",
		"PROXY UNKNOWNx\r\n":                                             "not TCP4 or TCP6",
		"PROXY unknown\r\n":                                              "not TCP4 or TCP6",
		"PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n":                             "not TCP4 or TCP6",
		"PROXY tcp4 1.1.1.1 2.2.2.2 1 2\r\n":                             "not TCP4 or TCP6",
		"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n":                               "not TCP4 or TCP6",
		"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n":                           "not TCP4 or TCP6",
		"PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n":                            "not TCP4 or TCP6",
		"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n":                            "not TCP4 or TCP6",
		"PROXY TCP4 1.1.1.1\t2.2.2.2 1 2\r\n":                            "not TCP4 or TCP6",
		"PROXY TCP4 2001:db8::1 2.2.2.2 1 2\r\n":                         "for an address of TCP4",
		"PROXY TCP4 1.1.1.1 2001:db8::1 1 2\r\n":                         "for an address of TCP4",
		"PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n":                             "for an address of TCP6",
		"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n":                        "for an address of TCP6",
		"PROXY TCP4 1.1.1.01 2.2.2.2 1 2\r\n":                            "for an address of TCP4",
		"PROXY TCP4 1.1.1.256 2.2.2.2 1 2\r\n":                           "for an address of TCP4",
		"PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n":                               "for an address of TCP4",
		"PROXY TCP4 host.example 2.2.2.2 1 2\r\n":                        "for an address of TCP4",
		"PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n":                         "for a port",
		"PROXY TCP4 1.1.1.1 2.2.2.2 1 02\r\n":                            "for a port",
		"PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n":                            "for a port",
		"PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n":                            "for a port",
		"PROXY TCP4 1.1.1.1 2.2.2.2 x 2\r\n":                             "for a port",
		"PROXY TCP4 1.1.1.1 2.2.2.2  2\r\n":                              "for a port",
		"PROXY UNKNOWN " + strings.Repeat("x", MaxProxyLine-15) + "\r\n": "longer than 107 octets",
		"PROXY TCP4 " + strings.Repeat("9", 500):                         "longer than 107 octets",

		block(0x22, proxyStream4, ends4):                                             "version and command 0x22",
		block(0x11, proxyStream4, ends4):                                             "version and command 0x11",
		block(0x00, proxyUnspec):                                                     "version and command 0x00",
		block(proxyProxy, 0x12, ends4):                                               "family and transport 0x12", // UDP
		block(proxyProxy, 0x10, ends4):                                               "family and transport 0x10",
		block(proxyProxy, 0x01, ends4):                                               "family and transport 0x01",
		block(proxyProxy, 0x31, strings.Repeat("/", 216)):                            "family and transport 0x31", // AF_UNIX
		block(proxyProxy, proxyStream4, ends4[1:]):                                   "11 octets, too few",
		block(proxyProxy, proxyStream6, ends6[1:]):                                   "35 octets, too few",
		block(proxyProxy, proxyStream6, ends4):                                       "12 octets, too few",
		block(proxyProxy, proxyStream4):                                              "0 octets, too few",
		block(proxyProxy, proxyStream4, ends4, "x"):                                  "ends within a TLV",
		block(proxyProxy, proxyStream4, ends4, "x\x00"):                              "ends within a TLV",
		block(proxyProxy, proxyStream4, ends4, "x\x00\x01"):                          "longer than what is left",
		block(proxyProxy, proxyStream4, ends4, "x\xff\xff..."):                       "longer than what is left",
		block(proxyProxy, proxyUnspec, "x"):                                          "ends within a TLV",
		block(proxyLocal, proxyUnspec, strings.Repeat("x", MaxProxyBlock+1)):         "2049 octets of addresses and TLVs",
		proxySignature + "\x21\x11\xff\xff":                                          "65535 octets of addresses and TLVs",
		block(proxyProxy, proxyStream4, ends4, tlv(proxyCRC32C, "\x00\x00\x00\x00")): "checksum 00000000",
		block(proxyProxy, proxyStream4, ends4, tlv(proxyCRC32C, "\x00\x00\x00")):     "not 4 octets long",
	} {
		_, err := ReadProxyHeader(strings.NewReader(in + strings.Repeat("\x00", 64)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want %s", in, err, want)
		}
	}
	// One bit of a header with a checksum, at every place behind the addresses'
	// length.
	whole := summed(block(proxyProxy, proxyStream4, ends4, tlv(5, "unique"), tlv(proxyCRC32C, "\x00\x00\x00\x00")))
	for at := proxyFixed; at < len(whole); at++ {
		b := []byte(whole)
		b[at] ^= 1
		if h, err := ReadProxyHeader(bytes.NewReader(b)); err == nil {
			// Only the TLV that says checksum may stop saying so.
			if kind := len(whole) - 7; at != kind {
				t.Errorf("octet %d changed: %+v", at, h)
			}
		}
	}
}

// TestNoProxyHeaderIsKnownAtOnce: a client that says something else is not
// waited for.
func TestNoProxyHeaderIsKnownAtOnce(t *testing.T) {
	for _, in := range []string{"E", "\x16", "\n", "P\r", "PR0", "\r\r"} {
		r := io.MultiReader(strings.NewReader(in), iotest.ErrReader(errors.New("waited for more")))
		if _, err := ReadProxyHeader(r); err != ErrNoProxyHeader {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func genAddrPort(four bool) *rapid.Generator[netip.AddrPort] {
	return rapid.Custom(func(t *rapid.T) netip.AddrPort {
		size := 16
		if four {
			size = 4
		}
		a, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "address"))
		return netip.AddrPortFrom(a.Unmap(), rapid.Uint16().Draw(t, "port"))
	})
}

// TestProxyHeadersAreReadAsComposed composes headers, and reads what follows.
func TestProxyHeadersAreReadAsComposed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		four := rapid.Bool().Draw(t, "IPv4")
		h := ProxyHeader{Version: rapid.IntRange(1, 2).Draw(t, "version")}
		if rapid.Bool().Draw(t, "known") {
			h.Source, h.Destination = genAddrPort(four).Draw(t, "source"), genAddrPort(four).Draw(t, "destination")
			if h.Source.Addr().Is4() != h.Destination.Addr().Is4() { // a mapped one
				t.Skip("two families")
			}
		}
		var tlvs string
		for range rapid.IntRange(0, 4).Draw(t, "TLVs") {
			kind := rapid.Byte().Filter(func(k byte) bool { return k != proxyCRC32C }).Draw(t, "kind")
			tlvs += tlv(kind, rapid.StringN(0, 50, 200).Draw(t, "value"))
		}
		check := h.Version == 2 && rapid.Bool().Draw(t, "checksum")
		if check {
			tlvs += tlv(proxyCRC32C, "\x00\x00\x00\x00")
		}
		header := compose(h, tlvs)
		if check {
			header = summed(header)
		}
		rest := rapid.String().Draw(t, "rest")
		r := strings.NewReader(header + rest)
		got, err := ReadProxyHeader(r)
		if err != nil || got != h {
			t.Fatalf("got %+v, %v, want %+v", got, err, h)
		}
		if left, _ := io.ReadAll(r); string(left) != rest {
			t.Fatalf("%q is left, want %q", left, rest)
		}
	})
}

// FuzzReadProxyHeader: whatever comes, no more is read than a header may have,
// and addresses come in pairs of one family.
func FuzzReadProxyHeader(f *testing.F) {
	for _, s := range []string{
		"PROXY TCP4 192.0.2.1 203.0.113.9 57005 25\r\nEHLO x\r\n", "PROXY TCP6 ::1 ::2 1 2\r\n", "PROXY UNKNOWN x\r\n", "PROXY TCP4 ", "EHLO x\r\n",
		block(proxyLocal, proxyUnspec), block(proxyProxy, proxyStream4, ends4, tlv(1, "h2")), block(proxyProxy, proxyStream6, ends6),
		summed(block(proxyProxy, proxyStream4, ends4, tlv(proxyCRC32C, "\x00\x00\x00\x00"))),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		h, err := ReadProxyHeader(r)
		used := len(in) - r.Len()
		if used > proxyFixed+MaxProxyBlock || in != nil && used > MaxProxyLine && in[0] == 'P' {
			t.Fatalf("%d octets were read", used)
		}
		if err != nil {
			if h != (ProxyHeader{}) {
				t.Fatalf("%+v with error %v", h, err)
			}
			return
		}
		if h.Source.IsValid() != h.Destination.IsValid() || h.Version != 1 && h.Version != 2 {
			t.Fatalf("%+v", h)
		}
		if h.Version == 1 && string(in[used-2:used]) != "\r\n" {
			t.Fatalf("read %q", in[:used])
		}
		// The same header by octets is the same.
		again, err := ReadProxyHeader(iotest.OneByteReader(bytes.NewReader(in[:used])))
		if err != nil || again != h {
			t.Fatalf("got %+v, %v by octets, %+v at once", again, err, h)
		}
		if h.Source.IsValid() && h.Source.Addr().Is4() == h.Destination.Addr().Is4() {
			if got, err := ReadProxyHeader(strings.NewReader(compose(h, ""))); err != nil || got != h {
				t.Fatalf("composed again it gives %+v, %v, want %+v", got, err, h)
			}
		}
	})
}
