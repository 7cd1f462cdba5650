package sqlfiles_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/migrate/migratetest"
	"github.com/shiplock/shiplock/internal/migrate/sqlfiles"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

// folder returns a release whose folder of migrations holds pairs of a name
// and a text.
func folder(pairs ...string) fstest.MapFS {
	tree := fstest.MapFS{"migrations": {Mode: fs.ModeDir | 0o755}}
	for i := 0; i < len(pairs); i += 2 {
		put(tree, pairs[i], pairs[i+1])
	}
	return tree
}

const gooseUp = "-- +goose Up\nSELECT 1;\n"

func TestFilesTellsWhatAFileSays(t *testing.T) {
	for name, c := range map[string]struct {
		tree fstest.MapFS
		want ship.Migration // of the last file
	}{
		"nothing": {folder("README.md", "x"), ship.Migration{}},
		"goose": {
			folder("00001_a.sql", gooseUp, "00010_b.sql", gooseUp, "2_c.sql", gooseUp+"-- +goose Down\nSELECT 2;\n"),
			ship.Migration{ID: "00010_b", File: "migrations/00010_b.sql", Atomic: true, WhyNot: "migrations/00010_b.sql has no -- +goose Down", SQL: gooseUp},
		},
		"goose without a transaction": {
			folder("1_a.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nSELECT 1;\nSELECT 2;\n-- +goose Down\nSELECT 2;\n"),
			ship.Migration{ID: "1_a", File: "migrations/1_a.sql", Reversible: true, SQL: "-- +goose NO TRANSACTION\n-- +goose Up\nSELECT 1;\nSELECT 2;\n"},
		},
		"a declaration": {
			folder("1_a.sql", "-- shiplock: phase=expand reason=\"unused\"\n"+gooseUp),
			ship.Migration{
				ID: "1_a", File: "migrations/1_a.sql", Atomic: true, WhyNot: "migrations/1_a.sql has no -- +goose Down", Declared: ship.Expand, Reason: "unused",
				SQL: "-- shiplock: phase=expand reason=\"unused\"\n" + gooseUp,
			},
		},
		"dbmate": {
			folder("2_b.sql", "-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 2;\n", "10_a.sql", "-- migrate:up transaction:false\nSELECT 1;SELECT 1;\n"),
			ship.Migration{ID: "2_b", File: "migrations/2_b.sql", Atomic: true, Reversible: true, SQL: "-- migrate:up\nSELECT 1;\n"},
		},
		"dbmate without a transaction": {
			folder("1_a.sql", "-- migrate:up transaction:false\nSELECT 1;\nSELECT 2;\n"),
			ship.Migration{ID: "1_a", File: "migrations/1_a.sql", WhyNot: "migrations/1_a.sql has no -- migrate:down", SQL: "-- migrate:up transaction:false\nSELECT 1;\nSELECT 2;\n"},
		},
		"golang-migrate": {
			folder("9_a.up.sql", "SELECT 1;", "10_b.up.sql", "BEGIN;\nSELECT 1;\nCOMMIT;", "10_b.down.sql", "SELECT 2;"),
			ship.Migration{ID: "10_b", File: "migrations/10_b.up.sql", Atomic: true, Reversible: true, SQL: "BEGIN;\nSELECT 1;\nCOMMIT;"},
		},
		"what refuses a transaction": {
			folder("1_a.up.sql", "CREATE INDEX CONCURRENTLY i ON t (a);"),
			ship.Migration{ID: "1_a", File: "migrations/1_a.up.sql", WhyNot: "there is no 1_a.down.sql", SQL: "CREATE INDEX CONCURRENTLY i ON t (a);"},
		},
		"flyway": {
			folder("V1_2__b_c.sql", "SELECT 1;", "V1.10__d.sql", "SELECT 1;", "U1.10.0__d.sql", "SELECT 2;"),
			ship.Migration{ID: "V1.10__d", File: "migrations/V1.10__d.sql", Atomic: true, Reversible: true, SQL: "SELECT 1;"},
		},
		"flyway without a transaction": {
			folder("V1__a.sql", "SELECT 1;\nSELECT 2;", "V1__a.sql.conf", "executeInTransaction=false\n"),
			ship.Migration{ID: "V1__a", File: "migrations/V1__a.sql", WhyNot: "there is no U1__….sql", SQL: "SELECT 1;\nSELECT 2;"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := tool(t, sqlfiles.Config{}).Files(c.tree)
			if err != nil {
				t.Fatal(err)
			}
			got := ship.Migration{}
			if len(all) > 0 {
				got = all[len(all)-1]
				if !strings.HasPrefix(got.Checksum, "sha256:") {
					t.Errorf("checksum %q", got.Checksum)
				}
				got.Checksum = ""
			}
			if got.ID != c.want.ID || got.File != c.want.File || got.Atomic != c.want.Atomic || got.Reversible != c.want.Reversible ||
				got.WhyNot != c.want.WhyNot || got.SQL != c.want.SQL || got.Declared != c.want.Declared || got.Reason != c.want.Reason {
				t.Errorf("got %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestFilesRefusesWhatOnlyTheToolCouldDoAndNamesTheFile(t *testing.T) {
	for name, c := range map[string]struct {
		tree fstest.MapFS
		want string
	}{
		"no folder":             {fstest.MapFS{}, "the release has no folder migrations"},
		"two tools":             {folder("1_a.sql", gooseUp, "2_b.up.sql", "SELECT 1"), "migrations/1_a.sql is written for goose and migrations/2_b.up.sql for golang-migrate"},
		"nobody's":              {folder("1_a.sql", "SELECT 1"), "it cannot be told which tool migrations/1_a.sql is written for"},
		"nobody's among others": {folder("1_a.sql", gooseUp, "2_b.sql", "SELECT 1"), "which tool migrations/2_b.sql"},
		"one version twice":     {folder("1_a.sql", gooseUp, "01_b.sql", gooseUp), "have the same version"},
		"written in Go":         {folder("1_a.sql", gooseUp, "2_b.go", "package x"), "migrations/2_b.go is written in Go"},
		"annotation unknown":    {folder("1_a.sql", gooseUp+"-- +goose Sideways\n"), "migrations/1_a.sql, line 3: the annotation \"SIDEWAYS\" is unknown"},
		"down before up":        {folder("1_a.sql", "-- migrate:down\n-- migrate:up\n"), "comes before"},
		"before up":             {folder("1_a.sql", "SELECT 1;\n"+gooseUp), "line 1: something comes before"},
		"no end":                {folder("1_a.sql", gooseUp+"-- +goose StatementBegin\n"), "has no StatementEnd"},
		"down alone":            {folder("1_a.up.sql", "", "2_b.down.sql", ""), "migrations/2_b.down.sql has no way up"},
		"repeatable":            {folder("R__a.sql", "SELECT 1"), "R__a.sql is repeatable"},
		"callback":              {folder("V1__a.sql", "SELECT 1", "afterMigrate.sql", "SELECT 1"), "afterMigrate.sql is a callback"},
		"baseline":              {folder("B2__a.sql", "SELECT 1"), "is a baseline migration"},
		"bad declaration":       {folder("1_a.sql", "-- shiplock: phase=x\n"+gooseUp), "migrations/1_a.sql: line 1: the declaration cannot be read"},
		"version too large":     {folder("99999999999999999999_a.sql", gooseUp), "is too large"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tool(t, sqlfiles.Config{}).Files(c.tree)
			if err == nil || !strings.Contains(err.Error(), c.want) || ship.KindOf(err) != ship.Invalid {
				t.Errorf("got %v (%s), want %q", err, ship.KindOf(err), c.want)
			}
		})
	}
}

func TestListNamesPendingFilesThatCannotBeCarriedOut(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"unreadable":            {"1_a.sql", "-- +goose Up\nSELECT 'x;\n", "migrations/1_a.sql, line 2, column 8: the ' is not closed"},
		"a command of psql":     {"1_a.up.sql", "\n\\connect x\n", "line 2, column 1: a command of psql"},
		"ENVSUB":                {"1_a.sql", "-- +goose Up\n-- +goose ENVSUB ON\nSELECT 1;\n", "it asks for ENVSUB"},
		"a placeholder":         {"V1__a.sql", "SELECT '${x}';", "it holds ${x}"},
		"a savepoint":           {"1_a.up.sql", "SELECT 1;\nSAVEPOINT x;", "migrations/1_a.up.sql, line 2: SAVEPOINT cannot be part of a migration"},
		"a commit by itself":    {"1_a.up.sql", "COMMIT;", "there is a COMMIT without a BEGIN"},
		"a transaction unended": {"1_a.up.sql", "BEGIN; SELECT 1;", "its BEGIN has no COMMIT"},
	} {
		t.Run(name, func(t *testing.T) {
			p := migrate.Project{Tree: folder(c.file, c.text), Session: migratetest.SQLite(t)}
			sqlTool := tool(t, sqlfiles.Config{})
			l := list(t, sqlTool, p)
			if len(l.Problems) != 1 || !strings.Contains(l.Problems[0], c.want) {
				t.Errorf("problems %q, want %q", l.Problems, c.want)
			}
			if err := sqlTool.Up(t.Context(), p, l.Migrations[0]); ship.KindOf(err) != ship.Invalid {
				t.Errorf("applied all the same: %v", err)
			}
		})
	}
}

func TestNewRefusesSettingsThatCannotWork(t *testing.T) {
	for _, cfg := range []sqlfiles.Config{{Dir: "../x"}, {Dir: "/x"}, {Convention: "liquibase"}, {Table: "a; DROP TABLE b"}, {Table: "a.b.c"}} {
		if _, err := sqlfiles.New(cfg, plugin.Deps{}); ship.KindOf(err) != ship.Invalid {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func TestAFileThatWasChangedOrRenamedAfterItWasAppliedIsAProblem(t *testing.T) {
	db, sqlTool := migratetest.SQLite(t), tool(t, sqlfiles.Config{})
	p := migrate.Project{Tree: folder("1_a.sql", gooseUp), Session: db}
	upAll(t, sqlTool, p)
	for want, tree := range map[string]fstest.MapFS{
		"was changed after it was applied": folder("1_a.sql", gooseUp+"-- more\n"),
		"and is called 1_b now":            folder("1_b.sql", gooseUp),
	} {
		p.Tree = tree
		if l := list(t, sqlTool, p); len(l.Problems) != 1 || !strings.Contains(l.Problems[0], want) {
			t.Errorf("problems %q, want %q", l.Problems, want)
		}
	}
}

func TestAFileThatIsNotTheOneThatWasPlannedIsNotApplied(t *testing.T) {
	db, sqlTool := migratetest.SQLite(t), tool(t, sqlfiles.Config{})
	p := migrate.Project{Tree: folder("1_a.sql", gooseUp), Session: db}
	m := list(t, sqlTool, p).Migrations[0]
	p.Tree = folder("1_a.sql", gooseUp+"CREATE TABLE b (id int);\n")
	if err := sqlTool.Up(t.Context(), p, m); ship.KindOf(err) != ship.Invalid || len(db.Tables()) > 0 {
		t.Errorf("%v; tables %v", err, db.Tables())
	}
}

// golang-migrate's history is one number. A file that is added below it later
// is pending all the same; those that were there before are not.
func TestAFileAddedBelowTheHighestVersionIsApplied(t *testing.T) {
	for _, w := range writers() {
		t.Run(w.name, func(t *testing.T) {
			db, sqlTool, tree := migratetest.SQLite(t), tool(t, sqlfiles.Config{}), fstest.MapFS{}
			p := migrate.Project{Tree: tree, Session: db}
			w.write(tree, 1, "CREATE TABLE a (id int);", "DROP TABLE a;")
			w.write(tree, 3, "CREATE TABLE c (id int);", "DROP TABLE c;")
			upAll(t, sqlTool, p)
			w.write(tree, 2, "CREATE TABLE b (id int);", "DROP TABLE b;")
			l := list(t, sqlTool, p)
			if !l.Migrations[0].Applied || l.Migrations[1].Applied || !l.Migrations[2].Applied {
				t.Fatalf("%+v", l)
			}
			if l.Ordered != (w.name == "golang-migrate") { // one number cannot say that there is a gap
				t.Errorf("a migration needs all before it: %t", l.Ordered)
			}
			upAll(t, sqlTool, p)
			for _, m := range list(t, sqlTool, p).Migrations {
				if !m.Applied {
					t.Errorf("%s is not applied", m.ID)
				}
			}
			if err := sqlTool.Down(t.Context(), p, l.Migrations[1]); err != nil {
				t.Fatal(err)
			}
			l = list(t, sqlTool, p)
			if !l.Migrations[0].Applied || l.Migrations[1].Applied || !l.Migrations[2].Applied || len(l.Unknown) > 0 {
				t.Errorf("after taking it back: %+v", l)
			}
		})
	}
}

func TestWhatGolangMigrateAppliedBeforeIsTakenOver(t *testing.T) {
	db, sqlTool := migratetest.Postgres(t), tool(t, sqlfiles.Config{})
	db.Exec("CREATE TABLE schema_migrations (version bigint not null primary key, dirty boolean not null)", "INSERT INTO schema_migrations VALUES (2, false)")
	tree := folder("1_a.up.sql", "CREATE TABLE a (id int)", "2_b.up.sql", "CREATE TABLE b (id int)", "3_c.up.sql", "CREATE TABLE c (id int)")
	p := migrate.Project{Tree: tree, Session: db}
	upAll(t, sqlTool, p)
	if tables := strings.Join(db.Tables(), " "); tables != "c schema_migrations" {
		t.Errorf("tables are %s", tables)
	}
	records, err := db.Ledger(t.Context())
	if err != nil || len(records) != 3 || records[0].Phase != "" || records[2].Phase != ship.Expand {
		t.Errorf("records %+v, %v", records, err)
	}
	rows, err := db.Rows(t.Context(), "SELECT version, dirty FROM schema_migrations")
	if err != nil || len(rows) != 1 || rows[0][0] != "3" {
		t.Errorf("history %v, %v", rows, err)
	}
}

func TestFlywaysBaselineAndUndoneVersionsAreUnderstood(t *testing.T) {
	db, sqlTool := migratetest.SQLite(t), tool(t, sqlfiles.Config{})
	p := migrate.Project{Tree: folder("V1__a.sql", "SELECT 1", "V2__b.sql", "CREATE TABLE b (id int)", "V3__c.sql", "SELECT 1"), Session: db}
	first := "INSERT INTO flyway_schema_history (installed_rank, version, description, type, script, installed_by, execution_time, success) VALUES "
	db.Exec("CREATE TABLE flyway_schema_history (installed_rank INT NOT NULL, version VARCHAR(50), description VARCHAR(200) NOT NULL, type VARCHAR(20) NOT NULL, "+
		"script VARCHAR(1000) NOT NULL, checksum INTEGER, installed_by VARCHAR(100) NOT NULL, installed_on TEXT, execution_time INTEGER NOT NULL, success BOOLEAN NOT NULL)",
		first+"(1, '1', 'x', 'BASELINE', 'x', 'x', 0, true), (2, '2', 'b', 'SQL', 'V2__b.sql', 'x', 0, true), (3, '2', 'b', 'UNDO_SQL', 'U2__b.sql', 'x', 0, true), "+
			"(4, '3', 'c', 'SQL', 'V3__c.sql', 'x', 0, true), (5, NULL, 'r', 'SQL', 'R__r.sql', 'x', 0, true)")
	l := list(t, sqlTool, p)
	if !l.Migrations[0].Applied || l.Migrations[1].Applied || !l.Migrations[2].Applied || len(l.Unknown) > 0 || l.Dirty != "" {
		t.Fatalf("%+v", l)
	}
	if err := sqlTool.Up(t.Context(), p, l.Migrations[1]); err != nil {
		t.Fatal(err)
	}
	rows, err := db.Rows(t.Context(), "SELECT installed_rank, version, description, script FROM flyway_schema_history ORDER BY installed_rank DESC LIMIT 1")
	if err != nil || strings.Join(rows[0], "|") != "6|2|b|V2__b.sql" {
		t.Errorf("%v, %v", rows, err)
	}
}

func TestTheHistoryTableMayHaveAnotherName(t *testing.T) {
	for _, w := range writers() {
		t.Run(w.name, func(t *testing.T) {
			db, tree := migratetest.Postgres(t), fstest.MapFS{}
			db.Exec("CREATE SCHEMA ops")
			w.write(tree, 1, "SELECT set_config('search_path', '', false);\nCREATE TABLE public.a (id int);", "DROP TABLE a;")
			upAll(t, tool(t, sqlfiles.Config{Table: "ops.done"}), migrate.Project{Tree: tree, Session: db})
			if tables := strings.Join(db.Tables(), " "); tables != "a done" {
				t.Errorf("tables are %s", tables)
			}
		})
	}
}
