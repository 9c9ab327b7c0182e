package ptls

import (
	"crypto/tls"

	"postern/internal/metrics"
)

// versions is how many versions of TLS are told apart; the first stands for a
// handshake that came to nothing.
const versions = 5

func versionNames() [versions]string { return [...]string{"none", "1.0", "1.1", "1.2", "1.3"} }

// Handshakes counts handshakes of one direction by version and result. The zero
// value counts nothing. It is safe for concurrent use.
type Handshakes struct {
	counters [versions]*metrics.Counter
}

// NewHandshakes returns the counters of a direction, "receive" or "send".
func NewHandshakes(r *metrics.Registry, direction string) (h Handshakes) {
	for i, v := range versionNames() {
		result := "success"
		if i == 0 {
			result = "failure"
		}
		h.counters[i] = r.Counter("tls_handshakes", metrics.Label{Name: "direction", Value: direction},
			metrics.Label{Name: "version", Value: v}, metrics.Label{Name: "result", Value: result})
	}
	return h
}

// Done counts a handshake that succeeded with a version of TLS.
func (h *Handshakes) Done(version uint16) {
	i := int(version) - tls.VersionTLS10 + 1
	h.counters[min(max(i, 1), versions-1)].Inc()
}

// Failed counts one that did not.
func (h *Handshakes) Failed() { h.counters[0].Inc() }
