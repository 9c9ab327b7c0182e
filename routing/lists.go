package routing

import (
	"fmt"
	"slices"

	"postern/config"
)

// addFile adds the address spaces of a file to a connector's own.
func (c *connector) addFile(cfg *config.Config, path string) []config.Finding {
	if path == "" {
		return nil
	}
	if c.list = cfg.List(path); c.list == nil {
		return []config.Finding{unread(c.index, "address_spaces_file", path)}
	}
	c.spaces = slices.Grow(slices.Clone(c.spaces), len(c.list.Entries))
	for i := range c.list.Entries {
		c.spaces = append(c.spaces, c.list.Entries[i].Text)
	}
	return nil
}

// finding is about one of a connector's address spaces, wherever it stands.
func (c *connector) finding(space int, severity config.Severity, message, remedy string) config.Finding {
	f := config.Finding{Severity: severity, Message: message, Remedy: remedy}
	if space < c.own {
		f.Path = connectorPath(c.index, "address_spaces", space)
		return f
	}
	f.Path = fmt.Sprintf("send_connector[%d].address_spaces_file", c.index)
	f.Position = c.list.Position(space - c.own)
	return f
}

// unread is about a file that nobody has read: the gateway must not go on as if
// it was empty.
func unread(connector int, key, path string) config.Finding {
	return config.Finding{Severity: config.Error, Path: fmt.Sprintf("send_connector[%d].%s", connector, key),
		Message: fmt.Sprintf("%s: the file %q was not read", key, path), Remedy: "read it again"}
}

// listed is the senders of a key and of the file beside it.
type listed struct {
	own  senders
	file *senders // shared by all keys that name the file; nil for none
}

// restricts reports whether the list is there at all. A file without entries is
// there, and lists nobody.
func (l *listed) restricts() bool { return l.file != nil || !l.own.empty() }

// match is senders.match for both.
func (l *listed) match(from *sender) (string, bool) {
	if p, ok := l.own.match(from); ok || l.file == nil {
		return p, ok
	}
	return l.file.match(from)
}

// senderFiles are the files of senders that were read for a table, by path.
type senderFiles map[string]*senders

// fill reads the senders of a key and of the file beside it.
func (l *listed) fill(cfg *config.Config, connector int, key string, patterns []string, path string, files senderFiles) []config.Finding {
	var findings []config.Finding
	bad := func(where string, at config.Position, err error) {
		findings = append(findings, config.Finding{Severity: config.Error, Path: where, Position: at, Message: "sender " + err.Error()})
	}
	for j, p := range patterns {
		if err := l.own.add(p); err != nil {
			bad(connectorPath(connector, key, j), config.Position{}, err)
		}
	}
	if path == "" {
		return findings
	}
	if l.file = files[path]; l.file != nil {
		return findings
	}
	list := cfg.List(path)
	if list == nil {
		return append(findings, unread(connector, key+"_file", path))
	}
	l.file = new(senders)
	files[path] = l.file
	for j := range list.Entries {
		if err := l.file.add(list.Entries[j].Text); err != nil {
			bad(fmt.Sprintf("send_connector[%d].%s_file", connector, key), list.Position(j), err)
		}
	}
	return findings
}
