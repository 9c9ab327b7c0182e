package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"postern/receive/logon"
)

// user is "postern user".
func (a *app) user() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "user",
		Short:   "Accounts for SMTP AUTH",
		Example: "  postern user hash scanner@contoso.example",
	}
	cmd.AddCommand(a.userHash())
	return group(cmd)
}

// hashed is the answer of "postern user hash" as JSON.
type hashed struct {
	Name         string `json:"name,omitempty"`
	Scheme       string `json:"scheme"`
	PasswordHash string `json:"password_hash"`
}

func (a *app) userHash() *cobra.Command {
	var scheme string
	cmd := &cobra.Command{
		Use:   "hash [NAME]",
		Short: "Make the hash of a password for [[user]]",
		Long: `Hash asks for a password, twice, and prints its hash; with a NAME, the [[user]]
table to put into the configuration or the users file. When standard input is
no terminal, its first line is the password.

A hash of argon2id or bcrypt serves AUTH PLAIN and LOGIN; one of scram-sha-256
serves SCRAM-SHA-256 as well, where the password never goes over the wire.`,
		Example: `  postern user hash scanner@contoso.example
  postern user hash --scheme scram-sha-256 scanner < password.txt`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			known := false
			for _, s := range logon.Schemes() {
				known = known || s == scheme
			}
			if !known {
				return usageError{fmt.Errorf("--scheme %s: want %s", scheme, strings.Join(logon.Schemes(), ", "))}
			}
			name := strings.Join(args, "")
			password, err := a.readPassword()
			if err != nil {
				return err
			}
			hash, err := logon.MakeHash(scheme, password)
			if err != nil {
				return err
			}
			switch {
			case a.json():
				return a.printJSON(hashed{name, scheme, hash})
			case name == "":
				_, err = fmt.Fprintln(a.out, hash)
			default:
				_, err = fmt.Fprintf(a.out, "[[user]]\nname = %s\npassword_hash = \"%s\"\n", strconv.Quote(name), hash)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&scheme, "scheme", logon.Argon2id, "kind of hash: "+strings.Join(logon.Schemes(), ", "))
	return cmd
}

// maxPasswordLine is how much of a line is read for a password.
const maxPasswordLine = 4 << 10

// readPassword asks for a password at the terminal, twice and without echo, or
// reads the first line of what is no terminal.
func (a *app) readPassword() (string, error) {
	f, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(a.in, maxPasswordLine)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the password: %w", err)
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	ask := func(prompt string) (string, error) {
		fmt.Fprint(a.err, prompt)
		defer fmt.Fprintln(a.err)
		p, err := term.ReadPassword(int(f.Fd()))
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		return string(p), nil
	}
	first, err := ask("Password: ")
	if err != nil {
		return "", err
	}
	again, err := ask("Again: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", errors.New("the two passwords differ; nothing was made")
	}
	return first, nil
}
