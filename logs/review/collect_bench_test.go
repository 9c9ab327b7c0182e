package review

import (
	"context"
	"runtime"
	"testing"
	"time"
)

// BenchmarkCollect adds up 64 MB of protocol logs; MB/s are of what is read.
func BenchmarkCollect(b *testing.B) {
	dir := b.TempDir()
	total := writeOut(b, dir, 64<<20, false)
	b.SetBytes(total)
	for b.Loop() {
		src, err := At(dir)
		if err != nil {
			b.Fatal(err)
		}
		s, err := Collect(context.Background(), src, &Query{}, time.UTC, nil)
		if err != nil || s.Summary(10).Receive.Sessions == 0 {
			b.Fatal(err)
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.Sys)/(1<<20), "MB-of-memory")
	}
}
