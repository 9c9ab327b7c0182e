package message

import "bytes"

// receivedScan finds the name behind "by" in a Received field (RFC 5321 4.4)
// that streams by. What stands before the date comes in pairs of a word and a
// value, with comments anywhere: a client that calls itself "by" is a value.
type receivedScan struct {
	word     []byte
	depth    int // of comments
	escaped  bool
	value    bool // the next word is a value
	by, done bool // it is the one; nothing more is looked for
}

func (r *receivedScan) reset() { *r = receivedScan{word: r.word[:0]} }

// scan takes the next octets of the field. It returns the name once, when its
// end is there.
func (r *receivedScan) scan(p []byte) (name string, ok bool) {
	for _, c := range p {
		switch {
		case r.done:
			return "", false
		case r.depth > 0:
			r.comment(c)
		case c == '(' || c == ';' || c == ' ' || c == '\t' || c == '\r' || c == '\n':
			if c == '(' {
				r.depth = 1
			}
			found := r.endWord()
			r.done = found || c == ';'
			if found {
				return string(r.word), true
			}
			r.word = r.word[:0]
		case len(r.word) < MaxDomain:
			r.word = append(r.word, c)
		}
	}
	return "", false
}

func (r *receivedScan) comment(c byte) {
	switch {
	case r.escaped:
		r.escaped = false
	case c == '\\':
		r.escaped = true
	case c == '(':
		r.depth++
	case c == ')':
		r.depth--
	}
}

// endWord reports whether the word that ends here is the name.
func (r *receivedScan) endWord() bool {
	if len(r.word) == 0 {
		return false
	}
	if r.value && r.by {
		return true
	}
	r.by = !r.value && bytes.EqualFold(r.word, []byte("by"))
	r.value = !r.value
	return false
}
