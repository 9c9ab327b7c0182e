package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"postern/config"
)

// countingGateway counts the reloads.
type countingGateway struct {
	reloads atomic.Int64
	fakeMail
}

func (*countingGateway) File() string { return "/etc/postern/edge.toml" }

func (g *countingGateway) Reload(context.Context, string) ([]config.Change, []config.Finding, *config.Config, error) {
	g.reloads.Add(1)
	return nil, nil, nil, nil
}

// FuzzRequests sends anything to the control socket. All answers are well-formed
// HTTP, those with JSON well-formed JSON, nothing but a POST reloads, each
// reload is answered, and the next caller is served.
func FuzzRequests(f *testing.F) {
	const reload = "POST /v1/configuration/reload HTTP/1.1\r\nHost: postern\r\n"
	for _, s := range []string{
		reload + "Content-Length: 0\r\n\r\n",
		reload + "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}" + reload + "Connection: close\r\n\r\n",
		"POST /v1/configuration/reload?file=%2Fetc%2Fpostern%2Fedge.toml HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /v1/configuration/reload?file=other.toml&file=x;y HTTP/1.0\r\n\r\n",
		"GET /v1/configuration/reload HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
		reload + "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n0\r\n\r\n",
		reload + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n12345",
		reload + "Content-Length: 99999999\r\n\r\nx",
		"POST //v1/../v1/configuration/%72eload HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /v1/queues HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/queues/ages HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /v1/queues/retry?name=Unreachable&resubmit=true HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /v1/messages?from=%3C%3E&older_than=2h&larger_than=1MB&limit=7&after=0000000000001 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /v1/messages/0000000000001 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /v1/messages/0000000000001/content HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /v1/messages/remove HTTP/1.1\r\nHost: x\r\nContent-Length: 38\r\n\r\n{\"filter\":{\"status\":\"retry\"},\"to\":\"\"}",
		"POST /v1/messages?no_limit=true HTTP/1.1\r\nHost: x\r\nContent-Length: 82\r\n\r\n" +
			"{\"sender\":\"a@b.example\",\"recipients\":[{\"address\":\"c@d.example\"}]}\nSubject: x\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"\x16\x03\x01\x00\x00\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	dir, err := os.MkdirTemp("", "postern") // a short path, for a socket
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "control.sock")
	l, err := Listen(path)
	if err != nil {
		f.Fatal(err)
	}
	g := &countingGateway{}
	g.queues = *someQueues()
	server := NewServer(Options{Gateway: g, Queues: &g.queues})
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	f.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := server.Close(ctx); err != nil {
			f.Error(err)
		}
		if err := <-served; err != nil {
			f.Error(err)
		}
	})
	client := NewClient(path)
	f.Fuzz(func(t *testing.T, request []byte) {
		before := g.reloads.Load()
		said := converse(t, path, request)
		reloads := g.reloads.Load() - before
		if reloads > 0 && !bytes.Contains(request, []byte("POST ")) {
			t.Fatalf("%q reloads", request)
		}
		succeeded := int64(0)
		answers := bufio.NewReader(bytes.NewReader(said))
		for {
			if _, err := answers.Peek(1); err == io.EOF {
				break
			}
			// Without the request it can't be known that an answer to HEAD has
			// no body: nothing then follows its head.
			r, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatalf("%q is answered %q: %v", request, said, err)
			}
			body, err := io.ReadAll(r.Body)
			if err != nil && !bytes.Contains(request, []byte("HEAD ")) {
				t.Fatalf("%q is answered %q: %v", request, said, err)
			}
			if r.Header.Get("Content-Type") == "application/json" && err == nil && len(body) > 0 && !json.Valid(body) {
				t.Fatalf("%q is answered with the body %q", request, body)
			}
			if r.StatusCode == http.StatusOK {
				succeeded++
			}
		}
		if reloads > succeeded {
			t.Fatalf("%q: %d reloads, but the answers %q", request, reloads, said)
		}
		if r, err := client.Reload(t.Context(), ""); err != nil || !r.Applied {
			t.Fatalf("after %q: %+v, %v", request, r, err)
		}
	})
}

// converse sends the octets, says that no more come, and returns everything
// that is answered.
func converse(t *testing.T, path string, request []byte) []byte {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = c.Write(request) // the server may have heard enough
		_ = c.(*net.UnixConn).CloseWrite()
	}()
	said, err := io.ReadAll(c)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Fatalf("no end to the answer to %q: %q", request, said)
	}
	c.Close()
	<-sent
	return said
}
