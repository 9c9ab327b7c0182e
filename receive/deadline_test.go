package receive

import (
	"errors"
	"net"
	"testing"
	"time"
)

// A session that is cut off writes no more: a client that does not read would
// hold the end of the gateway up for the time that a reply may take.
func TestNoWriteAfterAbort(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	var d deadlines
	d.start(server)
	d.abort()
	if err := d.beforeWrite(); !errors.Is(err, errAborted) {
		t.Errorf("the next reply may be written: %v", err)
	}
	began := time.Now()
	if _, err := server.Write([]byte("221 2.0.0 Bye\r\n")); err == nil || time.Since(began) > 10*time.Second {
		t.Errorf("a write took %v: %v", time.Since(began), err)
	}
}
