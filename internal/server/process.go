package server

import (
	runtimemetrics "runtime/metrics"
	"time"

	"postern/backpressure"
	"postern/internal/metrics"
)

// gatherProcess adds what every exporter tells of its process, under the names
// that dashboards know. What this platform does not tell is left out.
func gatherProcess(e *metrics.Exposition, started time.Time) {
	gauge := func(name, help string, v float64) { e.Add(metrics.KindGauge, name, help, v) }
	gauge("process_start_time_seconds", "When the gateway was started, since 1970.", float64(started.UnixMilli())/1000)
	if r, err := backpressure.MemoryMeter()(); err == nil {
		gauge("process_resident_memory_bytes", "Resident memory.", float64(r.Used))
	}
	if r, err := backpressure.DescriptorMeter()(); err == nil {
		gauge("process_open_fds", "Open file descriptors.", float64(r.Used))
		gauge("process_max_fds", "How many file descriptors may be open.", float64(r.Limit))
	}
	if t, ok := processorTime(); ok {
		e.Add(metrics.KindCounter, "process_cpu_seconds_total", "Processor time, of user and system.", t.Seconds())
	}
	samples := []struct{ from, name, help string }{
		{"/sched/goroutines:goroutines", "go_goroutines", "Goroutines."},
		{"/memory/classes/heap/objects:bytes", "go_memstats_heap_alloc_bytes", "Memory of objects on the heap, garbage included."},
		{"/memory/classes/total:bytes", "go_memstats_sys_bytes", "Memory that the Go runtime has from the system."},
	}
	read := make([]runtimemetrics.Sample, len(samples))
	for i := range samples {
		read[i].Name = samples[i].from
	}
	runtimemetrics.Read(read)
	for i, s := range samples {
		if read[i].Value.Kind() == runtimemetrics.KindUint64 {
			gauge(s.name, s.help, float64(read[i].Value.Uint64()))
		}
	}
}
