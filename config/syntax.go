package config

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// syntaxError makes a finding of what the TOML library says. Where the text at
// that place shows what was meant, it says so in words of its own.
func syntaxError(src *source, text string, e *toml.ParseError) *Finding {
	offset := min(max(e.Position.Start, 0), len(text))
	at := &place{text: text, offset: offset, message: strings.TrimSuffix(e.Message, ".")}
	f := at.twice(src)
	if f == nil {
		f = at.misread()
	}
	if f == nil {
		f = &Finding{Message: printable(at.message), Remedy: at.remedy()}
	}
	f.Position = src.at(at.offset)
	return f
}

// place is where a TOML text can't be read, and why.
type place struct {
	text    string
	offset  int
	message string
}

// twice explains a key or table that stands in the file already.
func (p *place) twice(src *source) *Finding {
	rest, ok := strings.CutPrefix(p.message, "Key '")
	end := strings.LastIndexByte(rest, '\'')
	if !ok || end < 0 {
		return nil
	}
	name := rest[:end]
	first, line := -1, 0
	for path, offset := range src.offsets {
		// Of a key within repeated tables the last one before this place is
		// that of the same table.
		if offset < p.lineStart() && offset > first && withoutIndexes(path) == name {
			first, line = offset, src.at(offset).Line
		}
	}
	if first < 0 {
		return &Finding{Message: printable(p.message), Remedy: "take one of them out"}
	}
	shown := printable(name)
	here, _, _ := strings.Cut(p.text[p.lineStart():], "\n")
	if here = strings.TrimLeft(here, " \t"); !strings.HasPrefix(here, "[") {
		return &Finding{Message: fmt.Sprintf("%s is written in line %d already", shown, line), Remedy: "take one of them out"}
	}
	remedy := "write all its keys under one heading"
	if t := schema().sub(name); t != nil && t.repeated {
		remedy = "write " + t.heading("") + " with two brackets each time"
	} else if t != nil {
		remedy = "write " + t.heading("") + " once, with all its keys"
	}
	return &Finding{Message: fmt.Sprintf("the table %s stands in line %d already", shown, line), Remedy: remedy}
}

// withoutIndexes is a path as the library names it: without the numbers of
// rows.
func withoutIndexes(path string) string {
	if !strings.HasSuffix(path, "]") && !strings.Contains(path, "].") {
		return path
	}
	var b strings.Builder
	for part := range strings.SplitSeq(path, ".") {
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		part, _, _ = strings.Cut(part, "[")
		b.WriteString(part)
	}
	return b.String()
}

// misread explains a value without quotes, by far the most frequent slip. It
// moves the place to the beginning of the value.
func (p *place) misread() *Finding {
	expects := strings.HasPrefix(p.message, "expected value but found")
	within := strings.HasPrefix(p.message, "expected a top-level item to end") || strings.HasPrefix(p.message, "expected a comma")
	misread := strings.HasPrefix(strings.ToLower(p.message), "invalid ") && !strings.Contains(p.message, "escape") ||
		strings.HasPrefix(p.message, "cannot use sign") || strings.HasPrefix(p.message, "expected a digit")
	start, word := p.word()
	// A number that goes on in letters: the word began before this place.
	if !expects && !misread && !(within && start < p.offset) || word == "" || !p.afterEquals(start) {
		return nil
	}
	p.offset = start
	switch strings.ToLower(word) {
	case "true", "yes", "on":
		return &Finding{Message: printable(word) + " is no TOML value", Remedy: "write true, without quotes"}
	case "false", "no", "off":
		return &Finding{Message: printable(word) + " is no TOML value", Remedy: "write false, without quotes"}
	}
	if plain := strings.Trim(word, "“”„‘’«»`"); plain != word {
		return &Finding{Message: "these are not the quotes of TOML", Remedy: `write straight ones: "` + printable(plain) + `"`}
	}
	const most = 60
	switch {
	case strings.Contains(p.text[p.lineStart():start], "password"):
		// A password written here by mistake must not reach a log.
		return &Finding{Message: "the value stands without quotes", Remedy: "write it in quotes"}
	case len(word) > most:
		return &Finding{Message: quote(word) + " stands without quotes", Remedy: "write it in quotes"}
	}
	return &Finding{Message: quote(word) + " stands without quotes", Remedy: "write " + strconv.Quote(word) + ", in quotes"}
}

// word is what stands at the place, from blank to blank.
func (p *place) word() (start int, word string) {
	const ends = " \t\r\n,[]{}=#\"'"
	start, end := p.offset, p.offset
	for start > 0 && !strings.ContainsRune(ends, rune(p.text[start-1])) {
		start--
	}
	for end < len(p.text) && !strings.ContainsRune(ends, rune(p.text[end])) {
		end++
	}
	return start, p.text[start:end]
}

// afterEquals tells whether a value may stand at an offset: after the "=" of
// its line or, in a list of several lines, after nothing.
func (p *place) afterEquals(offset int) bool {
	before := p.text[p.lineStart():offset]
	return strings.Contains(before, "=") || strings.Trim(before, " \t,") == ""
}

func (p *place) lineStart() int { return strings.LastIndexByte(p.text[:p.offset], '\n') + 1 }

// remedy says what to write, by what the library expected and what it found.
func (p *place) remedy() string {
	rest := p.text[p.offset:]
	line, _, _ := strings.Cut(rest, "\n")
	line = strings.TrimSpace(line)
	has := func(prefix string) bool { return strings.HasPrefix(p.message, prefix) }
	before := strings.TrimSpace(p.text[p.lineStart():p.offset])
	switch {
	case strings.HasPrefix(line, "//") || strings.HasPrefix(line, ";") && before == "":
		return "begin a comment with #"
	case strings.HasPrefix(line, ";"):
		return "take the semicolon out"
	case p.offset == len(p.text) && has("unexpected EOF"):
		return "the file ends in the midst of it: complete it"
	case strings.HasPrefix(line, "{") && before == "":
		return `write TOML, not JSON: [server], and under it fqdn = "edge.contoso.example"`
	case line == ":" && before != "":
		return fmt.Sprintf("open a table with its name in brackets: [%s]", printable(before))
	case has("expected '.' or '='") && line == "":
		return "write = and a value after the key"
	case has("expected '.' or '='"):
		return "write = between key and value"
	case has("expected value") && before == "[":
		return "close the list above with ]"
	case has("expected value") && line == "":
		return "write a value after ="
	case has("expected value"):
		return "write a string in quotes, a number, true, false, or a list in brackets"
	case has("strings cannot contain newlines") || has(`unexpected EOF; expected`):
		return "close the string with a quote in its own line"
	case has("invalid escape"):
		return `write \\ for a backslash, or the string in single quotes`
	case has("expected '.' or ']'") || has("expected end of table array"):
		return "close the name of the table with as many brackets as it begins with"
	case has("expected a comma"):
		return "write a comma between two elements of a list, and ] after the last"
	case has("expected a top-level item to end"):
		return "write one key in each line, and a string with quotes around all of it"
	}
	return ""
}
