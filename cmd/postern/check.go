package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"postern/backpressure"
	"postern/config"
	ptls "postern/tls"
)

// finding is a config.Finding as JSON.
type finding struct {
	Severity string `json:"severity"`
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Key      string `json:"key"`
	Message  string `json:"message"`
	Remedy   string `json:"remedy,omitempty"`
}

type checked struct {
	Valid    bool      `json:"valid"`
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
	Notes    int       `json:"notes"`
	Findings []finding `json:"findings"`
	// BackPressure are the thresholds that hold on this host.
	BackPressure []backpressure.ResourceStatus `json:"back_pressure"`
}

func (a *app) check() *cobra.Command {
	var strict bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say what is wrong with the configuration file, without starting anything",
		Long: `Check reads the file and says what is wrong with it: errors, which keep the
gateway from starting, warnings, which do not, and notes: advice on what may
well be meant as it is, which nobody but check gives. It needs the file alone:
no running gateway, no DNS, no data directory. Where there is a certificate
store, or a connector names a file, it looks at the certificates too, and warns
of what peers would turn away, and of connectors whose FQDN no certificate is for.

It shows the thresholds of back pressure as they are on this host, whose volumes
and memory they depend on; one that does not fit is an error here, though the
gateway would start and go by the default.

The exit code is 0 when the file is valid, 1 when it has errors, and with
--strict also when it has warnings.`,
		Example: "  postern check --config /etc/postern/postern.toml --strict",
		Args:    a.noArguments(),
		RunE: func(*cobra.Command, []string) error {
			cfg, findings, err := a.load()
			if err != nil {
				return err
			}
			if cfg != nil {
				findings = append(findings, ptls.CheckFiles(cfg)...)
				findings = append(findings, ptls.CheckReceive(cfg)...)
				findings = append(findings, backpressure.Lint(cfg)...)
			}
			n := count(findings)
			if a.json() {
				err = a.printJSON(checkedJSON(cfg, findings, n))
			} else {
				err = a.printChecked(cfg, findings, n)
			}
			if err != nil {
				return err
			}
			if n.errors > 0 || strict && n.warnings > 0 {
				return errReported
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&strict, "strict", false, "fail on warnings too")
	return cmd
}

func checkedJSON(cfg *config.Config, findings []config.Finding, n tally) checked {
	c := checked{Valid: n.errors == 0, Errors: n.errors, Warnings: n.warnings, Notes: n.notes, Findings: []finding{}, BackPressure: outlook(cfg)}
	for _, f := range findings {
		pos := f.In(cfg)
		c.Findings = append(c.Findings, finding{
			Severity: f.Severity.String(), File: pos.File, Line: pos.Line, Column: pos.Column,
			Key: f.Path, Message: f.Message, Remedy: f.Remedy,
		})
	}
	return c
}

func (a *app) printChecked(cfg *config.Config, findings []config.Finding, n tally) error {
	s := styleFor(a.out)
	for _, f := range findings {
		line := f.Format(cfg.Position(f.Path))
		if f.Severity == config.Error {
			line = s.red(line)
		}
		fmt.Fprintln(a.out, line)
	}
	name := a.path()
	if name == "" {
		name = "the embedded default"
	}
	a.printThresholds(outlook(cfg))
	verdict := "valid"
	if n.errors > 0 {
		verdict = "not valid"
	}
	notes := ""
	if n.notes > 0 {
		notes = ", " + plural(n.notes, "note", "notes")
	}
	_, err := fmt.Fprintf(a.out, "%s is %s: %s, %s%s\n", name, verdict, plural(n.errors, "error", "errors"), plural(n.warnings, "warning", "warnings"), notes)
	return err
}
