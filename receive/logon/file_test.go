package logon

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postern/config"
)

// journal is an event log that can be read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) take() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer j.text.Reset()
	return j.text.String()
}

func users(names ...string) string {
	var b strings.Builder
	for _, n := range names {
		fmt.Fprintf(&b, "[[user]]\nname = %q\npassword_hash = %q\n", n, rfc7677)
	}
	return b.String()
}

// TestUsersFile changes the file in every way and looks at who is in force.
func TestUsersFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.toml")
	log := new(journal)
	options := Options{Users: []config.User{user("fixed", rfc7677)}, File: path, DefaultDomain: "contoso.example", Logger: slog.New(slog.NewTextHandler(log, nil))}
	s, err := NewStore(options)
	if err != nil {
		t.Fatal(err)
	}
	if l := log.take(); !strings.Contains(l, "users_file can't be used") {
		t.Errorf("a file that is missing: %s", l)
	}
	later := time.Now().Add(-time.Hour)
	look := func(s *Store) {
		s.mu.Lock()
		s.looked = time.Time{}
		s.mu.Unlock()
	}
	write := func(text string) {
		t.Helper()
		// The way of an editor: a new file takes the place of the old one.
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		later = later.Add(time.Minute)
		os.Chtimes(path+".new", later, later)
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		look(s)
	}
	want := func(s *Store, logged string, names ...string) {
		t.Helper()
		for _, n := range append(names, "fixed") {
			if _, err := s.CheckPassword(context.Background(), n, "pencil"); err != nil {
				t.Errorf("%s: %v", n, err)
			}
		}
		if n := len(s.current.Load().byName); n != len(names)+1 {
			t.Errorf("%d accounts, want %d", n, len(names)+1)
		}
		l := log.take()
		if logged == "" && l != "" || !strings.Contains(l, logged) || strings.Count(l, "\n") > 1 {
			t.Errorf("the event log says %q, want %q", l, logged)
		}
	}
	want(s, "")
	write(users("a"))
	want(s, "was read", "a")
	look(s)
	want(s, "", "a")
	write(users("a", "b"))
	want(s, "was read", "a", "b")
	write("")
	want(s, "was read")
	write(users("a", "b"))
	want(s, "was read", "a", "b")
	for name, text := range map[string]string{
		"no TOML":     "[[user]",
		"a bad hash":  strings.Replace(users("x"), "4096", "1", 1),
		"another key": users("x") + "password = \"secret\"\n",
		"twice":       users("x", "X"),
		"configured":  users("Fixed"),
		"no table":    "[server]\nfqdn = \"x.example\"\n",
		"cut short":   users("a", "b", "c")[:len(users("a", "b", "c"))-30],
	} {
		write(text)
		want(s, "stay as they were", "a", "b")
		look(s)
		want(s, "", "a", "b") // said once
		if strings.Contains(log.take(), "secret") {
			t.Errorf("%s: a secret is in the log", name)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	look(s)
	want(s, "stay as they were", "a", "b")
	// A reload keeps them as well, and a new start does not have them.
	options.Before = s
	again, err := NewStore(options)
	if err != nil {
		t.Fatal(err)
	}
	want(again, "stay as they were", "a", "b")
	s = again
	// Whoever comes to log on must not wait for the writer of a pipe.
	os.Remove(path)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	look(s)
	want(s, "no regular file", "a", "b")
	write(users("c"))
	want(s, "was read", "c")
	os.Chmod(path, 0o644)
	os.Chtimes(path, later.Add(time.Second), later.Add(time.Second))
	look(s)
	want(s, "chmod it to 0600", "c")
	// A change within the resolution of the file's time is not missed.
	now := time.Now()
	os.WriteFile(path, []byte(users("d")), 0o600)
	os.Chtimes(path, now, now)
	look(s)
	want(s, "was read", "d")
	os.WriteFile(path, []byte(users("e")), 0o600)
	os.Chtimes(path, now, now)
	look(s)
	want(s, "was read", "e")
}

// TestUsersFileMeanwhile changes the file while many log on.
func TestUsersFileMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.toml")
	os.WriteFile(path, []byte(users("a")), 0o600)
	s, err := NewStore(Options{File: path})
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 10 {
				if _, err := s.CheckPassword(context.Background(), "a", "pencil"); err != nil {
					t.Error(err)
				}
				s.Mechanisms()
			}
		})
	}
	for i := range 20 {
		os.WriteFile(path+".new", []byte(users("a", fmt.Sprint("b", i))), 0o600)
		os.Rename(path+".new", path)
		s.mu.Lock()
		s.looked = time.Time{}
		s.mu.Unlock()
		s.accounts()
	}
	wait.Wait()
}

func TestLint(t *testing.T) {
	dir := t.TempDir()
	good, bad, mistaken := filepath.Join(dir, "good.toml"), filepath.Join(dir, "bad.toml"), filepath.Join(dir, "mistaken.toml")
	os.WriteFile(good, []byte(users("filed")), 0o600)
	os.WriteFile(bad, []byte(users("kim")), 0o600)
	os.WriteFile(mistaken, []byte("[[user]]\npasswd = \"x\"\nname = \"k\"\n"+strings.TrimPrefix(users("k"), "[[user]]\nname = \"k\"\n")), 0o600)
	const head = "[server]\nfqdn = \"edge.contoso.example\"\n[[receive_connector]]\nname = \"Submission\"\nbindings = [\"127.0.0.1:2587\"]\npermission_groups = [\"users\"]\n"
	const kim = "[[user]]\nname = \"kim\"\npassword_hash = \"" + rfc7677 + "\"\n"
	file := func(path string) string {
		return strings.Replace(head, "[[receive", fmt.Sprintf("users_file = %q\n[[receive", path), 1)
	}
	for name, tt := range map[string]struct{ text, want string }{
		"all well":                     {head + "auth_mechanism = [\"tls\", \"basic\", \"basic_require_tls\", \"scram\"]\n" + kim, ""},
		"in clear text":                {head + "auth_mechanism = [\"tls\", \"basic\"]\n" + kim, "warning: connector \"Submission\" takes passwords in clear text"},
		"TLS is required":              {head + "require_tls = true\nauth_mechanism = [\"tls\", \"basic\"]\n" + kim, ""},
		"no passwords":                 {head + "auth_mechanism = [\"tls\", \"basic\", \"basic_require_tls\"]\n", "warning: connector \"Submission\" offers no AUTH for \"basic\""},
		"no verifiers":                 {head + "auth_mechanism = [\"tls\", \"scram\"]\n[[user]]\nname = \"k\"\npassword_hash = \"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4\"\n", "warning: connector \"Submission\" offers no AUTH for \"scram\""},
		"no certificates":              {head + "auth_mechanism = [\"tls\", \"client_certificate\"]\n", "warning: connector \"Submission\" asks for client certificates and nobody has one"},
		"no rights":                    {strings.Replace(head, "users", "anonymous", 1) + "auth_mechanism = [\"tls\", \"scram\"]\n" + kim, "warning: connector \"Submission\" lets users log on and gives them no rights"},
		"partners no rights":           {head + "auth_mechanism = [\"tls\", \"client_certificate\"]\ntls_receive_domain_secure_list = [\"fabrikam.example\"]\n", "warning: connector \"Submission\" knows partners and gives them no rights"},
		"rights by certificate":        {strings.Replace(head, "users", "anonymous", 1) + "auth_mechanism = [\"tls\", \"client_certificate\"]\ntls_domain_capabilities = { \"fabrikam.example\" = [\"bypass_anti_spam\"] }\n", ""},
		"gigabytes":                    {head + "[[user]]\nname = \"k\"\npassword_hash = \"$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4\"\n", "error: password_hash of user \"k\": parameter m"},
		"any sender":                   {head + "auth_mechanism = [\"tls\", \"scram\"]\n" + kim + "allowed_senders = [\"*\"]\n", ""},
		"a sender that is none":        {head + "[[user]]\nname = \"k\"\npassword_hash = \"" + rfc7677 + "\"\nallowed_senders = [\"a b\"]\n", "error: allowed_senders of user \"k\""},
		"a subject that is none":       {head + "[[user]]\nname = \"k\"\ncertificate_subject = [\"CN=k\"]\n", "error: user \"k\": certificate_subject"},
		"one certificate for two":      {head + "[[user]]\nname = \"k\"\ncertificate_thumbprint = [\"" + strings.Repeat("AB", 32) + "\"]\n[[user]]\nname = \"l\"\ncertificate_thumbprint = [\"" + strings.Repeat("ab", 32) + "\"]\n", "error: users \"k\" and \"l\" have the same certificate_thumbprint"},
		"a users file":                 {file(good) + "auth_mechanism = [\"tls\", \"scram\"]\n", ""},
		"a users file that is missing": {file(filepath.Join(dir, "none")) + "auth_mechanism = [\"tls\", \"scram\"]\n" + kim, "warning: users_file can't be read now"},
		"nobody but in that file":      {file(filepath.Join(dir, "none")) + "auth_mechanism = [\"tls\", \"scram\"]\n", "warning: users_file can't be read now"},
		"a users file with a mistake":  {file(mistaken) + "auth_mechanism = [\"tls\", \"scram\"]\n", "warning: users_file line 2: unknown key \"passwd\" in [[user]]"},
		"a name in both":               {file(bad) + "auth_mechanism = [\"tls\", \"scram\"]\n" + kim, "warning: users_file can't be used: users \"kim\" and \"kim\" have the same name"},
	} {
		cfg, findings, err := config.Parse("edge.toml", []byte(tt.text))
		if err != nil || cfg == nil {
			t.Fatalf("%s: %v %v", name, err, findings)
		}
		var got []string
		for _, f := range Lint(cfg) {
			got = append(got, f.Severity.String()+": "+f.Message)
		}
		if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], tt.want)) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
