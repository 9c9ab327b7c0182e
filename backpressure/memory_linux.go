package backpressure

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// limitInterval is how often the limits of memory are looked up: they may be
// changed while the process runs.
const limitInterval = time.Minute

// MemoryMeter measures the resident memory of the process against the smallest
// of GOMEMLIMIT, the limits of its cgroups (version 2 or 1) and RAM.
func MemoryMeter() Meter {
	var limit int64
	var of string
	var looked time.Time
	pages := int64(os.Getpagesize())
	return func() (Reading, error) {
		if looked.IsZero() || time.Since(looked) >= limitInterval {
			limit, of = memoryLimit(os.DirFS("/"), ram(), debug.SetMemoryLimit(-1))
			looked = time.Now()
		}
		r := Reading{Of: of, Limit: limit}
		if limit <= 0 {
			return r, errors.New("neither RAM nor a limit can be read")
		}
		n, err := resident()
		r.Used = n * pages
		return r, err
	}
}

// resident is the second number of /proc/self/statm (proc(5)), in pages.
func resident() (int64, error) {
	const name = "/proc/self/statm"
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open %s: %w", name, err)
	}
	defer unix.Close(fd)
	var b [128]byte
	n, err := unix.Read(fd, b[:])
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	return secondNumber(b[:n])
}

func secondNumber(b []byte) (int64, error) {
	_, rest, ok := bytes.Cut(b, []byte(" "))
	digits, _, ended := bytes.Cut(rest, []byte(" "))
	if !ok || !ended || len(digits) == 0 || len(digits) > 15 {
		return 0, errors.New("/proc/self/statm can't be read")
	}
	var n int64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, errors.New("/proc/self/statm can't be read")
		}
		n = n*10 + int64(c-'0')
	}
	return n, nil
}

func ram() int64 {
	var si unix.Sysinfo_t
	if unix.Sysinfo(&si) != nil {
		return 0
	}
	return int64(uint64(si.Totalram) * uint64(si.Unit))
}

// memoryLimit is the smallest limit there is, and what it is: of RAM, of Go's
// soft limit (math.MaxInt64 for none), and of the cgroups that root shows.
func memoryLimit(root fs.FS, ram, soft int64) (limit int64, of string) {
	limit, of = ram, "RAM"
	if soft > 0 && soft < math.MaxInt64 && (limit <= 0 || soft < limit) {
		limit, of = soft, "GOMEMLIMIT"
	}
	if n := cgroupLimit(root); n > 0 && (limit <= 0 || n < limit) {
		limit, of = n, "the cgroup's limit"
	}
	return limit, of
}

// cgroupLimit is the smallest limit of the process's cgroup and those above it;
// 0 for none (cgroups(7)).
func cgroupLimit(root fs.FS) int64 {
	b, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0
	}
	least := int64(0)
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 {
			continue
		}
		var mount, file string
		switch {
		case parts[0] == "0" && parts[1] == "":
			mount, file = "sys/fs/cgroup", "memory.max"
		case hasWord(parts[1], "memory"):
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		// In a container the path may be the host's, and the mount what is below
		// it: walking up ends at the mount in any case.
		for dir := path.Join("/", parts[2]); ; dir = path.Dir(dir) {
			if n := limitIn(root, path.Join(mount, dir, file)); n > 0 && (least == 0 || n < least) {
				least = n
			}
			if dir == "/" {
				break
			}
		}
	}
	return least
}

func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// noLimit is what version 1 says where there is none, or more.
const noLimit = 1 << 62

func limitIn(root fs.FS, name string) int64 {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64) // "max" is none
	if err != nil || n <= 0 || n >= noLimit {
		return 0
	}
	return n
}
