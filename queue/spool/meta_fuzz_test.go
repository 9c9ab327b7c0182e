package spool

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// FuzzMeta: no slot of the meta file is taken whose checksum does not hold, or
// whose segments would have a size that none can have; what is taken is
// written again as it was.
func FuzzMeta(f *testing.F) {
	good := metaData{seq: 1, secret: 2, segmentSize: minSegmentSize, idCeiling: 4, epochLimit: 5}
	later := good
	later.seq, later.segmentSize = 2, maxSegmentSize
	f.Add(good.encode(), later.encode(), false)
	f.Add(later.encode(), good.encode(), true)
	f.Add([]byte(metaMagic), []byte{}, true)
	f.Fuzz(func(t *testing.T, first, second []byte, sign bool) {
		file := make([]byte, metaSlot+metaUsed)
		copy(file[:metaSlot], first)
		copy(file[metaSlot:], second)
		if sign { // so that what stands behind the checksum is reached
			for _, slot := range [][]byte{file[:metaUsed], file[metaSlot:]} {
				copy(slot, metaMagic)
				binary.LittleEndian.PutUint32(slot[60:], checksum(slot[:60]))
			}
		}
		best, ok := readMeta(bytes.NewReader(file))
		if ok && (best.segmentSize < minSegmentSize || best.segmentSize > maxSegmentSize) {
			t.Fatalf("taken: %+v", best)
		}
		if again, valid := decodeMeta(best.encode()); ok && (!valid || again != best) {
			t.Fatalf("%+v is read again as %+v, %v", best, again, valid)
		}
		for _, slot := range [][]byte{file[:metaUsed], file[metaSlot:]} {
			m, valid := decodeMeta(slot)
			if valid && (!ok || m.seq > best.seq) {
				t.Fatalf("%+v was passed over for %+v, %v", m, best, ok)
			}
			damaged := bytes.Clone(slot)
			damaged[0] ^= 1
			if _, stillValid := decodeMeta(damaged); valid && stillValid {
				t.Fatalf("%x is taken with another magic", damaged)
			}
		}
	})
}
