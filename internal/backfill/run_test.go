package backfill_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/shiplock/shiplock/internal/backfill"
	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/database/postgres"
	"github.com/shiplock/shiplock/internal/database/sqlite"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
	"github.com/shiplock/shiplock/internal/testneed"
)

// A place is a real database, for us and for an application.
type place struct {
	t       *testing.T
	dialect sqltext.Dialect
	url     string
	app     *sql.DB
}

// onEach runs a test on each kind of database.
func onEach(t *testing.T, test func(p place)) {
	t.Run("postgres", func(t *testing.T) {
		url := testneed.Postgres(t)
		test(newPlace(t, sqltext.Postgres, url, "pgx", url))
	})
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "shop.db")
		test(newPlace(t, sqltext.SQLite, "sqlite:"+path, "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)"))
	})
}

func newPlace(t *testing.T, d sqltext.Dialect, url, driver, dsn string) place {
	t.Helper()
	app, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Close() })
	return place{t: t, dialect: d, url: url, app: app}
}

func (p place) exec(format string, args ...any) {
	p.t.Helper()
	if _, err := p.app.ExecContext(p.t.Context(), fmt.Sprintf(format, args...)); err != nil {
		p.t.Fatal(err)
	}
}

func (p place) number(query string) (n int) {
	p.t.Helper()
	if err := p.app.QueryRowContext(p.t.Context(), query).Scan(&n); err != nil {
		p.t.Fatalf("%s: %v", query, err)
	}
	return n
}

func (p place) file(text string) backfill.File {
	p.t.Helper()
	f, err := backfill.Parse("backfills/1.sql", text, p.dialect)
	if err != nil {
		p.t.Fatal(err)
	}
	return f
}

func open(d sqltext.Dialect, url string) (database.Backfiller, error) {
	cfg := database.Config{URL: ship.NewSecret(url), LockTimeout: 2 * time.Second}
	if d == sqltext.SQLite {
		return sqlite.New(cfg, plugin.Deps{})
	}
	return postgres.New(cfg, plugin.Deps{})
}

// deps take the lock for an epoch.
func deps(ctx context.Context, d sqltext.Dialect, url string, epoch int64) (backfill.Deps, error) {
	db, err := open(d, url)
	if err != nil {
		return backfill.Deps{}, err
	}
	f := ship.Fence{Run: fmt.Sprintf("d-%d", epoch), Epoch: epoch}
	l, err := db.Lock(ctx, f, "test")
	if err != nil {
		return backfill.Deps{}, err
	}
	return backfill.Deps{
		DB: db, Lock: l.(database.Filler), Fence: f,
		Stop: func(context.Context) (string, string, error) { return "", "", nil },
		Tell: func(string, database.Progress) {},
		Record: func(f backfill.File) ship.Record {
			return ship.Record{Migration: f.Name, Checksum: f.Checksum, Tool: "backfill", Phase: ship.Backfill, Status: ship.RecordDone, Run: "d-1", Epoch: epoch}
		},
	}, nil
}

func (p place) deps(epoch int64) backfill.Deps {
	p.t.Helper()
	d, err := deps(p.t.Context(), p.dialect, p.url, epoch)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = d.Lock.Release(context.Background()) })
	return d
}

func (p place) run(f backfill.File, d backfill.Deps) backfill.Outcome {
	p.t.Helper()
	out, err := backfill.Run(p.t.Context(), f, d)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

// after stops a backfill when so many batches were done.
func after(n int, status string) func(context.Context) (string, string, error) {
	return func(context.Context) (string, string, error) {
		if n--; n < 0 {
			return status, "by the test", nil
		}
		return "", "", nil
	}
}

// Adding has no condition: a row that is done twice shows.
const (
	orders = "CREATE TABLE orders (id integer PRIMARY KEY, n integer NOT NULL DEFAULT 0)"
	adding = "-- shiplock: backfill table=orders key=id batch=10\nUPDATE orders SET n = n + 1 WHERE :page;"
)

// fill makes rows with gaps between their keys.
func (p place) fill(rows int) {
	p.t.Helper()
	p.exec(orders)
	p.exec("INSERT INTO orders (id) WITH RECURSIVE x(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM x WHERE i < %d) SELECT i * 7 + i %% 3 FROM x", rows)
}

func TestEveryRowIsDoneOnceAndTheLedgerSaysSo(t *testing.T) {
	onEach(t, func(p place) {
		p.fill(503)
		d := p.deps(1)
		f := p.file(adding)
		out := p.run(f, d)
		if out.Status != database.FillDone || out.Rows != 503 || !strings.Contains(out.Text, "not verified") {
			t.Errorf("the outcome is %+v", out)
		}
		if n := p.number("SELECT count(*) FROM orders WHERE n <> 1"); n != 0 {
			p.t.Errorf("%d rows were not done once", n)
		}
		records, err := d.DB.Ledger(p.t.Context())
		if err != nil || len(records) != 1 || records[0].Phase != ship.Backfill || records[0].Checksum != f.Checksum || records[0].Migration != f.Name {
			p.t.Errorf("the ledger has %+v, %v", records, err)
		}
		if out := p.run(f, d); out.Rows != 0 || out.Status != database.FillDone {
			p.t.Errorf("done again it is %+v", out)
		}
	})
}

func TestABackfillGoesOnFromItsCursorUnderAnotherEpoch(t *testing.T) {
	onEach(t, func(p place) {
		p.fill(300)
		first := p.deps(1)
		first.Stop = after(3, database.FillPaused)
		f := p.file(adding)
		out := p.run(f, first)
		if out.Status != database.FillPaused || out.Rows == 0 || out.Rows == 300 {
			p.t.Fatalf("the outcome is %+v", out)
		}
		kept, err := first.DB.Progress(p.t.Context())
		if err != nil || len(kept) != 1 || kept[0].Status != database.FillPaused || kept[0].Rows != out.Rows || kept[0].Note != "by the test" {
			p.t.Fatalf("kept is %+v, %v", kept, err)
		}
		second := p.deps(2)
		first.Stop = after(100, database.FillPaused)
		if _, err := backfill.Run(p.t.Context(), f, first); ship.KindOf(err) != ship.Fenced {
			p.t.Errorf("the older owner went on: %v", err)
		}
		if out := p.run(f, second); out.Status != database.FillDone {
			p.t.Errorf("the outcome is %+v", out)
		}
		if n := p.number("SELECT count(*) FROM orders WHERE n <> 1"); n != 0 {
			p.t.Errorf("%d rows were not done once", n)
		}
	})
}

func TestKeysOfEveryKind(t *testing.T) {
	for name, c := range map[string]struct{ table, rows, key string }{
		"composite": {
			"CREATE TABLE orders (tenant text, id integer, n integer NOT NULL DEFAULT 0, PRIMARY KEY (tenant, id))",
			"INSERT INTO orders (tenant, id) WITH RECURSIVE x(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM x WHERE i < 211) SELECT 'tenant ' || (i % 3), i / 3 FROM x", "tenant,id",
		},
		"text": {
			"CREATE TABLE orders (id text PRIMARY KEY, n integer NOT NULL DEFAULT 0)",
			"INSERT INTO orders (id) WITH RECURSIVE x(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM x WHERE i < 211) SELECT CASE WHEN i % 5 = 0 THEN 'O''Neil \\ ' ELSE 'ö\"' END || i FROM x", "id",
		},
		"not unique": {
			"CREATE TABLE orders (id integer NOT NULL, n integer NOT NULL DEFAULT 0)",
			"INSERT INTO orders (id) WITH RECURSIVE x(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM x WHERE i < 211) SELECT i / 20 FROM x", "id",
		},
		"numeric": {
			"CREATE TABLE orders (id numeric(20,3) PRIMARY KEY, n integer NOT NULL DEFAULT 0)",
			"INSERT INTO orders (id) WITH RECURSIVE x(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM x WHERE i < 211) SELECT (i - 100) * 1.125 FROM x", "id",
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(p place) {
				p.exec("%s", c.table)
				p.exec("%s", c.rows)
				text := strings.Replace(adding, "key=id", "key="+c.key, 1)
				d := p.deps(1)
				for range 100 {
					d.Stop = after(2, database.FillPaused) // the cursor is read again and again
					if out := p.run(p.file(text), d); out.Status == database.FillDone {
						break
					}
				}
				if n := p.number("SELECT count(*) FROM orders WHERE n = 1"); n != 211 {
					p.t.Errorf("%d of 211 rows were done once", n)
				}
			})
		})
	}
}

func TestRowsThatCameBehindTheCursorAreDoneInAnotherPass(t *testing.T) {
	onEach(t, func(p place) {
		p.exec("CREATE TABLE orders (id integer PRIMARY KEY, price integer, total integer)")
		p.exec("INSERT INTO orders (id, price) WITH RECURSIVE x(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM x WHERE i < 300) SELECT i, i FROM x")
		d := p.deps(1)
		batches := 0
		d.Stop = func(context.Context) (string, string, error) {
			if batches++; batches == 5 {
				p.exec("INSERT INTO orders (id, price) VALUES (1, 1), (1000, 1000)")
			}
			return "", "", nil
		}
		out := p.run(p.file("-- shiplock: backfill table=orders key=id batch=10\nUPDATE orders AS o SET total = o.price * 2 WHERE o.total IS NULL AND :page(o);"), d)
		if out.Status != database.FillDone || out.Rows != 203 || !strings.Contains(out.Text, "no row is left") {
			p.t.Errorf("the outcome is %+v", out)
		}
		if n := p.number("SELECT count(*) FROM orders WHERE total = price * 2"); n != 203 {
			p.t.Errorf("%d of 203 rows are done", n)
		}
	})
}

func TestABackfillThatLeavesRowsIsNotDone(t *testing.T) {
	onEach(t, func(p place) {
		p.fill(30)
		d := p.deps(1)
		out := p.run(p.file("-- shiplock: backfill table=orders key=id\nUPDATE orders SET n = 1 WHERE id < 50 AND :page;\nSELECT count(*) FROM orders WHERE n = 0;"), d)
		if out.Status != database.FillStopped || !strings.Contains(out.Text, "24 rows are not done after 5 passes") {
			p.t.Errorf("the outcome is %+v", out)
		}
		if records, err := d.DB.Ledger(p.t.Context()); err != nil || len(records) != 0 {
			p.t.Errorf("the ledger has %+v, %v", records, err)
		}
	})
}

func TestAFileThatChangedAfterRowsWereDoneIsRefused(t *testing.T) {
	onEach(t, func(p place) {
		p.fill(300)
		d := p.deps(1)
		if out := p.run(p.file("-- shiplock: backfill table=orders key=id\nUPDATE orders SET nothing = 1 WHERE :page;"), d); out.Status != database.FillStopped || !strings.Contains(out.Text, "nothing") {
			p.t.Errorf("a statement that fails: %+v", out)
		}
		d.Stop = after(1, database.FillStopped)
		if out := p.run(p.file(adding), d); out.Rows == 0 {
			p.t.Errorf("a file that was mended before anything was done by it: %+v", out)
		}
		if out := p.run(p.file(strings.Replace(adding, "+ 1", "+ 2", 1)), d); out.Status != database.FillStopped || out.Rows != 0 || !strings.Contains(out.Text, "was changed after run d-1") {
			p.t.Errorf("a file that was changed: %+v", out)
		}
	})
}

func TestAnInsertFillsAnotherTable(t *testing.T) {
	onEach(t, func(p place) {
		p.fill(120)
		p.exec("CREATE TABLE totals (id integer PRIMARY KEY, n integer)")
		out := p.run(p.file("-- shiplock: backfill table=orders key=id batch=25\nINSERT INTO totals SELECT o.id, o.n FROM orders o WHERE :page(o);\nSELECT count(*) FROM orders o WHERE NOT EXISTS (SELECT 1 FROM totals t WHERE t.id = o.id);"), p.deps(1))
		if out.Status != database.FillDone || out.Rows != 120 {
			p.t.Errorf("the outcome is %+v", out)
		}
	})
}

func TestARowWithoutAKeyIsRefused(t *testing.T) {
	onEach(t, func(p place) {
		p.exec("CREATE TABLE orders (id integer, n integer)")
		p.exec("INSERT INTO orders VALUES (1, 1), (NULL, 1)")
		if out := p.run(p.file(adding), p.deps(1)); out.Status != database.FillStopped || !strings.Contains(out.Text, "key is NULL") {
			p.t.Errorf("the outcome is %+v", out)
		}
	})
}

func TestABatchThatWaitsForARowIsTriedAgainSmaller(t *testing.T) {
	p := newPlace(t, sqltext.Postgres, "", "pgx", "")
	p.url = testneed.Postgres(t)
	p = newPlace(t, sqltext.Postgres, p.url, "pgx", p.url)
	p.fill(200)
	tx, err := p.app.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "UPDATE orders SET n = 0 WHERE id = (SELECT max(id) FROM orders)"); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	d := p.deps(1)
	asked := 0
	d.Stop = func(context.Context) (string, string, error) {
		if asked++; asked > 2 {
			once.Do(func() { _ = tx.Rollback() })
		}
		return "", "", nil
	}
	if out := p.run(p.file(strings.Replace(adding, "batch=10", "batch=1000", 1)), d); out.Status != database.FillDone || out.Rows != 200 {
		t.Errorf("the outcome is %+v", out)
	}
	if n := p.number("SELECT count(*) FROM orders WHERE n <> 1"); n != 0 {
		t.Errorf("%d rows were not done once", n)
	}
}
