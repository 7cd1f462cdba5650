package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/ship"
)

// alembicRevision writes a revision of the Flask example.
func (s *flaskShop) alembicRevision(id, down, comment, up, back string) {
	s.w.t.Helper()
	s.write("migrations/versions/"+id+".py", fmt.Sprintf("%simport sqlalchemy as sa\nfrom alembic import op\n\nrevision = %q\ndown_revision = %q\n\n\ndef upgrade():\n    %s\n\n\ndef downgrade():\n    %s\n",
		comment, id, down, up, back), 0o644)
}

// In Alembic what comes after a contract builds on it: it waits, too.
func TestFlaskShopFromLintToUndrop(t *testing.T) {
	t.Parallel()
	s := newFlaskShop(t)
	s.alembicRevision("0003", "0002", "", `op.add_column("product", sa.Column("subtitle", sa.String(200)))`, `op.drop_column("product", "subtitle")`)
	s.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	rows(t, s.database, "UPDATE product SET subtitle = 'subtitle ' || id RETURNING subtitle")

	// What it would do is known before it is done, though its author says that
	// nobody would mind.
	const gone = `op.drop_column("product", "subtitle")`
	s.alembicRevision("0004", "0003", "# shiplock: phase=expand reason=\"nobody shows subtitles any more\"\n", gone, `op.add_column("product", sa.Column("subtitle", sa.String(200)))`)
	if found := s.linted(5)["migrations/versions/0004.py"]; !slices.Contains(found, "PG116 G") {
		t.Errorf("lint finds %v", found)
	}
	v := s.rehearsed(5, "--downgrade", "off")
	if m := v.Rehearsal.Migrations[0]; len(m.Broken) == 0 || m.Broken[0].Code != "42703" {
		t.Errorf("rehearse says %s: %+v", v.Reason, m)
	}

	// The second release: a new column, filled beside the traffic, and the old
	// one as a contract. The gate rehearses what is carried out now.
	s.alembicRevision("0004", "0003", "", `op.add_column("product", sa.Column("tagline", sa.String(200)))`, `op.drop_column("product", "tagline")`)
	s.alembicRevision("0005", "0004", "# shiplock: phase=contract reason=\"nobody shows subtitles any more\"\n", gone, `op.add_column("product", sa.Column("subtitle", sa.String(200)))`)
	s.write("backfills/1_tagline.sql", "-- shiplock: backfill table=product key=id\nUPDATE product SET tagline = subtitle WHERE tagline IS NULL AND :page;\n", 0o644)
	s.change("shiplock.yaml", "production: {", "production: {gates: [proof], ")
	s.change("shiplock.yaml", "keep_old: 10m", "keep_old: 2s")
	s.write("shiplock.yaml", s.text("shiplock.yaml")+"gates: {proof: {rehearsal: {downgrade: exact, allow_broken: [prepared select *]}}}\n", 0o644)
	if found := s.linted(5); slices.Contains(found["migrations/versions/0004.py"], "PG116 G") || !slices.Contains(found["migrations/versions/0005.py"], "PG116 G") {
		t.Errorf("lint finds %v", found)
	}
	second := s.do("deploy", "production", "--wait=watched")
	second.expect(t, 0, "", ship.SchemaChanged, 3) // v2 was only looked at
	if text := s.read("explain", second.Run); !strings.Contains(text, "1 migration went up on a copy") || !strings.Contains(text, "way down: exact") {
		t.Errorf("the run does not show its rehearsal: %s", text)
	}
	s.subtitle(true)
	if left := rows(t, s.database, "SELECT id::text FROM product WHERE tagline IS DISTINCT FROM subtitle"); len(left) > 0 {
		t.Errorf("not filled are %v", left)
	}

	s.alembicRevision("0006", "0005", "", `op.add_column("product", sa.Column("colour", sa.String(20)))`, `op.drop_column("product", "colour")`)
	held := s.do("deploy", "production")
	held.expect(t, 3, ship.Refused, ship.SchemaUnchanged, 3)
	held.says(t, "v4 needs 0006, which builds on 0005")

	s.alone()
	s.change("shiplock.yaml", "migrations: {tool: alembic,", "migrations: {tool: alembic, contract_after: 0s,")
	if out, code := s.tell("migrate", "contract", "production", "--explain"); code != 0 || !strings.Contains(out, "✓ released") || !strings.Contains(out, "? unused") {
		t.Errorf("exit code %d: %s", code, out)
	}
	s.do("migrate", "contract", "production", "--yes", "--override", "--reason", "no statements are counted here").expect(t, 0, "", ship.SchemaChanged, 3)
	s.subtitle(false)
	if got := s.revision(); got != "0005" {
		t.Errorf("Alembic is at %s", got)
	}

	// The third release may come now, and undrop brings back what the first needs.
	s.do("deploy", "production", "--release", "v4").expect(t, 0, "", ship.SchemaChanged, 4)
	back := s.do("rollback", "production", "v1", "--yes")
	back.refused(t)
	if !strings.Contains(back.text, "0005") {
		t.Errorf("it says: %s", back.text)
	}
	if kept := s.trash("0005", "--yes"); len(kept) != 1 || kept[0].Status != "back" || len(kept[0].Notes) > 0 {
		t.Errorf("undrop says %+v", kept)
	}
	if left := rows(t, s.database, "SELECT id::text FROM product WHERE subtitle IS DISTINCT FROM 'subtitle ' || id"); len(left) > 0 {
		t.Errorf("products %v have lost their subtitles", left)
	}
	s.do("rollback", "production", "v1", "--yes").expect(t, 0, "", ship.SchemaUnchanged, 1)
}
