package logs

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// column is one column of a log: its name in CSV and its key in JSON, and one
// of the ways to a value in a record.
type column[R any] struct {
	name, key string

	time     func(*R) *time.Time
	text     func(*R) *string
	list     func(*R) *[]string
	pairs    func(*R) *Pairs
	octets   func(*R) *int64
	count    func(*R) *int
	endpoint func(*R) *netip.AddrPort
	// mark is one character of marks.
	mark  func(*R) *byte
	marks string
}

// Pair is one item of custom-data.
type Pair struct{ Key, Value string }

// Pairs are the items of custom-data, in their order.
type Pairs []Pair

// Get returns the first value of a key; empty when there is none.
func (p Pairs) Get(key string) string {
	for i := range p {
		if p[i].Key == key {
			return p[i].Value
		}
	}
	return ""
}

// Map returns the pairs by key; of several values of one key the first.
func (p Pairs) Map() map[string]string {
	m := make(map[string]string, len(p))
	for _, one := range p {
		if _, ok := m[one.Key]; !ok {
			m[one.Key] = one.Value
		}
	}
	return m
}

// appendCSV appends a record as a line of CSV without its time, from the comma
// behind it on, LF included. The time is the first of the columns.
func appendCSV[R any](b []byte, columns []column[R], r *R) []byte {
	for i := 1; i < len(columns); i++ {
		b = append(b, ',')
		switch c := &columns[i]; {
		case c.text != nil:
			b = appendField(b, cut(*c.text(r)))
		case c.list != nil:
			b = appendList(b, *c.list(r))
		case c.pairs != nil:
			b = appendPairs(b, *c.pairs(r))
		case c.octets != nil:
			b = strconv.AppendInt(b, *c.octets(r), 10)
		case c.count != nil:
			b = strconv.AppendInt(b, int64(*c.count(r)), 10)
		case c.endpoint != nil:
			b = appendEndpoint(b, *c.endpoint(r))
		case c.mark != nil:
			b = append(b, *c.mark(r))
		}
	}
	return append(b, '\n')
}

// appendList appends a list as one CSV field, its items joined by semicolons.
// One that stands in an item is written as \x3B.
func appendList(b []byte, list []string) []byte {
	var all byte
	for _, s := range list {
		all |= classOf(s)
	}
	if all&quoted != 0 {
		b = append(b, '"')
	}
	for i, s := range list {
		if i > 0 {
			b = append(b, ';')
		} else if beginsFormula(s) {
			b = appendHex(b, s[0])
			s = s[1:]
		}
		b = appendItem(b, cut(s), all)
	}
	if all&quoted != 0 {
		b = append(b, '"')
	}
	return b
}

// appendPairs appends pairs as one CSV field, as Exchange does:
// "S:key=value;S:key=value". What would end a key or a value is written as \xHH.
func appendPairs(b []byte, pairs Pairs) []byte {
	var all byte
	for i := range pairs {
		all |= classOf(pairs[i].Key) | classOf(pairs[i].Value)
	}
	if all&quoted != 0 {
		b = append(b, '"')
	}
	for i := range pairs {
		if i > 0 {
			b = append(b, ';')
		}
		b = append(b, "S:"...)
		b = appendPairKey(b, cut(pairs[i].Key), all)
		b = append(b, '=')
		b = appendItem(b, cut(pairs[i].Value), all)
	}
	if all&quoted != 0 {
		b = append(b, '"')
	}
	return b
}

func appendPairKey(b []byte, key string, class byte) []byte {
	if class&equals != 0 {
		for n := strings.IndexByte(key, '='); n >= 0; n = strings.IndexByte(key, '=') {
			b = appendHex(appendItem(b, key[:n], class), '=')
			key = key[n+1:]
		}
	}
	return appendItem(b, key, class)
}

// appendItem appends an item of a list or of pairs. The class is at least that
// of its characters.
func appendItem(b []byte, s string, class byte) []byte {
	if class&(escaped|divider) == 0 {
		return appendDoubled(b, s, class)
	}
	c := classOf(s)
	if c&(escaped|divider) == 0 {
		return appendDoubled(b, s, c)
	}
	for _, c := range appendEscaped(make([]byte, 0, len(s)+16), s) {
		switch c {
		case ';':
			b = appendHex(b, c)
		case '"':
			b = append(b, `""`...)
		default:
			b = append(b, c)
		}
	}
	return b
}

// set reads one column of a line of CSV; the field has no quotes around it any
// more and is still escaped, unless the file is somebody else's.
func (c *column[R]) set(r *R, field string, own bool) (err error) {
	unescape := Unescape
	if !own {
		unescape = func(s string) string { return s }
	}
	switch {
	case c.time != nil:
		*c.time(r), err = parseTime(field)
	case c.text != nil:
		*c.text(r) = unescape(field)
	case c.list != nil:
		if field == "" {
			return nil
		}
		list := make([]string, 0, strings.Count(field, ";")+1)
		for item := range strings.SplitSeq(field, ";") {
			list = append(list, unescape(item))
		}
		*c.list(r) = list
	case c.pairs != nil:
		*c.pairs(r) = splitPairs(field, unescape)
	case c.octets != nil:
		if field != "" {
			*c.octets(r), err = strconv.ParseInt(field, 10, 64)
		}
	case c.count != nil:
		if field != "" {
			*c.count(r), err = strconv.Atoi(field)
		}
	case c.endpoint != nil:
		*c.endpoint(r), err = parseEndpoint(unescape(field))
	case c.mark != nil:
		if len(field) != 1 || !strings.Contains(c.marks, field) {
			return fmt.Errorf("%q: want one of %s", field, strings.Join(strings.Split(c.marks, ""), " "))
		}
		*c.mark(r) = field[0]
	}
	return err
}

// splitPairs reads "S:key=value;S:key=value"; the prefixes may be missing, and
// values, too.
func splitPairs(s string, unescape func(string) string) Pairs {
	if s == "" {
		return nil
	}
	p := make(Pairs, 0, strings.Count(s, ";")+1)
	for item := range strings.SplitSeq(s, ";") {
		if item == "" {
			continue
		}
		key, value, _ := strings.Cut(strings.TrimPrefix(item, "S:"), "=")
		p = append(p, Pair{unescape(key), unescape(value)})
	}
	return p
}

// parseTime reads the time of a line. Logs hold whole milliseconds in UTC.
func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(timeFormat, s)
	if err != nil {
		t, err = time.Parse(time.RFC3339Nano, s)
	}
	t = t.UTC().Truncate(time.Millisecond)
	if err == nil && (t.Year() < 0 || t.Year() > 9999) {
		err = fmt.Errorf("%q is no year of four digits", s)
	}
	return t, err
}
