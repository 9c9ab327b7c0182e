package config

import (
	"fmt"
	"slices"
	"strings"
)

// Change is one key whose effective value differs between two configurations,
// or a row that only one of them has.
type Change struct {
	// Path names the key. Rows of repeated tables go by their name here, not
	// by their number: receive_connector["From Internet"].banner.
	Path string `json:"path"`
	// Old and New are the values as the file would say them. Where a whole row
	// is new or gone, Old is empty and New is "(added)" or "(removed)"; where
	// rows whose order means something changed places, it is "(order
	// changed)". Secrets are "(hidden)".
	Old string `json:"old"`
	New string `json:"new"`
	// Restart says that the new value holds only after a restart.
	Restart bool `json:"restart"`
}

// Diff tells what changes when c takes the place of old.
func (c *Config) Diff(old *Config) []Change { return diffRows(schema(), old, c, "") }

// diffRows compares two rows of a table.
func diffRows(t *table, old, now any, path string) []Change {
	var changes []Change
	for i := range t.keys {
		k := &t.keys[i]
		before, after := k.Field(old), k.Field(now)
		if k.Type.text(before) != k.Type.text(after) {
			changes = append(changes, Change{Path: joinPath(path, k.Name), Old: k.shown(before), New: k.shown(after), Restart: k.Restart})
		}
	}
	for _, sub := range t.subs {
		changes = append(changes, diffTable(sub, old, now, joinPath(path, sub.name))...)
	}
	return changes
}

// diffTable compares a table of two rows, matching the rows of a repeated
// table by their identity.
func diffTable(t *table, old, now any, path string) []Change {
	before, after := t.rows(old), t.rows(now)
	if !t.repeated {
		return diffRows(t, before[0], after[0], path)
	}
	var changes []Change
	var oldOrder, newOrder []string
	known := map[string]any{}
	for _, row := range before {
		known[t.identityOf(row)] = row
	}
	for _, row := range after {
		id := t.identityOf(row)
		rowPath := t.namedPath(path, row)
		if was, ok := known[id]; ok {
			newOrder = append(newOrder, id)
			changes = append(changes, diffRows(t, was, row, rowPath)...)
		} else {
			changes = append(changes, Change{Path: rowPath, New: "(added)"})
		}
	}
	kept := map[string]bool{}
	for _, id := range newOrder {
		kept[id] = true
	}
	for _, row := range before {
		if id := t.identityOf(row); kept[id] {
			oldOrder = append(oldOrder, id)
		} else {
			changes = append(changes, Change{Path: t.namedPath(path, row), New: "(removed)"})
		}
	}
	if t.ordered && !slices.Equal(oldOrder, newOrder) {
		changes = append(changes, Change{Path: path, New: "(order changed)"})
	}
	return changes
}

// identityOf is what a row goes by.
func (t *table) identityOf(row any) string {
	k := t.key(t.identity)
	id := k.Type.text(k.Field(row))
	if t.fold {
		id = strings.ToLower(id)
	}
	return id
}

// namedPath is the path of a row by its identity.
func (t *table) namedPath(path string, row any) string {
	k := t.key(t.identity)
	return fmt.Sprintf("%s[%s]", path, k.Type.text(k.Field(row)))
}
