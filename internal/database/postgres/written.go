package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

// A mark is what the server had counted at a moment.
type mark struct {
	Reset  string           `json:"reset"`  // when the statistics were, "" for never
	Tables map[uint32]int64 `json:"tables"` // rows inserted, updated and deleted, by oid

	names map[uint32]string
}

// Written returns how many rows were inserted, updated or deleted in tables of
// users since from. It is an estimate from the server's statistics: a session
// reports what it did up to ten seconds later (before version 15 possibly not
// before its next statement or its end), rows of rolled back transactions
// count, those of dropped tables and of TRUNCATE do not. Statistics that were
// reset meanwhile tell nothing, which is an error of kind Inconclusive.
func (d *DB) Written(ctx context.Context, from string) (string, []database.Wrote, error) {
	now, err := d.counted(ctx)
	if err != nil {
		return "", nil, err
	}
	return database.Since(now, from, mark.since)
}

func (m mark) since(then mark) (in []database.Wrote, err error) {
	reset := then.Reset != "" && m.Reset != then.Reset
	for table, n := range m.Tables {
		if n < then.Tables[table] {
			reset = true
		}
		in = append(in, database.Wrote{Table: m.names[table], Rows: n - then.Tables[table]})
	}
	if reset {
		return nil, ship.Errorf(ship.Inconclusive, "compare the tables themselves",
			"the statistics of the server were reset since, or lost in a crash: what was written cannot be told")
	}
	return in, nil
}

func (d *DB) counted(ctx context.Context) (m mark, err error) {
	m.Tables, m.names = map[uint32]int64{}, map[uint32]string{}
	err = d.read(ctx, func(conn *pgx.Conn) error {
		err := conn.QueryRow(ctx, `SELECT coalesce((SELECT stats_reset::text FROM pg_stat_database WHERE datname = current_database()), '')`).
			Scan(&m.Reset)
		if err != nil {
			return err
		}
		rows, err := conn.Query(ctx, `SELECT relid, relid::regclass::text, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables WHERE schemaname NOT IN ('_shiplock', '_shiplock_trash')`)
		if err != nil {
			return err
		}
		var table uint32
		var name string
		var n int64
		_, err = pgx.ForEachRow(rows, []any{&table, &name, &n}, func() error {
			m.Tables[table], m.names[table] = n, name
			return nil
		})
		return err
	})
	return m, err
}
