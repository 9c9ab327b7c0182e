package server

import (
	"context"
	"errors"
	"strings"

	"postern/config"
	"postern/internal/eventid"
	"postern/logs"
)

// journals are the gateway's logs. Those of Exchange's formats are written by
// the parts that know what happened; here they are opened, given other settings
// at a reload, and closed.
type journals struct {
	received, sent *logs.Protocol
	connectivity   *logs.Log[logs.ConnectivityLine]
	tracking       *logs.Log[logs.Tracking]
	agent          *logs.Log[logs.AgentLine]
	routing        *logs.Snapshots
}

// openLogs opens all logs. Trouble with the disk is no error: it is reported,
// and mail goes on without the log.
func (s *Server) openLogs() error {
	j := &s.journals
	var errs [6]error
	j.received, errs[0] = logs.OpenProtocol(s.logOptions(logs.ReceiveProtocol))
	j.sent, errs[1] = logs.OpenProtocol(s.logOptions(logs.SendProtocol))
	j.connectivity, errs[2] = logs.OpenConnectivity(s.logOptions(logs.Connectivity))
	j.tracking, errs[3] = logs.OpenTracking(s.logOptions(logs.MessageTracking))
	j.agent, errs[4] = logs.OpenAgent(s.logOptions(logs.Agent))
	j.routing, errs[5] = logs.OpenSnapshots(s.logOptions(logs.RoutingTable))
	s.tracker = newTracker(j.tracking, serverName(s.config))
	s.tracker.configure(s.config)
	return errors.Join(errs[:]...)
}

func (s *Server) logOptions(k logs.Kind) logs.Options {
	o := logs.Options{
		Kind: k, Log: logs.Settings(s.config, k), Server: serverName(s.config), Metrics: s.metrics,
		OnError: func(err error) {
			s.log(eventid.Logs).Error("a log can't be written; mail goes on without it", eventid.LogFailed.Attr(), "log_name", k.String(), "error", err)
		},
		OnRecover: func(dropped int64) {
			s.log(eventid.Logs).Warn("a log is written again", eventid.LogRecovered.Attr(), "log_name", k.String(), "lines_lost", dropped)
		},
	}
	if s.options.Line != nil {
		o.Tee = func(l logs.Line) { s.options.Line(k, l) }
	}
	return o
}

// serverName is the host's name in capitals, as Exchange names servers.
func serverName(cfg *config.Config) string {
	host, _, _ := strings.Cut(cfg.Server.FQDN, ".")
	return strings.ToUpper(host)
}

// each calls f for every log that is open.
func (j *journals) each(f func(logs.Kind, openLog)) {
	f(logs.ReceiveProtocol, j.received)
	f(logs.SendProtocol, j.sent)
	f(logs.Connectivity, j.connectivity)
	f(logs.MessageTracking, j.tracking)
	f(logs.Agent, j.agent)
	f(logs.RoutingTable, j.routing)
}

// openLog is what all logs have in common.
type openLog interface {
	Configure(config.Log) error
	Close(context.Context) error
}

// configure puts the settings of the logs in force.
func (j *journals) configure(cfg *config.Config) error {
	var errs []error
	j.each(func(k logs.Kind, log openLog) { errs = append(errs, log.Configure(logs.Settings(cfg, k))) })
	return errors.Join(errs...)
}

func (j *journals) close(ctx context.Context) error {
	var errs []error
	j.each(func(_ logs.Kind, log openLog) { errs = append(errs, log.Close(ctx)) })
	return errors.Join(errs...)
}
