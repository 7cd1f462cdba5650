package django_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/shiplock/shiplock/internal/migrate/migratetest"
	"github.com/shiplock/shiplock/internal/ship"
)

func ids(ms []ship.Migration) []string {
	var out []string
	for _, m := range ms {
		out = append(out, m.ID)
	}
	return out
}

func TestFilesAreReadInOrderOfDependency(t *testing.T) {
	dir := t.TempDir()
	migratetest.CopyTree(t, example, dir)
	migratetest.CopyTree(t, example+"/variants/data", dir)
	migratetest.CopyTree(t, example+"/variants/slow-nonatomic", dir)
	if err := os.Remove(dir + "/catalog/migrations/0003_subtitle_weight.py"); err != nil {
		t.Fatal(err)
	}
	got, err := newTool(t).Files(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"catalog.0001_initial", "catalog.0002_stock", "catalog.0003_subtitle", "catalog.0004_fill_subtitle", "orders.0001_initial", "orders.0002_worker"}
	if !slices.Equal(ids(got), want) {
		t.Errorf("got %v, want %v", ids(got), want)
	}
	fill := got[3]
	if fill.Declared != ship.Backfill || fill.Reason != "writes a column that version 1 does not know" || !fill.Atomic {
		t.Errorf("declaration read as %q %q, atomic %v", fill.Declared, fill.Reason, fill.Atomic)
	}
	if fill.File != "catalog/migrations/0004_fill_subtitle.py" || !strings.HasPrefix(fill.Checksum, "sha256:") || len(fill.Checksum) != 71 {
		t.Errorf("file %q, checksum %q", fill.File, fill.Checksum)
	}
	if !slices.Equal(got[4].Needs, []string{"catalog.0001_initial"}) {
		t.Errorf("orders.0001_initial needs %v", got[4].Needs)
	}
}

const plain = "from django.db import migrations\n\nclass Migration(migrations.Migration):\n"

func TestFilesTakesWhatDjangoWritesAndPeopleWrite(t *testing.T) {
	tree := fstest.MapFS{
		"src/apps/shop/apps.py":                  {Data: []byte("class ShopConfig(AppConfig):\n    name = \"apps.shop\"\n    label = 'store'\n")},
		"src/apps/shop/migrations/0001_a.py":     {Data: []byte(plain + "    dependencies = [\n        migrations.swappable_dependency(settings.AUTH_USER_MODEL),\n        ('blog', '0009_late'),\n    ]\n    atomic = False\n")},
		"blog/migrations/0009_late.py":           {Data: []byte(plain + "    dependencies = []\n    run_before = [('news', '0001_x')]\n")},
		"news/migrations/0001_x.py":              {Data: []byte(plain + "    operations = []\n")},
		"a/migrations/0001_y.py":                 {Data: []byte(plain + "    dependencies = (\n        (\n            \"news\",\n            \"0001_x\",\n        ),\n    )\n")},
		"blog/migrations/__init__.py":            {},
		"blog/migrations/helpers.py":             {Data: []byte("def f(): pass\n")},
		"venv/lib/x/migrations/0001_no.py":       {Data: []byte(plain)},
		".hidden/x/migrations/0001_no.py":        {Data: []byte(plain)},
		"node_modules/x/migrations/0001_no.py":   {Data: []byte(plain)},
		"blog/migrations/sub/0001_not_django.py": {Data: []byte(plain)},
	}
	got, err := newTool(t).Files(tree)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"blog.0009_late", "news.0001_x", "a.0001_y", "store.0001_a"}
	if !slices.Equal(ids(got), want) {
		t.Fatalf("got %v, want %v", ids(got), want)
	}
	if got[3].Atomic || !got[2].Atomic {
		t.Errorf("atomic: store %v, a %v", got[3].Atomic, got[2].Atomic)
	}
}

func TestFilesRefusesWhatCannotBeOrdered(t *testing.T) {
	for name, c := range map[string]struct {
		tree fstest.MapFS
		want string
	}{
		"two files of one ID": {fstest.MapFS{
			"blog/migrations/0001_a.py":      {Data: []byte(plain)},
			"copy/blog/migrations/0001_a.py": {Data: []byte(plain)},
		}, "is there twice"},
		"a circle": {fstest.MapFS{
			"blog/migrations/0001_a.py": {Data: []byte(plain + "    dependencies = [('blog', '0002_b')]\n")},
			"blog/migrations/0002_b.py": {Data: []byte(plain + "    dependencies = [('blog', '0001_a')]\n")},
		}, "depends on itself"},
		"an unreadable declaration": {fstest.MapFS{
			"blog/migrations/0001_a.py": {Data: []byte("# shiplock: phase=whenever\n" + plain)},
		}, "blog/migrations/0001_a.py: line 1"},
		"a file without end": {fstest.MapFS{
			"blog/migrations/0001_a.py": {Data: []byte(plain + strings.Repeat("#\n", 1<<20))},
		}, "more than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newTool(t).Files(c.tree)
			if err == nil || !strings.Contains(err.Error(), c.want) || ship.KindOf(err) != ship.Invalid {
				t.Errorf("got %v of kind %s, want %q", err, ship.KindOf(err), c.want)
			}
		})
	}
}
