package send

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"postern/config"
	"postern/internal/message"
	"postern/logs"
	"postern/routing"
)

// The mechanisms of smart_host_auth.
const (
	authNone  = "none"
	authBasic = "basic" // also in clear; basic_require_tls: over TLS only
)

// maxPassword bounds what is read of a password file.
const maxPassword = 4096

// authenticates reports whether a connector authenticates to its smart hosts.
func authenticates(c *config.SendConnector) bool {
	return c.SmartHostAuth.Mechanism != "" && c.SmartHostAuth.Mechanism != authNone && len(c.SmartHosts) > 0
}

// ownHosts reports whether the hosts of the next hop are the connector's own.
// To others, to which an administrator has redirected mail, its password is not
// shown.
func (r *run) ownHosts() bool {
	own := strings.Split(routing.HostSet(r.connector), ",")
	for h := range strings.SplitSeq(r.hop.Domain, ",") {
		if !slices.Contains(own, h) {
			return false
		}
	}
	return true
}

// authenticate logs on to a smart host with PLAIN or LOGIN (RFC 4954). Its
// failure is a matter of our configuration, so that the mail waits, whatever
// the host answered.
func (c *conn) authenticate(ctx context.Context) *failure {
	if !c.logsOn {
		return nil
	}
	a := c.connector.SmartHostAuth
	fail := func(format string, args ...any) *failure {
		return &failure{phase: phaseAUTH, intact: true, reply: ours(454, codeAuth, format, args...)}
	}
	if a.Mechanism != authBasic && c.tls == "" { // basic_require_tls
		return fail("Send connector %q authenticates over TLS only, but the connection is in clear", c.connector.Name)
	}
	password, err := readPassword(a.PasswordFile)
	if err != nil {
		return fail("The password of send connector %q can't be read: %v", c.connector.Name, err)
	}
	var steps []string
	switch {
	case c.ext.HasAuth("PLAIN"): // RFC 4616
		steps = []string{"AUTH PLAIN " + encode("\x00"+a.Username+"\x00"+password)}
	case c.ext.HasAuth("LOGIN"):
		steps = []string{"AUTH LOGIN", encode(a.Username), encode(password)}
	default:
		return fail("The host offers neither AUTH PLAIN nor AUTH LOGIN")
	}
	reply, f := c.exchange(ctx, steps)
	if f != nil {
		return f
	}
	if reply.Code != 235 {
		f := fail("Authentication with the smart host failed: %s", oneLine(reply.String()))
		f.intact = reply.Code >= 400 // else the exchange is not over (RFC 4954 4)
		return f
	}
	c.log.Info(a.Username, "authenticated")
	return nil
}

// exchange sends the steps of AUTH while the host asks for them. Only the
// mechanism goes to the log.
func (c *conn) exchange(ctx context.Context, steps []string) (reply message.Reply, f *failure) {
	for i, step := range steps {
		if f := c.unsolicited(ctx, phaseAUTH); f != nil {
			return reply, f
		}
		c.log.Sent(redact(step))
		if f := c.writeQuietly(ctx, phaseAUTH, []byte(step+"\r\n"), c.s.timeouts.EHLO); f != nil {
			return reply, f
		}
		if reply, _, f = c.read(ctx, phaseAUTH, c.s.timeouts.EHLO); f != nil {
			return reply, f
		}
		if more := reply.Code == 334; !more || i == len(steps)-1 {
			break
		}
	}
	return reply, nil
}

func redact(step string) string {
	words := strings.Fields(step)
	if words[0] != "AUTH" {
		return logs.Redacted
	}
	if len(words) > 2 {
		return "AUTH " + words[1] + " " + logs.Redacted
	}
	return step
}

func encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// readPassword reads the file's first line.
func readPassword(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	line = strings.TrimSuffix(line, "\r")
	switch {
	case line == "":
		return "", fmt.Errorf("%s: its first line is empty; write the password there", path)
	case len(line) > maxPassword || strings.ContainsRune(line, 0):
		return "", errors.New(path + ": its first line is no password")
	}
	return line, nil
}
