package spool

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"postern/internal/message"
)

const (
	versionName  = "VERSION"
	versionText  = "postern-spool "
	lockName     = "lock"
	metaName     = "meta"
	segmentsDir  = "segments"
	bodiesDir    = "bodies"
	damagedDir   = "damaged"
	metaMagic    = "PSTNMET\x00"
	metaSlot     = 4096
	metaUsed     = 64
	epochReserve = 1024
	idReserve    = 2 * time.Minute
)

// metaData is what a slot of the meta file holds.
type metaData struct {
	seq         uint64
	secret      uint64
	segmentSize int64
	idCeiling   uint64 // no id above it has been given out
	epochLimit  uint32 // no epoch from here on has been given out
}

func (m *metaData) encode() []byte {
	b := make([]byte, metaUsed)
	le := binary.LittleEndian
	copy(b, metaMagic)
	le.PutUint64(b[8:], m.seq)
	le.PutUint64(b[16:], m.secret)
	le.PutUint64(b[24:], uint64(m.segmentSize))
	le.PutUint64(b[32:], m.idCeiling)
	le.PutUint32(b[40:], m.epochLimit)
	le.PutUint32(b[60:], checksum(b[:60]))
	return b
}

func decodeMeta(b []byte) (m metaData, ok bool) {
	le := binary.LittleEndian
	if string(b[:8]) != metaMagic || le.Uint32(b[60:]) != checksum(b[:60]) {
		return m, false
	}
	m = metaData{le.Uint64(b[8:]), le.Uint64(b[16:]), int64(le.Uint64(b[24:])), le.Uint64(b[32:]), le.Uint32(b[40:])}
	return m, m.segmentSize >= minSegmentSize && m.segmentSize <= maxSegmentSize
}

// readMeta returns the latest valid slot.
func readMeta(f io.ReaderAt) (best metaData, ok bool) {
	for slot := range int64(2) {
		b := make([]byte, metaUsed)
		if n, _ := f.ReadAt(b, slot*metaSlot); n < len(b) {
			continue
		}
		if m, valid := decodeMeta(b); valid && (!ok || m.seq > best.seq) {
			best, ok = m, true
		}
	}
	return best, ok
}

// metaFile keeps what must be known before any segment is: it gives out ids
// and epochs. It has locks of its own, taken inside no other: mu guards the
// data and is never held while something is written, writing is held for that.
type metaFile struct {
	writing   sync.Mutex // taken before mu
	f         File
	mu        sync.Mutex
	data      metaData // as it is on disk
	lastID    uint64
	nextEpoch uint32
}

// change makes the data durable as f leaves it, in the slot that does not hold
// the current one. A slot whose write failed is written again next time, so
// that the other stays whole. f is called with mu held.
func (m *metaFile) change(f func(*metaData)) error {
	m.writing.Lock()
	defer m.writing.Unlock()
	m.mu.Lock()
	data := m.data
	f(&data)
	m.mu.Unlock()
	data.seq++
	if _, err := m.f.WriteAt(data.encode(), int64(data.seq%2)*metaSlot); err != nil {
		return fmt.Errorf("spool: writing %s: %w", metaName, err)
	}
	if err := m.f.Sync(); err != nil {
		return fmt.Errorf("spool: syncing %s: %w", metaName, err)
	}
	m.mu.Lock()
	m.data = data
	m.mu.Unlock()
	return nil
}

// idOrigin is where the clock of ids starts.
var idOrigin = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// idAt is the first id of a moment.
func idAt(t time.Time) uint64 { return idSpan(max(t.Sub(idOrigin), 0)) }

// idSpan is how many ids a stretch of time has.
func idSpan(d time.Duration) uint64 { return uint64(d.Milliseconds()) << 22 }

// newID gives out an id that has never been given out before. When the clock
// has passed the ceiling while no message came, ids count up below it for as
// long as there are any, so that a message after an idle hour does not wait
// for another sync. low says that the ceiling wants raising.
func (m *metaFile) newID() (id message.ID, low bool, err error) {
	for {
		m.mu.Lock()
		next := max(m.lastID+1, idAt(time.Now()))
		if next > m.data.idCeiling {
			next = m.lastID + 1
		}
		if next <= m.data.idCeiling {
			m.lastID = next
			low = m.lowIDs()
			m.mu.Unlock()
			return message.ID(next), low, nil
		}
		m.mu.Unlock()
		if err := m.raise(); err != nil {
			return 0, false, err
		}
	}
}

// lowIDs reports whether less than half of the reserve of ids is left. Called
// with mu held.
func (m *metaFile) lowIDs() bool {
	return max(m.lastID, idAt(time.Now()))+idSpan(idReserve/2) > m.data.idCeiling
}

// raise moves the ceiling of ids up.
func (m *metaFile) raise() error {
	return m.change(func(d *metaData) {
		d.idCeiling = max(m.lastID, idAt(time.Now())) + idSpan(idReserve)
	})
}

// replenish raises the ceiling of ids when it is low.
func (m *metaFile) replenish() error {
	m.mu.Lock()
	low := m.lowIDs()
	m.mu.Unlock()
	if !low {
		return nil
	}
	return m.raise()
}

// newEpoch gives out an epoch that has never been given out before.
func (m *metaFile) newEpoch() (uint32, error) {
	for {
		m.mu.Lock()
		epoch := m.nextEpoch
		if epoch < m.data.epochLimit {
			m.nextEpoch++
			m.mu.Unlock()
			return epoch, nil
		}
		m.mu.Unlock()
		err := m.change(func(d *metaData) { d.epochLimit = m.nextEpoch + epochReserve })
		if err != nil {
			return 0, err
		}
	}
}

// close notes the last id given out, so that the next start goes on from
// there.
func (m *metaFile) close() error {
	var err error
	if m.data.idCeiling != m.lastID {
		err = m.change(func(d *metaData) { d.idCeiling = m.lastID })
	}
	return errors.Join(err, m.f.Close())
}

// openMeta opens the meta file, or makes it. found says that a slot was valid.
func openMeta(fsys FS, dir string) (f File, data metaData, found bool, err error) {
	path := filepath.Join(dir, metaName)
	f, err = fsys.OpenFile(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, data, false, err
	}
	data, found = readMeta(f)
	return f, data, found, nil
}

// createMeta writes both slots of a new meta file, so that later writes
// allocate nothing.
func createMeta(f File, data metaData) error {
	b := make([]byte, 2*metaSlot)
	copy(b[metaSlot:], data.encode()) // its sequence is odd
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	return f.Sync()
}

func newSecret() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

// checkVersion reads the version file. A spool without one is taken for one of
// ours: its segments tell their version too.
func checkVersion(fsys FS, dir string) (found bool, err error) {
	f, err := fsys.OpenFile(filepath.Join(dir, versionName), os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	b := make([]byte, 64)
	n, _ := f.ReadAt(b, 0)
	word := strings.TrimSpace(strings.TrimPrefix(string(b[:n]), versionText))
	v, err := strconv.Atoi(word)
	if err != nil {
		return false, nil // damaged: written again
	}
	if v > formatVersion {
		return true, fmt.Errorf("%w: %s has format %d, this version knows %d; use the newer program, or its `spool salvage`", ErrVersion, dir, v, formatVersion)
	}
	return true, nil
}

// writeVersion writes the version file under another name first, so that it is
// whole or not there.
func writeVersion(fsys FS, dir string) error {
	tmp := filepath.Join(dir, versionName+".new")
	f, err := fsys.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(versionText+strconv.Itoa(formatVersion)+"\n"), 0)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(tmp, filepath.Join(dir, versionName)); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}
