package e2e

import (
	"cmp"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/shiplock/shiplock/internal/ship"
)

// A pace says how long the parts of a deployment take that would otherwise be
// over before they can be hit.
type pace struct {
	delay  time.Duration // of every answer, so that something is left to drain
	pause  string        // of every command, in seconds
	notify time.Duration // the receiver of notifications answers after it
	rows   int           // that a migration counts before it leaves its mark
	watch  string
	giveUp string // a candidate that is not healthy by then is given up
}

// A yard is a place where a small shop is released again and again, each
// release with one more migration and one more turn of the gate. What was done
// is read where it was done: every migration leaves a mark in a table that
// takes the same one twice, and every gate a line in a file.
type yard struct {
	*project
	t        *testing.T
	pace     pace
	shop     string // path of the program
	database string
	lines    string // file of the gates
	bell     *bell
	releases int // trees written so far; also the number of the newest mark
}

const yardYAML = `
app: shop
release: {exclude: [secrets.env]}
run:
  prepare: [sleep %[1]s]
  setup: [sleep %[1]s]
  processes: {web: {command: "%[8]s --listen 127.0.0.1:$PORT", grace: 5s}}
gates: {once: {run: ["sh", "-c", "echo %[2]d >> %[3]s; sleep %[1]s"]}}
health: {path: /healthz, healthy_after: 3, every: 50ms, give_up: %[9]s}
warmup: [/, /products]
smoke: [/products]
database: {url: "sqlite:///%[4]s", kind: sqlite, backup: {kind: dump}}
migrations: {tool: sqlfiles, contract_after: 0s}
notify: [{webhook: %[5]q}]
environments:
  production: {platform: process, listen: "127.0.0.1:%[6]d", gates: [once], drain: 10s, hold: 20s, keep_old: 5m, watch: {for: %[7]s, error_rate: 50%%}}
`

// shopBinary builds the shop once. It stays outside the releases, which are
// packed, sent and unpacked the quicker.
var shopBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(binary), "shop")
	cmd := exec.Command("go", "build", "-o", path, "../examples/go")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the shop: %w: %s", err, out)
	}
	return path, nil
})

func newYard(t *testing.T, w *world, p pace) *yard {
	t.Helper()
	dir := t.TempDir()
	shop, err := shopBinary()
	if err != nil {
		t.Fatal(err)
	}
	y := &yard{t: t, pace: p, shop: shop, database: filepath.Join(dir, "shop.db"), lines: filepath.Join(dir, "gates"), bell: newBell(t, p.notify)}
	y.project = &project{w: w, dir: filepath.Join(dir, "project"), port: freePort(t), host: "127.0.0.1"}
	copyTree(t, filepath.Join("..", "examples", "go", "migrations"), filepath.Join(y.dir, "migrations"))
	y.write("migrations/00100_start.sql", "-- +goose Up\nCREATE TABLE marks (migration INTEGER NOT NULL, counted INTEGER NOT NULL);\nCREATE TABLE tally (id INTEGER PRIMARY KEY, n INTEGER NOT NULL DEFAULT 0);\nINSERT INTO tally (id) WITH RECURSIVE x(i) AS (SELECT 1 UNION ALL SELECT i + 3 FROM x WHERE i < 60) SELECT i FROM x;\n\n-- +goose Down\nDROP TABLE tally;\nDROP TABLE marks;\n", 0o644)
	return y
}

// another is the same shop in another folder, as a second person has it.
func (y *yard) another() *yard {
	y.t.Helper()
	twin := *y
	twin.project = &project{w: y.w, dir: filepath.Join(y.t.TempDir(), "project"), port: y.port, host: y.host}
	copyTree(y.t, y.dir, twin.dir)
	return &twin
}

// next writes the tree of the next release.
func (y *yard) next() {
	y.t.Helper()
	y.releases++
	y.configure()
	y.version(y.pace.delay)
	y.migration("backfill", fmt.Sprintf("ALTER TABLE products ADD COLUMN m%d TEXT;", y.releases), fmt.Sprintf("ALTER TABLE products DROP COLUMN m%d;", y.releases))
	y.write(fmt.Sprintf("backfills/%05d_tally.sql", 1000+y.releases), "-- shiplock: backfill table=tally key=id batch=10\nUPDATE tally SET n = n + 1 WHERE :page;\n", 0o644)
}

// talliedOnce fails the test unless every backfill that the ledger has did
// every row once.
func (y *yard) talliedOnce() {
	y.t.Helper()
	if bad := y.query("SELECT 'row ' || id || ' was done ' || n || ' times, by ' || (SELECT count(*) FROM _shiplock_migration WHERE tool = 'backfill') || ' backfills' FROM tally WHERE n <> (SELECT count(*) FROM _shiplock_migration WHERE tool = 'backfill')"); len(bad) > 0 {
		y.t.Errorf("%d rows: %s", len(bad), bad[0])
	}
}

// version says which version the tree is, and how long its answers take.
func (y *yard) version(delay time.Duration) {
	y.t.Helper()
	text := fmt.Sprintf("%d\n", y.releases)
	if delay > 0 {
		text += fmt.Sprintf("delay=%d\n", delay.Milliseconds())
	}
	y.write("VERSION", text, 0o644)
}

// breaking writes the tree of a release that takes away what the one before
// has: the running release could not live with it.
func (y *yard) breaking() {
	y.t.Helper()
	column := y.releases
	y.next()
	y.migration("contract", fmt.Sprintf("ALTER TABLE products RENAME COLUMN m%[1]d TO was%[1]d;", column), fmt.Sprintf("ALTER TABLE products RENAME COLUMN was%[1]d TO m%[1]d;", column))
}

func (y *yard) configure() {
	y.write("shiplock.yaml", fmt.Sprintf(yardYAML, y.pace.pause, y.releases, y.lines, y.database, y.bell.URL, y.port, y.pace.watch, y.shop, cmp.Or(y.pace.giveUp, "30s")), 0o644)
}

func (y *yard) migration(phase, up, down string) {
	y.write(fmt.Sprintf("migrations/%05d_mark.sql", 1000+y.releases), fmt.Sprintf(`-- shiplock: phase=%s reason="no release reads marks"
-- +goose Up
%s
INSERT INTO marks (migration, counted)
    WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < %d) SELECT %d, count(*) FROM n;

-- +goose Down
%s
DELETE FROM marks WHERE migration = %d;
`, phase, up, max(1, y.pace.rows), y.releases, down, y.releases), 0o644)
}

// change replaces text in a file of the tree.
func (p *project) change(name, before, after string) {
	p.w.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.w.t.Fatal(err)
	}
	if !strings.Contains(string(b), before) {
		p.w.t.Fatalf("%s has no %q:\n%s", name, before, b)
	}
	p.write(name, strings.Replace(string(b), before, after, 1), 0o644)
}

// query returns the rows of the shop's database.
func (y *yard) query(text string) []string {
	y.t.Helper()
	db, err := sql.Open("sqlite", "file:"+y.database+"?mode=ro&_pragma=busy_timeout(10000)")
	if err != nil {
		y.t.Fatal(err)
	}
	defer db.Close()
	found, err := db.Query(text)
	if err != nil {
		y.t.Fatalf("%s: %v", text, err)
	}
	defer found.Close()
	var all []string
	for found.Next() {
		var s string
		if err := found.Scan(&s); err != nil {
			y.t.Fatal(err)
		}
		all = append(all, s)
	}
	if err := found.Err(); err != nil {
		y.t.Fatal(err)
	}
	return all
}

// appliedOnce fails the test unless goose's table, our ledger, the schema and
// the marks agree that each of the first n migrations was applied, and once.
func (y *yard) appliedOnce(n int) {
	y.t.Helper()
	var marks, versions, records []string
	for i := 1; i <= n; i++ {
		marks = append(marks, fmt.Sprint(i))
		versions = append(versions, fmt.Sprint(1000+i))
		records = append(records, fmt.Sprintf("%05d_mark done", 1000+i))
	}
	for _, c := range []struct {
		what, query string
		want        []string
	}{
		{"marks", "SELECT migration FROM marks ORDER BY rowid", marks},
		{"goose's table", "SELECT version_id FROM goose_db_version WHERE version_id > 1000 AND is_applied ORDER BY id", versions},
		{"the ledger", "SELECT migration || ' ' || status FROM _shiplock_migration WHERE migration LIKE '%\\_mark%' ESCAPE '\\' ORDER BY migration", records},
	} {
		got := y.query(c.query)
		if c.what == "the ledger" {
			for i := range got {
				got[i] = strings.ReplaceAll(got[i], ".sql", "")
			}
		}
		if !slices.Equal(got, c.want) {
			y.t.Errorf("%s: got %v, want %v", c.what, got, c.want)
		}
	}
	y.talliedOnce()
	if bad := y.query("SELECT migration || ' ' || status FROM _shiplock_migration WHERE status <> 'done'"); len(bad) > 0 {
		y.t.Errorf("the ledger has open records: %v", bad)
	}
}

// gatesRun returns how often the gate of each release ran.
func (y *yard) gatesRun() map[string]int {
	y.t.Helper()
	b, err := os.ReadFile(y.lines)
	if err != nil {
		y.t.Fatal(err)
	}
	n := map[string]int{}
	for _, line := range strings.Fields(string(b)) {
		n[line]++
	}
	return n
}

// gatesOnce fails the test unless the gate of each of the first n releases ran
// once.
func (y *yard) gatesOnce(n int) {
	y.t.Helper()
	ran := y.gatesRun()
	for i := 1; i <= n; i++ {
		if ran[fmt.Sprint(i)] != 1 {
			y.t.Errorf("the gate of release %d ran %d times, want once", i, ran[fmt.Sprint(i)])
		}
	}
}

// serves fails the test unless exactly the given release serves: the node's
// state, its instances and a few new connections all say so.
func (y *yard) serves(version int) { y.t.Helper(); y.project.serves("/products", version) }

func (p *project) serves(path string, version int) {
	p.w.t.Helper()
	p.w.eventually(time.Minute, "every instance of the active slot runs", func() error {
		st := p.status()
		active := st.Observed.Slots[st.Observed.Active]
		if st.Observed.Active == "" || len(active.Instances) == 0 {
			return fmt.Errorf("active slot %q has %d instances", st.Observed.Active, len(active.Instances))
		}
		for _, i := range active.Instances {
			if i.State != "running" {
				return fmt.Errorf("%s is %s", i.ID, i.State)
			}
		}
		if st.Observed.Mode != ship.Serving {
			return fmt.Errorf("the mode is %s", st.Observed.Mode)
		}
		return nil
	})
	for range 3 {
		if code, header, body := p.get(path); code != http.StatusOK || header.Get("X-Shop-Version") != fmt.Sprint(version) {
			p.w.t.Errorf("version %q answers %d, want version %d: %s", header.Get("X-Shop-Version"), code, version, body)
		}
	}
}
