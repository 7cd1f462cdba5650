package sqltext_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shiplock/shiplock/internal/sqltext"
)

func TestDropsAreWhatWasThereBefore(t *testing.T) {
	for sql, want := range map[string][]sqltext.Drop{
		"ALTER TABLE t DROP COLUMN a, DROP b;":                                         {{Table: "t", Column: "a"}, {Table: "t", Column: "b"}},
		"DROP TABLE IF EXISTS a, shop.b CASCADE;":                                      {{Table: "a"}, {Table: "shop.b"}},
		"CREATE TABLE x (id int); ALTER TABLE x DROP COLUMN id; DROP TABLE x;":         nil,
		"ALTER TABLE t ADD COLUMN n int; ALTER TABLE t DROP COLUMN n;":                 nil,
		"ALTER TABLE t RENAME COLUMN a TO b; ALTER TABLE t DROP COLUMN b;":             {{Table: "t", Column: "a"}},
		"ALTER TABLE t RENAME TO u; ALTER TABLE u DROP COLUMN a; DROP TABLE u;":        {{Table: "t", Column: "a"}, {Table: "t"}},
		"CREATE TABLE n (id int, c int); DROP TABLE t; ALTER TABLE n RENAME TO t;":     {{Table: "t", Stays: []string{"id", "c"}}},
		"CREATE TABLE n AS SELECT id FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t;": {{Table: "t"}},
		"DROP INDEX i; DROP VIEW v; ALTER TABLE t DROP CONSTRAINT c;":                  nil,
		"SELECT 'DROP TABLE t'; -- DROP TABLE t":                                       nil,
	} {
		all, err := sqltext.Split(sql, sqltext.Postgres)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, sqltext.Drops(all, sqltext.Postgres)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", sql, diff)
		}
	}
}

func TestNotNullIsTakenOutOfADefinitionAndOfNothingElse(t *testing.T) {
	for def, want := range map[string]string{
		"code TEXT NOT NULL CHECK (code IS NOT NULL)":  "code TEXT CHECK (code IS NOT NULL)",
		`"not null" TEXT not  null DEFAULT 'NOT NULL'`: `"not null" TEXT DEFAULT 'NOT NULL'`,
		"a INT": "a INT",
	} {
		if got := sqltext.WithoutNotNull(def, sqltext.SQLite); got != want {
			t.Errorf("%s became %q, want %q", def, got, want)
		}
	}
}
