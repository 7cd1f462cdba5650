package rewrite_test

// A life is a rewrite from its beginning to its end.
type life struct {
	name      string
	base      string // the schema and rows that are there before
	dangerous string
	fill      map[string]string
	mended    string   // what the dangerous statement needs to succeed at all
	old       []string // what the running release does; %d is a new number
	new       []string // what the next release does once the backfill is done
	drops     []string // what its contract takes away with rows or values in it, and undrop brings back
	oneWay    bool     // its contract cannot be taken back
	server    int      // version that is rewritten for; 0 is the oldest
}

const shop = `CREATE TABLE customers (id bigint PRIMARY KEY, name text);
CREATE TABLE orders (id bigint PRIMARY KEY, total numeric(10,2) NOT NULL DEFAULT 0 CHECK (total >= 0), note text, customer_id bigint, qty integer DEFAULT 1 CHECK (qty > 0), code text COLLATE "C");
CREATE INDEX orders_total_idx ON orders (total DESC);
CREATE INDEX orders_code_idx ON orders (lower(code)) WHERE code IS NOT NULL;
INSERT INTO customers SELECT g, 'c' || g FROM generate_series(1, 50) g;
INSERT INTO orders (id, total, note, customer_id, code) SELECT g, g, CASE WHEN g % 3 = 0 THEN 'n' END, 1 + g % 50, 'k' || g FROM generate_series(1, 2500) g;`

func lives() []life {
	return []life{
		{
			name: "NOT NULL with a value for those without", base: shop, dangerous: "ALTER TABLE orders ALTER COLUMN note SET NOT NULL", fill: map[string]string{"orders.note": "'order ' || id"},
			mended: "UPDATE orders SET note = 'order ' || id WHERE note IS NULL",
			old:    []string{"INSERT INTO orders (id, total) VALUES (%d, 1)", "INSERT INTO orders (id, note) VALUES (%d, NULL)", "UPDATE orders SET note = NULL WHERE id = 5", "SELECT id, note FROM orders"},
		},
		{
			name: "NOT NULL where the default says what those without get", base: shop + "ALTER TABLE orders ALTER COLUMN note SET DEFAULT 'none';", dangerous: "ALTER TABLE orders ALTER COLUMN note SET NOT NULL",
			mended: "UPDATE orders SET note = 'none' WHERE note IS NULL",
			old:    []string{"INSERT INTO orders (id, total) VALUES (%d, 1)", "INSERT INTO orders (id, note) VALUES (%d, NULL)", "UPDATE orders SET note = NULL WHERE id = 5"},
		},
		{
			name: "NOT NULL where a release before fills all", base: shop + "UPDATE orders SET note = '';", dangerous: "ALTER TABLE orders ALTER COLUMN note SET NOT NULL",
			old: []string{"INSERT INTO orders (id, note) VALUES (%d, 'x')", "SELECT note FROM orders"},
		},
		{
			name: "a CHECK", base: shop, dangerous: "ALTER TABLE orders ADD CHECK (customer_id > 0)",
			old: []string{"INSERT INTO orders (id, customer_id) VALUES (%d, 3)", "SELECT * FROM orders"},
		},
		{
			name: "a CHECK with a name and two columns", base: shop, dangerous: "ALTER TABLE orders ADD CONSTRAINT sane CHECK (customer_id > 0 AND id > 0) NO INHERIT",
			old: []string{"INSERT INTO orders (id, customer_id) VALUES (%d, 3)"},
		},
		{
			name: "a foreign key", base: shop, dangerous: "ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE",
			old: []string{"INSERT INTO orders (id, customer_id) VALUES (%d, 3)", "INSERT INTO customers VALUES (%d, 'x')"},
		},
		{
			name: "UNIQUE", base: shop, dangerous: "ALTER TABLE orders ADD UNIQUE (code, customer_id)",
			old: []string{"INSERT INTO orders (id, customer_id) VALUES (%d, 3)"},
		},
		{
			name: "UNIQUE that is deferrable, with NULLS NOT DISTINCT", base: shop, dangerous: "ALTER TABLE orders ADD CONSTRAINT one UNIQUE NULLS NOT DISTINCT (code, id) INCLUDE (total) DEFERRABLE INITIALLY DEFERRED",
			old: []string{"INSERT INTO orders (id, customer_id) VALUES (%d, 3)"},
		},
		{
			name: "a primary key", base: "CREATE TABLE orders (id bigint NOT NULL, total int); INSERT INTO orders SELECT g, g FROM generate_series(1, 100) g;", dangerous: "ALTER TABLE orders ADD PRIMARY KEY (id)",
			old: []string{"INSERT INTO orders VALUES (%d, 3)"},
		},
		{
			name: "an index", base: shop, dangerous: "CREATE INDEX ON orders USING btree (customer_id, id DESC) WHERE customer_id IS NOT NULL",
			old: []string{"INSERT INTO orders (id, customer_id) VALUES (%d, 3)"},
		},
		{
			name: "a unique index", base: shop, dangerous: "CREATE UNIQUE INDEX IF NOT EXISTS orders_code ON orders (code)",
			old: []string{"INSERT INTO orders (id, code) VALUES (%[1]d, 'z%[1]d')"},
		},
		{
			name: "an index that is dropped", base: shop, dangerous: "DROP INDEX orders_total_idx", old: []string{"INSERT INTO orders (id) VALUES (%d)"},
		},
		{
			name: "a column renamed, with a default, an index and a CHECK", base: shop, dangerous: "ALTER TABLE orders RENAME COLUMN total TO amount", drops: []string{"orders.total"},
			old: []string{
				"INSERT INTO orders (id, total) VALUES (%d, 3)", "INSERT INTO orders (id) VALUES (%d)", "UPDATE orders SET total = total + 1 WHERE id = 7", "UPDATE orders SET note = 'x' WHERE id = 9",
				"SELECT id, total FROM orders WHERE total > 4",
			},
			new: []string{"INSERT INTO orders (id, amount) VALUES (%d, 3)", "UPDATE orders SET amount = amount + 2 WHERE id = 11", "SELECT amount FROM orders"},
		},
		{
			name: "a column renamed, with an expression index", base: shop, dangerous: "ALTER TABLE orders RENAME code TO sku", drops: []string{"orders.code"},
			old: []string{"INSERT INTO orders (id, code) VALUES (%d, 'x')", "UPDATE orders SET code = NULL WHERE id = 2", "UPDATE orders SET code = 'y' WHERE id = 3"},
			new: []string{"INSERT INTO orders (id, sku) VALUES (%d, NULL)", "UPDATE orders SET sku = NULL WHERE id = 4"},
		},
		{
			name: "a column renamed, with a foreign key and UNIQUE", base: shop + "ALTER TABLE orders ADD CONSTRAINT who FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, ADD CONSTRAINT once UNIQUE (customer_id, id);",
			dangerous: "ALTER TABLE orders RENAME COLUMN customer_id TO buyer_id", drops: []string{"orders.customer_id"}, old: []string{"INSERT INTO orders (id, customer_id) VALUES (%d, 4)"}, new: []string{"INSERT INTO orders (id, buyer_id) VALUES (%d, 5)"},
		},
		{
			name: "another type", base: shop, dangerous: "ALTER TABLE orders ALTER COLUMN qty TYPE bigint", oneWay: true, drops: []string{"orders.qty"},
			old: []string{"INSERT INTO orders (id, qty) VALUES (%d, 3)", "INSERT INTO orders (id) VALUES (%d)", "UPDATE orders SET qty = qty + 1 WHERE id = 3", "SELECT qty FROM orders"},
		},
		{
			name: "another type by an expression of other columns", base: shop, dangerous: "ALTER TABLE orders ALTER COLUMN note TYPE integer USING CASE WHEN note IS NULL OR id = 3 THEN 0 ELSE length(note) + id END", oneWay: true, drops: []string{"orders.note"},
			old: []string{"INSERT INTO orders (id, note) VALUES (%d, 'abc')", "UPDATE orders SET note = 'abcd' WHERE id = 3"},
		},
		{
			name: "another type by a condition", base: shop, dangerous: "ALTER TABLE orders ALTER COLUMN note TYPE boolean USING note IS NOT NULL OR id = 3", oneWay: true, drops: []string{"orders.note"},
			old: []string{"INSERT INTO orders (id, note) VALUES (%d, 'abc')", "UPDATE orders SET note = NULL WHERE id = 3"},
		},
		{
			name: "a new column that is NOT NULL", base: shop, dangerous: "ALTER TABLE orders ADD COLUMN cents bigint NOT NULL", fill: map[string]string{"orders.cents": "total * 100"},
			mended: "ALTER TABLE orders ADD COLUMN cents bigint; UPDATE orders SET cents = total * 100; ALTER TABLE orders ALTER COLUMN cents SET NOT NULL; --",
			old:    []string{"INSERT INTO orders (id, total) VALUES (%d, 3)", "UPDATE orders SET total = 4 WHERE id = 2"},
		},
		{
			name: "a new column with a value for each row", base: shop, dangerous: "ALTER TABLE orders ADD COLUMN ref uuid NOT NULL DEFAULT gen_random_uuid()", old: []string{"INSERT INTO orders (id, total) VALUES (%d, 3)"},
		},
		{
			name: "a new column with a CHECK, UNIQUE and a reference", base: shop, dangerous: "ALTER TABLE orders ADD COLUMN payer bigint DEFAULT NULL UNIQUE CHECK (payer > 0) REFERENCES customers (id) ON DELETE SET NULL",
			old: []string{"INSERT INTO orders (id, total) VALUES (%d, 3)"},
		},
		{
			name: "a column and a table that go, and an index that comes", base: shop, oneWay: true, drops: []string{"customers", "orders.qty"},
			dangerous: "CREATE INDEX ON orders (customer_id); ALTER TABLE orders DROP COLUMN qty; DROP TABLE customers",
			old:       []string{"INSERT INTO orders (id, qty) VALUES (%d, 3)", "INSERT INTO customers VALUES (%d, 'x')", "UPDATE customers SET name = 'y' WHERE id = 3"},
			new:       []string{"INSERT INTO orders (id, total) VALUES (%d, 3)"},
		},
		{
			name: "a migration of several statements", base: shop, old: []string{"INSERT INTO orders (id, total) VALUES (%d, 3)"},
			dangerous: "CREATE TABLE notes (id int PRIMARY KEY, order_id bigint REFERENCES orders (id)); CREATE INDEX ON notes (order_id); ALTER TABLE orders ADD COLUMN a int, ADD CONSTRAINT c CHECK (total < 100000); CREATE INDEX ON orders (a)",
		},
	}
}
