package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/control"
	"postern/queue/spool"
)

// golden prints in 80 columns and UTC, and compares.
func golden(t *testing.T, print func(a *app), want string) {
	t.Helper()
	t.Setenv("COLUMNS", "80")
	local := time.Local
	time.Local = time.UTC
	t.Cleanup(func() { time.Local = local })
	var out bytes.Buffer
	print(&app{streams: streams{out: &out, err: io.Discard}, output: "table"})
	if got := out.String(); got != strings.TrimPrefix(want, "\n") {
		t.Errorf("it prints\n%s\nwant\n%s", got, want)
	}
	for l := range strings.Lines(out.String()) {
		// What is to be copied is not broken.
		if n := len([]rune(strings.TrimSuffix(l, "\n"))); n > 80 && !strings.Contains(l, "postern queue") && !strings.Contains(l, "To organization/") {
			t.Errorf("a line of %d columns: %q", n, l)
		}
	}
}

func noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

func TestQueueListTable(t *testing.T) {
	list := []control.Queue{
		{Identity: "Internet/fabrikam.example", DeliveryType: "mx", Status: "retry", MessageCount: 120000, Velocity: -12.5, LastError: "421 4.4.1 Connection timed out\x1b[31m",
			RetryCount: 4, FirstRetryTime: noon().Add(-125 * time.Minute), NextRetryTime: noon().Add(190 * time.Second)},
		{Identity: "To organization/hub1.corp.contoso.example:25,hub2.corp.contoso.example:25", DeliveryType: "smart_host", Status: "connecting", MessageCount: 1, Velocity: 0.333},
		{Identity: "Internet/woodgrove.example", DeliveryType: "mx", Status: "ready", MessageCount: 3, DeferredCount: 3, LastError: "451 4.7.1 Greylisted", LastErrorTime: noon().Add(-12 * time.Second), NextDue: noon().Add(time.Minute)},
		{Identity: "Internet/adatum.example", DeliveryType: "mx", Status: "suspended", Suspended: true, MessageCount: 1, LastError: "421 4.4.1 Unable to connect", RetryCount: 1,
			FirstRetryTime: noon().Add(-time.Minute), NextRetryTime: noon().Add(29 * time.Second), NextDue: noon().Add(time.Second)},
		{Identity: "Unreachable", DeliveryType: "unreachable", Status: "suspended", Suspended: true, MessageCount: 2, LastError: "451 4.4.4 A matching connector cannot be found to route the external recipient"},
	}
	golden(t, func(a *app) { a.printQueues(&control.QueueList{Queues: list, Distinct: 120004}, 2, noon()) }, `
IDENTITY                     TYPE         STATUS       COUNT  VELOCITY  NEXT TRY
Internet/fabrikam.example    mx           retry       120000    -12.50  in 3m10s
    4 failures for 2h05m: 421 4.4.1 Connection timed out?[31m
To organization/hub1.corp.contoso.example:25,hub2.corp.contoso.example:25
                             smart_host   connecting       1      0.33         -
Internet/woodgrove.example   mx           ready            3      0.00  in 1m00s
    12s ago: 451 4.7.1 Greylisted
Internet/adatum.example      mx           suspended        1      0.00         -
    1 failure for 1m00s: 421 4.4.1 Unable to connect
Unreachable                  unreachable  suspended        2      0.00         -
    451 4.4.4 A matching connector cannot be found to route the external
    recipient
5 queues, 120004 messages in 120007 places; 2 empty not shown (--all)
`)
}

func TestQueueAgesTable(t *testing.T) {
	ages := &control.AgeTable{Bounds: []int64{300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 76800}, Queues: []control.Age{
		{Identity: "Internet/fabrikam.example", Total: 3, Counts: []int{1, 0, 0, 0, 0, 0, 0, 0, 0, 2}},
		{Identity: "Internet/woodgrove.example", Total: 12345, Counts: []int{12000, 345, 0, 0, 0, 0, 0, 0, 0, 0}},
		{Identity: "Internet/a.example", Total: 1, Counts: []int{1, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
	}}
	golden(t, func(a *app) { a.printAges(ages) }, `
                           T      5   10  20  40  80  160  320  640  1280  1280+
TOTAL                  12349  12002  345   0   0   0    0    0    0     0      2
Internet/woodgrove.example
                       12345  12000  345   0   0   0    0    0    0     0      0
Internet/fabrikam.example
                           3      1    0   0   0   0    0    0    0     0      2
Internet/a.example         1      1    0   0   0   0    0    0    0     0      0
`)
}

func TestMessagesTable(t *testing.T) {
	list := []control.Message{
		{ID: "0AKWKNNHG0000", Status: "retry", Sender: "kim@contoso.example", FirstRecipient: "bob@fabrikam.example", PendingRecipients: 3, Size: 1536 << 10,
			Queues: []string{"Internet/fabrikam.example", "Internet/woodgrove.example"}, Arrived: noon().Add(-26 * time.Hour), NextTry: noon().Add(time.Minute), Tries: 7,
			Subject: "Quarterly \u202efigures", LastError: "451 4.7.1 Greylisted"},
		{ID: "0AKWKNNHG0001", Status: "suspended", FirstRecipient: "a-rather-long-local-part@an-even-longer-domain.of.woodgrove.example", PendingRecipients: 1, Size: 400,
			Queues: []string{"To organization/hub1.corp.contoso.example:25,hub2.corp.contoso.example:25"}, Arrived: noon().Add(-time.Second), Redirect: "[10.0.0.11]:25"},
	}
	golden(t, func(a *app) {
		p := &messageTable{app: a, now: noon()}
		if err := errors.Join(p.add(list), p.close("0AKWKNNHG0001")); err != nil {
			t.Error(err)
		}
	}, `
ID             STATUS       AGE   SIZE  TRIES  NEXT TRY  FROM
0AKWKNNHG0000  retry      1d02h  1.5MB      7  in 1m00s  <kim@contoso.example>
    to <bob@fabrikam.example> and 2 more in Internet/fabrikam.example,
    Internet/woodgrove.example
    subject: Quarterly ?figures
    451 4.7.1 Greylisted
0AKWKNNHG0001  suspended     1s   400B      0         -  <>
    to <a-rather-long-local-part@an-even-longer-domain.of.woodgrove.example> in
    To organization/hub1.corp.contoso.example:25,hub2.corp.contoso.example:25
    redirected to [10.0.0.11]:25
2 messages; there may be more: go on with --after 0AKWKNNHG0001, or list all
with --limit 0
`)
}

func TestShowText(t *testing.T) {
	at := noon().Add(-time.Hour)
	m := &control.MessageDetail{
		Message: control.Message{ID: "0AKWKNNHG0000", Status: "retry", Size: 1536, Subject: "Figures", Source: "SMTP:From Internet", Arrived: noon().Add(-2 * time.Hour), Expires: noon().Add(46 * time.Hour)},
		Waits: []control.Wait{{
			Queue: "Internet/fabrikam.example", Recipients: []string{"bob@fabrikam.example"}, Reason: "deferred", Text: "the next hop asked to try again later; tried twice so far",
			Since: at, LastError: "451 4.7.1 Greylisted", RemoteMTA: "mx1.fabrikam.example [192.0.2.1]", NextTry: noon().Add(90 * time.Second),
			Remedies: []control.Remedy{{Command: "postern queue retry 0AKWKNNHG0000", Effect: "try it now"}},
		}},
		Envelope: spool.Description{
			Sender: "kim@contoso.example", MessageID: "<1@contoso.example>", Client: "192.0.2.7:40000", Helo: "client.example", Session: "08DF482E8F30FF9D",
			Recipients: []spool.RecipientDescription{
				{Address: "bob@fabrikam.example", Status: "deferred", Tries: 2, At: &at, Reply: "451 4.7.1 Greylisted", RemoteMTA: "mx1.fabrikam.example [192.0.2.1]"},
				{Address: "ann@fabrikam.example", Status: "delivered", Tries: 1, At: &at},
			},
		},
		Attempts: []control.Attempt{{At: at, Host: "mx1.fabrikam.example", Address: "192.0.2.1:25", Source: "192.0.2.12:50000", TLS: "TLS1.3 TLS_AES_128_GCM_SHA256", Session: "08DF482E8F31E39D", Reply: "451 4.7.1 Greylisted", Sender: "kim@mail.contoso.example"}},
		Routes:   []control.Route{{Queue: "Internet/fabrikam.example", Reason: "The address space \"*\" matches."}},
	}
	golden(t, func(a *app) { a.printMessage(m, noon()) }, `
0AKWKNNHG0000 waits: the next hop asked to try again later; tried twice so far
  since         2026-11-22 11:00:00 +0000, 1h00m ago
  last reply    451 4.7.1 Greylisted (mx1.fabrikam.example [192.0.2.1])
  next try      2026-11-22 12:01:30 +0000, in 1m30s
  given up      2026-11-24 10:00:00 +0000, in 1d22h
  for           bob@fabrikam.example
  in queue      Internet/fabrikam.example
  you can       postern queue retry 0AKWKNNHG0000
                    try it now

Message 0AKWKNNHG0000
  status        retry
  from          <kim@contoso.example>
  subject       Figures
  message id    <1@contoso.example>
  size          1.5KB
  arrived       2026-11-22 10:00:00 +0000, 2h00m ago
  source        SMTP:From Internet from client.example (192.0.2.7:40000) in
                session 08DF482E8F30FF9D

RECIPIENT               STATUS     TRIES  AT
<bob@fabrikam.example>  deferred       2  2026-11-22 11:00:00 +0000
    451 4.7.1 Greylisted (mx1.fabrikam.example [192.0.2.1])
<ann@fabrikam.example>  delivered      1  2026-11-22 11:00:00 +0000

  route         Internet/fabrikam.example: The address space "*" matches.

Latest connections
  2026-11-22 11:00:00 +0000 mx1.fabrikam.example 192.0.2.1:25, TLS1.3
    TLS_AES_128_GCM_SHA256, from 192.0.2.12, as <kim@mail.contoso.example>,
    session 08DF482E8F31E39D
      451 4.7.1 Greylisted
`)
}

// TestWaitsForLimit: a limit opens for one message of the queue, which may be
// another one; one of connections opens at no known time, yet by itself.
func TestWaitsForLimit(t *testing.T) {
	m := &control.MessageDetail{Message: control.Message{ID: "0AKWKNNHG0000"}}
	w := control.Wait{Queue: "Slow/fabrikam.example", Recipients: []string{"bob@fabrikam.example"}, Reason: "limit", Text: "it is due"}
	for _, tt := range []struct {
		next time.Time
		want string
	}{
		{noon().Add(10 * time.Second), "  limit opens   2026-11-22 12:00:10 +0000, in 10s\n"},
		{time.Time{}, ""},
	} {
		w.NextTry = tt.next
		golden(t, func(a *app) { a.printWait(m, &w, style{}, noon()) }, `
0AKWKNNHG0000 waits: it is due
`+tt.want+`  for           bob@fabrikam.example
  in queue      Slow/fabrikam.example

`)
	}
}

// TestAttemptsOverTLS: with whom a connection was made, what that proves, and
// who asked for it.
func TestAttemptsOverTLS(t *testing.T) {
	at := func(a control.Attempt) control.Attempt {
		a.At, a.Host, a.Address, a.Source, a.Session, a.Reply = noon(), "mx.test", "192.0.2.1:25", "192.0.2.12:50000", "08DF482E8F31E39D", "451 4.7.1 Greylisted"
		return a
	}
	m := &control.MessageDetail{Attempts: []control.Attempt{
		at(control.Attempt{TLS: "TLS1.3 TLS_AES_128_GCM_SHA256", Peer: "mx.test", Trust: "trusted for mx.test", Client: "shown", Policy: `TLS with a valid certificate for mx.test (send connector "Partners")`}),
		at(control.Attempt{TLS: "TLS1.2 X", Peer: "evil\u202e.test", Trust: "self-signed", Client: "asked for", Policy: `TLS where it can be had (send connector "Internet")`}),
		at(control.Attempt{Peer: "mx.test", Trust: "expired", Policy: `TLS with a valid certificate (send connector "Partners")`}),
		at(control.Attempt{Policy: `TLS (send connector "Partners")`}),
		at(control.Attempt{}),
	}}
	golden(t, func(a *app) { a.printAttempts(m, styleFor(a.out)) }, `

Latest connections
  2026-11-22 12:00:00 +0000 mx.test 192.0.2.1:25, TLS1.3
    TLS_AES_128_GCM_SHA256 with mx.test (trusted for mx.test), our certificate
    shown, from 192.0.2.12, session 08DF482E8F31E39D
      451 4.7.1 Greylisted
      asked for: TLS with a valid certificate for mx.test (send connector
      "Partners")
  2026-11-22 12:00:00 +0000 mx.test 192.0.2.1:25, TLS1.2 X with evil?.test
    (self-signed), which asked for a certificate of ours and got none, from
    192.0.2.12, session 08DF482E8F31E39D
      451 4.7.1 Greylisted
      asked for: TLS where it can be had (send connector "Internet")
  2026-11-22 12:00:00 +0000 mx.test 192.0.2.1:25, TLS refused with mx.test
    (expired), from 192.0.2.12, session 08DF482E8F31E39D
      451 4.7.1 Greylisted
  2026-11-22 12:00:00 +0000 mx.test 192.0.2.1:25, no TLS, from 192.0.2.12,
    session 08DF482E8F31E39D
      451 4.7.1 Greylisted
  2026-11-22 12:00:00 +0000 mx.test 192.0.2.1:25, in clear text, from
    192.0.2.12, session 08DF482E8F31E39D
      451 4.7.1 Greylisted
`)
}

func TestStatusText(t *testing.T) {
	st := &control.Status{
		Verdict: control.Verdict{Condition: control.Trouble, Reasons: []control.Reason{
			{Condition: control.Trouble, About: "spool", Text: "the spool has no room: all mail is refused for now", Remedy: "make room on the volume of queue.directory"},
			{Condition: control.Look, About: "listeners", Text: "0.0.0.0:25 does not listen: listen tcp 0.0.0.0:25: bind: permission \x1bdenied", Remedy: "see who holds the port"},
		}},
		Trend:  control.Trend{Seconds: 64, Submitted: 12, Delivered: 30, Deferrals: 4, Failed: 1, Expired: 1},
		Server: control.ServerStatus{FQDN: "edge.contoso.example", Version: control.Version{Version: "1.0", Go: "go1.26", Platform: "linux/amd64"}, Started: noon().Add(-50 * time.Hour), Uptime: 50 * 3600},
		Listeners: []control.Listener{
			{Address: "0.0.0.0:25", Error: "listen tcp 0.0.0.0:25: bind: permission denied"}, {Address: "[::1]:2525", Listening: true},
		},
		Queues: control.QueueStatus{ByStatus: map[string]control.QueueSum{"retry": {Queues: 2, Empty: 1, Messages: 120}, "active": {Queues: 1, Messages: 7}}, Messages: 127, Distinct: 125, InFlight: 3, Deferred: 120,
			Oldest: noon().Add(-3 * time.Hour), Unsaved: 1, Submitted: 1000, Delivered: 900},
		Spool: control.SpoolStatus{Messages: 127, Bytes: 5 << 20, Segments: 4, SegmentSize: 16 << 20, FreeSegments: 2, ReservedSegments: 1, LastSync: 0.0021, MaxSync: 0.25, NoSpace: true, Failures: 2, LastError: "no space left"},
	}
	golden(t, func(a *app) { a.printStatus(st, noon(), true) }, `
edge.contoso.example: in trouble
  ! the spool has no room: all mail is refused for now
      make room on the volume of queue.directory
  - 0.0.0.0:25 does not listen: listen tcp 0.0.0.0:25: bind: permission ?denied
      see who holds the port

Server
  version       postern 1.0 go1.26 linux/amd64
  running for   2d02h, since 2026-11-20 10:00:00 +0000
  config file   the embedded default

Listeners
  0.0.0.0:25                not listening
      listen tcp 0.0.0.0:25: bind: permission denied
  [::1]:2525                listening

Queues
  STATUS  QUEUES  EMPTY  MESSAGES
  active       1      0         7
  retry        2      1       120
  messages      125 in 127 places, of which 3 in flight, 120 deferred, 0
                unreachable
  oldest        3h00m
  since start   1000 submitted, 900 delivered, 0 deferred, 0 failed, 0 expired,
                0 notified
  unsaved       1 message has an outcome that could not be stored yet

Spool
  messages      127 with 5.0MB of content
  segments      4 of 16MB: 2 free (1 of them held back), 0 cold
  sync          last 2.1 ms, longest 250.0 ms
  intake        refused: there is no room for new messages
  failures      2 writes failed, the last one: no space left

Back pressure
  off           back_pressure.enabled is false: nothing is refused before the
                spool is full

Certificates
  none          no connector offers TLS or shows a certificate
`)
	golden(t, func(a *app) { a.printStatus(st, noon(), false) }, `
edge.contoso.example: in trouble
  ! the spool has no room: all mail is refused for now
      make room on the volume of queue.directory
  - 0.0.0.0:25 does not listen: listen tcp 0.0.0.0:25: bind: permission ?denied
      see who holds the port
  running for   2d02h, since 2026-11-20 10:00:00 +0000
  version       postern 1.0 go1.26 linux/amd64
  listening     [::1]:2525
  of late       12 messages in, 30 recipients delivered to, 4 deferred, 2
                failed, in the last minute
  queued        125 messages in 127 places, of which 3 in flight, 120 deferred,
                0 unreachable; the oldest for 3h00m
  since start   1000 messages in, 900 recipients delivered to, 0 failed, 0
                expired
  spool         5.0MB of content; sync last 2.1 ms, longest 250.0 ms
  back pressure off

Listeners
  0.0.0.0:25                not listening
      listen tcp 0.0.0.0:25: bind: permission denied
  [::1]:2525                listening

Spool
  messages      127 with 5.0MB of content
  segments      4 of 16MB: 2 free (1 of them held back), 0 cold
  sync          last 2.1 ms, longest 250.0 ms
  intake        refused: there is no room for new messages
  failures      2 writes failed, the last one: no space left
`)
}

// answers is somebody at the keyboard.
type answers struct{ io.Reader }

func (answers) Person() bool { return true }

func TestConfirm(t *testing.T) {
	for text, want := range map[string]bool{"y\n": true, "Yes\n": true, "n\n": false, "\n": false, "": false, "yellow\n": false} {
		var errs bytes.Buffer
		a := &app{streams: streams{in: answers{strings.NewReader(text)}, err: &errs}}
		if err := a.confirm("Remove 2 messages?"); (err == nil) != want {
			t.Errorf("%q: %v", text, err)
		}
		if errs.String() != "Remove 2 messages? [y/N] " {
			t.Errorf("it asks %q", errs.String())
		}
	}
	var usage usageError
	if err := (&app{streams: streams{in: strings.NewReader("y\n")}}).confirm("Remove?"); !errors.As(err, &usage) || !strings.Contains(err.Error(), "--yes") {
		t.Errorf("with nobody there: %v", err)
	}
}

// TestWatch prints block after block until it is interrupted, and hands on what
// goes wrong.
func TestWatch(t *testing.T) {
	var out bytes.Buffer
	a := &app{streams: streams{out: &out}, output: "table"}
	ctx, cancel := context.WithCancel(t.Context())
	err := a.watch(ctx, func(context.Context) error {
		out.WriteString("block\n")
		cancel()
		return nil
	})
	if err != nil || strings.Count(out.String(), "block") != 1 || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%q, %v", out.String(), err)
	}
	if err := a.watch(t.Context(), func(context.Context) error { return control.ErrNoServer }); !errors.Is(err, control.ErrNoServer) {
		t.Errorf("error %v", err)
	}
}

// TestQueueUsage: what is wrong in itself is found without a gateway.
func TestQueueUsage(t *testing.T) {
	t.Setenv("POSTERN_CONFIG", "")
	t.Chdir(t.TempDir())
	for args, want := range map[string]string{
		"queue":                            "name one of its commands",
		"queue flush":                      "unknown command",
		"queue list now":                   "one too many",
		"queue show":                       "ID is missing",
		"queue messages --older-than soon": "--older-than",
		"queue messages --older-than 0s":   "a second at least",
		"queue messages --larger-than -1":  "--larger-than",
		"queue messages --limit -1":        "--limit",
		"queue messages --id 12":           "13 characters",
		"queue messages Unreachable":       `--queue "Unreachable"`,
		"queue messages --to a@b.example --recipient x@y.example": "do not go together",
		"queue suspend":                               "name a queue or a message",
		"queue remove":                                "name a message",
		"queue remove --all --from x@y.example":       "leave it out",
		"queue remove --all --with-ndr --without-ndr": "do not go together",
		"queue suspend Unreachable 0AKWKNNHG0000":     "not both",
		"queue retry Unreachable --dry-run":           "--dry-run",
		"queue redirect --all":                        "--to HOST",
		"queue export --all":                          "--to DIR",
		"queue export --to x":                         "name a message",
		"queue import":                                "name the files",
		"queue import x.eml --from a@b.example":       "go together",
		`queue messages --from ""`:                    `--from is empty; is a variable not set? Without a --from leave it out; the null reverse path is --from "<>"`,
		`queue remove --all --yes --subject ""`:       "--subject is empty",
		`queue remove --yes --queue x --domain ""`:    "--domain is empty",
		`queue retry --to ""`:                         "--to is empty",
		`queue redirect --to x --recipient "" --all`:  "--recipient is empty",
		`queue export --to x --all --id ""`:           "--id is empty",
		`queue suspend --older-than ""`:               "--older-than is empty",
		`queue suspend --larger-than ""`:              "--larger-than is empty",
		`queue suspend --status "" --queue ""`:        "is empty",
		`queue suspend ""`:                            "an argument is empty",
		`queue import x.eml --from "" --to a@b.c`:     `--from "<>"`,
		`queue import x.eml --from <> --to ""`:        "--to is empty",
		`queue import ""`:                             "is empty",
		"queue remove -":                              "no queue id",
	} {
		var out bytes.Buffer
		words := strings.Fields(args)
		for i := range words {
			words[i] = strings.Trim(words[i], `"`)
		}
		if got := run(context.Background(), words, streams{strings.NewReader(""), &out, &out}); got != exitUsage || !strings.Contains(out.String(), want) {
			t.Errorf("postern %s: exit code %d, want 2 with %q in:\n%s", args, got, want, out.String())
		}
	}
	for _, args := range []string{"queue list", "queue ages", "queue messages", "queue show 0AKWKNNHG0000", "queue suspend --all", "queue remove --all --yes", "queue export --all --to x", "status"} {
		var out bytes.Buffer
		if got := run(context.Background(), strings.Fields(args), streams{strings.NewReader(""), &out, &out}); got != exitNoServer {
			t.Errorf("postern %s without a gateway: exit code %d, want 3: %s", args, got, out.String())
		}
	}
}

func TestPlaces(t *testing.T) {
	for want, n := range map[string][2]int{
		"10 messages in 13 places": {10, 13}, "1 message in 2 places": {1, 2}, "5 messages": {5, 5}, "1 message": {1, 1}, "0 messages": {0, 0}, "4 messages": {6, 4},
	} {
		if got := places(n[0], n[1], " message", " messages"); got != want {
			t.Errorf("%v are %q, want %q", n, got, want)
		}
	}
}

// TestQuestion: who is asked is told what would be done, and to how many.
func TestQuestion(t *testing.T) {
	for want, v := range map[string]struct {
		name  string
		order control.Order
		tally control.Tally
	}{
		"Remove 9 messages (12 recipients) and tell their senders?":                                     {"remove", control.Order{}, control.Tally{Changed: 9, Recipients: 12}},
		"Remove 2 messages (3 recipients; 1 being delivered just now) without a word to their senders?": {"remove", control.Order{WithoutNDR: true}, control.Tally{Changed: 1, Pending: 1, Recipients: 3}},
		"Remove 1 message (1 recipient) and tell its sender?":                                           {"remove", control.Order{}, control.Tally{Changed: 1, Recipients: 1}},
		"Redirect 1 message (1 recipient) to hub2.corp.contoso.example?":                                {"redirect", control.Order{To: "hub2.corp.contoso.example"}, control.Tally{Changed: 1, Recipients: 1}},
	} {
		asks := &verb{name: v.name, order: v.order, note: func(int) string {
			if v.name == "redirect" {
				return "to " + v.order.To
			}
			return "without a word to their senders"
		}}
		if got := asks.question(v.name, &v.tally); got != want {
			t.Errorf("it asks %q, want %q", got, want)
		}
	}
}

// TestImportTakesNoEnvelopes: what an export wrote beside a message is never
// queued as mail itself, nor is a directory read as one.
func TestImportTakesNoEnvelopes(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	const envelope = "{\n  \"id\": \"0AKWKNNHG0000\",\n  \"sender\": \"kim@contoso.example\",\n  \"recipients\": []\n}\n"
	given := []string{"--from", "kim@contoso.example", "--to", "bob@fabrikam.example"}
	eml := filepath.Join(dir, "0AKWKNNHG0000.eml")
	json := write("0AKWKNNHG0000.json", envelope)
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{append([]string{json}, given...), exitFailed, "it is an envelope and no message; name " + eml},
		{[]string{json}, exitFailed, "name " + eml},
		{append([]string{write("renamed.txt", envelope)}, given...), exitFailed, "it is JSON"},
		{append([]string{write("other.json", "Subject: x\r\n\r\n")}, given...), exitFailed, "another name"},
		{[]string{dir}, exitFailed, "it is a directory; name the files in it, as " + dir + "/*.eml"},
		{append([]string{os.DevNull}, given...), exitFailed, "it is no regular file"},
		{append([]string{"evil\x1b[31m\nx.eml"}, given...), exitFailed, "evil?[31m?x.eml: "}, // as any name in a folder of others
		// The message itself meets that no gateway runs.
		{append([]string{json, eml}, given...), exitNoServer, json + ": passed over: it is the envelope of " + eml},
	} {
		if tt.code == exitNoServer {
			write("0AKWKNNHG0000.eml", "Subject: x\r\n\r\n")
		}
		var out bytes.Buffer
		t.Chdir(t.TempDir())
		if got := run(context.Background(), append([]string{"queue", "import"}, tt.args...), streams{strings.NewReader(""), &out, &out}); got != tt.code || !strings.Contains(out.String(), tt.want) {
			t.Errorf("import %v: exit code %d, want %d with %q in:\n%s", tt.args, got, tt.code, tt.want, out.String())
		}
		if strings.Contains(out.String(), "\x1b") {
			t.Errorf("import %q prints control characters: %q", tt.args, out.String())
		}
	}
}

// TestHelpHasExamples: every command of the queue shows one.
func TestHelpHasExamples(t *testing.T) {
	a := &app{}
	for _, c := range append(a.queue().Commands(), a.queue(), a.status()) {
		if c.Example == "" || c.Short == "" || c.Long == "" {
			t.Errorf("%s lacks help", c.CommandPath())
		}
	}
}

func TestReplayHeader(t *testing.T) {
	d := &spool.Description{
		Sender: "kim@contoso.example", EnvID: "a+b", Return: "HDRS", Body: "8BITMIME", RequireTLS: true,
		Recipients: []spool.RecipientDescription{
			{Address: "bob@fabrikam.example", Status: "deferred", Notify: []string{"FAILURE", "DELAY"}, ORcpt: "rfc822;rob@contoso.example"},
			{Address: "done@fabrikam.example", Status: "delivered"},
			{Address: "ann@fabrikam.example"},
		},
	}
	top, err := replayHeader(d)
	const want = "X-Sender: <kim@contoso.example> BODY=8BITMIME REQUIRETLS RET=HDRS ENVID=a+2Bb\r\n" +
		"X-Receiver: <bob@fabrikam.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;rob@contoso.example\r\nX-Receiver: <ann@fabrikam.example>\r\n"
	if err != nil || string(top) != want {
		t.Errorf("%q, %v, want %q", top, err, want)
	}
	d.Recipients = d.Recipients[1:2]
	if _, err := replayHeader(d); err == nil {
		t.Error("a message that is delivered can be replayed")
	}
}

// FuzzReadReplay: whatever stands on top of a file is an envelope, none, or an
// error; and one that is written is read back.
func FuzzReadReplay(f *testing.F) {
	for _, s := range []string{
		"X-Sender: <kim@contoso.example> BODY=7bit RET=HDRS ENVID=x\r\nX-Receiver: <bob@fabrikam.example> NOTIFY=NEVER ORcpt=rfc822;x@y.example\r\nX-CreatedBy: MSExchange15\r\nSubject: x\r\n\r\n",
		"x-sender: <>\nx-receiver: <postmaster@b.example>\n\nbody", "Subject: x\r\n\r\n", "X-Receiver: <a@b.example>\r\n", "X-Sender: <a@b.example>\r\nX-Sender: <a@b.example>\r\n", "",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		e, rest, err := readReplayBytes(text)
		if err != nil || e == nil {
			return
		}
		if len(e.Recipients) == 0 || !bytes.HasSuffix(text, rest) {
			t.Fatalf("%q is read as %+v with %q behind", text, e, rest)
		}
	})
}

// TestExportLeavesNothingHalf: of a file that can't be finished nothing stays,
// and a link is not followed.
func TestExportLeavesNothingHalf(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	e := exporter{root: root}
	if err := e.write("x.eml", []byte("top"), brokenReader{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v stays behind", left)
	}
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.Symlink(outside, filepath.Join(dir, "y.eml")); err != nil {
		t.Fatal(err)
	}
	if err := e.write("y.eml", []byte("top"), nil); err == nil {
		t.Error("a link was followed")
	}
	if _, err := os.Stat(outside); err == nil {
		t.Error("something was written outside")
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, net.ErrClosed }

func readReplayBytes(text []byte) (*control.Envelope, []byte, error) {
	r := bufio.NewReader(bytes.NewReader(text))
	e, err := readReplay(r)
	if err != nil {
		return nil, nil, err
	}
	rest, err := io.ReadAll(r)
	return e, rest, err
}
