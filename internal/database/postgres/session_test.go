package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/database/postgres"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

const canary = "c4n&ry/pass word"

var (
	first  = ship.Fence{Run: "first", Epoch: 1}
	second = ship.Fence{Run: "second", Epoch: 2}
)

func TestFailuresToConnectAreSentencesWithoutThePassword(t *testing.T) {
	good := testneed.Postgres(t)
	u, err := url.Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("postgres", canary)
	with := func(change func(*url.URL)) string {
		other := *u
		change(&other)
		return other.String()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]struct{ url, want string }{
		"refused":     {with(func(u *url.URL) { u.Host = closed }), "nothing accepts connections at " + closed},
		"no database": {with(func(u *url.URL) { u.Path = "/absent" }), `no database "absent" at ` + u.Host},
		"no user":     {with(func(u *url.URL) { u.User = url.UserPassword("nobody", canary) }), "refuses user \"nobody\""},
		"no host":     {with(func(u *url.URL) { u.Host = "absent.invalid" }), "host absent.invalid"},
		"no TLS":      {with(func(u *url.URL) { u.RawQuery = "sslmode=require" }), "cannot connect to the database at " + u.Host},
	} {
		db := open(t, try.url)
		err := db.Ping(t.Context())
		if ship.KindOf(err) != ship.Unreachable || !strings.Contains(err.Error(), try.want) {
			t.Errorf("%s: %v of kind %s, want %q", name, err, ship.KindOf(err), try.want)
		}
		_, lockErr := db.Lock(t.Context(), first, "ann")
		_, backupErr := db.Backup(t.Context(), &strings.Builder{}, nil)
		_, restoreErr := db.Restore(t.Context(), first, strings.NewReader(""))
		for _, err := range []error{err, lockErr, backupErr, restoreErr} {
			noCanary(t, err)
		}
	}
}

func TestMalformedURLsAreExplainedWithoutThePassword(t *testing.T) {
	escaped := url.QueryEscape(canary)
	for _, text := range []string{
		"postgres://u:" + canary + "@h:5432/d", "postgres://u:" + escaped + "@h:port/d", "mysql://u:" + escaped + "@h/d",
		"postgres://u:" + escaped + "@h:5432/", "postgres://u:" + escaped + "@h/d?sslmode=perhaps", "host=h password=" + canary,
		"postgres://u:" + escaped + "%zz@h/d", "",
	} {
		_, err := postgres.New(database.Config{URL: ship.NewSecret(text)}, plugin.Deps{})
		if ship.KindOf(err) != ship.Invalid || ship.HintOf(err) == "" {
			t.Errorf("%q: %v, want kind Invalid with a hint", text, err)
		}
		noCanary(t, err)
	}
}

func noCanary(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, form := range []string{canary, url.QueryEscape(canary), url.PathEscape(canary), "c4n"} {
		if text := err.Error() + ship.HintOf(err); strings.Contains(text, form) {
			t.Errorf("%q shows the password", text)
		}
	}
}

func TestURLsOfFrameworksAreUnderstood(t *testing.T) {
	u := testneed.Postgres(t)
	for _, text := range []string{
		strings.Replace(u, "postgres://", "postgresql+psycopg://", 1),
		u + "&schema=public&connection_limit=5", // Prisma's
		u + "&application_name=shop",
	} {
		if err := open(t, text).Ping(t.Context()); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestToolVarsCarryTheEpochHoweverLongTheRunsName(t *testing.T) {
	db := open(t, "postgres://h/d?options=-c%20role%3Downer")
	vars := db.ToolVars(ship.Fence{Run: strings.Repeat("run", 40), Epoch: 1234567}, 2*time.Second)
	if name := vars["PGAPPNAME"]; len(name) > 63 || !strings.HasSuffix(name, " epoch=1234567") {
		t.Errorf("PGAPPNAME is %q", name)
	}
	if got := vars["PGOPTIONS"]; got != "-c role=owner -c lock_timeout=2000ms" {
		t.Errorf("PGOPTIONS is %q", got)
	}
}

func TestANewOwnerEndsTheToolsOfADeadOne(t *testing.T) {
	u := testneed.Postgres(t)
	db := open(t, u)
	exec(t, app(t, u), "CREATE TABLE product (id integer)")
	l, err := db.Lock(t.Context(), first, "ann")
	if err != nil {
		t.Fatal(err)
	}
	tool := connectAs(t, u, db.ToolVars(first, time.Second)["PGAPPNAME"])
	if _, err := tool.Exec(t.Context(), "BEGIN; DROP TABLE product"); err != nil {
		t.Fatal(err)
	}
	other := connectAs(t, u, "shop")
	taken, err := db.Lock(t.Context(), second, "bob")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Release(t.Context()) }()
	if _, err := tool.Exec(t.Context(), "COMMIT"); err == nil {
		t.Error("the tool of the dead owner went on")
	}
	if err := other.Ping(t.Context()); err != nil {
		t.Errorf("a session that is not ours was ended: %v", err)
	}
	// A tool that the old owner starts yet is ended by the next change.
	late := connectAs(t, u, db.ToolVars(first, time.Second)["PGAPPNAME"])
	if err := taken.Do(t.Context(), ship.Work{Statements: []string{"INSERT INTO product VALUES (1)"}, Atomic: true}); err != nil {
		t.Errorf("the table is gone: %v", err)
	}
	if err := late.Ping(t.Context()); err == nil {
		t.Error("a tool with an old epoch may stay")
	}
	_ = l.Release(t.Context())
}

func TestALostLockIsNotTakenAgainSilently(t *testing.T) {
	u := testneed.Postgres(t)
	db := open(t, u)
	l, err := db.Lock(t.Context(), first, "ann")
	if err != nil {
		t.Fatal(err)
	}
	exec(t, app(t, u), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'shiplock run=%%'")
	work := ship.Work{Statements: []string{"CREATE TABLE product (id integer)"}, Atomic: true}
	for range 2 {
		if err := l.Do(t.Context(), work); ship.KindOf(err) != ship.Unreachable {
			t.Errorf("Do without the lock: %v, want kind Unreachable", err)
		}
	}
	if _, err := db.Rows(t.Context(), "SELECT * FROM product"); !errors.Is(err, database.ErrNoTable) {
		t.Errorf("something was changed without the lock: %v", err)
	}
	if err := l.Release(t.Context()); err != nil {
		t.Errorf("Release: %v", err)
	}
}

func TestA41TheErrorSaysWhoWasInTheWay(t *testing.T) {
	u := testneed.Postgres(t)
	exec(t, app(t, u), "CREATE TABLE product (id integer)")
	l := lock(t, open(t, u), first)
	busy := connectAs(t, u, "nightly report")
	if _, err := busy.Exec(t.Context(), "BEGIN; LOCK TABLE product IN SHARE MODE"); err != nil {
		t.Fatal(err)
	}
	err := l.Do(t.Context(), ship.Work{Statements: []string{"ALTER TABLE product ADD COLUMN price integer"}, Atomic: true})
	if !errors.Is(err, database.ErrBusy) || !strings.Contains(err.Error(), "nightly report, user postgres, idle in transaction") {
		t.Errorf("Do: %v, want ErrBusy that names the session", err)
	}
}

func TestARoleWithoutRightsSeesAnEmptyLedger(t *testing.T) {
	u := testneed.Postgres(t)
	db := open(t, u)
	l := lock(t, db, first)
	if err := l.Do(t.Context(), ship.Work{Record: []ship.Record{{Migration: "one", Status: ship.RecordDone}}}); err != nil {
		t.Fatal(err)
	}
	admin := app(t, u)
	role := "r" + strings.TrimPrefix(mustParse(t, u).Path, "/")
	exec(t, admin, "CREATE ROLE %s LOGIN", role)
	t.Cleanup(func() { _, _ = admin.ExecContext(context.WithoutCancel(t.Context()), "DROP ROLE "+role) })
	theirs := mustParse(t, u)
	theirs.User = url.User(role)
	for want := range []int{0, 1} {
		want = 1 - want
		reader := open(t, theirs.String())
		records, err := reader.Ledger(t.Context())
		epoch, epochErr := reader.Epoch(t.Context())
		if err != nil || epochErr != nil || len(records) != want || int(epoch) != want {
			t.Errorf("%d records, epoch %d, %v, %v; want %d of each", len(records), epoch, err, epochErr, want)
		}
		exec(t, admin, "REVOKE ALL ON SCHEMA _shiplock FROM PUBLIC")
	}
	_, err := open(t, theirs.String()).Lock(t.Context(), second, "eve")
	if ship.KindOf(err) != ship.Unreachable || ship.HintOf(err) == "" {
		t.Errorf("Lock by a role without rights: %v, want kind Unreachable with a hint", err)
	}
}

func lock(t testing.TB, db *postgres.DB, f ship.Fence) database.Lock {
	t.Helper()
	l, err := db.Lock(t.Context(), f, "ann")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Release(context.WithoutCancel(t.Context())) })
	return l
}

func connectAs(t testing.TB, u, application string) *pgx.Conn {
	t.Helper()
	cfg, err := pgx.ParseConfig(u)
	if err != nil {
		t.Fatal(err)
	}
	cfg.RuntimeParams["application_name"] = application
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func mustParse(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func scalar(t testing.TB, db *sql.DB, query string) (out string) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query).Scan(&out); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return out
}
