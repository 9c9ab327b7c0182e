package event

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/config"
	"postern/internal/eventid"
)

// journald is a socket that takes datagrams.
func journald(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Skip("datagrams on Unix sockets: ", err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func datagram(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	b := make([]byte, 1<<20)
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// TestJournal holds what journald gets, and what standard error gets while it is
// away.
func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	conn := journald(t, path)
	p := new(paper)
	l := open(Options{Config: config.EventLog{Format: "journald"}, Stderr: p}, path)
	logger := l.Logger(eventid.Send)
	logger.Warn("a host says\nno", eventid.ClearText.Attr(), "host", "mx\nPRIORITY=0", "next-hop", `a "b"`)
	want := strings.Join([]string{
		`MESSAGE=a host says\x0Ano event_id=24000 host="mx\nPRIORITY=0" next-hop="a \"b\""`,
		"PRIORITY=4", "SYSLOG_IDENTIFIER=postern", "POSTERN_AREA=send", "POSTERN_EVENT_ID=24000", "MESSAGE_ID=b3d4e1f05c2a4e6f8a1b9c7d00005dc0",
		`POSTERN_HOST=mx\x0APRIORITY=0`, `POSTERN_NEXT_HOP=a "b"`, "",
	}, "\n")
	if got := datagram(t, conn); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	conn.Close()
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	logger.Error("nobody hears\x1b it", "a", 1)
	for end := time.Now().Add(10 * time.Second); len(p.lines()) == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if got := p.String(); got != "<3>nobody hears\\x1B it a=1\n" {
		t.Errorf("standard error has %q", got)
	}
	conn = journald(t, path) // it is back
	logger.Info("once more")
	if got := datagram(t, conn); !strings.HasPrefix(got, "MESSAGE=once more\nPRIORITY=6\n") {
		t.Errorf("got %q", got)
	}
	closeLog(t, l)
	if n := len(p.lines()); n != 1 {
		t.Errorf("standard error has %s", p)
	}
}

func TestFieldName(t *testing.T) {
	for key, want := range map[string]string{"host": "HOST", "next-hop": "NEXT_HOP", "g.k": "G_K", "ü": "_", "=\n": "__", "a1": "A1", strings.Repeat("a", 100): strings.Repeat("A", 56)} {
		if got := fieldName(key); got != want {
			t.Errorf("%q: %q", key, got)
		}
	}
}
