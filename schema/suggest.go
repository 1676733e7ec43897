package schema

import (
	"reflect"
	"strings"
)

// suggest gives "; did you mean X?" for the known name that is nearest to what
// was written, or "" when none is near.
func suggest(written string, known map[string]reflect.StructField) string {
	best, least := "", 3
	for name := range known {
		d := distance(strings.ToLower(written), strings.ToLower(name))
		if d < least || d == least && best != "" && name < best {
			best, least = name, d
		}
	}
	if best == "" || len(written) <= least {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is the number of letters to add, drop or change to make a into b.
// Long names are not compared.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
