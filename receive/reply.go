package receive

import (
	"bytes"
	"errors"
	"os"
	"strings"

	"postern/internal/metrics"
	"postern/internal/wire"
	"postern/logs"
)

// reply is the one place where replies pass: it counts limits and errors, holds
// refusals back, logs, and puts the reply to those that wait for the next write.
// They are written when the session must wait for more input, so that pipelined
// commands are answered together (RFC 2920 3.2).
func (s *session) reply(r *wire.Reply) {
	s.note(r)
	if over := s.count(r); over != nil {
		r = over
		s.note(r)
	}
	ended := s.hold(r)
	if r.Close {
		s.closing = true
		s.hangsUp = r.Code != 221
	}
	s.server.tally.reply(s.verb, r.Code)
	out := s.pending()
	n := len(*out)
	*out = r.Append(*out, s.connector.EnhancedStatusCodesEnabled)
	if s.log != nil {
		s.logSent((*out)[n:])
	}
	if len(*out) >= batchSize {
		s.flush()
	}
	if ended != nil && !s.closing { // while the reply was held back
		s.readFailed(ended)
	}
}

// count counts a reply to the client's disadvantage, and returns the one in its
// place when that was too much.
func (s *session) count(r *wire.Reply) *wire.Reply {
	if r.Code == 421 {
		return nil
	}
	if protocolError(r.Code) {
		if s.errors++; s.errors > s.connector.MaxProtocolErrors {
			return atLimit(replyTooManyErrors, s.errors, s.connector.MaxProtocolErrors)
		}
	}
	if r.Code >= 400 || s.idles {
		if s.idleCommands++; s.idleCommands > s.connector.MaxIdleCommands {
			return atLimit(replyTooManyIdle, s.idleCommands, s.connector.MaxIdleCommands)
		}
	}
	return nil
}

// pending is where replies wait for the next write.
func (s *session) pending() *[]byte {
	if s.out == nil {
		s.out = s.server.buffers.Get().(*[]byte)
	}
	return s.out
}

// protocolError reports whether a reply counts as an error of the client's
// SMTP, not of its mail.
func protocolError(code int) bool { return code >= 500 && code <= 504 || code == 555 }

// note logs what a reply says to us alone, and counts the limit it names.
func (s *session) note(r *wire.Reply) {
	if r.Limit != "" {
		s.countLimit(r.Limit)
	}
	if r.Code >= 400 {
		s.countRefusal(r)
		s.tellOffence(r)
	}
	s.judge(r)
	if s.log == nil {
		return
	}
	switch {
	case r.Limit != "":
		s.log.Info(r.Log, "limit "+r.Limit)
	case r.Log != "":
		s.log.Info(r.Log, "reason")
	}
}

// countLimit counts a limit that was reached.
func (s *session) countLimit(limit string) {
	s.server.metrics.Counter("receive_limits",
		metrics.Label{Name: "connector", Value: s.connector.Name},
		metrics.Label{Name: "limit", Value: limit}).Inc()
}

// countRefusal counts a reply that refuses something, by its enhanced status
// code or, where it has none, its code. Those are as many as there are replies
// in replies.go and in package wire.
func (s *session) countRefusal(r *wire.Reply) {
	status := r.EnhancedCode
	text := itoa(int64(r.Code))
	if status[0] > 0 {
		text = itoa(int64(status[0])) + "." + itoa(int64(status[1])) + "." + itoa(int64(status[2]))
	}
	s.server.metrics.Counter("receive_refusals",
		metrics.Label{Name: "connector", Value: s.connector.Name},
		metrics.Label{Name: "status", Value: text}).Inc()
}

// logReceived writes a command line to the log, without secrets. A client may
// send AUTH although it was not offered, and one that reads no replies goes on
// with name and password: what follows AUTH and is no command is left out too.
func (s *session) logReceived(line []byte, c command) {
	// Of what is no command the word may stand anywhere: behind a NUL, say.
	auth := hasVerb(line, "AUTH") || c.unknown && bytes.Contains(bytes.ToUpper(line), []byte("AUTH"))
	s.secrets = auth || s.secrets && c.unknown
	switch {
	case s.log == nil:
	case auth:
		s.log.Received("AUTH " + logs.Redacted)
	case s.secrets:
		s.log.Received(logs.Redacted)
	default:
		s.log.Received(string(line))
	}
}

// hasVerb reports whether a line, well-formed or not, is that command.
func hasVerb(line []byte, verb string) bool {
	line = bytes.TrimLeft(line, " \t")
	return len(line) >= len(verb) && bytes.EqualFold(line[:len(verb)], []byte(verb))
}

func (s *session) logSent(b []byte) {
	text := strings.TrimSuffix(string(b), "\r\n")
	if strings.Contains(text, "\r\n") {
		s.log.SentLines(strings.Split(text, "\r\n"))
		return
	}
	s.log.Sent(text)
}

// flush writes the replies that wait.
func (s *session) flush() error {
	if s.writeErr != nil || s.out == nil {
		return s.writeErr
	}
	err := s.deadlines.beforeWrite()
	if err == nil {
		_, err = s.write(*s.out)
	}
	s.release()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = &timeoutError{limit: limitWrite}
	}
	s.writeErr = err
	return err
}

// write writes replies. The reply to QUIT takes the end of the connection with
// it, if the connection knows how.
func (s *session) write(replies []byte) (int, error) {
	if last, ok := s.conn.(interface {
		WriteLast([]byte) (int, error)
	}); ok && s.closing && !s.hangsUp {
		return last.WriteLast(replies)
	}
	return s.conn.Write(replies)
}

// release gives the reply buffer back.
func (s *session) release() {
	if s.out == nil {
		return
	}
	if cap(*s.out) <= 2*batchSize {
		*s.out = (*s.out)[:0]
		s.server.buffers.Put(s.out)
	}
	s.out = nil
}
