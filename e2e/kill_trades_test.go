package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/load"
	"github.com/shiplock/shiplock/internal/testneed"
)

// A trade is an example application that is released again and again, each
// release with one more migration and one more turn of the gate. What was done
// is read where it was done.
type trade struct {
	*project
	bell             *bell
	lines            string   // file of the gate
	products, orders string   // paths
	releases         int      // trees written so far; also the number of the newest mark
	marked           []string // releases whose migration leaves a mark
	tree             func(s *trade, breaking bool)
	query            func(query string) []string
	records          []record
}

// A record is a place where migrations are written down, or show.
type record struct {
	what, query string
	want        func(n int) []string // after n releases
}

// each is a record with an entry for every release.
func each(format string, first int) func(n int) []string {
	return func(n int) (all []string) {
		for i := 1; i <= n; i++ {
			all = append(all, fmt.Sprintf(format, first+i))
		}
		return all
	}
}

// unended is the record of what has no end.
var unended = record{"open entries of the ledger", "", func(int) []string { return nil }}

// next writes the tree of the next release. One by a route other than the
// ordinary takes away what the release before has.
func (s *trade) next(route string) {
	s.w.t.Helper()
	s.releases++
	s.write("VERSION", fmt.Sprintln(s.releases), 0o644)
	s.tree(s, route != "")
	s.write(fmt.Sprintf("backfills/%03d_tally.sql", s.releases), "-- shiplock: backfill table=tally key=id batch=2\nUPDATE tally SET n = n + 1 WHERE :page;\n", 0o644)
	if route == "" {
		s.marked = append(s.marked, fmt.Sprint(s.releases))
	}
}

// expand is what the migrations declare.
const expand = `shiplock: phase=expand reason="no release reads marks"`

// users ask and order all the time, each request on a connection of its own.
func (s *trade) users() *users {
	return s.project.users(tradeRate, load.Request{Path: s.products, Weight: 3}, load.Request{Path: "/"},
		load.Request{Method: http.MethodPost, Path: s.orders, Body: `{"key":"$ID","product":1}`})
}

const tradeRate = 15 // requests a second

// appliedOnce fails the test unless every record says that each migration was
// applied, and once.
func (s *trade) appliedOnce(what string) {
	s.w.t.Helper()
	for _, r := range s.records {
		if got, want := s.query(r.query), r.want(s.releases); !slices.Equal(got, want) {
			s.w.t.Errorf("%s: %s: %v, want %v", what, r.what, got, want)
		}
	}
}

// gatedOnce fails the test unless the gate of each release ran once.
func (s *trade) gatedOnce(what string) {
	s.w.t.Helper()
	b, err := os.ReadFile(s.lines)
	if err != nil {
		s.w.t.Fatal(err)
	}
	if got, want := strings.Fields(string(b)), each("%d", 0)(s.releases); !slices.Equal(got, want) {
		s.w.t.Errorf("%s: the gates of %v ran, want %v", what, got, want)
	}
}

// newTrade copies an example into a world whose program can be stopped.
func newTrade(t *testing.T, example string, secrets map[string]string) *trade {
	t.Helper()
	s := &trade{bell: newBell(t, 0), lines: filepath.Join(t.TempDir(), "gates")}
	s.project = faultyWorld(t, nil).newProject(example, secrets)
	return s
}

// common is what the configurations of all trades end with.
const common = `
gates: {once: {run: ["sh", "-c", "echo %[1]d >> %[2]s; sleep 0.2"]}}
notify: [{webhook: %[3]q}]
environments:
  production: {platform: process, listen: "127.0.0.1:%[4]d", gates: [once], drain: 10s, hold: 50s, keep_old: 5m, watch: {for: 700ms, error_rate: 50%%}}
`

func (s *trade) configure(text string) {
	s.write("shiplock.yaml", text+fmt.Sprintf(common, s.releases, s.lines, s.bell.URL, s.port), 0o644)
}

const djangoTradeYAML = `
app: shop
release: {exclude: [variants/, media/, staticfiles/, "*.sqlite3", README.md, secrets.env]}
run:
  python: {requirements: requirements.txt}
  setup: [python manage.py collectstatic --noinput]
  processes:
    web: {command: "gunicorn shop.wsgi --bind 127.0.0.1:$PORT", grace: 10s}
    worker: {command: python manage.py process_orders, grace: 10s}
  shared: [media]
vars: {SECRET_KEY: "${secret:SECRET_KEY}", ALLOWED_HOSTS: "127.0.0.1,localhost", WEB_CONCURRENCY: "1"}
health: {path: /healthz, healthy_after: 3, every: 100ms, give_up: 30s, host: localhost}
warmup: [/, /products/]
smoke: [/products/]
database: {url: "${secret:DATABASE_URL}", kind: postgres, backup: {kind: dump}}
migrations: {tool: django, timeout: 2m, lock_timeout: 5s}
secrets: {file: secrets.env}
`

// The mark is made first, so that a migration that is killed leaves nothing but
// what its transaction leaves.
const djangoMark = `# %[1]s
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("catalog", "%[2]s")]

    operations = [
        migrations.RunSQL("INSERT INTO marks (migration) VALUES (%[3]d)", "DELETE FROM marks WHERE migration = %[3]d"),
        migrations.RunSQL("SELECT pg_sleep(0.3)", migrations.RunSQL.noop),
        migrations.AddField("product", "m%[3]d", models.TextField(null=True)),
    ]
`

// A name that is taken away comes back with its values.
const djangoRename = `from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("catalog", "%[1]s")]

    operations = [
        migrations.AddField("product", "m%[2]d", models.TextField(null=True)),
        migrations.RenameField("product", "m%[3]d", "was%[3]d"),
    ]
`

const marks = "CREATE TABLE marks (seq serial, migration integer NOT NULL)"

// The backfill of each release adds one to every row of the tally.
const (
	tally     = "CREATE TABLE tally (id integer PRIMARY KEY, n integer NOT NULL)"
	tallyRows = "INSERT INTO tally VALUES (1, 0), (2, 0), (3, 0), (4, 0), (5, 0)"
)

var tallied = record{"backfills that a row has seen", "SELECT DISTINCT CAST(n AS text) FROM tally", func(n int) []string { return []string{fmt.Sprint(n)} }}

func djangoTrade(t *testing.T) *trade {
	t.Helper()
	url := testneed.Postgres(t)
	testneed.Python(t, testneed.Requirements(t, "../examples/django/requirements.txt")...)
	s := newTrade(t, "django", map[string]string{"DATABASE_URL": url, "SECRET_KEY": "x"})
	s.products, s.orders, s.tree = "/products/", "/orders/", djangoTree
	s.query = func(query string) []string { return rows(t, url, query) }
	s.records = []record{
		{"marks", "SELECT migration::text FROM marks ORDER BY seq", func(int) []string { return s.marked }},
		{"Django's table", "SELECT name::text FROM django_migrations WHERE name LIKE '%\\_mark' ORDER BY id", each("%d_mark", 1000)},
		postgresLedger("catalog.%d_mark done"), postgresOpen, postgresColumns("catalog_product"), tallied,
	}
	s.write("catalog/migrations/1000_start.py", fmt.Sprintf(`# %s
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("catalog", "0002_stock")]

    operations = [
        migrations.RunSQL(%q, "DROP TABLE marks"),
        migrations.RunSQL(%q, "DROP TABLE tally"),
        migrations.RunSQL(%q, migrations.RunSQL.noop),
    ]
`, expand, marks, tally, tallyRows), 0o644)
	return s
}

func djangoTree(s *trade, breaking bool) {
	s.configure(djangoTradeYAML)
	before := fmt.Sprintf("%d_mark", 999+s.releases)
	if s.releases == 1 {
		before = "1000_start"
	}
	text := fmt.Sprintf(djangoMark, expand, before, s.releases)
	if breaking {
		text = fmt.Sprintf(djangoRename, before, s.releases, s.releases-1)
	}
	s.write(fmt.Sprintf("catalog/migrations/%d_mark.py", 1000+s.releases), text, 0o644)
}

func postgresLedger(format string) record {
	return record{"the ledger", "SELECT migration || ' ' || status FROM _shiplock.migration WHERE migration ~ '1[0-9]{3}' AND migration !~ '1000' ORDER BY migration", each(format, 1000)}
}

var postgresOpen = record{unended.what, "SELECT migration || ' ' || status FROM _shiplock.migration WHERE status <> 'done'", unended.want}

// postgresColumns are in the order in which they were added.
func postgresColumns(table string) record {
	return record{"columns", "SELECT replace(column_name::text, 'was', 'm') FROM information_schema.columns WHERE table_name = '" + table + "' AND column_name ~ '^(m|was)[0-9]+$' ORDER BY ordinal_position", each("m%d", 0)}
}

const flaskTradeYAML = `
app: shop
release: {exclude: [variants/, README.md, secrets.env]}
run:
  python: {requirements: requirements.txt}
  processes:
    web: {command: "gunicorn wsgi:app --bind 127.0.0.1:$PORT", grace: 10s}
vars: {SECRET_KEY: "${secret:SECRET_KEY}", WEB_CONCURRENCY: "1"}
health: {path: /healthz, healthy_after: 3, every: 100ms, give_up: 30s, host: localhost}
warmup: [/, /products/]
smoke: [/products/]
database: {url: "${secret:DATABASE_URL}", kind: postgres, backup: {kind: dump}}
migrations: {tool: alembic, timeout: 2m, lock_timeout: 5s}
secrets: {file: secrets.env}
`

const alembicRevision = `# %[1]s
"""release %[3]s"""
import sqlalchemy as sa
from alembic import op

revision = "%[3]s"
down_revision = "%[2]s"
branch_labels = None
depends_on = None


def upgrade():
    %[4]s


def downgrade():
    %[5]s
`

func flaskTrade(t *testing.T) *trade {
	t.Helper()
	url := testneed.Postgres(t)
	testneed.Python(t, testneed.Requirements(t, "../examples/flask/requirements.txt")...)
	s := newTrade(t, "flask", map[string]string{"DATABASE_URL": url, "SECRET_KEY": "x"})
	s.products, s.orders, s.tree = "/products/", "/orders/", flaskTree
	s.query = func(query string) []string { return rows(t, url, query) }
	s.records = []record{
		{"marks", "SELECT migration::text FROM marks ORDER BY seq", func(int) []string { return s.marked }},
		{"Alembic's table", "SELECT version_num::text FROM alembic_version", func(n int) []string { return []string{fmt.Sprint(1000 + n)} }},
		postgresLedger("%d done"), postgresOpen, postgresColumns("product"), tallied,
	}
	s.write("migrations/versions/1000_start.py", fmt.Sprintf(alembicRevision, expand, "0002", "1000",
		fmt.Sprintf("op.execute(%q)\n    op.execute(%q)\n    op.execute(%q)", marks, tally, tallyRows),
		`op.execute("DROP TABLE tally")
    op.execute("DROP TABLE marks")`), 0o644)
	return s
}

func flaskTree(s *trade, _ bool) {
	s.configure(flaskTradeYAML)
	up := fmt.Sprintf(`op.execute("INSERT INTO marks (migration) VALUES (%[1]d)")
    op.execute("SELECT pg_sleep(0.3)")
    op.add_column("product", sa.Column("m%[1]d", sa.Text))`, s.releases)
	down := fmt.Sprintf(`op.drop_column("product", "m%[1]d")
    op.execute("DELETE FROM marks WHERE migration = %[1]d")`, s.releases)
	revision := fmt.Sprint(1000 + s.releases)
	s.write("migrations/versions/"+revision+"_mark.py", fmt.Sprintf(alembicRevision, expand, fmt.Sprint(999+s.releases), revision, up, down), 0o644)
}

const goTradeYAML = `
app: shop
release: {exclude: [variants/, "*.go", README.md, secrets.env]}
run:
  processes: {web: {command: "%s --listen 127.0.0.1:$PORT", instances: 2, grace: 5s}}
health: {path: /healthz, healthy_after: 3, every: 100ms, give_up: 30s}
warmup: [/, /products]
smoke: [/products]
database: {url: "${secret:DATABASE_URL}", kind: sqlite, backup: {kind: dump}}
migrations: {tool: sqlfiles}
secrets: {file: secrets.env}
`

func goTrade(t *testing.T) *trade {
	t.Helper()
	shop, err := shopBinary()
	if err != nil {
		t.Fatal(err)
	}
	database := filepath.Join(t.TempDir(), "shop.sqlite3")
	s := newTrade(t, "go", map[string]string{"DATABASE_URL": "sqlite:///" + database})
	s.products, s.orders = "/products", "/orders"
	s.tree = func(s *trade, _ bool) { goTree(s, shop) }
	s.query = (&goShop{project: s.project, database: database}).rows
	s.records = []record{
		{"marks", "SELECT migration FROM marks ORDER BY rowid", each("%d", 0)},
		{"goose's table", "SELECT version_id FROM goose_db_version WHERE version_id > 1000 AND is_applied ORDER BY id", each("%d", 1000)},
		{"the ledger", "SELECT substr(migration, 1, 5) || ' ' || status FROM _shiplock_migration WHERE migration LIKE '01%mark%' ORDER BY migration", each("%05d done", 1000)},
		{unended.what, "SELECT migration || ' ' || status FROM _shiplock_migration WHERE status <> 'done'", unended.want},
		{"columns", "SELECT name FROM pragma_table_info('products') WHERE name GLOB 'm[0-9]*' ORDER BY cid", each("m%d", 0)},
		tallied,
	}
	s.write("migrations/01000_start.sql", "-- +goose Up\nCREATE TABLE marks (migration INTEGER NOT NULL, counted INTEGER NOT NULL);\n"+
		tally+";\n"+tallyRows+";\n\n-- +goose Down\nDROP TABLE tally;\nDROP TABLE marks;\n", 0o644)
	return s
}

func goTree(s *trade, shop string) {
	s.configure(fmt.Sprintf(goTradeYAML, shop))
	s.write(fmt.Sprintf("migrations/%05d_mark.sql", 1000+s.releases), fmt.Sprintf(`-- %[1]s
-- +goose Up
ALTER TABLE products ADD COLUMN m%[2]d TEXT;
INSERT INTO marks (migration, counted)
    WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 500000) SELECT %[2]d, count(*) FROM n;

-- +goose Down
DELETE FROM marks WHERE migration = %[2]d;
ALTER TABLE products DROP COLUMN m%[2]d;
`, expand, s.releases), 0o644)
}
