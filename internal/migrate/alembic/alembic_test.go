package alembic_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/migrate/alembic"
	"github.com/shiplock/shiplock/internal/migrate/migratetest"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestListOfAnEmptyDatabaseShowsEverythingPendingAndChangesNothing(t *testing.T) {
	t.Parallel()
	p := newProject(t, "additive")
	l := p.List()
	if !slices.Equal(ids(l.Migrations), []string{"0001", "0002", "0003"}) || len(l.Problems)+len(l.Unknown) > 0 {
		t.Fatalf("%v, problems %v, unknown %v", ids(l.Migrations), l.Problems, l.Unknown)
	}
	m := l.Migrations[2]
	if m.Applied || !m.Atomic || !m.Reversible || m.File != "migrations/versions/0003_subtitle.py" {
		t.Errorf("%+v", m)
	}
	if m.SQL != "ALTER TABLE product ADD COLUMN subtitle VARCHAR(200);" || !slices.Equal(m.Operations, []string{"add_column product.subtitle"}) {
		t.Errorf("SQL %q, operations %q", m.SQL, m.Operations)
	}
	if !strings.Contains(l.Migrations[0].SQL, "INSERT INTO product (name, price_cents) VALUES ('Anchor', 4900);") {
		t.Errorf("SQL of the first: %s", l.Migrations[0].SQL)
	}
	if n := p.Count("SELECT count(*) FROM information_schema.tables WHERE table_schema='public'"); n != 0 {
		t.Errorf("listing made %d tables", n)
	}
}

func TestNeitherDirectionTakesAnythingElseAlong(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	err := p.Up("0002")
	if err == nil || !strings.Contains(err.Error(), "Alembic would apply 0001, 0002") {
		t.Errorf("up: %v", err)
	}
	p.upToDate()
	if err := p.Up("0002"); err != nil { // what is applied, as a resumed run asks for
		t.Error(err)
	}
	err = p.Down("0001")
	if err == nil || !strings.Contains(err.Error(), "Alembic would take back 0002, 0001") {
		t.Errorf("down: %v", err)
	}
	if state := p.Observe("0002"); state != migrate.StateApplied {
		t.Errorf("0002 is %s", state)
	}
}

func TestARevisionWithoutAWayDownIsNamedAndNotTakenBack(t *testing.T) {
	t.Parallel()
	p := newProject(t, "irreversible")
	p.upToDate()
	m := p.Migration("0003")
	if m.Reversible || m.WhyNot != "its downgrade() raises NotImplementedError: what the prices were is not kept" {
		t.Errorf("reversible %v, why not %q", m.Reversible, m.WhyNot)
	}
	if m.Declared != ship.Expand || m.Reason == "" {
		t.Errorf("declared %q because %q", m.Declared, m.Reason)
	}
	if err := p.Tool.Down(t.Context(), p.Project, m); ship.KindOf(err) != ship.MigrationFailed {
		t.Errorf("got %v", err)
	}
	const head = "revision = '0004'\ndown_revision = '0003'\ndef upgrade():\n    op.execute('SELECT 1')\n"
	for body, want := range map[string]string{
		"def downgrade():\n    pass\n":                       "its downgrade() does nothing",
		"def downgrade():\n    \"\"\"Nothing to do.\"\"\"\n": "its downgrade() does nothing",
		"": "it has no downgrade()",
		"def downgrade():\n    op.execute('SELECT 2')\n": "",
	} {
		p.Write("migrations/versions/0004.py", "from alembic import op\n"+head+body)
		if m := p.Migration("0004"); m.WhyNot != want || m.Reversible != (want == "") {
			t.Errorf("%q: reversible %v, why not %q, want %q", body, m.Reversible, m.WhyNot, want)
		}
	}
}

func TestAFailedRevisionSaysWhyAndWhere(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.upToDate()
	for variant, c := range map[string]struct {
		state  migrate.State
		column bool
	}{
		"failing":           {migrate.StateNotApplied, false},
		"failing-nonatomic": {migrate.StateUnknown, true},
	} {
		p.Run.Forget()
		p.Release(variant)
		if m := p.Migration("0003"); m.Atomic != (variant == "failing") {
			t.Errorf("%s: atomic %v", variant, m.Atomic)
		}
		err := p.Up("0003")
		if ship.KindOf(err) != ship.MigrationFailed {
			t.Fatalf("%s: got %v", variant, err)
		}
		for _, part := range []string{`relation "supplier" does not exist`, "migrations/versions/0003_subtitle.py line 1"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q does not say %q", variant, err, part)
			}
		}
		if state := p.Observe("0003"); state != c.state {
			t.Errorf("%s: it is %s, want %s", variant, state, c.state)
		}
		if got := p.HasColumn("product", "subtitle"); got != c.column {
			t.Errorf("%s: the column is there: %v, want %v", variant, got, c.column)
		}
		p.Exec("ALTER TABLE product DROP COLUMN IF EXISTS subtitle")
	}
}

func TestA43ARevisionKilledInTheMiddleIsObservedAndNeverGuessed(t *testing.T) {
	t.Parallel()
	for variant, want := range map[string]migrate.State{"slow": migrate.StateNotApplied, "slow-nonatomic": migrate.StateUnknown} {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			p := newProject(t)
			p.upToDate()
			p.Release(variant)
			m := p.Migration("0003")
			done := make(chan error, 1)
			go func() { done <- p.Tool.Up(t.Context(), p.Project, m) }()
			const sleeping = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'SELECT pg_sleep%'"
			migratetest.Eventually(t, "the migration sleeps", func() bool { return p.Count("SELECT count(*) "+sleeping) > 0 })
			p.Run.Kill(t)
			// The server does not notice that its client is gone; whoever holds the
			// migration lock ends such sessions before anything is observed.
			p.Exec("SELECT pg_terminate_backend(pid) " + sleeping)
			migratetest.Eventually(t, "the session ends", func() bool { return p.Count("SELECT count(*) "+sleeping) == 0 })
			if err := <-done; err == nil {
				t.Error("a killed migration is reported as applied")
			}
			p.Run.Resume("SHOP_SLOW_MIGRATION=0")
			if state := p.Observe("0003"); state != want {
				t.Errorf("it is %s, want %s", state, want)
			}
			err := p.Tool.Up(t.Context(), p.Project, m)
			if variant == "slow" && (err != nil || p.Observe("0003") != migrate.StateApplied) {
				t.Errorf("what did nothing is not begun again: %v", err)
			}
			if variant == "slow-nonatomic" && (err == nil || !strings.Contains(err.Error(), "was cut off going up and is now unknown: alembic_version is at 0002; it leaves the transaction")) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestADatabaseAheadOfTheReleaseIsReadFromTheLedger(t *testing.T) {
	t.Parallel()
	p := newProject(t, "additive")
	p.upToDate()
	p.Release()
	l := p.List()
	if !slices.Equal(l.Unknown, []string{"0003"}) {
		t.Errorf("unknown %v", l.Unknown)
	}
	if len(l.Problems) != 1 || !strings.Contains(l.Problems[0], "the database is at 0003, of which the release has no file") {
		t.Errorf("problems %q", l.Problems)
	}
	p.Session = ledger{{Migration: "0001", Status: ship.RecordDone}, {Migration: "0002", Status: ship.RecordDone}, {Migration: "0003", Status: ship.RecordDone}}
	l = p.List()
	if !slices.Equal(l.Unknown, []string{"0003"}) || len(l.Problems) > 0 || !l.Migrations[0].Applied || !l.Migrations[1].Applied {
		t.Errorf("with the ledger: %+v", l)
	}
}

func TestProblemsOfTheGraphAreSentences(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	for name, c := range map[string]struct {
		arrange func()
		want    string
	}{
		"two heads": {func() { p.Release("two-heads") }, "there are 2 heads (0003 in migrations/versions/0003_subtitle.py, 0003b in migrations/versions/0003_weight.py)"},
		"a revision that is not there": {func() {
			p.Write("migrations/versions/0003.py", "revision = '0003'\ndown_revision = 'gone'\n")
		}, "Alembic cannot load the revisions: "},
		"a file that is no Python": {func() {
			p.Write("migrations/versions/0003.py", "revision = '0003'\ndown_revision = '0002'\ndef upgrade(:\n")
		}, "Alembic cannot load the revisions: SyntaxError"},
	} {
		p.Release()
		c.arrange()
		l := p.List()
		if len(l.Problems) != 1 || !strings.Contains(l.Problems[0], c.want) || len(l.Migrations) < 2 {
			t.Errorf("%s: %d migrations, problems %q", name, len(l.Migrations), l.Problems)
		}
	}
}

func TestAMergeOfTwoHeadsGoesUpAndDown(t *testing.T) {
	t.Parallel()
	p := newProject(t, "two-heads")
	p.Write("migrations/versions/0004_merge.py", "revision = '0004'\ndown_revision = (\n    '0003',\n    '0003b',\n)\n\ndef upgrade():\n    pass\n\ndef downgrade():\n    pass\n")
	p.upToDate()
	l := p.List()
	if len(l.Problems) > 0 || len(l.Migrations) != 5 || !l.Migrations[4].Reversible {
		t.Fatalf("%+v", l)
	}
	if err := p.Down("0004"); err != nil {
		t.Fatal(err)
	}
	if err := p.Up("0004"); err != nil {
		t.Fatal(err)
	}
	p.Run.Forget()
	for _, id := range []string{"0004", "0003b", "0003"} {
		if err := p.Down(id); err != nil {
			t.Fatal(err)
		}
	}
	if p.HasColumn("product", "subtitle") || p.HasColumn("product", "weight_grams") {
		t.Error("a column is still there")
	}
}

func TestARevisionThatReadsTheDatabaseShowsNoSQLAndIsNotCarriedOut(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.upToDate()
	p.Write("migrations/versions/0003.py", `from alembic import op
import sqlalchemy as sa
revision = "0003"
down_revision = "0002"
def upgrade():
    bind = op.get_bind()
    bind.execute(sa.text("DELETE FROM product"))
    for row in bind.execute(sa.text("SELECT id FROM product")):
        bind.execute(sa.text("UPDATE product SET price_cents = 1"))
def downgrade():
    op.execute("SELECT 1")
`)
	m := p.Migration("0003")
	if m.SQL != "" || !slices.ContainsFunc(m.Operations, func(s string) bool { return strings.HasPrefix(s, "SQL not shown: TypeError") }) {
		t.Errorf("SQL %q, operations %q", m.SQL, m.Operations)
	}
	if n := p.Count("SELECT count(*) FROM product WHERE price_cents > 1"); n != 3 {
		t.Errorf("%d products untouched of 3", n)
	}
}

func TestAProjectThatPrintsOrCannotBeReachedIsUnderstood(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.Write("wsgi.py", "print('hello from wsgi')\n"+migratetest.ReadFile(t, p.Dir+"/wsgi.py"))
	p.List()
	p.Run.Resume("DATABASE_URL=postgres://nobody@127.0.0.1:1/none")
	if _, err := p.Tool.List(t.Context(), p.Project); ship.KindOf(err) != ship.Unreachable {
		t.Errorf("got %v of kind %s", err, ship.KindOf(err))
	}
	p.Write("wsgi.py", "import no_such_module\n")
	if _, err := p.Tool.List(t.Context(), p.Project); err == nil || !strings.Contains(err.Error(), "no_such_module") {
		t.Errorf("got %v", err)
	}
}

// A project with Alembic alone, as "alembic init" lays it out.
func TestAlembicWithoutFlask(t *testing.T) {
	t.Parallel()
	p := newProject(t, "additive")
	dir := p.Dir
	if err := os.Rename(dir+"/migrations/versions", dir+"/versions"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir + "/migrations"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir+"/db", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir+"/versions", dir+"/db/versions"); err != nil {
		t.Fatal(err)
	}
	p.Write("alembic.ini", "[alembic]\nscript_location = %(here)s/db\n")
	p.Write("db/env.py", `import os
from alembic import context
from sqlalchemy import create_engine

engine = create_engine(os.environ["DATABASE_URL"].replace("postgres://", "postgresql+psycopg://"))
with engine.connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
`)
	for _, id := range []string{"0001", "0002", "0003"} {
		if err := p.Up(id); err != nil {
			t.Fatal(err)
		}
	}
	m := p.Migration("0003")
	if !m.Applied || m.File != "db/versions/0003_subtitle.py" {
		t.Errorf("%+v", m)
	}
	if err := p.Tool.Down(t.Context(), p.Project, m); err != nil {
		t.Fatal(err)
	}
	if p.HasColumn("product", "subtitle") {
		t.Error("the column is still there")
	}
}

func TestFilesReadsWhatAlembicWritesAndPeopleWrite(t *testing.T) {
	tree := fstest.MapFS{
		"alembic.ini":      {Data: []byte("[alembic]\n# script_location = old\nscript_location = db\nversion_locations = %(here)s/a, %(here)s/b/versions\n")},
		"a/z.py":           {Data: []byte("revision: str = '01'\ndown_revision: Union[str, None] = None\n")},
		"a/y.py":           {Data: []byte("revision = \"03\"\ndown_revision = (\n    '01',  # one\n    \"02\",\n)\ndepends_on = ['00']\n")},
		"b/versions/x.py":  {Data: []byte("# shiplock: phase=contract\nrevision = '02'\ndown_revision = '01'\ndef upgrade():\n    with op.get_context().autocommit_block():\n        pass\n")},
		"b/versions/no.py": {Data: []byte("def helper(): pass\n")},
		"db/versions/w.py": {Data: []byte("revision = '99'\ndown_revision = None\n")},
	}
	got, err := newTool(t).Files(tree)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(ids(got), []string{"01", "02", "03"}) {
		t.Fatalf("got %v", ids(got))
	}
	if !slices.Equal(got[2].Needs, []string{"01", "02", "00"}) || got[1].Declared != ship.Contract || got[1].Atomic || !got[0].Atomic {
		t.Errorf("%+v", got)
	}
}

func TestFilesRefusesWhatCannotBeOrdered(t *testing.T) {
	for name, c := range map[string]struct{ a, b, want string }{
		"two files of one revision": {"revision = '1'\ndown_revision = None\n", "revision = '1'\ndown_revision = None\n", "is there twice"},
		"a circle":                  {"revision = '1'\ndown_revision = '2'\n", "revision = '2'\ndown_revision = '1'\n", "depends on itself"},
		"no predecessor":            {"revision = '1'\n", "", "does not say what it follows"},
		"an unreadable declaration": {"# shiplock: phase=x\nrevision = '1'\ndown_revision = None\n", "", "a.py: line 1"},
	} {
		_, err := newTool(t).Files(fstest.MapFS{"migrations/versions/a.py": {Data: []byte(c.a)}, "migrations/versions/b.py": {Data: []byte(c.b)}})
		if err == nil || !strings.Contains(err.Error(), c.want) || ship.KindOf(err) != ship.Invalid {
			t.Errorf("%s: got %v of kind %s, want %q", name, err, ship.KindOf(err), c.want)
		}
	}
}

func TestSettingsThatCannotBeAreRefused(t *testing.T) {
	for _, cfg := range []alembic.Config{{Flavor: "rails"}, {Ini: "/etc/alembic.ini"}, {Directory: "../up"}, {Ini: "-x"}} {
		if _, err := alembic.New(cfg, plugin.Deps{}); ship.KindOf(err) != ship.Invalid {
			t.Errorf("%+v: got %v", cfg, err)
		}
	}
}

func TestARevisionThatIsNoNameNeverReachesACommand(t *testing.T) {
	for _, id := range []string{"", "-1", "head:base", "a b", "$HOME"} {
		if err := newTool(t).Up(t.Context(), migrate.Project{}, ship.Migration{ID: id}); ship.KindOf(err) != ship.Invalid {
			t.Errorf("%q: got %v", id, err)
		}
	}
}

func ids(ms []ship.Migration) []string {
	var out []string
	for _, m := range ms {
		out = append(out, m.ID)
	}
	return out
}

// A ledger is a session of which only the ledger is asked for.
type ledger []ship.Record

func (l ledger) Ledger(context.Context) ([]ship.Record, error) { return l, nil }

func (ledger) Rows(context.Context, string, ...any) ([][]string, error) {
	return nil, errors.ErrUnsupported
}
func (ledger) Do(context.Context, ship.Work) error { return errors.ErrUnsupported }
func (ledger) Dialect() string                     { return "postgres" }
func (ledger) NoTable(error) bool                  { return false }
