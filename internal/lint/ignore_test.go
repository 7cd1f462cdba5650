package lint_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

func found(t *testing.T, o lint.Options, files ...lint.File) []string {
	t.Helper()
	if o.Dialect == "" {
		o.Dialect = sqltext.Postgres
	}
	var all []string
	for _, f := range linter(t).Run(files, o) {
		all = append(all, fmt.Sprintf("%s:%d %s %s", f.File, f.Line, f.Class, f.Rule))
	}
	return all
}

func TestAnIgnoreCommentIsForTheStatementItBelongsTo(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"before it", "-- shiplock:ignore PG116 unused\nALTER TABLE a DROP COLUMN b;\nALTER TABLE a DROP COLUMN c;", "f.sql:3 G PG116"},
		{"beside it", "ALTER TABLE a DROP COLUMN b; -- shiplock:ignore PG116: unused\nALTER TABLE a DROP COLUMN c;", "f.sql:2 G PG116"},
		{"several rules", "-- shiplock:ignore PG116, PG117 unused\nALTER TABLE a DROP COLUMN b CASCADE;", ""},
		{"of the file", "-- shiplock:ignore-file PG116 reason=\"unused\"\nALTER TABLE a DROP COLUMN b;\nALTER TABLE a DROP COLUMN c;", ""},
		{"without a reason", "-- shiplock:ignore PG116\nALTER TABLE a DROP COLUMN b;", "f.sql:1 B PG090, f.sql:2 G PG116"},
		{"without a rule", "-- shiplock:ignore because\nALTER TABLE a DROP COLUMN b;", "f.sql:1 B PG090, f.sql:2 G PG116"},
		{"of another rule", "-- shiplock:ignore PG401 why\nALTER TABLE a DROP COLUMN b;", "f.sql:1 I PG090, f.sql:2 G PG116"},
		{"in a literal", "INSERT INTO t VALUES ('-- shiplock:ignore-file PG003 x');", "f.sql:1 W PG003"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := strings.Join(found(t, lint.Options{}, lint.File{Name: "f.sql", Text: c.text}), ", ")
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheConfigurationIgnoresOnlyWithAReason(t *testing.T) {
	f := lint.File{Name: "db/1_old.sql", Text: "ALTER TABLE a DROP COLUMN b;"}
	with := lint.Options{Ignore: []lint.Ignore{{Rule: "PG116", Files: "1_*.sql", Reason: "before we had rules"}}}
	if got := found(t, with, f); len(got) != 0 {
		t.Errorf("found %v", got)
	}
	without := lint.Options{Ignore: []lint.Ignore{{Rule: "PG116"}}}
	if got := found(t, without, f); len(got) != 1 {
		t.Errorf("found %v", got)
	}
}

func TestPartsOfToolsAreReadAsTheToolRunsThem(t *testing.T) {
	cic := "CREATE INDEX CONCURRENTLY i ON a (b);\n"
	twice := "ALTER TABLE a ADD CONSTRAINT c CHECK (b > 0) NOT VALID;\nALTER TABLE a VALIDATE CONSTRAINT c;\n"
	for _, c := range []struct{ name, file, text, want string }{
		{"goose runs a file in a transaction", "1_a.sql", "-- +goose Up\n" + cic, "1_a.sql:2 B PG402"},
		{"unless it is told not to", "1_a.sql", "-- +goose NO TRANSACTION\n-- +goose Up\n" + cic, "1_a.sql:3 I PG402"},
		{"dbmate does", "1_a.sql", "-- migrate:up\n" + cic, "1_a.sql:2 B PG402"},
		{"and does not", "1_a.sql", "-- migrate:up transaction:false\n" + cic, "1_a.sql:2 I PG402"},
		{"golang-migrate does not", "1_a.up.sql", cic, "1_a.up.sql:1 I PG402"},
		{"but sends several statements as one", "1_a.up.sql", twice, "1_a.up.sql:1 W PG302, 1_a.up.sql:2 B PG807"},
		{"also around what runs between two", "1_a.up.sql", cic + twice, "1_a.up.sql:1 I PG402, 1_a.up.sql:2 W PG302, 1_a.up.sql:3 B PG807"},
		{"and those a COMMIT parts as two", "1_a.up.sql", "BEGIN;\n" + strings.Replace(twice, "\n", "\nCOMMIT;\n", 1), "1_a.up.sql:2 W PG302, 1_a.up.sql:4 I PG303"},
		{"Flyway runs a file in a transaction", "V1__a.sql", "-- not concurrently\n" + twice, "V1__a.sql:2 W PG302, V1__a.sql:3 B PG807"},
		{"and an index outside of it", "V1__a.sql", cic, "V1__a.sql:1 I PG402"},
		{"BEGIN does", "a.sql", "BEGIN;\n" + cic + "COMMIT;", "a.sql:2 B PG402"},
		{"a way down may drop", "1_a.down.sql", "ALTER TABLE a DROP COLUMN b;", "1_a.down.sql:1 W PG116"},
		{"a way down may not scan", "1_a.sql", "-- +goose Up\n-- +goose Down\nALTER TABLE a ALTER b SET NOT NULL;", "1_a.sql:3 B PG121"},
		{"a way down drops what the way up made", "1_a.sql", "-- +goose Up\nALTER TABLE a ADD b int DEFAULT random();\n-- +goose Down\nALTER TABLE a DROP COLUMN b;", "1_a.sql:2 B PG103"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := strings.Join(found(t, lint.Options{}, lint.Parts(c.file, c.text)...), ", ")
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNamesAreOrderedAsToolsApplyThem(t *testing.T) {
	in := []string{"10_a.up.sql", "V1.10__x.sql", "2_b.down.sql", "2_b.up.sql", "V1.2__x.sql", "02_a.sql"}
	for i, want := range []struct{ a, b string }{{in[3], in[0]}, {in[4], in[1]}, {in[3], in[2]}, {"m/9.sql", "m/10.sql"}} {
		if lint.CompareNames(want.a, want.b) >= 0 || lint.CompareNames(want.b, want.a) <= 0 {
			t.Errorf("%d: %s does not come before %s", i, want.a, want.b)
		}
	}
}

func TestWhatCannotBeReadBlocks(t *testing.T) {
	for _, text := range []string{
		"ALTER TABEL a DROP COLUMN b", "CREATE TABLE a (b int,, c int)", "CREATE TABLE a (b int", "ALTER TABLE a ADD COLUMN b", "ALTER TABLE a ADD COLUMN b int NOT NUL",
		"ALTER TABLE a", "ALTER TABLE a ADD COLUMN b int,", "CREATE INDEX ON a", "CREATE INDEX i ON a ()", "DROP TABLE", "DROP TABLE a,", "UPDATE a", "DELETE a WHERE b = 1",
		"UPDATE a SET b = 1 WHERE", "INSERT a VALUES (1)", "SELECT FROM", "ALTER TABLE a ALTER b TYPE", "ALTER TABLE a ADD CONSTRAINT c CHECK price > 0",
		"ALTER TABLE a ADD FOREIGN KEY (b)", "CREATE TABLE a", "FROBNICATE a", "ALTER TABLE a FROBNICATE", "SELECT 'open", "ALTER TABLE a DROP COLUMN b CASCAD",
		"CREATE VIEW v SELECT 1", "ALTER TABLE a RENAME b c",
	} {
		got := found(t, lint.Options{}, lint.File{Name: "f", Text: text})
		if !strings.Contains(strings.Join(got, " "), "B PG000") {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestWhatPostgreSQLAcceptsIsRead(t *testing.T) {
	for _, text := range []string{
		`CREATE TABLE IF NOT EXISTS "S"."T" (a bigint GENERATED BY DEFAULT AS IDENTITY (START WITH 5) PRIMARY KEY, b timestamp(3) with time zone DEFAULT now() NOT NULL, c character varying(20)[] COLLATE "C", d int CONSTRAINT x REFERENCES u (id) MATCH FULL ON DELETE SET NULL ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED, CONSTRAINT k UNIQUE NULLS NOT DISTINCT (b, c) INCLUDE (d) WITH (fillfactor = 70), LIKE other INCLUDING ALL, EXCLUDE USING gist (r WITH &&) WHERE (d > 0), CHECK (a > 0) NO INHERIT) INHERITS (p) WITH (fillfactor = 70) TABLESPACE fast`,
		"CREATE UNLOGGED TABLE a AS SELECT 1 AS n WITH NO DATA", "CREATE TABLE a (b, c) AS SELECT 1, 2", "CREATE TABLE a ()", "CREATE TEMP TABLE a (b int) ON COMMIT DROP",
		"CREATE TABLE p1 PARTITION OF p (CONSTRAINT x CHECK (a > 0)) FOR VALUES IN (1, 2) PARTITION BY HASH (b)", "CREATE TABLE p2 PARTITION OF p DEFAULT",
		"ALTER TABLE ONLY a ADD b double precision DEFAULT 1.5::double precision, ADD c interval day to second, ADD d bit varying(5), ADD e time without time zone",
		"ALTER TABLE a ADD COLUMN b text DEFAULT 'x'::character varying NOT NULL", "ALTER TABLE a ADD COLUMN b text STORAGE EXTERNAL COMPRESSION lz4",
		"ALTER TABLE a ALTER b SET DATA TYPE numeric(10, 2) USING (b::numeric(10, 2))", "ALTER TABLE a ALTER COLUMN b ADD GENERATED ALWAYS AS IDENTITY (START 1)",
		"ALTER TABLE a ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES c ON DELETE SET NULL (b) NOT VALID", "ALTER TABLE a ADD PRIMARY KEY USING INDEX i DEFERRABLE",
		"ALTER TABLE a ALTER b SET (n_distinct = 5), ALTER c RESET (n_distinct)", "ALTER TABLE a ADD CONSTRAINT n NOT NULL b NOT VALID", "ALTER TABLE a ALTER b DROP EXPRESSION IF EXISTS",
		"CREATE UNIQUE INDEX CONCURRENTLY i ON ONLY a USING gin (b gin_trgm_ops, lower(c) DESC NULLS LAST, (d || e)) INCLUDE (f) NULLS NOT DISTINCT WITH (fastupdate = off) TABLESPACE t WHERE b IS NOT NULL",
		"ALTER INDEX i SET (fillfactor = 80)", "ALTER TABLE a ENABLE ALWAYS TRIGGER t", "ALTER TABLE a REPLICA IDENTITY USING INDEX i", "ALTER MATERIALIZED VIEW m RENAME TO n",
		"CREATE DOMAIN d AS text COLLATE \"C\" CONSTRAINT c CHECK (VALUE <> '') NOT NULL DEFAULT 'x'", "DROP FUNCTION f(int), g", "CREATE TYPE t AS (a int, b text)",
		"INSERT INTO a SELECT * FROM b", "INSERT INTO a DEFAULT VALUES", "DELETE FROM a USING b WHERE a.id = b.id RETURNING *", "UPDATE ONLY a AS x SET b = 1 FROM c WHERE x.id = c.id",
		"GRANT SELECT ON a TO b", "ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT SELECT ON TABLES TO r", "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; END",
		"CREATE AGGREGATE s (int) (SFUNC = f, STYPE = int)", "DROP OPERATOR + (int, int)", "CREATE CAST (int AS t) WITH FUNCTION f(int)", "CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION f()",
		"COMMENT ON COLUMN a.b IS NULL", "CREATE POLICY p ON a FOR SELECT USING (true)", "ALTER TYPE t ADD VALUE IF NOT EXISTS 'x' BEFORE 'y'", "SELECT 1 AS one WHERE false",
	} {
		for _, f := range linter(t).Run([]lint.File{{Name: "f", Text: text}}, lint.Options{Dialect: sqltext.Postgres, Version: 18}) {
			if f.Rule == "PG000" {
				t.Errorf("%s: %s", text, f.Message)
			}
		}
	}
}

func TestWhatIsIgnoredIsToldWithItsReason(t *testing.T) {
	l := linter(t)
	o := lint.Options{Dialect: sqltext.Postgres, Ignore: []lint.Ignore{{Rule: "PG116", Files: "0002_*.sql", Reason: "nobody reads it."}}}
	drop := func(file, comment string) ship.Migration {
		return ship.Migration{ID: file, File: "migrations/" + file, SQL: comment + "ALTER TABLE product DROP COLUMN old;", Atomic: true}
	}
	all := l.ClassifyAll([]ship.Migration{drop("0002_old.sql", ""), drop("0003_old.sql", ""), drop("0004_old.sql", "-- shiplock:ignore PG116 it was empty\n")}, o)
	for i, want := range []struct {
		phase  ship.Phase
		reason string
	}{{ship.Expand, "because nobody reads it: "}, {ship.Contract, ""}, {ship.Expand, "because it was empty: "}} {
		m := all[i]
		if said := strings.Join(m.Ignored, "\n"); m.Phase != want.phase || !strings.Contains(said, want.reason) || (said == "") != (want.reason == "") {
			t.Errorf("%s is %s, ignored %q, want %s and %q", m.ID, m.Phase, m.Ignored, want.phase, want.reason)
		}
	}
}

func TestAFileWhoseIndexIsBuiltOutsideKeepsItsTransaction(t *testing.T) {
	m := ship.Migration{
		ID: "0002_check", File: "migrations/0002_check.up.sql", Atomic: false,
		SQL: "ALTER TABLE a ADD CONSTRAINT c CHECK (b > 0) NOT VALID;\nALTER TABLE a VALIDATE CONSTRAINT c;\nCREATE INDEX CONCURRENTLY i ON a (b);",
	}
	got := linter(t).Classify(m, lint.Options{Dialect: sqltext.Postgres})
	if said := strings.Join(got.Hazards, "\n"); !strings.Contains(said, "PG807: line 2: ") || strings.Contains(said, "PG402: line 3: CREATE INDEX CONCURRENTLY on a fails") {
		t.Errorf("hazards: %s", said)
	}
}
