package send

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"postern/internal/eventid"
	"postern/internal/resolver"
)

// What the event log is told at the level of debugging. Who calls asks first
// whether anybody wants it.

// debugs reports whether a logger wants what is for debugging.
func debugs(l *slog.Logger) bool { return l.Enabled(context.Background(), slog.LevelDebug) }

// tellLookup tells of the exchangers or the addresses of a name that the DNS was
// asked for.
func (s *Sender) tellLookup(what, name string, began time.Time, answer string, err error) {
	attrs := []any{eventid.DNSLookup.Attr(), "what", what, "name", name, "took", time.Since(began).Round(time.Microsecond)}
	if err != nil {
		attrs = append(attrs, "error", err)
	} else {
		attrs = append(attrs, "answer", answer)
	}
	s.dnsLogger.Debug("a look-up", attrs...)
}

// mxText is an answer about exchangers in few words.
func mxText(r resolver.MXResult) string {
	if r.Null {
		return "takes no mail (null MX)"
	}
	list := make([]string, len(r.Records))
	for i, m := range r.Records {
		list[i] = strconv.Itoa(int(m.Preference)) + " " + m.Host
	}
	text := strings.Join(list, ", ")
	if r.Implicit {
		text += " (implicit)"
	}
	return text
}

func addressText(h resolver.HostAddresses) string {
	list := make([]string, len(h.Addrs))
	for i, a := range h.Addrs {
		list[i] = a.String()
	}
	return strings.Join(list, ", ")
}

// tellOpened tells how opening a connection went.
func (r *run) tellOpened(c *conn, k key, began time.Time, f *failure) {
	attrs := []any{eventid.ConnectionOpened.Attr(), "connector", r.connector.Name, "host", k.endpoint.String(), "session", c.session, "took", time.Since(began).Round(time.Microsecond)}
	if c.tls != "" {
		attrs = append(attrs, "tls_session", c.tls)
	}
	if f == nil {
		attrs = append(attrs, "outcome", "ready")
	} else {
		attrs = append(attrs, "outcome", f.reply.String())
	}
	r.s.o.Logger.Debug("a connection to a next hop", attrs...)
}
