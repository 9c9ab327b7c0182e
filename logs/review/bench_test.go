package review

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"postern/logs"
)

// writeOut writes sessions straight to files, without the log's own writer:
// interleaved, as fast as can be. It returns how many octets there are.
func writeOut(tb testing.TB, dir string, octets int64, asJSON bool) int64 {
	tb.Helper()
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	var ids logs.SessionIDs
	var total int64
	files := map[logs.Direction]*os.File{}
	name, size := map[logs.Direction]int{}, map[logs.Direction]int64{}
	for round := 0; total < octets; round++ {
		scripts := traffic(uint64(round), 4000, 4*time.Hour)
		var all []logs.Line
		kinds := map[string]logs.Direction{}
		for _, s := range scripts {
			s.id = ids.Next()
			kinds[s.id] = s.direction
			at := start.Add(time.Duration(round)*4*time.Hour + s.begins)
			for i, st := range s.steps {
				at = at.Add(st.wait)
				connector := s.connector
				if s.direction == logs.Receive {
					connector = `EDGE01\` + connector
				}
				all = append(all, logs.Line{Time: at.Truncate(time.Millisecond), Connector: connector, Session: s.id, Sequence: i,
					Local: s.local, Remote: s.remote, Event: st.event, Data: st.data, Context: st.context})
			}
		}
		slices.SortStableFunc(all, func(a, b logs.Line) int { return a.Time.Compare(b.Time) })
		bufs := map[logs.Direction][]byte{}
		for _, l := range all {
			d := kinds[l.Session]
			if asJSON {
				bufs[d] = l.AppendJSON(bufs[d], d.Kind())
			} else {
				bufs[d] = l.Append(bufs[d])
			}
		}
		for d, buf := range bufs {
			if files[d] == nil || size[d] > 100<<20 {
				if files[d] != nil {
					files[d].Close()
				}
				name[d]++
				layout := d.Kind().Layout()
				path := filepath.Join(dir, layout.Directory)
				os.MkdirAll(path, 0o755)
				ext := "log"
				if asJSON {
					ext = "jsonl"
				}
				f, err := os.Create(filepath.Join(path, fmt.Sprintf("%s%s-%d.%s", layout.Prefix, start.Format("20060102"), name[d], ext)))
				if err != nil {
					tb.Fatal(err)
				}
				files[d], size[d] = f, 0
				if !asJSON {
					fmt.Fprintf(f, "#Software: Postern\n#Version: 15.0.0.0\n#Log-type: %s\n#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context\n", layout.Type)
				}
			}
			if _, err := files[d].Write(buf); err != nil {
				tb.Fatal(err)
			}
			size[d] += int64(len(buf))
			total += int64(len(buf))
		}
	}
	for _, f := range files {
		f.Close()
	}
	return total
}

func BenchmarkSessions(b *testing.B) {
	for _, form := range []string{"csv", "json"} {
		dir := b.TempDir()
		total := writeOut(b, dir, 100<<20, form == "json")
		files, err := At(dir)
		if err != nil {
			b.Fatal(err)
		}
		for _, c := range []struct {
			name    string
			filters Filters
		}{
			{"none", Filters{}},
			{"from-rare", Filters{From: []string{"nobody@nowhere.invalid"}}},
			{"from-common", Filters{From: []string{"bob@fabrikam.example"}}},
			{"reply", Filters{Reply: []string{"4.7.*"}}},
			{"text", Filters{Text: "no such text"}},
			{"failed", Filters{Failed: true}},
			{"peer", Filters{Peer: []string{"198.51.100.7"}}},
			{"connector", Filters{Connector: []string{"Submission"}, MinDuration: "20s"}},
		} {
			b.Run(form+"/"+c.name, func(b *testing.B) {
				q, err := c.filters.Query(time.Now())
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(total)
				n, began := 0, cpuTime()
				for b.Loop() {
					n = 0
					for _, err := range files.Sessions(context.Background(), q, nil) {
						if err != nil {
							b.Fatal(err)
						}
						n++
					}
				}
				b.ReportMetric(float64(n), "sessions")
				if used := cpuTime() - began; used > 0 {
					b.ReportMetric(float64(total)*float64(b.N)/1e6/used.Seconds(), "MB/cpu-s")
				}
			})
		}
		b.Run(form+"/id", func(b *testing.B) {
			b.SetBytes(total)
			for b.Loop() {
				for _, err := range files.Sessions(context.Background(), &Query{Sessions: []string{"08DD5A0B1C2D3E4F"}}, nil) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
