package receive

import (
	"postern/internal/metrics"
	ptls "postern/tls"
)

// verb is a command as it is counted.
type verb uint8

// The verbs. A reply to none is the greeting, or one that the server gives
// unasked, as after a deadline.
const (
	verbNone verb = iota
	verbEHLO
	verbHELO
	verbSTARTTLS
	verbAUTH
	verbMAIL
	verbRCPT
	verbDATA
	verbBDAT
	verbRSET
	verbNOOP
	verbVRFY
	verbHELP
	verbQUIT
	verbOther
	verbs
)

// String returns the verb as a label of metrics.
func (v verb) String() string {
	return [verbs]string{"none", "EHLO", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "VRFY", "HELP", "QUIT", "other"}[v]
}

// classes are the classes of replies (RFC 5321 4.2.1), 2yz to 5yz.
const classes = 4

// tally is what is counted for all connectors together, looked up once.
type tally struct {
	replies    [verbs][classes]*metrics.Counter
	handshakes ptls.Handshakes
}

func newTally(r *metrics.Registry) *tally {
	t := &tally{handshakes: ptls.NewHandshakes(r, "receive")}
	for v := range verbs {
		for c := range classes {
			t.replies[v][c] = r.Counter("receive_replies", metrics.Label{Name: "verb", Value: v.String()},
				metrics.Label{Name: "class", Value: itoa(int64(c+2)) + "xx"})
		}
	}
	return t
}

// reply counts a reply to a command.
func (t *tally) reply(v verb, code int) {
	if c := code/100 - 2; c >= 0 && c < classes {
		t.replies[v][c].Inc()
	}
}

// refusedNoConnector is the reason of a connection that no connector takes. All
// others are limits.
const refusedNoConnector = "no_connector"

// countRefused counts a connection that no session came of. The connector is
// empty where there is none.
func (s *Server) countRefused(connector, reason string) {
	s.metrics.Counter("receive_connections_refused", metrics.Label{Name: "connector", Value: connector},
		metrics.Label{Name: "reason", Value: reason}).Inc()
}
