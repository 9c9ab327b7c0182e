package tcp

import (
	"bytes"
	"io"
	"testing"
)

// TestWriteLast: what is written last arrives whole, the end behind it, while
// the other direction goes on.
func TestWriteLast(t *testing.T) {
	for _, size := range []int{0, 3, 5 << 20} {
		near, far := pair(t)
		want := bytes.Repeat([]byte("221 "), size/4+1)[:size]
		got := make(chan []byte)
		go func() {
			b, err := io.ReadAll(far)
			if err != nil {
				t.Error(err)
			}
			got <- b
		}()
		n, err := near.(interface {
			WriteLast([]byte) (int, error)
		}).WriteLast(want)
		if n != size || err != nil {
			t.Fatalf("wrote %d octets of %d: %v", n, size, err)
		}
		if !bytes.Equal(<-got, want) {
			t.Errorf("%d octets came changed", size)
		}
		if _, err := near.Write([]byte("x")); err == nil {
			t.Error("something was written after the end")
		}
		if _, err := far.Write([]byte("y")); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(near, make([]byte, 1)); err != nil {
			t.Error(err)
		}
	}
}
