package config

import "strings"

// The schema is the one place where the keys of the file are written down:
// decoding, defaults, checks of single values, hints for unknown keys, the
// reference and the explanation of a running configuration all come from it.

// table is one table of the file.
type table struct {
	// name is its key in the parent table.
	name string
	doc  string
	// repeated tables are written [[name]].
	repeated bool
	// identity is the key that tells the rows of a repeated table apart.
	identity string
	// fold makes identities that differ only in case the same.
	fold bool
	// ordered tables mean something by the order of their rows.
	ordered bool
	// pending marks a table that is read and checked but not acted on.
	pending bool

	keys []key
	subs []*table

	// rows points to the rows within the parent row; one row when the table is
	// not repeated.
	rows func(parent any) []any
	// grow makes n rows of a repeated table.
	grow func(parent any, n int)
	// blank makes a row that belongs to no configuration.
	blank func() any
}

// key is one key of a table.
type key struct {
	Name string
	Type valueType
	// Default is what holds when the key is not written, in the form in which
	// the file would say it.
	Default any
	// From, in the place of Default, takes the default from another key.
	From *derivation
	// Required keys have no default. Where something else may stand in the place
	// of a Replaceable one, a check of its own says that it is missing.
	Required, Replaceable bool
	// Pending marks a key that is read and checked but not acted on yet.
	Pending bool
	// PendingValues are the words, of a key that is acted on, that are not.
	PendingValues []string
	// Restart marks a key that a reload can't apply.
	Restart bool
	// Advice names what is allowed in a value and hardly meant; nil: nothing.
	Advice func(value any) []fault
	// Secret keeps the value out of everything that is printed.
	Secret bool
	// Doc is one sentence for the reference.
	Doc string
	// Field points to the variable in a row of the table.
	Field func(row any) any
}

// derivation is a default that depends on other keys: those of the whole
// configuration, or, with ofRow, of the same row.
type derivation struct {
	doc   string
	value func(c *Config) any
	ofRow func(row any) any
}

func (d *derivation) of(c *Config, row any) any {
	if d.ofRow != nil {
		return d.ofRow(row)
	}
	return d.value(c)
}

// in lets a typed accessor serve as a Field.
func in[T any](field func(*T) any) func(any) any {
	return func(row any) any { return field(row.(*T)) }
}

// single completes a table that stands once.
func single[P, T any](t table, field func(*P) *T) *table {
	t.rows = func(parent any) []any { return []any{field(parent.(*P))} }
	t.blank = func() any { return new(T) }
	return &t
}

// repeated completes a table that may stand many times.
func repeated[P, T any](t table, field func(*P) *[]T) *table {
	t.repeated = true
	t.rows = func(parent any) []any {
		rows := *field(parent.(*P))
		out := make([]any, len(rows))
		for i := range rows {
			out[i] = &rows[i]
		}
		return out
	}
	t.grow = func(parent any, n int) { *field(parent.(*P)) = make([]T, n) }
	t.blank = func() any { return new(T) }
	return &t
}

// schema is the table that stands for the whole file.
func schema() *table {
	return single(table{
		subs: []*table{
			serverTable(), dnsTable(), acceptedDomainTable(), receiveConnectorTable(), userTable(), sendConnectorTable(), dkimTable(),
			routingTable(), queueTable(), notificationsTable(), remoteDomainTable(), backPressureTable(), logsTable(), pickupTable(), controlTable(), metricsTable(),
		},
	}, func(c *Config) *Config { return c })
}

// heading is how the table is opened in the file; path is the parent's.
func (t *table) heading(parent string) string {
	if t.repeated {
		return "[[" + joinPath(parent, t.name) + "]]"
	}
	return "[" + joinPath(parent, t.name) + "]"
}

func (t *table) key(name string) *key {
	for i := range t.keys {
		if t.keys[i].Name == name {
			return &t.keys[i]
		}
	}
	return nil
}

func (t *table) sub(name string) *table {
	for _, s := range t.subs {
		if s.name == name {
			return s
		}
	}
	return nil
}

// names are all keys that may stand in the table.
func (t *table) names() []string {
	var names []string
	for i := range t.keys {
		names = append(names, t.keys[i].Name)
	}
	for _, s := range t.subs {
		names = append(names, s.name)
	}
	return names
}

// homes are the headings of all tables within t that know a key, parent being
// the path of t.
func (t *table) homes(name, parent string) []string {
	var homes []string
	for _, s := range t.subs {
		if s.key(name) != nil || s.sub(name) != nil {
			homes = append(homes, s.heading(parent))
		}
		homes = append(homes, s.homes(name, joinPath(parent, s.name))...)
	}
	return homes
}

// hasSubTable tells whether a table within those of t has this name.
func (t *table) hasSubTable(name string) bool {
	for _, s := range t.subs {
		if s.sub(name) != nil || s.hasSubTable(name) {
			return true
		}
	}
	return false
}

// headings lists how the tables of t are opened.
func (t *table) headings() string {
	var all []string
	for _, s := range t.subs {
		all = append(all, s.heading(""))
	}
	return strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
}

// defaultValue is what a key holds when it is not written; nil when it must
// be.
func (k *key) defaultValue(c *Config, row any) any {
	if k.From != nil {
		return k.From.of(c, row)
	}
	return k.Default
}

// isDefault tells whether a row holds the default of a key.
func (k *key) isDefault(c *Config, t *table, row any) bool {
	value := k.defaultValue(c, row)
	if value == nil {
		return false
	}
	blank := k.Field(t.blank())
	if len(k.Type.store(blank, value)) > 0 {
		return false
	}
	return k.Type.text(blank) == k.Type.text(k.Field(row))
}
