package queue

import (
	"context"
	"fmt"
	"testing"
	"time"

	"postern/internal/message"
	"postern/queue/spool"
)

// BenchmarkSpool is the same way as BenchmarkSubmit's on a real spool with many
// clients: stored durably, routed, delivered, recorded. What the disk costs is
// in it.
func BenchmarkSpool(b *testing.B) {
	s, err := spool.Open(b.TempDir(), spool.Options{})
	if err != nil {
		b.Fatal(err)
	}
	deliverer := &instant{}
	q, err := New(Options{Settings: Settings{Router: routerFunc(byDomain), ReportingMTA: "edge.example"}, Store: s, Deliverer: deliverer})
	if err != nil {
		b.Fatal(err)
	}
	if err := q.Start(context.Background()); err != nil {
		b.Fatal(err)
	}
	body := make([]byte, 8<<10)
	names := make([]string, 100)
	for i := range names {
		names[i] = fmt.Sprintf("d%d.example", i)
	}
	deliverer.done.Add(b.N)
	b.ReportAllocs()
	b.SetParallelism(64)
	began := cpu()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			d, err := q.Create()
			if err != nil {
				b.Error(err)
				return
			}
			d.Write(body)
			e := &message.Envelope{From: message.Address{Local: "bob", Domain: "sender.example"}, Arrived: time.Now(),
				Recipients: []message.Recipient{{Address: message.Address{Local: "kim", Domain: names[i%len(names)]}}}}
			if err := q.Submit(context.Background(), d, e); err != nil {
				b.Error(err)
				return
			}
		}
	})
	deliverer.done.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpu()-began).Microseconds())/float64(b.N), "cpu-µs/op")
	if err := q.Stop(context.Background()); err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
