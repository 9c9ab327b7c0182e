package backpressure

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// VolumeMeter measures the volume of a directory in octets, as df does: what is
// kept for root does not count as free.
func VolumeMeter(dir string) Meter {
	return func() (Reading, error) {
		r := Reading{Of: dir}
		fs, err := statfs(dir)
		if err != nil {
			return r, err
		}
		free := fs.Bavail * uint64(fs.Bsize)
		r.Used = int64((fs.Blocks - fs.Bfree) * uint64(fs.Bsize))
		r.Limit = r.Used + int64(free)
		return r, nil
	}
}

// InodeMeter measures the inodes of the volume of a directory.
func InodeMeter(dir string) Meter {
	return func() (Reading, error) {
		r := Reading{Of: dir}
		fs, err := statfs(dir)
		if err != nil {
			return r, err
		}
		if fs.Files == 0 {
			return r, errors.New("the file system does not count them")
		}
		r.Limit, r.Used = int64(fs.Files), int64(fs.Files-fs.Ffree)
		return r, nil
	}
}

// statfs asks for the volume of a directory that need not be there yet.
func statfs(dir string) (fs unix.Statfs_t, err error) {
	for at := dir; ; {
		switch err = unix.Statfs(at, &fs); {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOENT) && at == dir:
			if at = existing(dir); at != dir {
				continue
			}
		}
		break
	}
	if err != nil {
		err = fmt.Errorf("statfs %s: %w", dir, err)
	}
	return fs, err
}

// SharedVolume reports whether two directories, which need not be there yet, lie
// on one volume.
func SharedVolume(a, b string) bool {
	var sa, sb unix.Stat_t
	return unix.Stat(existing(a), &sa) == nil && unix.Stat(existing(b), &sb) == nil && sa.Dev == sb.Dev
}

// existing is the directory, or the nearest one above it that there is: a
// directory that is not made yet will lie on its volume.
func existing(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return dir
	}
	for {
		if _, err := os.Stat(abs); err == nil || abs == filepath.Dir(abs) {
			return abs
		}
		abs = filepath.Dir(abs)
	}
}

// DescriptorMeter counts the open file descriptors of the process.
func DescriptorMeter() Meter {
	return func() (Reading, error) {
		r := Reading{Of: "RLIMIT_NOFILE"}
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return r, fmt.Errorf("getrlimit: %w", err)
		}
		r.Limit = int64(min(limit.Cur, 1<<40))
		var err error
		r.Used, err = countDescriptors()
		return r, err
	}
}

const descriptors = "/proc/self/fd"

// countDescriptors asks for the size of the directory, which is their number
// since Linux 6.2; before, it is 0, and they are counted one by one.
func countDescriptors() (int64, error) {
	var st unix.Stat_t
	if err := unix.Stat(descriptors, &st); err != nil {
		return 0, fmt.Errorf("stat %s: %w", descriptors, err)
	}
	if st.Size > 0 {
		return st.Size, nil
	}
	return listDescriptors()
}

func listDescriptors() (int64, error) {
	d, err := os.Open(descriptors)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	return int64(len(names)) - 1, err // the directory itself is one
}
