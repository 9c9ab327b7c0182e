package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"postern/internal/message"
)

const (
	formatVersion = 1
	// A segment's header stands at 0 and at headerCopy; records follow from
	// dataStart.
	segmentHeaderSize = 64
	headerCopy        = 4096
	dataStart         = 8192
	trailerSize       = 64
	segmentMagic      = "PSTNSEG\x00"
	trailerMagic      = "PSTNIDX\x00"
	minSegmentSize    = 32 << 10
	maxSegmentSize    = 1 << 30
	flagRing          = 1
)

var (
	errNoHeader   = errors.New("no valid segment header")
	errUnreadable = errors.New("cannot be read")
)

// segmentHeader is what a segment says about itself. Every version of the
// format keeps the places of magic, version and checksum.
type segmentHeader struct {
	ring   bool
	epoch  uint32
	secret uint64
	size   int64
}

func (h segmentHeader) encode() []byte {
	b := make([]byte, segmentHeaderSize)
	copy(b, segmentMagic)
	binary.LittleEndian.PutUint16(b[8:], formatVersion)
	if h.ring {
		binary.LittleEndian.PutUint16(b[10:], flagRing)
	}
	binary.LittleEndian.PutUint32(b[12:], h.epoch)
	binary.LittleEndian.PutUint64(b[16:], h.secret)
	binary.LittleEndian.PutUint64(b[24:], uint64(h.size))
	binary.LittleEndian.PutUint32(b[60:], checksum(b[:60]))
	return b
}

// decodeSegmentHeader reads one copy. version is valid when err is nil or
// ErrVersion.
func decodeSegmentHeader(b []byte) (h segmentHeader, err error) {
	if string(b[:8]) != segmentMagic || binary.LittleEndian.Uint32(b[60:]) != checksum(b[:60]) {
		return h, errNoHeader
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v > formatVersion {
		return h, fmt.Errorf("%w: segment format %d, this version knows %d", ErrVersion, v, formatVersion)
	}
	h.ring = binary.LittleEndian.Uint16(b[10:])&flagRing != 0
	h.epoch = binary.LittleEndian.Uint32(b[12:])
	h.secret = binary.LittleEndian.Uint64(b[16:])
	h.size = int64(binary.LittleEndian.Uint64(b[24:]))
	if h.size < minSegmentSize || h.size > maxSegmentSize {
		return h, errNoHeader
	}
	return h, nil
}

// readSegmentHeader returns the valid copy with the higher epoch.
func readSegmentHeader(f io.ReaderAt) (best segmentHeader, err error) {
	err = errNoHeader
	for _, off := range []int64{0, headerCopy} {
		b := make([]byte, segmentHeaderSize)
		if n, _ := f.ReadAt(b, off); n < len(b) {
			continue
		}
		h, herr := decodeSegmentHeader(b)
		if errors.Is(herr, ErrVersion) {
			return h, herr
		}
		if herr == nil && (err != nil || h.epoch > best.epoch) {
			best, err = h, nil
		}
	}
	return best, err
}

// segment is one segment file in one use, that is, with one epoch. The store's
// mutex guards it.
type segment struct {
	epoch uint32
	name  string // within segments/
	file  File
	stamp stamp
	ring  bool
	size  int64 // how far it may be written
	end   int64 // where its valid records end
	live  int64 // octets of records still needed
	// messages lists the ids of all message records that may be in it, for
	// the count of copies.
	messages []message.ID
	// seal is where the record is that seals this segment; sealPending says
	// that it has yet to be written.
	seal        loc
	sealPending bool
	readers     int
	dest        bool // being filled by the recycler
	failed      bool // a write or sync failed
	cut         bool // in use when an earlier run ended, and not full
	keep        bool // could not be read: never recycled
	index       []byte
	compactable bool
}

// stale reports whether the segment has been put to another use by somebody
// else. Its header changes before any of its records do: where a record does
// not verify and the segment is not stale by then, the record is damaged.
func (g *segment) stale() bool {
	h, err := readSegmentHeader(g.file)
	return err == nil && h.epoch != g.epoch
}

// used is how many octets of records the segment holds.
func (g *segment) used() int64 { return g.end - dataStart }

// trailer finds the index record of a sealed cold segment.
func (g *segment) trailer(indexOff int64) []byte {
	b := make([]byte, trailerSize)
	copy(b, trailerMagic)
	binary.LittleEndian.PutUint32(b[8:], g.epoch)
	binary.LittleEndian.PutUint32(b[12:], uint32(indexOff))
	binary.LittleEndian.PutUint32(b[60:], g.stamp.checksum(b[:60], 0))
	return b
}

// readIndex returns the index of a sealed cold segment; ok is false when it
// has none that verifies.
func readIndex(f File, st stamp) (entries []byte, end int64, ok bool) {
	size, err := f.Size()
	if err != nil || size < dataStart+recordHeader+trailerSize || size > 2*maxSegmentSize {
		return nil, 0, false
	}
	t := make([]byte, trailerSize)
	if n, _ := f.ReadAt(t, size-trailerSize); n < len(t) {
		return nil, 0, false
	}
	off := int64(binary.LittleEndian.Uint32(t[12:]))
	if string(t[:8]) != trailerMagic || binary.LittleEndian.Uint32(t[60:]) != st.checksum(t[:60], 0) ||
		binary.LittleEndian.Uint32(t[8:]) != st.epoch || off < dataStart || off > size-trailerSize-recordHeader {
		return nil, 0, false
	}
	b := make([]byte, size-trailerSize-off)
	if n, _ := f.ReadAt(b, off); n < len(b) {
		return nil, 0, false
	}
	h, ok := st.parse(b, off)
	if !ok || h.kind != kindIndex || h.size() > int64(len(b)) {
		return nil, 0, false
	}
	entries = b[recordHeader : recordHeader+int64(h.metaLen)]
	if checksum(entries) != h.metaCRC {
		return nil, 0, false
	}
	return entries, off, true
}
