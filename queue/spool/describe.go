package spool

import (
	"time"

	"postern/internal/message"
)

// Description is a message as the commands show it: JSON in snake_case, times
// in UTC, sizes in octets.
type Description struct {
	ID         string                 `json:"id"`
	Sender     string                 `json:"sender"` // empty for the null reverse path
	Size       int64                  `json:"size"`
	Arrived    time.Time              `json:"arrived"`
	MessageID  string                 `json:"message_id,omitempty"`
	EnvID      string                 `json:"envid,omitempty"`
	Return     string                 `json:"ret,omitempty"`
	Body       string                 `json:"body,omitempty"`
	SMTPUTF8   bool                   `json:"smtputf8,omitempty"`
	RequireTLS bool                   `json:"requiretls,omitempty"`
	Connector  string                 `json:"connector,omitempty"`
	Session    string                 `json:"session,omitempty"`
	Client     string                 `json:"client,omitempty"`
	Helo       string                 `json:"helo,omitempty"`
	Protocol   string                 `json:"protocol,omitempty"`
	Internal   bool                   `json:"internal,omitempty"`
	ReportOf   string                 `json:"report_of,omitempty"`
	Recipients []RecipientDescription `json:"recipients"`
	// What was ordered about the message.
	Suspended bool   `json:"suspended,omitempty"`
	Poison    bool   `json:"poison,omitempty"`
	Redirect  string `json:"redirect,omitempty"`
	Panics    int    `json:"panics,omitempty"`
}

// RecipientDescription is one recipient with what has become of it.
type RecipientDescription struct {
	Address   string     `json:"address"`
	Status    string     `json:"status"`
	Notify    []string   `json:"notify,omitempty"`
	ORcpt     string     `json:"orcpt,omitempty"`
	Tries     int        `json:"tries"`
	Reply     string     `json:"reply,omitempty"`
	RemoteMTA string     `json:"remote_mta,omitempty"`
	At        *time.Time `json:"at,omitempty"`
	Due       *time.Time `json:"due,omitempty"`
	// Fallback is the Send connector that has taken over for the recipient.
	Fallback string `json:"fallback,omitempty"`
}

// Describe returns the description of a message.
func Describe(e Entry) Description {
	env := e.Envelope
	d := Description{
		ID: e.ID.String(), Sender: env.From.String(), Size: e.Size, Arrived: env.Arrived.UTC(), MessageID: env.MessageID,
		EnvID: env.EnvID, SMTPUTF8: env.SMTPUTF8, RequireTLS: env.RequireTLS,
		Return: [...]string{"", "FULL", "HDRS"}[min(env.Return, 2)], Body: [...]string{"", "7BIT", "8BITMIME", "BINARYMIME"}[min(env.Body, 3)],
		Connector: env.Origin.Connector, Session: env.Origin.Session, Helo: env.Origin.Helo, Protocol: env.Origin.Protocol, Internal: env.Origin.Internal,
		Recipients: make([]RecipientDescription, 0, len(env.Recipients)),
	}
	if env.Origin.Client.IsValid() {
		d.Client = env.Origin.Client.String()
	}
	if env.Origin.ReportOf != 0 {
		d.ReportOf = env.Origin.ReportOf.String()
	}
	if st := e.State; st != nil {
		d.Suspended, d.Poison, d.Redirect, d.Panics = st.Standing.Suspended, st.Standing.Poison, st.Standing.Redirect, st.Standing.Panics
	}
	for i := range env.Recipients {
		d.Recipients = append(d.Recipients, describeRecipient(&env.Recipients[i], e.State, i))
	}
	return d
}

func describeRecipient(r *message.Recipient, st *message.State, i int) RecipientDescription {
	d := RecipientDescription{Address: r.Address.String(), ORcpt: r.ORcpt, Status: message.Pending.String()}
	for bit, word := range []string{"NEVER", "SUCCESS", "FAILURE", "DELAY"} {
		if r.Notify&(1<<bit) != 0 {
			d.Notify = append(d.Notify, word)
		}
	}
	if st == nil || i >= len(st.Recipients) {
		return d
	}
	s := &st.Recipients[i]
	d.Status, d.Tries, d.RemoteMTA = s.Status.String(), s.Tries, s.RemoteMTA
	if s.Reply.Code != 0 {
		d.Reply = s.Reply.String()
	}
	moment := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC()
		return &t
	}
	d.At, d.Due, d.Fallback = moment(s.At), moment(s.Due), s.Fallen.Connector
	return d
}
