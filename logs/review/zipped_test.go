package review

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// logOf is a log file of some sessions, begun at a time of its own.
func logOf(begun string, jsonLines bool, ids ...string) string {
	var b strings.Builder
	if !jsonLines {
		b.WriteString(strings.Replace(ownHeader, "2026-11-20T00:00:00.000Z", begun, 1))
	}
	for _, id := range ids {
		if jsonLines {
			fmt.Fprintf(&b, `{"time":"%s","log":"receive","connector":"In","session":"%s","sequence":0,"event":"+"}`+"\n", begun, id)
			fmt.Fprintf(&b, `{"time":"%s","log":"receive","connector":"In","session":"%s","sequence":1,"event":"-"}`+"\n", begun, id)
			continue
		}
		for _, l := range session(id, 1) {
			b.WriteString(l)
		}
	}
	return b.String()
}

// TestCompressedBeside: a file and the compressed one of its name are read once
// when they are one file, and both when they are not.
func TestCompressedBeside(t *testing.T) {
	const id = "AAAAAAAAAAAAAA%02d"
	ids := func(from, to int) (list []string) {
		for n := from; n <= to; n++ {
			list = append(list, fmt.Sprintf(id, n))
		}
		return list
	}
	for _, suffix := range []string{".log", ".jsonl"} {
		j := suffix == ".jsonl"
		old, grown := logOf("2026-11-20T07:00:00.000Z", j, ids(1, 3)...), logOf("2026-11-20T07:00:00.000Z", j, ids(1, 5)...)
		anew := logOf("2026-11-20T08:00:00.000Z", j, ids(6, 7)...)
		for _, c := range []struct {
			name          string
			plain, zipped string
			want          int
		}{
			{"one file", old, old, 3},
			{"compressed a while ago, written on", grown, old, 5},
			{"gunzip at work", old, grown, 5},
			{"compressed while it was written, begun anew", anew, old, 5},
			{"begun anew, with nothing in it yet", "", old, 3},
			{"gzip at work", old, "", 3},
		} {
			t.Run(c.name+suffix, func(t *testing.T) {
				dir := t.TempDir()
				path := put(t, dir, "RECV20261120-1"+suffix, c.plain)
				if c.zipped == "" {
					put(t, dir, "RECV20261120-1"+suffix+".gz", "")
				} else {
					writeZipped(t, path+".gz", []byte(c.zipped))
				}
				var p Progress
				seen := make(map[string]bool)
				n := 0
				for _, s := range all(t, filesAt(t, dir), &Query{}, &p) {
					seen[s.ID] = true
					n++
				}
				if n != c.want || len(seen) != c.want || len(p.Troubles()) > 0 {
					t.Errorf("%d sessions, %d ids, want %d; troubles %q", n, len(seen), c.want, p.Troubles())
				}
			})
		}
	}
}

// TestFollowCompressed: what is begun anew under the name of a file that was
// compressed while it was written is followed, whether following began before
// that or behind it.
func TestFollowCompressed(t *testing.T) {
	for _, early := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			g := newGateway(t, 1<<20)
			defer g.log.Close(t.Context())
			g.session("In", "old", "250 ok")
			time.Sleep(2 * time.Second)
			var p Progress
			var seen func() string
			if early {
				seen = follow(t, g.dir, &Query{}, &p)
				seen()
			}
			path := g.files()[0]
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			writeZipped(t, path+".gz", text)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if !early {
				seen = follow(t, g.dir, &Query{}, &p)
				seen()
			}
			g.session("In", "new", "250 ok")
			if got := seen(); got != "new" || len(p.Troubles()) > 0 {
				t.Errorf("early %v: saw %q, troubles %q, of %q", early, got, p.Troubles(), g.files())
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("the gateway takes another name now (%v): what do files named alike come from?", filepath.Base(g.files()[0]))
			}
		})
	}
}
