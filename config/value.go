package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fault says what is wrong with one value of the file.
type fault struct {
	// sub is the path below the key, such as "[2]"; empty for the key itself.
	sub             string
	message, remedy string
}

// valueType is a way of writing values: how the file says them, which of them
// may be said, and how they are said back.
type valueType interface {
	// word names the type in the reference.
	word() string
	// allowed says which values may be written; empty when all of the type.
	allowed() string
	// unit is what a plain number counts; empty when it counts nothing.
	unit() string
	// store reads a value, as the TOML library gives it, into the variable
	// that dst points to. On any fault the variable stays as it was.
	store(dst, value any) []fault
	// show gives what src points to in the form of JSON output: octets and
	// seconds as numbers, "unlimited" as that word.
	show(src any) any
	// text gives what src points to as it would be written in the file.
	text(src any) string
}

// typed is a valueType for variables of type V.
type typed[V any] struct {
	name, permits, counts string

	parse func(value any) (V, []fault)
	json  func(V) any
	toml  func(V) string
}

func (t typed[V]) word() string    { return t.name }
func (t typed[V]) allowed() string { return t.permits }
func (t typed[V]) unit() string    { return t.counts }

func (t typed[V]) store(dst, value any) []fault {
	v, faults := t.parse(value)
	if len(faults) == 0 {
		*dst.(*V) = v
	}
	return faults
}

func (t typed[V]) show(src any) any    { return t.json(*src.(*V)) }
func (t typed[V]) text(src any) string { return t.toml(*src.(*V)) }

// quote writes a value of the file into a message, shortened where it is long.
func quote(value any) string {
	const most = 60
	switch v := value.(type) {
	case string:
		if len(v) > most {
			return strconv.Quote(strings.ToValidUTF8(v[:most], "")) + "..."
		}
		return strconv.Quote(v)
	case []any, []map[string]any:
		return "this list"
	case map[string]any:
		return "this table"
	case time.Time:
		return "this date"
	default:
		return fmt.Sprint(v)
	}
}

// wrongType says what stands where something else is expected.
func wrongType(value any, write string) []fault {
	kind := "of the wrong type"
	switch value.(type) {
	case string:
		kind = "a string"
	case bool:
		kind = "a truth value"
	case int64:
		kind = "a number"
	case float64:
		kind = "a fraction"
	case []any:
		kind = "a list"
	case map[string]any, []map[string]any:
		kind = "a table"
	case time.Time:
		kind = "a date"
	}
	what := quote(value)
	if strings.HasPrefix(what, "this ") {
		return []fault{{message: "what is written here is " + kind, remedy: "write " + write}}
	}
	return []fault{{message: what + " is " + kind, remedy: "write " + write}}
}

// boolean is true or false.
func boolean() valueType {
	return typed[bool]{
		name: "boolean",
		parse: func(value any) (bool, []fault) {
			b, ok := value.(bool)
			if !ok {
				return false, wrongType(value, "true or false, without quotes")
			}
			return b, nil
		},
		json: func(b bool) any { return b },
		toml: strconv.FormatBool,
	}
}

// measure is a kind of quantity: what its numbers count and how they are read
// and written.
type measure struct {
	name, unit string
	// example ends the sentence "write ...".
	example string
	parse   func(string) (int64, error)
	format  func(int64) string
}

// quantity is a number of measure m from lo to hi; with unlimited also that
// word, which stands above every number.
func quantity(m measure, lo, hi int64, unlimited bool) typed[int64] {
	permits := m.format(lo) + " to " + m.format(hi)
	write := "write " + m.example + ", from " + permits
	if unlimited {
		permits += `, or "unlimited"`
		write += `, or "unlimited"`
	}
	return typed[int64]{
		name: m.name, permits: permits, counts: m.unit,
		parse: func(value any) (int64, []fault) {
			var n int64
			switch v := value.(type) {
			case int64:
				n = v
			case string:
				if unlimited && v == "unlimited" {
					return Unlimited, nil
				}
				var err error
				if n, err = m.parse(v); err != nil {
					return 0, []fault{{message: err.Error(), remedy: write}}
				}
			default:
				return 0, wrongType(value, strings.TrimPrefix(write, "write "))
			}
			if n < lo || n > hi {
				return 0, []fault{{message: quote(value) + " is out of range", remedy: write}}
			}
			return n, nil
		},
		json: func(n int64) any {
			if unlimited && n == Unlimited {
				return "unlimited"
			}
			return n
		},
		toml: func(n int64) string {
			if unlimited && n == Unlimited {
				return `"unlimited"`
			}
			if m.unit == "" {
				return m.format(n)
			}
			return strconv.Quote(m.format(n))
		},
	}
}

func count(lo, hi int64) valueType { return quantity(counts(), lo, hi, false) }

// limit is a count that may also be "unlimited".
func limit(lo, hi int64) valueType { return quantity(counts(), lo, hi, true) }

func size(lo, hi int64) valueType { return quantity(sizes(), lo, hi, false) }

func sizeLimit(lo, hi int64) valueType { return quantity(sizes(), lo, hi, true) }

func counts() measure {
	return measure{
		name: "number", example: "a whole number",
		parse: func(s string) (int64, error) {
			if _, err := strconv.ParseInt(s, 10, 64); err == nil {
				return 0, fmt.Errorf("%s stands in quotes", quote(s))
			}
			return 0, fmt.Errorf("%s is not a number", quote(s))
		},
		format: func(n int64) string { return strconv.FormatInt(n, 10) },
	}
}

func sizes() measure {
	return measure{name: "size", unit: "bytes", example: `a size such as "36MB"`, parse: parseSize, format: FormatSize}
}

// duration is a time span from lo to hi. Plain numbers are seconds.
func duration(lo, hi time.Duration) valueType { return timeSpan(lo, hi, false) }

// durationLimit is a duration that may also be "unlimited".
func durationLimit(lo, hi time.Duration) valueType { return timeSpan(lo, hi, true) }

func timeSpan(lo, hi time.Duration, unlimited bool) typed[time.Duration] {
	inner := quantity(measure{
		name: "duration", unit: "seconds", example: `a duration such as "5s" or "1h30m"`,
		parse: func(s string) (int64, error) {
			d, err := ParseDuration(s)
			return int64(d), err
		},
		format: func(n int64) string { return FormatDuration(time.Duration(n)) },
	}, int64(lo), int64(hi), unlimited)
	return typed[time.Duration]{
		name: inner.name, permits: inner.permits, counts: inner.counts,
		parse: func(value any) (time.Duration, []fault) {
			if seconds, ok := value.(int64); ok {
				// Nanoseconds saturate: what is out of their range is out of
				// ours.
				nanoseconds := min(max(seconds, math.MinInt64/int64(time.Second)), math.MaxInt64/int64(time.Second)) * int64(time.Second)
				n, faults := inner.parse(nanoseconds)
				for i := range faults {
					faults[i].message = quote(seconds) + " seconds is out of range"
				}
				return time.Duration(n), faults
			}
			n, faults := inner.parse(value)
			return time.Duration(n), faults
		},
		json: func(d time.Duration) any {
			if unlimited && d == Unlimited {
				return "unlimited"
			}
			if d%time.Second != 0 {
				return d.Seconds()
			}
			return int64(d / time.Second)
		},
		toml: func(d time.Duration) string { return inner.toml(int64(d)) },
	}
}

// port is a TCP port.
func port() valueType {
	inner := quantity(counts(), 1, math.MaxUint16, false)
	return typed[uint16]{
		name: "port", permits: inner.permits,
		parse: func(value any) (uint16, []fault) {
			n, faults := inner.parse(value)
			return uint16(n), faults
		},
		json: func(p uint16) any { return p },
		toml: func(p uint16) string { return inner.toml(int64(p)) },
	}
}

// text is a string that passes check, which may also put it into its normal
// form.
func text[S ~string](name string, check func(string) (string, []fault)) typed[S] {
	return typed[S]{
		name: name,
		parse: func(value any) (S, []fault) {
			s, ok := value.(string)
			if !ok {
				return "", wrongType(value, "a string in quotes")
			}
			s, faults := check(s)
			return S(s), faults
		},
		json: func(s S) any { return string(s) },
		toml: func(s S) string { return strconv.Quote(string(s)) },
	}
}

// choice is one of a few words.
func choice[S ~string](words ...S) typed[S] {
	quoted := make([]string, len(words))
	plain := make([]string, len(words))
	for i, w := range words {
		quoted[i], plain[i] = strconv.Quote(string(w)), string(w)
	}
	write := "write " + oneOf(quoted)
	t := text[S]("word", func(s string) (string, []fault) {
		if slices.Contains(plain, s) {
			return s, nil
		}
		remedy := write
		if near := Nearest(s, plain); near != "" {
			remedy = "did you mean " + strconv.Quote(near) + "? " + strings.ToUpper(write[:1]) + write[1:]
		}
		return "", []fault{{message: quote(s) + " is not known here", remedy: remedy}}
	})
	t.permits = strings.Join(quoted, ", ")
	return t
}

// list is a list of at least least values of one type; clash, where there is
// one, tells why two of them can't stand in it together.
func list[E any](element typed[E], least int, clash func(a, b E) *fault) typed[[]E] {
	return typed[[]E]{
		name: "list of " + plural(element.name), permits: element.permits, counts: element.counts,
		parse: func(value any) ([]E, []fault) { return parseList(value, element, least, clash) },
		json: func(es []E) any {
			out := make([]any, len(es))
			for i, e := range es {
				out[i] = element.json(e)
			}
			return out
		},
		toml: func(es []E) string {
			out := make([]string, len(es))
			for i, e := range es {
				out[i] = element.toml(e)
			}
			return "[" + strings.Join(out, ", ") + "]"
		},
	}
}

func parseList[E any](value any, element typed[E], least int, clash func(a, b E) *fault) ([]E, []fault) {
	values, ok := value.([]any)
	if !ok {
		write := "a list in brackets"
		if s, ok := value.(string); ok {
			write = "a list: [" + quote(s) + "]"
		}
		return nil, wrongType(value, write)
	}
	if len(values) < least {
		remedy := "write at least one " + element.name
		if strings.Contains(element.permits, `"none"`) {
			remedy = `write ["none"] for none`
		}
		return nil, []fault{{message: "the list is empty", remedy: remedy}}
	}
	var faults []fault
	out := make([]E, 0, len(values))
	for i, v := range values {
		e, bad := element.parse(v)
		if len(bad) == 0 && clash != nil {
			for _, o := range out {
				if f := clash(o, e); f != nil {
					bad = append(bad, *f)
					break
				}
			}
		}
		for _, f := range bad {
			f.sub = indexPath("", i) + f.sub
			faults = append(faults, f)
		}
		if len(bad) == 0 {
			out = append(out, e)
		}
	}
	return out, faults
}

// once lets no value stand in a list twice.
func once[E comparable](a, b E) *fault {
	if a != b {
		return nil
	}
	return &fault{message: quote(fmt.Sprint(b)) + " stands here twice", remedy: "take one of them out"}
}

// oneOf joins words into "a, b or c".
func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func plural(word string) string {
	if strings.HasSuffix(word, "s") {
		return word + "es"
	}
	return word + "s"
}
