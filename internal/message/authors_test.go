package message

import (
	"fmt"
	"net/mail"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAuthorScanner(t *testing.T) {
	const nobody, broken = "names nobody", "not a list of addresses"
	for _, tt := range []struct{ in, want string }{
		{"Subject: x\r\n\r\nFrom: a@b.example\r\n", ""},
		{"From: a@b.example\r\n\r\n", "From a@b.example"},
		{"From: a@b.example", "From a@b.example"},
		{"from : Ann\r\n <a@b.example>,\r\n\tb@c.example\r\nX: y\r\nSENDER: s@t.example\r\n\r\n", "from a@b.example, from b@c.example, SENDER s@t.example"},
		{"From: a@b.example\r\nFrom: boss@c.example\r\n\r\n", "From a@b.example, From boss@c.example"},
		{"no field\r\nFrom: boss@c.example\r\n\r\n", "From boss@c.example"},
		{"X: y\nFrom: boss@c.example\r\n\r\n", "From boss@c.example"},
		{"From: \"boss@c.example\" <a@b.example>\r\n\r\n", "From a@b.example"},
		{"From: =?x-nothing?q?b=40c?= <a@b.example>\r\n\r\n", "From a@b.example"},
		{"From: team: a@b.example, b@c.example;\r\n\r\n", "From a@b.example, From b@c.example"},
		{"From: Müller <ä@bücher.example>\r\n\r\n", "From ä@bücher.example"},
		{"From: \"a b\"@c.example\r\n\r\n", `From "a b"@c.example`},
		{"From: boss@c.example <a@b.example>\r\n\r\n", "From boss@c.example, From a@b.example"},
		{"From: Miller, Ann <a@b.example>\r\n\r\n", "From a@b.example"},
		{"From: boss @ c.example <a@b.example>\r\n\r\n", broken},
		{"From: \"boss\"(x)@c.example, Miller, <a@b.example>\r\n\r\n", broken},
		{"From: boss\\@c.example <a@b.example>\r\n\r\n", broken},
		{"From: nobody:;\r\n\r\n", nobody},
		{"From:\r\n\r\n", broken},
		{"From: Ann\r\n\r\n", broken},
		{"From: a@b\x00.example\r\n\r\n", broken},
		{"From" + strings.Repeat(" ", 2000) + ": a@b.example\r\n\r\n", "From a@b.example"},
		{"From" + strings.Repeat(" ", 2000) + "\r\n\r\n", ""},
		{"From\r\n : a@b.example\r\nSender \r\n\t\r\n : s@t.example\r\n\r\n", "From a@b.example, Sender s@t.example"},
		{"From\r\nhome: x\r\n\r\n", ""},
		{"Fr\x00om: a@b.example\r\n\x00From\x7f: b@c.example\r\n\r\n", "Fr\x00om a@b.example, \x00From\x7f b@c.example"},
		{"From: a@b.example" + strings.Repeat(" ", maxAuthors) + "\r\nFrom: boss@c.example\r\n\r\n", "longer than"},
	} {
		for _, n := range []int{1, 7, len(tt.in)} {
			var s AuthorScanner
			for rest := tt.in; rest != ""; rest = rest[min(n, len(rest)):] {
				s.Scan([]byte(rest[:min(n, len(rest))]))
			}
			list, err := s.Authors()
			var got []string
			for _, a := range list {
				got = append(got, a.Field+" "+a.Address.String())
			}
			text := strings.Join(got, ", ")
			if err != nil {
				text = err.Error()
			}
			if text != tt.want && (err == nil || !strings.Contains(text, tt.want) || tt.want == "") {
				t.Errorf("%.60q in pieces of %d: %s, want %s", tt.in, n, text, tt.want)
			}
		}
	}
}

// TestAnyMailboxes: whatever addresses a list is made of, those come out of it,
// and nothing that can't stand in a command.
func TestAnyMailboxes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []string
		var want []Address
		for range rapid.IntRange(1, 5).Draw(t, "n") {
			local := rapid.StringMatching(`[a-zA-Z0-9 ."@<>,;:()\\!]{1,20}`).Draw(t, "local")
			domain := rapid.StringMatching(`[a-z][a-z0-9]{0,8}\.example`).Draw(t, "domain")
			list = append(list, (&mail.Address{Name: rapid.StringMatching(`[a-zA-Z äß€,.@]{0,12}`).Draw(t, "name"), Address: local + "@" + domain}).String())
			a, err := mailbox(local + "@" + domain)
			if err != nil {
				t.Fatalf("%q: %v", local, err)
			}
			want = append(want, a)
		}
		got, err := ParseMailboxes(strings.Join(list, ", "))
		if err != nil {
			t.Fatalf("%q: %v", list, err)
		}
		for i := range want {
			if len(got) != len(want) || !got[i].Equal(want[i]) {
				t.Fatalf("%q: got %v, want %v", list, got, want)
			}
			if _, err := ParseAddress(got[i].String(), true); err != nil {
				t.Fatalf("%v is not valid: %v", got[i], err)
			}
		}
	})
}

func FuzzAuthorScanner(f *testing.F) {
	f.Add([]byte("From: a@b.example, \"x\" <c@d.example>\r\n\r\n"))
	f.Add([]byte("Sender: g: a@b;\rFrom : (x@y) z\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var s, whole AuthorScanner
		whole.Scan(in)
		for i := range in {
			s.Scan(in[i : i+1])
		}
		a, errA := s.Authors()
		b, errB := whole.Authors()
		if fmt.Sprint(a, errA) != fmt.Sprint(b, errB) {
			t.Fatalf("%q: %v %v, and %v %v", in, a, errA, b, errB)
		}
		for _, x := range a {
			if _, err := ParseAddress(x.Address.String(), true); err != nil {
				t.Fatalf("%q: %v", in, err)
			}
		}
	})
}
