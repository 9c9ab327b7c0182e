package ptls

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
)

// Overhearing is a connection on which TLS begins, of which it hears an alert in
// clear text: clients that turn a certificate of TLS 1.3 away say so before they
// encrypt, which crypto/tls takes for a forged record. It belongs to who reads.
type Overhearing struct {
	net.Conn
	head  [5]byte // of a record (RFC 8446 5.1)
	body  [2]byte // of an alert (RFC 8446 6)
	got   int     // of head
	left  int     // of the record behind the head
	alert tls.AlertError
	heard bool
	over  bool
	most  int // octets of a handshake; 0: any
	total int
}

// What a client may send in a handshake, in octets. A ClientHello has some two
// thousand at most; a certificate with those above it comes on top of that, and a
// session ticket has them in it. crypto/tls holds what has come until it has the
// whole of a message, up to 64 KB and 256 KB, for strangers.
const (
	maxHandshake            = 16 << 10
	maxHandshakeCertificate = 48 << 10
)

var errHandshakeSize = errors.New("the client sends too much in its handshake")

// Overhear begins to listen to the client of a handshake under a configuration,
// and holds it to what a handshake may have.
func Overhear(conn net.Conn, cfg *tls.Config) *Overhearing {
	most := maxHandshake
	if cfg.ClientAuth != tls.NoClientCert || !cfg.SessionTicketsDisabled {
		most = maxHandshakeCertificate
	}
	return &Overhearing{Conn: conn, most: most}
}

// Read is that of the connection.
func (o *Overhearing) Read(p []byte) (int, error) {
	n, err := o.Conn.Read(p)
	if !o.over {
		if o.total += n; o.most > 0 && o.total > o.most {
			return 0, fmt.Errorf("%w: more than %d octets", errHandshakeSize, o.most)
		}
		o.hear(p[:n])
	}
	return n, err
}

// Over ends the listening, once the handshake has ended.
func (o *Overhearing) Over() { o.over = true }

func (o *Overhearing) hear(b []byte) {
	const alert = 21 // RFC 8446 B.1
	for len(b) > 0 {
		if o.got < len(o.head) {
			o.head[o.got] = b[0]
			o.got, b = o.got+1, b[1:]
			if o.got < len(o.head) {
				continue
			}
			o.left = int(o.head[3])<<8 | int(o.head[4])
			o.heard = false
		}
		size := int(o.head[3])<<8 | int(o.head[4])
		n := min(o.left, len(b))
		if o.head[0] == alert && size == len(o.body) {
			copy(o.body[size-o.left:], b[:n])
		}
		o.left, b = o.left-n, b[n:]
		if o.left == 0 {
			o.got = 0
			if o.head[0] == alert && size == len(o.body) {
				o.alert, o.heard = tls.AlertError(o.body[1]), true
			}
		}
	}
}

// ExplainClient puts into words why a handshake with a client failed; empty
// where the error says all.
func ExplainClient(err error, conn *Overhearing) string {
	if conn != nil && conn.heard && !strings.Contains(err.Error(), "remote error: ") {
		return explainClientAlert(strings.TrimPrefix(conn.alert.Error(), "tls: "))
	}
	if header, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		if strings.Contains(header.Msg, "unsupported SSLv2") {
			return "the client speaks SSL 2.0"
		}
		return "the client sent something that is not TLS"
	}
	if errors.Is(err, errHandshakeSize) {
		return errHandshakeSize.Error()
	}
	text := err.Error()
	if _, alert, ok := strings.Cut(text, "remote error: tls: "); ok {
		return explainClientAlert(alert)
	}
	if _, offered, ok := strings.Cut(text, "client offered only unsupported versions: "); ok {
		return "the client speaks no version of TLS from 1.2 on, only " + namesOfHex(offered, tls.VersionName)
	}
	if _, offered, ok := strings.Cut(text, "no cipher suite supported by both client and server; client offered: "); ok {
		return "no cipher in common: the key of the certificate is of another kind than the client can use, or it knows only ciphers that tls_ciphers leaves out; it offered " + namesOfHex(offered, tls.CipherSuiteName)
	}
	if strings.Contains(text, "support any of the certificate's signature algorithms") {
		return "the client can't use the kind of key that our certificate has; a second certificate for the name with the other kind, RSA or ECDSA, is for such clients"
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return "the client cut the connection in the handshake"
	}
	return ""
}

// explainClientAlert is explainAlert for what a client says (RFC 8446 6.2).
func explainClientAlert(alert string) string {
	text := map[string]string{
		"handshake failure":              "the client finds no cipher or kind of key in common with us",
		"bad certificate":                "the client does not accept our certificate",
		"unsupported certificate":        "the client does not accept our kind of certificate",
		"revoked certificate":            "the client says that our certificate is revoked",
		"expired certificate":            "the client says that our certificate has expired",
		"unknown certificate":            "the client does not accept our certificate",
		"unknown certificate authority":  "the client does not know who issued our certificate, or intermediate certificates are missing",
		"protocol version not supported": "the client speaks no version of TLS that we speak",
		"insufficient security level":    "the client wants stronger keys or ciphers",
		"user canceled":                  "the client has given up",
		"internal error":                 "the client has trouble of its own",
	}[alert]
	if text == "" {
		return "the client refuses the handshake: " + alert
	}
	return fmt.Sprintf("%s (alert: %s)", text, alert)
}

// maxOffered bounds how much of what a client offered is shown.
const maxOffered = 8

// namesOfHex names what stands as "[302 301]".
func namesOfHex(list string, name func(uint16) string) string {
	fields := strings.Fields(strings.Trim(list, "[]"))
	var names []string
	for _, f := range fields[:min(len(fields), maxOffered)] {
		n, err := strconv.ParseUint(f, 16, 16)
		if err != nil {
			return list
		}
		names = append(names, name(uint16(n)))
	}
	if more := len(fields) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}
