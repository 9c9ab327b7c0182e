package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// Waiting is how long anything may take to start, to stop, or to relay one more
// message.
const Waiting = 30 * time.Second

// Binary is the path of the postern binary to measure: the given one, or one
// built from this tree into dir when that is empty.
func Binary(ctx context.Context, given, dir string) (string, error) {
	if given != "" {
		return filepath.Abs(given)
	}
	path := filepath.Join(dir, "postern")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", path, "postern/cmd/postern").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

// FreeAddr is an address of loopback that nothing listens on and that is none
// of those taken, with a port below those that the system gives to outgoing
// connections.
func FreeAddr(taken ...string) string {
	for port := 12000 + os.Getpid()%10000; ; port++ {
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if slices.Contains(taken, addr) {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
}

// Await waits until a server greets at an address, for Waiting at most.
func Await(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, Waiting)
	defer cancel()
	for {
		if Greets(ctx, addr) {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("no greeting at %s: %w", addr, ctx.Err())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Greets tells whether a server greets at an address within a second.
func Greets(ctx context.Context, addr string) bool {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	n, err := c.Read(make([]byte, 4))
	return n == 4 && err == nil
}

// LookPath finds a program also where only root's path leads.
func LookPath(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
			if p, e := exec.LookPath(filepath.Join(dir, program)); e == nil {
				return p, nil
			}
		}
		return "", fmt.Errorf("%w; install Postfix", err)
	}
	return path, nil
}

// Start runs a program until the returned function is called.
// It returns the processor time that the program and its children have used.
func Start(logPath, name string, args ...string) (stop func() time.Duration, err error) {
	p, err := Launch(logPath, name, args...)
	if err != nil {
		return nil, err
	}
	return p.Stop, nil
}

// Process is a program that runs beside the measurement. What it prints goes
// to a file.
type Process struct {
	cmd *exec.Cmd
	log *os.File
}

// Launch starts a program, with timers as late as deploy/postern.service lets
// them be, whatever program it is.
func Launch(logPath, name string, args ...string) (*Process, error) {
	log, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := withSlack(cmd.Start); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return &Process{cmd, log}, nil
}

// ID is the process's id.
func (p *Process) ID() int { return p.cmd.Process.Pid }

// Stop asks the program to end, makes it after Waiting, and returns the
// processor time that it and its children have used.
func (p *Process) Stop() time.Duration {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(Waiting, func() { _ = p.cmd.Process.Kill() })
	_ = p.cmd.Wait()
	timer.Stop()
	p.log.Close()
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}
