//go:build !linux

package ptls

import (
	"io/fs"
	"time"
)

// identity tells when a file was written last. That another has taken its
// place shows in its size and times alone.
func identity(info fs.FileInfo) (inode uint64, changed time.Time) { return 0, info.ModTime() }
