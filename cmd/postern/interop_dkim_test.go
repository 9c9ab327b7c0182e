//go:build linux

package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	verifier "github.com/emersion/go-msgauth/dkim"

	"postern/internal/dkim"
)

// dkimpy verifies every signature of the messages in a directory with the
// records of a file, and prints what it made of each.
const dkimpy = `
import dkim, json, os, sys
records = json.load(open(sys.argv[2]))
def dns(name, timeout=5):
    return records.get(name.decode().rstrip('.'), '').encode()
result = {}
for name in os.listdir(sys.argv[1]):
    message = open(os.path.join(sys.argv[1], name), 'rb').read()
    verdicts = []
    try:
        count = len([h for h, _ in dkim.rfc822_parse(message)[0] if h.lower() == b'dkim-signature'])
        for i in range(count):
            try:
                verdicts.append('good' if dkim.DKIM(message).verify(idx=i, dnsfunc=dns) else 'bad')
            except dkim.DKIMException as e:
                verdicts.append(repr(e))
    except dkim.DKIMException as e:
        verdicts.append(repr(e))
    result[name] = verdicts
json.dump(result, sys.stdout)
`

// pythonWithDKIM is an interpreter that has the module: that of the system,
// whatever else is called python3.
func pythonWithDKIM(t testing.TB) string {
	t.Helper()
	for _, p := range []string{"/usr/bin/python3", "python3"} {
		if path, err := exec.LookPath(p); err == nil && exec.Command(path, "-c", "import dkim, nacl").Run() == nil {
			return path
		}
	}
	lacking(t, "no python3 here has the modules dkim and nacl (Debian: python3-dkim, python3-nacl)")
	return ""
}

// clean reports whether every line of a header is a field or continues one:
// else it is anybody's guess where the header ends. A header that has an empty
// line behind it and no field twice that may stand once is what all verifiers
// agree about.
func clean(content []byte) bool {
	header, _, ok := bytes.Cut(content, []byte("\r\n\r\n"))
	if !ok {
		return false
	}
	for line := range strings.SplitSeq(string(header), "\r\n") {
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			continue
		}
		name, _, isField := strings.Cut(line, ":")
		if !isField || name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return false
		}
	}
	return true
}

// TestDKIM sends real and awkward messages through a gateway that signs for
// their authors' domains with the keys that the command made. Two independent
// verifiers look at each, and below the signatures nothing has changed.
func TestDKIM(t *testing.T) {
	t.Parallel()
	python := pythonWithDKIM(t)
	e := newEdge(t)
	keys := makeDKIM(t, e)
	all := awkward()
	maps.Copy(all, corpus(t))
	messages, domains := map[string][]byte{}, map[string]bool{}
	var unsigned []string
	for name, content := range all {
		domain, problem := dkim.ParseHeader(content).FromDomain()
		switch {
		case !clean(content) || bytes.Contains(content, []byte("X-MS-Exchange-Organization-")): // which the gateway takes out
			continue
		case problem != "" || strings.HasPrefix(domain, "["):
			unsigned = append(unsigned, name)
		default:
			domains[domain] = true
		}
		messages[name] = content
	}
	records := map[string]string{}
	for d := range domains {
		e.more += fmt.Sprintf("\n[[dkim]]\ndomain = %q\nkeys = %s\n", d, keys.table)
		for selector, text := range keys.records {
			records[selector+"._domainkey."+d] = text
		}
	}
	s := newSink(t, sinkOptions{})
	e.receive += "max_hop_count = 500\n"
	e.route("out", "*", s.addr, "")
	e.serve(t)
	c := dial(t, e.addr)
	names := slices.Sorted(maps.Keys(messages))
	for i, name := range names {
		r, err := c.submit("<a@x.example> BODY=8BITMIME", []string{fmt.Sprintf("m%d@fabrikam.example", i)}, messages[name])
		if err != nil || r.code != 250 {
			t.Fatalf("%s: %v %v, want 250", name, r, err)
		}
	}
	dir := filepath.Join(tempDir(t), "signed")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	signed := 0
	for _, d := range s.await(t, len(messages)) {
		var i int
		if _, err := fmt.Sscanf(d.Rcpt[0], "TO:<m%d@", &i); err != nil {
			t.Fatal(d.Rcpt)
		}
		name := names[i]
		want := 2
		if slices.Contains(unsigned, name) {
			want = 0
		}
		signatures, rest := splitSignatures(d.Data)
		if signatures != want {
			t.Errorf("%s has %d signatures, want %d", name, signatures, want)
			continue
		}
		_, below, err := splitTrace(rest)
		// From loopback it is a submission, which may get Date and Message-ID.
		if err != nil || !bytes.HasSuffix(below, messages[name]) {
			t.Errorf("%s has changed below its signatures: %v %s", name, err, difference(messages[name], below))
		}
		if want == 0 {
			continue
		}
		signed++
		writeFile(t, filepath.Join(dir, fmt.Sprintf("%d", i)), string(d.Data))
		verified, err := verifier.VerifyWithOptions(bytes.NewReader(d.Data), &verifier.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
			return []string{records[name]}, nil
		}})
		if err != nil || len(verified) < want {
			t.Errorf("%s: %d signatures, %v", name, len(verified), err)
		}
		for _, v := range verified {
			if v.Err != nil && domains[v.Domain] && !bytes.Contains(messages[name], []byte("DKIM-Signature:")) {
				t.Errorf("%s: the signature of %s: %v", name, v.Domain, v.Err)
			}
		}
	}
	if signed < 100 {
		t.Errorf("%d of %d messages were signed, want 100", signed, len(messages))
	}
	recordsFile, _ := json.Marshal(records)
	out, err := exec.Command(python, "-c", dkimpy, dir, writeFile(t, filepath.Join(tempDir(t), "records.json"), string(recordsFile))).CombinedOutput()
	verdicts := map[string][]string{}
	if err == nil {
		err = json.Unmarshal(out, &verdicts)
	}
	if err != nil || len(verdicts) != signed {
		t.Fatalf("dkimpy looked at %d of %d messages: %v\n%s", len(verdicts), signed, err, out)
	}
	for file, list := range verdicts {
		var i int
		_, _ = fmt.Sscanf(file, "%d", &i)
		if len(list) < 2 || list[0] != "good" || list[1] != "good" {
			t.Errorf("%s: dkimpy says %q", names[i], list)
		}
	}
}

// splitSignatures counts the signatures on top of a message.
func splitSignatures(data []byte) (n int, rest []byte) {
	for rest = data; bytes.HasPrefix(rest, []byte("DKIM-Signature:")); n++ {
		for first := true; first || rest[0] == '\t'; first = false {
			rest = rest[bytes.Index(rest, []byte("\r\n"))+2:]
		}
	}
	return n, rest
}

// madeDKIM is what "postern cert dkim" made.
type madeDKIM struct {
	table   string            // the value of keys in [[dkim]]
	records map[string]string // by selector
}

func makeDKIM(t testing.TB, e *edge, args ...string) madeDKIM {
	t.Helper()
	e.write(t)
	out, err := exec.Command(binary(t), append([]string{"cert", "dkim", "--config", e.path(), "--domain", "contoso.example", "--selector", "edge1", "-o", "json"}, args...)...).Output()
	if err != nil {
		t.Fatalf("cert dkim: %v", err)
	}
	var answer struct {
		Keys []struct {
			Selector string `json:"selector"`
			File     string `json:"file"`
			Text     string `json:"txt"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(out, &answer); err != nil || len(answer.Keys) != 2 {
		t.Fatalf("%v: %s", err, out)
	}
	made := madeDKIM{records: map[string]string{}}
	var pairs []string
	for _, k := range answer.Keys {
		pairs = append(pairs, fmt.Sprintf("%q = %q", k.Selector, k.File))
		made.records[k.Selector] = k.Text
	}
	made.table = "{ " + strings.Join(pairs, ", ") + " }"
	return made
}

// TestCertDKIM makes keys, prints their records again and asks a DNS server for
// them.
func TestCertDKIM(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	made := makeDKIM(t, e)
	quoted := func(text string) string {
		var b strings.Builder
		for ; len(text) > 255; text = text[255:] {
			fmt.Fprintf(&b, "%q ", text[:255])
		}
		fmt.Fprintf(&b, "%q", text)
		return b.String()
	}
	const rsa, ed = "edge1-rsa._domainkey.contoso.example", "edge1-ed25519._domainkey.contoso.example"
	run := func(args ...string) (string, string, int) {
		cmd := exec.Command(binary(t), append([]string{"cert", "dkim", "--config", e.path(), "--domain", "Contoso.example.", "--selector", "EDGE1"}, args...)...)
		var out, problems bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &problems
		_ = cmd.Run()
		return out.String(), problems.String(), cmd.ProcessState.ExitCode()
	}
	if _, problems, code := run(); code != 1 || !strings.Contains(problems, "is there already") {
		t.Errorf("made again: %d %s", code, problems)
	}
	out, _, code := run("--show")
	if code != 0 || !strings.Contains(out, quoted(made.records["edge1-rsa"])) || !strings.Contains(out, "RSA, 2048 bits") || !strings.Contains(out, "keys = "+made.table) {
		t.Errorf("shown: %d %s", code, out)
	}
	for _, k := range []string{"edge1-rsa", "edge1-ed25519"} {
		info, err := os.Stat(filepath.Join(e.dataDir, "dkim", k+"._domainkey.contoso.example.pem"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", k, info, err)
		}
	}
	e.top = fmt.Sprintf("[dns]\nservers = [%q]\n", newUnbound(t, rsa+". TXT "+strings.ReplaceAll(quoted(made.records["edge1-rsa"]), "'", "")))
	e.write(t)
	out, _, code = run("--check")
	if code != 1 || !strings.Contains(out, rsa+"  published\n") || !strings.Contains(out, ed+"  NOT published: there is no such record\n") {
		t.Errorf("asked, with one record: %d\n%s", code, out)
	}
	e.top = fmt.Sprintf("[dns]\nservers = [%q]\n", newUnbound(t, rsa+". TXT "+quoted(made.records["edge1-rsa"]), ed+". TXT "+quoted(made.records["edge1-ed25519"])))
	e.write(t)
	out, problems, code := run("--check", "-o", "json")
	if code != 0 || strings.Count(out, `"dns_problem": ""`) != 2 {
		t.Errorf("asked, with both records: %d\n%s%s", code, out, problems)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--selector", "a.b"}, "--selector a.b: write letters"},
		{[]string{"--domain", "[192.0.2.1]"}, "is no domain"},
		{[]string{"--domain", "a b"}, "is no domain"},
		{[]string{"--bits", "1024"}, "--bits 1024: an RSA key has 2048 to 4096"},
		{[]string{"more"}, `"more" is one too many`},
	} {
		if _, problems, code := run(tt.args...); code != 2 || !strings.Contains(problems, tt.want) {
			t.Errorf("%q: %d %s, want 2 and %q", tt.args, code, problems, tt.want)
		}
	}
}
