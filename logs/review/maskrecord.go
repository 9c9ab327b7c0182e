package review

import (
	"net/netip"
	"strings"

	"postern/logs"
)

// Tracking masks a line of message tracking. Of the subject nothing is left but
// that it is the same as another.
func (m *Masker) Tracking(t logs.Tracking) logs.Tracking {
	t.ClientIP, t.ServerIP = m.ipText(t.ClientIP), m.ipText(t.ServerIP)
	t.OriginalClientIP, t.OriginalServerIP = m.ipText(t.OriginalClientIP), m.ipText(t.OriginalServerIP)
	t.ClientHostname, t.ServerHostname = m.host(t.ClientHostname), m.host(t.ServerHostname)
	id, rest, more := strings.Cut(t.SourceContext, ";")
	switch {
	case isSessionID(id) && more:
		t.SourceContext = id + ";" + m.Text(rest)
	case !isSessionID(id):
		t.SourceContext = m.Reply(t.SourceContext)
	}
	t.MessageID, t.Reference = m.messageID(t.MessageID), m.reference(t.Reference)
	t.Recipients, t.Statuses = each(t.Recipients, m.Address), each(t.Statuses, m.Reply)
	t.Sender, t.ReturnPath = m.Address(t.Sender), m.Address(t.ReturnPath)
	// Of a redirection it is a host or a connector.
	if t.Event == logs.TrackRedirect && !strings.Contains(t.Related, "@") {
		t.Related = m.Text(t.Related)
	} else {
		t.Related = m.Address(t.Related)
	}
	if t.Subject != "" && !isMask(t.Subject) {
		t.Subject = m.mark("subject", t.Subject)
	}
	t.MessageInfo = m.Text(t.MessageInfo)
	custom := make(logs.Pairs, len(t.Custom))
	for i, p := range t.Custom {
		switch p.Key {
		case "session", "latency", "tries", "due", "generation":
		case "user", "by":
			p.Value = m.account(p.Value)
		default:
			p.Value = m.Text(p.Value)
		}
		custom[i] = p
	}
	if t.Custom != nil {
		t.Custom = custom
	}
	return t
}

// Connectivity masks a line of the connectivity log.
func (m *Masker) Connectivity(l logs.ConnectivityLine) logs.ConnectivityLine {
	l.Destination, l.Description = m.Text(l.Destination), m.Text(l.Description)
	return l
}

// Agent masks a line of the agent log.
func (m *Masker) Agent(l logs.AgentLine) logs.AgentLine {
	l.Local, l.Remote = m.endpoint(l.Local), m.endpoint(l.Remote)
	l.EnteredOrgFromIP = m.ipText(l.EnteredOrgFromIP)
	l.MessageID, l.P1From, l.P2From, l.Recipient = m.messageID(l.MessageID), m.Address(l.P1From), each(l.P2From, m.Address), m.Address(l.Recipient)
	l.Response, l.Reason, l.ReasonData = m.Reply(l.Response), m.Text(l.Reason), m.Text(l.ReasonData)
	return l
}

func each(list []string, mask func(string) string) []string {
	if list == nil {
		return nil
	}
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = mask(s)
	}
	return out
}

// host keeps a host's name, as in HELO, but for addresses in it.
func (m *Masker) host(s string) string {
	if strings.Contains(s, "@") {
		s = m.addressesIn(s)
	}
	return m.addresses(s)
}

// ipText masks a column that holds an IP address.
func (m *Masker) ipText(s string) string {
	if a, err := netip.ParseAddr(s); err == nil {
		if m.ips {
			return m.ip(a).String()
		}
		return s
	}
	return m.Text(s)
}

// messageID masks a Message-ID. Its left side is no name to be looked for
// elsewhere.
func (m *Masker) messageID(s string) string {
	inner := strings.TrimSuffix(strings.TrimPrefix(s, "<"), ">")
	if inner == "" {
		return s
	}
	left, right, ok := strings.Cut(inner, "@")
	if !isMask(left) {
		left = m.mark("address", lowerASCII(left)+"@"+lowerASCII(right))
	}
	masked := left
	if ok {
		masked += "@" + m.domain(hostOf(right))
	}
	return strings.Replace(s, inner, masked, 1)
}

// reference masks the name of another message: a queue id stays.
func (m *Masker) reference(s string) string {
	if strings.ContainsAny(s, "@<") {
		return m.messageID(s)
	}
	return m.Text(s)
}
