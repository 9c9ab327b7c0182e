package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// person is an input that says itself whether somebody is there to answer.
type person interface{ Person() bool }

// interactive reports whether somebody can be asked.
func (a *app) interactive() bool {
	if p, ok := a.in.(person); ok {
		return p.Person()
	}
	f, ok := a.in.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// errDeclined says that somebody was asked and said no.
var errDeclined = errors.New("nothing was done")

// confirm asks a question whose answer must be yes. Where nobody can be asked
// it is wrong usage not to have answered with --yes.
func (a *app) confirm(question string) error {
	if !a.interactive() {
		return usageError{fmt.Errorf("nobody is there to answer; say so beforehand with --yes (%s)", question)}
	}
	width, _ := terminal(a.err)
	lines := wrap(question+" [y/N]", max(width-len(" yes"), minColumn))
	fmt.Fprint(a.err, strings.Join(lines, "\n")+" ")
	line, err := bufio.NewReader(io.LimitReader(a.in, 1000)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("standard input: %w", err)
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return errDeclined
	}
	return nil
}

// progress tells on standard error how far a long piece of work is, once it
// takes longer than progressEvery.
type progress struct {
	app  *app
	what string
	n    int
	next time.Time
}

func (a *app) progress(what string) *progress {
	return &progress{app: a, what: what, next: time.Now().Add(progressEvery)}
}

// add counts n more.
func (p *progress) add(n int) { p.set(p.n + n) }

// set says that n are done.
func (p *progress) set(n int) {
	p.n = n
	if now := time.Now(); now.After(p.next) {
		p.next = now.Add(progressEvery)
		fmt.Fprintf(p.app.err, "%d %s so far\n", n, p.what)
	}
}
