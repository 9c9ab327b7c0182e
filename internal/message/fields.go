package message

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"
)

func appendNested(b []byte, tag uint64, fn func([]byte) []byte) []byte {
	b = binary.AppendUvarint(b, tag)
	start := len(b)
	b = fn(b)
	n := len(b) - start
	var length [binary.MaxVarintLen64]byte
	k := binary.PutUvarint(length[:], uint64(n))
	b = append(b, length[:k]...)
	copy(b[start+k:], b[start:start+n])
	copy(b[start:], length[:k])
	return b
}

func appendString(b []byte, tag uint64, s string) []byte {
	if s == "" {
		return b
	}
	b = binary.AppendUvarint(b, tag)
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendUint(b []byte, tag, n uint64) []byte {
	if n == 0 {
		return b
	}
	return appendNested(b, tag, func(b []byte) []byte { return binary.AppendUvarint(b, n) })
}

func appendInt(b []byte, tag uint64, n int64) []byte {
	if n == 0 {
		return b
	}
	return appendNested(b, tag, func(b []byte) []byte { return binary.AppendVarint(b, n) })
}

func appendInts(b []byte, tag uint64, list []int) []byte {
	if len(list) == 0 {
		return b
	}
	return appendNested(b, tag, func(b []byte) []byte {
		for _, n := range list {
			b = binary.AppendVarint(b, int64(n))
		}
		return b
	})
}

func appendBool(b []byte, tag uint64, v bool) []byte {
	if !v {
		return b
	}
	return appendUint(b, tag, 1)
}

// appendTime writes seconds and nanoseconds, so that every time.Time fits.
func appendTime(b []byte, tag uint64, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	return appendNested(b, tag, func(b []byte) []byte {
		b = binary.AppendVarint(b, t.Unix())
		return binary.AppendUvarint(b, uint64(t.Nanosecond()))
	})
}

func appendAddrPort(b []byte, tag uint64, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return b
	}
	return appendNested(b, tag, func(b []byte) []byte {
		b, _ = a.AppendBinary(b) // never fails
		return b
	})
}

var errMalformed = errors.New("malformed field")

// fields walks over the fields of an encoding. The values are parts of one
// string, so that a whole message costs one allocation for all its strings.
type fields struct {
	s   string
	tag uint64
	v   string
	err error
}

// next moves to the next field; false at the end or at an error.
func (f *fields) next() bool {
	if f.err != nil || f.s == "" {
		return false
	}
	tag, n := uvarint(f.s)
	if n <= 0 {
		f.fail(errMalformed)
		return false
	}
	size, m := uvarint(f.s[n:])
	if m <= 0 || size > uint64(len(f.s)-n-m) {
		f.fail(errMalformed)
		return false
	}
	f.tag = tag
	f.v, f.s = f.s[n+m:n+m+int(size)], f.s[n+m+int(size):]
	return true
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

func (f *fields) uint() uint64 {
	n, k := uvarint(f.v)
	if k <= 0 || k != len(f.v) {
		f.fail(errMalformed)
		return 0
	}
	return n
}

func (f *fields) uint8() uint8 {
	n := f.uint()
	if n > 255 {
		f.fail(errMalformed)
		return 0
	}
	return uint8(n)
}

func (f *fields) bool() bool { return f.uint() != 0 }

func (f *fields) int() int64 {
	n := f.uint()
	return int64(n>>1) ^ -int64(n&1)
}

func (f *fields) ints() []int {
	if f.v == "" {
		return nil
	}
	list := make([]int, 0, len(f.v)) // an int takes an octet at least
	for s := f.v; s != ""; {
		n, k := uvarint(s)
		if k <= 0 {
			f.fail(errMalformed)
			return nil
		}
		list = append(list, int(int64(n>>1)^-int64(n&1)))
		s = s[k:]
	}
	return list
}

func (f *fields) time() time.Time {
	sec, n := uvarint(f.v)
	if n <= 0 {
		f.fail(errMalformed)
		return time.Time{}
	}
	nsec, m := uvarint(f.v[n:])
	if m <= 0 || n+m != len(f.v) || nsec >= 1e9 {
		f.fail(errMalformed)
		return time.Time{}
	}
	return time.Unix(int64(sec>>1)^-int64(sec&1), int64(nsec)).UTC()
}

func (f *fields) addrPort() (a netip.AddrPort) {
	if err := a.UnmarshalBinary([]byte(f.v)); err != nil || !a.IsValid() {
		f.fail(errMalformed)
		return netip.AddrPort{}
	}
	return a
}

// uvarint is binary.Uvarint for strings.
func uvarint(s string) (uint64, int) {
	var x uint64
	for i := 0; i < len(s) && i < binary.MaxVarintLen64; i++ {
		c := s[i]
		if c < 0x80 {
			if i == binary.MaxVarintLen64-1 && c > 1 {
				return 0, -1
			}
			return x | uint64(c)<<(7*i), i + 1
		}
		x |= uint64(c&0x7f) << (7 * i)
	}
	return 0, 0
}
