package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// decoder reads the tree of a TOML text into a Config by the schema, and
// collects what is wrong with it.
type decoder struct {
	config   *Config
	root     *table
	findings []Finding
	// failed holds the paths of keys with an error, so that no check judges a
	// value that could not be read.
	failed map[string]bool
	// derive are the defaults that wait for the keys they come from.
	derive []func()
}

// decode reads everything and fills in every default.
func (d *decoder) decode(tree map[string]any) {
	d.table(d.root, d.config, tree, "")
	for _, derive := range d.derive {
		derive()
	}
}

// findHostName gives server.fqdn its default.
func (d *decoder) findHostName(hostName func() (string, error)) {
	const fallback = "localhost"
	name, err := hostName()
	if err == nil {
		name = strings.TrimSuffix(name, ".")
		err = checkDomain(name)
	}
	if err != nil {
		name = fallback
		if !d.config.source.has("server.fqdn") {
			d.warn("server.fqdn", fmt.Sprintf("the name of this host can't serve as fqdn: %v", err), "write fqdn in [server]")
		}
	}
	d.config.source.hostName = name
}

func (d *decoder) report(f Finding) {
	d.findings = append(d.findings, f)
	if f.Severity == Error {
		d.failed[f.Path] = true
	}
}

func (d *decoder) fail(path, message, remedy string) {
	d.report(Finding{Severity: Error, Path: path, Message: message, Remedy: remedy})
}

func (d *decoder) warn(path, message, remedy string) {
	d.report(Finding{Severity: Warning, Path: path, Message: message, Remedy: remedy})
}

// table reads one row of a table.
func (d *decoder) table(t *table, row any, values map[string]any, path string) {
	for i := range t.keys {
		d.key(t, &t.keys[i], row, values, path)
	}
	for _, sub := range t.subs {
		d.subTable(sub, row, values[sub.name], path)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if t.key(name) == nil && t.sub(name) == nil {
			d.unknown(t, name, values[name], path)
		}
	}
	if t.pending && values != nil {
		d.warn(path, d.headingOf(path)+" is read but this version does not act on it yet", "")
	}
}

func (d *decoder) key(t *table, k *key, row any, values map[string]any, path string) {
	keyPath := joinPath(path, k.Name)
	dst := k.Field(row)
	value, written := values[k.Name]
	switch {
	case k.From != nil && !written:
		// What is wrong with the other key is reported there.
		d.derive = append(d.derive, func() { k.Type.store(dst, k.From.of(d.config, row)) })
		return
	case k.Required && !written && k.Replaceable:
		return
	case k.Required && !written:
		d.fail(keyPath, fmt.Sprintf("%s is missing in %s", k.Name, d.headingOf(path)), "write "+k.Name+" = ...")
		return
	case k.Default != nil:
		k.Type.store(dst, k.Default)
	}
	if !written {
		return
	}
	faults := k.Type.store(dst, value)
	for _, f := range faults {
		d.failed[keyPath] = true
		d.fail(keyPath+f.sub, k.Name+": "+f.message, f.remedy)
	}
	if len(faults) > 0 {
		return
	}
	d.warnPending(t, k, row, keyPath)
	if k.Advice != nil {
		for _, f := range k.Advice(value) {
			d.warn(keyPath+f.sub, k.Name+": "+f.message, f.remedy)
		}
	}
}

// warnPending says that a value is written which this version does not act
// on.
func (d *decoder) warnPending(t *table, k *key, row any, path string) {
	shown := k.Type.show(k.Field(row))
	if k.Pending && !switchesOff(shown) && !k.isDefault(d.config, t, row) {
		d.warn(path, k.Name+" is read but this version does not act on it yet", "")
	}
	_, isList := shown.([]any)
	for i, word := range k.pendingIn(k.Field(row)) {
		at := path
		if isList {
			at = indexPath(path, i)
		}
		d.warn(at, fmt.Sprintf("%s: %q is read but this version does not act on it yet", k.Name, word), "")
	}
}

// switchesOff tells whether a value turns off what it belongs to, which is
// what a version without it does.
func switchesOff(shown any) bool {
	switch shown {
	case "unlimited", "none", "", false, int64(0):
		return true
	}
	return false
}

// subTable reads a table that stands in another, in whatever form it is
// written.
func (d *decoder) subTable(t *table, parent, value any, path string) {
	tablePath := joinPath(path, t.name)
	if !t.repeated {
		row := t.rows(parent)[0]
		switch v := value.(type) {
		case nil:
			d.table(t, row, nil, tablePath)
		case map[string]any:
			d.table(t, row, v, tablePath)
		default:
			d.fail(tablePath, fmt.Sprintf("%s is not written as one table", t.name), "write "+t.heading(d.bare(path))+" once")
			d.table(t, row, nil, tablePath)
		}
		return
	}
	rows, paths, ok := rowsOf(value, tablePath)
	if !ok {
		d.fail(tablePath, fmt.Sprintf("%s is written as a single table", t.name), "write "+t.heading(d.bare(path))+" with two brackets")
	}
	t.grow(parent, len(rows))
	for i, row := range t.rows(parent) {
		d.table(t, row, rows[i], paths[i])
	}
}

// rowsOf gives the rows of a repeated table and their paths. A single table is
// not right, but is read all the same, so that what else is wrong shows.
func rowsOf(value any, path string) (rows []map[string]any, paths []string, ok bool) {
	switch v := value.(type) {
	case nil:
		return nil, nil, true
	case map[string]any:
		return []map[string]any{v}, []string{path}, false
	case []map[string]any:
		rows = v
	case []any:
		for _, e := range v {
			row, isTable := e.(map[string]any)
			if !isTable {
				return nil, nil, false
			}
			rows = append(rows, row)
		}
	default:
		return nil, nil, false
	}
	for i := range rows {
		paths = append(paths, indexPath(path, i))
	}
	return rows, paths, true
}

// unknown reports a key that no one knows, with what was probably meant.
func (d *decoder) unknown(t *table, name string, value any, path string) {
	keyPath := joinPath(path, name)
	if path == "" {
		d.unknownAtTop(t, name, value)
		return
	}
	message := fmt.Sprintf("unknown key %q in %s", name, d.headingOf(path))
	if homes := d.root.homes(name, ""); len(homes) > 0 {
		d.fail(keyPath, message, "it belongs to "+oneOf(homes))
		return
	}
	if near := Nearest(name, t.names()); near != "" {
		d.fail(keyPath, message, fmt.Sprintf("did you mean %q?", near))
		return
	}
	d.fail(keyPath, message, "take it out, or see the reference for the keys of "+d.headingOf(path))
}

func (d *decoder) unknownAtTop(t *table, name string, value any) {
	_, one := value.(map[string]any)
	_, many := value.([]map[string]any)
	shown := joinPath("", name)
	homes := t.homes(name, "")
	if len(homes) > 0 && (!one && !many || t.hasSubTable(name)) {
		d.fail(shown, fmt.Sprintf("%q stands outside its table", name), "it belongs to "+oneOf(homes))
		return
	}
	message := fmt.Sprintf("unknown key %q outside any table", name)
	if one {
		message = fmt.Sprintf("unknown table [%s]", shown)
	} else if many {
		message = fmt.Sprintf("unknown table [[%s]]", shown)
	}
	remedy := "take it out, or see the reference for what there is"
	if near := Nearest(name, t.names()); near != "" {
		remedy = "did you mean " + t.sub(near).heading("") + "?"
	} else if len(homes) > 0 {
		remedy = fmt.Sprintf("%s is a key of %s; the tables are %s", name, oneOf(homes), t.headings())
	} else if one || many {
		remedy = "the tables are " + t.headings()
	}
	d.fail(shown, message, remedy)
}

// headingOf is how the table at a path is opened in the file.
func (d *decoder) headingOf(path string) string {
	bare, t := d.bare(path), d.root
	for name := range strings.SplitSeq(bare, ".") {
		t = t.sub(name)
	}
	if t.repeated {
		return "[[" + bare + "]]"
	}
	return "[" + bare + "]"
}

// bare is a path of tables without indexes.
func (d *decoder) bare(path string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(path, ".") {
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		part, _, _ = strings.Cut(part, "[")
		b.WriteString(part)
	}
	return b.String()
}
