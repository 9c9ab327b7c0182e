package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// noArguments refuses arguments; what looks like a file is one that was meant
// for --config.
func (a *app) noArguments() cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return nil
		case strings.HasSuffix(args[0], ".toml"):
			return fmt.Errorf("%s takes no argument; name the file with --config %s", cmd.CommandPath(), args[0])
		}
		return fmt.Errorf("%s takes no argument, and %q is one too many", cmd.CommandPath(), args[0])
	}
}

// arguments wants one argument for each of the names.
func arguments(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return fmt.Errorf("%s is missing; usage: %s", strings.Join(names[len(args):], " and "), cmd.UseLine())
		case len(args) > len(names):
			return fmt.Errorf("%q is one argument too many; usage: %s", args[len(names)], cmd.UseLine())
		}
		return nil
	}
}

// group makes a command one that only holds others: by itself it prints its
// help and is wrong usage.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usageError{unknown(cmd, args[0])}
		}
		cmd.SetOut(cmd.ErrOrStderr())
		if err := cmd.Help(); err != nil {
			return err
		}
		return usageError{errors.New("name one of its commands")}
	}
	return cmd
}

// unknown names the command that comes nearest to one that does not exist.
func unknown(cmd *cobra.Command, name string) error {
	err := fmt.Errorf("unknown command %q for %q", name, cmd.CommandPath())
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		return fmt.Errorf("%w; did you mean %q?", err, near[0])
	}
	return err
}

// help is the command "help", which knows the commands there are.
func help() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Print the help of a command",
		Example: "  postern help explain route",
		RunE: func(cmd *cobra.Command, args []string) error {
			target, rest, err := cmd.Root().Find(args)
			if err != nil || target == nil || len(rest) > 0 {
				return usageError{unknown(cmd.Root(), strings.Join(args, " "))}
			}
			return target.Help()
		},
	}
}
