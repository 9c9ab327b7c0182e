package config

import "strings"

// Nearest finds the known word that was probably meant, or "" when none is
// near. Case, hyphens and underscores are no difference, so that
// "MaxMessageSize" finds max_message_size.
func Nearest(word string, known []string) string {
	// Nobody mistypes a word of this length; comparing it would cost its
	// length for each known word.
	if len(word) > 100 {
		return ""
	}
	word = plainWord(word)
	best, bestDistance := "", 0
	for _, k := range known {
		plain := plainWord(k)
		most := max(1, min(len(word), len(plain))/3)
		d := distance(word, plain)
		if d > most && len(word) >= 4 && strings.HasPrefix(plain, word) {
			d = most // the beginning of a longer word
		}
		if d > most {
			continue
		}
		if best == "" || d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

func plainWord(s string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(s))
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to get from a to b (optimal string alignment).
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replaced := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, replaced)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
