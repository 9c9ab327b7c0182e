package event

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// isJournal reports whether a writer is the stream to journald that
// JOURNAL_STREAM names by device and inode (systemd.exec(5)). Standard error may
// have been redirected since the variable was set.
func isJournal(stream string, w io.Writer) bool {
	f, ok := w.(*os.File)
	if stream == "" || !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}
