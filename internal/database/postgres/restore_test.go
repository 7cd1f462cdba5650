package postgres_test

import (
	"bytes"
	"context"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/database/postgres"
	"github.com/shiplock/shiplock/internal/testneed"
)

// A shop is a database whose copy is about to be restored.
type shop struct {
	url, name string
	db        *postgres.DB
	file      []byte
}

func newShop(t testing.TB) shop {
	t.Helper()
	u := testneed.Postgres(t)
	s := shop{url: u, name: strings.TrimPrefix(mustParse(t, u).Path, "/"), db: open(t, u)}
	exec(t, app(t, u), "CREATE TABLE product (id integer); INSERT INTO product VALUES (1)")
	var file bytes.Buffer
	if _, err := s.db.Backup(t.Context(), &file, nil); err != nil {
		t.Fatal(err)
	}
	s.file = file.Bytes()
	admin := app(t, s.in("postgres"))
	t.Cleanup(func() {
		for _, suffix := range []string{"_before_2", "_shiplock_2"} {
			_, _ = admin.ExecContext(context.WithoutCancel(t.Context()), "DROP DATABASE IF EXISTS "+s.name+suffix)
		}
	})
	return s
}

// in returns the URL of another database of the same server.
func (s shop) in(name string) string { return strings.Replace(s.url, "/"+s.name, "/"+name, 1) }

func (s shop) restore(t testing.TB) string {
	t.Helper()
	kept, err := s.db.Restore(t.Context(), second, bytes.NewReader(s.file))
	if err != nil {
		t.Fatalf("Restore: %v", err)
	}
	return kept
}

func TestARestoreCarriesOverWhatBelongsToTheDatabase(t *testing.T) {
	s := newShop(t)
	role := "role_of_" + s.name
	admin := app(t, s.in("postgres"))
	for _, statement := range []string{
		"CREATE ROLE " + role,
		`ALTER DATABASE %s SET search_path = "$user", public, "odd, name"`, "ALTER DATABASE %s SET work_mem = '7MB'",
		`ALTER DATABASE %s SET my.text = E'it''s a \\ path'`, "ALTER DATABASE %s SET datestyle = 'ISO, DMY'",
		"ALTER ROLE " + role + " IN DATABASE %s SET statement_timeout = '3s'",
		"REVOKE ALL ON DATABASE %s FROM PUBLIC", "GRANT CONNECT ON DATABASE %s TO " + role + " WITH GRANT OPTION",
		"COMMENT ON DATABASE %s IS 'the shop''s'", "ALTER DATABASE %s CONNECTION LIMIT 77",
	} {
		exec(t, admin, "%s", strings.ReplaceAll(statement, "%s", s.name))
	}
	facts := `SELECT concat_ws(' | ', d.datconnlimit, pg_encoding_to_char(encoding), datcollate, datallowconn, shobj_description(d.oid, 'pg_database'),
		(SELECT string_agg(x.grantee::regrole::text || x.privilege_type || x.is_grantable, ',' ORDER BY x.grantee, x.privilege_type) FROM aclexplode(datacl) x),
		(SELECT string_agg(setrole::regrole || array_to_string(setconfig, ';'), ',' ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid))
		FROM pg_database d WHERE datname = '` + s.name + `'`
	before := scalar(t, admin, facts)
	s.restore(t)
	if after := scalar(t, admin, facts); after != before || !strings.Contains(before, "7MB") || !strings.Contains(before, "3s") {
		t.Errorf("the database had\n%s\nand has\n%s", before, after)
	}
}

func TestARestoreEndsTheApplicationsSessionsAndKeepsItsRows(t *testing.T) {
	s := newShop(t)
	conn := connectAs(t, s.url, "shop")
	if _, err := conn.Exec(t.Context(), "INSERT INTO product VALUES (2)"); err != nil {
		t.Fatal(err)
	}
	l := lock(t, s.db, second)
	kept := s.restore(t)
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("a session stayed in the former database")
	}
	for name, want := range map[string]string{s.name: "1", kept: "2"} {
		if got := scalar(t, app(t, s.in(name)), "SELECT count(*) FROM product"); got != want {
			t.Errorf("%s has %s rows, want %s", name, got, want)
		}
	}
	_ = l.Release(t.Context())
}

func TestARestoreIsTakenUpWhereverItWasKilled(t *testing.T) {
	for name, statements := range map[string][]string{
		"while restoring":        {"CREATE DATABASE {}_shiplock_2"},
		"when closed":            {"CREATE DATABASE {}_shiplock_2 TEMPLATE {}", "ALTER DATABASE {} ALLOW_CONNECTIONS false"},
		"between the renames":    {"CREATE DATABASE {}_shiplock_2 TEMPLATE {}", "ALTER DATABASE {} ALLOW_CONNECTIONS false", "ALTER DATABASE {} RENAME TO {}_before_2"},
		"before it opened again": {"CREATE DATABASE {}_shiplock_2 TEMPLATE {}", "ALTER DATABASE {} ALLOW_CONNECTIONS false", "ALTER DATABASE {} RENAME TO {}_before_2", "ALTER DATABASE {}_shiplock_2 RENAME TO {}"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			admin := app(t, s.in("postgres"))
			for _, statement := range statements {
				exec(t, admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s'", s.name)
				exec(t, admin, "%s", strings.ReplaceAll(statement, "{}", s.name))
			}
			if kept := s.restore(t); kept != s.name+"_before_2" {
				t.Errorf("the former database is called %s", kept)
			}
			for _, name := range []string{s.name, s.name + "_before_2"} {
				if got := scalar(t, app(t, s.in(name)), "SELECT count(*) FROM product"); got != "1" {
					t.Errorf("%s has %s rows, want 1", name, got)
				}
			}
			if got := scalar(t, admin, "SELECT count(*) FROM pg_database WHERE datname = '"+s.name+"_shiplock_2'"); got != "0" {
				t.Error("a database was left behind")
			}
		})
	}
}

func TestThePasswordReachesTheToolsInTheirEnvironmentOnly(t *testing.T) {
	u := mustParse(t, testneed.Postgres(t))
	u.User = url.UserPassword("postgres", canary)
	u.RawQuery = "sslmode=disable&connect_timeout=7"
	dir := t.TempDir()
	fake := `#!/bin/sh
case "$1" in --version) echo "pg_dump (PostgreSQL) 99.1"; exit;; esac
printf '%s\n' "$@" > "` + dir + `/args"
env > "` + dir + `/env"
echo "password authentication failed for $PGPASSWORD" >&2
exit 1
`
	if err := os.WriteFile(filepath.Join(dir, "pg_dump"), []byte(fake), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("SHIPLOCK_TOKEN", "a secret of ours")
	_, err := open(t, u.String()).Backup(t.Context(), &bytes.Buffer{}, nil)
	noCanary(t, err)
	if !strings.Contains(err.Error(), "password authentication failed for ***") {
		t.Errorf("Backup hides what the tool said: %v", err)
	}
	args, env := lines(t, filepath.Join(dir, "args")), lines(t, filepath.Join(dir, "env"))
	for _, arg := range args {
		if strings.Contains(arg, "c4n") || strings.Contains(arg, "postgres://") {
			t.Errorf("an argument is %q", arg)
		}
	}
	for _, want := range []string{"PGPASSWORD=" + canary, "PGHOST=127.0.0.1", "PGPORT=" + u.Port(), "PGUSER=postgres", "PGSSLMODE=disable", "PGCONNECT_TIMEOUT=7", "PGDATABASE=" + strings.TrimPrefix(u.Path, "/")} {
		if !slices.Contains(env, want) {
			t.Errorf("the environment lacks %s", want)
		}
	}
	if slices.Contains(env, "SHIPLOCK_TOKEN=a secret of ours") {
		t.Error("the tool gets our environment")
	}
}

func lines(t testing.TB, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}
