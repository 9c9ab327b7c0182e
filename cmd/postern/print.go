package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
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

// terminal tells whether w is one, and how wide it is. For what is none,
// COLUMNS says how wide to be.
func terminal(w io.Writer) (width int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n >= 40 {
			return n, false
		}
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

// span writes a stretch of time in its two largest units, as "2h05m".
func span(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(d, 0)/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// until writes how long it is to a moment.
func until(t, now time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case !t.After(now):
		return "now"
	}
	return "in " + span(t.Sub(now))
}

// since writes how long ago a moment was.
func since(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return span(now.Sub(t))
}

// roundSize writes a size in octets for a screen, with at most three digits.
func roundSize(n int64) string {
	units := []string{"B", "KB", "MB", "GB", "TB"}
	v, u := float64(n), 0
	for v >= 1000 && u < len(units)-1 {
		v, u = v/1024, u+1
	}
	if u > 0 && v < 10 {
		return fmt.Sprintf("%.1f%s", v, units[u])
	}
	return fmt.Sprintf("%.0f%s", v, units[u])
}

// localTime writes a moment for a screen: local, with its offset.
func localTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 -0700") }

// table is rows of text in columns. Cells are wrapped so that it fits the
// terminal.
type table struct {
	header []string
	rows   [][]string
	// names says that the first column has names, which are not broken so that
	// they can be copied: one that does not fit stands on a line of its own.
	names bool
	// notes are lines that stand below a row, over the whole width.
	notes map[int][]string
	// right holds the columns that are flush right.
	right []int
	fixed []int // columns of ids, which are never broken
	// paint, when it is set, colours a cell.
	paint func(row, column int, text string) string
	// indent is written before every line.
	indent string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// note puts a line below the row that was added last.
func (t *table) note(text string) {
	if t.notes == nil {
		t.notes = make(map[int][]string)
	}
	row := len(t.rows) - 1
	t.notes[row] = append(t.notes[row], text)
}

// noteIndent is how far notes stand in.
const noteIndent = "    "

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
			if !slices.Contains(t.fixed, i) && (n >= widths[widest] || slices.Contains(t.fixed, widest)) {
				widest = i
			}
		}
		if widths[widest] <= minColumn || slices.Contains(t.fixed, widest) {
			break
		}
		widths[widest]--
	}
	return widths
}

func (t *table) print(w io.Writer) {
	room, _ := terminal(w)
	room -= len(t.indent)
	widths := t.widths(room)
	t.printRow(w, -1, t.header, widths)
	for n, row := range t.rows {
		t.printRow(w, n, row, widths)
		for _, note := range t.notes[n] {
			for _, line := range wrap(note, room-len(noteIndent)) {
				fmt.Fprintln(w, t.indent+noteIndent+line)
			}
		}
	}
}

// printRow prints one row; the header is row -1.
func (t *table) printRow(w io.Writer, n int, row []string, widths []int) {
	if t.names && n >= 0 && utf8.RuneCountInString(row[0]) > widths[0] {
		fmt.Fprintln(w, t.indent+row[0])
		row = append([]string{""}, row[1:]...)
	}
	cells := make([][]string, len(row))
	height := 0
	for i, c := range row {
		cells[i] = wrap(c, widths[i])
		height = max(height, len(cells[i]))
	}
	for h := range height {
		var b strings.Builder
		gap := t.indent // spaces are written before what follows them, never at the end
		for i := range cells {
			c := ""
			if h < len(cells[i]) {
				c = cells[i][h]
			}
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c))
			if slices.Contains(t.right, i) {
				gap, pad = gap+pad, ""
			}
			if c != "" {
				if t.paint != nil && n >= 0 {
					c = t.paint(n, i, c)
				}
				b.WriteString(gap + c)
				gap = ""
			}
			gap += pad + "  "
		}
		fmt.Fprintln(w, b.String())
	}
}

// Within text that is to be wrapped, glue stands for a space at which no line
// may end, and whole marks a word that is not broken. No text that went through
// clean has them.
const (
	glue  = '\x00'
	whole = '\x01'
)

// unbroken makes a name one word, whatever spaces it has: wrap leaves it whole.
func unbroken(name string) string {
	return string(whole) + strings.ReplaceAll(name, " ", string(glue))
}

// wrap breaks text at spaces into lines of at most width characters, and words
// that are longer where the line ends.
func wrap(text string, width int) []string {
	var lines []string
	line := []rune{}
	for _, word := range strings.Fields(text) {
		w := []rune(word)
		if i := slices.Index(w, whole); i >= 0 {
			w = []rune(strings.ReplaceAll(string(slices.Delete(w, i, i+1)), string(glue), " "))
			if len(line) > 0 && len(line)+1+len(w) > width {
				lines, line = append(lines, string(line)), nil
			}
			if len(line) > 0 {
				line = append(line, ' ')
			}
			line = append(line, w...)
			continue
		}
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

func (s style) bold(text string) string   { return s.wrap("1", text) }
func (s style) dim(text string) string    { return s.wrap("2", text) }
func (s style) green(text string) string  { return s.wrap("32", text) }
func (s style) yellow(text string) string { return s.wrap("33", text) }
func (s style) red(text string) string    { return s.wrap("31", text) }
func (s style) cyan(text string) string   { return s.wrap("36", text) }

// clean makes text of a peer safe to print: a terminal must not obey it.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
