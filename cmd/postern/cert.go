package main

import "github.com/spf13/cobra"

// cert is "postern cert".
func (a *app) cert() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "cert",
		Short:   "Keys and certificates",
		Example: "  postern cert dkim --domain contoso.example --selector edge2026",
	}
	cmd.AddCommand(a.certDKIM())
	return group(cmd)
}
