package send

import (
	"errors"

	"postern/config"
	"postern/internal/message"
)

// checkEightBit fails where 8-bit content is not to go to a host that does not
// offer 8BITMIME (RFC 6152 3). We convert nothing: that would break signatures.
// The content is looked at rather than BODY=, which some clients give with every
// message and others with none.
func (c *conn) checkEightBit(r *run) *failure {
	if c.ext.EightBitMIME || c.connector.EightBitMIMEMissing == config.EightBitSend || r.d.Envelope.Body == message.BodyBinaryMIME {
		return nil
	}
	if r.eightBit == nil {
		is, err := isEightBit(r.out)
		if err != nil {
			return r.unreadable(err)
		}
		r.eightBit = &is
	}
	if !*r.eightBit {
		return nil
	}
	return &failure{phase: phaseMAIL, intact: true, reply: ours(554, [3]int{5, 6, 3}, // RFC 3463 3.7
		"The message has 8-bit content, but the host does not offer 8BITMIME")}
}

// errSeen ends the reading of content of which enough is known.
var errSeen = errors.New("seen")

// isEightBit reports whether content, as it is sent, has an octet beyond US-ASCII.
func isEightBit(o *outgoing) (bool, error) {
	b := buffers.Get().(*contentBuffer)
	defer buffers.Put(b)
	is := false
	err := o.stream(b.in, func(p []byte) (int, error) {
		for _, octet := range p {
			if octet >= 0x80 {
				is = true
				return 0, errSeen
			}
		}
		return len(p), nil
	})
	if is {
		err = nil
	}
	return is, err
}
