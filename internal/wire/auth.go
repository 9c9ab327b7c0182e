package wire

import (
	"encoding/base64"
	"strings"

	"github.com/emersion/go-smtp"
)

// maxMechanismName is the longest name of a SASL mechanism (RFC 4422 3.1).
const maxMechanismName = 20

// Auth is the argument of an AUTH command (RFC 4954 4).
type Auth struct {
	// Mechanism is in upper case.
	Mechanism string
	// Initial is the decoded initial response: nil when there is none, empty
	// but not nil for "=".
	Initial []byte
}

// ParseAuth reads the argument of AUTH. An error is a *Reply, which says nothing
// of the argument: there may be a secret in it.
func ParseAuth(arg string) (Auth, error) {
	name, initial, _ := strings.Cut(strings.Trim(arg, " \t"), " ")
	initial = strings.TrimLeft(initial, " ")
	if !isMechanism(name) || strings.ContainsAny(initial, " \t") {
		return Auth{}, replyArguments("want the name of a mechanism and at most one initial response")
	}
	a := Auth{Mechanism: strings.ToUpper(name)}
	switch initial {
	case "":
	case "=":
		a.Initial = []byte{}
	default:
		var err error
		if a.Initial, err = decodeBase64(initial); err != nil {
			return Auth{}, err
		}
	}
	return a, nil
}

// isMechanism reports whether s is a SASL mechanism's name, in any case
// (RFC 4422 3.1).
func isMechanism(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) && s[i] != '-' && s[i] != '_' {
			return false
		}
	}
	return s != "" && len(s) <= maxMechanismName
}

// ParseAuthResponse reads a line with which a client goes on in an AUTH
// exchange, without its CRLF (RFC 4954 4). The response is never nil without an
// error. With cancelled the client has given up. An error is a *Reply, which
// says nothing of the line.
func ParseAuthResponse(line []byte) (response []byte, cancelled bool, err error) {
	if string(line) == "*" {
		return nil, true, nil
	}
	response, err = decodeBase64(string(line))
	return response, false, err
}

// decodeBase64 decodes base64 as RFC 4954 4 wants it: padded, and nothing in it
// that is not of the alphabet (RFC 4648 3.3 and 3.5).
func decodeBase64(s string) ([]byte, error) {
	undecodable := NewReply(501, smtp.EnhancedCode{5, 5, 2}, "Cannot decode the response")
	if strings.ContainsAny(s, "\r\n") { // which the decoder would pass over
		return nil, undecodable.WithLog("the response has a line end in it")
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, undecodable.WithLog("the response is not base64")
	}
	return b, nil
}

// AppendAuthChallenge appends a challenge as it goes over the wire (RFC 4954
// 4): one line however long, whose space is there even when the challenge is
// empty. It may not exceed MaxAuthLine.
func AppendAuthChallenge(b, challenge []byte) []byte {
	b = append(b, "334 "...)
	b = base64.StdEncoding.AppendEncode(b, challenge)
	return append(b, "\r\n"...)
}
