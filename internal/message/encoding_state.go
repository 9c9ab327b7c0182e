package message

import (
	"errors"
	"fmt"
)

// The tags of a State. Recipients name replies by their place among the
// stateReply fields, which stand before them.
const (
	stateReply = iota + 1
	stateRecipient
	stateAttempt
	stateDone
	stateStanding
)

// The tags of a State's reply and of a RecipientState.
const (
	answerReply = iota + 1
	answerRemoteMTA
	answerNextHop
)

const (
	rstatStatus = iota + 1
	rstatAnswer
	rstatAt
	rstatDue
	rstatTries
	rstatNotified
	rstatDelayNotified
	rstatNoDSN
	rstatFallen
)

// answer is what recipients that met the same end have in common.
type answer struct {
	reply Reply
	mta   string
	hop   string
}

// AppendState appends the encoding of s to b. A reply that many recipients
// share is written once.
func AppendState(b []byte, s *State) []byte {
	answers := make(map[answer]uint64, 1)
	for i := range s.Recipients {
		r := &s.Recipients[i]
		a := answer{r.Reply, r.RemoteMTA, r.NextHop}
		if a == (answer{}) || answers[a] != 0 {
			continue
		}
		answers[a] = uint64(len(answers) + 1)
		b = appendNested(b, stateReply, func(b []byte) []byte {
			b = appendReply(b, answerReply, &a.reply)
			b = appendString(b, answerRemoteMTA, a.mta)
			return appendString(b, answerNextHop, a.hop)
		})
	}
	for i := range s.Recipients {
		r := &s.Recipients[i]
		b = appendNested(b, stateRecipient, func(b []byte) []byte {
			b = appendUint(b, rstatStatus, uint64(r.Status))
			b = appendUint(b, rstatAnswer, answers[answer{r.Reply, r.RemoteMTA, r.NextHop}])
			b = appendTime(b, rstatAt, r.At)
			b = appendTime(b, rstatDue, r.Due)
			b = appendInt(b, rstatTries, int64(r.Tries))
			b = appendBool(b, rstatNotified, r.Notified)
			b = appendBool(b, rstatDelayNotified, r.DelayNotified)
			b = appendBool(b, rstatNoDSN, r.NoDSN)
			return appendFallen(b, rstatFallen, &r.Fallen)
		})
	}
	for i := range s.Attempts {
		b = appendAttempt(b, stateAttempt, &s.Attempts[i])
	}
	b = appendBool(b, stateDone, s.Done)
	if s.Standing != (Standing{}) {
		b = appendStanding(b, stateStanding, &s.Standing)
	}
	return b
}

// DecodeState reads what AppendState wrote. Times come back in UTC.
func DecodeState(b []byte) (*State, error) {
	s := new(State)
	var answers []answer
	f := fields{s: string(b)}
	for f.next() {
		switch f.tag {
		case stateReply:
			answers = append(answers, f.answer())
		case stateRecipient:
			s.Recipients = append(s.Recipients, f.recipientState(answers))
		case stateAttempt:
			s.Attempts = append(s.Attempts, f.attempt())
		case stateDone:
			s.Done = f.bool()
		case stateStanding:
			s.Standing = f.standing()
		}
	}
	if f.err != nil {
		return nil, fmt.Errorf("state: %w", f.err)
	}
	return s, nil
}

func (f *fields) answer() (a answer) {
	g := fields{s: f.v}
	for g.next() {
		switch g.tag {
		case answerReply:
			a.reply = g.reply()
		case answerRemoteMTA:
			a.mta = g.v
		case answerNextHop:
			a.hop = g.v
		}
	}
	f.fail(g.err)
	return a
}

func (f *fields) recipientState(answers []answer) (r RecipientState) {
	g := fields{s: f.v}
	for g.next() {
		switch g.tag {
		case rstatStatus:
			r.Status = Status(g.uint8())
		case rstatAnswer:
			n := g.uint()
			if n > uint64(len(answers)) {
				g.fail(errors.New("reply out of range"))
			} else if n > 0 {
				r.Reply, r.RemoteMTA, r.NextHop = answers[n-1].reply, answers[n-1].mta, answers[n-1].hop
			}
		case rstatAt:
			r.At = g.time()
		case rstatDue:
			r.Due = g.time()
		case rstatTries:
			r.Tries = int(g.int())
		case rstatNotified:
			r.Notified = g.bool()
		case rstatDelayNotified:
			r.DelayNotified = g.bool()
		case rstatNoDSN:
			r.NoDSN = g.bool()
		case rstatFallen:
			r.Fallen = g.fallen()
		}
	}
	f.fail(g.err)
	return r
}
