package eventid

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// passesOn are the files in which a logger is handed what another place has put
// together, where the number is looked for.
var passesOn = []string{"backpressure/round.go"}

// reserved are names that the event log gives to what is its own.
var reserved = []string{"time", "level", "msg", "log", AreaKey, Key, "repeated", "repeated_in"}

// TestEveryEventHasItsNumber reads every call of a logger in the tree: one at
// Warn or Error, or at a level that is not known, names an event; its level and
// text are those of the table; and every event of the table is logged somewhere.
func TestEveryEventHasItsNumber(t *testing.T) {
	w := tree{t: t, ids: constants(t), events: map[ID]Event{}, used: map[ID]bool{}}
	for _, e := range All() {
		w.events[e.ID] = e
	}
	for name, id := range w.ids {
		if _, ok := w.events[id]; !ok {
			t.Errorf("eventid.%s (%d) has no entry in the table", name, id)
		}
	}
	files := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel("../..", path)
		name = filepath.ToSlash(name)
		switch {
		case d.IsDir() && (name == "bench" || name == "internal/eventid" || name != "." && strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		files++
		w.read(name, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 200 || w.calls < 80 {
		t.Fatalf("%d files with %d calls were read; the test reads the wrong place", files, w.calls)
	}
	for _, e := range All() {
		if !w.used[e.ID] {
			t.Errorf("%d (%s) is in the table and is never logged", e.ID, e.Text)
		}
	}
}

// TestTreeTestBites gives the test calls that it must refuse.
func TestTreeTestBites(t *testing.T) {
	for _, c := range []struct{ call, complaint string }{
		{`logger.Warn("a text", "key", 1)`, "names no event"},
		{`s.o.Logger.Error("spool: damage")`, "names no event"},
		{`logger.Log(ctx, level, "a text")`, "names no event"},
		{`logger.LogAttrs(ctx, slog.LevelWarn, "a text")`, "names no event"},
		{`tr.tell(logger.Warn, "a text", nil)`, "names no event"},
		{`tr.tell(slog.LevelWarn, "a text", "name")`, "names no event"},
		{`logger.Warn("another text", eventid.Started.Attr())`, "text"},
		{`logger.Warn("gateway is running", eventid.Started.Attr())`, "level"},
		{`logger.Info("gateway is running too", eventid.Started.Attr())`, "text"},
		{`logger.Info("gateway is running", eventid.Nonsense.Attr())`, "not in the table"},
		{`logger.Info("gateway is running", eventid.Started.Attr(), "level", 3)`, "the event log's own"},
		{`logger.Info("gateway is running", eventid.Started.Attr(), "pid", 3)`, ""},
		{`logger.Error("resource pressure increased from "+a+" to "+b(), eventid.PressureUp.Attr())`, ""},
		{`logger.Error("resource pressure increased from "+a, eventid.PressureUp.Attr())`, "text"},
		{`logger.Warn("message refused", append([]any{eventid.MessageRefused.Attr()}, attrs...)...)`, ""},
		{`id, text = eventid.PressureDisk, "mail is refused"`, "text"},
		{`err.Error()`, ""},
	} {
		w := tree{t: t, ids: constants(t), events: map[ID]Event{}, used: map[ID]bool{}, quiet: true}
		for _, e := range All() {
			w.events[e.ID] = e
		}
		w.source("a.go", "package a\nfunc f() { "+c.call+" }\n")
		said := strings.Join(w.said, "; ")
		if (said == "") != (c.complaint == "") || !strings.Contains(said, c.complaint) {
			t.Errorf("%s: the test says %q, want %q", c.call, said, c.complaint)
		}
	}
}

// constants reads the constants of type ID from this package's own files.
func constants(t *testing.T) map[string]ID {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]ID{}
	for _, name := range names {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				if typ, ok := v.Type.(*ast.Ident); !ok || typ.Name != "ID" {
					continue
				}
				n, err := strconv.Atoi(v.Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				ids[v.Names[0].Name] = ID(n)
			}
		}
	}
	return ids
}

// tree reads files and notes what is wrong with their calls of loggers.
type tree struct {
	t      *testing.T
	ids    map[string]ID
	events map[ID]Event
	used   map[ID]bool
	calls  int
	quiet  bool
	said   []string
}

func (w *tree) complain(at token.Position, text string) {
	w.said = append(w.said, text)
	if !w.quiet {
		w.t.Errorf("%s:%d: %s", at.Filename, at.Line, text)
	}
}

func (w *tree) read(name, path string) { w.parse(name, path, nil) }

func (w *tree) source(name, text string) { w.parse(name, name, text) }

func (w *tree) parse(name, path string, src any) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, path, src, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		at := func() token.Position { p := set.Position(n.Pos()); p.Filename = name; return p }
		switch n := n.(type) {
		case *ast.CallExpr:
			w.expressions(at(), n.Fun, n.Args)
		case *ast.CompositeLit:
			w.expressions(at(), nil, n.Elts)
		case *ast.AssignStmt:
			w.expressions(at(), nil, n.Rhs)
		}
		return true
	})
}

// expressions judges the arguments of a call, the elements of a literal or the
// right side of an assignment.
func (w *tree) expressions(at token.Position, fun ast.Expr, args []ast.Expr) {
	level, text, logs := logging(fun, args)
	var ids []ID
	names := false
	for _, a := range args {
		direct(a, func(n ast.Node) {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "eventid" && ast.IsExported(s.Sel.Name) && s.Sel.Name != "ID" && s.Sel.Name != "Event" {
					if id, ok := w.ids[s.Sel.Name]; ok {
						ids = append(ids, id)
					} else if logs {
						w.complain(at, "eventid."+s.Sel.Name+" is not in the table")
					}
					names = true
				}
				names = names || s.Sel.Name == "Attr"
			}
		})
	}
	if logs {
		w.calls++
		grave := level != "Info" && level != "Debug"
		if grave && !names && !slices.Contains(passesOn, at.Filename) {
			w.complain(at, "a call of a logger names no event: give it the number of one, see internal/eventid")
		}
	}
	for _, id := range ids {
		w.used[id] = true
		e := w.events[id]
		if logs || text != nil {
			w.compare(at, e, level, text, args)
		}
	}
}

func (w *tree) compare(at token.Position, e Event, level string, text ast.Expr, args []ast.Expr) {
	if said, ok := fold(text); ok && said != e.Text {
		w.complain(at, "the text "+strconv.Quote(said)+" of event "+strconv.Itoa(int(e.ID))+" is another in the table: "+strconv.Quote(e.Text))
	}
	levels := map[string]slog.Level{"Debug": slog.LevelDebug, "Info": slog.LevelInfo, "Warn": slog.LevelWarn, "Error": slog.LevelError}
	if l, ok := levels[level]; ok && l != e.Level {
		w.complain(at, "the level "+level+" of event "+strconv.Itoa(int(e.ID))+" is another in the table: "+e.Level.String())
	}
	for _, a := range args {
		direct(a, func(n ast.Node) {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				if s, err := strconv.Unquote(l.Value); err == nil && slices.Contains(reserved, s) {
					w.complain(at, "the attribute "+l.Value+" is the event log's own; give it another name")
				}
			}
		})
	}
}

// direct visits an argument, and the elements of what it is put together from,
// but not the arguments of other calls.
func direct(n ast.Expr, visit func(ast.Node)) {
	switch n := n.(type) {
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.SelectorExpr); ok {
			visit(f)
			direct(f.X, visit)
		}
		if name := lastName(n.Fun); name.Name == "append" || name.Name == "With" {
			for _, a := range n.Args {
				direct(a, visit)
			}
		}
	case *ast.CompositeLit:
		for _, e := range n.Elts {
			direct(e, visit)
		}
	case nil:
	default:
		visit(n)
	}
}

// logging tells whether a call is one of a logger, or hands a level or a
// logger's method on, and which of its arguments is the text.
func logging(fun ast.Expr, args []ast.Expr) (level string, text ast.Expr, logs bool) {
	at := func(i int) ast.Expr {
		if i < len(args) {
			return args[i]
		}
		return nil
	}
	if s, ok := fun.(*ast.SelectorExpr); ok {
		switch name := s.Sel.Name; name {
		case "Warn", "Error":
			return name, at(0), len(args) > 0
		case "Info", "Debug":
			if len(args) > 0 && isLogger(s.X) {
				return name, at(0), true
			}
		case "DebugContext", "InfoContext", "WarnContext", "ErrorContext":
			return strings.TrimSuffix(name, "Context"), at(1), len(args) > 1
		case "Log", "LogAttrs":
			if len(args) > 2 {
				return levelOf(args[1]), args[2], true
			}
		}
	}
	for i, a := range args {
		s, ok := a.(*ast.SelectorExpr)
		if !ok {
			continue
		}
		if l := levelOf(a); l != "" {
			return l, at(i + 1), l == "Warn" || l == "Error"
		}
		if (s.Sel.Name == "Warn" || s.Sel.Name == "Error") && isLogger(s.X) {
			return s.Sel.Name, at(i + 1), true
		}
		if x, ok := s.X.(*ast.Ident); ok && x.Name == "eventid" {
			if _, ok := at(i + 1).(*ast.BasicLit); ok && fun == nil { // id, text = eventid.X, "..."
				return "", at(i + 1), false
			}
		}
	}
	return "", nil, false
}

// lastName is the name of a variable, a field or a function; nobody's for what
// has none.
func lastName(e ast.Expr) *ast.Ident {
	switch e := e.(type) {
	case *ast.SelectorExpr:
		return e.Sel
	case *ast.Ident:
		return e
	}
	return new(ast.Ident)
}

func isLogger(e ast.Expr) bool {
	name := lastName(e).Name
	return name == "logger" || name == "Logger"
}

// levelOf returns "Warn" for slog.LevelWarn, and nothing for a level that is
// only known when the program runs.
func levelOf(e ast.Expr) string {
	if s, ok := e.(*ast.SelectorExpr); ok {
		if x, ok := s.X.(*ast.Ident); ok && x.Name == "slog" {
			if l, ok := strings.CutPrefix(s.Sel.Name, "Level"); ok {
				return l
			}
		}
	}
	return ""
}

// fold reads a text that is put together; "…" stands for what is not constant.
// It is no text when nothing in it is constant.
func fold(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		left, a := fold(e.X)
		right, b := fold(e.Y)
		if !a {
			left = "…"
		}
		if !b {
			right = "…"
		}
		return strings.ReplaceAll(left+right, "……", "…"), a || b
	}
	return "", false
}
