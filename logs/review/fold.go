package review

import (
	"bytes"
	"encoding/binary"
)

// Case is folded for ASCII letters alone: that is what SMTP compares without
// regard to case, and it leaves every octet where it is.

func lower(s string) string { return string(appendLower(nil, []byte(s))) }

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// appendLower appends b in lower case, eight octets at a time: whole blocks of
// log go through it before they are searched.
func appendLower(dst, b []byte) []byte {
	const (
		high = 0x8080808080808080
		ones = 0x0101010101010101
	)
	n := len(dst)
	dst = append(dst, b...)
	out := dst[n:]
	i := 0
	for ; i+8 <= len(out); i += 8 {
		v := binary.LittleEndian.Uint64(out[i:])
		seven := v &^ high
		// The high bit of each octet: is it at least 'A', is it beyond 'Z'.
		atLeast := seven + (0x80-'A')*ones
		beyond := seven + (0x80-'Z'-1)*ones
		upper := (atLeast &^ beyond) & high &^ v
		binary.LittleEndian.PutUint64(out[i:], v|upper>>2)
	}
	for ; i < len(out); i++ {
		out[i] = lowerByte(out[i])
	}
	return dst
}

// equalFold compares s with text that is lower case already.
func equalFold(s []byte, lowered string) bool {
	if len(s) != len(lowered) {
		return false
	}
	for i, c := range s {
		if lowerByte(c) != lowered[i] {
			return false
		}
	}
	return true
}

func hasPrefixFold(s []byte, lowered string) bool {
	return len(s) >= len(lowered) && equalFold(s[:len(lowered)], lowered)
}

// indexFold finds text that is lower case already.
func indexFold(s []byte, lowered string) int {
	if lowered == "" {
		return 0
	}
	a, b := lowered[0], lowered[0]
	if 'a' <= a && a <= 'z' {
		b = a - ('a' - 'A')
	}
	for from := 0; from+len(lowered) <= len(s); {
		i := bytes.IndexByte(s[from:], a)
		if a != b {
			if j := bytes.IndexByte(s[from:], b); j >= 0 && (i < 0 || j < i) {
				i = j
			}
		}
		if i < 0 || from+i+len(lowered) > len(s) {
			return -1
		}
		if from += i; equalFold(s[from:from+len(lowered)], lowered) {
			return from
		}
		from++
	}
	return -1
}

// plainRun returns the longest part of some text that stands in every form of a
// log as it is: neither CSV nor JSON, nor the escaping of what does not print,
// writes it otherwise.
func plainRun(s string) string {
	best, from := "", 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && isPlain(s[i]) {
			continue
		}
		if i-from > len(best) {
			best = s[from:i]
		}
		from = i + 1
	}
	// The first character of a field may be escaped as one of a formula.
	for best != "" && bytes.IndexByte([]byte("+-@="), best[0]) >= 0 {
		best = best[1:]
	}
	return best
}

func isPlain(c byte) bool {
	return c >= ' ' && c <= '~' && c != '\\' && c != '"' && c != '<' && c != '>' && c != '&' && c != '\'' && c != '/'
}
