package review

import (
	"fmt"
	"strings"
	"time"

	"postern/config"
	"postern/logs"
)

// Filters are the filters as an administrator writes them, one field for each
// flag of the commands. It is the one language for sessions, traces, statistics
// and what is followed. Empty means not asked for; of the items of a list one is
// enough.
type Filters struct {
	Since, Until, On string
	Connector        []string
	Direction        string
	Peer             []string
	HELO             []string
	From, To         []string
	Reply            []string
	Text             string
	TLS              string
	MinDuration      string
	User             []string
	Failed           bool
}

// FilterError says which filter is wrong, and what would be right.
type FilterError struct {
	Filter string // the name of the flag: "since"
	Err    error
}

func (e *FilterError) Error() string { return "--" + e.Filter + ": " + e.Err.Error() }
func (e *FilterError) Unwrap() error { return e.Err }

// Query makes a Query. Times without a zone are meant at the place of now, from
// which "2h" counts back. The error is a *FilterError.
func (f Filters) Query(now time.Time) (*Query, error) {
	q := &Query{Text: f.Text, Failed: f.Failed}
	if err := f.times(q, now); err != nil {
		return nil, err
	}
	if err := f.lists(q); err != nil {
		return nil, err
	}
	switch strings.ToLower(f.Direction) {
	case "":
	case "receive":
		q.Directions = []logs.Direction{logs.Receive}
	case "send":
		q.Directions = []logs.Direction{logs.Send}
	default:
		return nil, &FilterError{"direction", fmt.Errorf("%q: want receive or send", f.Direction)}
	}
	if f.MinDuration != "" {
		d, err := config.ParseDuration(f.MinDuration)
		if err != nil {
			return nil, &FilterError{"min-duration", fmt.Errorf("%w; write 500ms, 30s, 5m or a number of seconds", err)}
		}
		q.MinDuration = d
	}
	return q, f.tls(q)
}

// times reads --since, --until and --on.
func (f Filters) times(q *Query, now time.Time) error {
	if f.On != "" && (f.Since != "" || f.Until != "") {
		return &FilterError{"on", fmt.Errorf("does not go together with --since or --until")}
	}
	var err error
	if f.On != "" {
		day, err := parseDay(f.On, now)
		if err != nil {
			return &FilterError{"on", err}
		}
		// A day of the calendar: where clocks change it has 23 or 25 hours.
		q.Since, q.Until = day, time.Date(day.Year(), day.Month(), day.Day()+1, 0, 0, 0, 0, now.Location())
		return nil
	}
	if f.Since != "" {
		if q.Since, err = ParseMoment(f.Since, now); err != nil {
			return &FilterError{"since", err}
		}
	}
	if f.Until != "" {
		if q.Until, err = ParseMoment(f.Until, now); err != nil {
			return &FilterError{"until", err}
		}
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until) {
		return &FilterError{"until", fmt.Errorf("%q is not after --since %q", f.Until, f.Since)}
	}
	return nil
}

// layouts are the forms of a moment, in local time but for those with a zone.
var layouts = [...]string{
	"2006-01-02", "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02T15:04:05",
	time.RFC3339, "2006-01-02 15:04Z07:00", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 -0700",
}

// ParseMoment reads a moment: a span before now ("2h", "3d", "1h30m"), a day
// ("2026-11-20", "today", "yesterday"), a day with a time ("2026-11-20 14:05",
// "2026-11-20T14:05:00Z"), a time of today ("14:05") or "now". What has no zone is
// meant at the place of now.
func ParseMoment(s string, now time.Time) (time.Time, error) {
	if strings.EqualFold(s, "now") {
		return now, nil
	}
	if day, err := parseDay(s, now); err == nil {
		return day, nil
	}
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{"15:04", "15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			y, m, d := now.Date()
			return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, now.Location()), nil
		}
	}
	if strings.Trim(s, "0123456789") != "" { // a bare number is a year as well as seconds
		if d, err := config.ParseDuration(s); err == nil {
			return now.Add(-d), nil
		}
	}
	return time.Time{}, fmt.Errorf(`%q is no time: write 2h or 3d (ago), "2026-11-20", "2026-11-20 14:05", 14:05, today, yesterday or now`, s)
}

// parseDay reads a day of the local calendar and returns its beginning.
func parseDay(s string, now time.Time) (time.Time, error) {
	y, m, d := now.Date()
	switch strings.ToLower(s) {
	case "today":
	case "yesterday":
		d--
	default:
		t, err := time.Parse("2006-01-02", s)
		if err != nil {
			return time.Time{}, fmt.Errorf("%q is no day: write 2026-11-20, today or yesterday", s)
		}
		y, m, d = t.Date()
	}
	return time.Date(y, m, d, 0, 0, 0, 0, now.Location()), nil
}

// lists reads the filters of which there may be several.
func (f Filters) lists(q *Query) (err error) {
	if q.Connectors, err = parseAll("connector", f.Connector, ParsePattern); err != nil {
		return err
	}
	if q.Peers, err = parseAll("peer", f.Peer, parsePeer); err != nil {
		return err
	}
	if q.HELO, err = parseAll("helo", f.HELO, ParsePattern); err != nil {
		return err
	}
	if q.From, err = parseAll("from", f.From, ParseAddressPattern); err != nil {
		return err
	}
	if q.To, err = parseAll("to", f.To, ParseAddressPattern); err != nil {
		return err
	}
	if q.Replies, err = parseAll("reply", f.Reply, ParseReplyPattern); err != nil {
		return err
	}
	q.Users, err = parseAll("user", f.User, ParsePattern)
	return err
}

func parseAll[T any](name string, list []string, parse func(string) (T, error)) ([]T, error) {
	var out []T
	for _, s := range list {
		v, err := parse(s)
		if err != nil {
			return nil, &FilterError{name, err}
		}
		out = append(out, v)
	}
	return out, nil
}

func parsePeer(s string) (config.Range, error) {
	r, err := config.ParseRange(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		return r, fmt.Errorf("%w; write 192.0.2.7, 192.0.2.0/24, 192.0.2.1-192.0.2.9 or the like of IPv6", err)
	}
	return r, nil
}

// tls reads --tls.
func (f Filters) tls(q *Query) error {
	switch v := strings.ToLower(f.TLS); v {
	case "":
	case "yes":
		q.TLS.With = true
	case "no":
		q.TLS.Without = true
	default:
		version := strings.TrimPrefix(strings.TrimPrefix(v, "tls"), "v")
		switch version {
		case "1.0", "1.1", "1.2", "1.3":
			q.TLS = TLSFilter{With: true, Version: "TLS" + version}
		default:
			return &FilterError{"tls", fmt.Errorf("%q: want yes, no, or a version: 1.0, 1.1, 1.2 or 1.3", f.TLS)}
		}
	}
	return nil
}
