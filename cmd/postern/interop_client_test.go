//go:build linux

package main_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// client is a raw SMTP client. It shares no code with the gateway.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	// banner is the greeting.
	banner reply
}

// reply is a whole reply; text has its lines without codes.
type reply struct {
	code int
	text []string
}

func (r reply) String() string { return fmt.Sprintf("%d %s", r.code, strings.Join(r.text, " / ")) }

// has tells whether an EHLO reply offers a keyword.
func (r reply) has(keyword string) bool {
	for _, line := range r.text {
		if word, _, _ := strings.Cut(line, " "); strings.EqualFold(word, keyword) {
			return true
		}
	}
	return false
}

// newClient takes a fresh connection and reads the greeting.
func newClient(conn net.Conn) (*client, error) {
	c := &client{conn: conn, r: bufio.NewReader(conn)}
	var err error
	if c.banner, err = c.read(); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// dial connects to a gateway and greets it.
func dial(t testing.TB, addr string) *client {
	t.Helper()
	return dialFrom(t, home(), "", addr)
}

func dialFrom(t testing.TB, p *place, local, addr string) *client {
	t.Helper()
	conn, err := p.dial(local, addr)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newClient(conn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	if c.banner.code != 220 {
		t.Fatalf("the greeting is %v, want 220", c.banner)
	}
	c.want(t, 250, "EHLO client.example")
	return c
}

func (c *client) close() { c.conn.Close() }

// read reads one reply.
func (c *client) read() (reply, error) {
	var r reply
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(patience))
		line, err := c.r.ReadString('\n')
		if err != nil {
			return r, err
		}
		if len(line) < 5 || !strings.HasSuffix(line, "\r\n") {
			return r, fmt.Errorf("malformed reply line %q", line)
		}
		code := 0
		if _, err := fmt.Sscanf(line[:3], "%d", &code); err != nil || r.code != 0 && code != r.code {
			return r, fmt.Errorf("malformed reply line %q", line)
		}
		r.code = code
		text := strings.TrimSuffix(line[3:], "\r\n")
		r.text = append(r.text, strings.TrimLeft(text, " -"))
		if !strings.HasPrefix(text, "-") {
			return r, nil
		}
	}
}

// send writes octets as they are.
func (c *client) send(b []byte) error {
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
	_, err := c.conn.Write(b)
	return err
}

// command sends a line and reads the reply.
func (c *client) command(line string) (reply, error) {
	if err := c.send([]byte(line + "\r\n")); err != nil {
		return reply{}, err
	}
	return c.read()
}

// want sends a command and insists on the reply's code.
func (c *client) want(t testing.TB, code int, line string) reply {
	t.Helper()
	r, err := c.command(line)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	if r.code != code {
		t.Fatalf("%s: %v, want %d", line, r, code)
	}
	return r
}

// startTLS begins TLS and greets again.
func (c *client) startTLS(t testing.TB) tls.ConnectionState {
	t.Helper()
	c.want(t, 220, "STARTTLS")
	conn := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	_ = conn.SetDeadline(time.Now().Add(patience))
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Time{})
	c.conn, c.r = conn, bufio.NewReader(conn)
	c.want(t, 250, "EHLO client.example")
	return conn.ConnectionState()
}

// stuffed is content as DATA carries it, with the final dot (RFC 5321 4.5.2).
// The content ends with CRLF.
func stuffed(content []byte) []byte {
	out := make([]byte, 0, len(content)+16)
	for line := range bytes.SplitAfterSeq(content, []byte("\r\n")) {
		if bytes.HasPrefix(line, []byte(".")) {
			out = append(out, '.')
		}
		out = append(out, line...)
	}
	return append(out, ".\r\n"...)
}

// submit sends one message and returns the first reply that is not positive,
// or the one to the end of data.
func (c *client) submit(from string, rcpt []string, content []byte) (reply, error) {
	lines := []string{"MAIL FROM:" + from}
	for _, to := range rcpt {
		lines = append(lines, "RCPT TO:<"+to+">")
	}
	for _, line := range append(lines, "DATA") {
		r, err := c.command(line)
		if err != nil || r.code >= 400 {
			return r, err
		}
	}
	if err := c.send(stuffed(content)); err != nil {
		return reply{}, err
	}
	return c.read()
}

// deliver sends one message and insists on success.
func (c *client) deliver(t testing.TB, from, to, content string) reply {
	t.Helper()
	r, err := c.submit("<"+from+">", []string{to}, []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	if r.code != 250 {
		t.Fatalf("message to %s: %v, want 250", to, r)
	}
	return r
}

// letter is a small message that lacks nothing.
func letter(subject string) string {
	return "From: kim@contoso.example\r\nTo: bob@fabrikam.example\r\nSubject: " + subject +
		"\r\nDate: Tue, 4 Mar 2025 08:00:00 +0000\r\nMessage-ID: <" + subject + "@client.example>\r\n\r\nhello\r\n.\r\n..dots\r\n"
}

// splitTrace takes the Received field of the gateway away from what a sink got.
func splitTrace(data []byte) (trace, rest []byte, err error) {
	if !bytes.HasPrefix(data, []byte("Received:")) {
		return nil, nil, fmt.Errorf("no Received field on top but %.60q", data)
	}
	rest = data
	for first := true; first || bytes.HasPrefix(rest, []byte(" ")) || bytes.HasPrefix(rest, []byte("\t")); first = false {
		i := bytes.Index(rest, []byte("\r\n"))
		if i < 0 {
			return nil, nil, fmt.Errorf("the Received field has no end")
		}
		rest = rest[i+2:]
	}
	return data[:len(data)-len(rest)], rest, nil
}
