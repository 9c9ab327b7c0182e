package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release is the version that the next release will have.
const release = "0.1.0-dev"

type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func readVersion() versionInfo {
	v := versionInfo{Version: release, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Revision = s.Value
			}
		}
	}
	return v
}

// line is the version on one line.
func (v versionInfo) line() string {
	line := "postern " + v.Version
	if v.Revision != "" {
		line += " (" + v.Revision[:min(12, len(v.Revision))] + ")"
	}
	return line + " " + v.Go + " " + v.Platform
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  postern version --output json",
		Args:    a.noArguments(),
		RunE: func(*cobra.Command, []string) error {
			v := readVersion()
			if a.json() {
				return a.printJSON(v)
			}
			_, err := fmt.Fprintln(a.out, v.line())
			return err
		},
	}
}
