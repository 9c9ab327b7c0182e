package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"postern/config"
	"postern/internal/control"
	"postern/internal/server"
)

// reloadTimeout bounds a reload: reading the file and opening its listeners.
const reloadTimeout = time.Minute

func (a *app) reload() *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Make the running gateway read its configuration file again",
		Long: `Reload asks the running gateway to read its file again, as SIGHUP does. Open
connections are not dropped: each keeps the configuration it began with. When
the new file has errors the running configuration stays in force.

It prints what changed, and which keys need a restart to take effect.`,
		Example: "  postern reload --config /etc/postern/postern.toml",
		Args:    a.noArguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, findings, err := a.load()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), reloadTimeout)
			defer cancel()
			r := &control.Reloaded{Changes: []control.Change{}, Findings: []string{}, Error: server.ErrInvalid.Error()}
			if config.HasErrors(findings) {
				// The gateway would say the same.
				for _, f := range findings {
					r.Findings = append(r.Findings, f.Format(f.In(cfg)))
				}
			} else if r, err = control.NewClient(cfg.Control.Socket).Reload(ctx, a.absolutePath()); err != nil {
				return err
			}
			if a.json() {
				err = a.printJSON(r)
			} else {
				err = a.printReloaded(r)
			}
			if err == nil && !r.Applied {
				return errReported
			}
			return err
		},
	}
}

func (a *app) printReloaded(r *control.Reloaded) error {
	for _, f := range r.Findings {
		fmt.Fprintln(a.err, f)
	}
	if !r.Applied {
		_, err := fmt.Fprintf(a.out, "not reloaded: %s; the running configuration stays in force\n", r.Error)
		return err
	}
	name := r.File
	if name == "" {
		name = "the embedded default"
	}
	if len(r.Changes) == 0 {
		_, err := fmt.Fprintf(a.out, "reloaded %s; nothing changed\n", name)
		return err
	}
	fmt.Fprintf(a.out, "reloaded %s\n", name)
	t := &table{header: []string{"KEY", "OLD", "NEW", ""}}
	for _, c := range r.Changes {
		note := ""
		if c.Restart {
			note = "needs a restart"
		}
		t.add(c.Key, c.Old, c.New, note)
	}
	t.print(a.out)
	return nil
}
