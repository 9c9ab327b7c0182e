package config

import (
	"slices"
	"strconv"
	"strings"
)

// Setting is one key of a running configuration with what it means.
type Setting struct {
	// Key is the name within its table, such as "max_hop_count" or, in a table
	// within it, "smart_host_auth.mechanism".
	Key string `json:"key"`
	// Value is what holds, in the form of JSON output: octets and seconds as
	// numbers, "unlimited" as that word, nil for what is secret.
	Value any `json:"value"`
	// Text is the same as the file would say it.
	Text string `json:"-"`
	// Default tells whether this is what would hold if the key were not
	// written.
	Default bool `json:"default"`
	// Unit is what a plain number counts: "bytes", "seconds" or nothing.
	Unit string `json:"unit,omitempty"`
	Doc  string `json:"doc"`
	// Pending marks a key, or a word of its value, that this version reads but
	// does not act on.
	Pending bool `json:"pending"`
}

// Explain gives all settings of the table at a path, "queue" or
// "receive_connector[0]", with those of the tables within it, in the order of
// the reference. It is nil when there is no such table.
func (c *Config) Explain(path string) []Setting {
	t, row := schema(), any(c)
	for part := range strings.SplitSeq(path, ".") {
		name, index, indexed := strings.Cut(part, "[")
		if t = t.sub(name); t == nil || indexed != t.repeated {
			return nil
		}
		rows, i := t.rows(row), 0
		if indexed {
			var err error
			if i, err = strconv.Atoi(strings.TrimSuffix(index, "]")); err != nil || i < 0 || i >= len(rows) {
				return nil
			}
		}
		row = rows[i]
	}
	return c.explain(t, row, "")
}

func (c *Config) explain(t *table, row any, prefix string) []Setting {
	var settings []Setting
	for i := range t.keys {
		k := &t.keys[i]
		src := k.Field(row)
		s := Setting{
			Key: joinPath(prefix, k.Name), Value: k.Type.show(src), Text: k.shown(src),
			Default: k.isDefault(c, t, row), Unit: k.Type.unit(), Doc: k.Doc,
			Pending: t.pending || k.Pending || len(k.pendingIn(src)) > 0,
		}
		if k.Secret {
			s.Value = nil
		}
		settings = append(settings, s)
	}
	for _, sub := range t.subs {
		for i, r := range sub.rows(row) {
			path := joinPath(prefix, sub.name)
			if sub.repeated {
				path = indexPath(path, i)
			}
			settings = append(settings, c.explain(sub, r, path)...)
		}
	}
	return settings
}

// shown is a value as the file would say it, unless it is secret.
func (k *key) shown(src any) string {
	if k.Secret {
		return "(hidden)"
	}
	return k.Type.text(src)
}

// pendingIn gives the words of a value that are not acted on, each with its
// index when the value is a list.
func (k *key) pendingIn(src any) map[int]string {
	if len(k.PendingValues) == 0 {
		return nil
	}
	shown := k.Type.show(src)
	list, isList := shown.([]any)
	if !isList {
		list = []any{shown}
	}
	found := map[int]string{}
	for i, v := range list {
		if word, ok := v.(string); ok && slices.Contains(k.PendingValues, word) {
			found[i] = word
		}
	}
	return found
}
