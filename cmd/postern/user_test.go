package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"postern/config"
	"postern/receive/logon"
)

func TestUserHash(t *testing.T) {
	for name, tt := range map[string]struct {
		args  []string
		in    string
		exit  int
		check func(out string) bool
		err   string
	}{
		"the hash alone": {nil, "pencil\n", exitDone, func(out string) bool {
			return strings.HasPrefix(out, "$argon2id$v=19$") && logon.ParseHash(strings.TrimSpace(out)) == nil
		}, ""},
		"a table": {[]string{`odd"name`, "--scheme", "scram-sha-256"}, "pencil\r\nmore\n", exitDone, func(out string) bool {
			users, findings, err := config.ParseUsers("x", []byte(out))
			return err == nil && len(findings) == 0 && len(users) == 1 && users[0].Name == `odd"name` && logon.ParseHash(users[0].PasswordHash) == nil
		}, ""},
		"JSON": {[]string{"kim", "--scheme", "bcrypt", "--output", "json"}, "pencil", exitDone, func(out string) bool {
			var h hashed
			return json.Unmarshal([]byte(out), &h) == nil && h.Name == "kim" && h.Scheme == "bcrypt" && logon.ParseHash(h.PasswordHash) == nil
		}, ""},
		"no password":       {nil, "\n", exitFailed, nil, "a password has 1 to"},
		"nothing":           {nil, "", exitFailed, nil, "a password has 1 to"},
		"control character": {nil, "a\ab\n", exitFailed, nil, "can't stand in one"},
		"another scheme":    {[]string{"--scheme", "md5"}, "pencil\n", exitUsage, nil, "--scheme md5: want argon2id, bcrypt, scram-sha-256"},
		"two names":         {[]string{"a", "b"}, "pencil\n", exitUsage, nil, "accepts at most 1 arg"},
	} {
		var out, err bytes.Buffer
		exit := run(context.Background(), append([]string{"user", "hash"}, tt.args...), streams{strings.NewReader(tt.in), &out, &err})
		if exit != tt.exit || tt.check != nil && !tt.check(out.String()) || tt.check == nil && out.Len() > 0 || !strings.Contains(err.String(), tt.err) {
			t.Errorf("%s: exit %d, printed %q and %q", name, exit, out.String(), err.String())
		}
		if strings.Contains(out.String()+err.String(), "pencil") {
			t.Errorf("%s: the password is printed", name)
		}
	}
}
