package config

import (
	"fmt"
	"slices"
	"strings"
)

// Severity says whether a configuration with this finding can run.
type Severity int

const (
	// Error is a finding with which the configuration is refused.
	Error Severity = iota
	// Warning is a finding that an administrator should know of; the
	// configuration runs all the same.
	Warning
	// Note is advice on a configuration that may well be meant as it is. Who
	// asks for findings is told; a start or a reload is silent about it.
	Note
)

// String is "error", "warning" or "note".
func (s Severity) String() string {
	switch s {
	case Warning:
		return "warning"
	case Note:
		return "note"
	}
	return "error"
}

// MarshalText writes a severity as its word.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is one thing that is wrong, or worth knowing, about a configuration.
// Package config makes them while it reads a file; every package makes them of
// what it knows in its Lint.
type Finding struct {
	Severity Severity `json:"severity"`
	// Path names the key, such as "send_connector[1].address_spaces[0]".
	// Indexes count from zero; keys that are not bare TOML keys are quoted.
	Path string `json:"path"`
	// Message says what is the matter, Remedy what to write instead.
	Message string `json:"message"`
	Remedy  string `json:"remedy"`
	// Position is where the finding stands in the file, when the finder knows
	// it. Load, Parse and Default always set it; others leave it to Format.
	Position Position `json:"position"`
}

// Position is a place in a configuration file.
type Position struct {
	File string `json:"file"`
	// Line counts from one; zero when only the file is known.
	Line int `json:"line"`
	// Column counts octets from one.
	Column int `json:"column"`
}

// IsZero tells whether nothing is known of the place.
func (p Position) IsZero() bool { return p == Position{} }

// String is "file:line:column", as compilers write it and editors read it, or
// as much of it as is known.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// In is where the finding stands: the place that it knows itself, else that of
// its key in c, which may be nil.
func (f Finding) In(c *Config) Position {
	if !f.Position.IsZero() {
		return f.Position
	}
	return c.Position(f.Path)
}

// Format writes the finding as one line: place, message and remedy. The
// finding's own position wins over pos, so that f.Format(cfg.Position(f.Path))
// is right for every finding, also where cfg is nil.
func (f Finding) Format(pos Position) string {
	if !f.Position.IsZero() {
		pos = f.Position
	}
	var b strings.Builder
	if s := pos.String(); s != "" {
		b.WriteString(s)
		b.WriteString(": ")
	}
	if f.Severity != Error {
		b.WriteString(f.Severity.String() + ": ")
	}
	b.WriteString(f.Message)
	if f.Remedy != "" {
		b.WriteString("; ")
		b.WriteString(f.Remedy)
	}
	return b.String()
}

// Urgent leaves the notes out.
func Urgent(findings []Finding) []Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f Finding) bool { return f.Severity == Note })
}

// HasErrors tells whether any finding keeps the configuration from running.
func HasErrors(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Severity == Error })
}
