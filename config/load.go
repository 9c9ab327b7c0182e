package config

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// maxFileSize bounds a configuration file; a hundred thousand accepted domains
// fit.
const maxFileSize = 16 * megabyte

//go:embed default.toml
var defaultText string

// Load reads and checks a configuration file. The error says only that the
// file can't be read; everything that is wrong with its content is a Finding.
// The Config is nil when a Finding is an Error; warnings come with a Config.
// Findings are sorted by their place in the file; those of the files that it
// names follow.
func Load(path string) (*Config, []Finding, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read configuration: %w", err)
	}
	// A save that was cut short leaves an empty file. Taken at its word by a
	// reload, it would close every listener.
	if strings.Trim(string(text), "\ufeff \t\r\n") == "" {
		return nil, []Finding{{
			Message: "the file is empty", Remedy: "write a configuration, or name no file to run the embedded default",
			Position: Position{File: path, Line: 1, Column: 1},
		}}, nil
	}
	c, findings, err := Parse(path, text)
	if c == nil {
		return nil, findings, err
	}
	c, more := c.ReadLists()
	return c, append(findings, more...), err
}

// Parse is Load for a text at hand; name stands for the file in findings.
func Parse(name string, text []byte) (*Config, []Finding, error) {
	return parse(name, text, os.Hostname)
}

// Default is the configuration that holds when no file is named: it listens
// on 127.0.0.1:2525, serves this host alone and delivers by MX. Its only
// findings are warnings about the host itself.
func Default() (*Config, []Finding, error) {
	return Parse("embedded default", []byte(defaultText))
}

// DefaultText is the TOML text of Default.
func DefaultText() string { return defaultText }

func parse(name string, text []byte, hostName func() (string, error)) (*Config, []Finding, error) {
	if len(text) > maxFileSize {
		return nil, nil, fmt.Errorf("read configuration %s: more than %s is not a configuration file", name, FormatSize(maxFileSize))
	}
	tree, src, finding := parseTOML(name, string(text))
	if finding != nil {
		return nil, []Finding{*finding}, nil
	}
	c := &Config{source: src}
	d := &decoder{config: c, root: schema(), failed: map[string]bool{}}
	d.findHostName(hostName)
	d.decode(tree)
	d.check()
	findings := d.sorted()
	if HasErrors(findings) {
		return nil, findings, nil
	}
	return c, findings, nil
}

// parseTOML reads the text into maps and notes where each key stands, or
// returns the one finding that its syntax is wrong.
func parseTOML(name, text string) (map[string]any, source, *Finding) {
	const mark = "\ufeff"
	plain := strings.TrimPrefix(text, mark)
	src, stopped, err := scanPositions(name, plain)
	src.shift = len(text) - len(plain)
	fail := func(offset int, message, remedy string) (map[string]any, source, *Finding) {
		return nil, src, &Finding{Message: message, Remedy: remedy, Position: src.at(offset)}
	}
	if err != nil {
		return fail(stopped, err.Error(), "no key there is needs that")
	}
	if !utf8.ValidString(plain) {
		return fail(invalidUTF8(plain), "the file is not UTF-8", "save it as UTF-8")
	}
	tree := map[string]any{}
	if _, err := toml.Decode(plain, &tree); err != nil {
		var syntax toml.ParseError
		if !errors.As(err, &syntax) {
			return fail(0, err.Error(), "")
		}
		return nil, src, syntaxError(&src, plain, &syntax)
	}
	return tree, src, nil
}

// printable escapes what a message of the library quotes from the file as it
// stands there.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// invalidUTF8 finds the first octet that is not part of a character.
func invalidUTF8(s string) int {
	for i, r := range s {
		if r != utf8.RuneError {
			continue
		}
		if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
			return i
		}
	}
	return len(s)
}

// sorted puts findings in the order of the file and gives each its position.
func (d *decoder) sorted() []Finding {
	for i := range d.findings {
		f := &d.findings[i]
		if f.Position.IsZero() {
			f.Position = d.config.Position(f.Path)
		}
	}
	slices.SortStableFunc(d.findings, func(a, b Finding) int {
		if a.Position.Line != b.Position.Line {
			return a.Position.Line - b.Position.Line
		}
		return a.Position.Column - b.Position.Column
	})
	return d.findings
}
