package routing

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/config"
)

// fromFiles makes a configuration of connectors with files beside them.
func fromFiles(t *testing.T, files map[string]string, connectors ...config.SendConnector) *config.Config {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range connectors {
		for _, path := range []*string{&connectors[i].AddressSpacesFile, &connectors[i].BlockedSendersFile, &connectors[i].AllowedSendersFile} {
			if *path != "" {
				*path = filepath.Join(dir, *path)
			}
		}
	}
	cfg, findings := (&config.Config{SendConnectors: connectors}).ReadLists()
	if cfg == nil {
		t.Fatal(findings)
	}
	return cfg
}

// TestFiles: what stands in a file is as good as what stands in the list.
func TestFiles(t *testing.T) {
	a, b, c := conn("A", "own.example"), conn("B"), conn("Internet", "*")
	a.AddressSpacesFile, a.BlockedSendersFile, b.AddressSpacesFile, b.AllowedSendersFile = "a", "senders", "b", "senders"
	cfg := fromFiles(t, map[string]string{
		"a":       "# moved on Monday\nfabrikam.example;5\n*.fabrikam.example\n",
		"b":       "smtp:woodgrove.example;1 # by phone\nfabrikam.example;6\n",
		"senders": "intern@contoso.example\n*.lab.example\n",
	}, a, b, c)
	cfg.Routing.Restrictions = "enforce"
	tab := table(t, cfg)
	for _, x := range []struct{ sender, rcpt, want string }{
		{"bob@contoso.example", "k@own.example", `A by "own.example"`},
		{"bob@contoso.example", "k@fabrikam.example", `A by "fabrikam.example;5"`},
		{"bob@contoso.example", "k@eu.fabrikam.example", `A by "*.fabrikam.example"`},
		{"Intern@contoso.example", "k@eu.fabrikam.example", "sender"},
		{"Intern@contoso.example", "k@fabrikam.example", `B by "fabrikam.example;6"`},
		{"x@a.lab.example", "k@woodgrove.example", `B by "smtp:woodgrove.example;1"`},
		{"bob@contoso.example", "k@woodgrove.example", "sender"},
		{"bob@contoso.example", "k@adatum.example", `Internet by "*"`},
	} {
		d := tab.Explain(Query{Sender: addr(t, x.sender), Recipient: addr(t, x.rcpt)})
		got := d.Problem.String()
		if d.Connector != "" {
			got = d.Connector + ` by "` + d.AddressSpace + `"`
		}
		if got != x.want {
			t.Errorf("%s to %s: %s, want %s", x.sender, x.rcpt, got, x.want)
		}
		check(t, tab, Query{Sender: addr(t, x.sender), Recipient: addr(t, x.rcpt)}, d)
	}

	next, _ := cfg.ReadLists()
	if again := table(t, next); again.Generation() != tab.Generation() {
		t.Error("the same files make another generation")
	}
}

// TestFilesThatListNobody: a file with comments alone allows nobody and blocks
// nobody.
func TestFilesThatListNobody(t *testing.T) {
	a, b := conn("A", "a.example"), conn("B", "b.example")
	a.AllowedSendersFile, b.BlockedSendersFile = "nobody", "nobody"
	tab := table(t, fromFiles(t, map[string]string{"nobody": "# nobody\n"}, a, b))
	for rcpt, want := range map[string]Problem{"x@a.example": ProblemSender, "x@b.example": ProblemNone} {
		if d := tab.Route(Query{Sender: addr(t, "bob@contoso.example"), Recipient: addr(t, rcpt)}); d.Problem != want {
			t.Errorf("%s: %v", rcpt, d.Problem)
		}
	}
	if d := tab.Route(Query{Recipient: addr(t, "x@a.example")}); d.Connector != "A" {
		t.Error("a notification can't travel")
	}
}

// TestFaultsInFiles: a fault is told of with file and line.
func TestFaultsInFiles(t *testing.T) {
	a := conn("A", "own.example")
	a.AddressSpacesFile, a.BlockedSendersFile = "a", "senders"
	cfg := fromFiles(t, map[string]string{
		"a":       "fabrikam.example\n\n*contoso.example\nfabrikam.example;2\n--\nbad domain\n",
		"senders": "# x\nbob@\n",
	}, a)
	tab, findings := New(cfg)
	if tab != nil {
		t.Error("there is a table")
	}
	var got []string
	for _, f := range findings {
		f.Position.File = filepath.Base(f.Position.File)
		line := f.Format(config.Position{})
		got = append(got, f.Path+" "+line[:strings.Index(line, ": ")])
	}
	want := []string{"send_connector[0].blocked_senders_file senders:2:1", "send_connector[0].address_spaces_file a:3:1", "send_connector[0].address_spaces_file a:6:1",
		"send_connector[0].address_spaces_file a:4:1", "send_connector[0].address_spaces_file a:5:1"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
