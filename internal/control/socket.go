package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"
)

// maxSocketPath is the longest name of a Unix socket that every system takes:
// sun_path has 104 octets on the BSDs and 108 on Linux, one of them a zero.
const maxSocketPath = 103

// probeTimeout bounds the question whether anybody answers on a socket.
const probeTimeout = 2 * time.Second

// Listen opens the control socket at path with mode 0600, and makes its
// directory when it is missing. A socket that nobody answers, which an unclean
// end leaves behind, is removed; one that somebody answers is an error.
func Listen(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("control socket %s: the path has %d characters, a socket's may have %d; set control.socket to a shorter one",
			path, len(path), maxSocketPath)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	// Until the mode is set, the credentials of the peer keep others out.
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return l, nil
}

func removeStale(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	if fi.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("control socket %s: there is a file of that name that is no socket; remove it or set control.socket", path)
	}
	if c, err := net.DialTimeout("unix", path, probeTimeout); err == nil {
		c.Close()
		return fmt.Errorf("control socket %s: another gateway answers there; stop it or set control.socket", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

type peerKey struct{}

// withPeer notes who is at the other end of a connection.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	p, err := peerOf(c)
	if err != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, p)
}

// peer is the process at the other end of the socket.
type peer struct {
	UID, PID int
}

// allowed reports whether the peer may administer this gateway: its own user
// and root may.
func (p peer) allowed() bool { return p.UID == 0 || p.UID == os.Geteuid() }
