package databasetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

func (s Suite) changes(t *testing.T) {
	for _, c := range s.Changes {
		t.Run(c.Name, func(t *testing.T) {
			place := s.Create(t)
			db, app := s.open(t, place), s.app(t, place)
			s.exec(t, app, c.Before...)
			before := catalog(t, db)
			if diff := database.Diff(before, catalog(t, db)); len(diff) != 0 {
				t.Fatalf("two catalogs of one schema differ: %+v", diff)
			}
			s.exec(t, app, c.SQL)
			diff := database.Diff(before, catalog(t, db))
			var kinds []string
			for _, d := range diff {
				kinds = append(kinds, d.Kind)
			}
			slices.Sort(kinds)
			if kinds = slices.Compact(kinds); !slices.Equal(kinds, c.Kinds) {
				t.Errorf("%s changes the kinds %q, want %q: %+v", c.SQL, kinds, c.Kinds, diff)
			}
		})
	}
}

// fill makes a small shop.
func (s Suite) fill(t testing.TB, p Place) {
	t.Helper()
	s.exec(t, s.app(t, p),
		"CREATE TABLE product (id integer PRIMARY KEY, name text NOT NULL, price numeric DEFAULT 3)",
		"CREATE UNIQUE INDEX product_name ON product (name)",
		"CREATE TABLE sale (id integer PRIMARY KEY, product integer REFERENCES product (id))",
		"CREATE VIEW cheap AS SELECT name FROM product WHERE price < 10",
		"INSERT INTO product (id, name) VALUES (1, 'lock'), (2, 'gate')",
		"INSERT INTO sale VALUES (1, 2)")
}

func (s Suite) backup(t *testing.T) {
	place := s.Create(t)
	s.fill(t, place)
	db := s.open(t, place)
	l := lock(t, db, 1, "ann")
	do(t, l, ship.Work{Record: []ship.Record{{Migration: "kept", Status: ship.RecordDone}}})
	before := catalog(t, db)
	var file bytes.Buffer
	var last int64
	info, err := db.Backup(within(t), &file, func(n int64) { last = n })
	if err != nil {
		t.Fatalf("Backup: %v", err)
	}
	sum := sha256.Sum256(file.Bytes())
	if info.Size != int64(file.Len()) || info.SHA256 != hex.EncodeToString(sum[:]) || last != info.Size || info.Items < 2 || info.At.IsZero() {
		t.Errorf("Backup measured %+v with progress %d of %d bytes", info, last, file.Len())
	}
	if bytes.Contains(file.Bytes(), []byte("product")) {
		t.Error("the copy can be read without the key")
	}
	verified, err := db.Verify(within(t), bytes.NewReader(file.Bytes()))
	if err != nil || verified.Size != info.Size || verified.SHA256 != info.SHA256 || verified.Items != info.Items {
		t.Errorf("Verify found %+v, %v; Backup said %+v", verified, err, info)
	}

	do(t, l, ship.Work{
		Statements: []string{"DROP TABLE sale", "INSERT INTO product (id, name) VALUES (3, 'late')"}, Atomic: true,
		Record: []ship.Record{{Migration: "bad", Status: ship.RecordDone}},
	})
	if err := l.Release(within(t)); err != nil {
		t.Fatal(err)
	}
	s.restored(t, db, file.Bytes(), before)
}

// restored restores a copy and compares, twice: the second call finds it done.
func (s Suite) restored(t *testing.T, db database.Database, file []byte, before *database.Catalog) {
	t.Helper()
	var kept [2]string
	for i := range kept {
		var err error
		if kept[i], err = db.Restore(within(t), fence(2), bytes.NewReader(file)); err != nil {
			t.Fatalf("Restore: %v", err)
		}
	}
	if kept[0] == "" || kept[0] != kept[1] {
		t.Errorf("the former database is kept as %q, then %q", kept[0], kept[1])
	}
	if diff := database.Diff(before, catalog(t, db)); len(diff) != 0 {
		t.Errorf("the restored schema differs: %+v", diff)
	}
	want := [][]string{{"1", "lock", "3"}, {"2", "gate", "3"}}
	if diff := cmp.Diff(want, rows(t, db, "SELECT id, name, price FROM product ORDER BY id")); diff != "" {
		t.Errorf("the restored rows differ (-want +got):\n%s", diff)
	}
	if got := ledger(t, db); len(got) != 1 || got[0].Migration != "kept" {
		t.Errorf("the restored ledger has %+v, want that of the copy", got)
	}
	_, err := db.Lock(within(t), fence(1), "ann")
	wantKind(t, err, ship.Fenced)
	lock(t, db, 2, "bob")
}

func (s Suite) wrongKey(t *testing.T) {
	place := s.Create(t)
	s.fill(t, place)
	db := s.open(t, place)
	var file bytes.Buffer
	if _, err := db.Backup(within(t), &file, nil); err != nil {
		t.Fatalf("Backup: %v", err)
	}
	flipped := bytes.Clone(file.Bytes())
	flipped[len(flipped)-20] ^= 1
	other := s.openWith(t, place, bytes.Repeat([]byte{8}, 32))
	for name, try := range map[string]struct {
		db   database.Database
		file []byte
	}{
		"another key": {other, file.Bytes()},
		"a cut copy":  {db, file.Bytes()[:file.Len()-10]},
		"a bit":       {db, flipped},
		"nothing":     {db, nil},
	} {
		if info, err := try.db.Verify(within(t), bytes.NewReader(try.file)); err == nil {
			t.Errorf("%s: Verify found %+v, want an error", name, info)
		}
		if kept, err := try.db.Restore(within(t), fence(1), bytes.NewReader(try.file)); err == nil {
			t.Errorf("%s: Restore kept %q, want an error", name, kept)
		}
	}
	if got := rows(t, db, "SELECT name FROM product ORDER BY id"); len(got) != 2 {
		t.Errorf("a copy that cannot be read changed the database: %q", got)
	}
	lock(t, db, 1, "ann")
}

func (s Suite) written(t *testing.T) {
	place := s.Create(t)
	s.fill(t, place)
	db, app := s.open(t, place), s.app(t, place)
	// What was written just now may still be on its way to the statistics.
	mark := ""
	until(t, "what was written is counted", func() bool {
		now, n := s.since(t, db, mark)
		settled := mark != "" && n == 0
		mark = now
		return settled
	})
	s.exec(t, app, "INSERT INTO product (id, name) VALUES (3, 'late'), (4, 'later')")
	until(t, "two rows are seen", func() bool { _, n := s.since(t, db, mark); return n == 2 })
	mark, _ = s.since(t, db, mark)
	s.exec(t, app, "UPDATE product SET name = 'latest' WHERE id = 4")
	until(t, "an update is seen", func() bool { _, n := s.since(t, db, mark); return n == 1 })
}

func (s Suite) since(t *testing.T, db database.Database, from string) (string, int64) {
	t.Helper()
	mark, in, err := db.Written(within(t), from)
	if err != nil {
		t.Fatalf("Written: %v", err)
	}
	n := int64(0)
	for _, w := range in {
		if w.Table != "product" {
			t.Errorf("%d rows were written in %q, want in product only", w.Rows, w.Table)
		}
		n += w.Rows
	}
	return mark, n
}
