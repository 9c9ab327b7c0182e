package review

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/config"
	"postern/logs"
)

// Files is the logs in files: a Source. It looks for them anew at each call, so
// that it sees what was rotated meanwhile. The zero value has none.
type Files struct {
	places []place
}

// place is somewhere to look for log files.
type place struct {
	path string
	// kind and flat say that this is the directory of one log, whose files lie
	// right in it; else all logs below are taken.
	kind logs.Kind
	flat bool
}

// Configured returns the logs of a gateway with this configuration.
func Configured(cfg *config.Config) *Files {
	f := new(Files)
	for _, k := range logs.Kinds() {
		f.places = append(f.places, place{path: logs.Directory(cfg, k), kind: k, flat: true})
	}
	return f
}

// At returns the logs at some paths: log files of any name, and directories, in
// which logs are known by their names whatever the folders are called, such as
// TransportRoles\Logs of an Exchange server. It fails when a path is not there, or
// is a pipe or a device.
func At(paths ...string) (*Files, error) {
	f := new(Files)
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("no logs there: %w", err)
		}
		if !info.IsDir() && !info.Mode().IsRegular() { // opening a pipe would wait for its writer
			return nil, fmt.Errorf("no logs there: %s is neither a file nor a directory; write what it gives into a file and read that", path)
		}
		f.places = append(f.places, place{path: path})
	}
	return f, nil
}

// logFile is one file of a log.
type logFile struct {
	path string
	// date is yyyymmddhh of the name as a number, n the number behind it; 0 for
	// a file of another name.
	date, n int
	day     time.Time // the day of the name, UTC; zero for a file of another name
	span    time.Duration
	zipped  bool
	json    bool
	size    int64
	// began is the time of the first line, where it was needed to put files in
	// order.
	began int64
	// beside says that a compressed file of the same name lies beside this one
	// and holds something else.
	beside bool
}

// fileSet is the files that one writer wrote one after the other.
type fileSet struct {
	kind  logs.Kind
	key   string    // what names the set
	files []logFile // oldest first
}

// prefixes are the beginnings of log files' names. Those of tracking logs are of
// Exchange's services.
var prefixes = [...]struct {
	prefix string
	kind   logs.Kind
}{
	{"RECV", logs.ReceiveProtocol}, {"SEND", logs.SendProtocol}, {"CONNECTLOG", logs.Connectivity}, {"AGENTLOG", logs.Agent}, {"EVENT", logs.EventLog},
	{"MSGTRKMS", logs.MessageTracking}, {"MSGTRKMD", logs.MessageTracking}, {"MSGTRKMA", logs.MessageTracking}, {"MSGTRK", logs.MessageTracking},
}

// parseName reads PREFIXyyyymmdd-n.log, with hours behind the day as newer
// Exchange servers have them, with .jsonl for .log, and with .gz behind it.
func parseName(name string) (f logFile, prefix string, kind logs.Kind, ok bool) {
	upper := strings.ToUpper(name)
	rest, zipped := strings.CutSuffix(upper, ".GZ")
	rest, isJSON := strings.CutSuffix(rest, ".JSONL")
	isLog := isJSON
	if !isJSON {
		rest, isLog = strings.CutSuffix(rest, ".LOG")
	}
	if !isLog {
		return f, "", 0, false
	}
	for _, p := range prefixes {
		stem, found := strings.CutPrefix(rest, p.prefix)
		if !found {
			continue
		}
		date, number, dashed := strings.Cut(stem, "-")
		if !dashed || len(date) != 8 && len(date) != 10 {
			continue
		}
		n, err := strconv.Atoi(number)
		day, err2 := time.Parse("20060102", date[:8])
		if err != nil || err2 != nil || n < 0 {
			continue
		}
		f = logFile{n: n, day: day, span: 24 * time.Hour, zipped: zipped, json: isJSON}
		if f.date, err = strconv.Atoi(date[:8]); err != nil {
			continue
		}
		hour := 0
		if len(date) == 10 {
			if hour, err = strconv.Atoi(date[8:]); err != nil || hour > 23 {
				continue
			}
			f.day, f.span = day.Add(time.Duration(hour)*time.Hour), time.Hour
		}
		f.date = f.date*100 + hour
		return f, p.prefix, p.kind, true
	}
	return f, "", 0, false
}

// maxDepth is how deep folders are searched.
const maxDepth = 12

// sets finds the files of some kinds. Directories that are not there, or may not
// be read, are told to p.
func (f *Files) sets(kinds []logs.Kind, p *Progress) []fileSet {
	found := make(map[string]*fileSet)
	var order []string
	add := func(key string, kind logs.Kind, file logFile) {
		if !slices.Contains(kinds, kind) {
			return
		}
		s := found[key]
		if s == nil {
			s = &fileSet{kind: kind, key: key}
			found[key] = s
			order = append(order, key)
		}
		s.files = append(s.files, file)
	}
	for _, place := range f.places {
		if place.flat && !slices.Contains(kinds, place.kind) {
			continue
		}
		place.walk(p, func(path string, info fs.FileInfo) {
			file, prefix, kind, ok := parseName(filepath.Base(path))
			key := filepath.Join(filepath.Dir(path), prefix)
			if !ok {
				if path != place.path {
					return
				}
				if kind, ok = sniff(path); !ok {
					p.trouble("%s is no log that is known: neither its name nor its head tells", path)
					return
				}
				file = logFile{zipped: strings.HasSuffix(strings.ToLower(path), ".gz")}
				key = path
			}
			if place.flat && kind != place.kind {
				return
			}
			file.path, file.size = path, info.Size()
			add(key, kind, file)
		})
	}
	sets := make([]fileSet, 0, len(order))
	for _, key := range order {
		s := found[key]
		s.sort()
		sets = append(sets, *s)
	}
	return sets
}

// walk calls yield for each regular file at the place.
func (pl place) walk(p *Progress, yield func(path string, info fs.FileInfo)) {
	root, err := filepath.EvalSymlinks(pl.path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			p.trouble("%v", err)
		}
		return
	}
	if info, err := os.Stat(root); err == nil && !info.IsDir() {
		if info.Mode().IsRegular() {
			yield(pl.path, info)
		}
		return
	}
	pl.descend(root, 0, p, yield)
}

func (pl place) descend(dir string, depth int, p *Progress, yield func(path string, info fs.FileInfo)) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.trouble("%v", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			if !pl.flat && depth < maxDepth {
				pl.descend(path, depth+1, p, yield)
			}
			continue
		}
		if _, _, _, ok := parseName(e.Name()); !ok {
			continue
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			yield(path, info)
		}
	}
}

// sort puts the files in order, oldest first.
func (s *fileSet) sort() {
	s.pair()
	// Where a day has files of both formats, their numbers do not tell which
	// came first.
	formats := make(map[int][2]bool)
	for _, f := range s.files {
		have := formats[f.date]
		if f.json {
			have[1] = true
		} else {
			have[0] = true
		}
		formats[f.date] = have
	}
	for i := range s.files {
		if f := &s.files[i]; formats[f.date] == [2]bool{true, true} {
			f.began = firstTime(f, s.kind)
		}
	}
	slices.SortStableFunc(s.files, func(a, b logFile) int {
		return cmp.Or(cmp.Compare(a.date, b.date), cmp.Compare(a.began, b.began), cmp.Compare(a.n, b.n), a.compareZipped(&b), cmp.Compare(a.path, b.path))
	})
}

// compareZipped puts what was compressed before what was begun anew under its
// name.
func (f *logFile) compareZipped(o *logFile) int {
	switch {
	case f.zipped == o.zipped:
		return 0
	case f.zipped:
		return -1
	}
	return 1
}

// pair takes a file that is there both as it was and compressed once. Where the
// two hold something else both are taken: a file that is compressed while it is
// written is begun anew under its name.
func (s *fileSet) pair() {
	plain := make(map[string]int)
	for i, f := range s.files {
		if !f.zipped {
			plain[f.path] = i
		}
	}
	drop := make(map[string]bool)
	for _, f := range s.files {
		if !f.zipped {
			continue
		}
		i, ok := plain[strings.TrimSuffix(f.path, filepath.Ext(f.path))]
		if !ok {
			continue
		}
		switch other := &s.files[i]; whichOf(other.path, f.path) {
		case takePlain:
			drop[f.path] = true
		case takeZipped:
			drop[other.path] = true
		case takeBoth:
			other.beside = true
		}
	}
	s.files = slices.DeleteFunc(s.files, func(f logFile) bool { return drop[f.path] })
}

// choice is what is read of a file and the compressed one beside it.
type choice int

const (
	takePlain choice = iota
	takeZipped
	takeBoth
)

// whichOf tells what to read of a file and the compressed one of its name. They
// are one file when they begin alike: the header's date and the times and ids of
// the first lines are no other file's. Either may be growing, since gzip or gunzip
// is at work.
func whichOf(plain, zipped string) choice {
	a, err := readHead(plain, false)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return takeZipped // compressed meanwhile
	case err != nil:
		return takeBoth // the reader tells why it can't be read
	}
	b, err := readHead(zipped, true)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return takeBoth
	case err != nil || len(b) == 0:
		return takePlain // nothing of it can be read yet
	case !bytes.Equal(a[:min(len(a), len(b))], b[:min(len(a), len(b))]):
		return takeBoth
	case len(a) == 0:
		return takeBoth // begun anew, with nothing in it yet
	case len(a) < len(b):
		return takeZipped
	}
	return takePlain
}

// firstTime returns the time of a file's first line; 0 where there is none.
func firstTime(f *logFile, kind logs.Kind) int64 {
	head, err := readHead(f.path, f.zipped)
	if err != nil {
		return 0
	}
	var c clock
	for line := range lines(head) {
		if t, ok := lineTime(&c, line); ok {
			return t
		}
	}
	return 0
}

// sniff tells the kind of a file by its head.
func sniff(path string) (logs.Kind, bool) {
	head, err := readHead(path, strings.HasSuffix(strings.ToLower(path), ".gz"))
	if err != nil {
		return 0, false
	}
	for line := range lines(head) {
		text := string(line)
		if len(line) > 0 && line[0] == '{' {
			kind, known := logs.Kind(0), false
			eachPair(line, func(key, value []byte) {
				if string(key) == "log" {
					kind, known = logs.KindOf(string(value))
				}
			})
			return kind, known
		}
		for _, k := range logs.Kinds() {
			name, value, _ := strings.Cut(text, ":")
			if strings.EqualFold(name, "#log-type") && strings.EqualFold(strings.TrimSpace(value), k.Layout().Type) {
				return k, true
			}
		}
	}
	return 0, false
}
