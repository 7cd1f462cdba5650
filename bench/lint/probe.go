package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// makeProbes writes what an old release may do: for each table a SELECT of its
// columns, an INSERT of what must be given, one of all, and an UPDATE.
func makeProbes(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	probes := []string{
		"INSERT INTO supplier (id, name) VALUES (7777, 's1') ON CONFLICT (name) DO NOTHING",
		"INSERT INTO product (name, feels) VALUES ('x', 'ok')",
		"INSERT INTO product (name, sku) VALUES ('x', 'k1') ON CONFLICT (sku) DO NOTHING",
		"INSERT INTO product (name, price, note) VALUES ('x', NULL, NULL)",
		"INSERT INTO product (name, stock, number, sku) VALUES ('x', -5, 3000000000, 'twenty characters ok')",
		"INSERT INTO product (name, price) VALUES ('x', 99999999.99)",
		"INSERT INTO product (name, note) VALUES ('x', repeat('n', 500))",
		"INSERT INTO sale (product_id, code) VALUES (999999, 'orphan')",
		"INSERT INTO sale (product_id, code) VALUES (1, 'second')",
		"INSERT INTO amounts (id, total) VALUES (7777, 5000)",
		"INSERT INTO event (at, kind) VALUES ('2025-02-02', 'k')",
		"SELECT id, shown FROM shown",
		"SELECT n FROM totals",
		"SELECT id, name FROM product WHERE number = 5 AND note IS NULL",
		"SELECT nextval('bill_number')",
		"INSERT INTO supplier (id, name) VALUES (7777, 's1') ON CONFLICT ON CONSTRAINT supplier_name_key DO NOTHING",
		"WITH u AS (UPDATE sale SET code = code WHERE id = 1 RETURNING qty) SELECT 1 / count(*) FILTER (WHERE qty = 7) FROM u",
		"UPDATE product SET note = 'n' WHERE id = 1",
		"SELECT count(*) / (count(*) > 0)::int FROM sale",
		"INSERT INTO sale (id, product_id) VALUES (1, 1) ON CONFLICT (id) DO NOTHING",
	}
	rows, err := conn.Query(ctx, `SELECT c.relname, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped GROUP BY 1 ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	var name, columns string
	_, err = pgx.ForEachRow(rows, []any{&name, &columns}, func() error {
		first, _, _ := strings.Cut(columns, ",")
		probes = append(probes,
			fmt.Sprintf("SELECT %s FROM %s LIMIT 1", columns, name),
			fmt.Sprintf("UPDATE %s SET %s = %s WHERE false", name, first, first),
			fmt.Sprintf("DELETE FROM %s WHERE false", name))
		return nil
	})
	return probes, err
}

// broken returns the probes that fail as the application's role.
func broken(ctx context.Context, conn *pgx.Conn, probes []string) ([]string, error) {
	var all []string
	inside := conn.PgConn().TxStatus() == 'T'
	begin, end := []string{"BEGIN", "SET LOCAL ROLE bench_app"}, []string{"ROLLBACK"}
	if inside {
		begin[0], end = "SAVEPOINT probe", []string{"ROLLBACK TO probe", "RELEASE probe"}
	}
	for _, p := range probes {
		if err := each(ctx, conn, begin); err != nil {
			return nil, err
		}
		if _, err := conn.Exec(ctx, p); err != nil {
			all = append(all, p+": "+short(err))
		}
		if err := each(ctx, conn, end); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func each(ctx context.Context, conn *pgx.Conn, list []string) error {
	for _, s := range list {
		if _, err := conn.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
