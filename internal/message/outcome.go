package message

import (
	"fmt"
	"time"
)

// Status is what has become of a recipient.
type Status uint8

// The states of a recipient. Pending and Deferred recipients are still to be
// delivered; the others are final.
const (
	Pending Status = iota
	Deferred
	Delivered
	Failed
	Expired
	Removed
)

// Final reports whether nothing more is to be done for the recipient.
func (s Status) Final() bool { return s > Deferred }

// String returns the word used in logs and by the commands.
func (s Status) String() string {
	switch s {
	case Pending:
		return "pending"
	case Deferred:
		return "deferred"
	case Delivered:
		return "delivered"
	case Failed:
		return "failed"
	case Expired:
		return "expired"
	case Removed:
		return "removed"
	}
	return fmt.Sprintf("status(%d)", uint8(s))
}

// Reply is an SMTP reply as data: what a next hop said, or what we say on its
// behalf when it said nothing.
type Reply struct {
	// Code is the three-digit reply code.
	Code int
	// Enhanced is the enhanced status code (RFC 3463); the zero value means
	// that there was none.
	Enhanced [3]int
	// Text is the reply's text, its lines joined by "\n", without codes.
	Text string
}

// Temporary reports whether the reply asks to try again (RFC 5321 4.2.1).
func (r Reply) Temporary() bool { return r.Code >= 400 && r.Code < 500 }

// EnhancedString returns the enhanced status code as "5.1.1", or "" when there
// is none.
func (r Reply) EnhancedString() string {
	if r.Enhanced == ([3]int{}) {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", r.Enhanced[0], r.Enhanced[1], r.Enhanced[2])
}

// String returns the reply on one line, as "550 5.1.1 User unknown".
func (r Reply) String() string {
	s := fmt.Sprintf("%d", r.Code)
	if e := r.EnhancedString(); e != "" {
		s += " " + e
	}
	if r.Text != "" {
		s += " " + r.Text
	}
	return s
}

// Outcome is what one attempt made of some recipients: all those that met the
// same end share one value.
type Outcome struct {
	// Recipients are indexes into Envelope.Recipients.
	Recipients []int
	Status     Status
	// Reply is the next hop's reply, or ours when no next hop gave one.
	Reply Reply
	// RemoteMTA is the host that gave the reply, as "mx1.example.net
	// [198.51.100.25]"; empty when the reply is ours.
	RemoteMTA string
	// NextHop names the next hop that was tried, as Attempt.NextHop does. The
	// queue fills it in.
	NextHop string
	// NoDSN says of delivered recipients that the next hop that took them does
	// not offer DSN, so that no word of success will come from it (RFC 3461
	// 5.2.2).
	NoDSN bool
	// Due is when a deferred recipient is tried again. The queue fills it in.
	Due time.Time
	// Tries counts the attempts so far, this one included. The queue fills it
	// in.
	Tries int
}

// Attempt is one connection that was tried on the way to a next hop, kept
// whole so that an administrator sees each host's own error.
type Attempt struct {
	At time.Time
	// Host is the name that was looked up, Address and Source the two ends of
	// the connection as "ip:port"; Source is empty when none was made.
	Host    string
	Address string
	Source  string
	// TLS describes what was negotiated, as "TLS1.3
	// TLS_AES_128_GCM_SHA256"; empty for clear text.
	TLS string
	// Peer is the name in the host's certificate, Trust what the certificate
	// proves: "trusted", or why it is not, as "self-signed". Client says that
	// the host asked for a certificate of ours, and got it: "shown". Policy is
	// what was asked of TLS, and by whom. Without TLS they are empty, unless
	// it was tried and failed, or missed.
	Peer, Trust, Client, Policy string
	// Session is the id of the session in the protocol log.
	Session string
	// Reply is the reply that ended the attempt, or ours when there was none.
	Reply Reply
	// NextHop names the next hop on whose behalf it was made, as
	// "connector/domain"; empty in records of earlier versions. The queue fills
	// it in.
	NextHop string
	// Sender is the reverse path that the host was given, where it is another
	// than the envelope's: the connector's masquerade_domain took the place of its
	// domain.
	Sender string
}

// Update is a change to a stored message: what one delivery attempt brought.
// Updates of a message are applied in the order in which they were handed to
// the spool.
type Update struct {
	At       time.Time
	Outcomes []Outcome
	Attempts []Attempt
	// Notified lists recipients for whom the notification that their outcome
	// called for has been stored.
	Notified []int
	// DelayNotified lists recipients for whom the delay notification has been
	// stored.
	DelayNotified []int
	// Fallbacks say for which recipients another Send connector has taken over.
	Fallbacks []Fallback
	// Standing, when it is not nil, takes the place of the message's Standing.
	Standing *Standing
	// Done says that nothing is left to do: the message leaves the spool.
	Done bool
}

// RecipientState is all that is known of one recipient's delivery.
type RecipientState struct {
	Status        Status
	Reply         Reply
	RemoteMTA     string
	NextHop       string
	At            time.Time
	Due           time.Time
	Tries         int
	NoDSN         bool
	Notified      bool
	DelayNotified bool
	Fallen        Fallen
}

// MaxAttempts is how many attempts a State keeps; older ones are forgotten.
const MaxAttempts = 20

// State is the sum of a message's Updates.
type State struct {
	// Recipients has one entry for each of Envelope.Recipients.
	Recipients []RecipientState
	// Attempts are the latest attempts, oldest first, at most MaxAttempts.
	Attempts []Attempt
	Standing Standing
	Done     bool
}

// NewState returns the state of a message that nothing has happened to.
func NewState(recipients int) *State {
	return &State{Recipients: make([]RecipientState, recipients)}
}

// Apply adds an update. Indexes out of range, which only a damaged record can
// hold, are passed over.
func (s *State) Apply(u *Update) {
	for _, o := range u.Outcomes {
		for _, i := range o.Recipients {
			if i < 0 || i >= len(s.Recipients) {
				continue
			}
			r := &s.Recipients[i]
			r.Status, r.Reply, r.RemoteMTA, r.NextHop = o.Status, o.Reply, o.RemoteMTA, o.NextHop
			r.At, r.Due, r.Tries, r.NoDSN = u.At, o.Due, o.Tries, o.NoDSN
		}
	}
	for _, i := range u.Notified {
		if i >= 0 && i < len(s.Recipients) {
			s.Recipients[i].Notified = true
		}
	}
	for _, i := range u.DelayNotified {
		if i >= 0 && i < len(s.Recipients) {
			s.Recipients[i].DelayNotified = true
		}
	}
	for _, l := range u.Fallbacks {
		for _, i := range l.Recipients {
			if i >= 0 && i < len(s.Recipients) {
				s.Recipients[i].Fallen = Fallen{Connector: l.Connector, At: u.At, Tries: l.Tries}
			}
		}
	}
	if u.Standing != nil {
		s.Standing = *u.Standing
	}
	s.Attempts = append(s.Attempts, u.Attempts...)
	if len(s.Attempts) > MaxAttempts {
		s.Attempts = latest(s.Attempts)
	}
	s.Done = s.Done || u.Done
}

// latest returns MaxAttempts of the attempts. The oldest go first, but not the
// last one at any host as long as an older attempt at another can go.
func latest(all []Attempt) []Attempt {
	type place struct{ hop, host, address string }
	excess := len(all) - MaxAttempts
	later := make(map[place]int)
	for i := range all {
		later[place{all[i].NextHop, all[i].Host, all[i].Address}]++
	}
	kept := make([]Attempt, 0, len(all))
	for i := range all {
		p := place{all[i].NextHop, all[i].Host, all[i].Address}
		if later[p]--; excess > 0 && later[p] > 0 {
			excess--
			continue
		}
		kept = append(kept, all[i])
	}
	return append([]Attempt(nil), kept[excess:]...)
}

// Pending returns the indexes of the recipients still to be delivered.
func (s *State) Pending() []int {
	var p []int
	for i := range s.Recipients {
		if !s.Recipients[i].Status.Final() {
			p = append(p, i)
		}
	}
	return p
}
