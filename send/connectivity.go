package send

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/message"
	"postern/logs"
	"postern/routing"
)

// maxToldHosts is how many hosts, and how many failed look-ups, the connectivity
// log is told of by one connection.
const maxToldHosts = 8

// link writes the lines of one connection, or of the vain search for somebody to
// connect to, to the connectivity log (reference 7.2). A nil link takes every
// call and does nothing.
type link struct {
	log                  *logs.Log[logs.ConnectivityLine]
	session, destination string
}

// link begins the lines of a connection: how the next hop is reached, how much
// waits for it, and what the names of its hosts came to, as far as no
// connection has told it before.
func (r *run) link(session string) *link {
	log := r.s.o.Connectivity
	if !log.On() {
		return nil
	}
	l := &link{log: log, session: session, destination: r.hop.Domain}
	delivery := "DnsConnectorDelivery "
	if r.hop.Kind == routing.SmartHost {
		delivery = "SmartHostConnectorDelivery "
	}
	l.line('+', delivery+r.connector.Name+r.backlog())
	for _, reply := range r.unfound {
		l.line('>', reply.String())
	}
	for _, text := range toldHosts(r.fresh) {
		l.line('>', text)
	}
	r.unfound, r.fresh = nil, nil
	return l
}

// backlog is how many messages wait for the next hop, this one among them.
func (r *run) backlog() string {
	b, ok := r.d.Place.(message.Backlog)
	if !ok {
		return ";"
	}
	return ";QueueLength=TQ=" + strconv.Itoa(b.Waiting()+1) + ";"
}

// toldHosts describes hosts and their addresses: "mx1.example.net[198.51.100.25]".
func toldHosts(list []found) []string {
	var out []string
	at := make(map[string]int)
	for _, e := range list {
		address := e.addr.Addr().String()
		if i, ok := at[e.host]; ok {
			out[i] = strings.TrimSuffix(out[i], "]") + " " + address + "]"
			continue
		}
		if len(out) == maxToldHosts {
			break
		}
		at[e.host] = len(out)
		if !e.named {
			out = append(out, "["+address+"]")
			continue
		}
		out = append(out, e.host+"["+address+"]")
	}
	return out
}

func (l *link) line(direction byte, description string) {
	if l != nil {
		l.log.Write(&logs.ConnectivityLine{Session: l.session, Source: "SMTP", Destination: l.destination, Direction: direction, Description: description})
	}
}

func (l *link) established(e endpoint) {
	if l != nil {
		l.line('>', "Established connection to "+e.addr.Addr().String())
	}
}

// failed tells of a connection that could not be made. Until is when the host is
// tried again before others, zero when it is not held for dead.
func (l *link) failed(e endpoint, f *failure, until time.Time) {
	if l == nil {
		return
	}
	text := fmt.Sprintf("Failed connection to %s (%s)[TargetHost:%s", e.addr, oneLine(f.reply.String()), e.host)
	if !until.IsZero() {
		text += "|MarkedUnhealthy|NextRetryTime:" + until.UTC().Format(time.RFC3339)
	}
	l.line('>', text+"]")
	l.ended(0, 0, "Retry : Unable to connect")
}

// ended tells what a connection has carried, and why it ended early if it did.
func (l *link) ended(messages int, octets int64, note string) {
	if l != nil {
		l.line('-', "Messages: "+strconv.Itoa(messages)+" Bytes: "+strconv.FormatInt(octets, 10)+" ("+note+")")
	}
}

// unlinked tells of an attempt that has made no connection: nobody was found.
func (r *run) unlinked(status message.Status, reply message.Reply) {
	l := r.link(r.s.o.SessionIDs.Next())
	if l == nil {
		return
	}
	for _, a := range r.skipped {
		l.line('>', a.Reply.String())
	}
	what := "Retry"
	if status == message.Failed {
		what = "Failed"
	}
	l.ended(0, 0, what+" : "+oneLine(reply.String()))
}

// hears keeps a failed look-up for the connectivity log.
func (r *run) hears(f *failure) {
	r.note(f, "")
	if r.s.o.Connectivity.On() && len(r.unfound) < maxToldHosts && !slices.Contains(r.unfound, f.reply) {
		r.unfound = append(r.unfound, f.reply)
	}
}

// whyEnded is a failure as the note behind what a connection carried.
func whyEnded(f *failure) string { return "Retry : " + oneLine(f.reply.String()) }
