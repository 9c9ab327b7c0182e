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
		t.add(name, clean(c.For()), c.NotAfter.Local().Format(time.DateOnly), certificateLeft(c, now))
		if c.Early(now) {
			t.note("not valid before " + c.NotBefore.Local().Format("2006-01-02 15:04"))
		}
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

// certificatesBrief sums the certificates up on a line: those that are of no use
// now, and the first to expire of the others.
func certificatesBrief(list []ptls.Shown, s style, now time.Time) string {
	text := fmt.Sprint(len(list))
	for i := range list {
		c := &list[i]
		name, left := clean(c.FriendlyName), certificateLeft(c, now)
		switch {
		case c.Early(now):
			text += fmt.Sprintf("; %s is %s", name, s.red("not valid yet"))
		case c.NotAfter.Before(now):
			text += fmt.Sprintf("; %s has %s", name, s.red(left))
		}
	}
	for i := range list {
		if c := &list[i]; !c.Early(now) && !c.NotAfter.Before(now) {
			return text + fmt.Sprintf("; %s is the first to expire, in %s", clean(c.FriendlyName), paintCertificate(c, s, now, certificateLeft(c, now)))
		}
	}
	return text
}

// certificateLeft is how long a certificate is valid, in words.
func certificateLeft(c *ptls.Shown, now time.Time) string {
	left := c.NotAfter.Sub(now)
	switch {
	case c.Early(now):
		return "not yet"
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
	case left < 7*day, c.Early(now):
		return s.red(text)
	case left < 30*day && !c.Own:
		return s.yellow(text)
	}
	return s.green(text)
}
