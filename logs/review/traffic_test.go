package review

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"postern/internal/message"
	"postern/logs"
)

// script is one session as it will be written, with what is true of it: the
// oracle of the tests goes by these facts and never looks at a log.
type script struct {
	direction logs.Direction
	connector string
	local     netip.AddrPort
	remote    netip.AddrPort
	begins    time.Duration // after the start of the traffic
	steps     []step

	helo     string
	tls      string
	user     string
	froms    []string
	tos      []string
	replies  []string
	queueIDs []string
	outcome  Outcome
	endless  bool // no line ends it

	// id, start and end are told when it is written.
	id         string
	start, end time.Time
	lines      []logs.Line
}

// step is one line, and the time before it.
type step struct {
	wait          time.Duration
	event         logs.Event
	data, context string
}

// dialog writes scripts.
type dialog struct {
	*script
	r *rand.Rand
}

func (d *dialog) step(e logs.Event, data, context string) {
	wait := time.Duration(0)
	if d.r.IntN(3) == 0 {
		wait = time.Duration(d.r.IntN(800)) * time.Millisecond
	}
	d.steps = append(d.steps, step{wait, e, data, context})
}

func (d *dialog) pause(wait time.Duration) { d.steps[len(d.steps)-1].wait += wait }

func (d *dialog) info(data, context string) { d.step(logs.EventInfo, data, context) }

// client and server say a line of that side of the session.
func (d *dialog) client(text string) {
	if d.direction == logs.Receive {
		d.step(logs.EventReceived, text, "")
	} else {
		d.step(logs.EventSent, text, "")
	}
}

func (d *dialog) server(text string) {
	d.replies = append(d.replies, text)
	if d.direction == logs.Receive {
		d.step(logs.EventSent, text, "")
	} else {
		d.step(logs.EventReceived, text, "")
	}
}

func (d *dialog) ehlo(name string) {
	d.helo = name
	d.client("EHLO " + name)
	for _, k := range []string{"edge.contoso.example Hello", "SIZE 37748736", "PIPELINING", "8BITMIME"} {
		d.server("250-" + k)
	}
	d.server("250 CHUNKING")
}

func (d *dialog) startTLS(described string) {
	d.tls = described
	d.client("STARTTLS")
	d.server("220 2.0.0 SMTP server ready")
	d.info("", "Sending certificate")
	d.info("CN=edge.contoso.example", "Certificate subject")
	d.info("4F00BA", "Certificate serial number")
	d.info(described, "TLS negotiation succeeded")
}

// pick returns one of some.
func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

var (
	strangers  = []string{"bob@fabrikam.example", "news@mail.northwind.example", "", "\"odd, name\"@tailspin.example", "eve@nowhere.example", "Ann@Fabrikam.example"}
	ours       = []string{"kim@contoso.example", "lee@contoso.example", "desk@sales.contoso.example", "Kim@Contoso.Example"}
	partners   = []string{"bob@fabrikam.example", "ann@mail.fabrikam.example", "info@tailspin.example"}
	heloNames  = []string{"mx.fabrikam.example", "mail.northwind.example", "[198.51.100.7]", "localhost"}
	tlsKinds   = []string{"TLS1.3 TLS_AES_128_GCM_SHA256", "TLS1.2 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS1.3 TLS_AES_256_GCM_SHA384"}
	receivers  = []string{"From Internet", "Submission", "From, with a comma"}
	senders    = []string{"Internet", "Partner \"F\"", "To organization"}
	odd        = []string{"=cmd|' /C calc'!A0", "caf\u00e9 \x1b[31m red", `C:\x41\temp, "quoted"`, "", "-dash", "\u202egnp.exe"}
	refusals   = []string{"550 5.1.1 User unknown", "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", "452 4.3.1 Insufficient system resources"}
	disastrous = []string{"554 5.6.0 Corrupt message content", "451 4.7.0 Temporary server error"}
)

var queueID = message.ID(1 << 40)

// write makes one session of a kind.
func (d *dialog) write(id message.ID) {
	r := d.r
	if d.direction == logs.Send {
		d.info("", "attempting to connect")
		if r.IntN(12) == 0 {
			d.info("451 4.4.1 connection refused", "failed to connect")
			d.outcome = Broken
			return
		}
	}
	d.step(logs.EventConnect, "", "")
	d.outcome = NoMail
	if d.direction == logs.Receive {
		d.info("submit accept_any_sender", "Set Session Permissions")
		if r.IntN(20) == 0 {
			d.info("", "limit max_inbound_connection")
			d.server("421 4.3.2 Service not available, closing transmission channel")
			d.outcome = Refused
			d.close()
			return
		}
	}
	d.server("220 edge.contoso.example ESMTP ready, at your service")
	name := pick(r, heloNames...)
	d.ehlo(name)
	if r.IntN(2) == 0 {
		d.startTLS(pick(r, tlsKinds...))
		d.ehlo(name)
	}
	if d.direction == logs.Receive && d.connector == "Submission" {
		d.user = pick(r, "scanner", "kim@contoso.example")
		d.client("AUTH PLAIN <redacted>")
		d.info(d.user, "authenticated by PLAIN")
		d.server("235 2.7.0 Authentication successful")
	}
	if r.IntN(15) == 0 {
		text := pick(r, odd...)
		d.client(text)
		d.server("500 5.5.1 Unrecognized command")
		d.outcome = Refused
	}
	for n := r.IntN(4); n > 0; n-- {
		if !d.transaction(id) {
			return
		}
		id++
	}
	if r.IntN(30) == 0 {
		d.endless = true // the gateway was killed
		return
	}
	d.close()
}

func (d *dialog) close() {
	if d.r.IntN(2) == 0 {
		d.client("QUIT")
		d.server("221 2.0.0 Service closing transmission channel")
	}
	d.step(logs.EventDisconnect, "", pick(d.r, "Local", "Remote"))
}

// worse notes what became of something.
func (d *dialog) note(accepted bool) {
	switch {
	case accepted && d.outcome == NoMail:
		d.outcome = Accepted
	case accepted && d.outcome == Refused, !accepted && d.outcome == Accepted:
		d.outcome = Partly
	case !accepted && d.outcome == NoMail:
		d.outcome = Refused
	}
}

// transaction writes one message, and reports whether the session goes on.
func (d *dialog) transaction(id message.ID) bool {
	r := d.r
	from, to := pick(r, strangers...), ours
	if d.direction == logs.Send {
		from, to = pick(r, ours...), partners
		d.info(id.String(), "sending message")
	}
	d.froms = append(d.froms, from)
	mail := "MAIL FROM:<" + from + "> SIZE=" + fmt.Sprint(1000+r.IntN(100000))
	rcpts := []string{pick(r, to...)}
	for r.IntN(3) == 0 {
		rcpts = append(rcpts, pick(r, to...))
	}
	d.tos = append(d.tos, rcpts...)
	if d.direction == logs.Send {
		d.queueIDs = append(d.queueIDs, id.String())
		d.client(mail)
		for _, rcpt := range rcpts {
			d.client("RCPT TO:<" + rcpt + ">")
		}
		d.client("DATA")
	} else {
		d.client(pick(r, mail, strings.ToLower(mail[:10])+mail[10:]))
	}
	d.server("250 2.1.0 Sender OK")
	taken := 0
	for _, rcpt := range rcpts {
		if d.direction == logs.Receive {
			d.client("RCPT TO:<" + rcpt + ">")
		}
		if r.IntN(5) == 0 {
			reply := pick(r, refusals...)
			if d.direction == logs.Receive {
				d.info("Tarpit for '0.00:00:05'", reply)
				d.pause(5 * time.Second)
			}
			d.server(reply)
			d.note(false)
			continue
		}
		d.server("250 2.1.5 Recipient OK")
		taken++
	}
	if d.direction == logs.Receive {
		if taken == 0 {
			d.client("RSET")
			d.server("250 2.0.0 Resetting")
			return true
		}
		d.client("DATA")
		d.queueIDs = append(d.queueIDs, id.String())
		d.info(id.String()+";2025-03-04T08:00:02.405Z;1", "receiving message")
	}
	if taken == 0 {
		d.server("554 5.5.1 No valid recipients")
		d.note(false)
		return true
	}
	d.server("354 Start mail input; end with <CRLF>.<CRLF>")
	switch {
	case r.IntN(25) == 0:
		d.info("EOF", "connection lost")
		d.step(logs.EventDisconnect, "", "Remote")
		if d.outcome == NoMail {
			d.outcome = Broken
		} else if d.outcome == Accepted {
			d.outcome = Partly
		}
		return false
	case r.IntN(12) == 0:
		d.server(pick(r, disastrous...))
		d.note(false)
	case d.direction == logs.Receive:
		d.server("250 2.6.0 <a1@example.net> [InternalId=" + id.String() + ", Hostname=edge.contoso.example] Queued mail for delivery")
		d.note(true)
	default:
		d.server("250 2.0.0 OK: queued")
		d.note(true)
	}
	return true
}

// traffic makes sessions of all kinds over a time.
func traffic(seed uint64, sessions int, over time.Duration) []*script {
	r := rand.New(rand.NewPCG(seed, 0x706f737465726e))
	list := make([]*script, sessions)
	at := time.Duration(0)
	for i := range list {
		at += time.Duration(r.Int64N(int64(2*over)/int64(sessions) + 1))
		s := &script{begins: at, direction: pick(r, logs.Receive, logs.Receive, logs.Send)}
		s.remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(100 + r.IntN(3)), byte(r.IntN(256))}), uint16(1024+r.IntN(60000)))
		if r.IntN(10) == 0 {
			s.remote = netip.MustParseAddrPort(fmt.Sprintf("[2001:db8::%x]:25", r.IntN(16)))
		}
		s.local = netip.MustParseAddrPort("192.0.2.10:25")
		s.connector = pick(r, receivers...)
		if s.direction == logs.Send {
			s.connector = pick(r, senders...)
		}
		(&dialog{s, r}).write(queueID + message.ID(i*8))
		list[i] = s
	}
	return list
}
