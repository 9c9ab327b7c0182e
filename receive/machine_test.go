package receive

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"postern/config"
)

// The states of a session (RFC 5321 4.1.4).
const (
	stateNew     = iota // nothing said yet
	stateHello          // HELO or EHLO taken
	stateMail           // MAIL taken
	stateRcpt           // at least one recipient
	stateChunk          // a chunk that is not the last
	stateRefused        // a chunk that nobody wanted
	states
)

// stay means that a command leaves the state alone.
const stay = -1

// step is what a command leads to in one state.
type step struct{ code, next int }

func always(code, next int) [states]step {
	var s [states]step
	for i := range s {
		s[i] = step{code, next}
	}
	return s
}

// machine is the whole state machine: for each command, what it leads to in
// each state.
var machine = map[string][states]step{
	"EHLO client.example":             always(250, stateHello),
	"HELO client.example":             always(250, stateHello),
	"EHLO":                            always(501, stay),
	"NOOP":                            always(250, stay),
	"HELP":                            always(214, stay),
	"VRFY x":                          always(252, stay),
	"EXPN x":                          always(502, stay),
	"FOO":                             always(500, stay),
	"":                                always(500, stay),
	"RSET x":                          always(501, stay),
	"QUIT x":                          always(501, stay),
	"STARTTLS x":                      always(501, stay),
	"RSET":                            {{250, stateNew}, {250, stateHello}, {250, stateHello}, {250, stateHello}, {250, stateHello}, {250, stateHello}},
	"MAIL FROM:<a@b.example>":         {{503, stay}, {250, stateMail}, {503, stay}, {503, stay}, {503, stay}, {503, stay}},
	"MAIL FROM:<>":                    {{503, stay}, {250, stateMail}, {503, stay}, {503, stay}, {503, stay}, {503, stay}},
	"MAIL FROM:<a@b.example> X=Y":     {{503, stay}, {555, stay}, {503, stay}, {503, stay}, {503, stay}, {503, stay}},
	"MAIL FROM:<a@b.example> SIZE=2G": {{503, stay}, {501, stay}, {503, stay}, {503, stay}, {503, stay}, {503, stay}},
	"MAIL FROM:":                      {{503, stay}, {501, stay}, {503, stay}, {503, stay}, {503, stay}, {503, stay}},
	"MAIL TO:<a@b.example>":           {{503, stay}, {501, stay}, {503, stay}, {503, stay}, {503, stay}, {503, stay}},
	"RCPT TO:<b@contoso.example>":     {{503, stay}, {503, stay}, {250, stateRcpt}, {250, stateRcpt}, {503, stay}, {503, stay}},
	"RCPT TO:<b@elsewhere.example>":   {{503, stay}, {503, stay}, {550, stay}, {550, stay}, {503, stay}, {503, stay}},
	"RCPT TO:<>":                      {{503, stay}, {503, stay}, {501, stay}, {501, stay}, {503, stay}, {503, stay}},
	"RCPT TO:<b@contoso.example> X=Y": {{503, stay}, {503, stay}, {555, stay}, {555, stay}, {503, stay}, {503, stay}},
	"DATA":                            {{503, stay}, {503, stay}, {503, stay}, {354, stateHello}, {503, stay}, {503, stay}},
	"DATA x":                          {{501, stay}, {501, stay}, {501, stay}, {501, stay}, {501, stay}, {501, stay}},
	"BDAT 6\r\nRSET":                  {{503, stay}, {503, stay}, {554, stateRefused}, {250, stateChunk}, {250, stateChunk}, {554, stay}},
	"BDAT 6 LAST\r\nRSET":             {{503, stay}, {503, stay}, {554, stateHello}, {250, stateHello}, {250, stateHello}, {554, stateHello}},
}

// reach are the commands that lead to each state.
var reach = [states][]string{
	{},
	{"EHLO client.example"},
	{"EHLO client.example", "MAIL FROM:<>"},
	{"EHLO client.example", "MAIL FROM:<>", "RCPT TO:<b@contoso.example>"},
	{"EHLO client.example", "MAIL FROM:<>", "RCPT TO:<b@contoso.example>", "BDAT 6\r\nRSET"},
	{"EHLO client.example", "MAIL FROM:<>", "BDAT 6\r\nRSET"},
}

// walker is a session that is compared with the table.
type walker struct {
	*client
	b     *bench
	state int
}

func newWalker(b *bench) *walker {
	w := &walker{client: b.dial(strangerAddr), b: b}
	w.play("S: 220 .*")
	return w
}

// step gives a command and checks the reply.
func (w *walker) step(t interface{ Fatalf(string, ...any) }, command string) {
	want := machine[command][w.state]
	w.send(command + "\r\n")
	if got := w.reply(); got[:3] != fmt.Sprint(want.code) {
		t.Fatalf("in state %d %q was answered with %q, want %d", w.state, command, got, want.code)
	}
	if want.code == 354 {
		before := len(w.b.queue.all())
		w.send("RSET\r\n.\r\n")
		if got := w.reply(); got[:4] != "250 " || len(w.b.queue.all()) != before+1 {
			t.Fatalf("the content was answered with %q", got)
		}
	}
	if want.next != stay {
		w.state = want.next
	}
}

func patient(c *config.ReceiveConnector) {
	c.MaxProtocolErrors, c.MaxRecipientsPerMessage = config.Unlimited, config.Unlimited
}

// TestStateMachine tries every command in every state, and then again what
// state the session is in.
func TestStateMachine(t *testing.T) {
	b := newBench(t, testConnector(patient))
	for state := range states {
		for command := range machine {
			w := newWalker(b)
			for _, c := range reach[state] {
				w.step(t, c)
			}
			w.step(t, command)
			for _, c := range []string{"RCPT TO:<b@elsewhere.example>", "DATA", "MAIL FROM:<>"} {
				w.step(t, c)
			}
			w.close()
		}
	}
}

// TestStateMachineAtRandom walks through the states at random.
func TestStateMachineAtRandom(t *testing.T) {
	b := newBench(t, testConnector(patient))
	commands := slices.Sorted(maps.Keys(machine))
	commands = append(commands, slices.Concat(reach[stateRcpt], reach[stateRcpt], reach[stateRcpt])...)
	rapid.Check(t, func(rt *rapid.T) {
		w := newWalker(b)
		defer w.close()
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			w.step(rt, rapid.SampledFrom(commands).Draw(rt, "command"))
		}
	})
}
