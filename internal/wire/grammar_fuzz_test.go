package wire

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParseHelo: what strict validation takes, the others take too; what was
// taken is taken again, and can be sent on.
func FuzzParseHelo(f *testing.F) {
	for _, s := range []string{"client.example", "vm", "a.example. \t", "[192.0.2.1]", "[IPv6:2001:db8::1]", "[x:y]", "", " ", "b\u00fccher.example", "-a", "a\x7f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		var strict Helo
		for _, check := range []HeloCheck{HeloStrict, HeloLenient, HeloOff} {
			if _, err := ParseHelo(arg, Validation{Check: check, Optional: true}); err != nil && strings.Trim(arg, " \t") == "" {
				t.Fatalf("%q: an optional argument: %v", arg, err)
			}
			h, err := ParseHelo(arg, Validation{Check: check})
			if err != nil {
				if form := wireForm(t, err); h != (Helo{}) || !strings.HasPrefix(form, "501 ") || check != HeloStrict && strict.Name != "" {
					t.Fatalf("%q, check %d: %+v and %q", arg, check, h, form)
				}
				continue
			}
			if check == HeloStrict {
				strict = h
			}
			if h.Name == "" || strings.ContainsFunc(h.Name, func(r rune) bool { return r < ' ' || r == 0x7f }) ||
				h.Literal.IsValid() && h.Name[0] != '[' || !strings.Contains(arg, h.Name) {
				t.Fatalf("%q, check %d: %+v", arg, check, h)
			}
			if again, err := ParseHelo(h.Name, Validation{Check: check}); check != HeloLenient && (again != h || err != nil) {
				t.Fatalf("%q, check %d: %+v is read again as %+v, %v", arg, check, h, again, err)
			}
			if check == HeloOff {
				continue
			}
			b, err := AppendHELO([]byte("x"), h.Name)
			if err != nil || string(b) != "xHELO "+h.Name+"\r\n" {
				t.Fatalf("%q can't be sent: %q, %v", h.Name, b, err)
			}
		}
	})
}

// bdatForm is the grammar of RFC 3030 2, trailing white space allowed.
var bdatForm = regexp.MustCompile(`^([0-9]{1,20})(?: *| +(?i:(last)))[ \t]*$`)

func FuzzParseBDAT(f *testing.F) {
	for _, s := range []string{"0", "86 LAST", "7  last\t ", "18446744073709551615", "18446744073709551616 LAST", "+1", "1 LAST LAST", "1\tLAST", "1 \t"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		size, last, err := ParseBDAT(arg)
		m := bdatForm.FindStringSubmatch(arg)
		var want uint64
		wantErr := errors.New("no BDAT")
		if m != nil {
			want, wantErr = strconv.ParseUint(m[1], 10, 64)
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("BDAT %q: %v, want %v", arg, err, wantErr)
		}
		if err != nil {
			if form := wireForm(t, err); size != 0 || last || !strings.HasPrefix(form, "501 ") {
				t.Fatalf("BDAT %q: %d, %v, %q", arg, size, last, form)
			}
			return
		}
		if size != want || last != (m[2] != "") {
			t.Fatalf("BDAT %q: %d, %v", arg, size, last)
		}
	})
}

// FuzzChunks: chunks are parted by their sizes alone, whatever they hold, and
// what stands behind them is left.
func FuzzChunks(f *testing.F) {
	f.Add([]byte("a\r\nb\r\nQUIT\r\n"), uint16(2), uint16(4), uint64(1))
	f.Add([]byte("\r\n.\r\n\nBDAT 5\r\n"), uint16(0), uint16(9), uint64(2))
	f.Add([]byte("a\r"), uint16(2), uint16(1), uint64(3))
	f.Fuzz(func(t *testing.T, in []byte, first, second uint16, seed uint64) {
		r := NewReader(&chunks{pieces: cut(in, rand.New(rand.NewPCG(seed, 13)))}, 512)
		rest := in
		for n, size := range []uint16{first, second} {
			want := rest[:min(int(size), len(rest))]
			rest = rest[len(want):]
			c := NewChunkReader(r, uint64(size))
			var got []byte
			var err error
			if seed>>n&1 == 0 {
				got, err = io.ReadAll(struct{ io.Reader }{c})
			} else {
				var b bytes.Buffer
				_, err = c.WriteTo(struct{ io.Writer }{&b})
				got = b.Bytes()
			}
			var wantErr error
			if len(want) < int(size) {
				wantErr = io.ErrUnexpectedEOF
			}
			if !bytes.Equal(got, want) || err != wantErr || c.Left() != uint64(int(size)-len(want)) {
				t.Fatalf("a chunk of %d gives %q, %v and leaves %d; want %q, %v", size, got, err, c.Left(), want, wantErr)
			}
		}
	})
}

// FuzzXtext: whatever is encoded comes back, and the encoded form needs no
// quoting in a command.
func FuzzXtext(f *testing.F) {
	for _, s := range []string{"a+2Bb", "user@b\u00fccher.example", `\x{F6}+2B`, `\x{2B}41`, "+", "+4", "a=b c", `\x{D800}`, `\x{10FFFF}`, "\u0085", `\`, "\x00", "+d0\xa0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for name, decode := range map[string]func(string) (string, error){
			"xtext":           decodeXtext,
			"utf-8":           func(s string) (string, error) { return decodeUTF8Xtext(s, true) },
			"utf-8, US-ASCII": func(s string) (string, error) { return decodeUTF8Xtext(s, false) },
		} {
			encoder := appendUTF8Xtext
			if name == "xtext" {
				encoder = appendXtext
			}
			plain := []string{s}
			if d, err := decode(s); err == nil {
				plain = append(plain, d)
			} else {
				plain = nil
			}
			if controls := func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }; name != "xtext" && plain != nil {
				if d := plain[1]; !utf8.ValidString(d) || strings.ContainsFunc(d, controls) {
					t.Fatalf("%s: %q is decoded as %q", name, s, d)
				}
				if strings.ContainsFunc(s, controls) || !utf8.ValidString(s) {
					continue // no address that could have been encoded
				}
			}
			for _, p := range plain {
				encoded := string(encoder(nil, p))
				if !isASCII(encoded) || encoded != "" && !isValue(encoded) {
					t.Fatalf("%s: %q is encoded as %q", name, p, encoded)
				}
				if again, err := decode(encoded); err != nil || again != p {
					t.Fatalf("%s: %q is encoded as %q, which is read as %q, %v", name, p, encoded, again, err)
				}
			}
		}
	})
}

// upper is strings.ToUpper for US-ASCII alone.
func upper(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - ('a' - 'A')
		}
	}
	return string(b)
}

// FuzzParams: parameters are what stands between spaces, in order, none twice.
func FuzzParams(f *testing.F) {
	for _, s := range []string{"SIZE=1 BODY=8BITMIME", "a  b=c ", "x=y=z", "=", "A a", "-a", "a= b", "a\tb", "k=\u00fc", "a b c d e f g h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := params{rest: s}
		words := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' })
		seen := map[string]bool{}
		n := 0
		for n < len(p.seen) && p.next() {
			word := p.keyword
			if p.hasValue {
				word += "=" + p.value
			}
			k, v, _ := strings.Cut(words[n], "=")
			if upper(k) != p.keyword || v != p.value || len(word) != len(words[n]) || seen[p.keyword] {
				t.Fatalf("%q: word %d is %q, %q, %v", s, n, p.keyword, p.value, p.hasValue)
			}
			if strings.ContainsAny(word, "\r\n\x00\t \x7f") {
				t.Fatalf("%q: the parameter %q", s, word)
			}
			seen[p.keyword] = true
			n++
		}
		if n < len(p.seen) && p.err == nil && n != len(words) {
			t.Fatalf("%q: %d parameters of %d", s, n, len(words))
		}
		if p.err != nil {
			wireForm(t, p.err)
		}
	})
}

// FuzzPath: a path ends at the first ">" outside quotes; its mailbox has lost
// the source route and is read again as it is.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"<a@b>", `<"a\">"@b> X`, "<@x,@y:a@b>", "<@[IPv6:::1]:a@[x:y]> ", "<>", "<a@b>x", `<"a>`, " <a@b>\tX", "<j\u00f6rg@b\u00fccher.example>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		path, rest, err := cutPath("from:"+arg, "FROM:")
		if err != nil {
			wireForm(t, pathReply(err, 7))
			return
		}
		behind, ok := strings.CutPrefix(strings.TrimLeft(arg, " "), "<"+path+">")
		if !ok || strings.Trim(behind, " \t") != rest {
			t.Fatalf("%q is the path %q and %q", arg, path, rest)
		}
		a, err := Features{}.parseMailbox(path)
		if err != nil {
			wireForm(t, pathReply(err, 3))
			return
		}
		if !strings.HasSuffix(path, a.String()) || a.Domain == "" || a.Local == "" || strings.ContainsAny(a.String(), "\r\n\x00") {
			t.Fatalf("%q is %+v", path, a)
		}
		if again, err := (Features{}).parseMailbox(a.String()); err != nil || again != a {
			t.Fatalf("%q is %+v, which is read as %+v, %v", path, a, again, err)
		}
	})
}

// enhancedForm is status-code of RFC 3463 2 at the beginning of a text.
var enhancedForm = regexp.MustCompile(`(?s)^([245])\.([0-9]{1,3})\.([0-9]{1,3})(?: (.*))?$`)

func FuzzEnhancedCode(f *testing.F) {
	f.Add("5.1.1 User unknown", uint16(550))
	f.Add("2.0.0", uint16(250))
	f.Add("4.7.1 x", uint16(550))
	f.Add("5.1.1.1 x", uint16(550))
	f.Add("3.0.0 x", uint16(354))
	f.Add("5.1000.1", uint16(500))
	f.Add("6.0.0", uint16(665))
	f.Fuzz(func(t *testing.T, text string, code uint16) {
		enhanced, rest, ok := cutEnhanced(text, int(code))
		m := enhancedForm.FindStringSubmatch(text)
		if m != nil && m[1] != strconv.Itoa(int(code)/100) {
			m = nil
		}
		if ok != (m != nil) {
			t.Fatalf("%q with %d: %v, %v", text, code, enhanced, ok)
		}
		if !ok {
			if rest != text {
				t.Fatalf("%q with %d leaves %q", text, code, rest)
			}
			return
		}
		for i, n := range enhanced {
			if want, _ := strconv.Atoi(m[i+1]); n != want {
				t.Fatalf("%q with %d: %v", text, code, enhanced)
			}
		}
		if rest != m[4] {
			t.Fatalf("%q with %d leaves %q", text, code, rest)
		}
	})
}

// FuzzParseEHLO: neither case nor reply codes make a difference to what a next
// hop offers, and what it offers is bounded.
func FuzzParseEHLO(f *testing.F) {
	f.Add("EDGE hello\nSIZE 10\nAUTH login PLAIN\nLIMITS RCPTMAX=7 x\npipelining")
	f.Add("x\nSIZE\nBINARYMIME\nAUTH=LOGIN\nLIMITS RCPTMAX=0 MAILMAX=9999999")
	f.Add("250-x\n250 DSN\n\nSIZE 99999999999999999999 7\nchunking\nbinarymime\nsmtputf8")
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Split(text, "\n")
		e := ParseEHLO(lines)
		if len(e.Auth) > maxMechanisms || e.Size < 0 || e.BinaryMIME && !e.Chunking || e.Size > 0 && !e.HasSize ||
			min(e.Limits.MailMax, e.Limits.RcptMax, e.Limits.RcptDomainMax) < 0 || max(e.Limits.MailMax, e.Limits.RcptMax, e.Limits.RcptDomainMax) > 999999 {
			t.Fatalf("%q offers %+v", text, e)
		}
		for i, m := range e.Auth {
			if m == "" || strings.ContainsAny(m, " \r\n\t") || (&Extensions{Auth: e.Auth[:i]}).HasAuth(m) {
				t.Fatalf("%q offers %q", text, e.Auth)
			}
		}
		shouted := strings.Split(upper(text), "\n")
		coded := make([]string, len(lines))
		for i, line := range lines {
			coded[i] = "250-" + withoutCode(line)
		}
		for _, other := range [][]string{shouted, coded} {
			o := ParseEHLO(other)
			if o.Name = e.Name; !reflect.DeepEqual(o, e) {
				t.Fatalf("%q offers %+v, but %q %+v", lines, e, other, o)
			}
		}
	})
}
