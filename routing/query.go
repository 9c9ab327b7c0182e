package routing

import (
	"slices"

	"postern/config"
	"postern/internal/message"
)

// QueryFor asks about one recipient of a message, given by its index. The state
// says what has happened to the recipient; nil, nothing yet. Notifications have
// no size, since they are exempt from size limits as Exchange's are, and are in
// every scope.
func QueryFor(e *message.Envelope, st *message.State, recipient int) Query {
	q := Query{Sender: e.From, Recipient: e.Recipients[recipient].Address, Size: e.Size, Source: source(&e.Origin)}
	if e.Origin.Internal {
		q.Size, q.Source = 0, ""
	}
	if st != nil {
		q.Fallback = st.Recipients[recipient].Fallen.Connector
	}
	return q
}

// source is what scopes call the way in which a message came; empty when it is
// none of those.
func source(o *message.Origin) string {
	if o.Connector == "" && slices.Contains([]string{config.SourcePickup, config.SourceReplay, config.SourceImport}, o.Protocol) {
		return o.Protocol
	}
	return o.Connector
}
