// Command postern is the mail gateway and everything an administrator does
// with it. Each command has a file of its own; what a command needs to know it
// asks of the packages below.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"postern/config"
	"postern/internal/control"
)

// The exit codes of every command.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitNoServer = 3
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// streams are what a command reads and writes.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// errReported is returned by a command that failed and has said why itself.
var errReported = errors.New("failed")

// run carries out one command line and returns its exit code.
func run(ctx context.Context, args []string, s streams) int {
	app := &app{streams: s}
	root := app.root()
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	// What cobra finds wrong before a command runs is wrong usage.
	started := false
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		started = true
		return app.checkOutput()
	}
	cmd, err := root.ExecuteContextC(ctx)
	var usage usageError
	var code exitCode
	switch {
	case errors.As(err, &code):
		return int(code)
	case err == nil:
		return exitDone
	case errors.Is(err, errReported):
		return exitFailed
	case !started || errors.As(err, &usage):
		fmt.Fprintf(s.err, "postern: %v\nSee '%s --help'.\n", err, cmd.CommandPath())
		return exitUsage
	}
	fmt.Fprintf(s.err, "postern: %v\n", err)
	if errors.Is(err, control.ErrNoServer) {
		return exitNoServer
	}
	return exitFailed
}

// usageError is an argument that is wrong in itself.
type usageError struct{ error }

// app holds what all commands share: the streams and the global flags.
type app struct {
	streams
	configPath string
	output     string
	// socket is the control socket that --socket names.
	socket string
	// fileError is what is wrong with the file on disk, once a command has
	// warned of it; nil when nothing is.
	fileError *config.Finding
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "postern",
		Short: "A mail gateway for the edge of a network",
		Long: `Postern is a mail transfer agent for the edge of a network. Receive connectors
take mail in, a router chooses a Send connector for each recipient, and a
durable queue delivers. One TOML file describes it all.

Without a file every command uses the embedded default, which listens on
127.0.0.1:2525, takes mail from this host alone, and keeps its data under
./postern-data.`,
		Example: `  postern demo
  postern check --config /etc/postern/postern.toml
  postern serve --config /etc/postern/postern.toml`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       readVersion().line(),
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{unknown(cmd, args[0])}
			}
			return cmd.Help()
		},
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SuggestionsMinimumDistance = 2
	root.SetHelpCommand(help())
	root.CompletionOptions.DisableDefaultCmd = true
	root.PersistentFlags().StringVarP(&a.configPath, "config", "c", "", "configuration file (else $POSTERN_CONFIG, else the embedded default)")
	root.PersistentFlags().StringVarP(&a.output, "output", "o", "table", "how to print: table or json")
	root.AddCommand(a.addSocket(a.reload(), a.queue(), a.status(), a.metrics(), a.logLevel())...)
	root.AddCommand(a.serve(), a.check(), a.explain(), a.connector(), a.logs(), a.spool(), a.user(), a.cert(), a.demo(), a.version())
	return root
}

// json reports whether the answer is to be JSON.
func (a *app) json() bool { return a.output == "json" }

func (a *app) checkOutput() error {
	if a.output != "table" && a.output != "json" {
		return usageError{fmt.Errorf("--output %s: want table or json", a.output)}
	}
	return nil
}
