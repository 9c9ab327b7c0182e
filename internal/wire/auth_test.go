package wire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseAuth(t *testing.T) {
	for _, tt := range []struct {
		arg, mechanism string
		initial        []byte
		code           int
	}{
		{"PLAIN", "PLAIN", nil, 0},
		{"plain ", "PLAIN", nil, 0},
		{"SCRAM-SHA-256 \t", "SCRAM-SHA-256", nil, 0},
		{"X_1 =", "X_1", []byte{}, 0},
		{"PLAIN AGEAYg==", "PLAIN", []byte("\x00a\x00b"), 0},
		{"PLAIN   AGEAYg== ", "PLAIN", []byte("\x00a\x00b"), 0},
		{"ABCDEFGHIJKLMNOPQRST", "ABCDEFGHIJKLMNOPQRST", nil, 0},
		{"", "", nil, 501},
		{" ", "", nil, 501},
		{"=", "", nil, 501},
		{"ABCDEFGHIJKLMNOPQRSTU", "", nil, 501},
		{"PLA.IN", "", nil, 501},
		{"PLAIN\tAGEAYg==", "", nil, 501},
		{"PLAIN AGEAYg== x", "", nil, 501},
		{"PLAIN AGEA Yg==", "", nil, 501},
		{"PLAIN AGEAYg=", "", nil, 501},
		{"PLAIN AGEAYg", "", nil, 501},
		{"PLAIN AGEAYh==", "", nil, 501}, // bits behind the end
		{"PLAIN AGEAYg===", "", nil, 501},
		{"PLAIN AGEA-_==", "", nil, 501}, // the other alphabet
		{"PLAIN ==", "", nil, 501},
		{"PLAIN *", "", nil, 501},
		{"PLAIN AGEA\r\nYg==", "", nil, 501},
		{"PLAIN \u00fc", "", nil, 501},
	} {
		a, err := ParseAuth(tt.arg)
		if tt.code != 0 {
			r, ok := errors.AsType[*Reply](err)
			if !ok || r.Code != tt.code || strings.Contains(r.Error(), "AGE") {
				t.Errorf("%q: got %+v, %v", tt.arg, a, err)
			}
			continue
		}
		if err != nil || a.Mechanism != tt.mechanism || !bytes.Equal(a.Initial, tt.initial) || (a.Initial == nil) != (tt.initial == nil) {
			t.Errorf("%q: got %+v, %v", tt.arg, a, err)
		}
	}
}

func TestParseAuthResponse(t *testing.T) {
	for _, tt := range []struct {
		line, want    string
		cancelled, ok bool
	}{
		{"", "", false, true},
		{"YQ==", "a", false, true},
		{"*", "", true, true},
		{"=", "", false, false},
		{"**", "", false, false},
		{" *", "", false, false},
		{"* ", "", false, false},
		{"YQ== ", "", false, false},
		{" YQ==", "", false, false},
		{"YQ", "", false, false},
		{"YR==", "", false, false},
		{"Y\rQ==", "", false, false},
		{"\x00", "", false, false},
	} {
		got, cancelled, err := ParseAuthResponse([]byte(tt.line))
		if string(got) != tt.want || cancelled != tt.cancelled || (err == nil) != tt.ok {
			t.Errorf("%q: got %q, %v, %v", tt.line, got, cancelled, err)
		}
		if err != nil {
			if r, ok := errors.AsType[*Reply](err); !ok || r.Code != 501 || r.EnhancedCode != [3]int{5, 5, 2} {
				t.Errorf("%q: %v", tt.line, err)
			}
		}
	}
}

// TestAuthChallenges: what a client decodes is what was to be said, on one line.
func TestAuthChallenges(t *testing.T) {
	if got := string(AppendAuthChallenge(nil, nil)); got != "334 \r\n" {
		t.Errorf("got %q", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(t, "challenge")
		line := string(AppendAuthChallenge([]byte("x"), want))
		text, ok := strings.CutPrefix(line, "x334 ")
		text, end := strings.CutSuffix(text, "\r\n")
		got, cancelled, err := ParseAuthResponse([]byte(text))
		if !ok || !end || cancelled || err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%q gives %q, %v", line, got, err)
		}
		a, err := ParseAuth("X " + base64.StdEncoding.EncodeToString(append(want, '.')))
		if err != nil || string(a.Initial) != string(want)+"." {
			t.Fatalf("got %+v, %v", a, err)
		}
	})
}

// FuzzParseAuth: what is taken is in its one encoding.
func FuzzParseAuth(f *testing.F) {
	for _, s := range []string{"PLAIN", "PLAIN =", "plain AGEAYg==", "SCRAM-SHA-256 biws", "X x y", "=", "LOGIN *", "PLAIN YR=="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		a, err := ParseAuth(arg)
		if err != nil {
			if _, ok := errors.AsType[*Reply](err); !ok || a.Mechanism != "" || a.Initial != nil {
				t.Fatalf("%+v, %v", a, err)
			}
			return
		}
		again := a.Mechanism
		switch {
		case a.Initial != nil && len(a.Initial) == 0:
			again += " ="
		case a.Initial != nil:
			again += " " + base64.StdEncoding.EncodeToString(a.Initial)
		}
		if !strings.EqualFold(strings.Join(strings.FieldsFunc(arg, func(r rune) bool { return r == ' ' || r == '\t' }), " "), again) {
			t.Fatalf("%q was read as %q", arg, again)
		}
	})
}
