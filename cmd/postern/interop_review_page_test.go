//go:build linux

package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shellWord is a word of a command line, in double quotes or without.
var shellWord = regexp.MustCompile(`"[^"]*"|[^\s"]+`)

// TestReviewPage runs the commands under "Five questions" of docs/log-review.md
// on the logs that these were made with: what it shows is what they print, but for the width of
// columns, and a line "..." stands for whatever there is.
func TestReviewPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/log-review.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "\n## Five questions\n")
	text, _, _ = strings.Cut(text, "\n## ")
	t.Setenv("TZ", "UTC")
	t.Setenv("COLUMNS", "100")
	key := filepath.Join(tempDir(t), "key")
	if err := os.WriteFile(key, []byte("a key for the page alone"), 0o600); err != nil {
		t.Fatal(err)
	}
	commands := 0
	for i, block := range strings.Split(text, "```") {
		if i%2 == 0 {
			continue
		}
		line, want, _ := strings.Cut(strings.TrimLeft(block, "\n"), "\n")
		line, ok := strings.CutPrefix(line, "$ postern ")
		if !ok {
			t.Errorf("a block begins with %q, want a command", line)
			continue
		}
		commands++
		var args []string
		for _, word := range shellWord.FindAllString(strings.ReplaceAll(line, "KEYFILE", key), -1) {
			args = append(args, strings.Trim(word, `"`))
		}
		code, stdout, stderr := runCommand(t, "", binary(t), append(args, "--logs", "testdata/log-review")...)
		if code != 0 || stderr != "" {
			t.Errorf("postern %s: exit code %d: %s", line, code, stderr)
		}
		if !sameWords(stdout, want) {
			t.Errorf("postern %s printed\n%s\nthe page has\n%s", line, stdout, want)
		}
	}
	if commands < 10 {
		t.Errorf("the page has %d commands", commands)
	}
}

// thisYear is what screens leave out of a time in the year that it is.
var thisYear = regexp.MustCompile(`\b20\d\d-(\d\d-\d\d)`)

// sameWords compares what a command printed with what a page shows.
func sameWords(printed, shown string) bool {
	words := func(s string) []string { return strings.Fields(thisYear.ReplaceAllString(s, "$1")) }
	var pattern []string
	for line := range strings.Lines(shown) {
		if strings.TrimSpace(line) == "..." {
			pattern = append(pattern, "\x00")
			continue
		}
		pattern = append(pattern, words(line)...)
	}
	return matchWords(words(printed), pattern)
}

func matchWords(have, want []string) bool {
	for len(want) > 0 {
		if want[0] == "\x00" {
			for rest := have; ; rest = rest[1:] {
				if matchWords(rest, want[1:]) {
					return true
				}
				if len(rest) == 0 {
					return false
				}
			}
		}
		if len(have) == 0 || have[0] != want[0] {
			return false
		}
		have, want = have[1:], want[1:]
	}
	return len(have) == 0
}
