package rules_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/lint/rules"
	"github.com/shiplock/shiplock/internal/sqltext"
)

const pages = "../../../docs/rules"

func TestThePagesOfTheRulesAreThoseTheRulesMake(t *testing.T) {
	want := map[string]string{"README.md": index()}
	for _, r := range slices.Concat(lint.Notes(), rules.All()) {
		bad, good := rules.Examples(r.ID)
		want[r.ID+".md"] = r.Page(bad, good)
	}
	if *update {
		if err := os.MkdirAll(pages, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range want {
			if err := os.WriteFile(filepath.Join(pages, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	there, err := filepath.Glob(pages + "/*.md")
	if err != nil || len(there) != len(want) {
		t.Errorf("there are %d pages, want %d (%v); go test ./internal/lint/rules -update", len(there), len(want), err)
	}
	for name, text := range want {
		got, err := os.ReadFile(filepath.Join(pages, name))
		if err != nil {
			t.Errorf("%v; go test ./internal/lint/rules -update", err)
			continue
		}
		if diff := cmp.Diff(text, string(got)); diff != "" {
			t.Errorf("%s is stale; go test ./internal/lint/rules -update\n%s", name, diff)
		}
	}
}

// index is the page that lists all rules.
func index() string {
	var b strings.Builder
	b.WriteString("# The rules of lint\n\nWhat each operation does was measured on PostgreSQL 11 to 18 and SQLite. Generated from the rules; `shiplock lint --explain PG116` shows a page.\n")
	for _, c := range []lint.Class{lint.Block, lint.Gate, lint.Warn, lint.Info} {
		fmt.Fprintf(&b, "\n* **%s** %s", c, lint.ClassText(c))
	}
	b.WriteString("\n")
	for _, d := range []struct {
		name    string
		dialect sqltext.Dialect
	}{{"PostgreSQL", sqltext.Postgres}, {"SQLite", sqltext.SQLite}} {
		fmt.Fprintf(&b, "\n## %s\n\n| rule | class | about | locks and work |\n| --- | --- | --- | --- |\n", d.name)
		for _, r := range slices.Concat(lint.Notes(), rules.All()) {
			if r.Dialect == d.dialect {
				fmt.Fprintf(&b, "| [%s](%s.md) | %s | %s | %s |\n", r.ID, r.ID, r.Class, strings.ReplaceAll(r.Facts.Operation, "|", `\|`), strings.ReplaceAll(r.Facts.Locks, "|", `\|`))
			}
		}
	}
	return b.String()
}
