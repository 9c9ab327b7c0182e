//go:build linux

package main_test

import (
	"crypto/tls"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// postfix is an instance of Postfix with directories of its own, which keeps
// every message for its domains in a maildir.
type postfix struct {
	*process
	addr string
	dir  string
}

// newPostfix starts an instance that takes mail for domains and offers
// STARTTLS with a certificate of its own.
func newPostfix(t testing.TB, domains ...string) *postfix {
	t.Helper()
	return newPostfixAt(t, freeAddr(t), "", domains...)
}

// newPostfixAt is newPostfix at an address, with settings in the place of the
// usual ones.
func newPostfixAt(t testing.TB, addr, settings string, domains ...string) *postfix {
	t.Helper()
	needRoot(t)
	program := need(t, "postfix")
	owner, err := user.Lookup("postfix")
	if err != nil {
		lacking(t, "Postfix has no user of its own: %v", err)
	}
	p := &postfix{addr: addr, dir: tempDir(t)}
	p.configure(t, owner, domains, settings)
	etc := filepath.Join(p.dir, "etc")
	if code, stdout, stderr := runCommand(t, "", program, "-c", etc, "check"); code != 0 {
		t.Fatalf("postfix check: exit code %d\n%s%s", code, stdout, stderr)
	}
	// start-fg would put a shell between, which dies without its children.
	p.process = launch(t, home(), &output{}, filepath.Join(p.daemons(t), "master"), "-c", etc, "-s")
	t.Cleanup(func() {
		p.terminate(t)
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(p.dir, "postfix.log"))
			t.Logf("Postfix printed:\n%s%s", p.output, tail(string(log)))
		}
	})
	until(t, "the greeting of Postfix", func() bool {
		select {
		case <-p.exited:
			t.Fatalf("Postfix ended at start: %v\n%s", p.err, p.output)
		default:
		}
		if strings.Contains(settings, "smtpd_tls_wrappermode = yes") {
			conn, err := tls.Dial("tcp", p.addr, &tls.Config{InsecureSkipVerify: true})
			if err == nil {
				conn.Close()
			}
			return err == nil
		}
		return greets(home(), p.addr)
	})
	return p
}

// daemons is the directory of Postfix's daemons.
func (p *postfix) daemons(t testing.TB) string {
	t.Helper()
	code, stdout, stderr := runCommand(t, "", need(t, "postconf"), "-c", filepath.Join(p.dir, "etc"), "-h", "daemon_directory")
	if code != 0 {
		t.Fatalf("postconf: exit code %d\n%s", code, stderr)
	}
	return strings.TrimSpace(stdout)
}

func (p *postfix) configure(t testing.TB, owner *user.User, domains []string, settings string) {
	t.Helper()
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	for _, name := range []string{"etc", "queue", "data", "mail"} {
		if err := os.Mkdir(filepath.Join(p.dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"data", "mail"} {
		if err := os.Chown(filepath.Join(p.dir, name), uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	cert := newCertificate(t, p.dir, "postfix.example")
	usual := fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
maillog_file = %[1]s/postfix.log
maillog_file_prefixes = %[1]s
myhostname = postfix.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
smtputf8_enable = no
smtpd_tls_security_level = may
smtpd_tls_cert_file = %[2]s
smtpd_tls_key_file = %[3]s
smtpd_tls_received_header = yes
smtpd_peername_lookup = no
virtual_mailbox_domains = %[4]s
virtual_mailbox_base = %[1]s/mail
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:%[5]d
virtual_gid_maps = static:%[6]d
virtual_minimum_uid = 1
message_size_limit = 0
virtual_mailbox_limit = 0
mailbox_size_limit = 0
smtpd_client_connection_count_limit = 0
`, p.dir, cert.fileCert, cert.fileKey, strings.Join(domains, ", "), uid, gid)
	var main strings.Builder
	for line := range strings.Lines(usual) {
		if key, _, _ := strings.Cut(line, " = "); !strings.Contains("\n"+settings, "\n"+key+" = ") {
			main.WriteString(line)
		}
	}
	writeFile(t, filepath.Join(p.dir, "etc", "main.cf"), main.String()+settings)
	writeFile(t, filepath.Join(p.dir, "etc", "master.cf"), fmt.Sprintf(`%s inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`, p.addr))
}

// mail returns the messages in the maildir.
func (p *postfix) mail(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(p.dir, "mail", "all", "new"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(p.dir, "mail", "all", "new", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(b))
	}
	return all
}

// awaitMail waits until there are n messages.
func (p *postfix) awaitMail(t testing.TB, n int) []string {
	t.Helper()
	until(t, fmt.Sprintf("%d messages in the maildir of Postfix", n), func() bool { return len(p.mail(t)) >= n })
	return p.mail(t)
}
