package logon

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/xdg-go/scram"

	"postern/config"
	"postern/internal/message"
	"postern/internal/metrics"
)

const password = "correct horse"

func scramHash(t testing.TB, text string, salt string) string {
	t.Helper()
	k, err := deriveScram([]byte(text), []byte(salt), minScramIterations)
	if err != nil {
		t.Fatal(err)
	}
	return k.String()
}

func user(name, hash string, senders ...string) config.User {
	return config.User{Name: name, Enabled: true, PasswordHash: hash, AllowedSenders: senders}
}

func newStore(t testing.TB, users ...config.User) *Store {
	t.Helper()
	s, err := NewStore(Options{
		Users: users, DefaultDomain: "contoso.example", Metrics: new(metrics.Registry),
		Ours: func(d string) bool { return strings.EqualFold(d, "contoso.example") },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// dialog carries an exchange on with one response after the other and returns
// the challenges.
func dialog(x Exchange, responses ...string) (challenges []string, last Step, err error) {
	for _, r := range responses {
		if last, err = x.Next(context.Background(), []byte(r)); err != nil {
			return challenges, last, err
		}
		challenges = append(challenges, string(last.Challenge))
	}
	return challenges, last, nil
}

func start(t testing.TB, s *Store, mechanism string, p Peer) Exchange {
	t.Helper()
	x, err := s.Start(mechanism, p)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestHashesThatAreMade(t *testing.T) {
	for _, scheme := range Schemes() {
		hash, err := MakeHash(scheme, password)
		if err != nil {
			t.Fatal(err)
		}
		v, err := parseHash(hash)
		if err != nil {
			t.Fatalf("%s: %v", hash, err)
		}
		if !v.check([]byte(password)) || v.check([]byte("wrong")) || v.check(nil) {
			t.Errorf("%s: the wrong passwords are right", scheme)
		}
		if again, _ := MakeHash(scheme, password); again == hash {
			t.Errorf("%s: two hashes have one salt", scheme)
		}
	}
	for _, bad := range []string{"", "\x00", "bell\a", strings.Repeat("x", maxPassword+1)} {
		if h, err := MakeHash(Argon2id, bad); err == nil {
			t.Errorf("password %q has hash %s", bad, h)
		}
	}
	if _, err := MakeHash(Bcrypt, strings.Repeat("x", 73)); err == nil {
		t.Error("bcrypt takes a password that it does not look at whole")
	}
	if _, err := MakeHash("md5", password); err == nil {
		t.Error("there is a scheme md5")
	}
}

// TestHashesOfOthers checks hashes that other programs made: the reference
// implementation of Argon2, and the verifier of RFC 7677 3.
func TestHashesOfOthers(t *testing.T) {
	for _, tt := range []struct{ hash, password string }{
		{"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password"},
		{"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"},
		{rfc7677, "pencil"},
	} {
		v, err := parseHash(tt.hash)
		if err != nil {
			t.Fatalf("%s: %v", tt.hash, err)
		}
		if !v.check([]byte(tt.password)) || v.check([]byte(tt.password+"x")) {
			t.Errorf("%s is not the hash of %s alone", tt.hash, tt.password)
		}
	}
}

func TestHashesThatAreRefused(t *testing.T) {
	const salt, key = "c29tZXNhbHQ", "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	argon := func(version, parameters, salt, key string) string {
		return "$argon2id$" + version + "$" + parameters + "$" + salt + "$" + key
	}
	for name, h := range map[string]string{
		"nothing": "", "a password": "hunter2", "argon2i": "$argon2i$v=19$m=256,t=2,p=1$" + salt + "$" + key,
		"gigabytes": argon("v=19", "m=4194304,t=3,p=4", salt, key), "a little too much": argon("v=19", "m=65537,t=3,p=4", salt, key),
		"many passes": argon("v=19", "m=65536,t=11,p=1", salt, key), "many threads": argon("v=19", "m=65536,t=1,p=17", salt, key),
		"no passes": argon("v=19", "m=65536,t=0,p=1", salt, key), "no threads": argon("v=19", "m=65536,t=1,p=0", salt, key),
		"too little memory": argon("v=19", "m=7,t=1,p=1", salt, key), "a sign": argon("v=19", "m=+256,t=2,p=1", salt, key),
		"beyond numbers": argon("v=19", "m=99999999999999999999,t=2,p=1", salt, key),
		"old version":    argon("v=16", "m=256,t=2,p=1", salt, key), "no version": "$argon2id$m=256,t=2,p=1$" + salt + "$" + key,
		"another order": argon("v=19", "t=2,m=256,p=1", salt, key), "more parameters": argon("v=19", "m=256,t=2,p=1,x=1", salt, key),
		"short salt": argon("v=19", "m=256,t=2,p=1", "c29t", key), "short key": argon("v=19", "m=256,t=2,p=1", salt, "c29t"),
		"padding": argon("v=19", "m=256,t=2,p=1", salt+"=", key), "more parts": argon("v=19", "m=256,t=2,p=1", salt, key+"$x"),
		"long key":    argon("v=19", "m=256,t=2,p=1", salt, strings.Repeat("AAAA", 22)),
		"bcrypt cost": "$2b$15$abcdefghijklmnopqrstuu0Wj0ncAdSlMXS1XUmgE3IFmWBEpGOqe", "bcrypt of 31": "$2b$31$abcdefghijklmnopqrstuu0Wj0ncAdSlMXS1XUmgE3IFmWBEpGOqe",
		"bcrypt cut short": "$2b$04$abcdefghijklmnopqrstuu0Wj0ncAdSlMXS1XUmgE3IFmWBEpGOq", "bcrypt with others": "$2b$04$abcdefghijklmnopqrstuu0Wj0ncAdSlMXS1XUmgE3IFmWBEpGO=e",
		"scram, few iterations": strings.Replace(rfc7677, "4096", "4095", 1), "scram, many iterations": strings.Replace(rfc7677, "4096", "1000001", 1),
		"scram, no salt": strings.Replace(rfc7677, "W22ZaJ0SNY7soEsUEjb6gQ==", "", 1), "scram, short key": strings.Replace(rfc7677, ":wfPL", ":", 1),
		"scram, half": "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==", "scram, line end": rfc7677 + "\n",
	} {
		err := ParseHash(h)
		if err == nil {
			t.Errorf("%s is taken: %s", name, h)
		} else if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), key) {
			t.Errorf("%s: the error repeats the hash: %v", name, err)
		}
	}
}

// rfc7677 is the verifier of the example in RFC 7677 3: user "user", password
// "pencil".
const rfc7677 = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

// TestScramVector speaks the example of RFC 7677 3.
func TestScramVector(t *testing.T) {
	x := newScram(newStore(t, user("user", rfc7677)), Peer{}, false)
	x.nonce = func() string { return "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0" }
	if step, err := x.Next(context.Background(), nil); err != nil || step.Challenge == nil || len(step.Challenge) != 0 {
		t.Fatalf("the server speaks first: %+v, %v", step, err)
	}
	challenges, last, err := dialog(x, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
		"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="}
	if challenges[0] != want[0] || challenges[1] != want[1] || !last.Done || last.Account.Name != "user" {
		t.Errorf("said %q, ends with %+v", challenges, last)
	}
}

// scramDialog logs on as a client of another hand would.
func scramDialog(t *testing.T, s *Store, name, password, authorize string) (Step, error) {
	t.Helper()
	client, err := scram.SHA256.NewClient(name, password, authorize)
	if err != nil {
		t.Fatal(err)
	}
	return converse(start(t, s, "SCRAM-SHA-256", Peer{}), client.NewConversation())
}

func converse(x Exchange, c *scram.ClientConversation) (Step, error) {
	challenge := ""
	for {
		response, err := c.Step(challenge)
		if err != nil {
			return Step{}, err
		}
		step, err := x.Next(context.Background(), []byte(response))
		if err != nil {
			return step, err
		}
		challenge = string(step.Challenge)
		if step.Done {
			_, err = c.Step(challenge) // the client checks the server
			return step, err
		}
	}
}

// TestScramWithoutVerifier: our log tells an account that can't use SCRAM from
// one that is not there; the client can't.
func TestScramWithoutVerifier(t *testing.T) {
	hash, err := MakeHash(Bcrypt, password)
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t, user("kim", scramHash(t, password, "saltsaltsalt")), user("lee", hash),
		config.User{Name: "bycert", Enabled: true, CertificateThumbprint: []string{strings.Repeat("A", 64)}})
	for name, want := range map[string]string{
		"lee":    `user "lee": the hash of the password is no SCRAM verifier`,
		"bycert": `user "bycert": the account has no password`,
		"nobody": "there is no such user",
	} {
		if step, err := scramDialog(t, s, name, password, ""); err == nil || !strings.HasPrefix(err.Error(), want) || step.Done {
			t.Errorf("%s: %+v, %v", name, step, err)
		}
	}
}

func TestPasswords(t *testing.T) {
	h := scramHash(t, password, "saltsaltsalt")
	disabled := user("Gone", h)
	disabled.Enabled = false
	s := newStore(t, user("Scanner", h), user("Kim@contoso.example", h), user("jörg", scramHash(t, "paßwort", "saltsalt")), disabled,
		config.User{Name: "bycert", Enabled: true, CertificateThumbprint: []string{strings.Repeat("A", 64)}})
	for _, tt := range []struct {
		name, password, authorize string
		want                      string // the account; else part of the error
	}{
		{"scanner", password, "", "Scanner"},
		{"SCANNER", password, "", "Scanner"},
		{`CONTOSO\scanner`, password, "", "Scanner"},
		{"scanner@Contoso.Example", password, "", "Scanner"},
		{"scanner@fabrikam.example", password, "", "!no such user"},
		{"kim@CONTOSO.example", password, "", "Kim@contoso.example"},
		{"kim", password, "", "!no such user"},
		{"JÖRG", "paßwort", "", "jörg"},
		{"jo\u0308rg", "paßwort", "", "jörg"},
		{"scanner", "wrong", "", `!user "Scanner": the password is wrong`},
		{"scanner", password, "scanner", "Scanner"},
		{"scanner", password, `CONTOSO\Scanner`, "Scanner"},
		{"scanner", password, "kim@contoso.example", "!act for somebody else"},
		{"scanner", password, "nobody", "!act for somebody else"},
		{"gone", password, "", "!is disabled"},
		{"gone", "wrong", "", "!is wrong"},
		{"bycert", password, "", `!user "bycert": the account has no password`},
		{"nobody", password, "", "!no such user"},
	} {
		judge := func(mechanism string, step Step, err error) {
			t.Helper()
			if want, fails := strings.CutPrefix(tt.want, "!"); fails {
				if err == nil || !strings.Contains(err.Error(), want) {
					if mechanism != "SCRAM-SHA-256" || want != "" { // which knows no user without a verifier
						t.Errorf("%s as %q: %v, want %q", mechanism, tt.name, err, want)
					}
				}
				if err != nil && (strings.Contains(err.Error(), tt.password) && tt.password != "wrong" || errors.Is(err, ErrMalformed)) {
					t.Errorf("%s as %q: error %v", mechanism, tt.name, err)
				}
				return
			}
			if err != nil || !step.Done || step.Account.Name != tt.want {
				t.Errorf("%s as %q: %+v, %v", mechanism, tt.name, step, err)
			}
		}
		_, step, err := dialog(start(t, s, "PLAIN", Peer{}), tt.authorize+"\x00"+tt.name+"\x00"+tt.password)
		judge("PLAIN", step, err)
		if tt.authorize == "" {
			challenges, step, err := dialog(start(t, s, "LOGIN", Peer{}), tt.name, tt.password)
			judge("LOGIN", step, err)
			if challenges[0] != "Password:" {
				t.Errorf("LOGIN asks %q", challenges)
			}
		}
		step, err = scramDialog(t, s, tt.name, tt.password, tt.authorize)
		judge("SCRAM-SHA-256", step, err)
	}
}

// TestStrangersCostTheSame counts hashes: a name that does not exist must not
// be told from one that does by the time it takes.
func TestStrangersCostTheSame(t *testing.T) {
	s := newStore(t, user("a", scramHash(t, password, "saltsaltsalt")))
	for _, name := range []string{"a", "nobody", `X\nobody`, "nobody@contoso.example"} {
		before := s.computed.Value()
		s.CheckPassword(context.Background(), name, "wrong")
		if n := s.computed.Value() - before; n != 1 {
			t.Errorf("%s: %d hashes", name, n)
		}
	}
	empty := newStore(t)
	if _, err := empty.CheckPassword(context.Background(), "nobody", "x"); !errors.Is(err, errUnknown) || empty.computed.Value() != 1 {
		t.Errorf("without accounts: %v after %d hashes", err, empty.computed.Value())
	}
	// SCRAM says the same salt of a name each time, of the same length.
	first := func(s *Store, name string) string {
		x := newScram(s, Peer{}, false)
		x.nonce = func() string { return "n" }
		c, _, err := dialog(x, "n,,n="+name+",r=c")
		if err != nil {
			t.Fatal(err)
		}
		return c[0]
	}
	again := newStore(t, user("a", scramHash(t, password, "saltsaltsalt")))
	if x, y := first(s, "nobody"), first(again, "nobody"); x != y || len(x) != len(first(s, "a")) || x == first(s, "someone") {
		t.Errorf("nobody: %s, then %s; a: %s", x, y, first(s, "a"))
	}
}

// TestStrangersHaveAsManyNames: what stands for one account where it exists
// stands for one stranger where it does not. Three salts would say that there is
// nobody.
func TestStrangersHaveAsManyNames(t *testing.T) {
	salt := func(s *Store, name string) string {
		_, k, _ := s.scramOf(name)
		return string(k.salt)
	}
	cost := func(s *Store, name string) verifier {
		tab := s.accounts()
		return tab.decoy(tab.passwords, tab.stranger(tab.passwords, name, s.options.Ours)).verifier
	}
	for _, tt := range []struct {
		account     string
		same, other []string // as the bare name, for the account as for a stranger
	}{
		{"kim", []string{`X\kim`, `Y\KIM`, "Kim", "kim@contoso.example"}, []string{"kim@elsewhere.example", `X\kim@contoso.example`}},
		{"kim@contoso.example", nil, []string{`X\kim@contoso.example`, "kim@contoso.example"}},
		{`corp\kim`, nil, []string{`corp\kim`, `X\kim`}},
	} {
		hashes := []config.User{user(tt.account, scramHash(t, password, "saltsaltsalt"))}
		for i := range 5 { // of the same kind
			hashes = append(hashes, user(strings.Replace(tt.account, "kim", "other"+strconv.Itoa(i), 1), scramHash(t, password, "tlastlastlas")))
		}
		s := newStore(t, hashes...)
		for _, who := range []string{"kim", "zed"} {
			as := func(name string) string {
				return strings.NewReplacer("kim", who, "KIM", strings.ToUpper(who), "Kim", strings.ToUpper(who)).Replace(name)
			}
			for _, name := range tt.same {
				if salt(s, as(name)) != salt(s, who) {
					t.Errorf("%s: %s has another salt than %s", tt.account, as(name), who)
				}
				if who == "zed" && cost(s, as(name)) != cost(s, who) {
					t.Errorf("%s: %s costs other than %s", tt.account, as(name), who)
				}
			}
			for _, name := range tt.other {
				if salt(s, as(name)) == salt(s, who) {
					t.Errorf("%s: %s has the salt of %s", tt.account, as(name), who)
				}
			}
		}
		if tt.account == "kim@contoso.example" && (salt(s, "zed@contoso.example") != salt(s, `X\zed@contoso.example`) || salt(s, "kim@contoso.example") != salt(s, `X\kim@contoso.example`)) {
			t.Error("a name behind a backslash has another salt")
		}
	}
}

func TestSenders(t *testing.T) {
	h := scramHash(t, password, "saltsaltsalt")
	s := newStore(t, user("scanner", h), user("kim@fabrikam.example", h), user("app", h, "app@contoso.example", "apps.example", "*.fabrikam.example"), user("Front Desk", h), user("list", h, "x@y.example", "*"))
	for _, tt := range []struct {
		user, from string
		want       bool
	}{
		{"scanner", "scanner@contoso.example", true}, {"scanner", "Scanner@CONTOSO.example", true}, {"scanner", "kim@contoso.example", false},
		{"scanner", "scanner@fabrikam.example", false}, {"kim@fabrikam.example", "kim@fabrikam.example", true}, {"kim@fabrikam.example", "kim@contoso.example", false},
		{"app", "app@contoso.example", true}, {"app", "x@apps.example", true}, {"app", "x@a.apps.example", false},
		{"app", "x@fabrikam.example", true}, {"app", "x@y.fabrikam.example", true}, {"app", "x@evilfabrikam.example", false},
		{"Front Desk", "desk@contoso.example", false}, {"list", "x@y.example", true}, {"list", "z@elsewhere.example", true},
	} {
		a, err := s.CheckPassword(context.Background(), tt.user, password)
		if err != nil {
			t.Fatal(tt.user, err)
		}
		from, err := message.ParseAddress(tt.from, true)
		if err != nil {
			t.Fatal(err)
		}
		if a.MaySendAs(from) != tt.want || a.AnySender() != (tt.user == "list") {
			t.Errorf("%s as %s: %v", tt.user, tt.from, !tt.want)
		}
	}
}

func TestMalformedResponses(t *testing.T) {
	s := newStore(t, user("a", scramHash(t, password, "saltsaltsalt")))
	long := strings.Repeat("x", 513)
	for mechanism, responses := range map[string][]string{
		"PLAIN":         {"", "a", "a\x00b", "\x00a\x00" + password + "\x00", "\x00\x00p", "\x00a\x00", "\x00\xff\x00p", "\x00a\x00\xff", "\x00" + long + "\x00p", "\x00a\x00" + long},
		"LOGIN":         {"", "\xff", "a\x00", long},
		"SCRAM-SHA-256": {"", "n,,", "n,,n=a", "n,,n=,r=x", "x,,n=a,r=x", "n,,m=1,n=a,r=x", "p=tls-exporter,,n=a,r=x", "n,,n=a=1,r=x", long},
	} {
		for _, r := range responses {
			if _, _, err := dialog(start(t, s, mechanism, Peer{}), r); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s %q: %v", mechanism, r, err)
			}
		}
	}
}

func TestTurns(t *testing.T) {
	s := newStore(t, user("a", scramHash(t, password, "saltsaltsalt")))
	for range MaxPasswordChecks {
		s.turns <- struct{}{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := s.CheckPassword(ctx, "a", password)
	if l, ok := errors.AsType[interface {
		error
		Limit() string
	}](err); !errors.Is(err, ErrTemporary) || !ok || l.Limit() != "max_password_checks" {
		t.Errorf("with all turns taken: %v", err)
	}
	<-s.turns
	if _, err := s.CheckPassword(context.Background(), "a", password); err != nil {
		t.Error(err)
	}
}
