package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// unit is a unit of size or time with its worth in octets or nanoseconds.
type unit struct {
	name  string
	worth int64
}

// sizeUnits in descending order; KB is 1024 octets, as in Exchange.
func sizeUnits() []unit {
	return []unit{{"TB", 1 << 40}, {"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}, {"B", 1}}
}

// timeUnits in descending order.
func timeUnits() []unit {
	return []unit{
		{"d", int64(24 * time.Hour)}, {"h", int64(time.Hour)}, {"m", int64(time.Minute)},
		{"s", int64(time.Second)}, {"ms", int64(time.Millisecond)},
	}
}

var (
	errOverflow = errors.New("is too large a number")
	errSyntax   = errors.New("can't be read")
)

// ParseSize reads a size in octets: a whole number with B, KB, MB, GB or TB
// (KB is 1024 octets), in capitals or not, or a plain number of octets.
func ParseSize(s string) (int64, error) {
	n, err := parseSize(s)
	if err != nil {
		return 0, fmt.Errorf("%w; write a whole number with B, KB, MB, GB or TB, such as 36MB", err)
	}
	return n, nil
}

// parseSize is ParseSize for a caller that has a remedy of its own.
func parseSize(s string) (int64, error) {
	digits := leadingDigits(s)
	name := strings.ToUpper(s[len(digits):])
	if name == "" {
		name = "B"
	}
	for _, u := range sizeUnits() {
		if u.name != name {
			continue
		}
		n, err := times(digits, u.worth)
		if errors.Is(err, errOverflow) {
			return 0, fmt.Errorf("%s %w", quote(s), err)
		}
		if err == nil {
			return n, nil
		}
	}
	if strings.HasPrefix(s, "-") {
		return 0, fmt.Errorf("%s is negative", quote(s))
	}
	return 0, fmt.Errorf("%s is not a size", quote(s))
}

// FormatSize writes a size in the largest unit that it is a whole number of.
// ParseSize reads it back.
func FormatSize(n int64) string {
	for _, u := range sizeUnits() {
		if n%u.worth == 0 && n != 0 {
			return strconv.FormatInt(n/u.worth, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// ParseDuration reads a time span: whole numbers with d, h, m, s or ms, the
// larger unit first ("1h30m"), or a plain number of seconds.
func ParseDuration(s string) (time.Duration, error) {
	n, err := parseDuration(s)
	switch {
	case errors.Is(err, errOverflow):
		return 0, fmt.Errorf("%s %w", quote(s), err)
	case err != nil && strings.HasPrefix(s, "-"):
		return 0, fmt.Errorf("%s is negative", quote(s))
	case err != nil:
		return 0, fmt.Errorf("%s is not a duration", quote(s))
	}
	return time.Duration(n), nil
}

func parseDuration(s string) (int64, error) {
	if s != "" && leadingDigits(s) == s {
		return times(s, int64(time.Second))
	}
	units, total := timeUnits(), int64(0)
	if s == "" {
		return 0, errSyntax
	}
	for s != "" {
		digits := leadingDigits(s)
		s = s[len(digits):]
		name := leadingLetters(s)
		s = s[len(name):]
		for len(units) > 0 && units[0].name != name {
			units = units[1:]
		}
		if len(units) == 0 {
			return 0, errSyntax
		}
		n, err := times(digits, units[0].worth)
		if err != nil {
			return 0, err
		}
		if n > math.MaxInt64-total {
			return 0, errOverflow
		}
		total += n
		units = units[1:]
	}
	return total, nil
}

// FormatDuration writes a time span of whole milliseconds in the units of
// ParseDuration, which reads it back. Finer parts are cut off.
func FormatDuration(d time.Duration) string {
	if d < time.Millisecond {
		return "0s"
	}
	var b strings.Builder
	rest := int64(d)
	for _, u := range timeUnits() {
		if n := rest / u.worth; n > 0 {
			b.WriteString(strconv.FormatInt(n, 10) + u.name)
			rest %= u.worth
		}
	}
	return b.String()
}

// times reads a whole number of units.
func times(digits string, worth int64) (int64, error) {
	if digits == "" {
		return 0, errSyntax
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > math.MaxInt64/worth {
		return 0, errOverflow
	}
	return n * worth, nil
}

func leadingDigits(s string) string {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return s[:i]
}

func leadingLetters(s string) string {
	i := 0
	for i < len(s) && s[i] >= 'a' && s[i] <= 'z' {
		i++
	}
	return s[:i]
}
