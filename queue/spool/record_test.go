package spool

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"postern/internal/message"
)

func TestRecordRoundTrip(t *testing.T) {
	st := newStamp(0x1234, 7)
	h := header{kind: kindState, flags: 1, shard: 3, metaLen: 10, bodyLen: 20, lsn: 99, id: 1 << 60, metaCRC: 5, bodyCRC: 6}
	b := make([]byte, recordHeader)
	h.put(b, st, 8192)
	if got, ok := st.parse(b, 8192); !ok || got != h {
		t.Errorf("got %+v, %v", got, ok)
	}
	if _, ok := st.parse(b, 8200); ok {
		t.Error("a header verifies at another place")
	}
	if _, ok := newStamp(0x1235, 7).parse(b, 8192); ok {
		t.Error("a header verifies with another secret")
	}
	for i := range b {
		c := bytes.Clone(b)
		c[i] ^= 0x10
		if _, ok := st.parse(c, 8192); ok {
			t.Errorf("a header with octet %d changed verifies", i)
		}
	}
}

// TestEpochs: octets of one epoch never verify under another, whatever they
// are: not just probably.
func TestEpochs(t *testing.T) {
	b := make([]byte, 44)
	seen := make(map[uint32]uint32)
	for epoch := uint32(1); epoch < 100000; epoch++ {
		sum := newStamp(42, epoch).checksum(b, 8192)
		if other, ok := seen[sum]; ok {
			t.Fatalf("epochs %d and %d give the same checksum", epoch, other)
		}
		seen[sum] = epoch
	}
}

// TestMemory holds the bound on memory per message (docs/design/spool.md
// section 11).
func TestMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector changes what things take")
	}
	const n = 200000
	measure := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := measure()
	c := newCatalog()
	var g *segment
	for i := range n {
		if i%2000 == 0 {
			g = &segment{epoch: uint32(i/2000 + 1), end: 16 << 20}
			c.segs[g.epoch] = g
		}
		id := message.ID(i) << 20
		c.addMessage(id, place{makeLoc(g.epoch, int64(i%2000)*8000), 8000}, 7000, 1, false)
		c.addCopy(g, id)
		c.setState(id, 0, place{makeLoc(g.epoch, int64(i%2000)*8000), 300})
	}
	each := float64(measure()-before) / n
	t.Logf("%.1f octets for each message", each)
	if each > 150 {
		t.Errorf("%.1f octets for each message", each)
	}
	runtime.KeepAlive(&c)
}

func TestLeanState(t *testing.T) {
	st := message.NewState(130)
	for i := range st.Recipients {
		st.Recipients[i] = message.RecipientState{Status: message.Deferred, Tries: i, RemoteMTA: strings.Repeat("m", 300),
			Reply: message.Reply{Code: 451, Text: fmt.Sprint(i) + strings.Repeat("x", 4000)}}
	}
	st.Attempts = []message.Attempt{{Host: strings.Repeat("h", 9000)}}
	for shard := range 3 {
		for _, lean := range []bool{false, true} {
			for _, limit := range []int{64 << 10, 4 << 10} {
				b := appendShard([]byte("before"), st, shard, limit, lean)
				if n := len(b) - 6; n > limit || lean && n > int(stateRoom(130, shard)) {
					t.Errorf("shard %d, lean %v: %d octets, at most %d", shard, lean, n, limit)
				}
				got := message.NewState(130)
				if err := addShard(got, 1, shard, b[6:]); err != nil {
					t.Fatal(err)
				}
				for i := shard * shardSize; i < min((shard+1)*shardSize, 130); i++ {
					if r := got.Recipients[i]; r.Status != message.Deferred || r.Tries != i || r.Reply.Code != 451 {
						t.Errorf("recipient %d: %+v", i, r)
					}
				}
			}
		}
	}
	if len(st.Recipients[0].Reply.Text) < 4000 || len(st.Attempts) != 1 {
		t.Error("the state in memory was cut")
	}
}

// FuzzScan reads arbitrary octets as a segment. Nothing but what was written
// may come out, and nothing may panic.
func FuzzScan(f *testing.F) {
	st := newStamp(1, 2)
	valid := make([]byte, 200)
	h := header{kind: kindMessage, metaLen: 16, bodyLen: 100, metaCRC: checksum(make([]byte, 16)), bodyCRC: checksum(make([]byte, 100))}
	h.put(valid, st, dataStart)
	f.Add(valid, uint16(0), byte(0))
	f.Add(valid, uint16(8), byte(255))
	f.Add([]byte("PSTR\x01\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"), uint16(3), byte(1))
	f.Fuzz(func(t *testing.T, in []byte, at uint16, flip byte) {
		b := append(make([]byte, dataStart), in...)
		if len(in) > 0 {
			b[dataStart+int(at)%len(in)] ^= flip
		}
		end := int64(dataStart)
		last, gaps, err := scan(bytes.NewReader(b), st, int64(len(b)), func(r *scanned) error {
			if r.off < end || r.off%recordAlign != 0 || checksum(r.meta) != r.metaCRC || checksum(r.body) != r.bodyCRC {
				t.Errorf("record at %d: %+v", r.off, r.header)
			}
			end = r.off + r.size()
			return nil
		})
		if err != nil || last != end || last > int64(len(b)) {
			t.Errorf("end %d, %d, err %v", last, end, err)
		}
		for _, g := range gaps {
			if g.from >= g.to || g.to > int64(len(b)) {
				t.Errorf("gap %+v", g)
			}
		}
	})
}

// FuzzIndex reads arbitrary octets as the index of a cold segment.
func FuzzIndex(f *testing.F) {
	f.Add(appendIndexEntry(nil, &header{kind: kindMessage, metaLen: 3, lsn: 9, id: 8}, 8192, []byte("abc")))
	f.Add(appendIndexEntry(nil, &header{kind: kindState, shard: 7, metaLen: 300, bodyLen: 1}, 9000, nil))
	f.Fuzz(func(t *testing.T, in []byte) {
		e, rest, ok := parseIndexEntry(in)
		if !ok {
			return
		}
		again := appendIndexEntry(nil, &e.header, e.off, e.meta)
		e2, rest2, ok := parseIndexEntry(again)
		if !ok || len(rest2) != 0 || e2.header != e.header || e2.off != e.off || !bytes.Equal(e2.meta, e.meta) {
			t.Errorf("%+v reads back as %+v", e, e2)
		}
		if len(rest) >= len(in) {
			t.Error("nothing was taken")
		}
	})
}

// FuzzHeaders reads arbitrary octets as the small structures of the format.
func FuzzHeaders(f *testing.F) {
	f.Add(segmentHeader{ring: true, epoch: 1, secret: 2, size: minSegmentSize}.encode())
	f.Add((&metaData{seq: 1, segmentSize: minSegmentSize}).encode())
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < segmentHeaderSize {
			return
		}
		fix := bytes.Clone(in) // with the right checksum, to get past it
		binary.LittleEndian.PutUint32(fix[60:], checksum(fix[:60]))
		for _, b := range [][]byte{in, fix} {
			if h, err := decodeSegmentHeader(b); err == nil && (h.size < minSegmentSize || h.size > maxSegmentSize) {
				t.Errorf("%+v", h)
			}
			if m, ok := decodeMeta(b); ok && (m.segmentSize < minSegmentSize || m.segmentSize > maxSegmentSize) {
				t.Errorf("%+v", m)
			}
		}
	})
}
