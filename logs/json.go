package logs

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Lines in JSON are objects of a known shape: strings, whole numbers, lists of
// strings, and objects of strings. Text is escaped as in CSV before it becomes
// a string of JSON, so that whoever prints it unquoted harms no terminal, and
// octets that are no UTF-8 are not lost.

// appendHead appends the beginning of an object: which log it is of, and when.
func appendHead(b []byte, k Kind, t time.Time) []byte {
	b = append(b, `{"log":"`...)
	b = append(b, k.String()...)
	b = append(b, `","time":"`...)
	b = appendTime(b, t)
	return append(b, '"')
}

// appendJSON appends a record as JSON, from behind its time on, LF included.
// What is empty is left out.
func appendJSON[R any](b []byte, columns []column[R], r *R) []byte {
	for i := 1; i < len(columns); i++ {
		switch c := &columns[i]; {
		case c.text != nil:
			if s := *c.text(r); s != "" {
				b = appendString(appendKey(b, c.key), cut(s))
			}
		case c.list != nil:
			b = appendArray(b, c.key, *c.list(r))
		case c.pairs != nil:
			b = appendObject(b, c.key, *c.pairs(r))
		case c.octets != nil:
			b = strconv.AppendInt(appendKey(b, c.key), *c.octets(r), 10)
		case c.count != nil:
			b = strconv.AppendInt(appendKey(b, c.key), int64(*c.count(r)), 10)
		case c.endpoint != nil:
			b = appendEnd(b, c.key, *c.endpoint(r))
		case c.mark != nil:
			b = append(appendKey(b, c.key), '"', *c.mark(r), '"')
		}
	}
	return append(b, "}\n"...)
}

func appendJSONEndpoint(b []byte, a netip.AddrPort) []byte {
	if a.Addr().Zone() != "" { // a zone is free text
		return appendString(b, unmap(a).String())
	}
	return append(appendAddress(append(b, '"'), a), '"')
}

func appendKey(b []byte, key string) []byte {
	b = append(b, `,"`...)
	b = append(b, key...)
	return append(b, `":`...)
}

func appendArray(b []byte, key string, list []string) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(appendKey(b, key), '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, cut(s))
	}
	return append(b, ']')
}

func appendObject(b []byte, key string, pairs Pairs) []byte {
	if len(pairs) == 0 {
		return b
	}
	b = append(appendKey(b, key), '{')
	for i, p := range pairs {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, cut(p.Key)), ':')
		b = appendString(b, cut(p.Value))
	}
	return append(b, '}')
}

// appendString appends a string of JSON (RFC 8259 7). Its text is escaped
// first, so that quotes and backslashes are all that is special.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	c := classOf(s)
	if c&(escaped|quote) == 0 {
		return append(append(b, s...), '"')
	}
	if c&escaped != 0 {
		s = string(appendEscaped(make([]byte, 0, len(s)+32), s))
	}
	for i := strings.IndexAny(s, `"\`); i >= 0; i = strings.IndexAny(s, `"\`) {
		b = append(append(b, s[:i]...), '\\', s[i])
		s = s[i+1:]
	}
	return append(append(b, s...), '"')
}

// scanner reads an object that appendJSON wrote, and others of its shape.
type scanner struct {
	s  string
	at int
}

var errJSON = errors.New("not the JSON of a line")

// maxNesting bounds values that nobody knows.
const maxNesting = 16

func parseJSON[R any](s string, columns []column[R], r *R) error {
	p := &scanner{s: s}
	next, note, timed := 0, false, false
	err := p.object(func(key string) error {
		switch key {
		case "log":
			return p.skip(0)
		case "dropped":
			note = true
			return p.skip(0)
		}
		// Keys come in the order of the columns.
		for range columns {
			c := &columns[next]
			if next++; next == len(columns) {
				next = 0
			}
			if c.key == key {
				timed = timed || c.time != nil
				if err := c.scan(p, r); err != nil {
					return fmt.Errorf("%s: %w", key, err)
				}
				return nil
			}
		}
		return p.skip(0)
	})
	p.space()
	switch {
	case err != nil:
		return err
	case p.at < len(p.s):
		return fmt.Errorf("%w: text behind it", errJSON)
	case note:
		return ErrComment
	case !timed:
		return fmt.Errorf("%w: it has no time", errJSON)
	}
	for i := range columns {
		if c := &columns[i]; c.mark != nil && *c.mark(r) == 0 {
			return fmt.Errorf("%w: it has no %s", errJSON, c.key)
		}
	}
	return nil
}

// scan reads the value of one column.
func (c *column[R]) scan(p *scanner, r *R) error {
	switch {
	case c.list != nil:
		*c.list(r) = nil
		return p.array(func() error {
			s, err := p.text()
			*c.list(r) = append(*c.list(r), s)
			return err
		})
	case c.pairs != nil:
		*c.pairs(r) = nil
		return p.object(func(key string) error {
			value, err := p.text()
			*c.pairs(r) = append(*c.pairs(r), Pair{Unescape(key), value})
			return err
		})
	case c.octets != nil, c.count != nil:
		n, err := strconv.ParseInt(p.number(), 10, 64)
		switch {
		case err != nil:
		case c.octets != nil:
			*c.octets(r) = n
		case int64(int(n)) != n:
			err = strconv.ErrRange
		default:
			*c.count(r) = int(n)
		}
		return err
	}
	s, err := p.raw()
	if err != nil {
		return err
	}
	return c.set(r, s, true)
}

func (p *scanner) space() {
	for p.at < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.at]) >= 0 {
		p.at++
	}
}

// take takes one character, behind white space.
func (p *scanner) take(c byte) bool {
	p.space()
	if p.at < len(p.s) && p.s[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *scanner) fail(want string) error {
	return fmt.Errorf("%w: want %s at octet %d", errJSON, want, p.at+1)
}

// object calls value for each key, which reads the value behind it.
func (p *scanner) object(value func(key string) error) error {
	if !p.take('{') {
		return p.fail("an object")
	}
	for first := true; !p.take('}'); first = false {
		if !first && !p.take(',') {
			return p.fail("a comma")
		}
		key, err := p.raw()
		if err != nil {
			return err
		}
		if !p.take(':') {
			return p.fail("a colon")
		}
		if err := value(key); err != nil {
			return err
		}
	}
	return nil
}

func (p *scanner) array(value func() error) error {
	if !p.take('[') {
		return p.fail("a list")
	}
	for first := true; !p.take(']'); first = false {
		if !first && !p.take(',') {
			return p.fail("a comma")
		}
		if err := value(); err != nil {
			return err
		}
	}
	return nil
}

func (p *scanner) number() string {
	p.space()
	start := p.at
	for p.at < len(p.s) && strings.IndexByte("+-0123456789.eE", p.s[p.at]) >= 0 {
		p.at++
	}
	return p.s[start:p.at]
}

// text reads a string and turns its escapes back.
func (p *scanner) text() (string, error) {
	s, err := p.raw()
	return Unescape(s), err
}

// raw reads a string of JSON.
func (p *scanner) raw() (string, error) {
	if !p.take('"') {
		return "", p.fail("a string")
	}
	end := strings.IndexAny(p.s[p.at:], `"\`)
	if end < 0 {
		return "", p.fail("the end of a string")
	}
	if p.s[p.at+end] == '"' {
		s := p.s[p.at : p.at+end]
		p.at += end + 1
		return s, nil
	}
	b := make([]byte, 0, end+64)
	for {
		end := strings.IndexAny(p.s[p.at:], `"\`)
		if end < 0 {
			return "", p.fail("the end of a string")
		}
		b = append(b, p.s[p.at:p.at+end]...)
		p.at += end + 1
		if p.s[p.at-1] == '"' {
			return string(b), nil
		}
		var err error
		if b, err = p.escape(b); err != nil {
			return "", err
		}
	}
}

// escape reads what stands behind a backslash (RFC 8259 7).
func (p *scanner) escape(b []byte) ([]byte, error) {
	if p.at == len(p.s) {
		return b, p.fail("an escape")
	}
	c := p.s[p.at]
	p.at++
	switch c {
	case '"', '\\', '/':
		return append(b, c), nil
	case 'b':
		return append(b, '\b'), nil
	case 'f':
		return append(b, '\f'), nil
	case 'n':
		return append(b, '\n'), nil
	case 'r':
		return append(b, '\r'), nil
	case 't':
		return append(b, '\t'), nil
	case 'u':
		r, err := p.unit()
		if err == nil && r >= 0xD800 && r < 0xDC00 && strings.HasPrefix(p.s[p.at:], `\u`) {
			p.at += 2
			var low rune
			if low, err = p.unit(); low >= 0xDC00 && low < 0xE000 {
				r = (r-0xD800)<<10 + low - 0xDC00 + 0x10000
			} else {
				r = utf8.RuneError
			}
		}
		return utf8.AppendRune(b, r), err
	}
	return b, p.fail("an escape")
}

func (p *scanner) unit() (rune, error) {
	if len(p.s)-p.at < 4 {
		return 0, p.fail("four digits")
	}
	n, err := strconv.ParseUint(p.s[p.at:p.at+4], 16, 16)
	if err != nil {
		return 0, p.fail("four digits")
	}
	p.at += 4
	return rune(n), nil
}

// skip passes over a value.
func (p *scanner) skip(depth int) error {
	if depth > maxNesting {
		return fmt.Errorf("%w: nested too deep", errJSON)
	}
	p.space()
	if p.at == len(p.s) {
		return p.fail("a value")
	}
	switch p.s[p.at] {
	case '{':
		return p.object(func(string) error { return p.skip(depth + 1) })
	case '[':
		return p.array(func() error { return p.skip(depth + 1) })
	case '"':
		_, err := p.raw()
		return err
	}
	for _, word := range []string{"true", "false", "null"} {
		if strings.HasPrefix(p.s[p.at:], word) {
			p.at += len(word)
			return nil
		}
	}
	if p.number() == "" {
		return p.fail("a value")
	}
	return nil
}
