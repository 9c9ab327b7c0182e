//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// replace puts a file in the place of another, as careful programs do.
func replace(t testing.TB, path, text string) {
	t.Helper()
	writeFile(t, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// TestDomainMovesByFile: a domain goes to another connector when a file changes,
// without a reload; what waits goes along; a broken file changes nothing and is
// told of once.
func TestDomainMovesByFile(t *testing.T) {
	t.Parallel()
	one, two := newSink(t, sinkOptions{}), newSink(t, sinkOptions{})
	e := newEdge(t)
	e.top = impatient
	first, second := filepath.Join(e.dir, "first"), filepath.Join(e.dir, "second")
	writeFile(t, first, "# two\n*.moving.example\n*.staying.example\n")
	writeFile(t, second, "# none yet\n")
	e.send = fmt.Sprintf("\n[[send_connector]]\nname = \"First\"\naddress_spaces_file = %q\nsmart_hosts = [%q]\n[[send_connector]]\nname = \"Second\"\naddress_spaces_file = %q\nsmart_hosts = [%q]\n",
		first, one.addr, second, two.addr)
	g := e.serve(t)
	c := dial(t, e.addr)
	c.deliver(t, "kim@contoso.example", "bob@moving.example", letter("before"))
	one.await(t, 1)
	until(t, "the reply to the first message", func() bool { // else it is sent again
		code, stdout, _ := e.postern(t, "queue", "messages")
		return code == 0 && !strings.Contains(stdout, "moving.example")
	})
	one.close()
	c.deliver(t, "kim@contoso.example", "bob@moving.example", letter("waits"))
	c.deliver(t, "kim@contoso.example", "bob@staying.example", letter("stays"))
	c.deliver(t, "kim@contoso.example", "bob@new.example", letter("nowhere"))
	e.wants(t, 0, "Unreachable", "queue", "list")
	until(t, "a next hop that fails", func() bool { return strings.Contains(g.output.String(), "message deferred") })

	replace(t, second, "# moved\nmoving.example;5\n")
	if got := two.await(t, 1); !strings.Contains(string(got[0].Data), "waits") {
		t.Errorf("what moved is %s", got[0].Data)
	}
	c.deliver(t, "kim@contoso.example", "bob@moving.example", letter("after"))
	two.await(t, 2)
	if n := strings.Count(g.output.String(), "read again from their files"); n != 1 {
		t.Errorf("the change was told of %d times", n)
	}

	replace(t, second, "moving.example;5\nstaying.example;1000\n")
	until(t, "word of the fault", func() bool { return strings.Contains(g.output.String(), "second:2:1: ") })
	c.deliver(t, "kim@contoso.example", "bob@moving.example", letter("as before"))
	two.await(t, 3)
	if code, stdout, stderr := e.postern(t, "check"); code != 1 || !strings.Contains(stdout+stderr, "second:2:1: address space \"staying.example;1000\"") {
		t.Errorf("check: exit code %d\n%s%s", code, stdout, stderr)
	}
	if code, stdout, stderr := g.reload(t); code != 1 || !strings.Contains(stdout+stderr, "second:2:1: ") {
		t.Errorf("reload: exit code %d\n%s%s", code, stdout, stderr)
	}
	time.Sleep(3 * time.Second) // looks at it again, and says nothing
	if n := strings.Count(g.output.String(), "can't be used"); n != 1 {
		t.Errorf("the fault was told of %d times", n)
	}
	// Mended, it takes what stood in the Unreachable queue.
	replace(t, second, "moving.example;5\nnew.example\n")
	if got := two.await(t, 4); !strings.Contains(string(got[3].Data), "nowhere") {
		t.Errorf("what had no connector is %s", got[3].Data)
	}
	replace(t, first, "# nothing left\n")
	replace(t, second, "moving.example\nnew.example\nstaying.example;100\n")
	if got := two.await(t, 5); !strings.Contains(string(got[4].Data), "stays") {
		t.Errorf("what moved last is %s", got[4].Data)
	}
	g.stop(t)
	emptySpool(t, e)
}

// TestFallbackEndToEnd: a message goes the other way when its next hop has failed,
// stays there over a restart, and queue show says so.
func TestFallbackEndToEnd(t *testing.T) {
	t.Parallel()
	backup := newSink(t, sinkOptions{Answer: func(_ int, line string) string {
		if strings.HasPrefix(line, "MAIL") {
			return "451 4.7.1 later"
		}
		return ""
	}})
	e := newEdge(t)
	e.top = impatient
	e.route("Main", "*", freeAddr(t), "fallback = \"Backup\"\nfallback_failures = 2\nfallback_after = \"1h\"")
	e.send += fmt.Sprintf("\n[[send_connector]]\nname = \"Backup\"\nsmart_hosts = [%q]\n", backup.addr)
	g := e.serve(t)
	dial(t, e.addr).deliver(t, "kim@contoso.example", "bob@fabrikam.example", letter("falls"))
	m := e.awaitMessage(t)
	show := func() (d struct {
		Queues []string
		Routes []struct {
			Connector, Reason, Fallback string
			FallbackOf                  string `json:"fallback_of"`
		}
		Generation    string
		GenerationNow string `json:"generation_now"`
	}) {
		code, stdout, _ := e.postern(t, "queue", "show", m.ID, "--output", "json")
		if err := json.Unmarshal([]byte(stdout), &d); code != 0 || err != nil {
			t.Fatalf("exit code %d, %v: %s", code, err, stdout)
		}
		return d
	}
	onBackup := func() bool {
		d := show()
		return len(d.Queues) == 1 && strings.HasPrefix(d.Queues[0], "Backup/")
	}
	until(t, "the fallback", onBackup)
	if !strings.Contains(g.output.String(), "the fallback of a Send connector takes over") {
		t.Error("the event log says nothing")
	}
	d := show()
	if len(d.Routes) != 1 || d.Routes[0].FallbackOf != "Main" || d.Routes[0].Connector != "Backup" || d.Generation == "" || d.Generation != d.GenerationNow {
		t.Errorf("%+v", d)
	}
	g.stop(t)
	g = e.serve(t)
	if !onBackup() {
		t.Errorf("after a restart: %+v", show())
	}
	if again := show(); again.Generation != d.Generation {
		t.Errorf("the generation of the same file was %s and is %s", d.Generation, again.Generation)
	}
	e.must(t, "queue", "remove", "--yes", "--without-ndr", m.ID)
	g.stop(t)
}

// TestRestrictionsInTheSession: what the most specific connector may not take is
// refused while the client is there, or, where others get it, by a notification.
func TestRestrictionsInTheSession(t *testing.T) {
	t.Parallel()
	s, inside := newSink(t, sinkOptions{}), newSink(t, sinkOptions{})
	e := newEdge(t)
	e.top = impatient
	e.more = "\n[routing]\nrestrictions = \"enforce\"\n"
	e.route("Inside", "contoso.example", inside.addr, "")
	e.route("Partners", "fabrikam.example", s.addr, "max_message_size = \"1KB\"\nblocked_senders = [\"intern@contoso.example\"]")
	e.route("Scoped", "scoped.example", s.addr, "scope = [\"Pickup\"]")
	e.route("Internet", "*", s.addr, "")
	g := e.serve(t)
	c := dial(t, e.addr)
	play := func(lines ...string) {
		t.Helper()
		for i := 0; i < len(lines); i += 2 {
			r, err := c.command(lines[i])
			if err != nil || !strings.HasPrefix(r.String(), lines[i+1]) {
				t.Errorf("%.60q: %v %v, want %s", lines[i], r, err, lines[i+1])
			}
		}
	}
	big := "Subject: big\r\n\r\n" + strings.Repeat(strings.Repeat("x", 62)+"\r\n", 32) + "."
	play("MAIL FROM:<kim@contoso.example> SIZE=1025", "250", "RCPT TO:<bob@fabrikam.example>", "550 5.3.4", "RCPT TO:<bob@scoped.example>", "550 5.7.1", "RSET", "250",
		"MAIL FROM:<intern@contoso.example>", "250", "RCPT TO:<bob@fabrikam.example>", "550 5.7.1", "RSET", "250",
		"MAIL FROM:<kim@contoso.example>", "250", "RCPT TO:<bob@fabrikam.example>", "250", "DATA", "354", big, "550 5.3.4",
		"MAIL FROM:<kim@contoso.example>", "250", "RCPT TO:<bob@fabrikam.example>", "250", "RCPT TO:<lee@adatum.example>", "250", "DATA", "354", big, "250")
	if got := s.await(t, 1); len(got[0].Rcpt) != 1 || !strings.Contains(got[0].Rcpt[0], "lee@adatum.example") {
		t.Errorf("delivered to %v", got[0].Rcpt)
	}
	if got := string(inside.await(t, 1)[0].Data); !strings.Contains(got, "5.3.4") || !strings.Contains(got, "bob@fabrikam.example") {
		t.Errorf("the notification:\n%s", got)
	}
	g.stop(t)
	emptySpool(t, e)
}

// TestExplainRouteOptions asks the file alone.
func TestExplainRouteOptions(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.top = "[dns]\nhosts = { \"hub.corp.example\" = [\"10.0.0.11\", \"2001:db8::11\"] }\n"
	e.send = "\n[[send_connector]]\nname = \"Scoped\"\naddress_spaces = [\"fabrikam.example\"]\nscope = [\"In\"]\nsmart_hosts = [\"hub.corp.example\"]\n" +
		"source_ip_address = [\"10.0.0.2\"]\ntls = \"required\"\nfallback = \"Other\"\nfallback_failures = 4\n" +
		"\n[[send_connector]]\nname = \"Other\"\naddress_spaces = [\"*\"]\nsmart_hosts = [\"[10.0.0.12]:26\"]\ntls = \"required\"\n"
	e.write(t)
	type answer struct {
		Connector  *string
		FallbackOf string `json:"fallback_of"`
		Fallback   *struct {
			Connector string
			After     *float64
			Failures  *int64
		}
		Generation, Restrictions string
		Candidates               []struct {
			Name         string
			EliminatedBy *string `json:"eliminated_by"`
		}
		Plan *struct {
			Hosts []struct {
				Host      string
				Addresses []struct {
					Address, Skipped, TLS string
					Sources               []string
				}
			}
		}
	}
	ask := func(args ...string) (a answer) {
		t.Helper()
		code, stdout, stderr := e.postern(t, append([]string{"explain", "route", "--output", "json", "kim@contoso.example", "bob@fabrikam.example"}, args...)...)
		if err := json.Unmarshal([]byte(stdout), &a); err != nil || code != 0 {
			t.Fatalf("%v: exit code %d, %v\n%s%s", args, code, err, stdout, stderr)
		}
		return a
	}
	a := ask("--connector", "in", "--resolve")
	if *a.Connector != "Scoped" || a.Fallback == nil || a.Fallback.Connector != "Other" || *a.Fallback.After != 3600 || *a.Fallback.Failures != 4 || a.Generation == "" || a.Restrictions != "filter" {
		t.Errorf("%+v", a)
	}
	if p := a.Plan; p == nil || len(p.Hosts) != 1 || len(p.Hosts[0].Addresses) != 2 {
		t.Fatalf("%+v", a.Plan)
	}
	v4, v6 := a.Plan.Hosts[0].Addresses[0], a.Plan.Hosts[0].Addresses[1]
	if v4.Address != "10.0.0.11:25" || len(v4.Sources) != 1 || v4.Sources[0] != "10.0.0.2" || !strings.Contains(v4.TLS, "TLS") || v6.Skipped == "" {
		t.Errorf("%+v", a.Plan.Hosts)
	}
	if a = ask("--connector", "Pickup"); *a.Connector != "Other" || a.Plan != nil || *a.Candidates[0].EliminatedBy != "scope" {
		t.Errorf("%+v", a)
	}
	if a = ask("--fallback", "other"); *a.Connector != "Other" || a.FallbackOf != "Scoped" || *a.Candidates[0].EliminatedBy != "fallback" {
		t.Errorf("%+v", a)
	}
	code, stdout, _ := e.postern(t, "explain", "route", "kim@contoso.example", "bob@fabrikam.example", "--resolve")
	for _, want := range []string{"Fallback:       Other, after 1h or after 4 failures", "10.0.0.11:25", "10.0.0.2", "not used: "} {
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	e.wants(t, 0, "Routed by:      "+a.Generation+`, with restrictions = "filter"`, "explain", "route", "kim@contoso.example", "bob@fabrikam.example")
	if strings.Contains(stdout, "Note:") {
		t.Errorf("there is nothing to note:\n%s", stdout)
	}
	e.wants(t, 0, `--fallback changes nothing: "Scoped" is no fallback of "Scoped"`, "explain", "route", "kim@contoso.example", "bob@fabrikam.example", "--fallback", "scoped")
	e.wants(t, 0, "fabrikam.example, from In alone", "connector", "list")
	for _, args := range []string{"--connector nobody", "--fallback nobody"} {
		if code, stdout, _ := e.postern(t, append([]string{"explain", "route", "a@b.example", "c@d.example"}, strings.Fields(args)...)...); code != 2 || stdout != "" {
			t.Errorf("%s: exit code %d", args, code)
		}
	}
}
