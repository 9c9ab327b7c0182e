package queue

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"postern/config"
	"postern/internal/message"
)

type originalText struct{ *io.SectionReader }

func (originalText) Close() error { return nil }

func original(s string) message.Content {
	return originalText{io.NewSectionReader(strings.NewReader(s), 0, int64(len(s)))}
}

// brokenText can't be read.
type brokenText struct{ message.Content }

func (brokenText) Read([]byte) (int, error)          { return 0, errors.New("bad sector") }
func (brokenText) ReadAt([]byte, int64) (int, error) { return 0, errors.New("bad sector") }

// TestRefuse: the sender of a message that was never queued is told, by the rules
// for all notifications.
func TestRefuse(t *testing.T) {
	reply := message.Reply{Code: 554, Enhanced: [3]int{5, 6, 0}, Text: "it holds a NUL octet"}
	never := envelope("kim@there.example")
	never.Recipients[0].Notify = message.NotifyNever
	null := envelope("kim@there.example")
	null.From = message.Address{}
	for name, tt := range map[string]struct {
		e        *message.Envelope
		original message.Content
		policy   []config.RemoteDomain
		want     string // in the notification; empty when there is to be none
	}{
		"told":       {envelope("kim@there.example"), original("Subject: lost\n\n\x00"), nil, "Subject: lost"},
		"unreadable": {envelope("kim@there.example"), brokenText{original("x")}, nil, "Diagnostic-Code: smtp; 554 5.6.0 it holds a NUL octet"},
		"never":      {never, original("x"), nil, ""},
		"null":       {null, original("x"), nil, ""},
		"policy":     {envelope("kim@there.example"), original("x"), []config.RemoteDomain{{Domain: "sender.example"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(w *world) { w.options.Notifications.RemoteDomains = tt.policy })
				defer w.stop()
				w.setDeliver(nil)
				id, err := w.q.Refuse(context.Background(), tt.e, reply, tt.original)
				if err != nil || (id != 0) != (tt.want != "") {
					t.Fatalf("id %v, error %v", id, err)
				}
				if tt.want == "" {
					return
				}
				m := w.store.get(id)
				if m == nil || !strings.Contains(string(m.content), tt.want) || !strings.Contains(string(m.content), "Final-Recipient: rfc822; kim@there.example") ||
					!m.envelope.From.IsNull() || !m.envelope.Origin.Internal || m.envelope.Recipients[0].Address != tt.e.From {
					t.Errorf("%+v", m)
				}
			})
		})
	}
}

// TestRefuseStorage: what can't be stored is an error, and not counted.
func TestRefuseStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.options.Notifications.MaxPerHour = 1 })
		defer w.stop()
		full := true
		w.store.setFail(func(op string) error {
			if full && op == "commit" {
				return errors.New("no space")
			}
			return nil
		})
		reply := message.Reply{Code: 554, Text: "no"}
		for range 3 {
			if _, err := w.q.Refuse(context.Background(), envelope("kim@there.example"), reply, nil); err == nil {
				t.Fatal("no error")
			}
		}
		full = false
		if id, err := w.q.Refuse(context.Background(), envelope("kim@there.example"), reply, nil); id == 0 || err != nil {
			t.Errorf("%v %v", id, err)
		}
	})
}
