package server

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// knownFaults are what servers in use, or the libraries that they are built
// on, have been found to do wrong, and the tests by which this one is known not
// to: functions with their package, or cases of the probe by name.
var knownFaults = []struct {
	fault string
	tests []string
}{
	{"when content times out, the rest of it is read as commands", []string{
		"receive.TestSilentInData", "receive.TestConnectionLostInData", "receive.TestConnectionLostInChunks", "receive.TestTimeoutInChunks"}},
	{"one deadline holds for the whole of the content, however fast it comes", []string{
		"receive.TestLongData", "receive.TestSlowData", "receive.TestLongChunks"}},
	{"the greeting is fixed, and nobody can be refused with it", []string{
		"server.TestProbe", "receive.TestNoConnector", "receive.TestConnectionLimit"}},
	{"the reply to EHLO does not begin with the server's name, and says the client's text back", []string{
		"EHLO in clear text lists the extensions", "HELO is answered by one line", "what a client calls itself is not said back"}},
	{"only the first EHLO is looked at", []string{
		"an EHLO that is refused changes nothing", "MAIL after an EHLO that was refused", "the name that counts is the last"}},
	{"421 is sent and the session goes on", []string{
		"the sixth error ends the session", "a protocol of other kind", "receive.TestConnectionLimit"}},
	{"replies say the client's addresses back, and their texts are fixed", []string{
		"a message", "a Message-ID that would break the reply"}},
	{"only some errors count, and the session that has too many ends without 421", []string{
		"the sixth error ends the session", "five errors are let pass"}},
	{"the protocol log is one for all, holds secrets, and is lost after STARTTLS", []string{
		"receive.TestProtocolLog", "receive.TestProtocolLogOfTLS", "receive.TestCredentialsAreNotLogged", "receive.TestProtocolLogCanBeOff"}},
	{"each reply to pipelined commands is a write of its own", []string{
		"receive.TestPipelining", "receive.TestManyPipelined"}},
	{"bare CR and LF pass, CR CR LF . CR LF never ends, and a CR behind a dot is lost", []string{
		"a bare LF", "a bare CR", "CRCRLF.CRLF ends", "CRLF.CR is no end", "receive.TestSmuggling"}},
	{"a bare LF ends a command", []string{
		"commands end with CRLF", "what stands behind a bare LF is no command", "what stands behind several bare LFs is no command"}},
	{"the limit for commands holds for lines of content, and a line that is too long takes commands with it", []string{
		"a line of 70000 octets passes as it is", "errors in a row", "a command of 100000 octets is one error"}},
	{"MAIL is taken within a transaction, the order has the wrong code, parameters too, and verbs need only begin well", []string{
		"MAIL twice", "DATA before MAIL", "RCPT before MAIL", "a parameter that nobody knows", "RCPT with a parameter that nobody knows",
		"a command that only begins like one"}},
	{"postmaster alone is refused; control characters, raw UTF-8 and paths without brackets are taken", []string{
		"postmaster without a domain", "postmaster without a domain in any case", "MAIL with a DEL", "MAIL with a NUL in quotes",
		"a sender in UTF-8 without SMTPUTF8", "a recipient in UTF-8 without SMTPUTF8", "MAIL without brackets", "RCPT without brackets"}},
	{"quoted local parts lose their quotes, and what was in them becomes a parameter at the next hop", []string{
		"MAIL with what would be a parameter in quotes", "RCPT with what would be a parameter in quotes", "MAIL with a quoted local part"}},
	{"SIZE has 32 bits", []string{"SIZE of more than 32 and 64 bits", "SIZE of 20 digits"}},
	{"after a TLS handshake that failed the session goes on in clear text, and the handshake has no deadline", []string{
		"receive.TestFailedHandshake", "receive.TestSilentHandshake", "receive.TestNoCertificate"}},
	{"no PROXY protocol; NOOP, VRFY, EXPN and HELP are out of hand", []string{
		"the trace and the greeting name the client behind a proxy", "NOOP", "VRFY", "EXPN", "HELP", "private commands that are not agreed on"}},
	{"extensions can't be switched off", []string{
		"EHLO of a server without extensions", "BODY where it is not offered", "BDAT where it is not offered", "receive.TestExtensions"}},
	{"the limit of recipients is not told, and content that is too large is read without end", []string{
		"too many recipients", "SIZE and LIMITS name what holds", "receive.TestRefusedContentIsNotReadForEver",
		"a chunk that nobody would read to its end"}},
	{"a shutdown waits for idle sessions and tells them nothing", []string{
		"receive.TestShutdown", "receive.TestShutdownBetweenChunks", "receive.TestShutdownLosesPatience"}},
	{"only the last line of a reply has the enhanced code", []string{"what needs no EHLO", "HELP", "wire.TestReplyAppend"}},
}

// TestKnownFaults: each of these faults has its tests, and they are there.
func TestKnownFaults(t *testing.T) {
	there := map[string]bool{}
	for name, dir := range map[string]string{"server": ".", "receive": "../../receive", "wire": "../wire"} {
		for _, f := range testFunctions(t, dir) {
			there[name+"."+f] = true
		}
	}
	for _, group := range probeGroups {
		for _, p := range parseProbes(t, group.table) {
			if there[p.name] {
				t.Errorf("two cases are called %q", p.name)
			}
			there[p.name] = true
		}
	}
	for _, f := range knownFaults {
		if len(f.tests) == 0 {
			t.Errorf("%s: no test", f.fault)
		}
		for _, name := range f.tests {
			if !there[name] {
				t.Errorf("%s: there is no test %q", f.fault, name)
			}
		}
	}
}

// testFunctions lists the tests of a package.
func testFunctions(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v, %v", dir, files, err)
	}
	var names []string
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Test") {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}
