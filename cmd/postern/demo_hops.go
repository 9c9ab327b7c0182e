package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// nextHop is a mail server that the demo delivers to. It is go-smtp's, so that
// the gateway is seen speaking to a stranger.
type nextHop struct {
	server   *smtp.Server
	listener net.Listener
	served   chan error

	mu       sync.Mutex
	received []string // "sender to recipient: Subject"
}

// startNextHop listens on a free port of 127.0.0.1. With a TLS configuration
// it offers STARTTLS.
func startNextHop(domain string, config *tls.Config) (*nextHop, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := &nextHop{listener: l, served: make(chan error, 1)}
	h.server = smtp.NewServer(h)
	h.server.Domain = domain
	h.server.TLSConfig = config
	h.server.ReadTimeout = 10 * time.Second
	h.server.WriteTimeout = 10 * time.Second
	h.server.EnableDSN = true
	h.server.ErrorLog = discard{}
	go func() { h.served <- h.server.Serve(l) }()
	return h, nil
}

func (h *nextHop) port() int { return h.listener.Addr().(*net.TCPAddr).Port }

func (h *nextHop) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := h.server.Shutdown(ctx)
	if err != nil {
		err = h.server.Close()
	}
	if served := <-h.served; !errors.Is(served, smtp.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// messages lists what has arrived.
func (h *nextHop) messages() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string{}, h.received...)
}

// NewSession makes nextHop a smtp.Backend.
func (h *nextHop) NewSession(*smtp.Conn) (smtp.Session, error) { return &hopSession{hop: h}, nil }

type hopSession struct {
	hop  *nextHop
	from string
	to   []string
}

func (s *hopSession) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

// Rcpt knows no address that begins with "nobody".
func (s *hopSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "nobody") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "User unknown"}
	}
	s.to = append(s.to, to)
	return nil
}

func (s *hopSession) Data(r io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return err
	}
	s.hop.mu.Lock()
	defer s.hop.mu.Unlock()
	s.hop.received = append(s.hop.received, "<"+s.from+"> to <"+strings.Join(s.to, ">, <")+">: "+subjectOf(string(text)))
	return nil
}

// subjectOf finds the Subject field of a message.
func subjectOf(text string) string {
	header, _, _ := strings.Cut(text, "\r\n\r\n")
	for line := range strings.SplitSeq(header, "\r\n") {
		if s, ok := strings.CutPrefix(line, "Subject: "); ok {
			return s
		}
	}
	return "(no subject)"
}

func (s *hopSession) Reset()        { s.from, s.to = "", nil }
func (s *hopSession) Logout() error { return nil }

// discard keeps go-smtp from writing to standard error.
type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}
