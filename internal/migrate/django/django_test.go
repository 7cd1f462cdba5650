package django_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/migrate/migratetest"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestListOfAnEmptyDatabaseShowsEverythingPendingAndChangesNothing(t *testing.T) {
	t.Parallel()
	p := newProject(t, "data")
	l := p.List()
	if len(l.Problems)+len(l.Unknown) > 0 || l.Dirty != "" {
		t.Errorf("problems %v, unknown %v, dirty %q", l.Problems, l.Unknown, l.Dirty)
	}
	files, err := p.Tool.Files(p.Tree)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		i := slices.IndexFunc(l.Migrations, func(m ship.Migration) bool { return m.ID == f.ID })
		if i < 0 {
			t.Errorf("the list lacks %s", f.ID)
			continue
		}
		if m := l.Migrations[i]; m.File != f.File || m.Checksum != f.Checksum || m.Declared != f.Declared {
			t.Errorf("%s: %s %s %s in the list, %s %s %s by the file", f.ID, m.File, m.Checksum, m.Declared, f.File, f.Checksum, f.Declared)
		}
	}
	for _, m := range l.Migrations {
		if m.Applied {
			t.Errorf("%s is applied in an empty database", m.ID)
		}
		if strings.HasPrefix(m.ID, "auth.") && (m.File != "" || !strings.HasPrefix(m.Checksum, "sha256:")) {
			t.Errorf("%s has file %q and checksum %q", m.ID, m.File, m.Checksum)
		}
	}
	subtitle, fill := p.Migration("catalog.0003_subtitle"), p.Migration("catalog.0004_fill_subtitle")
	if !strings.Contains(subtitle.SQL, `ALTER TABLE "catalog_product" ADD COLUMN "subtitle" varchar(200) NULL`) {
		t.Errorf("SQL of the column: %s", subtitle.SQL)
	}
	if !slices.Equal(subtitle.Operations, []string{"AddField product.subtitle"}) || !slices.Equal(fill.Operations, []string{"RunPython"}) {
		t.Errorf("operations %v and %v", subtitle.Operations, fill.Operations)
	}
	if !slices.Equal(fill.Needs, []string{"catalog.0003_subtitle"}) {
		t.Errorf("needs %v", fill.Needs)
	}
	if n := p.Count("SELECT count(*) FROM information_schema.tables WHERE table_schema='public'"); n != 0 {
		t.Errorf("listing made %d tables", n)
	}
}

func TestMigrationsGoUpByThemselvesAndDownAgain(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.upToDate()
	p.Release("data")
	for _, id := range []string{"catalog.0003_subtitle", "catalog.0004_fill_subtitle"} {
		if err := p.Up(id); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range p.List().Migrations {
		if !m.Applied || m.SQL != "" {
			t.Errorf("%s: applied %v, SQL %q", m.ID, m.Applied, m.SQL)
		}
	}
	if n := p.Count("SELECT count(*) FROM catalog_product WHERE subtitle LIKE 'The best%'"); n != 3 {
		t.Errorf("%d rows filled, want 3", n)
	}
	p.Run.Forget()
	if err := p.Up("catalog.0003_subtitle"); err != nil {
		t.Errorf("what is applied goes up again: %v", err)
	}
	for _, id := range []string{"catalog.0004_fill_subtitle", "catalog.0003_subtitle"} {
		if state := p.Observe(id); state != migrate.StateApplied {
			t.Errorf("%s is %s before it goes down", id, state)
		}
		if err := p.Down(id); err != nil {
			t.Fatal(err)
		}
		if state := p.Observe(id); state != migrate.StateNotApplied {
			t.Errorf("%s is %s after it went down", id, state)
		}
	}
	if p.HasColumn("catalog_product", "subtitle") {
		t.Error("the column is still there")
	}
}

func TestUpRefusesToApplyAnythingElseBesides(t *testing.T) {
	t.Parallel()
	p := newProject(t, "data")
	p.Release()
	p.upToDate()
	p.Release("data")
	err := p.Tool.Up(t.Context(), p.Project, ship.Migration{ID: "catalog.0004_fill_subtitle"})
	if err == nil || !strings.Contains(err.Error(), "catalog.0003_subtitle, catalog.0004_fill_subtitle") {
		t.Errorf("got %v", err)
	}
	if p.HasColumn("catalog_product", "subtitle") {
		t.Error("something was applied")
	}
}

func TestDownRefusesToTakeBackAnythingElseBesides(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.upToDate()
	for _, id := range []string{"catalog.0001_initial", "orders.0001_initial"} {
		err := p.Down(id)
		if err == nil || !strings.Contains(err.Error(), "undo orders.0002_worker") {
			t.Errorf("%s: got %v", id, err)
		}
	}
	if n := p.Count("SELECT count(*) FROM django_migrations WHERE app IN ('catalog', 'orders')"); n != 4 {
		t.Errorf("%d rows left of 4", n)
	}
}

func TestAnIrreversibleMigrationIsNamedAndNotTakenBack(t *testing.T) {
	t.Parallel()
	p := newProject(t, "irreversible")
	p.upToDate()
	m := p.Migration("catalog.0003_round_prices")
	if m.Reversible || m.WhyNot != "RunPython has no way back" {
		t.Errorf("reversible %v, why not %q", m.Reversible, m.WhyNot)
	}
	err := p.Tool.Down(t.Context(), p.Project, m)
	if ship.KindOf(err) != ship.MigrationFailed || !strings.Contains(err.Error(), "cannot be taken back: RunPython in catalog.0003_round_prices") {
		t.Errorf("got %v", err)
	}
	if state := p.Observe(m.ID); state != migrate.StateApplied {
		t.Errorf("it is %s", state)
	}
}

func TestAFailedMigrationSaysWhyAndWhere(t *testing.T) {
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
		t.Run(variant, func(t *testing.T) {
			p.Run.Forget()
			p.Release(variant)
			err := p.Up("catalog.0003_subtitle")
			if ship.KindOf(err) != ship.MigrationFailed {
				t.Fatalf("got %v", err)
			}
			for _, part := range []string{"ValueError: product 2 has no supplier", "catalog/migrations/0003_subtitle.py line 6"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			if state := p.Observe("catalog.0003_subtitle"); state != c.state {
				t.Errorf("it is %s, want %s", state, c.state)
			}
			if got := p.HasColumn("catalog_product", "subtitle"); got != c.column {
				t.Errorf("the column is there: %v, want %v", got, c.column)
			}
			p.Exec("ALTER TABLE catalog_product DROP COLUMN IF EXISTS subtitle")
		})
	}
}

func TestA43AMigrationKilledInTheMiddleIsObservedAndNeverGuessed(t *testing.T) {
	const id = "catalog.0003_subtitle_weight"
	for variant, want := range map[string]migrate.State{"slow": migrate.StateNotApplied, "slow-nonatomic": migrate.StateUnknown} {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			p := newProject(t)
			p.upToDate()
			p.Release(variant)
			m := p.Migration(id)
			done := make(chan error, 1)
			go func() { done <- p.Tool.Up(t.Context(), p.Project, m) }()
			migratetest.Eventually(t, "the migration sleeps", func() bool {
				if variant == "slow" { // its ALTER TABLE holds a lock
					return p.Count("SELECT count(*) FROM pg_locks WHERE mode='AccessExclusiveLock' AND relation='catalog_product'::regclass") > 0
				}
				return p.HasColumn("catalog_product", "subtitle")
			})
			p.Run.Kill(t)
			if err := <-done; err == nil {
				t.Error("a killed migration is reported as applied")
			}
			p.Run.Resume("SHOP_SLOW_MIGRATION=0")
			if state := p.Observe(id); state != want {
				t.Errorf("it is %s, want %s", state, want)
			}
			err := p.Tool.Up(t.Context(), p.Project, m)
			if variant == "slow" && (err != nil || p.Observe(id) != migrate.StateApplied) {
				t.Errorf("what did nothing is not begun again: %v", err)
			}
			if variant == "slow-nonatomic" && (err == nil || !strings.Contains(err.Error(), "was cut off going up and is now unknown: django_migrations has no row of it; it runs without a transaction")) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Django commits deferred statements before it writes its row, so that a crash
// between the two leaves everything done and nothing recorded.
func TestWhatIsDoneAndNotRecordedIsUnknown(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.upToDate()
	p.Exec("DELETE FROM django_migrations WHERE app='orders' AND name='0002_worker'")
	if state := p.Observe("orders.0002_worker"); state != migrate.StateUnknown {
		t.Errorf("with tables and without a row it is %s", state)
	}
	p.Exec("DROP TABLE orders_workerspan")
	if state := p.Observe("orders.0002_worker"); state != migrate.StateUnknown {
		t.Errorf("half there and without a row it is %s", state)
	}
	p.Exec("ALTER TABLE orders_order DROP COLUMN processed_at, DROP COLUMN processed_by")
	if state := p.Observe("orders.0002_worker"); state != migrate.StateNotApplied {
		t.Errorf("without traces it is %s", state)
	}
	p.Exec("INSERT INTO django_migrations (app, name, applied) VALUES ('orders', '0002_worker', now())")
	if state := p.Observe("orders.0002_worker"); state != migrate.StateUnknown {
		t.Errorf("undone and still recorded it is %s", state)
	}
}

func TestRowsWithoutAFileAreUnknown(t *testing.T) {
	t.Parallel()
	p := newProject(t, "additive")
	p.upToDate()
	p.Release()
	if l := p.List(); !slices.Equal(l.Unknown, []string{"catalog.0003_subtitle"}) || len(l.Problems) > 0 {
		t.Errorf("unknown %v, problems %v", l.Unknown, l.Problems)
	}
}

func TestProblemsOfTheGraphAreSentences(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.upToDate()
	for name, c := range map[string]struct {
		arrange func()
		want    string
	}{
		"two heads": {
			func() { p.Release("two-heads") },
			"catalog has 2 migrations that nothing follows (0003_subtitle, 0003_weight): merge them",
		},
		"a history that cannot be": {func() {
			p.Exec("DELETE FROM django_migrations WHERE app='catalog' AND name='0001_initial'")
		}, "catalog.0002_stock is applied before its dependency catalog.0001_initial"},
		"a dependency that is not there": {func() {
			p.Write("catalog/migrations/0003_x.py", plain+"    dependencies = [('catalog', '0002_gone')]\n")
		}, "Django cannot load the migrations: NodeNotFoundError"},
		"a file that is no Python": {func() {
			p.Write("catalog/migrations/0003_x.py", plain+"    dependencies = [(\n")
		}, "Django cannot load the migrations: SyntaxError"},
		"a file of no installed app": {
			func() { p.Write("gone/migrations/0001_x.py", plain) },
			"Django does not load gone/migrations/0001_x.py",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p.Release()
			c.arrange()
			l := p.List()
			if !slices.ContainsFunc(l.Problems, func(s string) bool { return strings.Contains(s, c.want) }) {
				t.Errorf("problems %q lack %q", l.Problems, c.want)
			}
			if len(l.Migrations) == 0 {
				t.Error("the list is empty")
			}
			p.Exec(`INSERT INTO django_migrations (app, name, applied) SELECT 'catalog', '0001_initial', now()
				WHERE NOT EXISTS (SELECT FROM django_migrations WHERE app='catalog' AND name='0001_initial')`)
		})
	}
}

func TestListRefusesToLetAnOperationWrite(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.upToDate()
	p.Write("catalog/migrations/0003_sly.py", `from django.db import migrations

class Sly(migrations.RunSQL):
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        schema_editor.connection.cursor().execute("DELETE FROM catalog_product")

class Migration(migrations.Migration):
    dependencies = [("catalog", "0002_stock")]
    operations = [Sly("")]
`)
	m := p.Migration("catalog.0003_sly")
	if len(m.Operations) != 2 || !strings.Contains(m.Operations[1], "SQL not shown: PermissionError") {
		t.Errorf("operations %q", m.Operations)
	}
	if n := p.Count("SELECT count(*) FROM catalog_product"); n != 3 {
		t.Errorf("%d products left of 3", n)
	}
}

func TestASquashedMigrationStandsForThoseItReplaces(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	const squashed = `from django.db import migrations, models

class Migration(migrations.Migration):
    replaces = [("catalog", "0001_initial"), ("catalog", "0002_stock")]
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel("Product", [
            ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ("name", models.CharField(max_length=100)),
            ("description", models.TextField(blank=True, default="")),
            ("price_cents", models.PositiveIntegerField()),
            ("stock", models.PositiveIntegerField(default=0)),
        ], options={"ordering": ["id"]}),
    ]
`
	p.Write("catalog/migrations/0001_squashed_0002_stock.py", squashed)
	for _, m := range p.List().Migrations {
		if m.File == "" || m.ID == "orders.0002_worker" { // Django's own do not matter here
			continue
		}
		if err := p.Tool.Up(t.Context(), p.Project, m); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range p.List().Migrations {
		if strings.HasPrefix(m.ID, "catalog.") && !m.Applied {
			t.Errorf("%s is not applied", m.ID)
		}
	}
}

func TestAProjectThatPrintsOrCannotBeLoadedIsUnderstood(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.Write("shop/settings.py", `print("hello from settings")`+"\n"+migratetest.ReadFile(t, p.Dir+"/shop/settings.py"))
	p.List()
	p.Write("shop/settings.py", "import no_such_module\n")
	_, err := p.Tool.List(t.Context(), p.Project)
	if err == nil || !strings.Contains(err.Error(), "ModuleNotFoundError: No module named 'no_such_module'") {
		t.Errorf("got %v", err)
	}
}

func TestADatabaseThatDoesNotAnswerIsUnreachable(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.Run.Resume("DATABASE_URL=postgres://nobody@127.0.0.1:1/none")
	_, err := p.Tool.List(t.Context(), p.Project)
	if ship.KindOf(err) != ship.Unreachable {
		t.Errorf("got %v of kind %s", err, ship.KindOf(err))
	}
}

func TestDjango3IsUnderstoodToo(t *testing.T) {
	t.Parallel()
	p := newProjectWith(t, []string{"Django==3.2.25", "psycopg2-binary==2.9.13", "whitenoise==6.2.0"})
	p.upToDate()
	p.Release("additive")
	m := p.Migration("catalog.0003_subtitle")
	if m.Applied || !m.Reversible || !m.Atomic || !strings.Contains(m.SQL, "ADD COLUMN") {
		t.Errorf("%+v", m)
	}
	if err := p.Tool.Up(t.Context(), p.Project, m); err != nil {
		t.Fatal(err)
	}
	if state := p.Observe(m.ID); state != migrate.StateApplied {
		t.Errorf("it is %s", state)
	}
	if err := p.Tool.Down(t.Context(), p.Project, m); err != nil {
		t.Fatal(err)
	}
	if p.HasColumn("catalog_product", "subtitle") {
		t.Error("the column is still there")
	}
}
