package config

import (
	"fmt"
	"os"
)

// Load reads and checks a configuration file. The error says only that the
// file can't be read; everything that is wrong with its content is a Finding.
// The Config is nil when a Finding is an Error; warnings come with a Config.
// Findings are sorted by their place in the file.
func Load(path string) (*Config, []Finding, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, text)
}

// Parse is Load for a text at hand; name stands for the file in findings.
func Parse(name string, text []byte) (*Config, []Finding, error) {
	source, err := scanPositions(name, string(text))
	if err != nil {
		return nil, []Finding{{Path: "", Message: err.Error(), Position: Position{File: name}}}, nil
	}
	return &Config{source: source}, nil, nil
}
