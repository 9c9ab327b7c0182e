package config

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Bounds of what a file may make of its keys, so that reading one takes memory
// in proportion to its length. The deepest key there is has three parts, the
// longest two names.
const (
	maxNesting    = 32
	maxPathLength = 1024
)

// source remembers where a configuration came from: the file's name, where
// each of its keys stands, and the host's name.
type source struct {
	file string
	// hostName is what server.fqdn is when it is not written.
	hostName string
	// offsets holds for each path the octet at which its key begins, or its
	// value where it is an element of an array.
	offsets map[string]int
	// lines holds the offset at which each line begins.
	lines []int
	// shift is what was cut off the first line before it was read (a byte
	// order mark).
	shift int
}

// Position is where a key stands in the file that the configuration came from:
// the key itself or the nearest parent that is written there, else the file
// alone. It is zero for a Config that was not read from a text.
func (c *Config) Position(path string) Position {
	if c == nil {
		return Position{}
	}
	return c.source.position(path)
}

func (s *source) position(path string) Position {
	for path != "" {
		if offset, ok := s.offsets[path]; ok {
			return s.at(offset)
		}
		path = parentPath(path)
	}
	return Position{File: s.file}
}

// at turns an offset into line and column.
func (s *source) at(offset int) Position {
	line := sort.SearchInts(s.lines, offset+1)
	column := offset + 1
	if line > 0 {
		column -= s.lines[line-1]
	}
	if line <= 1 {
		column += s.shift
	}
	return Position{File: s.file, Line: max(line, 1), Column: column}
}

// has tells whether a key is written in the file.
func (s *source) has(path string) bool {
	_, ok := s.offsets[path]
	return ok
}

// joinPath appends a key to a path, quoted where it is not a bare key
// (TOML 1.0, Keys).
func joinPath(parent, key string) string {
	if !isBareKey(key) {
		key = strconv.Quote(key)
	}
	if parent == "" {
		return key
	}
	return parent + "." + key
}

// indexPath appends an index to a path.
func indexPath(parent string, i int) string {
	return parent + "[" + strconv.Itoa(i) + "]"
}

func isBareKey(key string) bool {
	for i := range len(key) {
		if !isBareKeyOctet(key[i]) {
			return false
		}
	}
	return key != ""
}

func isBareKeyOctet(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// parentPath cuts the last key or index off a path.
func parentPath(path string) string {
	quoted, cut := false, 0
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == '.' || c == '['):
			cut = i
		}
	}
	return path[:cut]
}

// scanPositions finds where every key and array element of a TOML text begins.
// It expects a text that the TOML library accepts; of any other it finds what
// it can. The error says that values nest too deeply to be read safely; the
// scanner then stops there.
func scanPositions(file, text string) (src source, stopped int, err error) {
	s := scanner{
		text:   text,
		source: source{file: file, offsets: map[string]int{}, lines: []int{0}},
		arrays: map[string]int{},
	}
	for i := range len(text) {
		if text[i] == '\n' {
			s.source.lines = append(s.source.lines, i+1)
		}
	}
	s.document()
	if s.tooDeep {
		return s.source, s.stopped, fmt.Errorf("keys or values nest more than %d deep, or are longer than %d octets", maxNesting, maxPathLength)
	}
	return s.source, 0, nil
}

// scanner walks through a TOML text without interpreting its values.
type scanner struct {
	text   string
	off    int
	source source
	// arrays counts the tables of each array of tables so far.
	arrays map[string]int
	// tooDeep ends the scan; stopped is the offset of what was too deep.
	tooDeep bool
	stopped int
}

func (s *scanner) stop(offset int) {
	if !s.tooDeep {
		s.tooDeep, s.stopped = true, offset
	}
}

func (s *scanner) document() {
	table := ""
	for !s.tooDeep {
		s.skipBlank(true)
		if s.off >= len(s.text) {
			return
		}
		if s.peek() == '[' {
			table = s.header()
		} else if !s.keyValue(table, 0) {
			s.skipLine()
		}
	}
}

// header reads "[a.b]" or "[[a.b]]" and returns the path it opens.
func (s *scanner) header() string {
	start := s.off
	repeated := strings.HasPrefix(s.text[s.off:], "[[")
	s.off++
	if repeated {
		s.off++
	}
	keys := s.keys()
	s.skipLine()
	path := ""
	for i, key := range keys {
		path = joinPath(path, key.name)
		s.record(path, start)
		n := s.arrays[path]
		switch {
		case i == len(keys)-1 && repeated:
			s.arrays[path] = n + 1
			path = indexPath(path, n)
			s.source.offsets[path] = start
		case n > 0:
			path = indexPath(path, n-1)
		}
	}
	return path
}

// keyValue reads "a.b = value" within a table; false when there is none.
func (s *scanner) keyValue(table string, depth int) bool {
	keys := s.keys()
	s.skipBlank(false)
	if len(keys) == 0 || s.peek() != '=' {
		return false
	}
	s.off++
	path := table
	for _, key := range keys {
		path = joinPath(path, key.name)
		s.record(path, key.offset)
	}
	s.skipBlank(false)
	s.value(path, depth)
	return true
}

func (s *scanner) record(path string, offset int) {
	if len(path) > maxPathLength {
		s.stop(offset)
		return
	}
	if _, ok := s.source.offsets[path]; !ok {
		s.source.offsets[path] = offset
	}
}

type scannedKey struct {
	name   string
	offset int
}

// keys reads a dotted key.
func (s *scanner) keys() []scannedKey {
	var keys []scannedKey
	for {
		s.skipBlank(false)
		start := s.off
		var name string
		switch s.peek() {
		case '"':
			name = unescape(s.quoted('"'))
		case '\'':
			name = s.quoted('\'')
		default:
			for s.off < len(s.text) && isBareKeyOctet(s.text[s.off]) {
				s.off++
			}
			if name = s.text[start:s.off]; name == "" {
				return keys
			}
		}
		keys = append(keys, scannedKey{name, start})
		if len(keys) > maxNesting || len(name) > maxPathLength {
			s.stop(start)
			return keys
		}
		s.skipBlank(false)
		if s.peek() != '.' {
			return keys
		}
		s.off++
	}
}

// value steps over a value and records what stands in it.
func (s *scanner) value(path string, depth int) {
	if depth > maxNesting {
		s.stop(s.off)
		return
	}
	switch s.peek() {
	case '"', '\'':
		s.stringValue(s.peek())
	case '[':
		s.off++
		for i := 0; s.more(']'); i++ {
			element := indexPath(path, i)
			s.record(element, s.off)
			s.value(element, depth+1)
			s.separator(']')
		}
	case '{':
		s.off++
		for s.more('}') {
			if !s.keyValue(path, depth+1) {
				s.skipLine()
			}
			s.separator('}')
		}
	default:
		for s.off < len(s.text) && !strings.ContainsRune(",]}#\n", rune(s.text[s.off])) {
			s.off++
		}
	}
}

// more tells whether another element comes before the closing octet, which it
// steps over.
func (s *scanner) more(closing byte) bool {
	s.skipBlank(true)
	if s.tooDeep || s.off >= len(s.text) {
		return false
	}
	if s.peek() == closing {
		s.off++
		return false
	}
	return true
}

// separator steps over the comma after an element; on anything unexpected it
// steps over one octet, so that it always gets on.
func (s *scanner) separator(closing byte) {
	s.skipBlank(true)
	if s.off < len(s.text) && s.peek() != closing {
		s.off++
	}
}

func (s *scanner) stringValue(quote byte) {
	triple := strings.Repeat(string(quote), 3)
	if !strings.HasPrefix(s.text[s.off:], triple) {
		s.quoted(quote)
		return
	}
	s.off += 3
	for s.off < len(s.text) && !strings.HasPrefix(s.text[s.off:], triple) {
		if quote == '"' && s.text[s.off] == '\\' {
			s.off++
		}
		s.off++
	}
	// The string itself may end in up to two quotes before the closing three.
	s.off = min(s.off+3, len(s.text))
	for i := 0; i < 2 && s.peek() == quote; i++ {
		s.off++
	}
}

// quoted steps over a string of one line and returns what stands between its
// quotes.
func (s *scanner) quoted(quote byte) string {
	s.off++
	start := s.off
	for s.off < len(s.text) && s.text[s.off] != quote && s.text[s.off] != '\n' {
		if quote == '"' && s.text[s.off] == '\\' {
			s.off++
		}
		s.off++
	}
	s.off = min(s.off, len(s.text))
	inside := s.text[start:s.off]
	if s.peek() == quote {
		s.off++
	}
	return inside
}

func (s *scanner) peek() byte {
	if s.off < len(s.text) {
		return s.text[s.off]
	}
	return 0
}

// skipBlank steps over blanks, and over comments and line ends where they may
// stand.
func (s *scanner) skipBlank(lines bool) {
	for s.off < len(s.text) {
		switch c := s.text[s.off]; {
		case c == ' ' || c == '\t':
			s.off++
		case lines && (c == '\n' || c == '\r'):
			s.off++
		case lines && c == '#':
			s.skipLine()
		default:
			return
		}
	}
}

func (s *scanner) skipLine() {
	if i := strings.IndexByte(s.text[s.off:], '\n'); i >= 0 {
		s.off += i + 1
	} else {
		s.off = len(s.text)
	}
}

// unescape undoes the escapes of a basic string in a key (TOML 1.1, String).
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[i]]; digits > 0 && i+digits < len(s) {
			if r, err := strconv.ParseUint(s[i+1:i+1+digits], 16, 32); err == nil {
				b.WriteRune(rune(r))
			}
			i += digits
			continue
		}
		if j := strings.IndexByte(`btnfre"\`, s[i]); j >= 0 {
			b.WriteByte("\b\t\n\f\r\x1b\"\\"[j])
		}
	}
	return b.String()
}
