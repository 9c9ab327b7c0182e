package spool_test

import (
	"testing"

	"postern/internal/message"
	"postern/queue/spool"
)

// BenchmarkLife takes messages of 8 KB through the store as a relay does:
// commit, load, read, finish.
func BenchmarkLife(b *testing.B) {
	s, err := spool.Open(b.TempDir(), spool.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	body := text(1, 8192)
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id, err := commit(s, body, envelope(1))
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := s.Load(id); err != nil {
				b.Error(err)
			}
			if _, err := content(s, id); err != nil {
				b.Error(err)
			}
			if err := s.Update(id, &message.Update{Done: true}); err != nil {
				b.Error(err)
			}
		}
	})
}
