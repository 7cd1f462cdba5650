package e2e

import (
	"database/sql"
	"encoding/json"
	"os"
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
func (p *project) trash(args ...string) []trashed {
	p.w.t.Helper()
	out := p.ok(append([]string{"migrate", "undrop", "production", "-o", "json"}, args...)...)
	var all []trashed
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&all); err != nil {
		p.w.t.Fatalf("%v: %s", err, out)
	}
	return all
}

// cli runs a command in the project.
func (p *project) cli(args ...string) (string, int) {
	p.w.t.Helper()
	return p.w.run(append(args, "--data", p.w.data, "-f", filepath.Join(p.dir, "shiplock.yaml"))...)
}

// drift asks how the database differs from its migrations.
func (p *project) drift(want int, says ...string) {
	p.w.t.Helper()
	out, code := p.cli("schema", "diff", "production")
	if code != want {
		p.w.t.Errorf("schema diff ended with %d, want %d: %s", code, want, out)
	}
	for _, words := range says {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), words) {
			p.w.t.Errorf("schema diff does not say %q: %s", words, out)
		}
	}
}

// ok runs a command in the project that has to do what it is asked.
func (p *project) ok(args ...string) string {
	p.w.t.Helper()
	out, code := p.cli(args...)
	if code != 0 {
		p.w.t.Fatalf("shiplock %s ended with %d: %s", strings.Join(args, " "), code, out)
	}
	return out
}

func TestGoADroppedColumnIsBroughtBackAndTheOldReleaseServesAgain(t *testing.T) {
	t.Parallel()
	s := newGoShop(t, newWorld(t), "1s")
	s.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	before := s.prices()
	columns := s.columns("products")
	s.drift(0)
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
	s.drift(0)
	back := s.trash("products.price", "--yes")
	if len(back) != 1 || back[0].Status != "back" || back[0].Returned != 3 || len(back[0].Notes) > 0 {
		t.Errorf("undrop says %+v", back)
	}
	if after := s.prices(); !slices.Equal(before, after) || !slices.Equal(columns, s.columns("products")) {
		t.Errorf("prices are %v in %v, were %v in %v", after, s.columns("products"), before, columns)
	}
	s.answers("/products", "2")
	s.drift(5, "changed table products", "extra column products.price", "brought back after 00003_drop_price")

	s.do("rollback", "production", "--yes").expect(t, 0, "", ship.SchemaUnchanged, 1)
	s.answers("/products", "1")
	if status := s.ok("migrate", "status", "production"); !strings.Contains(status, "00003_drop_price") || !strings.Contains(status, "expand") {
		t.Errorf("the migration that was undone is shown as\n%s", status)
	}
	s.drift(0)
	if _, code := s.cli("migrate", "undrop", "production", "products.price", "--yes"); code == 0 {
		t.Error("what is back is brought back again")
	}
}

func TestGoAReleaseMayServeAgainWhenAllThatAMigrationDroppedIsBroughtBack(t *testing.T) {
	t.Parallel()
	s := newGoShop(t, newWorld(t), "1s")
	s.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	s.next("destructive")
	s.version("2", "prices=none")
	s.write("migrations/00003_drop_price.sql", "-- +goose Up\nDROP TABLE orders;\nALTER TABLE products DROP COLUMN price;\n", 0o644)
	s.do("deploy", "production", "--accept", "maintenance").expect(t, 0, "", ship.SchemaChanged, 2)
	for _, what := range []string{"orders", "products.price"} {
		if out, code := s.cli("rollback", "production", "--yes"); code != 3 {
			t.Errorf("without %s going back ended with %d: %s", what, code, out)
		}
		if back := s.trash(what, "--yes"); len(back) != 1 || back[0].Name != what {
			t.Errorf("undrop %s says %+v", what, back)
		}
	}
	s.do("rollback", "production", "--yes").expect(t, 0, "", ship.SchemaUnchanged, 1)
	s.drift(0)
}

func TestGoWhatWasKeptLongEnoughIsDeletedByTheNextDeployment(t *testing.T) {
	t.Parallel()
	s := newGoShop(t, newWorld(t), "1s")
	s.write("shiplock.yaml", strings.Replace(s.text("shiplock.yaml"), "tool: sqlfiles", "tool: sqlfiles, trash: {keep: 1s}", 1), 0o644)
	s.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	s.next("destructive")
	s.version("2", "prices=none")
	s.do("deploy", "production", "--accept", "maintenance").expect(t, 0, "", ship.SchemaChanged, 2)
	s.version("3", "prices=none")
	s.do("deploy", "production").expect(t, 0, "", ship.SchemaUnchanged, 3)
	if all := s.trash(); len(all) != 1 || all[0].Status != "purged" {
		t.Errorf("the trash holds %+v", all)
	}
	if left := s.rows(`SELECT name FROM sqlite_schema WHERE name LIKE '\_shiplock\_trash\_%' ESCAPE '\'`); len(left) > 0 {
		t.Errorf("%v is left of it", left)
	}
}

func TestGoDriftOfTheSchemaIsNamed(t *testing.T) {
	t.Parallel()
	s := newGoShop(t, newWorld(t), "1s")
	s.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	db, err := sql.Open("sqlite", "file:"+s.database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE INDEX by_hand ON products (name); ALTER TABLE orders DROP COLUMN attempts; CREATE TABLE notes (id INTEGER)"); err != nil {
		t.Fatal(err)
	}
	s.drift(5, "extra index by_hand is: CREATE INDEX by_hand ON products ( name )", "missing column orders.attempts should be: INTEGER not null default 1", "extra table notes")
	if left, err := filepath.Glob(s.database + ".rehearsal-*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// text is that of a file of the folder.
func (p *project) text(name string) string {
	p.w.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.w.t.Fatal(err)
	}
	return string(text)
}
