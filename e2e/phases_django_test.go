package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/ship"
)

// djangoMigration writes a migration of the example's catalog or orders.
func (p *project) djangoMigration(app, name, needs, operation string) {
	p.w.t.Helper()
	text := "from django.db import migrations, models\n\n\nclass Migration(migrations.Migration):\n" +
		"    dependencies = [(\"" + app + "\", \"" + needs + "\")]\n\n    operations = [" + operation + "]\n"
	p.write(app+"/migrations/"+name+".py", text, 0o644)
}

// A field goes from a model of Django: first from the code, then, when nothing
// needs it any more, from the database.
func TestDjangoRemovesAFieldInItsTime(t *testing.T) {
	t.Parallel()
	p, url := djangoShop(t, "1s")
	p.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)

	// The column is NOT NULL, as Django makes it: v2 could insert nothing.
	p.next("destructive")
	early := p.do("deploy", "production")
	early.expect(t, 3, ship.Refused, ship.SchemaUnchanged, 1)
	early.says(t, "0003_drop_description", "NOT NULL without a default")

	second := func() {
		p.next("destructive")
		if err := os.Remove(filepath.Join(p.dir, "catalog/migrations/0003_drop_description.py")); err != nil {
			t.Fatal(err)
		}
		p.djangoMigration("catalog", "0003_description_may_be_null", "0002_stock", `migrations.AlterField("product", "description", models.TextField(null=True))`)
		p.djangoMigration("catalog", "0004_no_description", "0003_description_may_be_null", `migrations.RemoveField("product", "description")`)
	}
	second()
	p.do("deploy", "production", "--wait=watched").expect(t, 0, "", ship.SchemaChanged, 3)
	if !column(t, url, "description") {
		t.Error("the column is gone already")
	}

	// What comes after it in the app has to wait for it; another app's has not.
	p.djangoMigration("catalog", "0005_colour", "0004_no_description", `migrations.AddField("product", "colour", models.TextField(null=True))`)
	held := p.do("deploy", "production")
	held.expect(t, 3, ship.Refused, ship.SchemaUnchanged, 3)
	held.says(t, "catalog.0005_colour", "builds on catalog.0004_no_description")
	if held.Next != "shiplock migrate contract production" {
		t.Errorf("next: %s", held.Next)
	}
	second()
	p.change("shiplock.yaml", "keep_old: 10m", "keep_old: 1s")
	p.djangoMigration("orders", "0003_remark", "0002_worker", `migrations.AddField("order", "remark", models.TextField(null=True))`)
	p.do("deploy", "production", "--wait=watched").expect(t, 0, "", ship.SchemaChanged, 5)

	p.alone()
	out, code := p.tell("migrate", "contract", "production", "--yes")
	if code != 3 || !strings.Contains(out, "window is not met") || !strings.Contains(out, "pg_stat_statements is not in the database") {
		t.Errorf("exit code %d: %s", code, out)
	}
	p.do("migrate", "contract", "production", "--yes", "--override", "--reason", "nobody described anything").expect(t, 0, "", ship.SchemaChanged, 5)
	if column(t, url, "description") {
		t.Error("the column is still there")
	}
	back := p.do("rollback", "production", "v1", "--yes")
	back.refused(t)
	if !strings.Contains(back.text, "catalog.0004_no_description") {
		t.Errorf("it says: %s", back.text)
	}
}
