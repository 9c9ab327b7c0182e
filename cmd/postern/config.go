package main

import (
	"fmt"
	"os"
	"path/filepath"

	"postern/config"
	"postern/pickup"
	"postern/receive"
	"postern/receive/logon"
	"postern/routing"
	"postern/send"
	ptls "postern/tls"
)

// path returns the configuration file's name, "" for the embedded default.
func (a *app) path() string {
	if a.configPath != "" {
		return a.configPath
	}
	return os.Getenv("POSTERN_CONFIG")
}

// absolutePath is path from the root, for another process to understand.
func (a *app) absolutePath() string {
	p := a.path()
	if p == "" {
		return ""
	}
	if abs, err := filepath.Abs(p); err == nil {
		return abs
	}
	return p
}

// load reads the configuration and collects what every package finds in it.
// The configuration is nil when the file has errors.
func (a *app) load() (*config.Config, []config.Finding, error) {
	return load(a.path())
}

func load(path string) (*config.Config, []config.Finding, error) {
	var cfg *config.Config
	var findings []config.Finding
	var err error
	if path == "" {
		cfg, findings, err = config.Default()
	} else {
		cfg, findings, err = config.Load(path)
	}
	if err != nil || cfg == nil {
		return nil, findings, err
	}
	for _, lint := range []func(*config.Config) []config.Finding{routing.Lint, receive.Lint, logon.Lint, send.Lint, ptls.Lint, pickup.Lint} {
		findings = append(findings, lint(cfg)...)
	}
	return cfg, findings, nil
}

// mustLoad reads the configuration for a command that needs a valid one, and
// reports what keeps it from being so.
func (a *app) mustLoad() (*config.Config, error) {
	cfg, findings, err := a.load()
	if err != nil {
		return nil, err
	}
	if config.HasErrors(findings) {
		a.report(cfg, findings, config.Error)
		return nil, errReported
	}
	return cfg, nil
}

// report prints the findings of one severity to standard error.
func (a *app) report(cfg *config.Config, findings []config.Finding, severity config.Severity) {
	for _, f := range findings {
		if f.Severity == severity {
			fmt.Fprintln(a.err, f.Format(cfg.Position(f.Path)))
		}
	}
}

// tally counts findings by severity.
type tally struct{ errors, warnings, notes int }

func count(findings []config.Finding) (t tally) {
	for _, f := range findings {
		switch f.Severity {
		case config.Error:
			t.errors++
		case config.Warning:
			t.warnings++
		default:
			t.notes++
		}
	}
	return t
}
