package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Longest names (RFC 1035 2.3.4; RFC 5321 4.5.3.1.2).
const (
	maxDomainLength = 253
	maxLabelLength  = 63
)

// checkDomain checks a domain name of A-labels and LDH labels (RFC 5321
// 4.1.2). A single label is a domain too.
func checkDomain(s string) error { return checkLabels(s, false) }

// checkHostName is checkDomain for names that are only looked up; they may
// hold underscores, as names inside a network do.
func checkHostName(s string) error { return checkLabels(s, true) }

func checkLabels(s string, underscore bool) error {
	switch {
	case s == "":
		return errors.New("the name is empty")
	case len(s) > maxDomainLength:
		return fmt.Errorf("the name has more than %d octets", maxDomainLength)
	case strings.HasSuffix(s, "."):
		return errors.New("the name has a final dot")
	}
	for label := range strings.SplitSeq(s, ".") {
		if err := checkLabel(label, underscore); err != nil {
			return err
		}
	}
	// RFC 1123 2.1: the last label is never all digits, so that a name can't
	// be taken for an address.
	if last := s[strings.LastIndexByte(s, '.')+1:]; leadingDigits(last) == last {
		return errors.New("it looks like an address")
	}
	return nil
}

func checkLabel(label string, underscore bool) error {
	switch {
	case label == "":
		return errors.New("a label is empty")
	case len(label) > maxLabelLength:
		return fmt.Errorf("the label %s has more than %d octets", quote(label), maxLabelLength)
	case label[0] == '-' || label[len(label)-1] == '-':
		return fmt.Errorf("the label %s begins or ends with a hyphen", quote(label))
	}
	for _, r := range label {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && r != '-' && (r != '_' || !underscore) {
			return fmt.Errorf("%s can't stand in a name", strconv.QuoteRune(r))
		}
	}
	return nil
}

// asciiDomain is a domain in lower case and A-labels (RFC 5891), the form in
// which domains are compared.
func asciiDomain(s string) (string, error) {
	if isASCII(s) {
		return strings.ToLower(s), nil
	}
	a, err := idna.Lookup.ToASCII(s)
	if err != nil {
		return "", fmt.Errorf("it has no form in A-labels: %w", err)
	}
	return strings.ToLower(a), nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// fqdn is a name that goes into replies and commands, and so is ASCII.
func fqdn() typed[string] {
	const write = `write a domain name, such as "edge.contoso.example"`
	return text[string]("domain name", func(s string) (string, []fault) {
		if err := checkDomain(s); err != nil {
			remedy := write
			if a, idnErr := asciiDomain(s); !isASCII(s) && idnErr == nil && checkDomain(a) == nil {
				remedy = "write its A-labels, " + strconv.Quote(a)
			}
			return "", []fault{{message: quote(s) + " is not a domain name: " + err.Error(), remedy: remedy}}
		}
		return s, nil
	})
}

// acceptedDomain is a domain, or "*." before a domain for its subdomains; in
// A-labels or U-labels.
func acceptedDomain() typed[string] {
	return text[string]("domain", func(s string) (string, []fault) {
		const write = `write a domain, "contoso.example", or "*.contoso.example" for its subdomains`
		base := strings.TrimPrefix(s, "*.")
		if rest, ok := strings.CutPrefix(s, "*"); ok && base == s {
			remedy := write
			if checkDomain(strings.TrimPrefix(rest, ".")) == nil {
				remedy = fmt.Sprintf("write %q for the domain or %q for its subdomains", rest, "*."+rest)
			}
			return "", []fault{{message: quote(s) + " is not a domain: an asterisk stands only before a dot", remedy: remedy}}
		}
		ascii, err := asciiDomain(base)
		if err == nil {
			err = checkDomain(ascii)
		}
		if err != nil {
			return "", []fault{{message: quote(s) + " is not a domain: " + err.Error(), remedy: write}}
		}
		return s, nil
	})
}

// connectorName is a name that stands in logs, file and queue names.
func connectorName() typed[string] { return nameUpTo(64) }

// nameUpTo is a name of at most so many characters.
func nameUpTo(most int) typed[string] {
	t := text[string]("name", func(s string) (string, []fault) {
		remedy := fmt.Sprintf("write a name of 1 to %d characters", most)
		switch {
		case s == "":
			return "", []fault{{message: "the name is empty", remedy: remedy}}
		case utf8.RuneCountInString(s) > most:
			return "", []fault{{message: fmt.Sprintf("%s has %d characters", quote(s), utf8.RuneCountInString(s)), remedy: remedy}}
		case strings.TrimSpace(s) != s:
			return "", []fault{{message: quote(s) + " begins or ends with a space", remedy: "write it without"}}
		}
		return plain(s)
	})
	t.permits = fmt.Sprintf("1 to %d characters", most)
	return t
}

// plain refuses control characters: what is written here goes into replies,
// logs and terminals.
func plain(s string) (string, []fault) {
	if i := strings.IndexFunc(s, unicode.IsControl); i >= 0 {
		r, _ := utf8.DecodeRuneInString(s[i:])
		return "", []fault{{message: fmt.Sprintf("%s holds the control character %s", quote(s), strconv.QuoteRune(r)), remedy: "write it without"}}
	}
	return s, nil
}

// comment is any text without control characters.
func comment() typed[string] { return text[string]("string", plain) }

// someText is plain and not empty.
func someText(name string) typed[string] {
	return text[string](name, func(s string) (string, []fault) {
		if s == "" {
			return "", []fault{{message: "the " + name + " is empty", remedy: "write one"}}
		}
		return plain(s)
	})
}

// path is the name of a file or directory, relative to the working directory
// where it is not absolute.
func path() typed[string] { return someText("path") }

// optionalPath is a path that may be empty, where there is none.
func optionalPath() typed[string] {
	return text[string]("path", plain)
}

// BannerPlaceholders are what a banner may have in braces, which becomes the
// value for the session.
func BannerPlaceholders() []string { return []string{"{fqdn}", "{session}", "{date}"} }

var placeholder = regexp.MustCompile(`\{[A-Za-z0-9_]*\}`)

// BannerLines takes a banner apart: its lines, without the code.
func BannerLines(banner string) []string {
	lines := strings.Split(banner, "\n")
	for i, l := range lines {
		if rest, ok := strings.CutPrefix(l, "220"); ok && (rest == "" || rest[0] == ' ' || rest[0] == '-') {
			lines[i] = strings.TrimPrefix(strings.TrimPrefix(rest, "-"), " ")
		}
	}
	return lines
}

// banner is the text of a greeting: reply lines with code 220 (RFC 5321 4.2.1),
// which those after the first may leave out.
func banner() typed[string] {
	const most, mostLines = 510, 10
	t := text[string]("string", func(s string) (string, []fault) {
		const write = `write a text that begins with "220 " and the server's name, such as "220 edge.contoso.example ESMTP"`
		if s == "" {
			return "", nil
		}
		bad := func(message string) (string, []fault) { return "", []fault{{message: message, remedy: write}} }
		s = strings.TrimRight(strings.ReplaceAll(s, "\r\n", "\n"), "\n") // a string of several lines in the file
		lines := BannerLines(s)
		switch {
		case !strings.HasPrefix(s, "220"):
			return bad(quote(s) + " does not begin with 220")
		case len(s) < 5 || s[3] != ' ' && s[3] != '-' || strings.TrimSpace(lines[0]) == "":
			return bad(quote(s) + ` is not "220", a space and a text`)
		case len(lines) > mostLines:
			return bad(fmt.Sprintf("the banner has %d lines, at most %d are sent", len(lines), mostLines))
		case !isASCII(s):
			return bad("the banner holds characters beyond ASCII")
		}
		for _, l := range lines {
			if len(l)+len("220 ") > most {
				return bad(fmt.Sprintf("a line of the banner has %d octets, a reply line at most %d", len(l)+len("220 "), most))
			}
		}
		for _, p := range placeholder.FindAllString(s, -1) {
			if !slices.Contains(BannerPlaceholders(), p) {
				return "", []fault{{message: p + " is no placeholder of a banner", remedy: "write one of " + strings.Join(BannerPlaceholders(), ", ")}}
			}
		}
		if _, faults := plain(strings.ReplaceAll(s, "\n", " ")); faults != nil {
			return "", faults
		}
		return s, nil
	})
	t.permits = fmt.Sprintf(`begins with "220 ", at most %d lines of at most %d octets, ASCII`, mostLines, most)
	return t
}
