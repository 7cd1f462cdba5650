package backfill_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/shiplock/shiplock/internal/backfill"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

const header = "-- shiplock: backfill table=orders key=id\n"

func TestAFileSaysWhatIsDoneForAPageOfRows(t *testing.T) {
	f, err := backfill.Parse("backfills/1.sql", "-- why\n-- shiplock: backfill table=shop.orders key=tenant,id batch=50 target=100ms reason=\"it is new\"\nUPDATE shop.orders o SET total = price -- :page\n\tWHERE total IS NULL AND :page(o);", sqltext.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	if f.Table != "shop.orders" || strings.Join(f.Key, " ") != "tenant id" || f.Batch != 50 || f.Target != 100*time.Millisecond || f.Reason != "it is new" {
		t.Errorf("the header was read as %+v", f)
	}
	sql := f.SQL()
	if want := "total IS NULL AND ((o.tenant, o.id) > ($1, $2) AND (o.tenant, o.id) <= ($3, $4))"; !strings.Contains(sql.Next, want) {
		t.Errorf("a page is %s, want %s in it", sql.Next, want)
	}
	if want := "WHERE (tenant, id) > ($1, $2) AND (tenant, id) <= ($3, $4) ORDER BY tenant, id LIMIT $5) page ORDER BY tenant DESC, id DESC LIMIT 1"; !strings.HasSuffix(sql.Bound, want) {
		t.Errorf("a bound is %s, want %s at its end", sql.Bound, want)
	}
	if strings.Contains(sql.First, ">") || !strings.HasSuffix(sql.First, "((o.tenant, o.id) <= ($1, $2))") {
		t.Errorf("the first page is %s", sql.First)
	}
}

func TestAFileThatCannotBeReadNamesItsLine(t *testing.T) {
	const update = "UPDATE orders SET a = 1 WHERE a IS NULL AND :page;"
	for text, want := range map[string]string{
		"":                                     ":1: it has no header",
		update:                                 ":1: it has no header",
		header:                                 ":1: it has no statement",
		header + header + update:               ":2: there is a header on line 1 already",
		"-- shiplock: phase=expand\n" + update: ":1: the header does not begin with backfill",
		"\n-- shiplock: backfill table=orders\n" + update:                         ":2: the header names no key",
		"-- shiplock: backfill key=id\n" + update:                                 ":1: the header names no table",
		"-- shiplock: backfill table=orders key=id keys=id\n" + update:            `"keys" is unknown`,
		"-- shiplock: backfill table=orders key=id,id\n" + update:                 `key "id,id" is not a list`,
		"-- shiplock: backfill table=orders;drop key=id\n" + update:               `table "orders;drop"`,
		"-- shiplock: backfill table=orders key=id batch=0\n" + update:            `batch "0"`,
		"-- shiplock: backfill table=orders key=id target=1h\n" + update:          `target "1h"`,
		"-- shiplock: backfill table=orders key=id key=id\n" + update:             "key is there twice",
		"-- shiplock: backfill table orders\n" + update:                           `"table orders" is not key=value`,
		header + "UPDATE orders SET a = ':page';":                                 ":2: the UPDATE has no :page",
		header + "UPDATE orders SET a = b::page;":                                 ":2: the UPDATE has no :page",
		header + "DELETE FROM orders WHERE :page;":                                ":2: DELETE cannot be a backfill",
		header + update + "\nSELECT 1;\nSELECT 2;":                                ":4: it has 3 statements",
		header + update + "\nDELETE FROM orders;":                                 ":3: the second statement is to be a SELECT",
		header + update + "\nSELECT count(*) FROM orders WHERE :page":             ":3: the check is about the whole table",
		header + "UPDATE orders SET a = 1 WHERE a IS NULL OR b IS NULL AND :page": ":2: the condition is one OR another",
		header + "UPDATE orders SET a = 'x":                                       "line 2",
	} {
		_, err := backfill.Parse("backfills/1.sql", text, sqltext.Postgres)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "backfills/1.sql:") {
			t.Errorf("%q: %v, want %q", text, err, want)
		} else if ship.KindOf(err) != ship.Invalid {
			t.Errorf("%q: kind %s", text, ship.KindOf(err))
		}
	}
}

func TestAReleaseHasItsBackfillsInTheOrderOfTheirNames(t *testing.T) {
	text := &fstest.MapFile{Data: []byte(header + "UPDATE orders SET a = 1 WHERE :page")}
	files, err := backfill.Read(fstest.MapFS{"backfills/2.sql": text, "backfills/1.sql": text, "backfills/README.md": {}, "backfills/old/0.sql": text}, sqltext.SQLite)
	if err != nil || len(files) != 2 || files[0].Name != "backfills/1.sql" {
		t.Fatalf("read %+v, %v", files, err)
	}
	if files, err := backfill.Read(fstest.MapFS{}, sqltext.SQLite); err != nil || files != nil {
		t.Errorf("a release without the folder has %v, %v", files, err)
	}
}
