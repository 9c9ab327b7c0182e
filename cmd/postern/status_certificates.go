package main

import (
	"fmt"
	"time"

	"postern/internal/control"
	ptls "postern/tls"
)

// statusCertificates prints what peers are shown, the first to expire first.
func (a *app) statusCertificates(st *control.Status, s style, now time.Time) {
	fmt.Fprintln(a.out, s.bold("Certificates"))
	if len(st.Certificates) == 0 {
		a.field("none", "no connector offers TLS or shows a certificate")
		return
	}
	t := &table{header: []string{"NAME", "SHOWN BY", "EXPIRES", "LEFT"}, right: []int{3}, indent: "  "}
	for i := range st.Certificates {
		c := &st.Certificates[i]
		name := clean(c.FriendlyName)
		if c.Own {
			name += " (self-signed)"
		}
		t.add(name, clean(c.For()), c.NotAfter.Local().Format(time.DateOnly), certificateLeft(c.NotAfter.Sub(now)))
		if c.Problem != "" {
			t.note(clean(c.Problem))
		}
	}
	t.paint = func(row, column int, text string) string {
		if column != 3 {
			return text
		}
		return paintCertificate(&st.Certificates[row], s, now, text)
	}
	t.print(a.out)
}

const day = 24 * time.Hour

// certificateLeft is how long a certificate is valid, in words.
func certificateLeft(left time.Duration) string {
	switch {
	case left < 0:
		return "expired"
	case left < 2*day:
		return fmt.Sprintf("%d h", left/time.Hour)
	}
	return fmt.Sprintf("%d days", left/day)
}

// paintCertificate gives what is left the colour of what it means: red in the
// last week, yellow in the last month, unless the gateway replaces the
// certificate by itself.
func paintCertificate(c *ptls.Shown, s style, now time.Time, text string) string {
	switch left := c.NotAfter.Sub(now); {
	case left < 7*day:
		return s.red(text)
	case left < 30*day && !c.Own:
		return s.yellow(text)
	}
	return s.green(text)
}
