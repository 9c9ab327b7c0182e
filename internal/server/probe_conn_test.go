package server

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// probeWait bounds what a session or a delivery may take; none takes a
// fraction of it, but on a machine that has much else to do.
const probeWait = time.Minute

// probeMode is a way to reach the gateway.
type probeMode struct {
	name               string
	starttls, implicit bool
	pieces             bool   // what the client sends comes in small pieces
	proxy              string // what a proxy says first, for a client elsewhere
}

func (m probeMode) tls() bool { return m.starttls || m.implicit }

// probeModes are all ways. A case makes sense in every one of them unless it
// says otherwise.
var probeModes = []probeMode{
	{name: "clear"},
	{name: "starttls", starttls: true},
	{name: "implicit", implicit: true},
	{name: "pieces", pieces: true},
	{name: "proxy1", proxy: "PROXY TCP4 203.0.113.5 192.0.2.10 40122 25\r\n"},
	{name: "proxy1-implicit", proxy: "PROXY TCP6 2001:db8::5 2001:db8::10 40122 465\r\n", implicit: true},
	{name: "proxy2", proxy: "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x05\xc0\x00\x02\x0a\x9c\xba\x00\x19", starttls: true},
}

// tlsSessions spares the machine most of the key exchanges.
var tlsSessions = sync.OnceValue(func() tls.ClientSessionCache { return tls.NewLRUClientSessionCache(64) })

// probeConn is the client's end of a session. All that it reads it holds
// against what is true of every reply.
type probeConn struct {
	net.Conn
	r *bufio.Reader
	// enhanced says whether the connector offers enhanced status codes.
	enhanced bool
	pieces   bool
}

// Write sends, in pieces of one to three octets where those are asked for, of a
// thousand or so where there is much to send.
func (c *probeConn) Write(p []byte) (int, error) {
	if !c.pieces {
		return c.Conn.Write(p)
	}
	for n := 0; n < len(p); {
		size := 1 + n%3
		if len(p) > 2000 {
			size = 1009
		}
		m, err := c.Conn.Write(p[n:min(n+size, len(p))])
		if n += m; err != nil {
			return n, err
		}
	}
	return len(p), nil
}

// dial opens a session and reads the greeting, in TLS where the mode is one.
func (g *probeGateway) dial(mode probeMode, connector string) (*probeConn, error) {
	port, ok := g.ports[connector+"/"+mode.listener()]
	if !ok {
		return nil, fmt.Errorf("no connector is called %q", connector)
	}
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), probeWait)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(probeWait))
	c := &probeConn{Conn: conn, enhanced: connector != "plain", pieces: mode.pieces}
	if err := c.open(mode); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// listener is the kind of listener that a mode needs.
func (m probeMode) listener() string {
	switch {
	case m.proxy != "" && m.implicit:
		return "proxy-implicit"
	case m.proxy != "":
		return "proxy"
	case m.implicit:
		return "implicit"
	}
	return "clear"
}

func (c *probeConn) open(mode probeMode) error {
	if _, err := io.WriteString(c.Conn, mode.proxy); err != nil {
		return err
	}
	if mode.implicit {
		if err := c.startTLS(); err != nil {
			return err
		}
	}
	c.r = bufio.NewReader(c.Conn)
	if err := c.expect("", "220 edge.contoso.example ESMTP"); err != nil || !mode.starttls {
		return err
	}
	if err := c.expect("EHLO client.example\r\n", "250"); err != nil {
		return err
	}
	if err := c.expect("STARTTLS\r\n", "220 *SMTP server ready"); err != nil {
		return err
	}
	return c.startTLS()
}

func (c *probeConn) startTLS() error {
	t := tls.Client(c.Conn, &tls.Config{
		ServerName: "edge.contoso.example", InsecureSkipVerify: true, ClientSessionCache: tlsSessions(),
	})
	if err := t.Handshake(); err != nil {
		return err
	}
	c.Conn, c.r = t, bufio.NewReader(t)
	return nil
}

func (c *probeConn) expect(command, pattern string) error {
	if _, err := io.WriteString(c, command); err != nil {
		return err
	}
	reply, err := c.reply()
	if err != nil {
		return fmt.Errorf("%q: %w", command, err)
	}
	if !matches(pattern, reply[len(reply)-1]) {
		return fmt.Errorf("%q is answered by %q, want %q", command, reply, pattern)
	}
	return nil
}

// reply reads one reply, a line each.
func (c *probeConn) reply() ([]string, error) {
	var lines []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return lines, fmt.Errorf("the server says %q: %w", append(lines, line), err)
		}
		if err := wellFormed(line, lines); err != nil {
			return lines, fmt.Errorf("%q: %w", line, err)
		}
		lines = append(lines, strings.TrimSuffix(line, "\r\n"))
		if line[3] == ' ' {
			return lines, c.checkEnhanced(lines)
		}
	}
}

// wellFormed holds one line of a reply against RFC 5321 4.2 and 4.5.3.1.5.
func wellFormed(line string, before []string) error {
	switch {
	case !strings.HasSuffix(line, "\r\n") || len(line) < len("250 \r\n"):
		return errors.New("a reply line ends with CRLF behind a code")
	case len(line) > 512:
		return errors.New("a reply line has at most 512 octets")
	case line[0] < '2' || line[0] > '5' || line[1] < '0' || line[1] > '5' || line[2] < '0' || line[2] > '9':
		return errors.New("not a reply code")
	case line[3] != ' ' && line[3] != '-':
		return errors.New("a space or a hyphen stands behind the code")
	case len(before) > 0 && before[0][:3] != line[:3]:
		return errors.New("all lines of a reply have the same code")
	}
	for _, b := range []byte(line[:len(line)-2]) {
		if (b < ' ' || b > '~') && b != '\t' {
			return errors.New("a reply is printable US-ASCII")
		}
	}
	return nil
}

// checkEnhanced holds a reply against RFC 2034 4: every line of every reply has
// an enhanced code of the same class, but for those to HELO, EHLO and the
// greeting, and those of class 3.
func (c *probeConn) checkEnhanced(lines []string) error {
	if lines[0][0] == '3' || strings.HasPrefix(lines[0], "220 edge") || strings.Contains(lines[0], " Hello [") || strings.Contains(lines[0], "-edge.contoso.example Hello") {
		return nil
	}
	for _, l := range lines {
		var class, subject, detail int
		n, _ := fmt.Sscanf(l[4:], "%d.%d.%d", &class, &subject, &detail)
		switch {
		case !c.enhanced && n == 3:
			return fmt.Errorf("an enhanced code although they are not offered: %q", l)
		case c.enhanced && (n != 3 || class != int(l[0]-'0')):
			return fmt.Errorf("no enhanced code of its class: %q", l)
		}
	}
	return nil
}

// ended reads the end of the session.
func (c *probeConn) ended() error {
	rest, err := io.ReadAll(c.r)
	if len(rest) > 0 {
		return fmt.Errorf("want the end of the session, got %.200q", rest)
	}
	// A client that still sends gets a reset for its pains.
	if err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return nil
}

// inMode reports whether a case is for that mode.
func (p *probe) inMode(m probeMode) bool {
	return len(p.in) == 0 || slices.ContainsFunc(p.in, func(name string) bool {
		switch name {
		case "tls":
			return m.tls()
		case "cleartext":
			return !m.tls()
		}
		return name == m.name
	})
}
