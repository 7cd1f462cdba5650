package django_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/migrate/migratetest"
	"github.com/shiplock/shiplock/internal/testneed"
)

func TestDjangoIsATool(t *testing.T) {
	venv := testneed.Python(t, testneed.Requirements(t, example+"/requirements.txt")...)
	migratetest.Run(t, func(t *testing.T) migratetest.Fixture {
		db := migratetest.Postgres(t)
		// at returns the project in a folder of its own, changed.
		at := func(t *testing.T, change func(dir string) error) migrate.Project {
			dir := t.TempDir()
			migratetest.CopyTree(t, "testdata/blog", dir)
			if err := change(dir); err != nil {
				t.Fatal(err)
			}
			return migrate.Project{
				Dir: dir, Tree: os.DirFS(dir), Session: db, Timeout: time.Minute, Lock: time.Second,
				Runner: &migratetest.Runner{Dir: dir, Env: map[string]string{
					"DATABASE_URL": db.URL, "PYTHONDONTWRITEBYTECODE": "1",
				}},
			}
		}
		tool := newToolOf(t, filepath.Join(venv, "bin", "python"))
		return migratetest.Fixture{
			Tool: tool, DB: db, Tables: []string{"blog_post", "blog_comment"},
			Project: at(t, func(string) error { return nil }),
			Fail: func(t *testing.T) (migrate.Project, string) {
				return at(t, func(dir string) error {
					return os.WriteFile(dir+"/blog/migrations/0003_like.py", []byte(`from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("blog", "0002_comment")]
    operations = [
        migrations.CreateModel("Like", [("id", models.BigAutoField(primary_key=True))]),
        migrations.RunSQL("UPDATE nothing SET a = 1", migrations.RunSQL.noop),
    ]
`), 0o644)
				}), "blog_like"
			},
			Without: func(t *testing.T) migrate.Project {
				return at(t, func(dir string) error { return os.Remove(dir + "/blog/migrations/0002_comment.py") })
			},
		}
	})
}
