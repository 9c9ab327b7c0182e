package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRoutingFindings gives what is said of keys that concern several
// connectors.
func TestRoutingFindings(t *testing.T) {
	send := func(name string, lines ...string) string {
		return "[[send_connector]]\nname = \"" + name + "\"\naddress_spaces = [\"" + name + ".example\"]\n" + strings.Join(lines, "\n") + "\n"
	}
	required := `tls = "required"`
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"all in order", receiveHead + send("a", required, `fallback = "B"`, `scope = ["A", "pickup", "Replay", "import"]`) + send("b", required), nil},
		{"a fallback alone needs no address space", receiveHead + send("a", `fallback = "b"`) + "[[send_connector]]\nname = \"b\"\n", nil},
		{"a file stands for address spaces", receiveHead + "[[send_connector]]\nname = \"b\"\naddress_spaces_file = \"x\"\n", nil},
		{"scope of nobody", receiveHead + send("a", `scope = ["a", "nobody"]`), []string{
			`edge.toml:7:15: scope: there is no [[receive_connector]] "nobody"; write the name of one, or Pickup, Replay or Import`}},
		{"fallback to nobody", receiveHead + send("a", `fallback = "nobody"`), []string{
			`edge.toml:7:1: fallback: there is no [[send_connector]] "nobody"; write the name of one`}},
		{"fallback to itself", receiveHead + send("a", `fallback = "A"`), []string{
			`edge.toml:7:1: fallback: the connector is its own; write the name of another`}},
		{"fallback to a disabled one", receiveHead + send("a", `fallback = "b"`) + send("b", "enabled = false"), []string{
			`edge.toml:7:1: fallback: "b" is disabled; enable it, or write the name of another`}},
		{"fallback in a circle", receiveHead + send("x", `fallback = "a"`) + send("a", `fallback = "b"`) + send("b", `fallback = "c"`) + send("c", `fallback = "a"`), []string{
			`edge.toml:11:1: fallback goes in a circle: a, b, c, a; take one of them out`}},
		{"fallback with less TLS", receiveHead + send("a", required, `tls_auth_level = "certificate_validation"`, `fallback = "b"`) + send("b", required), []string{
			`edge.toml:9:1: fallback: "b" asks for less TLS: tls = "required" rather than tls = "required" with tls_auth_level = "certificate_validation"; ask for as much there, or write allow_weaker_tls = true`}},
		{"fallback in clear", receiveHead + send("a", `fallback = "b"`) + send("b", `tls = "ignore_starttls"`), []string{
			`edge.toml:7:1: fallback: "b" asks for less TLS: tls = "ignore_starttls" rather than tls = "opportunistic"; ask for as much there, or write allow_weaker_tls = true`}},
		{"weaker TLS, allowed", receiveHead + send("a", required, `fallback = "b"`, "allow_weaker_tls = true") + send("b"), nil},
		{"nothing to allow", receiveHead + send("a", `fallback = "b"`, "allow_weaker_tls = true") + send("b", required), []string{
			`edge.toml:8:1: warning: allow_weaker_tls: there is nothing to allow, "b" asks for no less TLS; take it out`}},
		{"without fallback", receiveHead + send("a", `fallback_after = "5m"`, "fallback_failures = 3", "allow_weaker_tls = true"), []string{
			`edge.toml:7:1: fallback_after has no effect without fallback; write fallback = "...", or take fallback_after out`,
			`edge.toml:8:1: fallback_failures has no effect without fallback; write fallback = "...", or take fallback_failures out`,
			`edge.toml:9:1: allow_weaker_tls has no effect without fallback; write fallback = "...", or take allow_weaker_tls out`}},
		{"never", receiveHead + send("a", `fallback = "b"`, `fallback_after = "unlimited"`) + send("b"), []string{
			`edge.toml:7:1: fallback: neither fallback_after nor fallback_failures ever comes about; limit one of them`}},
		{"too late", receiveHead + send("a", `fallback = "b"`, `fallback_after = "3d"`) + send("b"), []string{
			`edge.toml:8:1: warning: fallback_after: messages expire after 2d, before "b" takes over; write a shorter time, or fallback_failures`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, findings := parseText(t, tt.text)
			var got []string
			for _, l := range lines(findings) {
				if !strings.Contains(l, "does not act on it yet") {
					got = append(got, l)
				}
			}
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestParseList(t *testing.T) {
	const text = "\ufeff# Partners\n\n  fabrikam.example;5  # by the leased line\r\n*.woodgrove.example\n#off.example\na#b@contoso.example\t# who\n<>"
	l, findings := ParseList("spaces", []byte(text))
	want := []ListEntry{{"fabrikam.example;5", 3}, {"*.woodgrove.example", 4}, {"a#b@contoso.example", 6}, {"<>", 7}}
	if len(findings) > 0 || !reflect.DeepEqual(l.Entries, want) {
		t.Errorf("%v %+v", findings, l)
	}
	for text, want := range map[string]string{
		"":                                 "spaces:1:1: the file is empty",
		" \n\t\r\n":                        "spaces:1:1: the file is empty",
		"a.example\nb\xff":                 "spaces:2:2: the file is not UTF-8",
		"a.example\n b.example\rc.example": "spaces:2:11: there is a control character in the line",
		"\x00":                             "spaces:1:1: there is a control character in the line",
		strings.Repeat("a", 1001):          "spaces:1:1: the line has 1001 octets",
	} {
		l, findings := ParseList("spaces", []byte(text))
		if l != nil || len(findings) != 1 || !strings.HasPrefix(findings[0].Format(Position{}), want) {
			t.Errorf("%q: %v, want %s", text, findings, want)
		}
	}
	if l, findings := ParseList("spaces", []byte("# nobody\n")); l == nil || len(l.Entries) > 0 || len(findings) > 0 {
		t.Errorf("comments alone: %+v %v", l, findings)
	}
}

func FuzzParseList(f *testing.F) {
	for _, s := range []string{"a.example\n", "# x\na b # c\r\n", "\ufeff\n\n", "a#b@c\n\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l, findings := ParseList("x", text)
		if (l == nil) != HasErrors(findings) {
			t.Fatalf("%+v %v", l, findings)
		}
		last := 0
		for i := 0; l != nil && i < len(l.Entries); i++ {
			e := l.Entries[i]
			if e.Text != strings.TrimSpace(e.Text) || e.Text == "" || e.Line <= last || strings.ContainsAny(e.Text, "\r\n") {
				t.Fatalf("%+v", l.Entries)
			}
			last = e.Line
		}
	})
}

// TestReadLists reads files beside a configuration, each once, and tells which
// key and file is wrong.
func TestReadLists(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	spaces, senders := write("spaces", "fabrikam.example\n"), write("senders", "# one\nbob@contoso.example\n")
	toml := write("edge.toml", receiveHead+"[[send_connector]]\nname = \"s\"\naddress_spaces_file = \""+spaces+"\"\nblocked_senders_file = \""+senders+"\"\n"+
		"[[send_connector]]\nname = \"t\"\naddress_spaces_file = \""+spaces+"\"\nallowed_senders_file = \""+senders+"\"\n")
	c, findings, err := Load(toml)
	if c == nil || err != nil {
		t.Fatal(findings, err)
	}
	if files := c.ListFiles(); !reflect.DeepEqual(files, []string{senders, spaces}) {
		t.Errorf("files %v", files)
	}
	if l := c.List(senders); l == nil || len(l.Entries) != 1 || l.Position(0) != (Position{senders, 2, 1}) {
		t.Errorf("%+v", l)
	}
	if f := c.SendConnectors[0]; f.FallbackAfter != time.Hour || f.FallbackFailures != Unlimited {
		t.Errorf("defaults: %+v", f)
	}

	write("spaces", "woodgrove.example\n")
	next, findings := c.ReadLists()
	if next == nil || len(findings) > 0 || next.List(spaces).Entries[0].Text != "woodgrove.example" || c.List(spaces).Entries[0].Text != "fabrikam.example" {
		t.Errorf("%v: the old one must stay as it was", findings)
	}
	os.Remove(senders)
	write("spaces", "")
	next, findings = c.ReadLists()
	got := lines(findings)
	if next != nil || len(got) != 2 ||
		got[0] != spaces+":1:1: the file is empty; write at least a comment, such as \"# nobody\"" ||
		got[1] != toml+":7:1: the file \""+senders+"\" can't be read: no such file or directory; write it, readable for the gateway's user, or take the key out" {
		t.Errorf("%q", got)
	}
	if c, findings, _ := Load(toml); c != nil || len(findings) < 2 {
		t.Error("a configuration loads without its lists")
	}
	os.Remove(spaces)
	os.Mkdir(spaces, 0o700)
	if _, findings = c.ReadLists(); len(findings) != 2 || !strings.Contains(findings[0].Message, "no regular file") {
		t.Errorf("a directory: %v", findings)
	}
	// A gateway that waited for its writer would neither reload nor stop.
	os.Remove(spaces)
	if err := syscall.Mkfifo(spaces, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, findings = c.ReadLists(); len(findings) != 2 || !strings.Contains(findings[0].Message, "no regular file") {
		t.Errorf("a pipe: %v", findings)
	}
}
