package logs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"postern/config"
)

// The routing table log is one file for each snapshot, made whole and never
// changed: RoutingConfig#n@yyyymmddThhmmssZ.json, n counting on from the files
// that are there (reference 7.5).
const (
	snapshotSuffix = ".json"
	snapshotTime   = "20060102T150405Z"
	// maxSnapshots is how many wait for the disk; of more, the oldest is given
	// up.
	maxSnapshots = 16
	// snapshotRetry is how long a snapshot that could not be written waits.
	snapshotRetry = 10 * time.Second
)

// Snapshots is the routing table log. A nil Snapshots takes every call and does
// nothing. All methods may be called concurrently; none waits for the disk but
// Close.
type Snapshots struct {
	fs        fileSystem
	onError   func(error)
	onRecover func(int64)

	mu      sync.Mutex
	target  *target
	waiting []snapshot
	seq     int
	lost    int64
	closed  bool

	wake chan struct{}
	stop chan struct{}
	done chan struct{}
	err  error // set before done is closed
}

type snapshot struct {
	seq     int
	at      time.Time
	content []byte
}

// OpenSnapshots starts the routing table log. It fails only when the options
// make no sense. Who opens it closes it.
func OpenSnapshots(o Options) (*Snapshots, error) { return openSnapshots(o, osFS{}) }

func openSnapshots(o Options, fs fileSystem) (*Snapshots, error) {
	t, err := targetOf(RoutingTable, o.Log)
	if err != nil {
		return nil, err
	}
	s := &Snapshots{fs: fs, target: t, onError: o.OnError, onRecover: o.OnRecover,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	if s.onError == nil {
		s.onError = func(error) {}
	}
	if s.onRecover == nil {
		s.onRecover = func(int64) {}
	}
	go s.run()
	return s, nil
}

// Write has a snapshot written, unless the log is off.
func (s *Snapshots) Write(content []byte) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.target.enabled {
		return
	}
	if len(s.waiting) == maxSnapshots {
		s.waiting = s.waiting[1:]
		s.lost++
	}
	s.seq++
	s.waiting = append(s.waiting, snapshot{s.seq, time.Now().UTC(), content})
	signal(s.wake)
}

// Configure puts other settings in force, for what waits, too.
func (s *Snapshots) Configure(c config.Log) error {
	if s == nil {
		return nil
	}
	t, err := targetOf(RoutingTable, c)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	s.target = t
	signal(s.wake)
	return nil
}

// Close writes what waits, once, and ends the log. It waits no longer than the
// context allows.
func (s *Snapshots) Close(ctx context.Context) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.stop)
	}
	s.mu.Unlock()
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
		return fmt.Errorf("%s log: a snapshot is still being written: %w", RoutingTable, ctx.Err())
	}
}

func (s *Snapshots) run() {
	defer close(s.done)
	failing := false
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		stopped := false
		select {
		case <-s.wake:
		case <-retry.C:
		case <-s.stop:
			stopped = true
		}
		err := s.drain()
		switch {
		case err == nil && failing:
			failing = false
			s.onRecover(s.takeLost())
		case err != nil && !failing:
			failing = true
			s.onError(fmt.Errorf("%s log: %w; it is tried again every %v", RoutingTable, err, snapshotRetry))
		}
		if stopped {
			if err != nil {
				s.err = fmt.Errorf("%s log: a snapshot is lost: %w", RoutingTable, err)
			}
			return
		}
		if err != nil {
			retry.Reset(snapshotRetry)
		} else {
			retry.Reset(pruneInterval)
		}
	}
}

func (s *Snapshots) takeLost() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, s.lost = s.lost, 0
	return n
}

// drain writes what waits, and deletes old files.
func (s *Snapshots) drain() error {
	for {
		s.mu.Lock()
		t := s.target
		if len(s.waiting) == 0 {
			s.mu.Unlock()
			return s.prune(t, time.Now())
		}
		next := s.waiting[0]
		s.mu.Unlock()
		if err := s.write(t, next); err != nil {
			return err
		}
		s.mu.Lock()
		if len(s.waiting) > 0 && s.waiting[0].seq == next.seq {
			s.waiting = s.waiting[1:]
		}
		s.mu.Unlock()
	}
}

// write writes one file. One that could not be written whole is removed.
func (s *Snapshots) write(t *target, one snapshot) error {
	if err := s.fs.MkdirAll(t.directory, directoryMode); err != nil {
		return fmt.Errorf("make the directory: %w", err)
	}
	list, err := s.list(t)
	if err != nil {
		return err
	}
	n := 1
	for _, f := range list {
		n = max(n, f.n+1)
	}
	path := filepath.Join(t.directory, t.layout.Prefix+"#"+strconv.Itoa(n)+"@"+one.at.Format(snapshotTime)+snapshotSuffix)
	f, err := s.fs.OpenAppend(path, fileMode)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	_, err = f.Write(one.content)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), s.fs.Remove(path))
	}
	return nil
}

// snapshotFile is the name of a snapshot, taken apart.
type snapshotFile struct {
	name  string
	n     int
	entry fs.DirEntry
}

// list returns the snapshots of a directory, oldest first.
func (s *Snapshots) list(t *target) ([]snapshotFile, error) {
	entries, err := s.fs.ReadDir(t.directory)
	if err != nil {
		return nil, fmt.Errorf("list the directory: %w", err)
	}
	var files []snapshotFile
	for _, e := range entries {
		if n, ok := snapshotNumber(t.layout.Prefix, e.Name()); ok && !e.IsDir() {
			files = append(files, snapshotFile{e.Name(), n, e})
		}
	}
	slices.SortFunc(files, func(a, b snapshotFile) int { return cmp.Or(cmp.Compare(a.n, b.n), strings.Compare(a.name, b.name)) })
	return files, nil
}

func snapshotNumber(prefix, name string) (n int, ok bool) {
	rest, ok := strings.CutPrefix(name, prefix+"#")
	rest, isJSON := strings.CutSuffix(rest, snapshotSuffix)
	number, at, parted := strings.Cut(rest, "@")
	if !ok || !isJSON || !parted {
		return 0, false
	}
	n, err := strconv.Atoi(number)
	if _, wrong := time.Parse(snapshotTime, at); err != nil || wrong != nil || n < 1 || strconv.Itoa(n) != number {
		return 0, false
	}
	return n, true
}

// prune deletes the oldest snapshots beyond the limits. The newest stays.
func (s *Snapshots) prune(t *target, now time.Time) error {
	if !t.enabled {
		return nil
	}
	list, err := s.list(t)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var total int64
	infos := make([]os.FileInfo, len(list))
	for i, f := range list {
		if infos[i], err = f.entry.Info(); err == nil {
			total += infos[i].Size()
		}
	}
	var failed error
	for i, f := range list {
		if i == len(list)-1 || infos[i] == nil {
			break
		}
		if total <= t.maxDirectory && (t.maxAge == 0 || now.Sub(infos[i].ModTime()) <= t.maxAge) {
			continue
		}
		if err := s.fs.Remove(filepath.Join(t.directory, f.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, err)
			continue
		}
		total -= infos[i].Size()
	}
	return failed
}
