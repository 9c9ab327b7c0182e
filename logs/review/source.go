package review

import (
	"context"
	"iter"

	"postern/logs"
)

// Source is somewhere that logs can be read back from. All methods may be called
// concurrently, and each call reads anew. Breaking out of a loop or ending the
// context stops the reading and everything that it had begun; the loop is then
// over without another value, but for the context's error.
//
// An error as the second value ends the loop: there is nothing to read, or reading
// on makes no sense. What merely can't be read in the midst is noted in the
// Progress, which may be nil.
type Source interface {
	// Sessions returns the sessions that q chooses, newest first by their
	// first line. A session whose beginning is missing comes when it is sure
	// that the beginning does not follow, which may be later than its time
	// says.
	Sessions(ctx context.Context, q *Query, p *Progress) iter.Seq2[*Session, error]

	// Tracking returns the lines of the message tracking log that q chooses,
	// newest first. Of a Query it knows the times, Connectors, Peers (the
	// client of RECEIVE, else the server), HELO (its host name), From, To,
	// Replies (a recipient's status), Text, Failed (FAIL, DEFER and
	// POISONMESSAGE), Sessions and Names.
	Tracking(ctx context.Context, q *Query, p *Progress) iter.Seq2[*logs.Tracking, error]

	// Connectivity returns the lines of the connectivity log that q chooses,
	// newest first. It knows the times, Text, Sessions and Names.
	Connectivity(ctx context.Context, q *Query, p *Progress) iter.Seq2[*logs.ConnectivityLine, error]

	// Agent returns the lines of the agent log that q chooses, newest first.
	// It knows the times, Peers, From, To, Replies, Text, Sessions and Names.
	Agent(ctx context.Context, q *Query, p *Progress) iter.Seq2[*logs.AgentLine, error]

	// Follow returns what happens from now on, until the context ends: each
	// line of a session as it is written and each session once it is over.
	Follow(ctx context.Context, q *Query, p *Progress) iter.Seq2[*Live, error]
}

// Live is one thing that Follow saw: a line, or a session that has ended. One of
// the two is nil.
type Live struct {
	Direction logs.Direction
	Line      *logs.Line
	Session   *Session
}
