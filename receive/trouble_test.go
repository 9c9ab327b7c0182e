package receive

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestTroubleIsToldOnceAMinute: a full disk does not fill the event log.
func TestTroubleIsToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&out, nil))
		var tr trouble
		for range 150 { // one a second
			tr.tell(logger.Error, "can't store a message", errors.New("full"), "session", "A")
			time.Sleep(time.Second)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 3 {
			t.Fatalf("%d lines for 150 refusals:\n%s", len(lines), out.String())
		}
		if strings.Contains(lines[0], "refused_meanwhile") || !strings.Contains(lines[0], "session=A error=full") {
			t.Errorf("first: %s", lines[0])
		}
		for _, l := range lines[1:] {
			if !strings.Contains(l, "refused_meanwhile=59") {
				t.Errorf("later: %s", l)
			}
		}
	})
}
