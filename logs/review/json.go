package review

import (
	"bytes"
	"encoding/json"
)

// pair finds the next key of a JSON object and its value, and returns what
// follows. Of a text the quotes are cut off and nothing is unescaped; of a list
// or an object all is returned. It reads what the gateway writes, one object a
// line, and tolerates white space; it does not prove that a line is JSON.
func pair(b []byte) (key, value, rest []byte, ok bool) {
	b = skipSpace(b)
	if len(b) == 0 || b[0] != '"' {
		return nil, nil, nil, false
	}
	if key, b, ok = jsonString(b); !ok {
		return nil, nil, nil, false
	}
	b = skipSpace(b)
	if len(b) == 0 || b[0] != ':' {
		return nil, nil, nil, false
	}
	b = skipSpace(b[1:])
	if len(b) == 0 {
		return nil, nil, nil, false
	}
	switch b[0] {
	case '"':
		value, b, ok = jsonString(b)
	case '[', '{':
		value, b, ok = jsonNested(b)
	default:
		i := bytes.IndexAny(b, ",}")
		if ok = i > 0; ok {
			value, b = bytes.TrimRight(b[:i], " \t"), b[i:]
		}
	}
	if !ok {
		return nil, nil, nil, false
	}
	b = skipSpace(b)
	if len(b) == 0 || b[0] != ',' && b[0] != '}' {
		return nil, nil, nil, false
	}
	return key, value, b, true
}

func skipSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	return b
}

// jsonString cuts a text off, which begins with its quote.
func jsonString(b []byte) (s, rest []byte, ok bool) {
	for i := 1; i < len(b); {
		j := bytes.IndexByte(b[i:], '"')
		if j < 0 {
			break
		}
		i += j
		slashes := 0
		for k := i - 1; k > 0 && b[k] == '\\'; k-- {
			slashes++
		}
		if slashes%2 == 0 {
			return b[1:i], b[i+1:], true
		}
		i++
	}
	return nil, nil, false
}

// jsonNested cuts a list or an object off.
func jsonNested(b []byte) (value, rest []byte, ok bool) {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '[', '{':
			depth++
		case ']', '}':
			if depth--; depth == 0 {
				return b[:i+1], b[i+1:], true
			}
		case '"':
			_, rest, ok := jsonString(b[i:])
			if !ok {
				return nil, nil, false
			}
			i = len(b) - len(rest) - 1
		}
	}
	return nil, nil, false
}

// jsonText unescapes a text that was cut off without its quotes.
func jsonText(s []byte) string {
	if bytes.IndexByte(s, '\\') < 0 {
		return string(s)
	}
	quoted := append(append(append(make([]byte, 0, len(s)+2), '"'), s...), '"')
	var text string
	if json.Unmarshal(quoted, &text) != nil {
		return string(s)
	}
	return text
}

// eachPair calls yield with each key and value of an object, and reports whether
// the object is whole.
func eachPair(b []byte, yield func(key, value []byte)) bool {
	b = skipSpace(b)
	if len(b) < 2 || b[0] != '{' {
		return false
	}
	for b[0] != '}' {
		key, value, rest, ok := pair(b[1:])
		if !ok {
			return false
		}
		yield(key, value)
		b = rest
	}
	return len(skipSpace(b[1:])) == 0
}

// parseJSON reads a line of a protocol log in JSON.
func (r *lineReader) parseJSON(b []byte, v *view) bool {
	var time, sequence, event []byte
	v.connector, v.session, v.local, v.remote, v.data, v.context = nil, nil, nil, nil, nil, nil
	whole := eachPair(b, func(key, value []byte) {
		switch string(key) {
		case "time":
			time = value
		case "connector":
			v.connector = value
		case "session":
			v.session = value
		case "sequence":
			sequence = value
		case "local":
			v.local = value
		case "remote":
			v.remote = value
		case "event":
			event = value
		case "data":
			v.data = value
		case "context":
			v.context = value
		}
	})
	if len(event) == 6 && bytes.HasPrefix(event, []byte(`\u00`)) { // ">" and "<" as some writers have them
		event = []byte(jsonText(event))
	}
	return whole && r.complete(v, time, sequence, event)
}
