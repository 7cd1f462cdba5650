package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

const djangoYAML = `
app: shop
release: {exclude: [variants/, media/, staticfiles/, "*.sqlite3", README.md, secrets.env]}
run:
  python: {requirements: requirements.txt}
  setup:
    - python manage.py collectstatic --noinput
  processes:
    web: {command: "gunicorn shop.wsgi --bind 127.0.0.1:$PORT", instances: 2, grace: 10s}
    worker: {command: python manage.py process_orders, grace: 10s}
  shared: [media]
vars: {SECRET_KEY: "${secret:SECRET_KEY}", ALLOWED_HOSTS: "127.0.0.1,localhost", SHOP_SLOW_MIGRATION: "4"}
health: {path: /healthz, healthy_after: 3, every: 200ms, give_up: 30s, host: localhost}
warmup: [/, /products/]
smoke: [/products/]
database: {url: "${secret:DATABASE_URL}", kind: postgres, backup: {kind: dump}}
migrations: {tool: django, timeout: 2m, lock_timeout: 5s}
secrets: {file: secrets.env}
environments:
  production: {platform: process, listen: "127.0.0.1:%d", drain: 10s, hold: 50s, keep_old: 10m, watch: {for: %s, error_rate: 5%%}}
`

// djangoShop is the Django example in a world of its own.
func djangoShop(t *testing.T, watch string) (*project, string) {
	t.Helper()
	url := testneed.Postgres(t)
	testneed.Python(t, testneed.Requirements(t, "../examples/django/requirements.txt")...)
	w := newWorld(t)
	p := w.newProject("django", map[string]string{"DATABASE_URL": url, "SECRET_KEY": "canary-key-5f1c0b7e", "UNUSED": "x"})
	p.write("shiplock.yaml", fmt.Sprintf(djangoYAML, p.port, watch), 0o644)
	return p, url
}

// next makes the folder the plain example with a variant over it.
func (p *project) next(variant string) {
	p.w.t.Helper()
	p.reset("django")
	if variant != "" {
		p.overlay("django", variant)
	}
}

// rows runs a query in the target database.
func rows(t *testing.T, url, query string) []string {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	found, err := conn.Query(context.Background(), query)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// ordersTakenOnce fails the test unless every accepted order is there, once.
func ordersTakenOnce(t *testing.T, p *project, url string) {
	t.Helper()
	_, _, body := p.get("/orders/")
	var n struct{ Orders, Attempts int }
	if err := json.Unmarshal([]byte(body), &n); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if n.Orders == 0 || n.Attempts != n.Orders {
		t.Errorf("%d orders, %d attempts: want some, each sent once", n.Orders, n.Attempts)
	}
	overlap := rows(t, url, `SELECT a.release || ' and ' || b.release FROM orders_workerspan a JOIN orders_workerspan b
		ON a.id < b.id AND a.release <> b.release AND a.started_at < b.seen_at AND b.started_at < a.seen_at`)
	if len(overlap) > 0 {
		t.Errorf("workers of two releases ran at once: %v", overlap)
	}
}

func TestDjangoFromReleaseToReleaseUnderLoad(t *testing.T) {
	t.Parallel()
	p, url := djangoShop(t, "3s")

	first := p.do("deploy", "production")
	first.expect(t, 0, "", ship.SchemaChanged, 1)
	tr := p.traffic(60)

	// A migration that fails half-way in a transaction: nothing of it stays.
	p.next("failing")
	failing := p.do("deploy", "production")
	failing.expect(t, 10, ship.MigrationFailed, ship.SchemaUnchanged, 1)
	if !strings.Contains(failing.Reason, "rolled back") {
		t.Errorf("the reason does not say what became of it: %s", failing.Reason)
	}

	// An additive migration.
	p.next("additive")
	p.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 3)

	// A migration changed after it was applied is noticed.
	p.next("failing")
	p.do("deploy", "production").expect(t, 3, ship.Refused, ship.SchemaUnchanged, 3)

	// The manual rollback: the schema stays ahead, and the rolled-back release
	// survives its own restart on it.
	p.next("")
	back := p.do("rollback", "production", "--yes", "--reason", "wrong tax")
	back.expect(t, 0, "", ship.SchemaUnchanged, 1)
	restartInstances(t, p)

	// Forward again, by number.
	p.do("deploy", "production", "--release", "v3").expect(t, 0, "", ship.SchemaUnchanged, 3)

	// A release that never becomes healthy.
	p.next("additive")
	p.overlay("django", "never-healthy")
	sick := p.do("deploy", "production")
	sick.expect(t, 3, ship.Failed, ship.SchemaUnchanged, 3)
	if !strings.Contains(sick.Reason, "503") {
		t.Errorf("the reason does not say what the health check got: %s", sick.Reason)
	}

	s := tr.stop()
	t.Logf("load: %s", s)
	ordersTakenOnce(t, p, url)
	noSecretShows(t, p, "canary-key-5f1c0b7e")
}

// restartInstances kills every web process of the active slot and waits until
// others have taken their place.
func restartInstances(t *testing.T, p *project) {
	t.Helper()
	before := p.status()
	for _, i := range before.Observed.Slots[before.Observed.Active].Instances {
		if i.Process == "worker" {
			p.w.kill(i.PID)
		}
	}
	p.w.eventually(time.Minute, "the worker runs again", func() error {
		st := p.status()
		for _, i := range st.Observed.Slots[st.Observed.Active].Instances {
			if i.State != "running" {
				return fmt.Errorf("%s is %s", i.ID, i.State)
			}
		}
		return nil
	})
	if code, _, body := p.get("/products/"); code != http.StatusOK {
		t.Errorf("after a restart /products/ answers %d: %s", code, body)
	}
}

func TestDjangoReleaseThatCrashesAfterTheSwapIsTakenBack(t *testing.T) {
	t.Parallel()
	p, _ := djangoShop(t, "15s")
	p.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	tr := p.traffic(40)
	p.next("crash")
	crashed := p.do("deploy", "production")
	if crashed.code != 4 && crashed.code != 3 {
		t.Errorf("exit code %d: %s", crashed.code, crashed.text)
	}
	if crashed.Serving != 1 {
		t.Errorf("v%d serves, want v1", crashed.Serving)
	}
	tr.cancel()
	s := <-tr.done
	t.Logf("%s; load: %s", crashed.Reason, s)
	if code, _, _ := p.get("/"); code != http.StatusOK {
		t.Errorf("/ answers %d after the rollback", code)
	}
}

func TestDjangoNonAtomicMigrationThatFailsHalfWayPausesWithTheFacts(t *testing.T) {
	t.Parallel()
	p, url := djangoShop(t, "1s")
	p.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	tr := p.traffic(30)
	p.next("failing-nonatomic")
	e := p.do("deploy", "production")
	e.expect(t, 10, ship.MigrationFailed, ship.SchemaUnknown, 1)
	if !strings.Contains(strings.Join(e.Notes, "\n"), "subtitle") {
		t.Errorf("the facts do not name what stayed: %q", e.Notes)
	}
	held := p.do("deploy", "production")
	if held.code != 8 || !strings.Contains(held.text, e.Run) {
		t.Errorf("a deployment beside a paused one ended with %d: %s", held.code, held.text)
	}
	tr.stop()
	// A person takes away what stayed, says so, and gives the run up.
	exec1(t, url, `ALTER TABLE catalog_product DROP COLUMN subtitle`)
	if done := p.do("abort", e.Run); done.Status != ship.Aborted || done.Serving != 1 {
		t.Errorf("abort ended as %q: %s", done.Status, done.text)
	}
}

func exec1(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		t.Fatal(err)
	}
}

func TestDjangoIncompatibleChange(t *testing.T) {
	t.Parallel()
	p, url := djangoShop(t, "1s")
	p.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)

	p.next("destructive")
	refused := p.do("deploy", "production")
	refused.expect(t, 3, ship.Refused, ship.SchemaUnchanged, 1)

	// A dropped column would come back without its values: only behind a
	// maintenance page, where a backup is exact.
	p.do("deploy", "production", "--accept", "hold").expect(t, 3, ship.Refused, ship.SchemaUnchanged, 1)

	// Failing under a hold: the queue is let go, the name is back.
	p.next("rename")
	p.write("VERSION", "4\n"+switchesOf(t, "never-healthy"), 0o644)
	tr := p.traffic(8)
	failed := p.do("deploy", "production", "--accept", "hold")
	failed.expect(t, 3, ship.Failed, ship.SchemaReverted, 1)
	if !column(t, url, "name") || column(t, url, "title") {
		t.Error("the column has not got its name back")
	}

	p.next("rename")
	p.do("deploy", "production", "--accept", "hold").expect(t, 0, "", ship.SchemaChanged, 4)
	if s := tr.stop(); s.OK == 0 {
		t.Error("no request was answered")
	}
	if column(t, url, "name") {
		t.Error("the column has its old name")
	}
	// The release before cannot come back: it reads what is gone.
	p.do("rollback", "production", "v1", "--yes").refused(t)
	if st := p.status(); st.Release == nil || st.Release.Number != 4 {
		t.Errorf("status says %+v serves, want v4", st.Release)
	}
}

// refused fails the test unless the program said no before it began a run.
func (e ended) refused(t *testing.T) {
	t.Helper()
	if e.code != 3 || e.Run != "" {
		t.Errorf("exit code %d, run %q: want a refusal: %s", e.code, e.Run, e.text)
	}
}

func column(t *testing.T, url, name string) bool {
	t.Helper()
	return len(rows(t, url, `SELECT column_name::text FROM information_schema.columns WHERE table_name = 'catalog_product' AND column_name = '`+name+`'`)) > 0
}

// switchesOf returns the lines of a variant's VERSION file after the first.
func switchesOf(t *testing.T, variant string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "examples", "django", "variants", variant, "VERSION"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "\n")
	return rest
}

func TestDjangoMaintenancePutsTheBackupBackWhenThereIsNoWayDown(t *testing.T) {
	t.Parallel()
	p, url := djangoShop(t, "1s")
	p.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	before := rows(t, url, `SELECT id || ' ' || price_cents FROM catalog_product ORDER BY id`)

	// Irreversible, incompatible, and never healthy: only the backup can help.
	p.next("irreversible")
	path := "catalog/migrations/0003_round_prices.py"
	b, err := os.ReadFile(filepath.Join(p.dir, path))
	if err != nil {
		t.Fatal(err)
	}
	_, undeclared, _ := strings.Cut(string(b), "\n")
	p.write(path, undeclared, 0o644)
	p.write("VERSION", "5\n"+switchesOf(t, "never-healthy"), 0o644)
	refused := p.do("deploy", "production", "--accept", "hold")
	refused.expect(t, 3, ship.Refused, ship.SchemaUnchanged, 1)

	failed := p.do("deploy", "production", "--accept", "maintenance")
	failed.expect(t, 3, ship.Failed, ship.SchemaReverted, 1)
	if after := rows(t, url, `SELECT id || ' ' || price_cents FROM catalog_product ORDER BY id`); !slices.Equal(before, after) {
		t.Errorf("prices are %v, were %v", after, before)
	}
	if code, _, _ := p.get("/products/"); code != http.StatusOK {
		t.Errorf("/products/ answers %d after the restore", code)
	}

	p.write("VERSION", "6\n", 0o644)
	p.do("deploy", "production", "--accept", "maintenance").expect(t, 0, "", ship.SchemaChanged, 3)
	if after := rows(t, url, `SELECT id || ' ' || price_cents FROM catalog_product ORDER BY id`); slices.Equal(before, after) {
		t.Error("the migration changed nothing")
	}
}
