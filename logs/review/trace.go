package review

import (
	"strings"
	"time"

	"postern/logs"
)

// End is what became of a message for one recipient, as far as the logs tell.
type End string

// The ends of a recipient. Pending and deferred ones are none yet.
const (
	EndPending   End = "pending"
	EndDeferred  End = "deferred"
	EndDelivered End = "delivered"
	EndFailed    End = "failed"
	EndExpired   End = "expired"
	EndRemoved   End = "removed"
	// A message that was refused at the end of its content, or whose client went
	// before that, never was in the queue.
	EndRefused End = "refused"
	EndAborted End = "aborted"
)

// Final tells whether nothing more will happen for the recipient.
func (e End) Final() bool { return e != EndPending && e != EndDeferred }

// Trace is the story of one message, and the schema of `postern logs trace
// --output json`. Text of peers is escaped as in the logs, so that it may meet a
// terminal; that of Sessions is not.
type Trace struct {
	// ID is the queue id, or Exchange's internal message id.
	ID        string `json:"id,omitempty"`
	MessageID string `json:"message_id,omitempty"`
	Subject   string `json:"subject,omitempty"`
	// Sender is the reverse path without brackets; empty is the null path.
	Sender string `json:"sender"`
	Octets int64  `json:"octets,omitempty"`
	// Directionality is Incoming or Originating.
	Directionality string `json:"directionality,omitempty"`
	// ReportOf is, for a notification, the message that it is about.
	ReportOf string `json:"report_of,omitempty"`
	// Arrival is where the message came from, or where it was refused; nil where
	// the log does not have it.
	Arrival *Arrival `json:"arrival,omitempty"`
	// Routes are the ways that the router chose when it came.
	Routes     []Route          `json:"routes,omitempty"`
	Recipients []RecipientTrace `json:"recipients"`
	// Steps are what happened, in order.
	Steps []Step `json:"steps"`
	// Pending says that the message has not come to its end for everybody: it
	// is in the queue, or its end is not in the log.
	Pending bool `json:"pending"`
	// Notifications are the messages that were made of it, with their own
	// stories; of those, the notifications are left out.
	Notifications []*Trace `json:"notifications,omitempty"`
	// SessionIDs are the sessions that it took part in, in order, and Sessions
	// what the protocol logs have of them, with their lines where asked for.
	SessionIDs []string   `json:"session_ids"`
	Sessions   []*Session `json:"sessions,omitempty"`
	// Untracked says that message tracking has nothing of it, and all that is
	// known is from the protocol logs.
	Untracked bool `json:"untracked,omitempty"`
}

// Arrival is how a message came.
type Arrival struct {
	At     time.Time `json:"at"`
	Source string    `json:"source,omitempty"`
	// Connector is the Receive connector without "SERVER\".
	Connector string `json:"connector,omitempty"`
	Session   string `json:"session,omitempty"`
	// Began is when the client connected.
	Began  time.Time `json:"connected,omitzero"`
	Client string    `json:"client,omitempty"`
	HELO   string    `json:"helo,omitempty"`
	User   string    `json:"user,omitempty"`
	Server string    `json:"server,omitempty"`
	// Protocol is the "with" keyword of the Received field, such as ESMTPS, or
	// the way it came in no session, such as Import.
	Protocol string `json:"protocol,omitempty"`
	// TLS is version and cipher, "TLS" where that is all that is known; empty in clear or where it is not known,
	// which TLSKnown tells apart.
	TLS      string `json:"tls,omitempty"`
	TLSKnown bool   `json:"tls_known"`
	// Reply is what the client was told.
	Reply string `json:"reply,omitempty"`
}

// Route is where a new message was to go, and why.
type Route struct {
	// Connector is the Send connector; empty where there was none, for the
	// Problem.
	Connector string `json:"connector,omitempty"`
	Problem   string `json:"problem,omitempty"`
	Reason    string `json:"reason,omitempty"`
	// Generation is that of the routing table.
	Generation string `json:"generation,omitempty"`
}

// RecipientTrace is what became of one recipient.
type RecipientTrace struct {
	Address string    `json:"address"`
	End     End       `json:"end"`
	At      time.Time `json:"at,omitzero"`
	// Reply is what was said last, Host who said it.
	Reply string `json:"reply,omitempty"`
	Host  string `json:"host,omitempty"`
	// Tries counts the attempts, Due is the next one.
	Tries int       `json:"tries"`
	Due   time.Time `json:"due,omitzero"`
	// Seconds is the time from the arrival to the end, where both are known.
	Seconds float64 `json:"seconds,omitempty"`
}

// StepKind says what happened in a step.
type StepKind string

// The kinds of steps.
const (
	StepReceived   StepKind = "received"
	StepRefused    StepKind = "refused"   // to the client, which keeps the message
	StepAborted    StepKind = "aborted"   // by the client, before the end of the content
	StepReceiving  StepKind = "receiving" // no reply to the content is in the log
	StepDelivered  StepKind = "delivered"
	StepDeferred   StepKind = "deferred"
	StepFailed     StepKind = "failed"
	StepExpired    StepKind = "expired"
	StepRemoved    StepKind = "removed"
	StepNotified   StepKind = "notified"
	StepSuppressed StepKind = "suppressed"
	StepRedirected StepKind = "redirected"
	StepFallback   StepKind = "fallback"
	StepResubmit   StepKind = "resubmitted"
	StepSuspended  StepKind = "suspended"
	StepResumed    StepKind = "resumed"
	StepPoison     StepKind = "poison"
	StepAttempt    StepKind = "attempt" // from a protocol log alone
	StepOther      StepKind = "other"
)

// Step is one thing that happened to a message.
type Step struct {
	At   time.Time `json:"at"`
	Kind StepKind  `json:"kind"`
	// After is how long it was since the step before, in seconds.
	After float64 `json:"after"`
	// Event and Source are as in the log, such as SEND and SMTP.
	Event      string   `json:"event,omitempty"`
	Source     string   `json:"source,omitempty"`
	Connector  string   `json:"connector,omitempty"`
	Recipients []string `json:"recipients,omitempty"`
	// Replies belong to the recipients, one by one; fewer where there were
	// none.
	Replies []string `json:"replies,omitempty"`
	Host    string   `json:"host,omitempty"`
	Address string   `json:"address,omitempty"`
	Session string   `json:"session,omitempty"`
	// NextHop is the domain or host that it was to go to.
	NextHop string `json:"next_hop,omitempty"`
	// Reason is why, for what needs a reason.
	Reason     string `json:"reason,omitempty"`
	Generation string `json:"generation,omitempty"`
	SourceIP   string `json:"source_ip,omitempty"`
	TLS        string `json:"tls,omitempty"`
	Peer       string `json:"peer,omitempty"`
	Trust      string `json:"trust,omitempty"`
	Policy     string `json:"policy,omitempty"`
	By         string `json:"by,omitempty"`
	Related    string `json:"related,omitempty"`
	// Notification is the queue id of the message that was made, and About what
	// it tells: failure, delay or relayed.
	Notification string `json:"notification,omitempty"`
	About        string `json:"about,omitempty"`
	// Attempts is how many connections were made for it at once, Tries how
	// often it was tried by then.
	Attempts int       `json:"attempts,omitempty"`
	Tries    int       `json:"tries,omitempty"`
	Due      time.Time `json:"due,omitzero"`
	// Latency is how long the message was here by then, in seconds.
	Latency float64 `json:"latency,omitempty"`
	// Context is what else the line says, as it stands there.
	Context string `json:"context,omitempty"`
}

// endOf says how a line of FAIL ended its recipients: an administrator removed
// the message, its time was over, or somebody refused it.
func endOf(t *logs.Tracking) End {
	switch {
	case t.Source == logs.SourceAdmin:
		return EndRemoved
	case t.Custom.Get("outcome") == "expired", isExpiry(t.SourceContext):
		return EndExpired
	}
	for _, s := range t.Statuses {
		if isExpiry(s) {
			return EndExpired
		}
	}
	return EndFailed
}

// isExpiry tells whether a status says that the message was too long in the
// queue (RFC 3463 3.5: X.4.7).
func isExpiry(s string) bool {
	codes, text := splitReply(s)
	return strings.HasSuffix(codes, " 4.4.7") || strings.HasSuffix(codes, " 5.4.7") ||
		strings.Contains(text, "QUEUE.Expired") || strings.Contains(text, "message expired")
}
