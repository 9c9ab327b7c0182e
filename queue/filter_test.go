package queue

import (
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
	"postern/routing"
)

func TestFilters(t *testing.T) {
	inWorld(t, func(w *world) {
		w.options.Router = routerFunc(func(q routing.Query) routing.Decision {
			if q.Recipient.Domain == "nowhere.example" {
				return nowhere()
			}
			return byDomain(q)
		})
	}, func(t *testing.T, w *world) {
		w.always(postpone)
		e := envelope("a@x.example")
		e.Subject, e.From = "Quarterly REPORT", message.Address{}
		first := w.submit(e)
		time.Sleep(time.Hour)
		second := w.submit(envelope("a@sub.y.example", "b@X.example"))
		third := w.submit(envelope("c@nowhere.example"))
		synctest.Wait()
		w.order(Suspend, second)
		began := w.began
		for _, tt := range []struct {
			f    Filter
			want []message.ID
		}{
			{Filter{}, []message.ID{first, second, third}},
			{Filter{IDs: []message.ID{third, first, third, 99}}, []message.ID{first, third}},
			{Filter{Queue: "Internet/x.example"}, []message.ID{first}},
			{Filter{Queue: "Internet/X.example"}, []message.ID{second}},
			{Filter{Queue: UnreachableName}, []message.ID{third}},
			{Filter{Queue: PoisonName}, nil},
			{Filter{From: "<>"}, []message.ID{first}},
			{Filter{From: "BOB@sender.example"}, []message.ID{second, third}},
			{Filter{To: "a@x.example"}, []message.ID{first}},
			{Filter{To: "b@x.example"}, []message.ID{second}},
			{Filter{Domain: "*.y.example"}, []message.ID{second}},
			{Filter{Domain: "y.example"}, nil},
			{Filter{Domain: "x.example"}, []message.ID{first, second}},
			{Filter{ArrivedBefore: began.Add(time.Minute)}, []message.ID{first}},
			{Filter{LargerThan: 10}, []message.ID{first, second, third}},
			{Filter{LargerThan: 1000}, nil},
			{Filter{Subject: "report"}, []message.ID{first}},
			{Filter{Status: StatusRetry}, []message.ID{first}},
			{Filter{Status: StatusSuspended}, []message.ID{second}},
			{Filter{Status: StatusUnreachable}, []message.ID{third}},
		} {
			var got []message.ID
			for _, m := range w.list(tt.f) {
				got = append(got, m.ID)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%+v: got %v, want %v", tt.f, got, tt.want)
			}
			dry := w.carry(Order{Verb: Remove, Filter: tt.f, DryRun: true})
			if dry.Matched != len(tt.want) || dry.Changed != len(tt.want) {
				t.Errorf("%+v: a dry run counts %+v", tt.f, dry)
			}
		}
		m := w.list(Filter{IDs: []message.ID{first}})[0]
		if m.Recipients != 1 || m.FirstRecipient != address("a@x.example") || m.Subject != e.Subject || m.LastError.Code != 451 || m.Tries == 0 ||
			m.NextTry.IsZero() || !m.Expires.Equal(e.Arrived.Add(defaultExpiration)) || !reflect.DeepEqual(m.Queues, []string{"Internet/x.example"}) || m.Source != "SMTP:" {
			t.Errorf("%+v", m)
		}
		if m := w.list(Filter{IDs: []message.ID{second}})[0]; !m.NextTry.IsZero() || !m.Expires.IsZero() || len(m.Queues) != 2 {
			t.Errorf("suspended: %+v", m)
		}
		w.carry(Order{Verb: Remove})
		w.settled()
	})
}

func TestSmallest(t *testing.T) {
	for _, n := range []int{0, 1, 99, 100, 101, 5000, 100000} {
		for name, order := range map[string]func(i int) int{
			"up": func(i int) int { return i }, "down": func(i int) int { return n - i }, "mixed": func(i int) int { return i * 7919 % 100003 },
		} {
			left := map[message.ID]bool{}
			var all []message.ID
			for i := range n {
				id := message.ID(order(i) + 1)
				left[id], all = true, append(all, id)
			}
			var after message.ID
			for pages := 0; ; pages++ {
				var rest []message.ID
				for _, id := range all {
					if id > after {
						rest = append(rest, id)
					}
				}
				list, more := smallest(rest, 100)
				for _, id := range list {
					if !left[id] || id <= after {
						t.Fatalf("%d %s: %d comes twice or out of order", n, name, id)
					}
					delete(left, id)
					after = id
				}
				for id := range left {
					if id < after {
						t.Fatalf("%d %s: %d was passed over", n, name, id)
					}
					break
				}
				if !more {
					break
				}
				if len(list) == 0 || pages > n {
					t.Fatalf("%d %s: no progress", n, name)
				}
				if n == 100000 && pages == 3 {
					left = nil
					break
				}
			}
			if len(left) > 0 {
				t.Errorf("%d %s: %d are missing", n, name, len(left))
			}
		}
	}
}
