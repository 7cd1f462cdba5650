package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/ship"
)

const (
	noteUp   = "-- +goose Up\nALTER TABLE orders ADD COLUMN note TEXT;\n-- +goose Down\nALTER TABLE orders DROP COLUMN note;\n"
	noteGone = "-- +goose Up\nALTER TABLE orders DROP COLUMN note;\n-- +goose Down\nALTER TABLE orders ADD COLUMN note TEXT;\n"
)

// tell runs a verb for what it prints.
func (p *project) tell(args ...string) (string, int) {
	p.w.t.Helper()
	return p.w.run(append(args, "--data", p.w.data, "-f", filepath.Join(p.dir, "shiplock.yaml"))...)
}

// A column comes, nobody needs it any more, and it goes: under load, each part
// in its time.
func TestGoExpandThenContractWhenItsConditionsAreMet(t *testing.T) {
	t.Parallel()
	s := newGoShop(t, newWorld(t), "1s")
	s.write("migrations/00003_note.sql", noteUp, 0o644)
	s.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	tr := s.traffic(30)

	// v2 brings an expand and a contract: the one is carried out, the other waits.
	s.write("migrations/00004_weight.sql", strings.ReplaceAll(noteUp, "note TEXT", "weight INTEGER"), 0o644)
	s.write("migrations/00005_note_gone.sql", noteGone, 0o644)
	s.version("2")
	s.do("deploy", "production", "--wait=watched").expect(t, 0, "", ship.SchemaChanged, 2)
	s.has("orders", "weight", true)
	s.has("orders", "note", true)
	if out, _ := s.tell("status", "production"); !strings.Contains(out, "00005_note_gone is a contract that waits") {
		t.Errorf("status says nothing of it: %s", out)
	}
	if out, code := s.tell("migrate", "contract", "production", "--explain"); code != 0 || !strings.Contains(out, "window") || !strings.Contains(out, "28 days have to pass") {
		t.Errorf("--explain says: %s", out)
	}

	// The gate names what is not met, and changes nothing.
	out, code := s.tell("migrate", "contract", "production", "--yes")
	if code != 3 || !strings.Contains(out, "released is not met") || !strings.Contains(out, "window is not met") {
		t.Errorf("exit code %d: %s", code, out)
	}
	s.has("orders", "note", true)
	s.do("rollback", "production", "v1", "--yes").expect(t, 0, "", ship.SchemaUnchanged, 1)
	s.change("shiplock.yaml", "keep_old: 10m", "keep_old: 1s")
	s.do("deploy", "production", "--wait=watched").expect(t, 0, "", ship.SchemaUnchanged, 3)

	// When nothing runs of what needs it, and the time is over, it is carried out.
	s.alone()
	s.change("shiplock.yaml", "tool: sqlfiles", "tool: sqlfiles, contract_after: 0s")
	s.do("migrate", "contract", "production", "--yes").expect(t, 0, "", ship.SchemaChanged, 3)
	s.has("orders", "note", false)
	if out, _ := s.tell("status", "production"); strings.Contains(out, "that waits") {
		t.Errorf("status still says that it waits: %s", out)
	}

	// What was made before it cannot serve again, and is told so beforehand.
	_, header, _ := s.get("/products")
	back := s.do("rollback", "production", "v1", "--yes")
	back.refused(t)
	for _, word := range []string{"v1 cannot run on this database", "00005_note_gone"} {
		if !strings.Contains(back.text, word) {
			t.Errorf("it does not say %q: %s", word, back.text)
		}
	}
	s.answers("/products", header.Get("X-Shop-Version"))

	// Unless what it needs is brought back.
	if back := s.trash("orders.note", "--yes"); len(back) != 1 || back[0].Returned == 0 {
		t.Errorf("undrop says %+v", back)
	}
	s.has("orders", "note", true)
	s.do("rollback", "production", "v1", "--yes").expect(t, 0, "", ship.SchemaUnchanged, 1)
	snapshot := tr.stop()
	s.taken(snapshot.Posts)
}
