package main

import (
	"fmt"
	"strings"
	"time"

	"postern/internal/control"
)

// exitCode ends a command with a code of its own, for which it has said all.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// checkStatus prints one line in the form of Nagios plugins, and returns the
// exit code that goes with it: the state, the reasons, and figures behind "|".
func (a *app) checkStatus(st *control.Status, err error, t control.Thresholds) error {
	code, state := exitDone, "OK"
	switch {
	case err != nil:
		fmt.Fprintf(a.out, "POSTERN UNKNOWN - %s\n", plainLine(err.Error()))
		return exitCode(exitNoServer)
	case st.Verdict.Condition == control.Trouble:
		code, state = exitUsage, "CRITICAL" // 2, as monitoring systems have it
	case st.Verdict.Condition != control.Well:
		code, state = exitFailed, "WARNING"
	}
	if a.json() {
		if err := a.printJSON(st.Verdict); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(a.out, "POSTERN %s - %s | %s\n", state, plainLine(reasonLine(st)), perfdata(st, t))
	}
	if code == exitDone {
		return nil
	}
	return exitCode(code)
}

// reasonLine is the verdict on one line.
func reasonLine(st *control.Status) string {
	if len(st.Verdict.Reasons) == 0 {
		return st.Server.FQDN + " is well"
	}
	var texts []string
	for _, r := range st.Verdict.Reasons {
		texts = append(texts, r.Text)
	}
	return st.Server.FQDN + ": " + strings.Join(texts, "; ")
}

// plainLine keeps what peers said within the line and before the "|".
func plainLine(text string) string {
	return clean(strings.NewReplacer("|", "/", "\n", " ", "\r", " ").Replace(text))
}

// perfdata are figures as monitoring systems draw them:
// name=value[unit];warning;critical;minimum.
func perfdata(st *control.Status, t control.Thresholds) string {
	age := 0.0
	if !st.Queues.Oldest.IsZero() {
		age = max(time.Since(st.Queues.Oldest).Seconds(), 0)
	}
	bounds := func(n int64) string {
		if n <= 0 {
			return ";;"
		}
		return fmt.Sprintf(";%d;%d", n, n*control.Graver)
	}
	rate := func(n uint64) float64 {
		if st.Trend.Seconds < 1 {
			return 0
		}
		return float64(n) / st.Trend.Seconds
	}
	queued := int64(t.MaxQueue)
	if queued == 0 {
		queued = control.DefaultMaxQueue
	}
	return fmt.Sprintf("queued=%d%s;0 oldest=%.0fs%s;0 deferred=%d;;;0 in=%.2f;;;0 out=%.2f;;;0 pressure=%d;1;2;0;2 uptime=%ds;;;0",
		st.Queues.Distinct, bounds(queued), age, bounds(int64(t.MaxAge/time.Second)), st.Queues.Deferred, rate(st.Trend.Submitted), rate(st.Trend.Delivered),
		st.BackPressure.Level, st.Server.Uptime)
}
