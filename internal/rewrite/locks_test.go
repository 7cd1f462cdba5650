package rewrite_test

import (
	"reflect"
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
