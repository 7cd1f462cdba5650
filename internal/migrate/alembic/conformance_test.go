package alembic_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/migrate/alembic"
	"github.com/shiplock/shiplock/internal/migrate/migratetest"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

// recorded is the tool as the engine uses it: with a line in the ledger for
// everything that is done. Without one, Alembic cannot tell what is applied in
// a database that is ahead.
type recorded struct{ *alembic.Tool }

func (r recorded) Up(ctx context.Context, p migrate.Project, m ship.Migration) error {
	if err := r.Tool.Up(ctx, p, m); err != nil {
		return err
	}
	return p.Session.Do(ctx, ship.Work{Atomic: true, Record: []ship.Record{{Migration: m.ID, Tool: "alembic", Status: ship.RecordDone}}})
}

func (r recorded) Down(ctx context.Context, p migrate.Project, m ship.Migration) error {
	if err := r.Tool.Down(ctx, p, m); err != nil {
		return err
	}
	return p.Session.Do(ctx, ship.Work{Atomic: true, Forget: []string{m.ID}})
}

func TestAlembicIsATool(t *testing.T) {
	venv := testneed.Python(t, testneed.Requirements(t, example+"/requirements.txt")...)
	migratetest.Run(t, func(t *testing.T) migratetest.Fixture {
		db := migratetest.Postgres(t)
		// at returns the project in a folder of its own, changed.
		at := func(t *testing.T, change func(dir string) error) migrate.Project {
			dir := t.TempDir()
			migratetest.CopyTree(t, example, dir)
			if err := change(dir); err != nil {
				t.Fatal(err)
			}
			return migrate.Project{
				Dir: dir, Tree: os.DirFS(dir), Session: db, Timeout: time.Minute, Lock: time.Second,
				Runner: &migratetest.Runner{Dir: dir, Env: map[string]string{
					"DATABASE_URL": db.URL, "SECRET_KEY": "for-tests-only", "PYTHONDONTWRITEBYTECODE": "1",
				}},
			}
		}
		return migratetest.Fixture{
			Tool: recorded{newToolOf(t, filepath.Join(venv, "bin", "python"))}, DB: db, Tables: []string{"product", "orders"},
			Project: at(t, func(string) error { return nil }),
			Fail: func(t *testing.T) (migrate.Project, string) {
				return at(t, func(dir string) error {
					return os.WriteFile(dir+"/migrations/versions/0003_like.py", []byte(`import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    op.create_table("likes", sa.Column("id", sa.Integer, primary_key=True))
    op.execute("UPDATE nothing SET a = 1")


def downgrade():
    op.drop_table("likes")
`), 0o644)
				}), "likes"
			},
			Without: func(t *testing.T) migrate.Project {
				return at(t, func(dir string) error { return os.Remove(dir + "/migrations/versions/0002_orders.py") })
			},
		}
	})
}
