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
	"postern/internal/secret"
	"postern/logs"
	"postern/routing"
)

// The mechanisms of smart_host_auth.
const (
	authNone  = "none"
	authBasic = "basic" // PLAIN or LOGIN, also in clear
	authSCRAM = "scram" // SCRAM-SHA-256, also in clear

	authRequireTLS = "_require_tls" // behind either: over TLS only
)

// maxPassword bounds a password, maxPasswordFile the file that it stands in, in
// octets.
const (
	maxPassword     = 4096
	maxPasswordFile = 64 << 10
)

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

// authenticate logs on to a smart host (RFC 4954). Its failure is a matter of
// our configuration, so that the mail waits, whatever the host answered.
func (c *conn) authenticate(ctx context.Context) *failure {
	if !c.logsOn {
		return nil
	}
	a := c.connector.SmartHostAuth
	kind, onlyTLS := strings.CutSuffix(a.Mechanism, authRequireTLS)
	if onlyTLS && c.tls == "" {
		return refusesAuth("Send connector %q authenticates over TLS only, but the connection is in clear", c.connector.Name)
	}
	password, err := readPassword(&a)
	if err != nil {
		return refusesAuth("The password of send connector %q can't be read: %v", c.connector.Name, err)
	}
	var mechanism string
	var reply message.Reply
	var f *failure
	if kind == authSCRAM {
		mechanism, reply, f = c.authenticateSCRAM(ctx, a.Username, password)
	} else {
		mechanism, reply, f = c.authenticateBasic(ctx, a.Username, password)
	}
	if f != nil {
		return f
	}
	if reply.Code != 235 {
		f := refusesAuth("Authentication with the smart host failed (AUTH %s): %s", mechanism, oneLine(reply.String()))
		f.intact = reply.Code >= 400 // else the exchange is not over (RFC 4954 4)
		return f
	}
	c.log.Info(a.Username, "authenticated")
	c.ext.Authenticated = true
	return nil
}

// refusesAuth says why we don't log on.
func refusesAuth(format string, args ...any) *failure {
	return &failure{phase: phaseAUTH, intact: true, reply: ours(454, codeAuth, format, args...)}
}

// authenticateBasic is AUTH PLAIN, or LOGIN where that is not offered.
func (c *conn) authenticateBasic(ctx context.Context, user, password string) (mechanism string, reply message.Reply, f *failure) {
	var steps []string
	switch {
	case c.ext.HasAuth("PLAIN"): // RFC 4616
		mechanism, steps = "PLAIN", []string{"AUTH PLAIN " + encode("\x00"+user+"\x00"+password)}
	case c.ext.HasAuth("LOGIN"):
		mechanism, steps = "LOGIN", []string{"AUTH LOGIN", encode(user), encode(password)}
	default:
		return "", reply, refusesAuth("The host offers neither AUTH PLAIN nor AUTH LOGIN")
	}
	reply, f = c.exchange(ctx, steps)
	return mechanism, reply, f
}

// exchange sends the steps of AUTH while the host asks for them. Only the
// mechanism goes to the log.
func (c *conn) exchange(ctx context.Context, steps []string) (reply message.Reply, f *failure) {
	for i, step := range steps {
		if reply, f = c.step(ctx, step); f != nil {
			return reply, f
		}
		if more := reply.Code == 334; !more || i == len(steps)-1 {
			break
		}
	}
	return reply, nil
}

// step sends one line of AUTH and reads the reply.
func (c *conn) step(ctx context.Context, line string) (reply message.Reply, f *failure) {
	if f := c.unsolicited(ctx, phaseAUTH); f != nil {
		return reply, f
	}
	c.log.Sent(redact(line))
	if f := c.writeQuietly(ctx, phaseAUTH, []byte(line+"\r\n"), c.s.timeouts.EHLO); f != nil {
		return reply, f
	}
	reply, _, f = c.read(ctx, phaseAUTH, c.s.timeouts.EHLO)
	return reply, f
}

func redact(step string) string {
	words := strings.Fields(step)
	if len(words) == 0 || words[0] != "AUTH" {
		return logs.Redacted
	}
	if len(words) > 2 {
		return "AUTH " + words[1] + " " + logs.Redacted
	}
	return step
}

func encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// readPassword reads the first line of the password file, or the variable of
// the environment. No error holds any of it.
func readPassword(a *config.SmartHostAuth) (string, error) {
	from, line := "the variable "+a.PasswordEnv, ""
	if a.PasswordEnv != "" {
		line = os.Getenv(a.PasswordEnv)
		if line == "" {
			return "", errors.New(from + " is not in the gateway's environment; set it where the gateway is started")
		}
	} else {
		b, err := secret.Read(a.PasswordFile, maxPasswordFile)
		if err != nil {
			return "", err
		}
		from = a.PasswordFile
		line, _, _ = strings.Cut(string(b), "\n")
		line = strings.TrimSuffix(line, "\r")
	}
	switch {
	case line == "":
		return "", fmt.Errorf("%s: its first line is empty; write the password there", from)
	case len(line) > maxPassword || strings.ContainsAny(line, "\x00\r\n"):
		return "", errors.New(from + " holds no password")
	}
	return line, nil
}
