package server

import (
	"runtime"
	"strings"
	"sync"
	"time"

	"postern/backpressure"
	"postern/internal/metrics"
	"postern/queue"
)

// deliveryBounds are the bounds of the time from acceptance to delivery: from
// what a gateway takes that is at rest to when messages expire.
func deliveryBounds() []time.Duration {
	return []time.Duration{
		5 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, time.Second, 5 * time.Second, 15 * time.Second,
		time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 24 * time.Hour, 48 * time.Hour,
	}
}

// syncBounds are those of a sync of the spool.
func syncBounds() []time.Duration {
	return []time.Duration{
		250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
		25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 10 * time.Second,
	}
}

// outflow counts what Send connectors have delivered. Counters are looked up
// once for each connector.
type outflow struct {
	registry   *metrics.Registry
	connectors sync.Map // of *delivered, by the connector's name
}

type delivered struct {
	messages, octets, recipients *metrics.Counter
	latency                      *metrics.Histogram
}

func (o *outflow) of(connector string) *delivered {
	if d, ok := o.connectors.Load(connector); ok {
		return d.(*delivered)
	}
	label := metrics.Label{Name: "connector", Value: connector}
	d, _ := o.connectors.LoadOrStore(connector, &delivered{
		messages: o.registry.Counter("send_messages", label), octets: o.registry.Counter("send_octets", label),
		recipients: o.registry.Counter("send_recipients", label),
		latency:    o.registry.Histogram("delivery_latency_seconds", deliveryBounds(), label),
	})
	return d.(*delivered)
}

// count counts a delivery.
func (o *outflow) count(e *queue.Event) {
	d := o.of(e.Hop.Connector)
	d.messages.Inc()
	d.octets.Add(e.Envelope.Size)
	d.recipients.Add(int64(len(e.Outcome.Recipients)))
	d.latency.Observe(e.At.Sub(e.Envelope.Arrived))
}

// Metrics gathers all figures of the gateway. Its cost grows with the number of
// queued messages: about a millisecond for a million.
func (s *Server) Metrics() []metrics.Family {
	var e metrics.Exposition
	e.AddRegistry(s.metrics, metricHelp)
	s.gatherQueues(&e)
	s.gatherSpool(&e)
	s.gatherPressure(&e)
	s.gatherServer(&e)
	gatherProcess(&e, s.started)
	return e.Families()
}

// statuses are those of a queue, so that each has a series although no queue has
// it.
func statuses() []queue.Status {
	return []queue.Status{queue.Active, queue.Connecting, queue.Ready, queue.Retry, queue.Suspended}
}

func (s *Server) gatherQueues(e *metrics.Exposition) {
	type sum struct{ queues, messages int }
	sums := make(map[queue.Status]sum)
	oldest := time.Time{}
	poisoned := 0
	for _, i := range s.queue.Snapshot() {
		n := sums[i.Status]
		n.queues++
		n.messages += i.Messages
		sums[i.Status] = n
		if !i.Oldest.IsZero() && (oldest.IsZero() || i.Oldest.Before(oldest)) {
			oldest = i.Oldest
		}
		if i.Name == queue.PoisonName {
			poisoned = i.Messages
		}
	}
	for _, status := range statuses() {
		label := metrics.Label{Name: "status", Value: strings.ToLower(string(status))}
		e.Add(metrics.KindGauge, "postern_queues", "Delivery queues by their status.", float64(sums[status].queues), label)
		e.Add(metrics.KindGauge, "postern_queue_items", "Messages by the status of their queue; one in several queues counts in each.", float64(sums[status].messages), label)
	}
	age := 0.0
	if !oldest.IsZero() {
		age = max(time.Since(oldest).Seconds(), 0)
	}
	st := s.queue.Stats()
	gauge := func(name, help string, v float64) { e.Add(metrics.KindGauge, name, help, v) }
	gauge("postern_queue_oldest_message_age_seconds", "How long the oldest queued message has been here; 0 when there is none.", age)
	gauge("postern_queue_messages", "Messages that are queued, each counted once.", float64(st.Messages))
	gauge("postern_queue_in_flight", "Messages that are being delivered just now.", float64(st.InFlight))
	gauge("postern_queue_waiting", "Messages in flight that wait for an answer of the DNS, or for a connection to a host that has all it may have.", float64(st.Waiting))
	gauge("postern_queue_deferred", "Messages that wait because a try failed.", float64(st.Deferred))
	gauge("postern_queue_unreachable", "Messages that no Send connector takes.", float64(st.Unreachable))
	gauge("postern_queue_poison", "Messages that are parked because the gateway panicked over them.", float64(poisoned))
	gauge("postern_queue_unsaved_outcomes", "Messages with outcomes that could not be stored yet.", float64(st.Unsaved))
	counter := func(name, help string, v uint64, labels ...metrics.Label) {
		e.Add(metrics.KindCounter, name, help, float64(v), labels...)
	}
	counter("postern_queue_messages_submitted_total", "Messages that were queued, notifications of our own not among them.", st.Submitted)
	for _, o := range []struct {
		name string
		n    uint64
	}{{"deferred", st.Deferrals}, {"delivered", st.Delivered}, {"expired", st.Expired}, {"failed", st.Failed}} {
		counter("postern_queue_recipients_total", "Recipients by what came of a try to deliver to them.", o.n, metrics.Label{Name: "outcome", Value: o.name})
	}
	counter("postern_queue_notifications_total", "Notifications that were sent.", st.Notifications)
	counter("postern_queue_notifications_suppressed_total", "Recipients whose sender is not told what became of them.", st.Suppressed)
	counter("postern_queue_panics_total", "Panics over a message, which were caught.", st.Panics)
}

func (s *Server) gatherSpool(e *metrics.Exposition) {
	st := s.store.Stats()
	gauge := func(name, help string, v float64, labels ...metrics.Label) {
		e.Add(metrics.KindGauge, name, help, v, labels...)
	}
	gauge("postern_spool_messages", "Messages in the spool.", float64(st.Messages))
	gauge("postern_spool_bytes", "Content of the messages in the spool.", float64(st.Bytes))
	gauge("postern_spool_segments", "Segments of the journal.", float64(st.Segments))
	gauge("postern_spool_segments_free", "Segments of the journal that are ready for use.", float64(st.FreeSegments))
	no := 0.0
	if st.NoSpace {
		no = 1
	}
	gauge("postern_spool_no_space", "1 while new messages are refused because the spool has no room.", no)
	gauge("postern_spool_pending_updates", "Messages with outcomes that are not yet durable.", float64(st.PendingUpdates))
	gauge("postern_spool_draft_bytes", "Content that is held in memory while messages come in.", float64(st.DraftBytes))
	gauge("postern_spool_damaged", "Stretches of the spool that could not be read back.", float64(st.Damaged))
	e.Add(metrics.KindCounter, "postern_spool_failures_total", "Writes and syncs that failed.", float64(st.Failures))
}

func (s *Server) gatherPressure(e *metrics.Exposition) {
	st := s.Pressure()
	e.Add(metrics.KindGauge, "postern_back_pressure_level", "The worst level of all resources: 0 normal, 1 medium, 2 high.", float64(st.Level))
	for i := range st.Resources {
		r := &st.Resources[i]
		if r.State != backpressure.StateWatched {
			continue
		}
		label := metrics.Label{Name: "resource", Value: string(r.Name)}
		for _, g := range []struct {
			name, help string
			v          float64
		}{
			{"level", "The level of a resource: 0 normal, 1 medium, 2 high.", float64(r.Level)},
			{"used", "How much of a resource is in use, in its own unit.", r.Used},
			{"medium", "From which use on the level of a resource is medium, in its own unit.", r.Medium},
			{"high", "From which use on the level of a resource is high, in its own unit.", r.High},
		} {
			e.Add(metrics.KindGauge, "postern_back_pressure_resource_"+g.name, g.help, g.v, label)
		}
	}
}

func (s *Server) gatherServer(e *metrics.Exposition) {
	states := map[bool]int{}
	for _, b := range s.Bindings() {
		states[b.Addr != nil]++
	}
	const help = "Bindings of the Receive connectors, by whether they listen."
	e.Add(metrics.KindGauge, "postern_receive_bindings", help, float64(states[true]), metrics.Label{Name: "state", Value: "listening"})
	e.Add(metrics.KindGauge, "postern_receive_bindings", help, float64(states[false]), metrics.Label{Name: "state", Value: "failed"})
	refused := 0.0
	if _, err := s.ReloadRefused(); err != nil {
		refused = 1
	}
	e.Add(metrics.KindGauge, "postern_configuration_refused", "1 when the latest reload was refused, so that the file is not what is in force.", refused)
	e.Add(metrics.KindGauge, "postern_build_info", "Always 1; the labels say what runs.", 1, metrics.Label{Name: "version", Value: s.options.Version},
		metrics.Label{Name: "revision", Value: s.options.Revision}, metrics.Label{Name: "goversion", Value: runtime.Version()})
}
