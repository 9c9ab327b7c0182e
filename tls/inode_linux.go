package ptls

import (
	"io/fs"
	"syscall"
	"time"
)

// identity tells a file from one that has taken its place, and when it was
// written, renamed or opened up to others last.
func identity(info fs.FileInfo) (inode uint64, changed time.Time) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Ino, time.Unix(s.Ctim.Unix())
	}
	return 0, info.ModTime()
}
