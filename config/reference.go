package config

import (
	"fmt"
	"strings"
)

// Reference is the description of every key, as Markdown, from the same
// schema that reads the file. It is the text of
// docs/reference/configuration.md.
func Reference() []byte {
	var b strings.Builder
	b.WriteString(referenceHead)
	for _, t := range schema().subs {
		referenceTable(&b, t, "")
	}
	return []byte(b.String())
}

func referenceTable(b *strings.Builder, t *table, parent string) {
	fmt.Fprintf(b, "\n## `%s`\n\n%s\n", t.heading(parent), t.doc)
	if t.repeated {
		b.WriteString("\nMay stand as often as needed.\n")
	}
	if t.pending {
		b.WriteString("\nThis whole table is **not in effect yet**: it is read and checked, and nothing more.\n")
	}
	b.WriteString("\n| Key | Type | Default | Values | Meaning | Notes |\n|---|---|---|---|---|---|\n")
	for i := range t.keys {
		k := &t.keys[i]
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s | %s |\n", k.Name, k.Type.word(), cell(k.defaultDoc(t)), cell(values(k.Type)), cell(k.Doc), cell(k.notes(t)))
	}
	for _, sub := range t.subs {
		referenceTable(b, sub, joinPath(parent, t.name))
	}
}

// defaultDoc says what holds when the key is not written.
func (k *key) defaultDoc(t *table) string {
	switch {
	case k.Required:
		return "required"
	case k.From != nil:
		return k.From.doc
	}
	v := k.Field(t.blank())
	k.Type.store(v, k.Default)
	return "`" + k.Type.text(v) + "`"
}

// values says which values may be written.
func values(t valueType) string {
	if t.allowed() == "" {
		return ""
	}
	if strings.HasPrefix(t.allowed(), `"`) {
		return "`" + strings.ReplaceAll(t.allowed(), ", ", "`, `") + "`"
	}
	return t.allowed()
}

func (k *key) notes(t *table) string {
	var notes []string
	if k.Pending || t.pending {
		notes = append(notes, "**not in effect yet**")
	}
	if len(k.PendingValues) > 0 {
		notes = append(notes, "**not in effect yet**: `"+strings.Join(k.PendingValues, "`, `")+"`")
	}
	if k.Restart {
		notes = append(notes, "needs a restart")
	}
	return strings.Join(notes, "; ")
}

// cell keeps a text within its cell of a Markdown table.
func cell(s string) string {
	if s == "" {
		return "–"
	}
	return strings.ReplaceAll(s, "|", `\|`)
}

const referenceHead = `<!-- Generated from package config by "go generate ./config"; a test fails when it is stale. -->

# Configuration

Postern reads one [TOML](https://toml.io) file, named by ` + "`--config`" + ` or by ` + "`$POSTERN_CONFIG`" + `; without either, an
embedded default that serves this host alone. Keys are Exchange's parameter names in snake_case.
` + "`postern check`" + ` says everything that is wrong with a file, with line and column. An unknown key is an error.
` + "`postern reload`" + ` applies a valid file without dropping connections; what can't change that way is marked
"needs a restart" here.

A key marked **not in effect yet** is read and checked, but this version does not act on it; ` + "`postern check`" + ` warns
where a file sets one to anything but its default or "off".

## Values

| Type | How to write it |
|---|---|
| size | ` + "`\"36MB\"`" + `: a whole number with B, KB, MB, GB or TB, where KB is 1024 bytes; or a plain number of bytes, with quotes or without: ` + "`65536`" + ` |
| duration | ` + "`\"5s\"`, `\"1h30m\"`, `\"30d\"`" + `: whole numbers with d, h, m, s or ms, the larger unit first; or a plain number of seconds, with quotes or without: ` + "`300`" + ` |
| number, port | a whole number without quotes: ` + "`30`" + ` |
| boolean | ` + "`true` or `false`" + `, without quotes |
| unlimited | limits that say so also take ` + "`\"unlimited\"`" + ` |
| address range | ` + "`\"10.0.0.0/8\"`, `\"10.0.0.1-10.0.0.9\"` or `\"10.0.0.1\"`" + `, IPv4 or IPv6; a prefix with host bits stands for its network |
| binding | ` + "`\"0.0.0.0:25\"`, `\"[::]:25\"`" + `: a local address and a port |
| smart host | ` + "`\"hub1.contoso.example\"`, `\"10.0.0.11\"`, `\"[10.0.0.11]\"`" + `, each also with a port: ` + "`\"[2001:db8::11]:2525\"`" + ` |
| retry step | ` + "`\"10m x6\"`" + `: an interval, and how often it is waited before the next step |
| threshold | ` + "`\"1GB free\"`, `\"5% free\"` or `\"96%\"`" + ` of the volume in use; what other resources take is the same with their own unit, ` + "`\"5000 free\"`, `\"2GB\"`, `\"2s\"` or `15000`" + `; ` + "`\"auto\"`" + ` |
| path | absolute, or relative to the directory in which the server was started |
| list | ` + "`[\"a\", \"b\"]`" + `, in brackets also when it has one element |

Tables may be written with their heading or inline: ` + "`smart_host_auth = { mechanism = \"basic\" }`" + ` is the same as
` + "`[send_connector.smart_host_auth]`" + ` under its ` + "`[[send_connector]]`" + `.
`
