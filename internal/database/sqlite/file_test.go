package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/database/databasetest"
	"github.com/shiplock/shiplock/internal/database/sqlite"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

var (
	first  = ship.Fence{Run: "first", Epoch: 1}
	second = ship.Fence{Run: "second", Epoch: 2}
)

func TestURLsMeanWhatTheFrameworksMean(t *testing.T) {
	for url, want := range map[string]string{
		"sqlite:///shop.db":               "/srv/app/shop.db",
		"sqlite:////var/lib/shop.db":      "/var/lib/shop.db",
		"sqlite+pysqlite:///shop.db?x=1":  "/srv/app/shop.db",
		"sqlite3:shop.db":                 "/srv/app/shop.db",
		"file:/var/lib/a%20b.db?mode=rwc": "/var/lib/a b.db",
		"data/shop.db":                    "/srv/app/data/shop.db",
		"/var/lib/shop.db":                "/var/lib/shop.db",
	} {
		db, err := sqlite.New(database.Config{URL: ship.NewSecret(url), Dir: "/srv/app"}, plugin.Deps{})
		if err != nil || db.Name() != want {
			t.Errorf("%s is %v, %v; want %s", url, db, err, want)
		}
	}
	for _, url := range []string{"", "sqlite://", ":memory:", "sqlite:///:memory:", "postgres://u:canary@h/d"} {
		_, err := sqlite.New(database.Config{URL: ship.NewSecret(url), Dir: "/srv/app"}, plugin.Deps{})
		if ship.KindOf(err) != ship.Invalid || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v, want kind Invalid without the password", url, err)
		}
	}
}

func TestReadingCreatesNoFile(t *testing.T) {
	place := create(t, "wal")
	db := open(t, place)
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("Ping: %v", err)
	}
	if _, err := db.Ledger(t.Context()); err != nil {
		t.Errorf("Ledger: %v", err)
	}
	if _, err := os.Stat(db.Name()); !os.IsNotExist(err) {
		t.Errorf("reading made the file: %v", err)
	}
	place.Dir = filepath.Join(place.Dir, "absent")
	if err := open(t, place).Ping(t.Context()); ship.KindOf(err) != ship.Unreachable {
		t.Errorf("without the folder Ping says %v, want kind Unreachable", err)
	}
}

func TestAFileThatIsNoDatabaseIsSaidToBe(t *testing.T) {
	place := create(t, "wal")
	db := open(t, place)
	if err := os.WriteFile(db.Name(), bytes.Repeat([]byte("not a database"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := db.Ping(t.Context()); ship.KindOf(err) != ship.Unreachable || !strings.Contains(err.Error(), "not a sound database") {
		t.Errorf("Ping says %v", err)
	}
}

func TestADeadHolderDoesNotKeepTheLock(t *testing.T) {
	place := create(t, "wal")
	db := open(t, place)
	if _, err := db.Lock(t.Context(), first, "ann"); err != nil {
		t.Fatal(err)
	}
	child := exec.Command("true")
	if err := child.Run(); err != nil {
		t.Fatal(err)
	}
	// The row names a process that has ended, as a kill -9 leaves it.
	for _, change := range []string{
		"UPDATE _shiplock_fence SET pid = " + strconv.Itoa(child.Process.Pid),
		"UPDATE _shiplock_fence SET start = '1'",         // the number was given to another
		"UPDATE _shiplock_fence SET boot = 'an earlier'", // the machine was restarted
	} {
		run(t, app(t, place), change)
		if _, err := db.Lock(t.Context(), first, "bob"); err != nil {
			t.Errorf("after %s: %v", change, err)
		}
	}
}

func TestAMigrationThatLeavesOrphansIsRolledBack(t *testing.T) {
	place := create(t, "wal")
	run(t, app(t, place), "CREATE TABLE product (id integer PRIMARY KEY)", "CREATE TABLE sale (product integer REFERENCES product (id))",
		"INSERT INTO product VALUES (1)", "INSERT INTO sale VALUES (1), (7)") // 7 was an orphan before
	l := lock(t, open(t, place), first)
	rebuild := func(where string) ship.Work {
		return ship.Work{Atomic: true, Statements: []string{
			"CREATE TABLE fresh (id integer PRIMARY KEY, name text)", "INSERT INTO fresh (id) SELECT id FROM product" + where,
			"DROP TABLE product", "ALTER TABLE fresh RENAME TO product",
		}}
	}
	err := l.Do(t.Context(), rebuild(" WHERE id <> 1"))
	if ship.KindOf(err) != ship.MigrationFailed || !strings.Contains(err.Error(), "1 rows of sale") {
		t.Errorf("a rebuild that loses rows: %v", err)
	}
	if err := l.Do(t.Context(), rebuild("")); err != nil {
		t.Errorf("a rebuild that keeps them: %v", err)
	}
}

func TestARestoreKeepsTheJournalModeAndTheRowsWrittenSince(t *testing.T) {
	for _, mode := range []string{"delete", "wal"} {
		t.Run(mode, func(t *testing.T) {
			place := create(t, mode)
			shop := app(t, place)
			run(t, shop, "CREATE TABLE product (id integer)", "INSERT INTO product VALUES (1)")
			db := open(t, place)
			file := backup(t, db)
			run(t, shop, "INSERT INTO product VALUES (2)")
			if err := os.Chmod(db.Name(), 0o640); err != nil {
				t.Fatal(err)
			}
			kept, err := db.Restore(t.Context(), second, bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			for path, want := range map[string]string{db.Name(): "1", kept: "2"} {
				dsn := strings.Replace(place.DSN, "shop.db", filepath.Base(path), 1)
				dsn, _, _ = strings.Cut(dsn, "?")
				if got := scalar(t, appAt(t, dsn), "SELECT count(*) FROM product"); got != want {
					t.Errorf("%s has %s rows, want %s", path, got, want)
				}
				if got := scalar(t, appAt(t, dsn), "PRAGMA journal_mode"); got != mode {
					t.Errorf("%s is in mode %s, want %s", path, got, mode)
				}
				if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
					t.Errorf("%s: %v %v, want mode 0640", path, info, err)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(place.Dir, "*shiplock*")); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func TestARestoreIsRefusedWhileAProcessHasTheFileOpen(t *testing.T) {
	place := create(t, "wal")
	shop := app(t, place)
	run(t, shop, "CREATE TABLE product (id integer)")
	db := open(t, place)
	file := backup(t, db)
	held, err := shop.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := held.QueryRowContext(t.Context(), "SELECT count(*) FROM product").Scan(&n); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Restore(t.Context(), second, bytes.NewReader(file)); ship.KindOf(err) != ship.Locked {
		t.Errorf("Restore: %v, want kind Locked", err)
	}
	if _, err := held.ExecContext(t.Context(), "INSERT INTO product VALUES (1)"); err != nil {
		t.Errorf("the application was hurt: %v", err)
	}
	_ = held.Close()
	if _, err := db.Restore(t.Context(), second, bytes.NewReader(file)); err != nil {
		t.Errorf("Restore when it was closed: %v", err)
	}
}

func TestARestoreThatWasKilledBeforeTheSwitchIsDoneAgain(t *testing.T) {
	place := create(t, "wal")
	run(t, app(t, place), "CREATE TABLE product (id integer)")
	db := open(t, place)
	file := backup(t, db)
	kept := db.Name() + ".before-2"
	if err := os.Link(db.Name(), kept); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(db.Name()+".shiplock-2", []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := db.Restore(t.Context(), second, bytes.NewReader(file))
	if err != nil || got != kept {
		t.Fatalf("Restore: %q, %v; want %q", got, err, kept)
	}
	if epoch, err := db.Epoch(t.Context()); epoch != 2 || err != nil {
		t.Errorf("the restored database has epoch %d, %v; want 2", epoch, err)
	}
}

func TestPlainCopiesAreRemoved(t *testing.T) {
	place, temp := create(t, "wal"), t.TempDir()
	run(t, app(t, place), "CREATE TABLE product (id integer)")
	child := exec.Command("true")
	if err := child.Run(); err != nil {
		t.Fatal(err)
	}
	mkdir(t, filepath.Join(temp, "sqlite-copy-"+strconv.Itoa(child.Process.Pid)+"-1-of-a-dead-process"))
	db, err := sqlite.New(database.Config{URL: ship.NewSecret(place.URL), Dir: place.Dir, Key: make([]byte, 32)}, plugin.Deps{DataDir: temp})
	if err != nil {
		t.Fatal(err)
	}
	file := backup(t, db)
	if _, err := db.Verify(t.Context(), bytes.NewReader(file)); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func open(t testing.TB, p databasetest.Place) *sqlite.DB {
	t.Helper()
	db, err := sqlite.New(database.Config{URL: ship.NewSecret(p.URL), Dir: p.Dir, LockTimeout: 50 * time.Millisecond, Key: make([]byte, 32)}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func lock(t testing.TB, db *sqlite.DB, f ship.Fence) database.Lock {
	t.Helper()
	l, err := db.Lock(t.Context(), f, "ann")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Release(context.WithoutCancel(t.Context())) })
	return l
}

func backup(t testing.TB, db *sqlite.DB) []byte {
	t.Helper()
	var file bytes.Buffer
	if _, err := db.Backup(t.Context(), &file, nil); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func app(t testing.TB, p databasetest.Place) *sql.DB { return appAt(t, p.DSN) }

func appAt(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxIdleConns(0)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func run(t testing.TB, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func scalar(t testing.TB, db *sql.DB, query string) (out string) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query).Scan(&out); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return out
}

func mkdir(t testing.TB, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestARelativePathNeedsAFolderItIsRelativeTo(t *testing.T) {
	_, err := sqlite.New(database.Config{URL: ship.NewSecret("sqlite:///shop.db"), Key: make([]byte, 32)}, plugin.Deps{})
	if ship.KindOf(err) != ship.Invalid {
		t.Errorf("New = %v, want kind invalid", err)
	}
}

func TestAFileThatIsGoneIsNotMadeAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	db, err := sqlite.New(database.Config{URL: ship.NewSecret("sqlite:///" + path), Key: make([]byte, 32)}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	db.NeverCreate()
	_, lockErr := db.Lock(t.Context(), ship.Fence{Run: "d-1", Epoch: 1}, "test")
	_, rowsErr := db.Rows(t.Context(), "SELECT 1")
	for what, err := range map[string]error{"ping": db.Ping(t.Context()), "lock": lockErr, "rows": rowsErr} {
		if ship.KindOf(err) != ship.Unreachable || !strings.Contains(err.Error(), "is gone") {
			t.Errorf("%s: %v, want that it is gone", what, err)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a file: %v", err)
	}
}
