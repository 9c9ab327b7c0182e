package send

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

// inNetwork calls f on a thread with a network of its own, which has a loopback
// interface and nothing else.
func inNetwork(t *testing.T, f func() error) {
	t.Helper()
	var lacking, failed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for ever: the thread and its network end with the goroutine
		if lacking = syscall.Unshare(syscall.CLONE_NEWNET); lacking != nil {
			return
		}
		if lacking = exec.Command("ip", "link", "set", "lo", "up").Run(); lacking == nil {
			failed = f()
		}
	}()
	<-done
	if lacking != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("CI=true, but no network namespace can be made: %v", lacking)
		}
		t.Skipf("no network namespace can be made: %v", lacking)
	}
	if failed != nil {
		t.Error(failed)
	}
}

// TestPortsOfASource: connections from one source address to several hosts may
// have the same port, so that it is not the sum of all that is bounded.
func TestPortsOfASource(t *testing.T) {
	const ports = 4
	for _, family := range []struct{ source, hosts string }{
		{"127.0.0.9", "127.0.0.1 127.0.0.2 127.0.0.3"},
		{"::1", "::1"}, // one host: as many as there are ports
	} {
		inNetwork(t, func() error {
			if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40003"), 0o600); err != nil {
				return err
			}
			var open []net.Conn
			defer func() {
				for _, c := range open {
					_ = c.Close()
				}
			}()
			for _, host := range addrsOf(family.hosts) {
				l, err := net.Listen("tcp", netip.AddrPortFrom(host, 2525).String())
				if err != nil {
					return err
				}
				defer l.Close()
				for range ports {
					c, err := dialTCP(t.Context(), netip.MustParseAddr(family.source), netip.AddrPortFrom(host, 2525))
					if err != nil {
						return err
					}
					open = append(open, c)
				}
			}
			return nil
		})
	}
}

// TestSourcesTakenAway: over the network proper, an address of the pool that the
// host no longer has is told from a host that can't be reached.
func TestSourcesTakenAway(t *testing.T) {
	inNetwork(t, func() error {
		l, err := net.Listen("tcp", "127.0.0.1:2525")
		if err != nil {
			return err
		}
		defer l.Close()
		remote := netip.MustParseAddrPort("127.0.0.1:2525")
		for source, gone := range map[string]bool{"127.0.0.9": false, "192.0.2.9": true, "2001:db8::9": true} {
			to := remote
			if !netip.MustParseAddr(source).Is4() {
				to = netip.MustParseAddrPort("[::1]:2525")
			}
			c, err := dialTCP(t.Context(), netip.MustParseAddr(source), to)
			if err == nil {
				_ = c.Close()
			}
			if f := lost(t.Context(), phaseConnect, err); gone && (!f.source || !f.local) || !gone && err != nil {
				t.Errorf("from %s: %v, taken for a missing source address: %v", source, err, f.source)
			}
		}
		// Nobody listens: that is the host's affair.
		_, err = dialTCP(t.Context(), netip.MustParseAddr("127.0.0.9"), netip.MustParseAddrPort("127.0.0.1:2526"))
		if f := lost(t.Context(), phaseConnect, err); err == nil || f.source || f.local {
			t.Errorf("a refused connection: %v, taken for a missing source address: %v", err, f.source)
		}
		return nil
	})
}
