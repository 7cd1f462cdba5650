package lint_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/lint/rules"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

var update = flag.Bool("update", false, "write what is found into the golden files")

// Each file of testdata is one construct: migrations in order, one a file, and
// what is found in them. The words of a tool stand in lines "-- op: …".
func TestFindings(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			dialect := strings.TrimSpace(strings.TrimPrefix(string(a.Comment), "dialect:"))
			var all []ship.Migration
			want, at := "", -1
			for i, f := range a.Files {
				if f.Name == "want" {
					want, at = string(f.Data), i
					continue
				}
				all = append(all, migration(t, f))
			}
			got := describe(linter(t).ClassifyAll(all, lint.Options{Dialect: sqltext.Dialect(dialect)}))
			if *update {
				if at < 0 {
					a.Files = append(a.Files, txtar.File{Name: "want"})
					at = len(a.Files) - 1
				}
				a.Files[at].Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func linter(t *testing.T) *lint.Linter {
	t.Helper()
	l, err := lint.New(rules.All())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func migration(t *testing.T, f txtar.File) ship.Migration {
	m := ship.Migration{ID: f.Name, File: f.Name, Applied: strings.Contains(f.Name, "applied")}
	var sql []string
	for line := range strings.Lines(string(f.Data)) {
		if op, ok := strings.CutPrefix(line, "-- op: "); ok {
			m.Operations = append(m.Operations, strings.TrimSpace(op))
			continue
		}
		sql = append(sql, line)
	}
	m.SQL = strings.Join(sql, "")
	var err error
	if m.Declared, m.Reason, err = sqltext.Declaration(m.SQL); err != nil {
		t.Fatal(err)
	}
	return m
}

func describe(all []ship.Migration) string {
	var b strings.Builder
	for _, m := range all {
		fmt.Fprintf(&b, "%s: %s\n", m.ID, m.Phase)
		for _, f := range m.Findings {
			fmt.Fprintf(&b, "  %s\n", f)
		}
	}
	return b.String()
}

func TestAMigrationIsClassifiedWithoutChangingIt(t *testing.T) {
	m := ship.Migration{ID: "1", SQL: "DROP TABLE product"}
	got := linter(t).Classify(m, lint.Options{Dialect: "postgres"})
	if got.Phase != ship.Contract || len(got.Findings) != 1 || m.Phase != "" || m.Findings != nil {
		t.Errorf("%+v of %+v", got, m)
	}
}

func TestWhatCannotBeReadIsNotCalledSafe(t *testing.T) {
	for _, m := range []ship.Migration{
		{File: "migrate/1.rb"},
		{SQL: "SELECT 'open"},
		{SQL: "FROBNICATE product"},
		{SQL: "\\connect other"},
		{SQL: "DO $$ BEGIN DROP TABLE product; END $$"},
		{Operations: []string{"command"}},
		{Operations: []string{"OwnOperation product"}},
		{Operations: []string{"AddField product.price", "SQL not shown: too long"}},
		{Operations: []string{"execute", "SQL not shown: TypeError"}},
		{SQL: "SELECT 1", Declared: "later", Reason: "so"},
	} {
		if got := linter(t).Classify(m, lint.Options{Dialect: "postgres"}); got.Phase != ship.Contract || len(got.Findings) == 0 {
			t.Errorf("%+v is %s", m, got.Phase)
		}
	}
	if got := linter(t).Classify(ship.Migration{SQL: "SELECT 1"}, lint.Options{Dialect: "oracle"}); got.Phase != ship.Contract {
		t.Errorf("a migration for an unknown database is %s", got.Phase)
	}
}
