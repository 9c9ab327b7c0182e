package review

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"time"

	"postern/logs"
)

// sessionJSON is the schema of a session in JSON.
type sessionJSON struct {
	ID        string            `json:"id"`
	Direction string            `json:"direction"`
	Connector string            `json:"connector"`
	Start     time.Time         `json:"start"`
	End       time.Time         `json:"end"`
	Seconds   float64           `json:"duration"`
	Local     string            `json:"local,omitempty"`
	Peer      string            `json:"peer,omitempty"`
	HELO      string            `json:"helo,omitempty"`
	TLS       string            `json:"tls,omitempty"`
	User      string            `json:"user,omitempty"`
	Outcome   Outcome           `json:"outcome"`
	Reply     string            `json:"reply,omitempty"`
	Failed    bool              `json:"failed"`
	Open      bool              `json:"open,omitempty"`
	Headless  bool              `json:"headless,omitempty"`
	LineCount int               `json:"line_count"`
	Missing   int               `json:"missing_lines,omitempty"`
	Omitted   bool              `json:"omitted,omitempty"`
	Messages  []transactionJSON `json:"messages"`
	Lines     []lineJSON        `json:"lines,omitempty"`
}

type transactionJSON struct {
	Time      time.Time       `json:"time"`
	End       time.Time       `json:"end"`
	From      string          `json:"from"`
	To        []recipientJSON `json:"to"`
	QueueID   string          `json:"queue_id,omitempty"`
	MessageID string          `json:"message_id,omitempty"`
	Octets    int64           `json:"size,omitempty"`
	Accepted  bool            `json:"accepted"`
	Reply     string          `json:"reply,omitempty"`
}

type recipientJSON struct {
	Address string `json:"address"`
	Reply   string `json:"reply,omitempty"`
}

type lineJSON struct {
	Time     time.Time `json:"time"`
	Sequence int       `json:"sequence"`
	Event    string    `json:"event"`
	Data     string    `json:"data,omitempty"`
	Context  string    `json:"context,omitempty"`
}

// MarshalJSON writes the session as one object: times in UTC, the duration in
// seconds, sizes in octets, text of the peer escaped as in the logs.
func (s *Session) MarshalJSON() ([]byte, error) {
	out := sessionJSON{
		ID: s.ID, Direction: s.Direction.String(), Connector: logs.Escape(s.Connector), Start: s.Start, End: s.End, Seconds: s.Duration().Seconds(),
		Local: endpointText(s.Local), Peer: endpointText(s.Remote), HELO: logs.Escape(s.HELO), TLS: logs.Escape(s.TLS), User: logs.Escape(s.User),
		Outcome: s.Outcome, Reply: logs.Escape(s.Reply), Failed: s.Failed, Open: s.Open, Headless: s.Headless,
		LineCount: s.LineCount, Missing: s.Missing, Omitted: s.Omitted, Messages: make([]transactionJSON, len(s.Messages)),
	}
	for i, t := range s.Messages {
		to := make([]recipientJSON, len(t.To))
		for j, r := range t.To {
			to[j] = recipientJSON{logs.Escape(r.Address), logs.Escape(r.Reply)}
		}
		out.Messages[i] = transactionJSON{t.Time, t.End, logs.Escape(t.From), to, logs.Escape(t.QueueID), logs.Escape(t.MessageID), t.Octets, t.Accepted, logs.Escape(t.Reply)}
	}
	for _, l := range s.Lines {
		out.Lines = append(out.Lines, lineJSON{l.Time, l.Sequence, string(rune(l.Event)), logs.Escape(l.Data), logs.Escape(l.Context)})
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(out)
	return b.Bytes(), err
}

func endpointText(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
