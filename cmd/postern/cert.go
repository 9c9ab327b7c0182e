package main

import "github.com/spf13/cobra"

// cert is "postern cert".
func (a *app) cert() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "Keys and certificates",
		Long: `Cert holds what an administrator does with certificates. In four steps: see
under which name a connector answers and ask an authority for a certificate for
it (request), send the request and wait, put what comes back into the store
(import), and let connectors show it (enable). The gateway takes every change of
the store by itself, within seconds and without dropping a session.

Certificates go by their SHA-256 thumbprints, of which 8 digits do; a request
goes by that of its key until it is answered.`,
		Example: `  postern cert list
  postern cert request --connector "From Internet" --out edge.csr
  postern cert import edge.p7b
  postern cert enable 0BF4E1A2 --connector "From Internet"`,
	}
	cmd.AddCommand(a.certList(), a.certShow(), a.certNew(), a.certRequest(), a.certImport(), a.certEnable(), a.certDisable(), a.certRenew(), a.certExport(), a.certRemove(), a.certTest(), a.certDKIM())
	return group(cmd)
}
