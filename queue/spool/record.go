package spool

import (
	"encoding/binary"
	"hash/crc32"

	"postern/internal/message"
)

// kind is what a record is. A number never changes its meaning.
type kind uint8

const (
	kindMessage kind = 1 + iota // a message: envelope and content
	kindState                   // a shard of a message's state
	kindDone                    // a message has left the spool
	kindSeal                    // the end of another segment
	kindIndex                   // what is in a cold segment
)

const (
	recordHeader = 48
	recordMagic  = 0x52545350 // "PSTR"
	recordAlign  = 8
	// flagBodyFile says that a message's content is in a file of its own.
	flagBodyFile = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Update(0, castagnoli, b) }

// header is the head of a record. docs/design/spool.md section 3 has its
// layout.
type header struct {
	kind             kind
	flags            uint8
	shard            uint16
	metaLen, bodyLen uint32
	lsn, id          uint64
	metaCRC, bodyCRC uint32
}

// size is the length of the whole record with its padding.
func (h *header) size() int64 {
	n := recordHeader + int64(h.metaLen) + int64(h.bodyLen)
	return (n + recordAlign - 1) &^ (recordAlign - 1)
}

// sealID and sealed put a segment and its end into the id of a seal record.
func sealID(epoch uint32, end int64) uint64         { return uint64(epoch)<<32 | uint64(uint32(end)) }
func (h *header) sealed() (epoch uint32, end int64) { return uint32(h.id >> 32), int64(uint32(h.id)) }

// stamp is what ties records to one use of one segment: octets that were
// written under another epoch, or for another place, do not verify.
type stamp struct {
	epoch uint32
	seed  uint32
}

func newStamp(secret uint64, epoch uint32) stamp {
	var b [12]byte
	binary.LittleEndian.PutUint64(b[:], secret)
	binary.LittleEndian.PutUint32(b[8:], epoch)
	return stamp{epoch, checksum(b[:])}
}

func (s stamp) checksum(b []byte, off int64) uint32 {
	var o [4]byte
	binary.LittleEndian.PutUint32(o[:], uint32(off))
	return crc32.Update(crc32.Update(s.seed, castagnoli, o[:]), castagnoli, b)
}

// put writes the header for the record's place.
func (h *header) put(b []byte, s stamp, off int64) {
	le := binary.LittleEndian
	_ = b[recordHeader-1]
	le.PutUint32(b, recordMagic)
	b[4], b[5] = byte(h.kind), h.flags
	le.PutUint16(b[6:], h.shard)
	le.PutUint32(b[8:], h.metaLen)
	le.PutUint32(b[12:], h.bodyLen)
	le.PutUint64(b[16:], h.lsn)
	le.PutUint64(b[24:], h.id)
	le.PutUint32(b[32:], h.metaCRC)
	le.PutUint32(b[36:], h.bodyCRC)
	le.PutUint32(b[40:], s.epoch)
	le.PutUint32(b[44:], s.checksum(b[:44], off))
}

// looksLikeRecord is the cheap half of parse, for searching.
func looksLikeRecord(b []byte) bool { return binary.LittleEndian.Uint32(b) == recordMagic }

// parse reads a header that stands at off; false when it is not one of this
// epoch and place.
func (s stamp) parse(b []byte, off int64) (h header, ok bool) {
	le := binary.LittleEndian
	if len(b) < recordHeader || !looksLikeRecord(b) || le.Uint32(b[40:]) != s.epoch || le.Uint32(b[44:]) != s.checksum(b[:44], off) {
		return header{}, false
	}
	h = header{
		kind: kind(b[4]), flags: b[5], shard: le.Uint16(b[6:]),
		metaLen: le.Uint32(b[8:]), bodyLen: le.Uint32(b[12:]),
		lsn: le.Uint64(b[16:]), id: le.Uint64(b[24:]),
		metaCRC: le.Uint32(b[32:]), bodyCRC: le.Uint32(b[36:]),
	}
	return h, h.kind >= kindMessage && h.kind <= kindIndex
}

// messageMeta is the fixed part in front of a message's envelope.
type messageMeta struct {
	size  int64  // octets of content
	crc   uint32 // of the content
	rcpts uint32
}

const messageMetaSize = 16

func (m messageMeta) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(m.size))
	b = binary.LittleEndian.AppendUint32(b, m.crc)
	return binary.LittleEndian.AppendUint32(b, m.rcpts)
}

// parseMessageMeta splits a message's meta into its fixed part and the
// encoded envelope.
func parseMessageMeta(b []byte) (m messageMeta, envelope []byte, ok bool) {
	if len(b) < messageMetaSize {
		return m, nil, false
	}
	m.size = int64(binary.LittleEndian.Uint64(b))
	m.crc = binary.LittleEndian.Uint32(b[8:])
	m.rcpts = binary.LittleEndian.Uint32(b[12:])
	// A recipient takes two octets of an envelope at least.
	return m, b[messageMetaSize:], m.size >= 0 && int64(m.rcpts) <= int64(len(b))
}

// loc is a record's place: epoch and offset. Zero is nowhere.
type loc uint64

func makeLoc(epoch uint32, off int64) loc { return loc(uint64(epoch)<<32 | uint64(uint32(off))) }
func (l loc) epoch() uint32               { return uint32(l >> 32) }
func (l loc) offset() int64               { return int64(uint32(l)) }

// indexEntry is one record as the index of a cold segment repeats it.
type indexEntry struct {
	header
	off  int64
	meta []byte // of messages only
}

func appendIndexEntry(b []byte, h *header, off int64, meta []byte) []byte {
	b = append(b, byte(h.kind), h.flags)
	b = binary.AppendUvarint(b, uint64(h.shard))
	b = binary.AppendUvarint(b, uint64(off))
	b = binary.AppendUvarint(b, uint64(h.metaLen))
	b = binary.AppendUvarint(b, uint64(h.bodyLen))
	b = binary.AppendUvarint(b, h.lsn)
	b = binary.LittleEndian.AppendUint64(b, h.id)
	b = binary.LittleEndian.AppendUint32(b, h.metaCRC)
	b = binary.LittleEndian.AppendUint32(b, h.bodyCRC)
	if h.kind == kindMessage {
		b = append(b, meta...)
	}
	return b
}

// parseIndexEntry takes one entry off the front of b.
func parseIndexEntry(b []byte) (e indexEntry, rest []byte, ok bool) {
	if len(b) < 2 {
		return e, nil, false
	}
	e.kind, e.flags, b = kind(b[0]), b[1], b[2:]
	var num [5]uint64
	for i := range num {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return e, nil, false
		}
		num[i], b = v, b[n:]
	}
	if num[0] > 0xffff || num[1] > 0xffffffff || num[2] > 0xffffffff || num[3] > 0xffffffff || len(b) < 16 {
		return e, nil, false
	}
	e.shard, e.off, e.metaLen, e.bodyLen, e.lsn = uint16(num[0]), int64(num[1]), uint32(num[2]), uint32(num[3]), num[4]
	e.id = binary.LittleEndian.Uint64(b)
	e.metaCRC, e.bodyCRC = binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:])
	b = b[16:]
	if e.kind == kindMessage {
		if uint64(e.metaLen) > uint64(len(b)) {
			return e, nil, false
		}
		e.meta, b = b[:e.metaLen], b[e.metaLen:]
	}
	return e, b, true
}

// shardSize is how many recipients one state record holds.
const shardSize = 64

func shardCount(rcpts uint32) int { return max(1, (int(rcpts)+shardSize-1)/shardSize) }

// shardOf returns the part of a state that shard i holds. Attempts and the
// standing are in shard 0.
func shardOf(st *message.State, i int) *message.State {
	lo := min(i*shardSize, len(st.Recipients))
	hi := min(lo+shardSize, len(st.Recipients))
	sub := &message.State{Recipients: st.Recipients[lo:hi]}
	if i == 0 {
		sub.Attempts, sub.Standing = st.Attempts, st.Standing
	}
	return sub
}

// recordEpoch is the epoch a record claims.
func recordEpoch(b []byte) uint32 { return binary.LittleEndian.Uint32(b[40:]) }
