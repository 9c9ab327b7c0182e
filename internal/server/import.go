package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/emersion/go-smtp"

	"postern/config"
	"postern/internal/message"
	"postern/internal/wire"
	"postern/queue/spool"
)

const (
	// importBuffer is how much of an import is read at a time, in octets.
	importBuffer = 64 << 10
	// importSource is the protocol by which what is imported came.
	importSource = config.SourceImport
)

// Import takes a message from the administrator: content of one line after
// another, ending in CRLF all of them, or all of them in LF, as files of Unix
// do; the latter become CRLF. Its octets are kept, behind a Received field of
// ours. A bare CR or LF among others is refused unless the envelope says
// BINARYMIME. When Import returns an id the message is on stable storage. What
// is wrong with the content is a *wire.Reply; other errors are temporary.
func (s *Server) Import(ctx context.Context, e *message.Envelope, content io.Reader, limit int64) (message.ID, error) {
	d, err := s.queue.Create()
	if err != nil {
		return 0, fmt.Errorf("can't begin a message: %w", err)
	}
	i := importer{draft: d, limit: limit}
	now := time.Now()
	r := message.Received{By: s.FQDN(), With: importSource, ID: d.ID(), At: now}
	if len(e.Recipients) == 1 { // RFC 5321 7.2
		r.For = e.Recipients[0].Address.Path()
	}
	_, err = d.Write(r.Append(nil))
	if err == nil {
		err = i.copy(ctx, content, e.Body == message.BodyBinaryMIME)
	}
	if err != nil {
		d.Abort()
		return 0, err
	}
	e.Size, e.Arrived, e.MessageID, e.Subject = i.size, now, i.scan.MessageID(), i.scan.Subject()
	e.Origin = message.Origin{Protocol: importSource}
	id := d.ID()
	if err := s.queue.Submit(ctx, d, e); err != nil {
		return 0, fmt.Errorf("can't store the message: %w", err)
	}
	return id, nil
}

// importer takes content on its way into a draft.
type importer struct {
	draft *spool.Draft
	scan  message.HeaderScanner
	limit int64
	size  int64
}

// copy reads the content to its end.
func (i *importer) copy(ctx context.Context, content io.Reader, binary bool) error {
	r := bufio.NewReaderSize(content, importBuffer)
	first, err := r.ReadSlice('\n')
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return fmt.Errorf("the content can't be read: %w", err)
	}
	var lines lineEnds
	switch ends := bytes.HasSuffix(first, []byte("\n")) && !bytes.HasSuffix(first, []byte("\r\n")); {
	case binary:
		lines = asTheyAre{i}
	case ends:
		lines = unixLines{wire.NewLineEnds(i, wire.NormaliseBareLineEnds)}
	default:
		lines = wire.NewLineEnds(i, wire.RejectBareLineEnds)
	}
	if _, err = lines.Write(first); err == nil {
		_, err = io.CopyBuffer(struct{ io.Writer }{lines}, struct{ io.Reader }{r}, make([]byte, importBuffer))
	}
	if err == nil {
		err = lines.Close()
	}
	switch {
	case errors.Is(err, wire.ErrBareLF), errors.Is(err, wire.ErrBareCR):
		return refuseImport("a line ends in a bare CR or LF, and others don't; mend it, or import it with the body type BINARYMIME")
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	case i.size == 0:
		return refuseImport("it is empty")
	}
	i.scan.Close()
	return nil
}

// refuseImport is the reply to content that is not taken.
func refuseImport(text string) error {
	return wire.NewReply(554, smtp.EnhancedCode{5, 6, 0}, text)
}

// Write takes content with the line ends that it is to have.
func (i *importer) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	// Content that begins with white space has no header; without an empty line
	// it would continue the field on top (RFC 5322 2.2.3).
	if i.size == 0 && (p[0] == ' ' || p[0] == '\t') {
		if _, err := i.draft.Write([]byte("\r\n")); err != nil {
			return 0, err
		}
	}
	i.size += int64(len(p))
	if i.limit > 0 && i.size > i.limit {
		return 0, wire.NewReply(552, smtp.EnhancedCode{5, 3, 4}, // RFC 1870 6.1
			fmt.Sprintf("it is larger than server.max_message_size, %d octets; import it with --no-limit", i.limit))
	}
	if !i.scan.Done() {
		i.scan.Scan(p)
	}
	return i.draft.Write(p)
}

// lineEnds looks at the line ends of content on its way.
type lineEnds interface {
	io.Writer
	Close() error
}

// asTheyAre lets all line ends pass.
type asTheyAre struct{ io.Writer }

func (asTheyAre) Close() error { return nil }

// unixLines makes each LF a CRLF, and takes no CR.
type unixLines struct{ *wire.LineEnds }

func (u unixLines) Write(p []byte) (int, error) {
	if bytes.IndexByte(p, '\r') >= 0 {
		return 0, wire.ErrBareLF
	}
	return u.LineEnds.Write(p)
}
