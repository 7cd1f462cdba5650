package rewrite_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/migrate/migratetest"
	"github.com/shiplock/shiplock/internal/rewrite"
	"github.com/shiplock/shiplock/internal/sqltext"
)

const crowded = `CREATE TABLE customers (id bigint PRIMARY KEY);
CREATE TABLE orders (id bigint PRIMARY KEY, total integer, code text, customer_id bigint, CONSTRAINT old CHECK (id > 0));
INSERT INTO customers VALUES (1), (2);
INSERT INTO orders SELECT g, CASE WHEN g > 7 THEN g - 10 END, 'c' || g / 2, CASE WHEN g > 5 THEN g - 4 END FROM generate_series(1, 20) g;
ALTER TABLE orders ADD CONSTRAINT late CHECK (total > 0) NOT VALID;`

func TestRowsThatAreInTheWayAreCountedBeforeTheStatementFails(t *testing.T) {
	for sql, want := range map[string][]string{
		"ALTER TABLE orders ALTER COLUMN total SET NOT NULL":                                          {"7 rows of orders have total NULL, fails true"},
		"ALTER TABLE orders ADD CHECK (total > 0)":                                                    {"3 rows of orders do not satisfy total > 0, fails true"},
		"ALTER TABLE orders ADD CONSTRAINT x CHECK (total > 0) NOT VALID":                             {"3 rows of orders do not satisfy total > 0, fails false"},
		"ALTER TABLE orders VALIDATE CONSTRAINT late":                                                 {"3 rows of orders do not satisfy total > 0, fails true"},
		"ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers":                       {"14 rows of orders have a customer_id that is not in customers, fails true"},
		"ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers (id) NOT VALID":        {"14 rows of orders have a customer_id that is not in customers, fails false"},
		"ALTER TABLE orders ADD UNIQUE (code)":                                                        {"9 values of orders (code) are there more than once, fails true"},
		"CREATE UNIQUE INDEX CONCURRENTLY i ON orders (code) WHERE id > 10":                           {"4 values of orders (code) are there more than once, fails true"},
		"ALTER TABLE orders ADD CONSTRAINT fine CHECK (id < 100), ALTER COLUMN id SET NOT NULL":       {"0 rows of orders do not satisfy id < 100, fails true", "0 rows of orders have id NULL, fails true"},
		"UPDATE orders SET total = 1; ALTER TABLE orders ALTER COLUMN total SET NOT NULL":             nil,
		"DO $$ BEGIN END $$; ALTER TABLE orders ALTER COLUMN total SET NOT NULL":                      nil,
		"ALTER TABLE orders ADD COLUMN n int; ALTER TABLE orders ALTER COLUMN n SET NOT NULL":         nil,
		"ALTER TABLE orders RENAME COLUMN total TO n; ALTER TABLE orders ALTER COLUMN n SET NOT NULL": nil,
		"CREATE TABLE new (id int); ALTER TABLE new ALTER COLUMN id SET NOT NULL":                     nil,
	} {
		t.Run(sql, func(t *testing.T) {
			db := migratetest.Postgres(t)
			db.Exec(statements(t, sqltext.Postgres, crowded)...)
			s := lint.NewSchema()
			if err := lint.Learn(s, sqltext.Postgres, "base", crowded); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range rewrite.NewChecker(rewrite.Context{Dialect: sqltext.Postgres, Schema: s}).Read(sql) {
				rows, err := db.Rows(t.Context(), c.SQL)
				if err != nil {
					t.Fatalf("%s: %v", c.SQL, err)
				}
				got = append(got, fmt.Sprintf("%s %s, fails %v", rows[0][0], c.What, c.Fails))
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			failed := false
			for _, st := range statements(t, sqltext.Postgres, sql) {
				_, err := db.Rows(t.Context(), st)
				failed = failed || err != nil
			}
			fails := slices.ContainsFunc(got, func(g string) bool { return g[0] != '0' && g[len(g)-4:] == "true" })
			if got != nil && failed != fails {
				t.Errorf("it was said to fail: %v, and it failed: %v", fails, failed)
			}
		})
	}
}
