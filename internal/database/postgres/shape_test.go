package postgres_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/database/postgres"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

const shaped = `
	CREATE TABLE product (id bigserial PRIMARY KEY, code text NOT NULL UNIQUE, price integer NOT NULL, twice integer GENERATED ALWAYS AS (price * 2) STORED,
		note text, tax integer NOT NULL DEFAULT 0, n integer NOT NULL GENERATED ALWAYS AS IDENTITY);
	CREATE INDEX by_price ON product (price);
	CREATE TABLE sale (id bigserial PRIMARY KEY, product text REFERENCES product (code), price integer);
	CREATE VIEW dear AS SELECT id FROM product WHERE price > 100;
	CREATE MATERIALIZED VIEW notes AS SELECT note FROM product;
	CREATE FUNCTION total() RETURNS bigint LANGUAGE sql AS 'SELECT sum(price) FROM product';
	CREATE FUNCTION kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE product SET note = 'sold' WHERE code = NEW.product; RETURN NEW; END $$;
	CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.tax := NEW.tax + 1; RETURN NEW; END $$;
	CREATE TRIGGER stamp BEFORE INSERT ON product FOR EACH ROW EXECUTE FUNCTION stamp();
	CREATE TRIGGER kept AFTER INSERT ON sale FOR EACH ROW EXECUTE FUNCTION kept();
	CREATE TRIGGER dear AFTER UPDATE OF price ON product FOR EACH ROW WHEN (NEW.price > 1) EXECUTE FUNCTION kept();
	ALTER TABLE product ENABLE ROW LEVEL SECURITY;
	CREATE POLICY cheap ON product USING (tax < 10);
	CREATE TYPE mood AS ENUM ('good', 'bad');
	CREATE DOMAIN short AS text CHECK (length(VALUE) < 9);
	CREATE FUNCTION fee(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1';
	CREATE SEQUENCE counter;
	CREATE TABLE diary (mood mood DEFAULT 'good', moods mood[], said short, fee integer DEFAULT fee(1), n bigint DEFAULT nextval('counter'));
	CREATE FUNCTION made() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'UPDATE diary SET said = NULL'; END $$;
	CREATE SCHEMA other;
	CREATE TABLE other.product (price integer);
	CREATE VIEW other.prices AS SELECT price FROM other.product;`

func TestWhatNeedsAColumnOrATable(t *testing.T) {
	u := testneed.Postgres(t)
	populate(t, u, shaped)
	db, err := postgres.New(database.Config{URL: ship.NewSecret(u)}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	column := func(name string) database.Piece {
		return database.Piece{Kind: "column", Table: "product", Column: name}
	}
	for _, c := range []struct {
		part database.Piece
		want []string
	}{
		{column("price"), []string{"function total()", "generated column product.twice", "trigger dear of product", "view dear"}},
		{column("note"), []string{"function kept()", "materialized view notes"}},
		{column("code"), []string{"foreign key sale_product_fkey of sale", "function kept()"}},
		{column("tax"), []string{"function stamp()", "policy cheap of product"}},
		{column("twice"), nil},
		{column("nothing"), nil},
		{database.Piece{Kind: "table", Table: "product"}, []string{"foreign key sale_product_fkey of sale", "function kept()", "function total()", "materialized view notes", "view dear"}},
		{database.Piece{Kind: "table", Table: "sale"}, nil},
		{database.Piece{Kind: "view", Table: "dear"}, nil},
		{database.Piece{Kind: "column", Table: "diary", Column: "said"}, []string{"function made()"}},
		{database.Piece{Kind: "type", Table: "mood"}, []string{"column diary.mood", "column diary.moods", "default of diary.mood"}},
		{database.Piece{Kind: "domain", Table: "short"}, []string{"column diary.said"}},
		{database.Piece{Kind: "function", Table: "fee"}, []string{"default of diary.fee"}},
		{database.Piece{Kind: "function", Table: "stamp"}, []string{"trigger stamp of product"}},
		{database.Piece{Kind: "sequence", Table: "counter"}, []string{"default of diary.n"}},
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
	all := []database.Piece{column("id"), column("code"), column("price"), column("twice"), column("note"), column("tax"), column("n"), column("nothing")}
	required, err := db.Required(t.Context(), all)
	if want := all[1:3]; err != nil || !slices.Equal(required, want) {
		t.Errorf("required are %v, %v; want %v", required, err, want)
	}
}

func TestCountedStatementsAreThoseOfThisDatabase(t *testing.T) {
	u := testneed.Postgres(t)
	db, err := postgres.New(database.Config{URL: ship.NewSecret(u)}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := db.Statements(t.Context())
	if err != nil || !strings.Contains(s.Missing, "pg_stat_statements is not in the database") || s.Next == "" {
		t.Fatalf("without the extension: %+v, %v", s, err)
	}
	populate(t, u, "CREATE EXTENSION pg_stat_statements; CREATE TABLE product (id bigserial PRIMARY KEY, price integer)")
	if s, err = db.Statements(t.Context()); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.Missing, "not loaded") {
		testneed.Missing(t, "pg_stat_statements", "apt-get install postgresql-contrib")
	}
	calls := func() (n int64) {
		s, err := db.Statements(t.Context())
		if err != nil || s.Missing != "" || s.At.IsZero() || s.Reset.IsZero() {
			t.Fatalf("%+v, %v", s, err)
		}
		for _, x := range s.All {
			if strings.HasPrefix(x.SQL, "SELECT price FROM product WHERE id = ") {
				n += x.Calls
			}
		}
		return n
	}
	if n := calls(); n != 0 {
		t.Errorf("%d calls of what nobody sent", n)
	}
	for range 3 {
		populate(t, u, "SELECT price FROM product WHERE id = 7")
	}
	if n := calls(); n != 3 {
		t.Errorf("%d calls, want 3", n)
	}
	// What is not counted does not look like what nobody does.
	populate(t, u, "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'quiet') THEN CREATE ROLE quiet; END IF; END $$; DO $$ BEGIN EXECUTE format('ALTER ROLE quiet IN DATABASE %I SET pg_stat_statements.track = none', current_database()); END $$")
	if s, err := db.Statements(t.Context()); err != nil || !strings.Contains(s.Missing, "counts nothing of role quiet") {
		t.Errorf("of a role that is not counted: %+v, %v", s.Missing, err)
	}
	// A role that may not see what others send does not take that for silence.
	populate(t, u, "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'blind') THEN CREATE ROLE blind LOGIN; END IF; END $$")
	blind, err := postgres.New(database.Config{URL: ship.NewSecret(strings.Replace(u, "//postgres@", "//blind@", 1))}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	populate(t, u, "DO $$ BEGIN EXECUTE format('ALTER ROLE quiet IN DATABASE %I RESET ALL', current_database()); END $$")
	if s, err := blind.Statements(t.Context()); err != nil || !strings.Contains(s.Missing, "hidden from ours") {
		t.Errorf("to a role without rights: %+v, %v", s.Missing, err)
	}
}
