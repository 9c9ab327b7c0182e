//go:build linux

package main_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/message"
)

// corpus returns real and awkward messages by name, with CRLF at the end of
// every line and at the end of all.
func corpus(t testing.TB) map[string][]byte {
	t.Helper()
	root := filepath.Join("..", "..", "..", "shared", "corpus")
	messages := map[string][]byte{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "README.md" {
			return err
		}
		b, err := os.ReadFile(path)
		messages[strings.TrimPrefix(path, root+"/")] = asCRLF(b)
		return err
	})
	if err != nil {
		lacking(t, "the corpus can't be read: %v", err)
	}
	if len(messages) < 150 {
		t.Fatalf("the corpus has %d messages, want at least 150", len(messages))
	}
	return messages
}

// asCRLF completes every bare CR and LF, and the last line.
func asCRLF(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	b = bytes.ReplaceAll(b, []byte("\r"), []byte("\n"))
	b = bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
	if !bytes.HasSuffix(b, []byte("\r\n")) {
		b = append(b, "\r\n"...)
	}
	return b
}

// awkward are messages that the corpus has no like of.
func awkward() map[string][]byte {
	const head = "From: a@x.example\r\nDate: Tue, 4 Mar 2025 08:00:00 +0000\r\nMessage-ID: <1@x.example>\r\n"
	all := map[string]string{
		"empty":            "",
		"one empty line":   "\r\n",
		"header only":      head,
		"body only":        "\r\nbody\r\n",
		"no header at all": "this is no header field\r\nand this neither\r\n",
		"dots":             head + "\r\n.\r\n..\r\n...\r\n.a\r\n..a\r\n",
		"dot first":        ".\r\n",
		"NUL":              head + "\r\na\x00b\r\n\x00\r\n",
		"every octet":      head + "\r\n" + everyOctet() + "\r\n",
		"long line":        head + "\r\n" + strings.Repeat("x", 100_000) + "\r\n",
		"long field":       head + "X-Long: " + strings.Repeat("y", 70_000) + "\r\n\r\nbody\r\n",
		"long line of dot": head + "\r\n." + strings.Repeat(".", 5000) + "\r\n",
		"trailing space":   head + "Subject:  \t \r\n \t\r\n\r\nbody \t\r\n\r\n\r\n",
		"inline limit":     head + "\r\n" + strings.Repeat(strings.Repeat("z", 62)+"\r\n", 256<<10/64),
		"large":            head + "\r\n" + strings.Repeat(strings.Repeat("w", 74)+"\r\n", 5<<20/76),
	}
	messages := make(map[string][]byte, len(all))
	for name, text := range all {
		messages["awkward/"+name] = []byte(text)
	}
	return messages
}

// everyOctet has every octet but CR and LF.
func everyOctet() string {
	var b []byte
	for i := range 256 {
		if i != '\r' && i != '\n' {
			b = append(b, byte(i))
		}
	}
	return string(b)
}

// The gateway relays byte for byte but for its Received field. The client
// stands outside of loopback, where nothing is completed.
func TestByteForByte(t *testing.T) {
	t.Parallel()
	const gatewayIP, clientIP = "192.0.2.10", "198.51.100.7"
	network := newNetwork(t, gatewayIP+"/32", clientIP+"/32")
	testByteForByte(t, network, clientIP, gatewayIP+":25", func(name string, sent, got []byte) error {
		if !bytes.Equal(sent, got) {
			return fmt.Errorf("%s", difference(sent, got))
		}
		return nil
	})
}

// From loopback a message is a submission, which may get Date and Message-ID
// when it lacks them, above the rest.
func TestByteForByteSubmission(t *testing.T) {
	t.Parallel()
	testByteForByte(t, home(), "", freeAddr(t), func(name string, sent, got []byte) error {
		added, ok := bytes.CutSuffix(got, sent)
		if !ok {
			return fmt.Errorf("%s", difference(sent, got))
		}
		for _, line := range strings.SplitAfter(string(added), "\r\n") {
			field, _, _ := strings.Cut(line, ":")
			switch {
			case line == "":
			case (field == "Date" || field == "Message-ID") && strings.Count(string(added), field+":") == 1 && !hasField(sent, field):
			default:
				return fmt.Errorf("%q was added", line)
			}
		}
		return nil
	})
}

// hasField looks for a header field in a message, in a simple and sure way: a
// line that is neither a field nor goes one on ends the header.
func hasField(content []byte, name string) bool {
	for line := range bytes.SplitSeq(content, []byte("\r\n")) {
		field, _, isField := bytes.Cut(line, []byte(":"))
		field = bytes.TrimRight(field, " \t")
		switch {
		case bytes.HasPrefix(line, []byte(" ")) || bytes.HasPrefix(line, []byte("\t")):
		case !isField || len(field) == 0 || bytes.ContainsAny(field, " \t"):
			return false
		case strings.EqualFold(string(field), name):
			return true
		}
	}
	return false
}

// difference shows where two messages part.
func difference(sent, got []byte) string {
	i := 0
	for i < len(sent) && i < len(got) && sent[i] == got[i] {
		i++
	}
	from := max(0, i-20)
	return fmt.Sprintf("%d octets sent, %d arrived; they part at %d: sent %q, got %q", len(sent), len(got), i,
		sent[from:min(len(sent), i+40)], got[min(from, len(got)):min(len(got), i+40)])
}

// passed is what the header firewall leaves of a stranger's message (reference
// 4.13).
func passed(content []byte) []byte {
	var out bytes.Buffer
	f := message.HeaderFirewall{Strip: message.InternalHeaders, Out: &out}
	f.Write(content)
	f.Close()
	return out.Bytes()
}

// testByteForByte sends all messages to a sink in the same place, over clear
// text and over TLS in turn.
func testByteForByte(t *testing.T, p *place, local, addr string, judge func(name string, sent, got []byte) error) {
	cert := newCertificate(t, tempDir(t), "sink.example")
	s := newSink(t, sinkOptions{Place: p, TLS: cert.server()})
	e := newEdge(t)
	e.addr = addr
	e.receive += "max_hop_count = 500\n"
	e.route("clear", "clear.example", s.addr, `tls = "ignore_starttls"`)
	e.route("secure", "secure.example", s.addr, `tls = "required"`)
	e.serveIn(t, p)

	messages := awkward()
	maps.Copy(messages, corpus(t))
	names := map[string]string{} // by recipient
	clear, secure := dialFrom(t, p, local, addr), dialFrom(t, p, local, addr)
	secure.startTLS(t)
	for name, content := range messages {
		n := len(names)
		c, to := clear, fmt.Sprintf("m%d@secure.example", n)
		if n%2 == 1 {
			c, to = secure, fmt.Sprintf("m%d@clear.example", n)
		}
		names[to] = name
		r, err := c.submit("<a@x.example> BODY=8BITMIME", []string{to}, content)
		if err != nil || r.code != 250 {
			t.Fatalf("%s: %v %v, want 250", name, r, err)
		}
	}
	for _, d := range s.await(t, len(messages)) {
		to := strings.TrimSuffix(strings.TrimPrefix(d.Rcpt[0], "TO:<"), ">")
		name := names[to]
		if d.TLS != strings.HasSuffix(to, "@secure.example") {
			t.Errorf("%s: TLS is %v for %s", name, d.TLS, to)
		}
		_, rest, err := splitTrace(d.Data)
		if err == nil {
			err = judge(name, passed(messages[name]), rest)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		delete(names, to)
	}
	for to, name := range names {
		t.Errorf("%s to %s did not arrive", name, to)
	}
}
