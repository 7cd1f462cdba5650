package postgres_test

import (
	"bytes"
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/testneed"
)

// What an installation is told to use: a role that owns its database and may
// create databases, and has no other rights.
func TestARestoreNeedsNoSuperuser(t *testing.T) {
	super := mustParse(t, testneed.Postgres(t))
	name := strings.TrimPrefix(super.Path, "/") + "_owned"
	admin := app(t, super.String())
	for _, statement := range []string{"CREATE ROLE %s LOGIN CREATEDB PASSWORD 'p'", "CREATE DATABASE %s OWNER %s"} {
		exec(t, admin, "%s", strings.ReplaceAll(statement, "%s", name))
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		for _, database := range []string{name, name + "_before_2", name + "_shiplock_2"} {
			_, _ = admin.ExecContext(ctx, "DROP DATABASE IF EXISTS "+database+" WITH (FORCE)")
		}
		_, _ = admin.ExecContext(ctx, "DROP ROLE "+name)
	})
	owned := *super
	owned.Path, owned.User = "/"+name, url.UserPassword(name, "p")
	db := open(t, owned.String())
	exec(t, app(t, owned.String()), "CREATE TABLE product (id integer); INSERT INTO product VALUES (1)")
	var file bytes.Buffer
	if _, err := db.Backup(t.Context(), &file, nil); err != nil {
		t.Fatal(err)
	}
	exec(t, app(t, owned.String()), "DELETE FROM product")
	if _, err := db.Restore(t.Context(), second, &file); err != nil {
		t.Fatalf("Restore: %v", err)
	}
	if got := scalar(t, app(t, owned.String()), "SELECT count(*) FROM product"); got != "1" {
		t.Errorf("the restored database has %s rows, want 1", got)
	}
}
