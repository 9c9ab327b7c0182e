package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// defaultWidth is the width of a table that does not go to a terminal, in
// columns.
const defaultWidth = 120

// minColumn is how narrow a column of a table may become, in columns.
const minColumn = 12

// printJSON prints v as one indented JSON value.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// terminal tells whether w is one, and how wide it is.
func terminal(w io.Writer) (width int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return defaultWidth, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 40 {
		width = 80
	}
	return width, true
}

// printField prints a heading and text that is wrapped beside it.
func (a *app) printField(heading, text string) {
	width, _ := terminal(a.out)
	indent := utf8.RuneCountInString(heading)
	for i, line := range wrap(text, max(width-indent, minColumn)) {
		if i > 0 {
			heading = strings.Repeat(" ", indent)
		}
		fmt.Fprintln(a.out, heading+line)
	}
}

// plural writes a number with the word for so many.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// localTime writes a moment for a screen: local, with its offset.
func localTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 -0700") }

// table is rows of text in columns. Cells are wrapped so that it fits the
// terminal.
type table struct {
	header []string
	rows   [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// widths gives each column what its cells need, and takes from the widest ones
// until all fit.
func (t *table) widths(room int) []int {
	widths := make([]int, len(t.header))
	total := 2 * (len(widths) - 1)
	for i := range widths {
		for _, row := range append([][]string{t.header}, t.rows...) {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		total += widths[i]
	}
	for ; total > room; total-- {
		widest := 0
		for i, n := range widths {
			if n >= widths[widest] {
				widest = i
			}
		}
		if widths[widest] <= minColumn {
			break
		}
		widths[widest]--
	}
	return widths
}

func (t *table) print(w io.Writer) {
	room, _ := terminal(w)
	widths := t.widths(room)
	for _, row := range append([][]string{t.header}, t.rows...) {
		cells := make([][]string, len(row))
		height := 0
		for i, c := range row {
			cells[i] = wrap(c, widths[i])
			height = max(height, len(cells[i]))
		}
		for n := range height {
			var b strings.Builder
			for i := range cells {
				c := ""
				if n < len(cells[i]) {
					c = cells[i][n]
				}
				b.WriteString(c + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+2))
			}
			fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
		}
	}
}

// wrap breaks text at spaces into lines of at most width characters, and words
// that are longer where the line ends.
func wrap(text string, width int) []string {
	var lines []string
	line := []rune{}
	for _, word := range strings.Fields(text) {
		w := []rune(word)
		if len(line) > 0 && len(line)+1+len(w) <= width {
			line = append(append(line, ' '), w...)
			continue
		}
		if len(line) > 0 {
			lines = append(lines, string(line))
		}
		for len(w) > width {
			lines = append(lines, string(w[:width]))
			w = w[width:]
		}
		line = append([]rune{}, w...)
	}
	return append(lines, string(line))
}

// style colours text on a terminal and leaves it alone elsewhere.
type style struct{ on bool }

// styleFor respects the NO_COLOR convention (no-color.org).
func styleFor(w io.Writer) style {
	_, tty := terminal(w)
	return style{tty && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (s style) wrap(code, text string) string {
	if !s.on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s style) bold(text string) string  { return s.wrap("1", text) }
func (s style) dim(text string) string   { return s.wrap("2", text) }
func (s style) green(text string) string { return s.wrap("32", text) }
func (s style) red(text string) string   { return s.wrap("31", text) }
func (s style) cyan(text string) string  { return s.wrap("36", text) }

// clean makes text of a peer safe to print: a terminal must not obey it.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
