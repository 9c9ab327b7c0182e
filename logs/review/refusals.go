package review

import (
	"strings"
	"time"

	"postern/logs"
)

// refusal is one reply that refused something in a session.
type refusal struct {
	at time.Time
	// class is "4xx" or "5xx", limit the limit that the reply names to us.
	class, limit, reason string
	// logon says that it refused a logon.
	logon bool
}

// maxRefusals is how many refusals of one session are looked at: a client that
// pipelines thousands of recipients says the same thousands of times.
const maxRefusals = 10000

// refusalsIn returns what was refused in a session: by us in one with a client,
// by the next hop in one of ours.
func refusalsIn(v *Session) []refusal {
	answers := logs.EventSent
	if v.Direction == logs.Send {
		answers = logs.EventReceived
	}
	var list []refusal
	var limit string
	var reply strings.Builder
	var names []string
	for i := range v.Lines {
		l := &v.Lines[i]
		if l.Event == logs.EventInfo {
			// Of two the later one decided, but for that of the tarpit, which is
			// no reason to refuse anything.
			if name, ok := strings.CutPrefix(l.Context, "limit "); ok && name != "max_tarpitted_sessions" {
				limit = cutKey(printable(name))
			}
			continue
		}
		if l.Event != answers || replyClass(l.Data) == "" {
			if l.Event == answers {
				limit = ""
				reply.Reset()
			}
			continue
		}
		if reply.Len() > 0 {
			reply.WriteByte('\n')
		}
		if reply.Len() < maxReply {
			reply.WriteString(l.Data)
		}
		if len(l.Data) > 3 && l.Data[3] == '-' { // RFC 5321 4.2.1: more lines follow
			continue
		}
		if names == nil {
			names = namesIn(v)
		}
		text := reply.String()
		list = append(list, refusal{
			at: l.Time, class: replyClass(text), limit: limit, reason: reasonOf(text, names...), logon: strings.HasPrefix(text, "535"), // RFC 4954 6
		})
		reply.Reset()
		limit = ""
		if len(list) == maxRefusals {
			break
		}
	}
	return list
}

// maxNames is how many names of a session are looked for in its replies.
const maxNames = 50

// namesIn returns the domains of a session's addresses and the client's name,
// which are no part of a reason.
func namesIn(v *Session) []string {
	var names distinct
	add := func(name string) {
		if len(names.items) < maxNames && len(name) >= 3 && strings.Contains(name, ".") {
			names.add(lower(name))
		}
	}
	if v.Direction == logs.Receive {
		add(v.HELO)
	}
	domain := func(address string) {
		if i := strings.LastIndexByte(address, '@'); i >= 0 {
			add(address[i+1:])
		}
	}
	for i := range v.Messages {
		domain(v.Messages[i].From)
		for _, r := range v.Messages[i].To {
			domain(r.Address)
		}
		if len(names.items) == maxNames {
			break
		}
	}
	if names.items == nil {
		return []string{}
	}
	return names.items
}
