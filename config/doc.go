// Package config knows the configuration file: every key with its type,
// default, range and unit, how to read it, and how to say what is wrong with
// it. The result is plain data. It serves every other package, which take the
// parts that concern them, and knows none of them.
//
//go:generate go test -run TestReferenceIsCurrent -update .
package config
