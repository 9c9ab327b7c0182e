package main

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"postern/config"
)

// addSocket gives commands that ask the running gateway the flag --socket.
func (a *app) addSocket(cmds ...*cobra.Command) []*cobra.Command {
	for _, cmd := range cmds {
		cmd.PersistentFlags().StringVar(&a.socket, "socket", "", "the running gateway's control socket (else that of the configuration file)")
	}
	return cmds
}

// whereabouts are what commands need of the file that ask the running gateway
// or read its logs. The gateway runs on with the configuration that it has, so
// a mistake in the file must not take them away.
type whereabouts struct {
	cfg *config.Config
	// lost names the keys that could not be told.
	lost []string
	// bad is the first error of the file; nil when it has none.
	bad *config.Finding
}

// whereabouts reads the file as far as it can be read. The error says that the
// file is not there, or can't be told what it means.
func (a *app) whereabouts() (*whereabouts, error) {
	cfg, findings, err := a.load()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(findings, func(f config.Finding) bool { return f.Severity == config.Error })
	if i < 0 {
		return &whereabouts{cfg: cfg}, nil
	}
	bad := findings[i]
	bad.Position = bad.In(cfg)
	w := &whereabouts{cfg: cfg, bad: &bad}
	if cfg == nil {
		w.cfg, w.lost = config.Salvage(a.path())
	}
	return w, nil
}

// warn tells on standard error that the file has errors.
func (a *app) warn(w *whereabouts) {
	if w.bad != nil {
		a.fileError = w.bad
		fmt.Fprintf(a.err, "postern: warning: %s (the file has errors; the running gateway has a configuration of its own)\n", w.bad.Format(config.Position{}))
	}
}

// unfound is the error where the file does not tell where something is.
func (w *whereabouts) unfound(what, flag string) error {
	return fmt.Errorf("%s; for this mistake the file does not tell %s: mend it, or say so with %s", w.bad.Format(config.Position{}), what, flag)
}

// controlSocket is where the running gateway is asked.
func (a *app) controlSocket() (string, error) {
	if a.socket != "" {
		return a.socket, nil
	}
	w, err := a.whereabouts()
	if err != nil {
		return "", fmt.Errorf("%w; --config names the gateway's file, or --socket its control socket", err)
	}
	path, err := w.socket()
	if err == nil {
		a.warn(w)
	}
	return path, err
}

func (w *whereabouts) socket() (string, error) {
	if w.cfg == nil || slices.Contains(w.lost, "control.socket") ||
		slices.Contains(w.lost, "server.data_dir") && w.cfg.Control.Socket == filepath.Join(w.cfg.Server.DataDir, "control.sock") {
		return "", w.unfound("where the gateway's control socket is", "--socket PATH")
	}
	return w.cfg.Control.Socket, nil
}

// logPlaces is a configuration that tells where the logs are, and may be of no
// use for anything else.
func (a *app) logPlaces() (*config.Config, error) {
	w, err := a.whereabouts()
	if err != nil {
		return nil, err
	}
	if w.cfg == nil || slices.Contains(w.lost, "server.data_dir") {
		return nil, w.unfound("where the logs are", "--logs PATH")
	}
	a.warn(w)
	return w.cfg, nil
}
