//go:build !linux

package pickup

func rename(from, to string) error { return renameUnless(from, to) }
