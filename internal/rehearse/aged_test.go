package rehearse_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/migrate/sqlfiles"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/rehearse"
	"github.com/shiplock/shiplock/internal/ship"
)

// small is a schema that both kinds of database understand.
const small = "CREATE TABLE product (id integer PRIMARY KEY, name varchar(20) NOT NULL, price integer); INSERT INTO product VALUES (1, 'a', 7), (2, 'b', 8)"

// An aged lab has two migrations and a backup from before the first, which was
// applied since.
type aged struct {
	*lab
	tool    *sqlfiles.Tool
	tree    fstest.MapFS
	backup  []byte
	listing migrate.Listing
}

func (l *lab) aged(first, second string) *aged {
	l.t.Helper()
	tool, err := sqlfiles.New(sqlfiles.Config{Dir: "migrations"}, plugin.Deps{})
	if err != nil {
		l.t.Fatal(err)
	}
	a := &aged{lab: l, tool: tool, tree: fstest.MapFS{
		"migrations/00001_first.sql": {Data: []byte("-- +goose Up\n" + first)}, "migrations/00002_second.sql": {Data: []byte("-- +goose Up\n" + second)},
	}}
	var out bytes.Buffer
	if _, err := l.db.Backup(l.t.Context(), &out, nil); err != nil {
		l.t.Fatal(err)
	}
	a.backup = out.Bytes()
	f := ship.Fence{Run: "d-1", Epoch: 3}
	lock, err := l.db.Lock(l.t.Context(), f, "test")
	if err != nil {
		l.t.Fatal(err)
	}
	p := migrate.Project{Tree: a.tree, Session: live{l.db, lock, l.dialect}, Fence: f, Timeout: time.Minute, Lock: time.Second}
	if a.listing, err = tool.List(l.t.Context(), p); err == nil {
		err = tool.Up(l.t.Context(), p, a.listing.Migrations[0])
	}
	if err = errors.Join(err, lock.Release(l.t.Context())); err != nil {
		l.t.Fatal(err)
	}
	return a
}

// live is a session on the database itself.
type live struct {
	database.Database
	lock    database.Lock
	dialect string
}

func (s live) Do(ctx context.Context, w ship.Work) error { return s.lock.Do(ctx, w) }
func (s live) Dialect() string                           { return s.dialect }
func (s live) NoTable(err error) bool {
	return err != nil && strings.Contains(err.Error(), database.ErrNoTable.Error())
}

// rehearse carries the second migration out on a copy made of the backup.
func (a *aged) rehearse(change ...func(*rehearse.Config)) (ship.Rehearsal, error) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	shadow, err := a.db.(database.Shadower).Shadow(ctx, database.ShadowOptions{App: a.app, From: bytes.NewReader(a.backup)})
	if err != nil {
		return ship.Rehearsal{}, err
	}
	defer func() {
		if err := shadow.Drop(ctx); err != nil {
			a.t.Error(err)
		}
	}()
	c := rehearse.Config{Shadow: shadow, Tool: a.tool, Pending: a.listing.Migrations[1:], Applied: a.listing.Migrations[:1], Run: "test"}
	c.Project = func(s database.Shadow, lock database.Lock, f ship.Fence) migrate.Project {
		return migrate.Project{Tree: a.tree, Session: session{s, lock, a.dialect}, Fence: f, Timeout: time.Minute, Lock: time.Second}
	}
	if c.Original, err = a.db.Catalog(ctx); err != nil {
		a.t.Fatal(err)
	}
	for _, f := range change {
		f(&c)
	}
	return rehearse.Run(ctx, c)
}

func TestACopyOfABackupIsBroughtUpToDateBeforeItIsRehearsedOn(t *testing.T) {
	for _, open := range []func(*testing.T, string) *lab{onPostgres, onSQLite} {
		l := open(t, small)
		t.Run(l.dialect, func(t *testing.T) {
			l.t = t
			a := l.aged("ALTER TABLE product ADD COLUMN stock integer;", "ALTER TABLE product RENAME COLUMN stock TO amount;")
			l.as(4, "DELETE FROM product") // the rows of the copy are those of the backup
			r, err := a.rehearse()
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Migrations) != 1 || r.Migrations[0].Failed != "" || !strings.Contains(strings.Join(r.Notes, " "), "00001_first") {
				t.Errorf("it rehearsed %+v", r)
			}
			if !strings.Contains(told(r), "broken select: SELECT") || !strings.Contains(told(r), "stock") {
				t.Errorf("the release that serves knows the column that came after the backup, and this does not say that it breaks:\n%s", told(r))
			}
		})
	}
}

func TestABackupOfAnotherSchemaProvesNothing(t *testing.T) {
	l := onPostgres(t, small)
	a := l.aged("ALTER TABLE product ADD COLUMN stock integer;", "CREATE TABLE note (id integer);")
	l.as(4, "CREATE INDEX by_hand ON product (name)")
	_, err := a.rehearse()
	if ship.KindOf(err) != ship.Inconclusive || !strings.Contains(err.Error(), "by_hand") || !strings.Contains(ship.HintOf(err), "shiplock backup") {
		t.Errorf("%v, %s", err, ship.HintOf(err))
	}
}

func TestA55ADamagedBackupIsNotRehearsedOn(t *testing.T) {
	for _, open := range []func(*testing.T, string) *lab{onPostgres, onSQLite} {
		l := open(t, small)
		a := l.aged("ALTER TABLE product ADD COLUMN stock integer;", "CREATE TABLE note (id integer);")
		a.backup[len(a.backup)/2] ^= 1
		if _, err := a.rehearse(); err == nil || ship.HintOf(err) == "" {
			t.Errorf("%s: %v, %q", l.dialect, err, ship.HintOf(err))
		}
		if l.dialect == "sqlite" {
			if left, err := filepath.Glob(filepath.Join(filepath.Dir(l.db.Name()), "*.rehearsal-*")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		} else if left, err := l.db.Rows(t.Context(), "SELECT datname FROM pg_database WHERE datname LIKE current_database() || '%rehearsal%'"); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}

func TestTheReleaseThatServesIsAskedBeforeAndAfterEachMigration(t *testing.T) {
	l := onSQLite(t, small)
	a := l.aged("ALTER TABLE product ADD COLUMN stock integer;", "ALTER TABLE product DROP COLUMN price;")
	asked := 0
	ask := func(ctx context.Context, s database.Shadow) ([]ship.Breakage, error) {
		asked++
		if _, err := s.Rows(ctx, "SELECT price FROM product"); err != nil {
			return []ship.Breakage{{Probe: "smoke", Statement: "GET /products/", Code: "500", Message: err.Error()}}, nil
		}
		return nil, nil
	}
	r, err := a.rehearse(func(c *rehearse.Config) { c.Smoke = ask })
	if err != nil || asked != 2 {
		t.Fatalf("asked %d times, %v", asked, err)
	}
	if b := r.Migrations[0].Broken; len(b) == 0 || b[0].Probe != "smoke" || r.Smoke == nil || r.Smoke.Outcome != ship.Fail || !strings.Contains(r.Smoke.Reason, "after 00002_second: GET /products/") {
		t.Errorf("%+v, %+v", b, r.Smoke)
	}

	// One that fails before all proves nothing, and is not asked again.
	asked = 0
	r, err = a.rehearse(func(c *rehearse.Config) {
		c.Smoke = func(ctx context.Context, s database.Shadow) ([]ship.Breakage, error) {
			asked++
			return []ship.Breakage{{Probe: "smoke", Statement: "GET /healthz", Message: "no answer"}}, nil
		}
	})
	if err != nil || asked != 1 || r.Smoke.Outcome != ship.NoConclusion || len(r.Migrations) != 1 || strings.Contains(told(r), "GET /healthz") {
		t.Errorf("asked %d times: %+v, %v", asked, r, err)
	}

	// That it cannot be asked at all is no answer.
	_, err = a.rehearse(func(c *rehearse.Config) {
		c.Smoke = func(context.Context, database.Shadow) ([]ship.Breakage, error) { return nil, errors.New("no node") }
	})
	if err == nil || !strings.Contains(err.Error(), "no node") {
		t.Errorf("%v", err)
	}
}
