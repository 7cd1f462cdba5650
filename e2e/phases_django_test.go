package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
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

// withoutDescription makes the folder the release that has a summary instead of
// the description: the new column is expand, a backfill fills it, and the old
// one is a contract.
func (p *project) withoutDescription() {
	p.w.t.Helper()
	p.next("destructive")
	if err := os.Remove(filepath.Join(p.dir, "catalog/migrations/0003_drop_description.py")); err != nil {
		p.w.t.Fatal(err)
	}
	p.change("catalog/models.py", "    price_cents", "    summary = models.TextField(null=True)\n    price_cents")
	p.djangoMigration("catalog", "0003_summary", "0002_stock",
		`migrations.AlterField("product", "description", models.TextField(null=True)), migrations.AddField("product", "summary", models.TextField(null=True))`)
	p.djangoMigration("catalog", "0004_no_description", "0003_summary", `migrations.RemoveField("product", "description")`)
	p.write("backfills/1_summary.sql", "-- shiplock: backfill table=catalog_product key=id\nUPDATE catalog_product SET summary = left(description, 8) WHERE summary IS NULL AND :page;\n", 0o644)
}

// linted runs lint over what is pending and returns "rule class" of what it
// found, by migration.
func (p *project) linted(want int, args ...string) map[string][]string {
	p.w.t.Helper()
	out, code := p.cli(append([]string{"lint", "--environment", "production", "-o", "json"}, args...)...)
	var found []struct{ File, Rule, Class string }
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&found); err != nil || code != want {
		p.w.t.Fatalf("lint ended with %d, want %d, %v: %s", code, want, err, out)
	}
	all := map[string][]string{}
	for _, f := range found {
		all[f.File] = append(all[f.File], f.Rule+" "+f.Class)
	}
	return all
}

// rehearsed carries what is pending out on a copy.
func (p *project) rehearsed(want int, args ...string) ship.Verdict {
	p.w.t.Helper()
	e := p.do(append([]string{"rehearse", "production"}, args...)...)
	var v ship.Verdict
	if err := json.NewDecoder(strings.NewReader(e.text)).Decode(&v); err != nil || e.code != want || v.Rehearsal == nil {
		p.w.t.Fatalf("rehearse ended with %d, want %d, %v: %s", e.code, want, err, e.text)
	}
	return v
}

// A field goes from a model of Django and another takes its place: known
// beforehand, tried on a copy, expanded, filled, and the old one taken away in
// its time, from where it comes back.
func TestDjangoShopFromLintToUndrop(t *testing.T) {
	t.Parallel()
	p, url := djangoShop(t, "1s")
	p.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	const texts = "SELECT id || ' ' || description FROM catalog_product ORDER BY id"
	before := rows(t, url, texts)

	// What it would do is known before it is done: by rule, and by the release
	// that serves on a copy.
	p.next("destructive")
	if found := p.linted(5)["catalog/migrations/0003_drop_description.py"]; !slices.Equal(found, []string{"PG002 G"}) {
		t.Errorf("lint finds %v", found)
	}
	v := p.rehearsed(5, "--downgrade", "off", "--smoke")
	if b := v.Rehearsal.Migrations[0].Broken; len(b) < 2 || b[0].Statement != "GET /products/" || b[0].Code != "500" || b[1].Code != "42703" || v.Rehearsal.Smoke.Outcome != ship.Fail {
		t.Errorf("rehearse says %s: %+v, %+v", v.Reason, v.Rehearsal.Smoke, b)
	}
	// The column is NOT NULL, as Django makes it: v2 could insert nothing.
	early := p.do("deploy", "production")
	early.expect(t, 3, ship.Refused, ship.SchemaUnchanged, 1)
	early.says(t, "0003_drop_description", "NOT NULL without a default")

	// The second release expands and fills. The gate has both releases tried on
	// a copy; the contract waits.
	p.withoutDescription()
	p.change("shiplock.yaml", "production: {", "production: {gates: [proof], ")
	p.write("shiplock.yaml", p.text("shiplock.yaml")+"gates: {proof: {rehearsal: {smoke: true, downgrade: off, allow_broken: [prepared select *]}}}\n", 0o644)
	if found := p.linted(5); slices.Contains(found["catalog/migrations/0003_summary.py"], "PG002 G") || !slices.Equal(found["catalog/migrations/0004_no_description.py"], []string{"PG002 G"}) {
		t.Errorf("lint finds %v", found)
	}
	p.linted(0, "--phase", "contract")
	second := p.do("deploy", "production", "--wait=watched")
	second.expect(t, 0, "", ship.SchemaChanged, 3)
	if text := p.read("explain", second.Run); !strings.Contains(text, "Rehearsed on a copy of") || !strings.Contains(text, "passed its check on the copy before and after") || strings.Count(text, "breaks (") != strings.Count(text, "breaks (prepared select *)") {
		t.Errorf("the run does not show its rehearsal: %s", text)
	}
	if left := rows(t, url, "SELECT name FROM catalog_product WHERE summary IS DISTINCT FROM left(description, 8)"); len(left) > 0 || !column(t, url, "description") {
		t.Errorf("not filled are %q; the column is there: %t", left, column(t, url, "description"))
	}

	// What comes after the contract in the app has to wait for it; another
	// app's has not: that is the third release.
	p.djangoMigration("catalog", "0005_colour", "0004_no_description", `migrations.AddField("product", "colour", models.TextField(null=True))`)
	held := p.do("deploy", "production")
	held.expect(t, 3, ship.Refused, ship.SchemaUnchanged, 3)
	held.says(t, "catalog.0005_colour", "builds on catalog.0004_no_description")
	if held.Next != "shiplock migrate contract production" {
		t.Errorf("next: %s", held.Next)
	}
	p.withoutDescription()
	p.change("shiplock.yaml", "keep_old: 10m", "keep_old: 1s")
	p.change("shiplock.yaml", "gates: [proof], ", "")
	p.djangoMigration("orders", "0003_remark", "0002_worker", `migrations.AddField("order", "remark", models.TextField(null=True))`)
	p.do("deploy", "production", "--wait=watched").expect(t, 0, "", ship.SchemaChanged, 5)

	// The contract, when its conditions are met or somebody answers for it.
	p.alone()
	out, code := p.tell("migrate", "contract", "production", "--yes")
	if code != 3 || !strings.Contains(out, "window is not met") || !strings.Contains(out, "pg_stat_statements is not in the database") {
		t.Errorf("exit code %d: %s", code, out)
	}
	p.do("migrate", "contract", "production", "--yes", "--override", "--reason", "nobody described anything").expect(t, 0, "", ship.SchemaChanged, 5)
	back := p.do("rollback", "production", "v1", "--yes")
	back.refused(t)
	if !strings.Contains(back.text, "catalog.0004_no_description") || column(t, url, "description") {
		t.Errorf("it says: %s", back.text)
	}

	// Undrop, and the first release serves again.
	if kept := p.trash("catalog_product.description", "--yes"); len(kept) != 1 || kept[0].Status != "back" || len(kept[0].Notes) > 0 {
		t.Errorf("undrop says %+v", kept)
	}
	if after := rows(t, url, texts); !slices.Equal(before, after) {
		t.Errorf("the values are %v, were %v", after, before)
	}
	p.drift(5, "extra column public.catalog_product.description", "brought back after catalog.0004_no_description")
	p.do("rollback", "production", "v1", "--yes").expect(t, 0, "", ship.SchemaUnchanged, 1)
	p.answers("/products/", "1")
}
