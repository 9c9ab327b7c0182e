package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/control"
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
			path, err := a.reloadSocket()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), reloadTimeout)
			defer cancel()
			// The gateway is asked whatever the file is like: a refusal is its
			// to count and to tell.
			r, err := control.NewClient(path).Reload(ctx, a.absolutePath())
			if err != nil {
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

// reloadSocket is where the gateway is asked. It is silent about the errors of
// the file, all of which the gateway tells.
func (a *app) reloadSocket() (string, error) {
	if a.socket != "" {
		return a.socket, nil
	}
	w, err := a.whereabouts()
	if err != nil {
		return "", err
	}
	return w.socket()
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
