package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"slices"
	"testing"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/database/sqlite"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestWhatNeedsAColumnOrATable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	app, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	if _, err := app.Exec(`
		CREATE TABLE product (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, price INTEGER NOT NULL, note TEXT, tax INTEGER NOT NULL DEFAULT 0);
		CREATE TABLE sale (id INTEGER PRIMARY KEY, product INTEGER REFERENCES product (id), price INTEGER);
		CREATE VIEW dear AS SELECT id FROM product WHERE price > 100;
		CREATE VIEW everything AS SELECT * FROM product;
		CREATE VIEW sold AS SELECT price FROM sale;
		CREATE INDEX by_price ON product (price);
		CREATE INDEX by_note ON product (note);
		CREATE TRIGGER kept AFTER INSERT ON product BEGIN UPDATE sale SET price = new.price WHERE product = new.id; END;`); err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.New(database.Config{URL: ship.NewSecret("sqlite:///" + path)}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		part database.Piece
		want []string
	}{
		{database.Piece{Kind: "column", Table: "product", Column: "price"}, []string{"index by_price", "trigger kept", "view dear", "view everything"}},
		{database.Piece{Kind: "column", Table: "product", Column: "tax"}, []string{"view everything"}},
		{database.Piece{Kind: "table", Table: "sale"}, []string{"trigger kept", "view sold"}},
		{database.Piece{Kind: "table", Table: "product"}, []string{"foreign key of sale", "view dear", "view everything"}},
		{database.Piece{Kind: "view", Table: "dear"}, nil},
	} {
		all, err := db.Dependents(t.Context(), []database.Piece{c.part})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range all {
			got = append(got, d.Kind+" "+d.Name)
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s is needed by %q, want %q", c.part, got, c.want)
		}
	}
	var columns []database.Piece
	for _, name := range []string{"id", "code", "price", "note", "tax", "nothing"} {
		columns = append(columns, database.Piece{Kind: "column", Table: "product", Column: name})
	}
	required, err := db.Required(t.Context(), columns)
	if want := []database.Piece{columns[1], columns[2]}; err != nil || !slices.Equal(required, want) {
		t.Errorf("required are %v, %v; want %v", required, err, want)
	}
}
