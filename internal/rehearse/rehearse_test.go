package rehearse_test

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/database/postgres"
	"github.com/shiplock/shiplock/internal/database/sqlite"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/migrate/sqlfiles"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/rehearse"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

// A lab is a database with one migration that is pending.
type lab struct {
	t       *testing.T
	dialect string
	db      database.Database
	app     ship.Secret
}

type session struct {
	database.Shadow
	lock    database.Lock
	dialect string
}

func (s session) Rows(ctx context.Context, query string, args ...any) ([][]string, error) {
	return s.Shadow.Rows(ctx, query, args...)
}
func (s session) Do(ctx context.Context, w ship.Work) error { return s.lock.Do(ctx, w) }
func (s session) Dialect() string                           { return s.dialect }
func (s session) NoTable(err error) bool {
	return err != nil && strings.Contains(err.Error(), database.ErrNoTable.Error())
}

// onPostgres makes a database with the schema of the running release.
func onPostgres(t *testing.T, schema string) *lab {
	t.Helper()
	url := ship.NewSecret(testneed.Postgres(t))
	db, err := postgres.New(database.Config{URL: url, Key: make([]byte, 32)}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, dialect: "postgres", db: db, app: url}
	l.exec(schema)
	return l
}

func onSQLite(t *testing.T, schema string) *lab {
	t.Helper()
	url := ship.NewSecret("sqlite:///" + filepath.Join(t.TempDir(), "shop.sqlite3"))
	db, err := sqlite.New(database.Config{URL: url, Key: make([]byte, 32)}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, dialect: "sqlite", db: db, app: url}
	l.exec(schema)
	return l
}

func (l *lab) exec(script string)  { l.t.Helper(); l.as(1, script) }
func (l *lab) again(script string) { l.t.Helper(); l.as(2, script) }

func (l *lab) as(epoch int64, script string) {
	l.t.Helper()
	lock, err := l.db.Lock(l.t.Context(), ship.Fence{Run: "setup", Epoch: epoch}, "test")
	if err != nil {
		l.t.Fatal(err)
	}
	var statements []string
	for s := range strings.SplitSeq(script, ";") {
		if strings.TrimSpace(s) != "" {
			statements = append(statements, s)
		}
	}
	if err := lock.Do(l.t.Context(), ship.Work{Atomic: true, Statements: statements}); err != nil {
		l.t.Fatal(err)
	}
	if err := lock.Release(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
}

// rehearse carries out up, with down as its way back.
func (l *lab) rehearse(up, down string) ship.Rehearsal {
	l.t.Helper()
	text := "-- +goose Up\n" + up + "\n"
	if down != "" {
		text += "-- +goose Down\n" + down + "\n"
	}
	return l.rehearseFile(text)
}

func (l *lab) rehearseFile(text string) ship.Rehearsal {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	tool, err := sqlfiles.New(sqlfiles.Config{Dir: "migrations"}, plugin.Deps{})
	if err != nil {
		l.t.Fatal(err)
	}
	tree := fstest.MapFS{"migrations/00001_change.sql": {Data: []byte(text)}}
	shadower, ok := l.db.(database.Shadower)
	if !ok {
		l.t.Fatalf("%T cannot be copied", l.db)
	}
	shadow, err := shadower.Shadow(ctx, database.ShadowOptions{App: l.app})
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() {
		if err := shadow.Drop(ctx); err != nil {
			l.t.Error(err)
		}
	}()
	project := func(s database.Shadow, lock database.Lock, f ship.Fence) migrate.Project {
		return migrate.Project{Tree: tree, Session: session{s, lock, l.dialect}, Fence: f, Timeout: time.Minute, Lock: time.Second}
	}
	listing, err := tool.List(ctx, project(shadow, nil, ship.Fence{}))
	if err != nil {
		l.t.Fatal(err)
	}
	out, err := rehearse.Run(ctx, rehearse.Config{
		Shadow: shadow, Tool: tool, Project: project, Pending: listing.Migrations, Downgrade: true,
		Rows: map[string]int64{"product": 1_000_000}, Run: "test",
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

// shop is what the running release knows.
const shop = `CREATE TYPE mood AS ENUM ('ok', 'sad');
CREATE TABLE supplier (id bigserial PRIMARY KEY, name varchar(40) UNIQUE);
CREATE TABLE product (id bigserial PRIMARY KEY, name varchar(40) NOT NULL, price numeric(8,2), stock integer NOT NULL DEFAULT 0,
	sku text UNIQUE, feels mood NOT NULL DEFAULT 'ok', supplier_id bigint REFERENCES supplier, CONSTRAINT positive CHECK (stock >= 0));
INSERT INTO supplier (name) SELECT 's' || n FROM generate_series(1, 20) n;
INSERT INTO product (name, price, stock, sku, supplier_id) SELECT 'p' || n, n, n, 'k' || n, 1 + n % 20 FROM generate_series(1, 500) n`

func TestWhatBreaksTheRunningReleaseIsShownAsTheStatementThatFails(t *testing.T) {
	l := onPostgres(t, shop)
	for _, c := range []struct{ up, probe, code string }{
		{"ALTER TABLE product DROP COLUMN price;", "select", "42703"},
		{"ALTER TABLE product ADD COLUMN note text;", "prepared select *", "0A000"},
		{"ALTER TABLE product ALTER name TYPE text;", "prepared select", "0A000"},
		{"ALTER TABLE product ADD COLUMN weight int NOT NULL DEFAULT 0; ALTER TABLE product ALTER weight DROP DEFAULT;", "minimal insert", "23502"},
		{"ALTER TABLE product ALTER price SET NOT NULL;", "null insert", "23502"},
		{"ALTER TABLE product ADD CONSTRAINT cheap CHECK (price < 1000);", "insert at the upper limit", "23514"},
		{"ALTER TABLE product ADD CONSTRAINT dear CHECK (price >= 0);", "insert at the lower limit", "23514"},
		{"ALTER TABLE product ALTER name TYPE varchar(10);", "insert at the upper limit", "22001"},
		{"CREATE UNIQUE INDEX once ON product (name, stock);", "duplicate", "23505"},
		{"ALTER TABLE product ADD CONSTRAINT twin FOREIGN KEY (stock) REFERENCES product (id) NOT VALID;", "orphan", "23503"},
		{"ALTER TABLE product DROP CONSTRAINT product_sku_key;", "upsert", "42P10"},
		{"ALTER TYPE mood RENAME VALUE 'sad' TO 'gone';", "enum label", "22P02"},
		{"ALTER TABLE product ALTER price TYPE text;", "comparison", "42883"},
		{"ALTER TABLE product RENAME TO goods;", "full insert", "42P01"},
		{"ALTER TABLE product ADD CONSTRAINT small CHECK (stock < 100) NOT VALID;", "update", "23514"},
	} {
		t.Run(c.up, func(t *testing.T) {
			l := *l
			l.t = t
			m := l.rehearse(c.up, "").Migrations[0]
			if m.Failed != "" {
				t.Fatalf("it failed on the copy: %s", m.Failed)
			}
			var seen []string
			for _, b := range m.Broken {
				if b.Probe == c.probe && b.Code == c.code {
					return
				}
				seen = append(seen, fmt.Sprintf("%s %s: %s: %s", b.Probe, b.Code, b.Statement, b.Message))
			}
			t.Errorf("no %q fails with %s; what fails:\n%s", c.probe, c.code, strings.Join(seen, "\n"))
		})
	}
}

func TestProbesRunAsTheRoleOfTheApplication(t *testing.T) {
	l := onPostgres(t, shop)
	role := "app_" + l.db.Name()[strings.LastIndexByte(l.db.Name(), '/')+1:]
	l.again(fmt.Sprintf(`CREATE ROLE %[1]s LOGIN PASSWORD 'secret'; GRANT SELECT, INSERT ON product, supplier TO %[1]s; GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO %[1]s`, role))
	u, err := url.Parse(l.app.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "secret")
	l.app = ship.NewSecret(u.String())
	for up, want := range map[string]string{
		"REVOKE INSERT ON product FROM " + role + ";":    "42501",
		"ALTER TABLE product ENABLE ROW LEVEL SECURITY;": "it found rows before and finds none now",
		"ALTER TABLE product ADD COLUMN code bigserial;": "42501", // the sequence is not theirs
	} {
		r := l.rehearse(up, "")
		if r.Role != role || !strings.Contains(fmt.Sprintf("%+v", r.Migrations[0].Broken), want) {
			t.Errorf("%s: as %s, %+v", up, r.Role, r.Migrations[0])
		}
	}
}

func TestWhatTheRunningReleaseDoesNotNoticeBreaksNothing(t *testing.T) {
	l := onPostgres(t, shop)
	for _, up := range []string{
		"CREATE TABLE note (id int);", "CREATE INDEX by_price ON product (price);", "ALTER TABLE product ALTER price DROP NOT NULL;",
		"ALTER TABLE product DROP CONSTRAINT positive;", "ALTER TYPE mood ADD VALUE 'glad';",
	} {
		r := l.rehearse(up, "")
		if r.Migrations[0].Failed != "" || r.Breaks() > 0 {
			t.Errorf("%s: %+v", up, r.Migrations[0])
		}
		if r.Probes < 40 {
			t.Errorf("%d statements worked before: too few to mean anything", r.Probes)
		}
	}
}

func TestAWayDownIsWorthWhatItBringsBack(t *testing.T) {
	l := onPostgres(t, shop)
	for _, c := range []struct {
		up, down string
		want     ship.DowngradeOutcome
		says     string
	}{
		{"ALTER TABLE product ADD COLUMN note text;", "ALTER TABLE product DROP COLUMN note;", ship.DowngradeExact, ""},
		{"ALTER TABLE product DROP COLUMN feels;", "ALTER TABLE product ADD COLUMN feels mood NOT NULL DEFAULT 'ok';", ship.DowngradeReordered, "order"},
		{"ALTER TABLE product DROP COLUMN supplier_id;", "ALTER TABLE product ADD COLUMN supplier_id bigint REFERENCES supplier;", ship.DowngradeLossy, "values in public.product"},
		{"CREATE INDEX by_price ON product (price);", "SELECT 1;", ship.DowngradeLossy, "by_price"},
		{"ALTER TABLE product ALTER name DROP NOT NULL;", "ALTER TABLE product ALTER name SET NOT NULL;", ship.DowngradeFails, "23502"},
		{"ALTER TABLE product DROP CONSTRAINT product_sku_key;", "ALTER TABLE product ADD CONSTRAINT product_sku_key UNIQUE (sku);", ship.DowngradeFails, "23505"},
		{"ALTER TABLE product DROP CONSTRAINT product_supplier_id_fkey;", "ALTER TABLE product ADD CONSTRAINT product_supplier_id_fkey FOREIGN KEY (supplier_id) REFERENCES supplier;", ship.DowngradeFails, "23503"},
		{"ALTER TABLE product DROP CONSTRAINT positive;", "ALTER TABLE product ADD CONSTRAINT positive CHECK (stock >= 0);", ship.DowngradeFails, "23514"},
		{"ALTER TABLE product ALTER name TYPE text;", "ALTER TABLE product ALTER name TYPE varchar(40);", ship.DowngradeFails, "22001"},
		{"ALTER TABLE product ALTER name DROP NOT NULL;", "DELETE FROM product WHERE name IS NULL; ALTER TABLE product ALTER name SET NOT NULL;", ship.DowngradeLossy, "that the new release wrote"},
		{"ALTER TABLE product ADD COLUMN note text;", "ALTER TABLE product DROP COLUMN notes;", ship.DowngradeFails, "42703"},
		{"ALTER TABLE product ADD COLUMN note text;", "", ship.DowngradeFails, "no way down"},
	} {
		t.Run(c.up+" "+c.down, func(t *testing.T) {
			l := *l
			l.t = t
			d := l.rehearse(c.up, c.down).Migrations[0].Downgrade
			if d.Outcome != c.want || !strings.Contains(strings.Join(d.What, "\n"), c.says) {
				t.Errorf("worth %+v, want %s with %q", d, c.want, c.says)
			}
		})
	}
}

func TestLocksAndWorkAreMeasuredStatementByStatement(t *testing.T) {
	l := onPostgres(t, shop)
	m := l.rehearse("ALTER TABLE product ADD COLUMN note text; ALTER TABLE product ALTER stock TYPE bigint; UPDATE supplier SET name = name; ALTER TABLE product ADD CONSTRAINT p CHECK (price > 0);", "").Migrations[0]
	if len(m.Effects) != 4 {
		t.Fatalf("effects of %d statements, want 4: %+v", len(m.Effects), m.Effects)
	}
	add, widen, update, check := m.Effects[0], m.Effects[1], m.Effects[2], m.Effects[3]
	if fmt.Sprint(add.Locks) != "[{public.product ACCESS EXCLUSIVE}]" || add.Rewritten != nil || add.ProjectedMS != 0 {
		t.Errorf("adding a column: %+v", add)
	}
	if fmt.Sprint(widen.Rewritten) != "[public.product]" || widen.WAL < 10_000 || widen.ProjectedMS < widen.HeldMS {
		t.Errorf("a rewrite: %+v", widen)
	}
	if update.Written["public.supplier"] != 20 || len(update.Locks) != 1 || update.HeldMS < update.TookMS {
		t.Errorf("an update: %+v", update)
	}
	if check.Scanned["public.product"] != 500 || check.Rewritten != nil {
		t.Errorf("a check: %+v", check)
	}
	if add.HeldMS < add.TookMS+widen.TookMS {
		t.Errorf("the first lock is held for %.1f ms, and the next statement alone took %.1f ms", add.HeldMS, widen.TookMS)
	}
}

func TestLocksOfWhatRunsOutsideATransactionAreSeen(t *testing.T) {
	l := onPostgres(t, shop)
	m := l.rehearseFile("-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY by_name ON product (name);\n").Migrations[0]
	if m.Failed != "" || len(m.Effects) != 1 || !m.Effects[0].Sampled {
		t.Fatalf("%+v", m)
	}
	for _, lock := range m.Effects[0].Locks {
		if lock.Mode == "ACCESS EXCLUSIVE" {
			t.Errorf("it keeps everybody out: %+v", lock)
		}
	}
}

func TestAMigrationThatFailsOnTheCopySaysWhy(t *testing.T) {
	l := onPostgres(t, shop)
	m := l.rehearse("ALTER TABLE product ADD CONSTRAINT few CHECK (stock < 10);", "").Migrations[0]
	if !strings.Contains(m.Failed, "23514") && !strings.Contains(m.Failed, "few") {
		t.Errorf("%+v", m)
	}
}

func TestSQLiteIsRehearsedOnAFile(t *testing.T) {
	l := onSQLite(t, `CREATE TABLE product (id INTEGER PRIMARY KEY, name varchar(20) NOT NULL, price integer, sku text UNIQUE);
		INSERT INTO product (name, price, sku) VALUES ('a', 1, 'k1'), ('b', 2, 'k2')`)
	r := l.rehearse("ALTER TABLE product DROP COLUMN price;", "ALTER TABLE product ADD COLUMN price integer;")
	m := r.Migrations[0]
	if r.Breaks() == 0 || m.Broken[0].Table != "product" || m.Downgrade.Outcome != ship.DowngradeLossy {
		t.Errorf("%+v", m)
	}
	r = l.rehearse("ALTER TABLE product ADD COLUMN note text;", "ALTER TABLE product DROP COLUMN note;")
	if m := r.Migrations[0]; r.Breaks() != 0 || m.Downgrade.Outcome != ship.DowngradeExact || len(m.Effects) != 1 || len(m.Effects[0].Locks) != 1 {
		t.Errorf("%+v", m)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(l.db.Name()), "*.rehearsal-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
