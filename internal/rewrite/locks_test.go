package rewrite_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/rewrite"
	"github.com/shiplock/shiplock/internal/sqltext"
)

func TestTheTablesThatAMigrationLocksAreRead(t *testing.T) {
	for text, want := range map[string]rewrite.Locks{
		"ALTER TABLE public.orders ADD COLUMN a int REFERENCES customers; UPDATE orders SET a = 1": {Tables: []string{"customers", "orders"}, Known: true},
		"CREATE INDEX CONCURRENTLY i ON orders (a)":                                                {Tables: []string{"orders"}, Snapshots: true, Known: true},
		"DROP TABLE a, shop.b; CREATE TYPE t AS ENUM ('x')":                                        {Tables: []string{"a", "shop.b"}, Known: true},
		"DO $$ BEGIN END $$": {},
		"":                   {},
		"ALTER TABLE 'x":     {},
	} {
		if got := rewrite.ReadLocks(text, sqltext.Postgres); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", text, got, want)
		}
	}
}

func TestAForeignKeyIsSaidToHaveNoIndexOnlyWhereTheTextGivesItNone(t *testing.T) {
	const key = "ALTER TABLE orders ADD CONSTRAINT orders_user FOREIGN KEY (user_id) REFERENCES users (id);"
	for text, want := range map[string]int{
		key: 1,
		key + "CREATE INDEX orders_user_id ON orders (user_id);":          0,
		"CREATE INDEX orders_user_id ON orders (user_id);" + key:          0,
		key + "CREATE INDEX orders_both ON orders (created_at, user_id);": 1,
	} {
		r, err := rewrite.Text(text, rewrite.Request{Context: rewrite.Context{Dialect: sqltext.Postgres}})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, note := range r.Notes {
			if strings.HasPrefix(note, "No index of orders that begins with user_id is known") {
				n++
			}
		}
		if n != want {
			t.Errorf("%s: %d notes, want %d: %q", text, n, want, r.Notes)
		}
	}
}
