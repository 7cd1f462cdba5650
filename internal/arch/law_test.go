package arch_test

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// A law is what the tables of docs/architecture.md say.
type law struct {
	packages []*row // package | what it is for | may import
	vendors  []*row // vendor | what for | only in
	calls    []*row // call | why | only in
}

// A row of a table: the code spans of its first and of its last cell.
type row struct {
	names []string // patterns of path.Match
	may   []string // patterns of path.Match; anything is "**"
	used  bool
}

// anything, in a last cell, allows everything.
const anything = "anything"

// readLaw finds the three tables by the words in their head rows.
func readLaw(markdown string) (*law, error) {
	l := &law{}
	tables := map[string]*[]*row{"package": &l.packages, "vendor": &l.vendors, "call": &l.calls}
	var current *[]*row
	for line := range strings.Lines(markdown) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			current = nil
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		first, last := strings.TrimSpace(cells[0]), strings.TrimSpace(cells[len(cells)-1])
		if t, ok := tables[first]; ok && current == nil {
			current = t
			continue
		}
		if current == nil || strings.HasPrefix(first, "-") {
			continue
		}
		r := &row{names: codeSpans(first), may: codeSpans(last)}
		if last == anything {
			r.may = []string{"**"}
		}
		if len(r.names) == 0 {
			return nil, fmt.Errorf("docs/architecture.md: row %q names nothing in `backquotes`", line)
		}
		*current = append(*current, r)
	}
	for name, t := range tables {
		if len(*t) == 0 {
			return nil, fmt.Errorf("docs/architecture.md has no table whose first column is %q", name)
		}
	}
	return l, nil
}

func codeSpans(cell string) []string {
	var spans []string
	for i, part := range strings.Split(cell, "`") {
		if i%2 == 1 {
			spans = append(spans, part)
		}
	}
	return spans
}

// find returns the first row that names name, and marks it as used.
func find(rows []*row, name string) *row {
	for _, r := range rows {
		if matches(r.names, name) {
			r.used = true
			return r
		}
	}
	return nil
}

// allows tells whether the row's last cell names the folder, which is written
// there without "internal/".
func (r *row) allows(dir string) bool {
	return matches(r.may, strings.TrimPrefix(dir, "internal/"))
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, _ := path.Match(p, name)
		return ok || p == "**"
	})
}

// unused names the rows that described nothing.
func unused(rows []*row) []string {
	var names []string
	for _, r := range rows {
		if !r.used {
			names = append(names, strings.Join(r.names, " "))
		}
	}
	return names
}
