package config

import (
	"io"
	"os"
	"strings"
)

// salvageLines bounds how many lines that are no TOML are left out.
const salvageLines = 8

// Salvage reads what can be read of a file with errors, for a caller who needs
// to know only where the gateway that runs already has its control socket and
// its logs: keys that can't be read have their defaults. It must never be run
// with. lost names those of the keys data_dir and socket that could not be
// told: whatever is derived from them is then not what the file means. The
// Config is nil when the file can't be read at all; nothing is an error.
func Salvage(path string) (c *Config, lost []string) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil || len(text) > maxFileSize || strings.Trim(string(text), "\ufeff \t\r\n") == "" {
		return nil, nil
	}
	return salvage(path, string(text))
}

func salvage(name, text string) (*Config, []string) {
	tree, src, finding := parseTOML(name, text)
	for range salvageLines {
		if finding == nil {
			break
		}
		if text = withoutLine(text, finding.Position.Line); text == "" {
			return nil, nil
		}
		tree, src, finding = parseTOML(name, text)
	}
	if finding != nil {
		return nil, nil
	}
	c := &Config{source: src}
	d := &decoder{config: c, root: schema(), failed: map[string]bool{}}
	d.findHostName(os.Hostname)
	d.decode(tree)
	var lost []string
	for _, key := range []string{"server.data_dir", "control.socket"} {
		if d.failed[key] || d.failed[parentPath(key)] {
			lost = append(lost, key)
		}
	}
	return c, lost
}

// withoutLine blanks a line, counted from one; "" where that line says which
// table the following ones belong to or where the gateway has its files, so
// that without it the rest would mean something else.
func withoutLine(text string, line int) string {
	lines := strings.Split(text, "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	bad := lines[line-1]
	if strings.HasPrefix(strings.TrimSpace(bad), "[") || strings.Contains(bad, "data_dir") || strings.Contains(bad, "socket") || strings.TrimSpace(bad) == "" {
		return ""
	}
	lines[line-1] = ""
	return strings.Join(lines, "\n")
}
