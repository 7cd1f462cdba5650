package e2e

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

const goYAML = `
app: shop
release: {exclude: [variants/, "*.go", README.md, secrets.env, "!/shop"]}
run:
  processes:
    web: {command: "./shop --listen 127.0.0.1:$PORT", instances: 2, grace: 5s}
health: {path: /healthz, healthy_after: 2, every: 200ms, give_up: 10s}
warmup: [/, /products]
smoke: [/products]
database: {url: "${secret:DATABASE_URL}", kind: sqlite, backup: {kind: dump}}
migrations: {tool: sqlfiles}
secrets: {file: secrets.env}
environments:
  production: {platform: process, listen: "127.0.0.1:%d", drain: 5s, hold: 30s, keep_old: 10m, watch: {for: %s, error_rate: 5%%}}
`

// goShop is the Go example with its program built, in a file of its own.
type goShop struct {
	*project
	database string
}

func newGoShop(t *testing.T, w *world, watch string) *goShop {
	t.Helper()
	s := &goShop{database: filepath.Join(t.TempDir(), "shop.sqlite3")}
	s.project = w.newProject("go", map[string]string{"DATABASE_URL": "sqlite:///" + s.database})
	s.watch(watch)
	s.next()
	return s
}

// watch sets how long a release is guarded.
func (s *goShop) watch(long string) {
	s.write("shiplock.yaml", fmt.Sprintf(goYAML, s.port, long), 0o644)
}

// next makes the folder the plain example with variants over it, and the
// program as it was built beforehand.
func (s *goShop) next(variants ...string) {
	s.w.t.Helper()
	s.reset("go")
	for _, v := range variants {
		s.overlay("go", v)
	}
	built, err := shopBinary()
	if err != nil {
		s.w.t.Fatal(err)
	}
	program, err := os.ReadFile(built)
	if err != nil {
		s.w.t.Fatal(err)
	}
	s.write("shop", string(program), 0o755)
}

// version names the release in the folder, and how it misbehaves.
func (s *goShop) version(name string, switches ...string) {
	s.write("VERSION", strings.Join(append([]string{name}, switches...), "\n")+"\n", 0o644)
}

// take removes a file of the folder and returns its text.
func (s *goShop) take(name string) string {
	s.w.t.Helper()
	path := filepath.Join(s.dir, name)
	text, err := os.ReadFile(path)
	if err := errors.Join(err, os.Remove(path)); err != nil {
		s.w.t.Fatal(err)
	}
	return string(text)
}

// rows runs a query in the shop's database.
func (s *goShop) rows(query string) []string {
	s.w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+s.database+"?mode=ro&_pragma=busy_timeout(10000)")
	if err != nil {
		s.w.t.Fatal(err)
	}
	defer db.Close()
	found, err := db.Query(query)
	if err != nil {
		s.w.t.Fatalf("%s: %v", query, err)
	}
	defer found.Close()
	var all []string
	for found.Next() {
		var text string
		if err := found.Scan(&text); err != nil {
			s.w.t.Fatal(err)
		}
		all = append(all, text)
	}
	if err := found.Err(); err != nil {
		s.w.t.Fatal(err)
	}
	return all
}

func (s *goShop) columns(table string) []string {
	s.w.t.Helper()
	return s.rows(fmt.Sprintf("SELECT name FROM pragma_table_info('%s') ORDER BY cid", table))
}

// has fails the test unless the table has the column, or has not.
func (s *goShop) has(table, column string, want bool) {
	s.w.t.Helper()
	if got := slices.Contains(s.columns(table), column); got != want {
		s.w.t.Errorf("%s.%s is there: %t, want %t", table, column, got, want)
	}
}

func (s *goShop) prices() []string {
	s.w.t.Helper()
	return s.rows("SELECT name || ' ' || price FROM products ORDER BY id")
}

// taken fails the test unless every order that was accepted is there, once.
func (s *goShop) taken(accepted int64) {
	s.w.t.Helper()
	_, _, body := s.get("/orders")
	var n struct{ Orders, Attempts int64 }
	if err := json.Unmarshal([]byte(body), &n); err != nil {
		s.w.t.Fatalf("%v: %s", err, body)
	}
	if accepted == 0 || n.Orders < accepted || n.Attempts != n.Orders {
		s.w.t.Errorf("%d orders, %d attempts, %d accepted: want all of them, each sent once", n.Orders, n.Attempts, accepted)
	}
}

// says fails the test unless the reason has all of the words.
func (e ended) says(t *testing.T, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(e.Reason, word) {
			t.Errorf("the reason does not say %q: %s", word, e.Reason)
		}
	}
}

func TestGoFromReleaseToReleaseUnderLoad(t *testing.T) {
	t.Parallel()
	s := newGoShop(t, newWorld(t), "2s")
	s.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	tr := s.traffic(60)

	// A migration that fails half-way in a transaction: nothing of it stays.
	s.next("failing")
	failing := s.do("deploy", "production")
	failing.expect(t, 10, ship.MigrationFailed, ship.SchemaUnchanged, 1)
	failing.says(t, "no_such_table", "rolled back")
	s.has("orders", "note", false)

	// The same without a transaction: it is taken down again.
	s.next("failing-nonatomic")
	down := s.do("deploy", "production")
	down.expect(t, 10, ship.MigrationFailed, ship.SchemaReverted, 1)
	down.says(t, "no_such_table", "taken down")
	s.has("orders", "note", false)

	// An additive migration.
	s.next("additive")
	added := s.do("deploy", "production")
	added.expect(t, 0, "", ship.SchemaChanged, 4)
	s.audited(added.Run)
	s.has("orders", "note", true)
	s.answers("/products", "2")

	// A release that never becomes healthy.
	s.next("additive", "never-healthy")
	sick := s.do("deploy", "production")
	sick.expect(t, 3, ship.Failed, ship.SchemaUnchanged, 4)
	sick.says(t, "503")
	s.answers("/products", "2")

	// A change of rows that has no way back, and that the running release can
	// live with.
	s.next("irreversible")
	old := s.prices()
	s.write("migrations/00004_round_prices.sql", s.take("migrations/00003_round_prices.sql"), 0o644)
	copyTree(t, "../examples/go/variants/additive/migrations", filepath.Join(s.dir, "migrations"))
	s.version("3")
	s.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 6)
	if now := s.prices(); slices.Equal(old, now) {
		t.Errorf("prices are %v, as they were", now)
	}
	s.answers("/products", "3")

	// The manual rollback, over both: the schema stays ahead.
	s.do("rollback", "production", "v1", "--yes", "--reason", "wrong tax").expect(t, 0, "", ship.SchemaUnchanged, 1)
	s.answers("/products", "1")
	s.do("deploy", "production", "--release", "v4").expect(t, 0, "", ship.SchemaUnchanged, 4)
	s.do("rollback", "production", "v1", "--yes", "--reason", "wrong tax").expect(t, 0, "", ship.SchemaUnchanged, 1)
	snapshot := tr.stop()
	t.Logf("load: %s", snapshot)
	s.taken(snapshot.Posts)
	s.has("orders", "note", true)

	// The rolled-back release survives its own restart on the newer schema.
	s.restarted("web", "/products")
	s.answers("/products", "1")
}

// restarted kills every instance of a process in the active slot and waits
// until others have taken their place and answer.
func (p *project) restarted(process, path string) {
	p.w.t.Helper()
	before := p.status()
	old := map[string]int{}
	for _, i := range before.Observed.Slots[before.Observed.Active].Instances {
		if i.Process == process {
			old[i.ID] = i.PID
		}
	}
	if len(old) == 0 {
		p.w.t.Fatalf("no %s runs", process)
	}
	for _, pid := range old {
		p.w.kill(pid)
	}
	p.w.eventually(time.Minute, "every killed "+process+" runs again", func() error {
		st := p.status()
		for _, i := range st.Observed.Slots[st.Observed.Active].Instances {
			if i.State != "running" || i.PID == old[i.ID] {
				return fmt.Errorf("%s is %s, pid %d", i.ID, i.State, i.PID)
			}
		}
		if code, _, body := p.get(path); code != http.StatusOK {
			return fmt.Errorf("%s answers %d: %s", path, code, body)
		}
		return nil
	})
}

func TestGoReleaseThatMisbehavesAfterTheSwapIsTakenBack(t *testing.T) {
	t.Parallel()
	s := newGoShop(t, newWorld(t), "20s")
	s.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	tr := s.traffic(60)
	s.next("additive")
	s.version("2", "crash_after=6") // later than the swap
	crashed := s.do("deploy", "production")
	crashed.expect(t, 4, ship.RolledBack, ship.SchemaAhead, 1)
	s.answers("/products", "1")

	s.next("additive", "errors")
	wrong := s.do("deploy", "production")
	wrong.expect(t, 4, ship.RolledBack, ship.SchemaUnchanged, 1)
	s.answers("/products", "1")
	tr.cancel()
	snapshot := <-tr.done
	t.Logf("%s\n%s\nload: %s", crashed.Reason, wrong.Reason, snapshot)
	s.taken(snapshot.Posts)
}

func TestGoIncompatibleChangeUnderAHold(t *testing.T) {
	t.Parallel()
	s := newGoShop(t, newWorld(t), "1s")
	s.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	tr := s.traffic(40)
	before := s.prices()
	s.next("destructive")
	refused := s.do("deploy", "production")
	refused.expect(t, 3, ship.Refused, ship.SchemaUnchanged, 1)
	refused.says(t, "00003_drop_price")

	// A way down that gives the column back, but not the prices, is none.
	inexact := s.do("deploy", "production", "--accept", "hold")
	inexact.expect(t, 3, ship.Refused, ship.SchemaUnchanged, 1)
	inexact.says(t, "values")

	const exact = "-- shiplock: phase=contract reason=\"version 1 must not run beside it\"\n-- +goose Up\nCREATE TABLE stock (id INTEGER);\n-- +goose Down\nDROP TABLE stock;\n"
	s.next()
	s.write("migrations/00003_stock.sql", exact, 0o644)
	s.version("2", "health=never")
	failed := s.do("deploy", "production", "--accept", "hold")
	failed.expect(t, 3, ship.Failed, ship.SchemaReverted, 1)
	s.has("stock", "id", false)
	if after := s.prices(); !slices.Equal(before, after) {
		t.Errorf("prices are %v, were %v", after, before)
	}
	s.answers("/products", "1")

	s.version("3")
	s.do("deploy", "production", "--accept", "hold").expect(t, 0, "", ship.SchemaChanged, 4)
	s.has("stock", "id", true)
	s.answers("/products", "3")
	snapshot := tr.stop() // requests waited, and none was lost
	t.Logf("load: %s", snapshot)
	s.taken(snapshot.Posts)
	// The release before cannot come back: its author said so.
	s.do("rollback", "production", "v1", "--yes").refused(t)
	s.answers("/products", "3")
}

func TestGoIncompatibleChangeUnderMaintenance(t *testing.T) {
	t.Parallel()
	s := newGoShop(t, newWorld(t), "1s")
	s.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	before := s.prices()

	s.next("destructive")
	s.version("2", "prices=none", "health=never")
	s.do("deploy", "production", "--accept", "maintenance").expect(t, 3, ship.Failed, ship.SchemaReverted, 1)
	s.answers("/products", "1")
	if after := s.prices(); !slices.Equal(before, after) {
		t.Errorf("prices are %v, were %v", after, before)
	}

	s.version("3", "prices=none")
	s.do("deploy", "production", "--accept", "maintenance").expect(t, 0, "", ship.SchemaChanged, 3)
	s.has("products", "price", false)
	s.answers("/products", "3")
}

func TestGoMaintenancePutsTheBackupBackWhenThereIsNoWayDown(t *testing.T) {
	t.Parallel()
	s := newGoShop(t, newWorld(t), "1s")
	s.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	before := s.prices()

	s.next("irreversible")
	s.write("migrations/00003_round_prices.sql", "-- shiplock: phase=contract reason=\"version 1 must not see half of it\"\n-- +goose Up\nUPDATE products SET price = price / 1000 * 1000;\n", 0o644)
	s.version("2", "health=never")
	refused := s.do("deploy", "production", "--accept", "hold")
	refused.expect(t, 3, ship.Refused, ship.SchemaUnchanged, 1)
	refused.says(t, "no way down")

	failed := s.do("deploy", "production", "--accept", "maintenance")
	failed.expect(t, 3, ship.Failed, ship.SchemaReverted, 1)
	if after := s.prices(); !slices.Equal(before, after) {
		t.Errorf("prices are %v, were %v", after, before)
	}
	s.answers("/products", "1")
	s.restarted("web", "/products")
	s.answers("/products", "1")

	s.version("3")
	s.do("deploy", "production", "--accept", "maintenance").expect(t, 0, "", ship.SchemaChanged, 3)
	if after := s.prices(); slices.Equal(before, after) {
		t.Error("the migration changed nothing")
	}
	s.answers("/products", "3")
}
