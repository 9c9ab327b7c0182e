package event

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/config"
	"postern/internal/eventid"
)

// rsyslogConfig takes messages by all three ways and writes what it understood.
// On its Unix socket, rsyslog understands RFC 5424 only with UseSpecialParser
// off, and takes the sender's own time and name only when it is told to.
const rsyslogConfig = `
module(load="imuxsock" SysSock.Use="off")
module(load="imudp")
module(load="imtcp")
input(type="imuxsock" Socket="%[1]s/log" UseSpecialParser="off" UseSysTimeStamp="off" RateLimit.Interval="0")
input(type="imudp" address="127.0.0.1" port="%[2]d")
input(type="imtcp" address="127.0.0.1" port="%[3]d")
template(name="understood" type="string" string="%%protocol-version%%|%%syslogfacility-text%%|%%syslogseverity-text%%|%%timereported:::date-rfc3339%%|%%hostname%%|%%app-name%%|%%procid%%|%%msgid%%|%%structured-data%%|%%msg%%\n")
action(type="omfile" file="%[1]s/understood" template="understood")
`

// TestRsyslog: a real rsyslogd understands every field, over every transport.
func TestRsyslog(t *testing.T) {
	program, err := exec.LookPath("rsyslogd")
	if err != nil {
		if program = "/usr/sbin/rsyslogd"; !exists(program) {
			if os.Getenv("CI") == "true" {
				t.Fatal("rsyslogd is missing: apt-get install rsyslog")
			}
			t.Skip("rsyslogd is missing: apt-get install rsyslog")
		}
	}
	dir, err := os.MkdirTemp("", "rsyslog") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	udp, tcp := freePort(t, "udp"), freePort(t, "tcp")
	conf := filepath.Join(dir, "rsyslog.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, rsyslogConfig, dir, udp, tcp), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command(program, "-n", "-f", conf, "-i", filepath.Join(dir, "pid"))
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("rsyslogd says: %s", said.String())
		}
	}()
	await(t, "rsyslogd listens", func() bool {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", tcp))
		if err == nil {
			conn.Close()
		}
		return err == nil && exists(filepath.Join(dir, "log"))
	})
	for name, address := range map[string]string{
		"unix": "unix:" + dir + "/log", "udp": fmt.Sprintf("udp://127.0.0.1:%d", udp), "tcp": fmt.Sprintf("tcp://127.0.0.1:%d", tcp),
	} {
		t.Run(name, func(t *testing.T) {
			l := Open(Options{Config: config.EventLog{Syslog: address, SyslogFacility: "mail"}, Host: "edge.contoso.example"})
			l.Logger(eventid.Queue).Warn("message deferred", eventid.MessageDeferred.Attr(), "way", name, "reply", "450 \"wait\" \\ ] \x1b[2J\r\n<0>1 forged", "to", "grün@contoso.example")
			closeLog(t, l)
			want := []string{"1|mail|warning|", "|edge.contoso.example|postern|" + fmt.Sprint(os.Getpid()) + "|22000|",
				`[postern@32473 area="queue" level="warn" way="` + name + `" reply="450 \"wait\" \\ \] \\x1B[2J\\x0D\\x0A<0>1 forged" to="grün@contoso.example"]|`,
				`message deferred event_id=22000 way=` + name + ` reply="450 \"wait\" \\ ] \x1b[2J\r\n<0>1 forged" to=grün@contoso.example`}
			var line string
			await(t, "the message is written", func() bool {
				b, _ := os.ReadFile(filepath.Join(dir, "understood"))
				for l := range strings.SplitSeq(string(b), "\n") {
					if strings.Contains(l, `way="`+name) || strings.Contains(l, "way="+name) {
						line = l
					}
				}
				return line != ""
			})
			for _, part := range want {
				if !strings.Contains(line, part) {
					t.Errorf("rsyslogd understood\n%s\nwhich lacks\n%s", line, part)
				}
			}
		})
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func freePort(t *testing.T, network string) int {
	t.Helper()
	if network == "udp" {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.LocalAddr().(*net.UDPAddr).Port
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
