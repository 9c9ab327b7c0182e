package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"
)

// maxEntry bounds an entry of a list, in octets: more than any address has
// (RFC 5321 4.5.3.1).
const maxEntry = 1000

// List is a file of entries, one a line, that a key such as address_spaces_file
// names. What an entry means is for the package that knows the key.
type List struct {
	Path    string
	Entries []ListEntry
}

// ListEntry is one entry, without the space and comment around it, and the line
// it stands in, counted from one.
type ListEntry struct {
	Text string
	Line int
}

// Position is where an entry stands.
func (l *List) Position(i int) Position {
	return Position{File: l.Path, Line: l.Entries[i].Line, Column: 1}
}

// listKeys are the keys of a Send connector that name a List, with its path.
func listKeys(c *SendConnector) [3]struct{ key, path string } {
	return [3]struct{ key, path string }{
		{"address_spaces_file", c.AddressSpacesFile},
		{"blocked_senders_file", c.BlockedSendersFile},
		{"allowed_senders_file", c.AllowedSendersFile},
	}
}

// ListFiles names the files of entries that the configuration asks for, sorted,
// each once.
func (c *Config) ListFiles() []string {
	files := make(map[string]bool)
	for i := range c.SendConnectors {
		for _, k := range listKeys(&c.SendConnectors[i]) {
			if k.path != "" {
				files[k.path] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(files))
}

// List is the file of that path as it was last read; nil when it was not. It is
// not to be changed.
func (c *Config) List(path string) *List { return c.lists[path] }

// ReadLists returns the configuration with its ListFiles as they are now. Load
// has done so already; who has a configuration from elsewhere, or wants to see
// what has changed, does it again. The configuration is nil when a Finding is an
// Error.
func (c *Config) ReadLists() (*Config, []Finding) {
	next := *c
	next.lists = make(map[string]*List)
	var findings []Finding
	for i := range c.SendConnectors {
		for _, k := range listKeys(&c.SendConnectors[i]) {
			if _, known := next.lists[k.path]; k.path == "" || known {
				continue
			}
			list, f := loadList(k.path)
			next.lists[k.path] = list
			for n := range f {
				f[n].Path = joinPath(indexPath("send_connector", i), k.key)
				if f[n].Position.IsZero() {
					f[n].Position = c.Position(f[n].Path)
				}
			}
			findings = append(findings, f...)
		}
	}
	if HasErrors(findings) {
		return nil, findings
	}
	return &next, findings
}

// loadList reads a file of entries. A finding without Position is about the file
// as a whole.
func loadList(path string) (*List, []Finding) {
	text, err := readList(path)
	if err != nil {
		return nil, []Finding{{Message: fmt.Sprintf("the file %s can't be read: %v", quote(path), err),
			Remedy: "write it, readable for the gateway's user, or take the key out"}}
	}
	return ParseList(path, text)
}

func readList(path string) ([]byte, error) {
	text, err := ReadFile(path, maxFileSize)
	return text, withoutPath(err)
}

// ReadFile reads a file that the configuration names, of at most most octets. It
// takes regular files alone, and waits for nobody: a pipe in a file's place must
// not hold up a gateway that reads the file while it runs.
func ReadFile(path string, most int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // no pipe waits for its writer
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("more than %s is too large", FormatSize(most))
	}
	return text, err
}

// withoutPath is an error of the file system without the name of the file.
func withoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// ParseList reads entries: one a line, with any space around it. A number sign
// at the beginning of a line or behind a space begins a comment. The List is nil
// when a Finding is an Error. A file of nothing at all is one, for a save that
// was cut short leaves that.
func ParseList(path string, text []byte) (*List, []Finding) {
	l := &List{Path: path}
	fail := func(line, column int, message, remedy string) (*List, []Finding) {
		return nil, []Finding{{Message: message, Remedy: remedy, Position: Position{File: path, Line: line, Column: column}}}
	}
	rest := strings.TrimPrefix(string(text), "\ufeff")
	if strings.TrimSpace(rest) == "" {
		return fail(1, 1, "the file is empty", "write at least a comment, such as \"# nobody\"")
	}
	for n := 1; rest != ""; n++ {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		if !utf8.ValidString(line) {
			return fail(n, invalidUTF8(line)+1, "the file is not UTF-8", "save it as UTF-8")
		}
		entry := uncomment(line)
		switch {
		case entry == "":
			continue
		case len(entry) > maxEntry:
			return fail(n, 1, fmt.Sprintf("the line has %d octets, no entry more than %d", len(entry), maxEntry), "write one entry a line")
		}
		if i := strings.IndexFunc(entry, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
			return fail(n, strings.Index(line, entry)+i+1, "there is a control character in the line", "write one entry a line")
		}
		l.Entries = append(l.Entries, ListEntry{Text: entry, Line: n})
	}
	return l, nil
}

// uncomment is a line without comment and the space around what is left.
func uncomment(line string) string {
	for from := 0; ; {
		i := strings.IndexByte(line[from:], '#')
		if i < 0 {
			break
		}
		i += from
		if i == 0 || line[i-1] == ' ' || line[i-1] == '\t' { // else it may stand in a local part
			line = line[:i]
			break
		}
		from = i + 1
	}
	return strings.TrimSpace(line)
}
