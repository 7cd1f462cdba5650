package lint

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/shiplock/shiplock/internal/sqltext"
)

// The oldest versions that rules are asked for when nobody names one:
// PostgreSQL's oldest supported, and the SQLite of Python on Debian.
func oldest(d sqltext.Dialect) int {
	if d == sqltext.SQLite {
		return 3040
	}
	return 15
}

// ParseVersion reads a server version: "16", "16.4", "PostgreSQL 15.18" become
// 16, 16, 15; of SQLite "3.53.0" becomes 3053.
func ParseVersion(d sqltext.Dialect, text string) (int, error) {
	if text == "" {
		return oldest(d), nil
	}
	digits := strings.TrimLeft(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	first, _, _ := strings.Cut(digits, " ")
	parts := strings.Split(first, ".")
	major, err := strconv.Atoi(parts[0])
	if err != nil {
		return 0, fmt.Errorf("%q is no version of a server", text)
	}
	if d == sqltext.SQLite {
		minor := 0
		if len(parts) > 1 {
			minor, err = strconv.Atoi(parts[1])
		}
		if err != nil || major != 3 || minor > 999 {
			return 0, fmt.Errorf("%q is no version of SQLite", text)
		}
		return major*1000 + minor, nil
	}
	if major < 11 || major > 99 {
		return 0, fmt.Errorf("PostgreSQL %d is not known, 11 and newer are", major)
	}
	return major, nil
}

// unreadable is the id of findings of what cannot be read.
func unreadable(d sqltext.Dialect) string {
	if d == sqltext.SQLite {
		return "SL000"
	}
	return "PG000"
}

// newer tells whether what is not understood is syntax this reader knows by
// its words alone.
func newer(t *sqltext.Tree) bool {
	return t.Verb == "" && len(t.Words) > 0 && t.Words[0] == "REPACK"
}
