package logs

import (
	"io/fs"
	"regexp"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestSessionIDs(t *testing.T) {
	form := regexp.MustCompile(`^[0-9A-F]{16}$`)
	var ids SessionIDs
	last := ""
	for range 20_000 {
		id := ids.Next()
		if !form.MatchString(id) || id <= last {
			t.Fatalf("%s after %s", id, last)
		}
		last = id
	}
	// As Exchange's: ticks since the year 1. 08DD5A0B1C2D3E4F is in March 2025.
	if last < "08DD5A0B1C2D3E4F" || last > "0A" {
		t.Errorf("%s is not of our time", last)
	}
}

func TestSessionIDsConcurrent(t *testing.T) {
	var ids SessionIDs
	var mu sync.Mutex
	seen := make(map[string]bool)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				id := ids.Next()
				mu.Lock()
				if seen[id] {
					t.Errorf("%s came twice", id)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// TestSessionIDsRestart: ids of a later run are greater. Each bubble's clock
// starts at the same moment, as after a restart with a clock that was set back;
// then they differ all the same unless the drawn bits agree.
func TestSessionIDsRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a, b SessionIDs
		before := a.Next()
		time.Sleep(time.Second)
		if after := b.Next(); after <= before {
			t.Errorf("%s comes after %s", after, before)
		}
	})
	first := make(map[string]bool)
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			var ids SessionIDs
			first[ids.Next()] = true
		})
	}
	if len(first) < 10 { // by chance once in 10^20
		t.Errorf("20 runs at the same time began with %d ids", len(first))
	}
}

func BenchmarkSession(b *testing.B) {
	p := open(b, b.TempDir(), Options{Server: "EDGE01"}, nullFS{})
	s := p.Session("From Internet", "08DD5A0B1C2D3E4F", local, remote)
	for _, c := range []struct{ name, data string }{
		{"plain", "RCPT TO:<somebody@example.net>"},
		{"quoted", "220 edge01.example.org ESMTP ready at Tue, 4 Mar 2025 08:00:00 +0000"},
		{"escaped", "RCPT TO:<grüße@bücher.example> \x1b"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Received(c.data)
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			s := p.Session("From Internet", "08DD5A0B1C2D3E4F", local, remote)
			for pb.Next() {
				s.Received("RCPT TO:<somebody@example.net>")
			}
		})
	})
	b.Run("new session", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p.Session("From Internet", "08DD5A0B1C2D3E4F", local, remote)
		}
	})
	closeLog(b, p)
}

// BenchmarkToDisk is bounded by what the disk takes; nothing is dropped.
func BenchmarkToDisk(b *testing.B) {
	p := open(b, b.TempDir(), Options{Server: "EDGE01"}, osFS{})
	s := p.Session("From Internet", "08DD5A0B1C2D3E4F", local, remote)
	b.ReportAllocs()
	for b.Loop() {
		s.Received("RCPT TO:<somebody@example.net>")
	}
	closeLog(b, p)
}

func BenchmarkSessionIDs(b *testing.B) {
	var ids SessionIDs
	b.ReportAllocs()
	for b.Loop() {
		ids.Next()
	}
}

// nullFS swallows what is written.
type nullFS struct{ osFS }

type nullFile struct{ file }

func (nullFS) OpenAppend(path string, mode fs.FileMode) (file, error) {
	f, err := osFS{}.OpenAppend(path, mode)
	return nullFile{f}, err
}

func (nullFile) Write(b []byte) (int, error) { return len(b), nil }
