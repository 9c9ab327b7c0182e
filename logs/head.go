package logs

import (
	"strings"
	"time"
)

// AppendHead appends the lines at the head of a file of CSV of a kind that
// begins at a moment: those that begin with "#" (reference 7).
func AppendHead(b []byte, k Kind, began time.Time) []byte { return k.Layout().appendHead(b, began) }

func (l Layout) appendHead(b []byte, began time.Time) []byte {
	return append(b, software+formatVersion+"#Log-type: "+l.Type+
		"\n#Date: "+began.UTC().Format(timeFormat)+"\n#Fields: "+strings.Join(l.Columns, ",")+"\n"...)
}
