package ptls

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// requestType is the PEM type of a request (RFC 7468 7).
const requestType = "CERTIFICATE REQUEST"

// Waiting is a private key in the store that waits for its certificate. It is
// never changed.
type Waiting struct {
	Key  crypto.Signer
	File string
	// FriendlyName is what the certificate is to be called.
	FriendlyName string
	Exportable   bool
	// Request is what was sent to the authority; nil for a key that was put
	// there by hand.
	Request *x509.CertificateRequest
	// Connector is the Receive connector that it was made for; empty for none.
	Connector string
	// Renews is the thumbprint of the certificate that it is to take the place
	// of; empty for none.
	Renews string
	// Requested is when the request was made, zero when nobody knows.
	Requested time.Time
}

// ID is the SHA-256 digest of the public key, in upper-case hexadecimal: a
// waiting key has no thumbprint yet.
func (w *Waiting) ID() string {
	id, err := publicKeyID(w.Key.Public())
	if err != nil {
		return ""
	}
	return id
}

// Names are those that the request asks for.
func (w *Waiting) Names() []string {
	if w.Request == nil {
		return nil
	}
	return w.Request.DNSNames
}

// waiting lists the keys that fit no certificate.
func waiting(files []*pemFile) []*Waiting {
	var list []*Waiting
	seen := make(map[string]bool)
	for _, p := range files {
		for _, k := range p.keys {
			if used(k, files) {
				continue
			}
			w := &Waiting{Key: k, File: p.path, FriendlyName: p.bag.name, Exportable: !p.bag.kept,
				Connector: p.bag.connector, Renews: p.bag.renews, Requested: p.bag.requested}
			if w.FriendlyName == "" {
				w.FriendlyName = strings.TrimSuffix(filepath.Base(p.path), filepath.Ext(p.path))
			}
			for _, r := range p.requests {
				if pub, ok := k.Public().(interface{ Equal(crypto.PublicKey) bool }); ok && pub.Equal(r.PublicKey) {
					w.Request = r
				}
			}
			if id := w.ID(); !seen[id] {
				seen[id] = true
				list = append(list, w)
			}
		}
	}
	return list
}

func used(k crypto.Signer, files []*pemFile) bool {
	for _, p := range files {
		for _, c := range p.certs {
			if fits(c, k) {
				return true
			}
		}
	}
	return false
}

// RequestOptions say what to ask an authority for.
type RequestOptions struct {
	// Names are those of the certificate, as CertificateNames returns them.
	Names []string
	// Subject is the owner's name; without a CN it gets the first of Names.
	Subject Subject
	// RawSubject, when it is there, takes the place of Subject: an encoded name,
	// as an earlier certificate has it.
	RawSubject []byte
	// Key is what to sign with.
	Key crypto.Signer
	// FriendlyName, Exportable, Connector and Renews are those of Waiting.
	FriendlyName      string
	Exportable        bool
	Connector, Renews string
}

func (o *RequestOptions) subject() ([]byte, error) {
	if o.RawSubject != nil {
		return o.RawSubject, nil
	}
	s := o.Subject
	if s.CommonName() == "" && len(o.Names) > 0 && len(o.Names[0]) <= 64 {
		s = s.WithCommonName(o.Names[0])
	}
	return s.DER()
}

// Request plans a request (RFC 2986) and the key that waits for the
// certificate. They stand in one file, so that no key is without its request.
func (p *Plan) Request(o RequestOptions) (*Waiting, error) {
	subject, err := o.subject()
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{RawSubject: subject, DNSNames: o.Names}, o.Key)
	if err != nil {
		return nil, err
	}
	r, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, err
	}
	w := &Waiting{Key: o.Key, FriendlyName: friendly(o.FriendlyName), Exportable: o.Exportable, Request: r,
		Connector: friendly(o.Connector), Renews: o.Renews, Requested: time.Now().UTC().Truncate(time.Second)}
	name := fileName(o.Names[0], w.ID()) + ".key"
	w.File = filepath.Join(p.dir.path, name)
	text, err := w.text()
	if err != nil {
		return nil, err
	}
	p.write(name, text)
	return w, nil
}

// PEM is the request as authorities take it.
func (w *Waiting) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: requestType, Bytes: w.Request.Raw})
}

func (w *Waiting) text() ([]byte, error) {
	var b bytes.Buffer
	writeBag(&b, w.FriendlyName, w.Exportable, true)
	if w.Connector != "" {
		fmt.Fprintf(&b, "    posternConnector: %s\n", w.Connector)
	}
	if w.Renews != "" {
		fmt.Fprintf(&b, "    posternRenews: %s\n", w.Renews)
	}
	fmt.Fprintf(&b, "    posternRequested: %s\n", w.Requested.Format(time.RFC3339))
	b.Write(w.PEM())
	key, err := keyPEM(w.Key)
	b.Write(key)
	return b.Bytes(), err
}
