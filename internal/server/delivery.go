package server

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"postern/config"
	"postern/internal/eventid"
	"postern/internal/message"
	"postern/internal/resolver"
	"postern/queue"
	"postern/routing"
	"postern/send"
)

// names is the resolver in force. A reload puts another in its place, so that
// a change of [dns] holds for the next delivery.
type names struct {
	current atomic.Pointer[resolver.Resolver]
}

func (n *names) configure(cfg config.DNS) {
	n.current.Store(resolver.New(resolver.Options{Servers: cfg.Servers, Protocol: cfg.Protocol, Hosts: cfg.Hosts}))
}

// MX makes names a send.Resolver.
func (n *names) MX(ctx context.Context, domain string) (resolver.MXResult, error) {
	return n.current.Load().MX(ctx, domain)
}

// KnowsMX makes names a send.Resolver.
func (n *names) KnowsMX(domain string) bool { return n.current.Load().KnowsMX(domain) }

// KnowsHost makes names a send.Resolver.
func (n *names) KnowsHost(host string, want resolver.Families) bool {
	return n.current.Load().KnowsHost(host, want)
}

// Host makes names a send.Resolver.
func (n *names) Host(ctx context.Context, host string, want resolver.Families) (resolver.HostAddresses, error) {
	return n.current.Load().Host(ctx, host, want)
}

// buildDelivery makes everything between the spool and the next hop.
func (s *Server) buildDelivery() error {
	s.names.configure(s.config.DNS)
	s.sender = send.New(send.Options{
		Config: s.config, Resolver: &s.names, Log: s.journals.sent, Connectivity: s.journals.connectivity, SessionIDs: &s.sessions, Logger: s.log(eventid.Send), Metrics: s.metrics,
		Material: s.material,
	})
	table, _ := routing.New(s.config)
	if table == nil {
		return errors.New("the configuration has address spaces that can't be read; postern check names them")
	}
	s.table.Store(table)
	var err error
	s.queue, err = queue.New(queue.Options{
		Settings: queueSettings(s.config, s.router(table)), Store: s.store, Deliverer: s.sender, Directory: s.config.Queue.Directory,
		OnEvent: s.onEvent, Logger: s.log(eventid.Queue),
	})
	return err
}

// queueSettings are what the queue takes from a configuration.
func queueSettings(cfg *config.Config, router queue.Router) queue.Settings {
	local, domain, _ := strings.Cut(cfg.Server.PostmasterAddress, "@")
	s := queue.Settings{
		Router: router, Queue: cfg.Queue, SendConnectors: cfg.SendConnectors, ReportingMTA: cfg.Server.FQDN,
		Postmaster: message.Address{Local: local, Domain: domain},
		Notifications: queue.Notifications{
			MaxReturned: cfg.Notifications.MaxMessageAttachSize, MaxPerHour: cfg.Notifications.MaxPerSenderPerHour,
			CopyFor: cfg.Notifications.CopyDSNToPostmasterFor, RemoteDomains: cfg.RemoteDomains,
		},
	}
	if s.Notifications.MaxReturned == 0 {
		s.Notifications.MaxReturned = -1
	}
	return s
}
