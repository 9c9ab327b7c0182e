package receive

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// repliesInSource are the replies that the server's packages make, as
// "550 5.7.54 text". Texts that are put together are left out.
func repliesInSource(t *testing.T) map[string]bool {
	t.Helper()
	replies := map[string]bool{}
	for _, pattern := range []string{"*.go", "../internal/wire/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && len(call.Args) == 3 && strings.HasSuffix(calledName(call.Fun), "NewReply") {
					if text, ok := call.Args[2].(*ast.BasicLit); ok {
						s, _ := strconv.Unquote(text.Value)
						replies[strings.Join(append(numbers(call.Args[0]), strings.Join(numbers(call.Args[1]), "."), s), " ")] = true
					}
				}
				return true
			})
		}
	}
	return replies
}

func calledName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// numbers are the numbers of a reply code or enhanced status code.
func numbers(e ast.Expr) []string {
	var all []string
	ast.Inspect(e, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.INT {
			all = append(all, l.Value)
		}
		return true
	})
	return all
}

// TestRepliesOfThePage: the replies that the page on Receive connectors sets
// against Exchange's are the program's.
func TestRepliesOfThePage(t *testing.T) {
	text, err := os.ReadFile("../docs/receive-connectors.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n| Exchange | Postern | why |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	replies, seen := repliesInSource(t), 0
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || strings.HasPrefix(line, "|---") || strings.Contains(cells[2], "<fqdn>") {
			continue
		}
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[2], -1) {
			// Of paths, the last number is that of the command.
			if seen++; !replies[m[1]] && m[1] != "501 5.1.7 Invalid address" {
				t.Errorf("nothing says %q", m[1])
			}
		}
	}
	if seen < 8 {
		t.Errorf("%d replies were found in %s", seen, fmt.Sprintf("%.200q", table))
	}
}

// TestReferenceIsAnswered: every parameter, mechanism, group and right of
// Exchange's Receive connectors is on the page, and every reply is one of ours or
// on the page.
func TestReferenceIsAnswered(t *testing.T) {
	const path = "../../shared/reference/exchange-edge.md"
	reference, err := os.ReadFile(path)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("the reference is not here: %v", err)
	}
	page, err := os.ReadFile("../docs/receive-connectors.md")
	if err != nil {
		t.Fatal(err)
	}
	firstCells := func(section string) (cells []string) {
		_, text, ok := strings.Cut(string(reference), "\n### "+section+" ")
		if !ok {
			t.Fatalf("the reference has no section %s", section)
		}
		text, _, _ = strings.Cut(text, "\n##")
		for line := range strings.Lines(text) {
			if c := strings.Split(line, "|"); len(c) > 3 && strings.HasPrefix(line, "| `") {
				cells = append(cells, c[1])
			}
		}
		return cells
	}
	quoted := regexp.MustCompile("`([^`]+)`")
	names, answers := 0, 0
	for _, section := range []string{"1.4", "1.5", "1.6"} {
		for _, cell := range firstCells(section) {
			for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
				if names++; !strings.Contains(string(page), m[1]) && !strings.Contains(string(page), strings.TrimPrefix(m[1], "SMTP-")) {
					t.Errorf("%s: the page does not name %s", section, m[1])
				}
			}
		}
	}
	ours := repliesInSource(t)
	for reply, where := range map[string]string{ // those that are put together
		"250 <fqdn> Hello [<ip>]": "TestExtensions",
		"334 <b64>":               "TestAuthDialogs",
		"354 Start mail input; end with <CRLF>.<CRLF>":                          "TestDialogs",
		"250 2.6.0 <msgid> [InternalId=n, Hostname=h] Queued mail for delivery": "TestDialogs",
		"250 2.6.0 CHUNK received OK, n octets":                                 "TestChunks",
		"501 5.1.3 Invalid address":                                             "TestDialogs",
	} {
		ours[reply] = where != ""
	}
	for _, section := range []string{"10.1", "10.2", "10.3"} {
		for _, cell := range firstCells(section) {
			for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
				if answers++; !ours[m[1]] && !strings.Contains(string(page), strings.TrimSpace(m[1])) {
					t.Errorf("%s: neither the program nor the page says %q", section, m[1])
				}
			}
		}
	}
	if names < 60 || answers < 50 {
		t.Errorf("the reference has %d names and %d replies", names, answers)
	}
}
