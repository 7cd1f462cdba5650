package e2e

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// migrating returns the processes of this world that carry a migration out.
func (w *world) migrating(name string) []int {
	var pids []int
	found, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range found {
		line, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(line, []byte("migrate")) || !bytes.Contains(line, []byte(name)) {
			continue
		}
		environ, err := os.ReadFile(filepath.Join(filepath.Dir(path), "environ"))
		if err != nil || !bytes.Contains(environ, []byte(w.data)) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// inTheMiddle waits until a process carries the migration out and its first
// operation is done, in a transaction that still holds the table or for good.
func (p *project) inTheMiddle(url string) {
	p.w.t.Helper()
	p.w.eventually(2*time.Minute, "the migration is under way", func() error {
		if len(p.w.migrating("0003_subtitle")) == 0 {
			return errors.New("no process carries it out")
		}
		if !column(p.w.t, url, "subtitle") && len(rows(p.w.t, url, `SELECT l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
			WHERE c.relname = 'catalog_product' AND l.mode = 'AccessExclusiveLock' AND l.granted`)) == 0 {
			return errors.New("its first operation is not done")
		}
		return nil
	})
}

// slowMigration is the one of the variants that can be killed in the middle.
const slowMigration = "catalog.0003_subtitle_weight"

func applied(t *testing.T, url, name string) (django, ledger int) {
	t.Helper()
	app, short, _ := strings.Cut(name, ".")
	return len(rows(t, url, `SELECT name FROM django_migrations WHERE app = '`+app+`' AND name = '`+short+`'`)),
		len(rows(t, url, `SELECT migration FROM _shiplock.migration WHERE migration = '`+name+`' AND status = 'done'`))
}

func TestDjangoKillInTheMiddleOfMigrateIsResumedAndNothingIsAppliedTwice(t *testing.T) {
	t.Parallel()
	p, url := djangoShop(t, "1s")
	p.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	tr := p.traffic(20)

	// The server dies: the migration goes on without it, and is found again.
	p.next("slow")
	c := p.begin("deploy", "production")
	p.inTheMiddle(url)
	p.w.killServer()
	p.w.up()
	c.wait().expect(t, 0, "", ship.SchemaChanged, 2)
	tr.stop()
	if django, ledger := applied(t, url, slowMigration); django != 1 || ledger != 1 {
		t.Errorf("recorded %d times by Django and %d times by us, want once each", django, ledger)
	}
}

func TestDjangoKillOfMigrateItselfLeavesNothingOfAnAtomicMigration(t *testing.T) {
	t.Parallel()
	p, url := djangoShop(t, "1s")
	p.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	p.next("slow")
	c := p.begin("deploy", "production")
	p.inTheMiddle(url)
	for _, pid := range p.w.migrating("0003_subtitle") {
		p.w.kill(pid)
	}
	c.wait().expect(t, 10, ship.MigrationFailed, ship.SchemaUnchanged, 1)
	if django, ledger := applied(t, url, slowMigration); django != 0 || ledger != 0 || column(t, url, "subtitle") {
		t.Errorf("recorded %d times by Django and %d times by us, column there: %v; want nothing", django, ledger, column(t, url, "subtitle"))
	}
	// The same again, undisturbed.
	p.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 2)
}

func TestDjangoKillInANonAtomicMigrationPausesAndAPersonDecides(t *testing.T) {
	t.Parallel()
	p, url := djangoShop(t, "1s")
	p.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	p.next("slow-nonatomic")
	c := p.begin("deploy", "production")
	p.inTheMiddle(url)
	p.w.killServer()
	for _, pid := range p.w.migrating("0003_subtitle") {
		p.w.kill(pid)
	}
	p.w.up()
	paused := c.wait()
	paused.expect(t, 10, ship.MigrationFailed, ship.SchemaUnknown, 1)
	if !strings.Contains(paused.Reason, "unknown") || !strings.Contains(strings.Join(paused.Notes, "\n"), "0003_subtitle") {
		t.Errorf("reason %q, facts %q: want unknown, and the migration", paused.Reason, paused.Notes)
	}
	if code, _, _ := p.get("/products/"); code != 200 {
		t.Errorf("the old release answers %d", code)
	}
	// A person takes back what stayed, says so, and the run goes on.
	exec1(t, url, `ALTER TABLE catalog_product DROP COLUMN IF EXISTS subtitle`)
	p.do("resume", paused.Run, "--migration", slowMigration, "--as", "not-applied").expect(t, 0, "", ship.SchemaChanged, 2)
	if django, ledger := applied(t, url, slowMigration); django != 1 || ledger != 1 {
		t.Errorf("recorded %d times by Django and %d times by us, want once each", django, ledger)
	}
}
