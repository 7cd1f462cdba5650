package e2e

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/ship"
)

// trashed is an entry of the list that undrop prints.
type trashed struct {
	ID       int64
	Name     string
	Status   string
	Rows     int64
	Returned int64
	Notes    []string
}

// trash runs undrop and returns what it prints.
func (s *goShop) trash(args ...string) []trashed {
	s.w.t.Helper()
	out := s.ok(append([]string{"migrate", "undrop", "production", "-o", "json"}, args...)...)
	var all []trashed
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&all); err != nil {
		s.w.t.Fatalf("%v: %s", err, out)
	}
	return all
}

// cli runs a command in the project.
func (s *goShop) cli(args ...string) (string, int) {
	s.w.t.Helper()
	return s.w.run(append(args, "--data", s.w.data, "-f", filepath.Join(s.dir, "shiplock.yaml"))...)
}

// ok runs a command in the project that has to do what it is asked.
func (s *goShop) ok(args ...string) string {
	s.w.t.Helper()
	out, code := s.cli(args...)
	if code != 0 {
		s.w.t.Fatalf("shiplock %s ended with %d: %s", strings.Join(args, " "), code, out)
	}
	return out
}

func TestGoADroppedColumnIsBroughtBackAndTheOldReleaseServesAgain(t *testing.T) {
	t.Parallel()
	s := newGoShop(t, newWorld(t), "1s")
	s.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	before := s.prices()
	columns := s.columns("products")
	if all := s.trash(); len(all) != 0 {
		t.Errorf("the trash holds %+v before anything was dropped", all)
	}

	s.next("destructive")
	s.version("2", "prices=none")
	s.do("deploy", "production", "--accept", "maintenance").expect(t, 0, "", ship.SchemaChanged, 2)
	s.has("products", "price", false)
	if out, code := s.cli("rollback", "production"); code != 3 || !strings.Contains(out, "00003_drop_price") {
		t.Errorf("going back to a release that needs the column ended with %d: %s", code, out)
	}

	kept := s.trash()
	if len(kept) != 1 || kept[0].Name != "products.price" || kept[0].Status != "dropped" || kept[0].Rows != 3 {
		t.Fatalf("the trash holds %+v, want the prices of 3 products", kept)
	}
	back := s.trash("products.price", "--yes")
	if len(back) != 1 || back[0].Status != "back" || back[0].Returned != 3 || len(back[0].Notes) > 0 {
		t.Errorf("undrop says %+v", back)
	}
	if after := s.prices(); !slices.Equal(before, after) || !slices.Equal(columns, s.columns("products")) {
		t.Errorf("prices are %v in %v, were %v in %v", after, s.columns("products"), before, columns)
	}
	s.answers("/products", "2")

	s.do("rollback", "production", "--yes").expect(t, 0, "", ship.SchemaUnchanged, 1)
	s.answers("/products", "1")
	if status := s.ok("migrate", "status", "production"); !strings.Contains(status, "00003_drop_price") || !strings.Contains(status, "expand") {
		t.Errorf("the migration that was undone is shown as\n%s", status)
	}
	if _, code := s.cli("migrate", "undrop", "production", "products.price", "--yes"); code == 0 {
		t.Error("what is back is brought back again")
	}
}
