package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

const flaskYAML = `
app: shop
release: {exclude: [variants/, README.md, secrets.env]}
run:
  python: {requirements: requirements.txt}
  processes:
    web: {command: "gunicorn wsgi:app --bind 127.0.0.1:$PORT", grace: 10s}
vars: {SECRET_KEY: "${secret:SECRET_KEY}", WEB_CONCURRENCY: "1"}
health: {path: /healthz, healthy_after: 2, every: 200ms, give_up: 10s, host: localhost}
warmup: [/, /products/]
smoke: [/products/]
database: {url: "${secret:DATABASE_URL}", kind: postgres, backup: {kind: dump}}
migrations: {tool: alembic, timeout: 2m, lock_timeout: 5s}
secrets: {file: secrets.env}
environments:
  production: {platform: process, listen: "127.0.0.1:%d", drain: 10s, keep_old: 10m, watch: {for: 2s, error_rate: 5%%}}
`

// flaskShop is the Flask example in a world of its own.
type flaskShop struct {
	*project
	database string
	bin      string // programs of an environment with what the example needs
}

func newFlaskShop(t *testing.T) *flaskShop {
	t.Helper()
	s := &flaskShop{project: &project{w: &world{t: t}}}
	s.prepare()
	s.project = newWorld(t).newProject("flask", map[string]string{"DATABASE_URL": s.database, "SECRET_KEY": "canary-key-90ab77d1"})
	s.write("shiplock.yaml", fmt.Sprintf(flaskYAML, s.port), 0o644)
	return s
}

// prepare makes sure of the database and of Python.
func (s *flaskShop) prepare() {
	s.w.t.Helper()
	s.database = testneed.Postgres(s.w.t)
	s.bin = filepath.Join(testneed.Python(s.w.t, testneed.Requirements(s.w.t, "../examples/flask/requirements.txt")...), "bin")
}

// next makes the folder the plain example with variants over it.
func (s *flaskShop) next(variants ...string) {
	s.w.t.Helper()
	s.reset("flask")
	for _, v := range variants {
		s.overlay("flask", v)
	}
}

func (s *flaskShop) subtitle(want bool) {
	s.w.t.Helper()
	got := len(rows(s.w.t, s.database, `SELECT column_name::text FROM information_schema.columns WHERE table_name = 'product' AND column_name = 'subtitle'`)) > 0
	if got != want {
		s.w.t.Errorf("product.subtitle is there: %t, want %t", got, want)
	}
}

func (s *flaskShop) revision() string {
	s.w.t.Helper()
	return strings.Join(rows(s.w.t, s.database, `SELECT version_num::text FROM alembic_version`), " ")
}

// ledger is what our ledger says of each migration.
func (s *flaskShop) ledger() string {
	s.w.t.Helper()
	return strings.Join(rows(s.w.t, s.database, `SELECT migration || ' ' || status FROM _shiplock.migration ORDER BY migration`), ", ")
}

// answers fails the test unless the version serves.
func (p *project) answers(path, version string) {
	p.w.t.Helper()
	if code, head, body := p.get(path); code != http.StatusOK || head.Get("X-Shop-Version") != version {
		p.w.t.Errorf("version %q answers %d, want version %s: %s", head.Get("X-Shop-Version"), code, version, body)
	}
}

func TestFlaskFromReleaseToReleaseUnderLoad(t *testing.T) {
	t.Parallel()
	s := newFlaskShop(t)
	s.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	tr := s.traffic(30)

	// A migration that fails half-way in a transaction: nothing of it stays.
	s.next("failing")
	failing := s.do("deploy", "production")
	failing.expect(t, 10, ship.MigrationFailed, ship.SchemaUnchanged, 1)
	failing.says(t, "supplier", "rolled back")
	s.subtitle(false)

	// Without a transaction something stays, and only a person can say what
	// is to become of it. The old release goes on.
	s.next("failing-nonatomic")
	paused := s.do("deploy", "production")
	paused.expect(t, 10, ship.MigrationFailed, ship.SchemaUnknown, 1)
	if facts := strings.Join(paused.Notes, "\n"); !strings.Contains(facts, "subtitle") || !strings.Contains(facts, "not atomic") {
		t.Errorf("the facts do not name what stayed: %q", paused.Notes)
	}
	s.subtitle(true)
	s.answers("/products/", "1")
	exec1(t, s.database, `ALTER TABLE product DROP COLUMN subtitle`)
	if done := s.do("abort", paused.Run); done.Status != ship.Aborted || done.Serving != 1 {
		t.Errorf("abort ended as %q: %s", done.Status, done.text)
	}

	// An additive migration, and a release that never becomes healthy.
	s.next("additive")
	s.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 4)
	s.subtitle(true)
	s.answers("/products/", "2")
	s.next("additive", "never-healthy")
	sick := s.do("deploy", "production")
	sick.expect(t, 3, ship.Failed, ship.SchemaUnchanged, 4)
	sick.says(t, "503")

	// The manual rollback: Alembic itself cannot go on from here.
	s.do("rollback", "production", "--yes", "--reason", "wrong tax").expect(t, 0, "", ship.SchemaUnchanged, 1)
	snapshot := tr.stop()
	t.Logf("load: %s", snapshot)
	s.subtitle(true)
	s.next()
	if out := s.flask("db", "current"); !strings.Contains(out, "Can't locate revision") {
		t.Errorf("flask db current says %q: this test shows nothing", out)
	}

	// The release survives its own restart all the same, and so it does where
	// no run starts it.
	s.restarted("web", "/products/")
	s.answers("/products/", "1")
	before := s.ledger()
	in := s.container()
	if out, code := in.start("--migrate-only").ended(); code != 0 {
		t.Errorf("shiplock start ended with exit code %d: %s", code, out)
	}
	if after := s.ledger(); after != before || after != "0001 done, 0002 done, 0003 done" {
		t.Errorf("the ledger is %q, was %q", after, before)
	}
	if now := s.revision(); now != "0003" {
		t.Errorf("the database is at %q, want 0003", now)
	}
	s.answers("/products/", "1")
	noSecretShows(t, s.project, "canary-key-90ab77d1")
}

// flask runs the example's own command in the folder.
func (s *flaskShop) flask(args ...string) string {
	s.w.t.Helper()
	cmd := exec.CommandContext(s.w.t.Context(), filepath.Join(s.bin, "python"), append([]string{"-m", "flask", "--app", "wsgi"}, args...)...)
	cmd.Dir, cmd.Env = s.dir, []string{"DATABASE_URL=" + s.database, "SECRET_KEY=x", "PYTHONDONTWRITEBYTECODE=1"}
	out, _ := cmd.CombinedOutput() // what it says tells how it ended
	return string(out)
}

// container is the folder as an image has it, with what it needs installed.
func (s *flaskShop) container() *container {
	return &container{t: s.w.t, dir: s.dir, vars: []string{"PATH=" + s.bin + ":/usr/bin:/bin"}}
}

func TestFlaskReplicasThatStartAtOnceMigrateOnce(t *testing.T) {
	t.Parallel()
	s := &flaskShop{project: &project{w: &world{t: t}, dir: t.TempDir()}}
	s.prepare()
	copyTree(t, "../examples/flask", s.dir)
	s.write("shiplock.yaml", fmt.Sprintf(flaskYAML, 8080), 0o644)
	s.write("secrets.env", "SECRET_KEY=x\nDATABASE_URL="+s.database+"\n", 0o600)
	for _, replica := range []*starting{s.container().start("--migrate-only"), s.container().start("--migrate-only")} {
		if out, code := replica.ended(); code != 0 {
			t.Errorf("shiplock start ended with exit code %d: %s", code, out)
		}
	}
	if got := s.ledger(); got != "0001 done, 0002 done" || s.revision() != "0002" {
		t.Errorf("the ledger is %q, the database is at %q", got, s.revision())
	}
}
