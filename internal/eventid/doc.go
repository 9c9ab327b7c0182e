// Package eventid knows the events of the event log by number: which there are,
// how grave each is, what it means and what to do about it. It serves every
// package that logs, the handler of the event log, and the reference page,
// which is made from it.
//
// Numbers that Exchange has keep Exchange's meaning (12014 to 12024, 15001 to
// 15007, 1020 and 1021). Ours are 20000 to 29999, a hundred or a thousand for
// each area; so monitoring that knows Exchange's goes on working, and nothing of
// ours is mistaken for something of Exchange's.
//
// A call names its event by the first attribute:
//
//	logger.Error("can't listen; the other bindings go on", eventid.ListenFailed.Attr(), "binding", b)
//
// A test reads the whole tree: every call at Warn or Error has a number, its
// level and text are those of the table, and no attribute takes a name that the
// event log itself uses.
package eventid

//go:generate go test -run TestReferenceIsCurrent -update .
