//go:build !unix

package pickup

import "os"

func openFile(path string) (*os.File, error) { return os.Open(path) }

// syncDir does nothing: the system has no such call.
func syncDir(string) error { return nil }
