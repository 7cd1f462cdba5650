package sqltext_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shiplock/shiplock/internal/sqltext"
)

func TestSplitFindsTheStatementsOfAText(t *testing.T) {
	for name, c := range map[string]struct {
		dialect sqltext.Dialect
		text    string
		want    []string
	}{
		"nothing":                       {sqltext.Postgres, " \n;; -- no more\n;", nil},
		"no semicolon at the end":       {sqltext.Postgres, "SELECT 1;\nSELECT 2", []string{"SELECT 1", "SELECT 2"}},
		"a byte order mark":             {sqltext.Postgres, "\ufeffSELECT 1;", []string{"SELECT 1"}},
		"semicolons in literals":        {sqltext.Postgres, `SELECT ';''', ";"";", 'a\'; SELECT 2`, []string{`SELECT ';''', ";"";", 'a\'`, "SELECT 2"}},
		"escapes in an E literal":       {sqltext.Postgres, `SELECT E'\';', e'\\'; SELECT 2`, []string{`SELECT E'\';', e'\\'`, "SELECT 2"}},
		"an E literal goes on":          {sqltext.Postgres, "SELECT E'a'\n  '\\';'; SELECT 2", []string{"SELECT E'a'\n  '\\';'", "SELECT 2"}},
		"a name that ends in e":         {sqltext.Postgres, `SELECT name'\'; SELECT 2`, []string{`SELECT name'\'`, "SELECT 2"}},
		"comments":                      {sqltext.Postgres, "-- a;\nSELECT 1 /* ; /* ; */ ; */ + 1; -- '", []string{"SELECT 1 /* ; /* ; */ ; */ + 1"}},
		"comments do not nest":          {sqltext.SQLite, "SELECT 1 /* ; /* */; SELECT 2 /* open", []string{"SELECT 1", "SELECT 2"}},
		"dollars":                       {sqltext.Postgres, "DO $$ BEGIN; $x$ END $$; DO $a1$ ; $$ ; $a1$; SELECT $1, a$b$, 2;", []string{"DO $$ BEGIN; $x$ END $$", "DO $a1$ ; $$ ; $a1$", "SELECT $1, a$b$, 2"}},
		"dollars are nothing in SQLite": {sqltext.SQLite, "SELECT $$; SELECT 2", []string{"SELECT $$", "SELECT 2"}},
		"brackets and backticks":        {sqltext.SQLite, "SELECT [;], `;```; SELECT 2", []string{"SELECT [;], `;```", "SELECT 2"}},
		"brackets in PostgreSQL":        {sqltext.Postgres, "SELECT ARRAY['a;']; SELECT a[1]", []string{"SELECT ARRAY['a;']", "SELECT a[1]"}},
		"a rule's actions":              {sqltext.Postgres, "CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; DELETE FROM b); SELECT 1", []string{"CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; DELETE FROM b)", "SELECT 1"}},
		"a standard body": {
			sqltext.Postgres, "CREATE OR REPLACE FUNCTION f(begin int) RETURNS int BEGIN ATOMIC SELECT CASE WHEN 1=1 THEN 1 END; SELECT 2; END; SELECT 1;",
			[]string{"CREATE OR REPLACE FUNCTION f(begin int) RETURNS int BEGIN ATOMIC SELECT CASE WHEN 1=1 THEN 1 END; SELECT 2; END", "SELECT 1"},
		},
		"a trigger": {
			sqltext.SQLite, "CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET x = CASE WHEN 1 THEN 2 END; DELETE FROM b; END; SELECT 1",
			[]string{"CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET x = CASE WHEN 1 THEN 2 END; DELETE FROM b; END", "SELECT 1"},
		},
		"a trigger over a column end": {
			sqltext.SQLite, "CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET end = end; -- ;\n END; SELECT 1",
			[]string{"CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET end = end; -- ;\n END", "SELECT 1"},
		},
		"a transaction in SQLite":      {sqltext.SQLite, "BEGIN; SELECT 1; END;", []string{"BEGIN", "SELECT 1", "END"}},
		"a trigger in PostgreSQL":      {sqltext.Postgres, "CREATE TRIGGER t AFTER INSERT ON a EXECUTE FUNCTION f(); SELECT 1", []string{"CREATE TRIGGER t AFTER INSERT ON a EXECUTE FUNCTION f()", "SELECT 1"}},
		"COPY that a server can do":    {sqltext.Postgres, "COPY t FROM '/x'; COPY (SELECT 'FROM STDIN') TO '/y'", []string{"COPY t FROM '/x'", "COPY (SELECT 'FROM STDIN') TO '/y'"}},
		"a parenthesis closed too far": {sqltext.Postgres, "SELECT 1); SELECT 2", []string{"SELECT 1)", "SELECT 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := sqltext.Split(c.text, c.dialect)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range all {
				got = append(got, s.SQL)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSplitSaysWhereAStatementIsAndWhatWasSaidBefore(t *testing.T) {
	all, err := sqltext.Split("-- one\nSELECT 1; /* two\n*/ SELECT -- within\n 2;\n\n\tSELECT 3 -- after", sqltext.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	want := []sqltext.Statement{
		{SQL: "SELECT 1", Line: 2, Column: 1, Offset: 7, Comments: []string{"-- one"}},
		{SQL: "SELECT -- within\n 2", Line: 3, Column: 4, Offset: 27, Comments: []string{"/* two\n*/", "-- within"}},
		{SQL: "SELECT 3", Line: 6, Column: 2, Offset: 50, Comments: []string{"-- after"}},
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
}

func TestSplitRefusesWhatItCannotReadAndNamesThePlace(t *testing.T) {
	for _, c := range []struct {
		dialect    sqltext.Dialect
		text, want string
	}{
		{sqltext.Postgres, "SELECT 1;\n \\connect x", "line 2, column 2: a command of psql"},
		{sqltext.Postgres, "SELECT 1;\nCOPY t (a) FROM stdin;\n1\n\\.\n", "line 2, column 1: COPY from or to the client"},
		{sqltext.Postgres, "copy t to STDOUT", "line 1, column 1: COPY from or to the client"},
		{sqltext.SQLite, "SELECT 1;\n.read x", "line 2, column 1: a command of the sqlite3 program"},
		{sqltext.Postgres, "SELECT 'a", "line 1, column 8: the ' is not closed"},
		{sqltext.Postgres, "SELECT E'a\\'", "the ' is not closed"},
		{sqltext.Postgres, `SELECT "a`, `the " is not closed`},
		{sqltext.Postgres, "DO $a$ $b$", "line 1, column 4: the $a$ is not closed"},
		{sqltext.Postgres, "/* /* */", "line 1, column 1: the /* is not closed"},
		{sqltext.Postgres, "SELECT (1; SELECT 2", "line 1, column 1: a parenthesis is not closed"},
		{sqltext.Postgres, "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2;", "BEGIN ATOMIC has no END"},
		{sqltext.SQLite, "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; SELECT 2;", "the trigger's BEGIN has no END"},
		{sqltext.SQLite, "SELECT [a", "the [ is not closed"},
		{sqltext.SQLite, "SELECT \x00", "there is a NUL byte"},
		{sqltext.Postgres, strings.Repeat(" ", sqltext.MaxSize+1), "more than 16777216"},
		{sqltext.SQLite, strings.Repeat("a;", sqltext.MaxStatements+1), "more than 100000 statements"},
	} {
		_, err := sqltext.Split(c.text, c.dialect)
		if _, ok := errors.AsType[*sqltext.Error](err); !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Split(%.40q) = %v, want %q", c.text, err, c.want)
		}
	}
	if _, err := sqltext.Split("SELECT 1", "oracle"); err == nil {
		t.Error("an unknown dialect is accepted")
	}
}

func FuzzSplit(f *testing.F) {
	for _, text := range []string{
		"SELECT 1; -- a\nSELECT $a$;$a$;", "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END;", "SELECT E'\\'' /* /* */ */ ;;",
		"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; END", "[a];`b`;\"c\";(", "COPY t FROM stdin;",
		"ALTER TABLE a ADD COLUMN b int DEFAULT (1) NOT NULL CHECK (b > 0), DROP c", "CREATE INDEX ON a USING btree (lower(b), c)",
		"ALTER TABLE", "CREATE TABLE a (", "DROP INDEX CONCURRENTLY IF EXISTS a.b, c CASCADE", "-- shiplock: phase=expand reason=\"x\"",
	} {
		f.Add(text, true)
		f.Add(text, false)
	}
	f.Fuzz(func(t *testing.T, text string, postgres bool) {
		d := sqltext.SQLite
		if postgres {
			d = sqltext.Postgres
		}
		_, _, _ = sqltext.Declaration(text)
		all, err := sqltext.Split(text, d)
		if err != nil {
			return
		}
		last := 0
		for _, s := range all {
			if s.Offset < last || text[s.Offset:s.Offset+len(s.SQL)] != s.SQL {
				t.Fatalf("%+v is not at its offset in %q", s, text)
			}
			covered(t, text[last:s.Offset], d)
			last = s.Offset + len(s.SQL)
			_ = s.Head(d)
			again, err := sqltext.Split(s.SQL, d)
			if err != nil || len(again) != 1 || again[0].SQL != s.SQL {
				t.Fatalf("%q is not a statement by itself: %+v, %v", s.SQL, again, err)
			}
		}
		covered(t, text[last:], d)
	})
}

// covered fails when the text between two statements is more than white space,
// semicolons and comments.
func covered(t *testing.T, gap string, d sqltext.Dialect) {
	t.Helper()
	all, err := sqltext.Split(gap, d)
	if err != nil || len(all) > 0 {
		t.Fatalf("%q between two statements is lost: %+v, %v", gap, all, err)
	}
	if i := strings.IndexAny(gap, "'\""); i >= 0 && !slices.ContainsFunc([]string{"--", "/*"}, func(c string) bool { return strings.Contains(gap[:i], c) }) {
		t.Fatalf("%q between two statements is lost", gap)
	}
}
