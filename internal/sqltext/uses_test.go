package sqltext_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shiplock/shiplock/internal/sqltext"
)

func TestStatementsThatUseAColumn(t *testing.T) {
	price := sqltext.Taken{Kind: "column", Table: "products", Column: "price"}
	for sql, want := range map[string]bool{
		"SELECT price FROM products WHERE id = $1":                                                                         true,
		`SELECT "catalog_product"."price" FROM "catalog_product"`:                                                          false, // another table
		`SELECT "products"."price" FROM "products"`:                                                                        true,
		"SELECT id, name FROM products":                                                                                    false,
		"SELECT * FROM products":                                                                                           true,
		"SELECT p.* FROM orders o JOIN products p ON p.id = o.product":                                                     true,
		"SELECT o.* FROM orders o JOIN products p ON p.id = o.product":                                                     false,
		"SELECT o.price FROM orders o JOIN products p ON p.id = o.product":                                                 false,
		"SELECT p.name FROM orders AS o, products AS p WHERE p.price > o.price":                                            true,
		"SELECT count(*) FROM products":                                                                                    false,
		"SELECT 2 * id FROM products":                                                                                      false,
		"SELECT id * 2 FROM products":                                                                                      false,
		"SELECT * FROM orders WHERE product IN (SELECT id FROM products)":                                                  false,
		"SELECT id FROM orders WHERE product IN (SELECT p.id FROM products p WHERE price > $1)":                            true,
		"SELECT x.id FROM (SELECT * FROM products) x":                                                                      true,
		"SELECT x.price FROM (SELECT o.price FROM orders o) x JOIN products p ON p.id = x.product":                         false,
		"WITH x AS (SELECT * FROM products) SELECT count(*) FROM x":                                                        true,
		"INSERT INTO products VALUES ($1, $2, $3)":                                                                         true,
		"INSERT INTO products (name) VALUES ($1)":                                                                          false,
		"INSERT INTO products (name) VALUES ($1) RETURNING *":                                                              true,
		"INSERT INTO products (name, price) VALUES ($1, $2)":                                                               true,
		"INSERT INTO products DEFAULT VALUES":                                                                              false,
		"INSERT INTO orders SELECT id, $1 FROM products":                                                                   false,
		"UPDATE products SET name = $1 WHERE id = $2":                                                                      false,
		"UPDATE products SET price = price * 2":                                                                            true,
		"UPDATE public.products AS p SET name = $1 WHERE p.price IS NULL":                                                  true,
		"DELETE FROM products WHERE id = $1":                                                                               false,
		"DELETE FROM orders o USING products p WHERE p.id = o.product AND p.price = $1":                                    true,
		"SELECT row_to_json(p) FROM products p":                                                                            true,
		"SELECT products FROM products":                                                                                    true,
		"SELECT p.id FROM products p ORDER BY p.id":                                                                        false,
		"SELECT total AS price FROM orders":                                                                                false,
		"SELECT id AS price FROM products":                                                                                 false,
		"SELECT name FROM products WHERE name IS DISTINCT FROM price":                                                      true,
		"COPY products TO STDOUT":                                                                                          true,
		"COPY products (name) FROM STDIN":                                                                                  false,
		"MERGE INTO products p USING fresh f ON p.id = f.id WHEN MATCHED THEN UPDATE SET name = f.name":                    false,
		"MERGE INTO products p USING fresh f ON p.id = f.id WHEN MATCHED THEN UPDATE SET price = f.price":                  true,
		"DECLARE c CURSOR FOR SELECT price FROM products":                                                                  true,
		"SELECT * FROM (orders o JOIN products p ON p.id = o.product)":                                                     true,
		"SELECT * FROM ((products p) JOIN orders o ON p.id = o.product)":                                                   true,
		"SELECT * FROM orders o, (products p CROSS JOIN tags)":                                                             true,
		"SELECT o.id FROM (orders o JOIN products p ON p.id = o.product)":                                                  false,
		"SELECT id FROM products p WHERE p.* IS NOT NULL":                                                                  true,
		"SELECT id FROM orders NATURAL JOIN products":                                                                      true,
		"INSERT INTO products OVERRIDING SYSTEM VALUE VALUES ($1, $2)":                                                     true,
		"MERGE INTO products p USING fresh f ON p.id = f.id WHEN NOT MATCHED THEN INSERT VALUES (f.a)":                     true,
		"SELECT 'price' FROM products":                                                                                     false,
		"SELECT \"Price\" FROM products":                                                                                   true, // in doubt
		"SELECT price FROM orders":                                                                                         false,
		"INSERT INTO products (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET price = excluded.price":                  true,
		"SELECT p.name, (SELECT max(o.price) FROM orders o WHERE o.product = p.id) FROM products p":                        false,
		"SELECT name FROM products WHERE price = 'it is not closed":                                                        true, // unreadable
		"SELECT a.name FROM products a, products b WHERE a.id = b.id GROUP BY a.name, b.price HAVING count(*) > 1 LIMIT 1": true,
	} {
		if got := sqltext.Uses(sql, sqltext.Postgres, price); got != want {
			t.Errorf("%s: %t, want %t", sql, got, want)
		}
	}
}

func TestStatementsThatUseATable(t *testing.T) {
	orders := sqltext.Taken{Kind: "table", Table: "public.orders"}
	for sql, want := range map[string]bool{
		"SELECT count(*) FROM orders":            true,
		"SELECT 1 FROM products":                 false,
		"TRUNCATE orders":                        true,
		"SELECT name FROM products -- orders":    false,
		"INSERT INTO \"orders\" (id) VALUES (1)": true,
	} {
		if got := sqltext.Uses(sql, sqltext.Postgres, orders); got != want {
			t.Errorf("%s: %t, want %t", sql, got, want)
		}
	}
	if sqltext.Uses("INSERT INTO orders DEFAULT VALUES", sqltext.Postgres, sqltext.Taken{Kind: "default", Table: "orders", Column: "at"}) {
		t.Error("a default is not used by naming it")
	}
}

func TestWhatStatementsTakeAway(t *testing.T) {
	for text, want := range map[string]string{
		"ALTER TABLE products DROP COLUMN price, DROP COLUMN tax;":                                                       "column products.price, column products.tax alone",
		"ALTER TABLE products ADD COLUMN a int, DROP COLUMN price;":                                                      "column products.price and else",
		"SET lock_timeout = '1s'; DROP TABLE a, b; DROP VIEW c;":                                                         "table a, table b, view c alone",
		"ALTER TABLE products RENAME COLUMN price TO cents;":                                                             "the name of column products.price",
		"ALTER TABLE p ALTER COLUMN a SET NOT NULL, ALTER COLUMN b DROP DEFAULT":                                         "NULL in column p.a, default p.b alone",
		"CREATE TABLE new__p (a int); INSERT INTO new__p SELECT a FROM p; DROP TABLE p; ALTER TABLE new__p RENAME TO p;": "the name of table new__p and else",
		"CREATE TABLE stock (id int);":                                                                                   " and else",
		"DROP INDEX by_name":                                                                                             " and else",
		"":                                                                                                               "",
	} {
		s, err := sqltext.Takes(text, sqltext.Postgres)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for i, x := range s.Taken {
			if i > 0 {
				got += ", "
			}
			got += x.String()
		}
		if s.Alone() {
			got += " alone"
		}
		if len(s.Else) > 0 {
			got += " and else"
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func FuzzUses(f *testing.F) {
	for _, s := range []string{"SELECT p.* FROM products AS p, (SELECT 1) x", "INSERT INTO products AS", "COPY products (", ") * FROM products", "products.", ". products", "* products AS"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		for _, d := range []sqltext.Dialect{sqltext.Postgres, sqltext.SQLite} {
			whole := sqltext.Uses(sql, d, sqltext.Taken{Kind: "table", Table: "products"})
			if sqltext.Uses(sql, d, sqltext.Taken{Kind: "column", Table: "products", Column: "price"}) && !whole {
				t.Errorf("%q uses a column of a table that it does not use", sql)
			}
			_, _ = sqltext.Takes(sql, d)
			_ = sqltext.Touch(sql, "DROP TABLE products", d)
		}
	})
}
