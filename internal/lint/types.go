package lint

import (
	"regexp"
	"slices"
	"strconv"
)

var typeParts = regexp.MustCompile(`^([a-z_ ]+?)(?:\(([0-9]+)(?:,(-?[0-9]+))?\))?$`)

// TypeParts returns a type's name and its limits, -1 for none.
func TypeParts(name string) (base string, a, b int) {
	m := typeParts.FindStringSubmatch(name)
	if m == nil {
		return name, -1, -1
	}
	a, b = -1, -1
	if m[2] != "" {
		a, _ = strconv.Atoi(m[2])
		b = 0
	}
	if m[3] != "" {
		b, _ = strconv.Atoi(m[3])
	}
	return m[1], a, b
}

// Widens tells whether a change of type changes the catalogue alone.
func Widens(from, to string) bool {
	fb, fa, fs := TypeParts(from)
	tb, ta, ts := TypeParts(to)
	switch {
	case (fb == "varchar" || fb == "text") && (tb == "text" || tb == "varchar" && ta < 0):
		return true
	case fb == "varchar" && tb == "varchar":
		return fa >= 0 && ta >= fa
	case fb == "varbit" && tb == "varbit":
		return ta < 0 || fa >= 0 && ta >= fa
	case fb == "numeric" && tb == "numeric":
		return ta < 0 || fa >= 0 && ta >= fa && ts == fs
	case fb == tb && slices.Contains([]string{"timestamp", "timestamptz", "time", "timetz", "interval"}, fb):
		return ta < 0 || fa >= 0 && ta >= fa
	case fb == "cidr" && tb == "inet":
		return true
	}
	return false
}

// Narrows tells whether values may not fit any more.
func Narrows(from, to string) bool {
	fb, fa, fs := TypeParts(from)
	tb, ta, ts := TypeParts(to)
	ints := []string{"smallint", "integer", "bigint"}
	switch i, j := slices.Index(ints, fb), slices.Index(ints, tb); {
	case i >= 0 && j >= 0:
		return j < i
	case (fb == "varchar" || fb == "text" || fb == "char") && (tb == "varchar" || tb == "char") && ta >= 0:
		return fa < 0 || ta < fa || tb == "char"
	case fb == "numeric" && tb == "numeric":
		return ta >= 0 && (fa < 0 || ta-ts < fa-fs || ts < fs || ta < fa || ts != fs)
	case fb == tb && slices.Contains([]string{"timestamp", "timestamptz", "time", "timetz", "interval"}, fb):
		return ta >= 0 && (fa < 0 || ta < fa)
	case fb == "double precision" && tb == "real":
		return true
	}
	return false
}
