package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) metrics() *cobra.Command {
	return &cobra.Command{
		Use:   "metrics",
		Short: "Print the running gateway's figures for monitoring systems",
		Long: `Metrics prints every figure that the running gateway counts, in the text format
of Prometheus: what GET /metrics on the control socket answers, and at
[metrics].address when it is set. docs/monitoring.md has the list.`,
		Example: "  postern metrics\n  postern metrics | grep postern_queue\n  curl --unix-socket /var/lib/postern/control.sock http://localhost/metrics",
		Args:    a.noArguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), askTime)
			defer cancel()
			if !a.json() {
				return asked(c.Metrics(ctx, a.out))
			}
			families, err := c.Families(ctx)
			if err != nil {
				return asked(err)
			}
			return a.printJSON(families)
		},
	}
}
