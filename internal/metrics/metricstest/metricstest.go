// Package metricstest compares what is exported with what the documents say is.
// It knows how docs/operations.md lists measurements, and refuses to know any
// of them.
package metricstest

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/metrics"
)

// Documented fails the test unless the section of the document lists exactly
// these families, by name, kind and labels, each with a unit and a meaning.
// Every family has to have a point.
func Documented(t *testing.T, document, section string, families []metrics.Family) {
	t.Helper()
	rows := table(t, document, section)
	for _, f := range families {
		kind := map[metrics.Kind]string{metrics.Gauge: "gauge", metrics.Counter: "counter", metrics.Histogram: "histogram"}[f.Kind]
		labels := "–"
		if len(f.Labels) > 0 {
			labels = "`" + strings.Join(f.Labels, "`, `") + "`"
		}
		row, ok := rows[f.Name]
		delete(rows, f.Name)
		switch {
		case !ok:
			t.Errorf("%s is exported and not in section %q of %s", f.Name, section, document)
		case row[0] != kind || row[1] != labels:
			t.Errorf("%s is a %s of %s, %s says it is a %s of %s", f.Name, kind, labels, document, row[0], row[1])
		case slices.Contains(row, ""):
			t.Errorf("%s has no unit or no meaning in %s", f.Name, document)
		}
	}
	for name := range rows {
		t.Errorf("%s is in %s and not exported", name, document)
	}
}

// table returns the rows below a heading by the name in their first cell.
func table(t *testing.T, document, section string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n### "+section+"\n")
	if !found {
		t.Fatalf("%s has no section %q", document, section)
	}
	rest, _, _ = strings.Cut(rest, "\n#")
	rows := map[string][]string{}
	for line := range strings.Lines(rest) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		name, isName := strings.CutPrefix(cells[0], "| `")
		if !isName {
			continue
		}
		if len(cells) != 5 {
			t.Fatalf("%s: a row has %d cells: %s", document, len(cells), line)
		}
		cells[4] = strings.TrimSuffix(cells[4], " |")
		rows[strings.TrimSuffix(name, "`")] = cells[1:]
	}
	return rows
}
