package e2e

import (
	"fmt"
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
func TestFlaskDropsAColumnInItsTime(t *testing.T) {
	t.Parallel()
	s := newFlaskShop(t)
	s.alembicRevision("0003", "0002", "", `op.add_column("product", sa.Column("subtitle", sa.String(200)))`, `op.drop_column("product", "subtitle")`)
	s.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)

	s.alembicRevision("0004", "0003", "# shiplock: phase=contract reason=\"nobody shows subtitles any more\"\n", `op.drop_column("product", "subtitle")`, `op.add_column("product", sa.Column("subtitle", sa.String(200)))`)
	s.change("shiplock.yaml", "keep_old: 10m", "keep_old: 2s")
	s.do("deploy", "production", "--wait=watched").expect(t, 0, "", ship.SchemaUnchanged, 2)
	s.subtitle(true)

	s.alembicRevision("0005", "0004", "", `op.add_column("product", sa.Column("colour", sa.String(20)))`, `op.drop_column("product", "colour")`)
	held := s.do("deploy", "production")
	held.expect(t, 3, ship.Refused, ship.SchemaUnchanged, 2)
	held.says(t, "v3 needs 0005, which builds on 0004")

	s.alone()
	s.change("shiplock.yaml", "migrations: {tool: alembic,", "migrations: {tool: alembic, contract_after: 0s,")
	if out, code := s.tell("migrate", "contract", "production", "--explain"); code != 0 || !strings.Contains(out, "✓ released") || !strings.Contains(out, "? unused") {
		t.Errorf("exit code %d: %s", code, out)
	}
	s.do("migrate", "contract", "production", "--yes", "--override", "--reason", "no statements are counted here").expect(t, 0, "", ship.SchemaChanged, 2)
	s.subtitle(false)
	if got := s.revision(); got != "0004" {
		t.Errorf("Alembic is at %s", got)
	}
	s.do("deploy", "production", "--release", "v3").expect(t, 0, "", ship.SchemaChanged, 3)
	back := s.do("rollback", "production", "v1", "--yes")
	back.refused(t)
	if !strings.Contains(back.text, "0004") {
		t.Errorf("it says: %s", back.text)
	}
}
