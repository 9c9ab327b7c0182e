package ptls

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"
	"unicode/utf8"
)

// TestExplainClient: why a handshake failed, in words.
func TestExplainClient(t *testing.T) {
	alert := func(octets string) *Overhearing {
		o := new(Overhearing)
		o.hear([]byte(octets))
		return o
	}
	const hello = "\x16\x03\x01\x00\x03abc"
	mac := errors.New("tls: bad record MAC")
	for _, tt := range []struct {
		err  error
		conn *Overhearing
		want string
	}{
		{errors.New("remote error: tls: unknown certificate authority"), nil, "the client does not know who issued our certificate, or intermediate certificates are missing (alert: unknown certificate authority)"},
		{errors.New("remote error: tls: bad certificate"), alert(hello), "the client does not accept our certificate (alert: bad certificate)"},
		{errors.New("remote error: tls: something else"), nil, "the client refuses the handshake: something else"},
		{mac, alert(hello + "\x15\x03\x03\x00\x02\x02\x30"), "the client does not know who issued our certificate, or intermediate certificates are missing (alert: unknown certificate authority)"},
		{mac, alert(hello + "\x14\x03\x03\x00\x01\x01" + "\x15\x03\x03\x00\x02\x02\x2d"), "the client says that our certificate has expired (alert: expired certificate)"},
		{mac, alert(hello + "\x15\x03\x03\x00\x02\x02\xff"), "the client refuses the handshake: alert(255)"},
		{mac, alert(hello + "\x15\x03\x03\x00\x14" + strings.Repeat("x", 20)), ""}, // encrypted
		{mac, alert(hello + "\x15\x03\x03\x00\x02\x02"), ""},             // cut
		{mac, alert(hello + "\x15\x03\x03\x00\x02\x02\x30" + hello), ""}, // and it went on
		{mac, nil, ""},
		{errors.New("tls: client offered only unsupported versions: [302 301]"), nil, "the client speaks no version of TLS from 1.2 on, only TLS 1.1, TLS 1.0"},
		{errors.New("tls: client offered only unsupported versions: [rubbish]"), nil, "the client speaks no version of TLS from 1.2 on, only [rubbish]"},
		{errors.New("tls: no cipher suite supported by both client and server; client offered: [2f 1 2 3 4 5 6 7 8 9]"), nil,
			"no cipher in common: the key of the certificate is of another kind than the client can use, or it knows only ciphers that tls_ciphers leaves out; it offered TLS_RSA_WITH_AES_128_CBC_SHA, 0x0001, 0x0002, 0x0003, 0x0004, TLS_RSA_WITH_RC4_128_SHA, 0x0006, 0x0007, 2 more"},
		{tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, alert("EHLO x"), "the client sent something that is not TLS"},
		{tls.RecordHeaderError{Msg: "unsupported SSLv2 handshake received"}, nil, "the client speaks SSL 2.0"},
		{errors.New("tls: peer doesn't support any of the certificate's signature algorithms"), nil, "the client can't use the kind of key that our certificate has; a second certificate for the name with the other kind, RSA or ECDSA, is for such clients"},
		{io.EOF, nil, "the client cut the connection in the handshake"},
		{&net.OpError{Op: "read", Err: net.ErrClosed}, nil, "the client cut the connection in the handshake"},
		{errors.New("anything"), nil, ""},
	} {
		if got := ExplainClient(tt.err, tt.conn); got != tt.want {
			t.Errorf("%v: %q\nwant %q", tt.err, got, tt.want)
		}
	}
}

// FuzzOverhearing: it passes every octet on, and hears the same in whatever
// pieces they come.
func FuzzOverhearing(f *testing.F) {
	f.Add([]byte("\x16\x03\x01\x00\x03abc\x15\x03\x03\x00\x02\x02\x30"))
	f.Add([]byte("\x15\x03\x03\x00\x00\x15\x03\x03\xff\xff"))
	f.Add([]byte("EHLO x\r\n"))
	f.Fuzz(func(t *testing.T, octets []byte) {
		var heard []Overhearing
		for _, r := range []io.Reader{bytes.NewReader(octets), iotest.OneByteReader(bytes.NewReader(octets)), iotest.HalfReader(bytes.NewReader(octets))} {
			o := &Overhearing{Conn: readConn{Reader: r}}
			if got, err := io.ReadAll(o); err != nil || !bytes.Equal(got, octets) {
				t.Fatalf("%q, %v", got, err)
			}
			o.Conn = nil
			heard = append(heard, *o)
		}
		if heard[0] != heard[1] || heard[0] != heard[2] {
			t.Errorf("%+v", heard)
		}
	})
}

type readConn struct {
	net.Conn
	io.Reader
}

func (c readConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

// FuzzBag: whatever stands before a block, the friendly name fits in a line.
func FuzzBag(f *testing.F) {
	f.Add([]byte("Bag Attributes\n    friendlyName: Mail edge\n    posternExportable: no\n-----BEGIN CERTIFICATE-----\n"))
	f.Add([]byte("friendlyName: \xff\x00\u0085\n-----BEGIN X"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var b bag
		b.read(text)
		if !utf8.ValidString(b.name) || utf8.RuneCountInString(b.name) > maxFriendlyName || strings.ContainsFunc(b.name, unicode.IsControl) || strings.TrimSpace(b.name) != b.name {
			t.Errorf("%q", b.name)
		}
	})
}

// FuzzAssignments: what is read are thumbprints.
func FuzzAssignments(f *testing.F) {
	f.Add([]byte("[receive_connector]\n\"From Internet\" = \"" + strings.Repeat("ab", 32) + "\"\n"))
	f.Add([]byte("receive_connector = []\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := parseAssignments(text)
		if err != nil && a != nil {
			t.Error("an error, and assignments")
		}
		for _, thumbprint := range a {
			if n, ok := parseThumbprint(thumbprint); !ok || n != thumbprint {
				t.Errorf("%q", thumbprint)
			}
		}
	})
}
