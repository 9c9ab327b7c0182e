package backpressure

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"

	"postern/config"
)

// TestVolumeMeter compares with df, which is another's program.
func TestVolumeMeter(t *testing.T) {
	dir := t.TempDir()
	out, err := exec.Command("df", "--output=used,avail,iused,iavail", "-B1", dir).Output()
	if err != nil {
		t.Fatal("df: ", err)
	}
	var used, avail, iused, iavail int64
	if _, err := fmt.Sscan(strings.Split(string(out), "\n")[1], &used, &avail, &iused, &iavail); err != nil {
		t.Fatalf("df printed %q: %v", out, err)
	}
	near := func(a, b, by int64) bool { return a-b <= by && b-a <= by } // others write meanwhile
	r, err := VolumeMeter(dir)()
	if err != nil || !near(r.Used, used, 256<<20) || !near(r.Limit, used+avail, 256<<20) || r.Of != dir {
		t.Errorf("%+v, %v; df says %d used, %d free", r, err, used, avail)
	}
	r, err = InodeMeter(dir)()
	if err != nil || !near(r.Used, iused, 20000) || !near(r.Limit, iused+iavail, 20000) {
		t.Errorf("inodes: %+v, %v; df says %d used, %d free", r, err, iused, iavail)
	}
	if r, err := VolumeMeter(filepath.Join(dir, "not/yet"))(); err != nil || !near(r.Used, used, 256<<20) || r.Of != filepath.Join(dir, "not/yet") {
		t.Errorf("of a directory that is still to be made: %+v, %v", r, err)
	}
	if r, err := VolumeMeter(filepath.Join(dir, "\x00"))(); err == nil {
		t.Errorf("of what can't be: %+v", r)
	}
	if !SharedVolume(dir, filepath.Join(dir, "not/yet")) || SharedVolume(dir, "/proc") {
		t.Error("SharedVolume is wrong")
	}
}

func TestDescriptorMeter(t *testing.T) {
	read := DescriptorMeter()
	before, err := read()
	if err != nil {
		t.Fatal(err)
	}
	var files []*os.File
	for range 20 {
		f, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	after, err := read()
	if err != nil || after.Used != before.Used+20 || after.Limit < after.Used {
		t.Errorf("%+v, with 20 more %+v, %v", before, after, err)
	}
	if n, err := listDescriptors(); err != nil || n != after.Used {
		t.Errorf("counted one by one %d, %v, want %d", n, err, after.Used)
	}
	for _, f := range files {
		f.Close()
	}
}

func TestMemoryMeter(t *testing.T) {
	read := MemoryMeter()
	before, err := read()
	if err != nil || before.Used < 1<<20 || before.Limit < before.Used {
		t.Fatalf("%+v, %v", before, err)
	}
	const n = 64 << 20
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(b)
	for i := 0; i < n; i += 4096 {
		b[i] = 1
	}
	after, err := read()
	if grown := after.Used - before.Used; err != nil || grown < n*9/10 || grown > n*2 {
		t.Errorf("64 MB more made it %d more, %v", grown, err)
	}
}

func TestMemoryLimit(t *testing.T) {
	const ram, none = 16 << 30, math.MaxInt64
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	for name, tt := range map[string]struct {
		files fstest.MapFS
		soft  int64
		want  int64
		of    string
	}{
		"nothing":    {fstest.MapFS{}, none, ram, "RAM"},
		"GOMEMLIMIT": {fstest.MapFS{}, 1 << 30, 1 << 30, "GOMEMLIMIT"},
		"version 2": {fstest.MapFS{
			"proc/self/cgroup": file("0::/system.slice/postern.service\n"),
			"sys/fs/cgroup/system.slice/postern.service/memory.max": file("2147483648\n"),
			"sys/fs/cgroup/system.slice/memory.max":                 file("max\n"),
		}, none, 2 << 30, "the cgroup's limit"},
		"version 2, the parent's is smaller": {fstest.MapFS{
			"proc/self/cgroup":             file("0::/a/b\n"),
			"sys/fs/cgroup/a/b/memory.max": file("2147483648\n"),
			"sys/fs/cgroup/a/memory.max":   file("1073741824\n"),
		}, none, 1 << 30, "the cgroup's limit"},
		"version 1": {fstest.MapFS{
			"proc/self/cgroup": file("5:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/\n"),
			"sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": file("536870912\n"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes":            file("9223372036854771712\n"),
		}, none, 512 << 20, "the cgroup's limit"},
		"version 1 in a container, which sees no path of the host's": {fstest.MapFS{
			"proc/self/cgroup":                           file("4:memory:/docker/abc\n"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes": file("536870912\n"),
		}, none, 512 << 20, "the cgroup's limit"},
		"the smallest of all": {fstest.MapFS{
			"proc/self/cgroup":           file("0::/a\n"),
			"sys/fs/cgroup/a/memory.max": file("2147483648\n"),
		}, 1 << 30, 1 << 30, "GOMEMLIMIT"},
		"more than RAM": {fstest.MapFS{
			"proc/self/cgroup":           file("0::/a\n"),
			"sys/fs/cgroup/a/memory.max": file("109951162777600\n"),
		}, none, ram, "RAM"},
		"garbage": {fstest.MapFS{
			"proc/self/cgroup":           file("0::/../../etc\nx\n\n1:memory\n0::/a"),
			"sys/fs/cgroup/a/memory.max": file("-5"),
			"sys/fs/cgroup/memory.max":   file("lots"),
		}, none, ram, "RAM"},
	} {
		if got, of := memoryLimit(tt.files, ram, tt.soft); got != tt.want || of != tt.of {
			t.Errorf("%s: %d, %s; want %d, %s", name, got, of, tt.want, tt.of)
		}
	}
}

func FuzzStatm(f *testing.F) {
	f.Add([]byte("2210 1043 702 200 0 345 0\n"))
	f.Add([]byte("1 "))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := secondNumber(b)
		if n < 0 || err == nil && strconv.FormatInt(n, 10) != strings.TrimLeft(strings.SplitN(string(b), " ", 3)[1], "0") && n != 0 {
			t.Fatalf("%q is %d, %v", b, n, err)
		}
	})
}

func FuzzCgroup(f *testing.F) {
	f.Add("0::/a/b\n", "max")
	f.Add("4:memory:/x\n0::/", "123")
	f.Fuzz(func(t *testing.T, cgroup, limit string) {
		root := recorder{fstest.MapFS{"proc/self/cgroup": {Data: []byte(cgroup)}, "sys/fs/cgroup/memory.max": {Data: []byte(limit)}}, t}
		if n := cgroupLimit(root); n < 0 || n >= noLimit {
			t.Fatalf("%q with %q: %d", cgroup, limit, n)
		}
	})
}

// recorder sees to it that nothing outside the cgroups is read.
type recorder struct {
	fstest.MapFS
	t *testing.T
}

func (r recorder) ReadFile(name string) ([]byte, error) {
	if name != "proc/self/cgroup" && !strings.HasPrefix(name, "sys/fs/cgroup/") {
		r.t.Fatalf("%q is read", name)
	}
	return fs.ReadFile(r.MapFS, name)
}

func TestLint(t *testing.T) {
	dir := t.TempDir()
	r, err := VolumeMeter(dir)()
	if err != nil {
		t.Fatal(err)
	}
	more := strconv.FormatInt(r.Limit>>20+1, 10) + "MB free"
	for name, tt := range map[string]struct {
		text, path, message string
	}{
		"the defaults":               {"", "", ""},
		"off":                        {"[back_pressure]\nenabled = false\ndisk.high = \"" + more + "\"\n", "", ""},
		"beyond the volume's size":   {"[back_pressure.disk]\nhigh = \"" + more + "\"\n", "back_pressure.disk.high", "high is beyond the size of the resource (" + dir},
		"medium beyond it":           {"[back_pressure.disk]\nmedium = \"" + more + "\"\n", "back_pressure.disk.medium", "medium is beyond"},
		"high before medium":         {"[back_pressure.disk]\nmedium = \"50%\"\nhigh = \"60% free\"\n", "back_pressure.disk.high", "medium ("},
		"falls where it never comes": {"[back_pressure.disk]\nmedium_to_normal = \"100% free\"\n", "back_pressure.disk.medium_to_normal", "is beyond the size"},
		"falls above where it rises": {"[back_pressure.disk]\nmedium = \"50%\"\nmedium_to_normal = \"30% free\"\n", "back_pressure.disk.medium_to_normal", "falls to normal at"},
		"memory beyond the limit":    {"[back_pressure.memory]\nhigh = \"900TB\"\n", "back_pressure.memory.high", "is beyond"},
	} {
		cfg, findings, err := config.Parse("edge.toml", []byte(fmt.Sprintf("[server]\nfqdn = \"edge.contoso.example\"\ndata_dir = %q\n[[receive_connector]]\nname = \"In\"\nbindings = [\"127.0.0.1:2525\"]\n%s", dir, tt.text)))
		if err != nil || config.HasErrors(findings) {
			t.Fatalf("%s: %v %+v", name, err, findings)
		}
		got := Lint(cfg)
		if tt.path == "" {
			if len(got) > 0 {
				t.Errorf("%s: %+v", name, got)
			}
			continue
		}
		if len(got) != 1 || got[0].Path != tt.path || got[0].Severity != config.Error || !strings.Contains(got[0].Message, tt.message) || got[0].Remedy == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestOutlook(t *testing.T) {
	cfg, _, err := config.Default()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cfg.Queue.Directory, cfg.Logs.Directory = filepath.Join(dir, "not/yet/there"), filepath.Join(dir, "logs")
	cfg.BackPressure.Messages.Enabled = false
	byName := map[Name]ResourceStatus{}
	for _, r := range Outlook(cfg) {
		byName[r.Name] = r
	}
	if d := byName[Disk]; d.State != StateWatched || d.Of != cfg.Queue.Directory || d.MediumText == "" || d.ValueText == "" || d.Limit == 0 {
		t.Errorf("%+v", d)
	}
	if _, there := byName[LogDisk]; there {
		t.Error("the volume of the logs is shown although it is that of the spool")
	}
	if q := byName[SubmissionQueue]; q.HighText != "15000" || q.ValueText != "" {
		t.Errorf("%+v", q)
	}
	if byName[Messages].State != StateOff {
		t.Errorf("%+v", byName[Messages])
	}
}

// BenchmarkRound is one round of all real meters.
func BenchmarkRound(b *testing.B) {
	dir := b.TempDir()
	nothing := func() (Reading, error) { return Reading{Limit: 4}, nil }
	m := New(Options{Config: defaults(b), Meters: map[Name]Meter{
		Disk: VolumeMeter(dir), LogDisk: VolumeMeter(dir), Inodes: InodeMeter(dir), Memory: MemoryMeter(), FileDescriptors: DescriptorMeter(),
		Segments: nothing, SubmissionQueue: nothing, Messages: nothing, SyncLatency: nothing,
	}})
	m.Start()
	end(b, m)
	b.ReportAllocs()
	for b.Loop() {
		m.round(m.measured)
	}
}

// BenchmarkMail is what a MAIL command pays while all is normal.
func BenchmarkMail(b *testing.B) {
	m := New(Options{Config: defaults(b)})
	b.ReportAllocs()
	for b.Loop() {
		if m.Mail(true).Refuse {
			b.Fatal("refused")
		}
	}
}
