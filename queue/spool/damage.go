package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"postern/internal/eventid"
)

// putAside copies a damaged stretch of a segment to damaged/ and reports it.
// If that fails the segment itself is kept.
func (s *Store) putAside(d damaged) {
	report := Damage{File: filepath.Join(segmentsDir, d.seg.name), Offset: d.from, Length: d.to - d.from, Reason: d.reason}
	if d.to > d.from && !d.seg.keep {
		name := filepath.Join(damagedDir, fmt.Sprintf("%08x-%08x.bin", d.seg.epoch, d.from))
		if err := s.copyAside(name, d); err != nil {
			s.mu.Lock()
			d.seg.keep = true
			s.mu.Unlock()
			report.Reason += "; could not be put aside, the segment stays: " + err.Error()
		} else {
			report.Kept = name
		}
	}
	s.report(report)
}

// report notes damage for Stats, Recovery and the log. The caller does not
// hold the mutex.
func (s *Store) report(d Damage) {
	s.mu.Lock()
	s.stats.damaged++
	if s.opening {
		s.recovery.Damage = append(s.recovery.Damage, d)
	}
	s.mu.Unlock()
	s.o.Logger.Error("spool: damage", eventid.SpoolDamage.Attr(), "file", d.File, "offset", d.Offset, "length", d.Length, "kept", d.Kept, "reason", d.Reason)
}

// copyAside writes the stretch to a file of its own, unless an earlier start
// has done so.
func (s *Store) copyAside(name string, d damaged) error {
	if err := s.makeDamagedDir(); err != nil {
		return err
	}
	path := filepath.Join(s.dir, name)
	if fi, err := s.fs.Stat(path); err == nil && fi.Size() == d.to-d.from {
		return nil
	}
	f, err := s.fs.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	b := make([]byte, min(d.to-d.from, windowSize))
	for off := d.from; off < d.to && err == nil; off += int64(len(b)) {
		b = b[:min(int64(len(b)), d.to-off)]
		var n int
		if n, err = d.seg.file.ReadAt(b, off); errors.Is(err, io.EOF) {
			clear(b[n:])
			err = nil
		}
		if err == nil {
			_, err = f.WriteAt(b, off-d.from)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, s.fs.Remove(path))
	}
	return s.fs.SyncDir(filepath.Join(s.dir, damagedDir))
}

// setAsideFile moves a whole file to damaged/ and reports it.
func (s *Store) setAsideFile(path, reason string) {
	report := Damage{File: path, Reason: reason}
	if fi, err := s.fs.Stat(filepath.Join(s.dir, path)); err == nil {
		report.Length = fi.Size()
	}
	name := filepath.Join(damagedDir, filepath.Base(path))
	err := s.makeDamagedDir()
	if err == nil {
		err = s.fs.Rename(filepath.Join(s.dir, path), filepath.Join(s.dir, name))
	}
	if err != nil {
		report.Reason += "; could not be put aside: " + err.Error()
	} else {
		report.Kept = name
	}
	s.report(report)
}

func (s *Store) makeDamagedDir() error {
	path := filepath.Join(s.dir, damagedDir)
	if _, err := s.fs.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.fs.MkdirAll(path); err != nil {
		return err
	}
	return s.fs.SyncDir(s.dir)
}
