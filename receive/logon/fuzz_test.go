package logon

import (
	"context"
	"strings"
	"testing"
)

// FuzzParseHash reads hashes of any kind. What is taken can be checked within
// bounds, which is what the parameters say, and a SCRAM verifier is written as
// it was read.
func FuzzParseHash(f *testing.F) {
	for _, s := range []string{
		"", rfc7677, "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"$2b$04$abcdefghijklmnopqrstuu0Wj0ncAdSlMXS1XUmgE3IFmWBEpGOqe", "SCRAM-SHA-256$::$:", "$argon2id$v=19$m=,t=,p=$$",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parseHash(s)
		if err != nil {
			return
		}
		switch v := v.(type) {
		case *argon:
			if v.memory > maxArgonMemory || v.passes > maxArgonPasses || v.passes == 0 || v.threads == 0 || len(v.key) < minKey {
				t.Errorf("%+v", v)
			}
		case *scramKeys:
			if v.iterations > maxScramIterations || len(v.salt) == 0 {
				t.Errorf("%+v", v)
			}
			if again, err := parseHash(v.String()); err != nil || again.(*scramKeys).String() != v.String() {
				t.Errorf("%s read again: %v", v, err)
			}
		case bcryptHash:
			if len(v) != 60 {
				t.Errorf("%q", v)
			}
		}
	})
}

// FuzzNext says anything to each mechanism. Nobody gets in without the
// password, and no error repeats what was said.
func FuzzNext(f *testing.F) {
	f.Add("PLAIN", "\x00kim\x00wrong", "", false)
	f.Add("LOGIN", "kim", "wrong", true)
	f.Add("SCRAM-SHA-256", "n,,n=kim,r=abc", "c=biws,r=abcn,p=AAAA", false)
	f.Add("SCRAM-SHA-256-PLUS", "p=tls-exporter,,n=kim,r=abc", "c=biws", false)
	f.Add("EXTERNAL", "", "", true)
	s := newStore(f, user("kim", scramHash(f, "a secret of some length", "saltsaltsalt")))
	f.Fuzz(func(t *testing.T, mechanism, first, second string, silent bool) {
		x, err := s.Start(mechanism, Peer{})
		if err != nil {
			return
		}
		responses := [][]byte{[]byte(first), []byte(second), []byte(first)}
		if silent {
			responses = append([][]byte{nil}, responses...)
		}
		for _, r := range responses {
			step, err := x.Next(context.Background(), r)
			if step.Done || step.Account != nil {
				t.Fatalf("%s lets %q in", mechanism, r)
			}
			if err == nil {
				continue
			}
			for _, said := range []string{first, second} {
				if len(said) > 8 && strings.Contains(err.Error(), said) && !strings.Contains(fixedTexts, said) {
					t.Errorf("%s: the error %v repeats %q", mechanism, err, said)
				}
			}
			return
		}
	})
}

// fixedTexts are words of errors, which a client may say by chance.
const fixedTexts = "the password is wrong there is no such user malformed response"
