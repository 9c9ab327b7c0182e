package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"postern/internal/eventid"
	"postern/logs/event"
)

// startWithEvents serves a gateway with an event log of its own.
func startWithEvents(t *testing.T) (*Client, *event.Log, *strings.Builder) {
	t.Helper()
	out := new(strings.Builder) // read after Close alone
	l := event.Open(event.Options{Stderr: out})
	g := &fakeGateway{}
	g.logger, g.events = l.Logger(eventid.Control), l
	c, _ := start(t, g)
	return c, l, out
}

func closeEvents(t *testing.T, l *event.Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Error(err)
	}
}

// TestLogLevels: an order is in force when it is answered, the answer says so,
// and the event log has who gave it.
func TestLogLevels(t *testing.T) {
	c, l, out := startWithEvents(t)
	level := func(levels *LogLevels, area eventid.Area) LogLevel {
		for _, a := range levels.Areas {
			if a.Area == string(area) {
				return a
			}
		}
		t.Fatalf("no area %s in %+v", area, levels)
		return LogLevel{}
	}
	all, err := c.LogLevels(t.Context())
	if err != nil || len(all.Areas) != len(eventid.Areas()) || level(all, eventid.Routing) != (LogLevel{Area: "routing", Level: "info", Configured: "info"}) {
		t.Fatalf("%+v, %v", all, err)
	}
	got, err := c.OrderLogLevels(t.Context(), LogLevelOrder{Levels: map[string]string{"routing": "debug", "all": "error"}, For: 600})
	if err != nil {
		t.Fatal(err)
	}
	r, q := level(got, eventid.Routing), level(got, eventid.Queue)
	if r.Level != "debug" || !r.Ordered || r.Configured != "info" || q.Level != "error" || time.Until(r.Until).Round(time.Minute) != 10*time.Minute {
		t.Errorf("%+v %+v", r, q)
	}
	if logger := l.Logger(eventid.Routing); !logger.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("the order is not in force")
	}
	got, err = c.OrderLogLevels(t.Context(), LogLevelOrder{Reset: []string{"queue"}, Levels: map[string]string{"dns": "debug"}, Unlimited: true})
	if err != nil {
		t.Fatal(err)
	}
	if q, d, r := level(got, eventid.Queue), level(got, eventid.DNS), level(got, eventid.Routing); q.Ordered || q.Level != "info" || !d.Ordered || !d.Until.IsZero() || r.Level != "debug" {
		t.Errorf("%+v %+v %+v", q, d, r)
	}
	if got, err = c.OrderLogLevels(t.Context(), LogLevelOrder{Levels: map[string]string{"tls": "warn"}}); err != nil || time.Until(level(got, eventid.TLS).Until).Round(time.Minute) != DefaultLogLevelFor {
		t.Errorf("the default: %+v, %v", got, err)
	}
	if got, err = c.OrderLogLevels(t.Context(), LogLevelOrder{Reset: []string{"all"}}); err != nil || fmt.Sprint(got) != fmt.Sprint(all) {
		t.Errorf("reset: %+v, %v", got, err)
	}
	closeEvents(t, l)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	told := 0
	for _, line := range lines {
		if strings.Contains(line, "event_id=20209") {
			told++
		}
	}
	// The first order silences the area of these events, the fourth ends that.
	if told != 1 || !strings.Contains(out.String(), ` area=control by="uid `) {
		t.Errorf("%d orders are told:\n%s", told, out)
	}
	want := ` levels="server=error config=error control=error logs=error receive=error queue=error spool=error send=error routing=debug tls=error backpressure=error pickup=error dns=error" until=2`
	if !strings.Contains(out.String(), want) {
		t.Errorf("the event log lacks %s:\n%s", want, out)
	}
}

func TestLogLevelsRefused(t *testing.T) {
	c, l, _ := startWithEvents(t)
	defer closeEvents(t, l)
	for _, tt := range []struct {
		order LogLevelOrder
		want  string
	}{
		{LogLevelOrder{}, "names no area"},
		{LogLevelOrder{Levels: map[string]string{"routnig": "debug"}}, `"routnig" is no area of the event log; the areas are server, config`},
		{LogLevelOrder{Reset: []string{""}}, `"" is no area`},
		{LogLevelOrder{Levels: map[string]string{"routing": "loud"}}, `"loud" is no level of the event log; debug, info, warn and error are`},
		{LogLevelOrder{Levels: map[string]string{"routing": ""}}, `"" is no level`},
		{LogLevelOrder{Levels: map[string]string{"routing": "debug"}, For: -1}, "want seconds from 1 to 604800"},
		{LogLevelOrder{Levels: map[string]string{"routing": "debug"}, For: 604801}, "want seconds from 1 to 604800"},
		{LogLevelOrder{Levels: map[string]string{"routing": "debug"}, For: 1, Unlimited: true}, "contradict"},
	} {
		_, err := c.OrderLogLevels(t.Context(), tt.order)
		var r *RequestError
		if !errors.As(err, &r) || !r.BadRequest() || !strings.Contains(r.Text, tt.want) {
			t.Errorf("%+v: %v", tt.order, err)
		}
	}
	for _, a := range l.Levels() {
		if a.Ordered {
			t.Errorf("a refused order is in force: %+v", a)
		}
	}
}

// TestNoEvents: a gateway whose logger is somebody else's says so.
func TestNoEvents(t *testing.T) {
	c, _ := start(t, &fakeGateway{})
	_, err := c.LogLevels(t.Context())
	var r *RequestError
	if !errors.As(err, &r) || r.Status != http.StatusNotFound {
		t.Errorf("%v", err)
	}
	if s, err := c.Status(t.Context(), Thresholds{}); err != nil || s.Events == nil || len(s.Events) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestStatusTellsTrouble: the status has the latest warnings and errors.
func TestStatusTellsTrouble(t *testing.T) {
	c, l, _ := startWithEvents(t)
	defer closeEvents(t, l)
	l.Logger(eventid.Spool).Error("spool: damage", eventid.SpoolDamage.Attr(), "file", "a\x1b")
	l.Logger(eventid.Queue).Info("notification sent", eventid.NotificationSent.Attr())
	l.Logger(eventid.Queue).Warn("message expired", eventid.MessageExpired.Attr())
	s, err := c.Status(t.Context(), Thresholds{})
	if err != nil || len(s.Events) != 2 {
		t.Fatalf("%+v, %v", s, err)
	}
	one, two := s.Events[0], s.Events[1]
	if one.ID != 22002 || one.Level != "warn" || one.Area != "queue" || two.ID != 23002 || two.Level != "error" || two.Attributes["file"] != "a\x1b" || time.Since(two.Time) > time.Minute {
		t.Errorf("%+v", s.Events)
	}
	if b, err := json.Marshal(s); err != nil || !strings.Contains(string(b), `"events":[{"time":`) {
		t.Errorf("%s, %v", b, err)
	}
}
