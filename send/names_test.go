package send

import (
	"strings"
	"testing"
	"testing/synctest"
)

// TestForceHELO: the connector says HELO at once, and uses nothing that the
// host offers all the same.
func TestForceHELO(t *testing.T) {
	for _, tt := range []struct {
		faults map[string]fault
		want   string
		lines  string
	}{
		{nil, "0 delivered 250 2.6.0 Queued",
			"HELO out.contoso.example|MAIL FROM:<sender@contoso.example>|RCPT TO:<a@example.test>|DATA|QUIT"},
		{map[string]fault{"HELO": reply("250-mx.test", "250-PIPELINING", "250-STARTTLS", "250 SIZE 10")}, "0 delivered 250 2.6.0 Queued",
			"HELO out.contoso.example|MAIL FROM:<sender@contoso.example>|RCPT TO:<a@example.test>|DATA|QUIT"},
		{map[string]fault{"HELO": reply("550 5.7.1 not you")}, "0 failed 550 5.7.1 not you", "HELO out.contoso.example"},
	} {
		synctest.Test(t, func(t *testing.T) {
			mx := &fakeMX{ext: []string{"PIPELINING", "STARTTLS", "SIZE"}, faults: tt.faults}
			b := newBench(t, mx)
			b.connector.ForceHELO = true
			got := sum(b.send())
			b.stop()
			if got != tt.want {
				t.Errorf("outcome %q, want %q", got, tt.want)
			}
			if lines := strings.Join(mx.commands(), "|"); lines != tt.lines {
				t.Errorf("commands %s, want %s", lines, tt.lines)
			}
		})
	}
}
