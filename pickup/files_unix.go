//go:build unix

package pickup

import (
	"os"
	"syscall"
)

// openFile: a link that has taken the file's place is not followed, and a FIFO
// does not wait for its writer.
func openFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
