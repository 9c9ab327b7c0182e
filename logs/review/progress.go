package review

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Progress is what can be told of a review while it goes on and after it. The
// zero value is ready; a nil Progress counts nothing. All methods may be called
// concurrently.
type Progress struct {
	total, read, lines atomic.Int64

	mu         sync.Mutex
	unreadable int64
	places     []string
	troubles   []string
}

// maxPlaces is how many places a Progress remembers.
const maxPlaces = 50

// Octets returns how many octets of log were read, of how many there are in the
// files that were chosen. Of a file that is left early, or compressed, the part
// is an estimate.
func (p *Progress) Octets() (read, total int64) {
	if p == nil {
		return 0, 0
	}
	return p.read.Load(), p.total.Load()
}

// Lines returns how many lines were read.
func (p *Progress) Lines() int64 {
	if p == nil {
		return 0
	}
	return p.lines.Load()
}

// Unreadable returns how many lines could not be read, and where the first of
// them are: "FILE: octet N: why".
func (p *Progress) Unreadable() (lines int64, places []string) {
	if p == nil {
		return 0, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unreadable, append([]string(nil), p.places...)
}

// Troubles returns what else went wrong: files that could not be read, or not
// to their end. At most some dozens are kept.
func (p *Progress) Troubles() []string {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.troubles...)
}

func (p *Progress) addTotal(n int64) {
	if p != nil {
		p.total.Add(n)
	}
}

func (p *Progress) addRead(octets, lines int64) {
	if p != nil {
		p.read.Add(octets)
		p.lines.Add(lines)
	}
}

func (p *Progress) badLine(file string, offset int64, why string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unreadable++
	if len(p.places) < maxPlaces {
		p.places = append(p.places, fmt.Sprintf("%s: octet %d: %s", file, offset, why))
	}
}

func (p *Progress) trouble(format string, args ...any) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if text := fmt.Sprintf(format, args...); len(p.troubles) < maxPlaces && !slices.Contains(p.troubles, text) {
		p.troubles = append(p.troubles, text)
	}
}
