package server

import "testing"

// TestProbeNotation: the probe sees what differs from what is written down.
func TestProbeNotation(t *testing.T) {
	reply := []string{"250-edge.example Hello [192.0.2.1]", "250-SIZE 1000", "250 DSN"}
	for table, want := range map[string]bool{
		"S: 250":                          true,
		"S: 250 DSN":                      true,
		"S: 25*":                          true,
		"S: 250 *S*":                      true,
		"S: 251":                          false,
		"S: 250 DS":                       false,
		"S: 250 DSN x":                    false,
		"S: 250-...\nS: 250 DSN":          true,
		"S: 250-...\nS: 250 SIZE":         false,
		"S: 250-edge.example\nS: 250 DSN": false,
		"S: 250-edge.example\nS: 250-SIZE\nS: 250 DSN":         true,
		"S: 250-edge.example\nS: 250-SIZE 1000\nS: 250 DSN":    true,
		"S: 250-edge.example\nS: 250-SIZE 100\nS: 250 DSN":     false,
		"S: 250-...\nS: 250-SIZE 1000\nS: 250-...\nS: 250 DSN": true,
		"S: 250-...\nS: 250-SIZE 1000\nS: 250-x\nS: 250 DSN":   false,
		"S! *SIZE*\nS: 250": false,
		"S! 250-*\nS: 250":  false,
		"S! *AUTH*\nS: 250": true,
		"S: 250\nS! *DSN":   false,
	} {
		cases := parseProbes(t, "== x | y\nC: EHLO a\n"+table)
		if err := cases[0].steps[0].check(reply); (err == nil) != want {
			t.Errorf("%q: %v", table, err)
		}
	}
	for line, ok := range map[string]bool{
		"250 ok\r\n": true, "250-ok\r\n": true, "250 ok\n": false, "250\r\n": false, "650 x\r\n": false, "260 x\r\n": false,
		"250_x\r\n": false, "250 \xff\r\n": false, "250 \x1b\r\n": false, "250 x\rx\r\n": false, "550 x\r\n": false,
	} {
		if err := wellFormed(line, []string{"250-x"}); (err == nil) != ok {
			t.Errorf("%q: %v", line, err)
		}
	}
	c := &probeConn{enhanced: true}
	for line, ok := range map[string]bool{"250 2.0.0 x": true, "250 x": false, "250 5.0.0 x": false, "354 x": true, "550 5.7.1 x": true} {
		if err := c.checkEnhanced([]string{line}); (err == nil) != ok {
			t.Errorf("%q: %v", line, err)
		}
	}
	const sent = "Subject: x\r\n\r\nbody\r\n"
	const trace = "Received: from a by b\r\n\twith ESMTP id 1; now\r\n"
	for got, ok := range map[string]bool{
		trace + sent: true, trace + "Date: x\r\n" + sent: true, trace + "X-Scan: x\r\n" + sent: false, sent: false,
		trace + sent + "\r\n": false, trace + "Subject: x\r\n\r\nbody \r\n": false, trace + trace + sent: false,
	} {
		if err := below(got, sent, false); (err == nil) != ok {
			t.Errorf("%q: %v", got, err)
		}
	}
	if below(trace+"Date: x\r\n"+sent, sent, true) == nil {
		t.Error("a stranger's message may be completed")
	}
}
