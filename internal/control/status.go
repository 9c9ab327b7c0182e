package control

import (
	"context"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"time"

	"postern/backpressure"
	"postern/queue"
	"postern/queue/spool"
	ptls "postern/tls"
)

// Version is the program's version.
type Version struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Status is how a gateway is doing, one section for each of its parts.
type Status struct {
	// Verdict says whether all is well, and why not.
	Verdict Verdict `json:"verdict"`
	// Trend is what has happened within the last minute.
	Trend     Trend        `json:"trend"`
	Server    ServerStatus `json:"server"`
	Listeners []Listener   `json:"listeners"`
	Queues    QueueStatus  `json:"queues"`
	Spool     SpoolStatus  `json:"spool"`
	// BackPressure is how short resources are, and what is refused for that.
	BackPressure backpressure.Status `json:"back_pressure"`
	// Events are the latest of the event log at the levels of warnings and
	// errors, newest first, at most fifty.
	Events []Event `json:"events"`
	// Certificates are those that peers are shown, the first to expire first.
	Certificates []ptls.Shown `json:"certificates"`
}

// ServerStatus is the process. Uptime is in seconds.
type ServerStatus struct {
	FQDN string `json:"fqdn"`
	Version
	// File is the configuration file; empty for the embedded default.
	File    string    `json:"file"`
	Started time.Time `json:"started"`
	Uptime  int64     `json:"uptime"`
	// Goroutines is how many of them the process has.
	Goroutines int `json:"goroutines"`
	// ReloadError is why the latest reload was refused, ReloadRefused when; empty
	// when it was not.
	ReloadError   string    `json:"reload_error,omitempty"`
	ReloadRefused time.Time `json:"reload_refused,omitzero"`
}

// Listener is a binding of the Receive connectors.
type Listener struct {
	Address   string `json:"address"`
	Listening bool   `json:"listening"`
	// Error is why it does not listen.
	Error string `json:"error,omitempty"`
}

// QueueStatus sums up all delivery queues.
type QueueStatus struct {
	// ByStatus counts queues and their messages by the status of the queue. A
	// message in several queues counts in each.
	ByStatus map[string]QueueSum `json:"by_status"`
	// Messages counts all, InFlight, Deferred and Unreachable parts of them;
	// Oldest is when the oldest arrived. Distinct counts a message once that
	// stands in several queues.
	Messages    int       `json:"messages"`
	Distinct    int       `json:"distinct_messages"`
	InFlight    int       `json:"in_flight"`
	Deferred    int       `json:"deferred"`
	Unreachable int       `json:"unreachable"`
	Oldest      time.Time `json:"oldest,omitzero"`
	// Unsaved counts messages with outcomes that could not be stored yet.
	Unsaved int `json:"unsaved_outcomes"`
	// What follows counts since the start: messages submitted and
	// notifications, and recipients.
	Submitted     uint64 `json:"submitted"`
	Delivered     uint64 `json:"delivered"`
	Deferrals     uint64 `json:"deferrals"`
	Failed        uint64 `json:"failed"`
	Expired       uint64 `json:"expired"`
	Notifications uint64 `json:"notifications"`
	Suppressed    uint64 `json:"suppressed"`
}

// QueueSum counts queues of one status.
type QueueSum struct {
	Queues int `json:"queues"`
	// Empty is how many of them hold nothing just now.
	Empty    int `json:"empty"`
	Messages int `json:"messages"`
}

// SpoolStatus are the figures of the store: sizes in octets, times in seconds.
type SpoolStatus struct {
	Messages         int     `json:"messages"`
	Bytes            int64   `json:"bytes"`
	SegmentSize      int64   `json:"segment_size"`
	Segments         int     `json:"segments"`
	FreeSegments     int     `json:"free_segments"`
	ReservedSegments int     `json:"reserved_segments"`
	ColdSegments     int     `json:"cold_segments"`
	LiveRatio        float64 `json:"live_ratio"`
	// NoSpace says that new messages are refused.
	NoSpace        bool    `json:"no_space"`
	PendingUpdates int     `json:"pending_updates"`
	DraftBytes     int64   `json:"draft_bytes"`
	LastSync       float64 `json:"last_sync"`
	MaxSync        float64 `json:"max_sync"`
	// Failures counts failed writes and syncs, LastError the latest of them;
	// Damaged counts stretches that could not be read back.
	Failures  uint64 `json:"failures"`
	LastError string `json:"last_error,omitempty"`
	Damaged   int    `json:"damaged"`
}

// Status asks how the gateway is doing, judged by thresholds.
func (c *Client) Status(ctx context.Context, t Thresholds) (*Status, error) {
	q := url.Values{}
	if t.MaxAge > 0 {
		q.Set("max_age", strconv.Itoa(int(t.MaxAge/time.Second)))
	}
	if t.MaxQueue > 0 {
		q.Set("max_queue", strconv.Itoa(t.MaxQueue))
	}
	return ask[Status](ctx, c, http.MethodGet, "/v1/status", q, nil)
}

type statusHandler struct {
	o      Options
	trends *trends
}

// The bounds of thresholds: a year, in seconds, and more than a queue can hold.
const (
	maxThresholdAge   = 366 * 24 * 3600
	maxThresholdQueue = 1 << 30
)

func (h statusHandler) status(r *http.Request) (any, error) {
	q := newQuery(r)
	t := Thresholds{
		MaxAge:   time.Duration(q.number("max_age", 1, maxThresholdAge, 0)) * time.Second,
		MaxQueue: q.number("max_queue", 1, maxThresholdQueue, 0),
	}
	if err := q.close(); err != nil {
		return nil, err
	}
	g := h.o.Gateway
	list := h.o.Queues.Snapshot()
	s := Status{
		Server: ServerStatus{
			FQDN: g.FQDN(), Version: h.o.Version, File: g.File(), Started: g.Started().UTC(), Uptime: int64(time.Since(g.Started()) / time.Second),
			Goroutines: runtime.NumGoroutine(),
		},
		Listeners: []Listener{},
		Queues:    sumQueues(list, h.o.Queues.Stats()),
		Spool:     describeSpool(g.SpoolStats()),

		Events:       latestTrouble(h.o.Events),
		BackPressure: g.Pressure(), Certificates: g.Certificates(), Trend: h.trends.over(trendShown),
	}
	for _, b := range g.Bindings() {
		l := Listener{Address: b.Address.String(), Listening: b.Addr != nil}
		if b.Err != nil && b.Addr == nil {
			l.Error = b.Err.Error()
		}
		s.Listeners = append(s.Listeners, l)
	}
	if at, err := g.ReloadRefused(); err != nil {
		s.Server.ReloadError, s.Server.ReloadRefused = err.Error(), at.UTC()
	}
	s.Verdict = s.judge(list, h.trends.over(trendKept), t, time.Now())
	return s, nil
}

func sumQueues(list []queue.QueueInfo, stats queue.Stats) QueueStatus {
	s := QueueStatus{
		ByStatus: map[string]QueueSum{}, Distinct: stats.Messages, InFlight: stats.InFlight, Deferred: stats.Deferred, Unreachable: stats.Unreachable, Unsaved: stats.Unsaved,
		Submitted: stats.Submitted, Delivered: stats.Delivered, Deferrals: stats.Deferrals, Failed: stats.Failed, Expired: stats.Expired,
		Notifications: stats.Notifications, Suppressed: stats.Suppressed,
	}
	for _, i := range list {
		sum := s.ByStatus[string(i.Status)]
		sum.Queues++
		sum.Messages += i.Messages
		if i.Messages == 0 {
			sum.Empty++
		}
		s.ByStatus[string(i.Status)] = sum
		s.Messages += i.Messages
		if !i.Oldest.IsZero() && (s.Oldest.IsZero() || i.Oldest.Before(s.Oldest)) {
			s.Oldest = i.Oldest.UTC()
		}
	}
	return s
}

func describeSpool(s spool.Stats) SpoolStatus {
	return SpoolStatus{
		Messages: s.Messages, Bytes: s.Bytes, SegmentSize: s.SegmentSize, Segments: s.Segments, FreeSegments: s.FreeSegments,
		ReservedSegments: s.ReservedSegments, ColdSegments: s.ColdSegments, LiveRatio: s.LiveRatio, NoSpace: s.NoSpace,
		PendingUpdates: s.PendingUpdates, DraftBytes: s.DraftBytes, LastSync: s.LastSync.Seconds(), MaxSync: s.MaxSync.Seconds(),
		Failures: s.Failures, LastError: s.LastError, Damaged: s.Damaged,
	}
}
