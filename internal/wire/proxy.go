package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// The lengths of PROXY headers in octets.
const (
	// MaxProxyLine is the longest line of version 1, with its CRLF.
	MaxProxyLine = 107
	// MaxProxyBlock is how long the addresses and TLVs of version 2 may be.
	// Version 2 could say up to 65535; what proxies send is below 600.
	MaxProxyBlock = 2048
)

// ErrNoProxyHeader says that a connection does not begin with a PROXY header.
var ErrNoProxyHeader = errors.New("there is no PROXY header")

// ProxyHeader is what a proxy says of the connection that it passes on
// ("The PROXY protocol, versions 1 & 2", haproxy.org).
type ProxyHeader struct {
	// Version is 1 or 2.
	Version int
	// Source is the client, Destination where the client connected to.
	// IPv4-mapped addresses are IPv4 here. Both are invalid when the proxy says
	// nothing of a client, for a health check say: LOCAL, UNKNOWN or AF_UNSPEC;
	// the ends of the connection itself hold then.
	Source, Destination netip.AddrPort
}

// proxySignature is how version 2 begins (2.2).
const proxySignature = "\r\n\r\n\x00\r\nQUIT\n"

const proxyWord = "PROXY "

var errProxyLine = errors.New("the PROXY header is not TCP4 or TCP6 with two addresses and two ports, nor UNKNOWN")

// ReadProxyHeader reads a PROXY header of either version and not one octet
// beyond it: what follows is the client's, and may be TLS. An octet that no
// header could have gives an error at once, without a wait for more. The caller
// sets the deadline. A connection that ends within a header gives
// io.ErrUnexpectedEOF, one that ends before it io.EOF.
func ReadProxyHeader(r io.Reader) (ProxyHeader, error) {
	// No header of either version is shorter than the signature.
	var head [MaxProxyLine]byte
	n := 0
	for n < len(proxySignature) {
		m, err := r.Read(head[n:len(proxySignature)])
		if n += m; n > 0 && !proxyBegins(head[:n]) {
			return ProxyHeader{}, ErrNoProxyHeader
		}
		if err != nil && n < len(proxySignature) {
			if err == io.EOF && n > 0 {
				err = io.ErrUnexpectedEOF
			}
			return ProxyHeader{}, err
		}
	}
	if head[0] == proxySignature[0] {
		return readProxyBlock(r)
	}
	return readProxyLine(r, &head)
}

// proxyBegins reports whether b may be the beginning of a header.
func proxyBegins(b []byte) bool {
	text := string(b)
	return strings.HasPrefix(proxySignature, text) ||
		strings.HasPrefix(proxyWord, text) || strings.HasPrefix(text, proxyWord)
}

// readProxyLine reads the rest of a header of version 1 (2.1), of which as many
// octets as the signature has are there.
func readProxyLine(r io.Reader, line *[MaxProxyLine]byte) (ProxyHeader, error) {
	n := len(proxySignature)
	for {
		if at := bytes.IndexByte(line[:n], '\n'); at >= 0 {
			switch {
			case line[at-1] != '\r':
				return ProxyHeader{}, errors.New("the PROXY header has a bare line feed")
			case at < n-1: // within the first octets
				return ProxyHeader{}, errProxyLine
			}
			return parseProxyLine(string(line[:n-2]))
		}
		want := 2 // at least CRLF is to come
		if line[n-1] == '\r' {
			want = 1
		}
		if n+want > len(line) {
			return ProxyHeader{}, fmt.Errorf("the PROXY header is longer than %d octets", MaxProxyLine)
		}
		if err := readFull(r, line[n:n+want]); err != nil {
			return ProxyHeader{}, err
		}
		n += want
	}
}

// readFull is io.ReadFull within something that must not end here.
func readFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parseProxyLine reads a line of version 1 without its CRLF.
func parseProxyLine(line string) (ProxyHeader, error) {
	h := ProxyHeader{Version: 1}
	rest := line[len(proxyWord):]
	if rest == "UNKNOWN" || strings.HasPrefix(rest, "UNKNOWN ") { // whatever stands behind it
		return h, nil
	}
	words := strings.Split(rest, " ")
	if len(words) != 5 || words[0] != "TCP4" && words[0] != "TCP6" {
		return ProxyHeader{}, errProxyLine
	}
	var err error
	if h.Source, err = proxyEnd(words[0], words[1], words[3]); err == nil {
		h.Destination, err = proxyEnd(words[0], words[2], words[4])
	}
	if err != nil {
		return ProxyHeader{}, err
	}
	return h, nil
}

// proxyEnd reads an address and a port of version 1.
func proxyEnd(family, address, port string) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Is4() != (family == "TCP4") || a.Zone() != "" {
		return netip.AddrPort{}, fmt.Errorf("the PROXY header has %.50q for an address of %s", address, family)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != port { // no leading zeros
		return netip.AddrPort{}, fmt.Errorf("the PROXY header has %.50q for a port", port)
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), nil
}

// The octets of a header of version 2 (2.2).
const (
	proxyFixed = len(proxySignature) + 4

	proxyLocal = 0x20 // version 2, command LOCAL
	proxyProxy = 0x21 // version 2, command PROXY

	proxyUnspec  = 0x00
	proxyStream4 = 0x11
	proxyStream6 = 0x21

	proxyCRC32C = 0x03
)

// readProxyBlock reads the rest of a header of version 2, whose signature was
// read.
func readProxyBlock(r io.Reader) (ProxyHeader, error) {
	var fixed [proxyFixed]byte
	copy(fixed[:], proxySignature)
	if err := readFull(r, fixed[len(proxySignature):]); err != nil {
		return ProxyHeader{}, err
	}
	command, family := fixed[12], fixed[13]
	if command != proxyLocal && command != proxyProxy {
		return ProxyHeader{}, fmt.Errorf("the PROXY header has version and command %#02x, want version 2 with LOCAL or PROXY", command)
	}
	size := int(binary.BigEndian.Uint16(fixed[14:]))
	if size > MaxProxyBlock {
		return ProxyHeader{}, fmt.Errorf("the PROXY header has %d octets of addresses and TLVs, more than %d", size, MaxProxyBlock)
	}
	addresses := 0
	if command == proxyProxy {
		switch family {
		case proxyUnspec:
		case proxyStream4:
			addresses = 2 * (4 + 2)
		case proxyStream6:
			addresses = 2 * (16 + 2)
		default:
			return ProxyHeader{}, fmt.Errorf("the PROXY header has family and transport %#02x, want TCP over IPv4 or IPv6", family)
		}
		if size < addresses {
			return ProxyHeader{}, fmt.Errorf("the PROXY header has %d octets, too few for its addresses", size)
		}
	}
	whole := make([]byte, proxyFixed+size)
	copy(whole, fixed[:])
	block := whole[proxyFixed:]
	if err := readFull(r, block); err != nil {
		return ProxyHeader{}, err
	}
	h := ProxyHeader{Version: 2}
	if command == proxyLocal { // the block is discarded, whatever it says
		return h, nil
	}
	if err := checkProxyTLVs(whole, proxyFixed+addresses); err != nil {
		return ProxyHeader{}, err
	}
	if addresses > 0 {
		h.Source, h.Destination = proxyEnds(block[:addresses])
	}
	return h, nil
}

// proxyEnds reads the addresses and ports of version 2: both addresses first,
// then both ports.
func proxyEnds(b []byte) (source, destination netip.AddrPort) {
	n := len(b)/2 - 2
	s, _ := netip.AddrFromSlice(b[:n])
	d, _ := netip.AddrFromSlice(b[n : 2*n])
	return netip.AddrPortFrom(s.Unmap(), binary.BigEndian.Uint16(b[2*n:])),
		netip.AddrPortFrom(d.Unmap(), binary.BigEndian.Uint16(b[2*n+2:]))
}

// checkProxyTLVs goes through the TLVs of a header, which begin at an offset
// (2.2). Only the checksum means something here; the others are passed over.
func checkProxyTLVs(header []byte, at int) error {
	checked := false
	for at < len(header) {
		if len(header)-at < 3 {
			return errors.New("the PROXY header ends within a TLV")
		}
		kind, value := header[at], at+3
		at = value + int(binary.BigEndian.Uint16(header[at+1:]))
		if at > len(header) {
			return errors.New("the PROXY header has a TLV that is longer than what is left")
		}
		if kind != proxyCRC32C {
			continue
		}
		if checked || at-value != 4 {
			return errors.New("the PROXY header has more than one checksum, or one that is not 4 octets long")
		}
		checked = true
		want := binary.BigEndian.Uint32(header[value:])
		clear(header[value:at]) // 2.2.3: computed with the checksum as zero
		if got := crc32.Checksum(header, crc32.MakeTable(crc32.Castagnoli)); got != want {
			return fmt.Errorf("the PROXY header has checksum %08x, but its octets give %08x", want, got)
		}
		binary.BigEndian.PutUint32(header[value:], want)
	}
	return nil
}
