package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"

	"postern/config"
	"postern/internal/eventid"
	"postern/receive"
	"postern/receive/logon"
	"postern/routing"
)

// receiveSnapshot is what Receive connectors work with under a configuration:
// the connectors, the domains and who may log on.
func (s *Server) receiveSnapshot(cfg *config.Config, table *routing.Table) (receive.Snapshot, error) {
	accounts, err := logon.NewStore(logon.Options{
		Users: cfg.Users, File: cfg.Server.UsersFile, DefaultDomain: table.DefaultDomain(),
		Ours: func(domain string) bool {
			d, ok := table.Accepted(domain)
			return ok && d.Type != config.ExternalRelay
		},
		Before: s.accounts, Metrics: s.metrics, Logger: s.log(eventid.Receive),
	})
	if err != nil {
		return receive.Snapshot{}, fmt.Errorf("accounts: %w", err)
	}
	s.accounts = accounts
	auth := authenticator{accounts, clientRoots(cfg.ReceiveConnectors, s.log(eventid.Receive))}
	return receive.Snapshot{Connectors: cfg.ReceiveConnectors, External: cfg.Server.ExternalIPAddress, Domains: table, Routes: routesNow{s}, Auth: auth, Partner: auth.partner, Named: auth.named}, nil
}

// maxRoots bounds client_ca_file, in octets: ten times what a system trusts.
const maxRoots = 4 << 20

// clientRoots reads the authorities of client certificates of each connector
// that names some. Where they can't be read nobody is trusted.
func clientRoots(connectors []config.ReceiveConnector, logger *slog.Logger) map[string]*x509.CertPool {
	roots := make(map[string]*x509.CertPool)
	for i := range connectors {
		c := &connectors[i]
		if c.ClientCAFile == "" {
			continue
		}
		pool := x509.NewCertPool()
		roots[c.Name] = pool
		text, err := config.ReadFile(c.ClientCAFile, maxRoots)
		if err == nil && !pool.AppendCertsFromPEM(text) {
			err = errors.New("there is no certificate in it")
		}
		if err != nil {
			logger.Error("client_ca_file can't be used; no client certificate is trusted until a reload", eventid.ClientCAFileUnusable.Attr(), "connector", c.Name, "file", c.ClientCAFile, "error", err)
		}
	}
	return roots
}

// authenticator lets package receive use the mechanisms of package logon,
// neither of which knows the other.
type authenticator struct {
	store *logon.Store
	roots map[string]*x509.CertPool // by connector; nil: the system's
}

func (a authenticator) Mechanisms() []receive.Mechanism {
	of := a.store.Mechanisms()
	out := make([]receive.Mechanism, len(of))
	for i, m := range of {
		out[i] = receive.Mechanism(m)
	}
	return out
}

func (a authenticator) peer(p receive.Peer) logon.Peer {
	return logon.Peer{TLS: p.TLS, Certificate: p.Certificate, Roots: a.roots[p.Connector]}
}

func (a authenticator) Start(mechanism string, p receive.Peer) (receive.Exchange, error) {
	x, err := a.store.Start(mechanism, a.peer(p))
	if err != nil {
		return nil, err
	}
	return exchange{x}, nil
}

type exchange struct{ inner logon.Exchange }

func (x exchange) Next(ctx context.Context, response []byte) (receive.Step, error) {
	step, err := x.inner.Next(ctx, response)
	switch {
	case errors.Is(err, logon.ErrTemporary):
		return receive.Step{}, errors.Join(err, receive.ErrTemporary)
	case errors.Is(err, logon.ErrMalformed):
		return receive.Step{}, errors.Join(err, receive.ErrMalformed)
	case err != nil:
		return receive.Step{}, err
	}
	out := receive.Step{Challenge: step.Challenge, Done: step.Done}
	if step.Done {
		out.Identity = receive.Identity{Name: step.Account.Name, Principals: receive.Users, Senders: step.Account, AnySender: step.Account.AnySender()}
	}
	return out, nil
}

// partner is receive.Snapshot.Partner.
func (a authenticator) partner(p receive.Peer, domains []string) (receive.Identity, error) {
	found, err := logon.PartnerOf(a.peer(p), domains)
	if err != nil || found == nil {
		return receive.Identity{}, err
	}
	return receive.Identity{Name: found.Name, Principals: receive.Partners, Senders: found}, nil
}

// named is receive.Snapshot.Named.
func (a authenticator) named(p receive.Peer, domains []string) ([]string, error) {
	return logon.DomainsOf(a.peer(p), domains)
}
