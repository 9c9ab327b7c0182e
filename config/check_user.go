package config

import "fmt"

// checkUsers wants accounts to differ by more than case, and each to have
// something by which its user proves to be the one.
func (d *decoder) checkUsers(users []User) {
	d.checkNames("user", len(users), func(i int) string { return users[i].Name })
	for i, u := range users {
		row := d.rowPath("user", i)
		if !d.read(row, "name", "password_hash", "certificate_thumbprint", "certificate_subject") {
			continue
		}
		if u.PasswordHash == "" && len(u.CertificateThumbprint) == 0 && len(u.CertificateSubject) == 0 {
			d.fail(joinPath(row, "password_hash"), fmt.Sprintf("password_hash: user %q has neither a password nor a certificate", u.Name),
				"write password_hash with what `postern user hash` prints")
		}
	}
}

// ParseUsers reads a file of [[user]] tables and nothing else; name stands for
// the file in findings. The users are nil when a Finding is an Error.
func ParseUsers(name string, text []byte) ([]User, []Finding, error) {
	if len(text) > maxFileSize {
		return nil, nil, fmt.Errorf("read users %s: more than %s is not a file of users", name, FormatSize(maxFileSize))
	}
	tree, src, finding := parseTOML(name, string(text))
	if finding != nil {
		return nil, []Finding{*finding}, nil
	}
	c := &Config{source: src}
	root := single(table{subs: []*table{userTable()}}, func(c *Config) *Config { return c })
	d := &decoder{config: c, root: root, failed: map[string]bool{}}
	d.decode(tree)
	d.checkUsers(c.Users)
	findings := d.sorted()
	if HasErrors(findings) {
		return nil, findings, nil
	}
	return c.Users, findings, nil
}
