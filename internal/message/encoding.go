package message

import "fmt"

// The encoding on disk is ours: fields of tag, length and value, tag and
// length as unsigned varints. A field at its zero value is left out; a decoder
// passes over tags it does not know, so that a later version can add fields
// and an older one still reads the rest. A tag never changes its meaning.
// Decoders never panic, and what they allocate is proportional to their input.

// The tags of an Envelope.
const (
	envFrom = iota + 1
	envBody
	envSMTPUTF8
	envRequireTLS
	envReturn
	envEnvID
	envRecipient
	envSize
	envArrived
	envMessageID
	envOrigin
	envSubject
	envAuth
)

// The tags of a Recipient.
const (
	rcptLocal = iota + 1
	rcptDomain
	rcptNotify
	rcptORcpt
)

// The tags of an Origin.
const (
	originConnector = iota + 1
	originSession
	originClient
	originLocal
	originHelo
	originProtocol
	originInternal
	originReportOf
	originUser
	originMayRelay
)

// The tags of a Reply.
const (
	replyCode = iota + 1
	replyEnhanced
	replyText
)

// The tags of an Outcome.
const (
	outcomeRecipients = iota + 1
	outcomeStatus
	outcomeReply
	outcomeRemoteMTA
	outcomeDue
	outcomeTries
	outcomeNoDSN
	outcomeNextHop
)

// The tags of an Attempt.
const (
	attemptAt = iota + 1
	attemptHost
	attemptAddress
	attemptSource
	attemptTLS
	attemptSession
	attemptReply
	attemptNextHop
	attemptPeer
	attemptTrust
	attemptClient
	attemptPolicy
)

// attemptSender is a tag of an Attempt as well.
const attemptSender = 20

// The tags of an Update.
const (
	updateAt = iota + 1
	updateOutcome
	updateAttempt
	updateNotified
	updateDelayNotified
	updateDone
	updateStanding
	updateFallback
)

// AppendEnvelope appends the encoding of e to b.
func AppendEnvelope(b []byte, e *Envelope) []byte {
	b = appendNested(b, envFrom, func(b []byte) []byte { return appendAddress(b, e.From) })
	b = appendUint(b, envBody, uint64(e.Body))
	b = appendBool(b, envSMTPUTF8, e.SMTPUTF8)
	b = appendBool(b, envRequireTLS, e.RequireTLS)
	b = appendUint(b, envReturn, uint64(e.Return))
	b = appendString(b, envEnvID, e.EnvID)
	for i := range e.Recipients {
		r := &e.Recipients[i]
		b = appendNested(b, envRecipient, func(b []byte) []byte {
			b = appendAddress(b, r.Address)
			b = appendUint(b, rcptNotify, uint64(r.Notify))
			return appendString(b, rcptORcpt, r.ORcpt)
		})
	}
	b = appendInt(b, envSize, e.Size)
	b = appendTime(b, envArrived, e.Arrived)
	b = appendString(b, envMessageID, e.MessageID)
	b = appendString(b, envSubject, e.Subject)
	b = appendString(b, envAuth, e.Auth)
	return appendNested(b, envOrigin, func(b []byte) []byte {
		o := &e.Origin
		b = appendString(b, originConnector, o.Connector)
		b = appendString(b, originSession, o.Session)
		b = appendAddrPort(b, originClient, o.Client)
		b = appendAddrPort(b, originLocal, o.Local)
		b = appendString(b, originHelo, o.Helo)
		b = appendString(b, originProtocol, o.Protocol)
		b = appendBool(b, originInternal, o.Internal)
		b = appendUint(b, originReportOf, uint64(o.ReportOf))
		b = appendString(b, originUser, o.User)
		return appendBool(b, originMayRelay, o.MayRelay)
	})
}

// DecodeEnvelope reads what AppendEnvelope wrote. Times come back in UTC.
func DecodeEnvelope(b []byte) (*Envelope, error) {
	e := new(Envelope)
	f := fields{s: string(b)}
	for f.next() {
		switch f.tag {
		case envFrom:
			e.From = f.recipient().Address
		case envBody:
			e.Body = BodyType(f.uint8())
		case envSMTPUTF8:
			e.SMTPUTF8 = f.bool()
		case envRequireTLS:
			e.RequireTLS = f.bool()
		case envReturn:
			e.Return = Return(f.uint8())
		case envEnvID:
			e.EnvID = f.v
		case envRecipient:
			e.Recipients = append(e.Recipients, f.recipient())
		case envSize:
			e.Size = f.int()
		case envArrived:
			e.Arrived = f.time()
		case envMessageID:
			e.MessageID = f.v
		case envSubject:
			e.Subject = f.v
		case envAuth:
			e.Auth = f.v
		case envOrigin:
			e.Origin = f.origin()
		}
	}
	if f.err != nil {
		return nil, fmt.Errorf("envelope: %w", f.err)
	}
	return e, nil
}

// AppendUpdate appends the encoding of u to b.
func AppendUpdate(b []byte, u *Update) []byte {
	b = appendTime(b, updateAt, u.At)
	for i := range u.Outcomes {
		o := &u.Outcomes[i]
		b = appendNested(b, updateOutcome, func(b []byte) []byte {
			b = appendInts(b, outcomeRecipients, o.Recipients)
			b = appendUint(b, outcomeStatus, uint64(o.Status))
			b = appendReply(b, outcomeReply, &o.Reply)
			b = appendString(b, outcomeRemoteMTA, o.RemoteMTA)
			b = appendTime(b, outcomeDue, o.Due)
			b = appendInt(b, outcomeTries, int64(o.Tries))
			b = appendBool(b, outcomeNoDSN, o.NoDSN)
			return appendString(b, outcomeNextHop, o.NextHop)
		})
	}
	for i := range u.Attempts {
		b = appendAttempt(b, updateAttempt, &u.Attempts[i])
	}
	b = appendInts(b, updateNotified, u.Notified)
	b = appendInts(b, updateDelayNotified, u.DelayNotified)
	b = appendBool(b, updateDone, u.Done)
	for i := range u.Fallbacks {
		b = appendFallback(b, updateFallback, &u.Fallbacks[i])
	}
	return appendStanding(b, updateStanding, u.Standing)
}

// DecodeUpdate reads what AppendUpdate wrote. Times come back in UTC.
func DecodeUpdate(b []byte) (*Update, error) {
	u := new(Update)
	f := fields{s: string(b)}
	for f.next() {
		switch f.tag {
		case updateAt:
			u.At = f.time()
		case updateOutcome:
			u.Outcomes = append(u.Outcomes, f.outcome())
		case updateAttempt:
			u.Attempts = append(u.Attempts, f.attempt())
		case updateNotified:
			u.Notified = f.ints()
		case updateDelayNotified:
			u.DelayNotified = f.ints()
		case updateDone:
			u.Done = f.bool()
		case updateStanding:
			st := f.standing()
			u.Standing = &st
		case updateFallback:
			u.Fallbacks = append(u.Fallbacks, f.fallback())
		}
	}
	if f.err != nil {
		return nil, fmt.Errorf("update: %w", f.err)
	}
	return u, nil
}

func appendAddress(b []byte, a Address) []byte {
	b = appendString(b, rcptLocal, a.Local)
	return appendString(b, rcptDomain, a.Domain)
}

func appendReply(b []byte, tag uint64, r *Reply) []byte {
	if *r == (Reply{}) {
		return b
	}
	return appendNested(b, tag, func(b []byte) []byte {
		b = appendInt(b, replyCode, int64(r.Code))
		if r.Enhanced != ([3]int{}) {
			b = appendInts(b, replyEnhanced, r.Enhanced[:])
		}
		return appendString(b, replyText, r.Text)
	})
}

func appendAttempt(b []byte, tag uint64, a *Attempt) []byte {
	return appendNested(b, tag, func(b []byte) []byte {
		b = appendTime(b, attemptAt, a.At)
		b = appendString(b, attemptHost, a.Host)
		b = appendString(b, attemptAddress, a.Address)
		b = appendString(b, attemptSource, a.Source)
		b = appendString(b, attemptTLS, a.TLS)
		b = appendString(b, attemptSession, a.Session)
		b = appendReply(b, attemptReply, &a.Reply)
		b = appendString(b, attemptSender, a.Sender)
		b = appendString(b, attemptNextHop, a.NextHop)
		b = appendString(b, attemptPeer, a.Peer)
		b = appendString(b, attemptTrust, a.Trust)
		b = appendString(b, attemptClient, a.Client)
		return appendString(b, attemptPolicy, a.Policy)
	})
}

func (f *fields) recipient() (r Recipient) {
	g := fields{s: f.v}
	for g.next() {
		switch g.tag {
		case rcptLocal:
			r.Address.Local = g.v
		case rcptDomain:
			r.Address.Domain = g.v
		case rcptNotify:
			r.Notify = Notify(g.uint8())
		case rcptORcpt:
			r.ORcpt = g.v
		}
	}
	f.fail(g.err)
	return r
}

func (f *fields) origin() (o Origin) {
	g := fields{s: f.v}
	for g.next() {
		switch g.tag {
		case originConnector:
			o.Connector = g.v
		case originSession:
			o.Session = g.v
		case originClient:
			o.Client = g.addrPort()
		case originLocal:
			o.Local = g.addrPort()
		case originHelo:
			o.Helo = g.v
		case originProtocol:
			o.Protocol = g.v
		case originInternal:
			o.Internal = g.bool()
		case originReportOf:
			o.ReportOf = ID(g.uint())
		case originUser:
			o.User = g.v
		case originMayRelay:
			o.MayRelay = g.bool()
		}
	}
	f.fail(g.err)
	return o
}

func (f *fields) reply() (r Reply) {
	g := fields{s: f.v}
	for g.next() {
		switch g.tag {
		case replyCode:
			r.Code = int(g.int())
		case replyEnhanced:
			copy(r.Enhanced[:], g.ints())
		case replyText:
			r.Text = g.v
		}
	}
	f.fail(g.err)
	return r
}

func (f *fields) outcome() (o Outcome) {
	g := fields{s: f.v}
	for g.next() {
		switch g.tag {
		case outcomeRecipients:
			o.Recipients = g.ints()
		case outcomeStatus:
			o.Status = Status(g.uint8())
		case outcomeReply:
			o.Reply = g.reply()
		case outcomeRemoteMTA:
			o.RemoteMTA = g.v
		case outcomeDue:
			o.Due = g.time()
		case outcomeTries:
			o.Tries = int(g.int())
		case outcomeNoDSN:
			o.NoDSN = g.bool()
		case outcomeNextHop:
			o.NextHop = g.v
		}
	}
	f.fail(g.err)
	return o
}

func (f *fields) attempt() (a Attempt) {
	g := fields{s: f.v}
	for g.next() {
		switch g.tag {
		case attemptAt:
			a.At = g.time()
		case attemptHost:
			a.Host = g.v
		case attemptAddress:
			a.Address = g.v
		case attemptSource:
			a.Source = g.v
		case attemptTLS:
			a.TLS = g.v
		case attemptSession:
			a.Session = g.v
		case attemptReply:
			a.Reply = g.reply()
		case attemptNextHop:
			a.NextHop = g.v
		case attemptSender:
			a.Sender = g.v
		case attemptPeer:
			a.Peer = g.v
		case attemptTrust:
			a.Trust = g.v
		case attemptClient:
			a.Client = g.v
		case attemptPolicy:
			a.Policy = g.v
		}
	}
	f.fail(g.err)
	return a
}
