package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

var (
	_ database.Trasher   = (*DB)(nil)
	_ database.Undropper = (*lock)(nil)
)

// trashSchema is created by the first drop. Nobody but the migration role may
// look into it: what the application could read of a table is not remembered
// row by row.
const trashSchema = `
CREATE SCHEMA _shiplock_trash;
COMMENT ON SCHEMA _shiplock_trash IS 'what migrations dropped, until it is purged; see shiplock migrate undrop';
CREATE TABLE _shiplock_trash.entry (
	id     bigint PRIMARY KEY,
	status text NOT NULL,
	entry  jsonb NOT NULL
);`

// A trashed is an entry with what only we need of it.
type trashed struct {
	database.Trashed
	Ident    string       // of the table, as SQL has it
	Columns  []copyColumn // that are copied, the key first for a column
	KeyTypes []string
	Xid      int64 // rows changed by this transaction or a later one are copied again; 0 is all
	Filled   bool  // rows written since have the default
	Oid      uint32
	Number   int16 // of the column
}

// A copyColumn is a column of a copy.
type copyColumn struct {
	Name string
	Type string
	Text bool // it is kept as text, so that its type can be dropped
}

// value is the column of the table as the copy has it.
func (c copyColumn) value() string {
	if c.Text {
		return "t." + quote(c.Name) + "::text"
	}
	return "t." + quote(c.Name)
}

// back is the column of the copy as the table has it.
func (c copyColumn) back(from string) string {
	if c.Text {
		return from + "::" + c.Type
	}
	return from
}

// copyName is the table that holds what was dropped.
func (t trashed) copyName() string { return fmt.Sprintf("_shiplock_trash.t%d", t.ID) }

// Trash lists what is kept. A role that may not look into it sees nothing.
func (d *DB) Trash(ctx context.Context) (all []database.Trashed, err error) {
	err = d.read(ctx, func(conn *pgx.Conn) error {
		entries, err := readTrash(ctx, conn)
		for _, e := range entries {
			all = append(all, e.Trashed)
		}
		return unlessAbsent(err)
	})
	return all, err
}

// trashThere tells whether anything was ever dropped here.
func trashThere(ctx context.Context, conn *pgx.Conn) (there bool, err error) {
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = '_shiplock_trash' AND tablename = 'entry')").Scan(&there)
	if err != nil {
		return false, fmt.Errorf("look for the trash: %w", err)
	}
	return there, nil
}

func readTrash(ctx context.Context, conn *pgx.Conn) ([]trashed, error) {
	if there, err := trashThere(ctx, conn); err != nil || !there {
		return nil, err
	}
	rows, err := conn.Query(ctx, "SELECT entry FROM _shiplock_trash.entry ORDER BY id")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (t trashed, err error) {
		var text []byte
		if err = row.Scan(&text); err != nil {
			return t, err
		}
		return t, json.Unmarshal(text, &t)
	})
}

func writeTrash(ctx context.Context, conn *pgx.Conn, t trashed) error {
	text, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("keep what is in the trash: %w", err)
	}
	if _, err := conn.Exec(ctx, `INSERT INTO _shiplock_trash.entry (id, status, entry) VALUES ($1, $2, $3)
		ON CONFLICT (id) DO UPDATE SET status = excluded.status, entry = excluded.entry`, t.ID, t.Status, text); err != nil {
		return fmt.Errorf("keep what is in the trash: %w", err)
	}
	return nil
}

// createTrash makes the schema unless it is there, and closes it to everybody
// else: default privileges may have opened it.
func createTrash(ctx context.Context, conn *pgx.Conn) error {
	if there, err := trashThere(ctx, conn); err != nil || there {
		return err
	}
	if _, err := conn.Exec(ctx, trashSchema); err != nil {
		if hasCode(err, "42501") {
			return ship.Errorf(ship.Refused, "GRANT CREATE ON DATABASE … TO the migration role", "may not create the schema _shiplock_trash: %w", err)
		}
		return fmt.Errorf("create the trash: %w", err)
	}
	return closeTo(ctx, conn, "SCHEMA", "_shiplock_trash", "SELECT nspacl, nspowner FROM pg_namespace WHERE nspname = '_shiplock_trash'")
}

// closeTo takes every right on an object from everybody but its owner. The
// query returns its rights and its owner.
func closeTo(ctx context.Context, conn *pgx.Conn, kind, name, query string) error {
	rows, err := conn.Query(ctx, `SELECT DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END
		FROM (`+query+`) o (acl, owner), LATERAL aclexplode(o.acl) x WHERE x.grantee <> o.owner`)
	if err != nil {
		return fmt.Errorf("look who may use %s: %w", name, err)
	}
	others, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look who may use %s: %w", name, err)
	}
	for _, other := range append(others, "PUBLIC") {
		if _, err := conn.Exec(ctx, fmt.Sprintf("REVOKE ALL ON %s %s FROM %s", kind, name, other)); err != nil {
			return fmt.Errorf("close %s to %s: %w", name, other, err)
		}
	}
	return nil
}

func closeTable(ctx context.Context, conn *pgx.Conn, name string) error {
	return closeTo(ctx, conn, "TABLE", name, "SELECT relacl, relowner FROM pg_class WHERE oid = '"+strings.ReplaceAll(name, "'", "''")+"'::regclass")
}

func forgetTrash(ctx context.Context, conn *pgx.Conn, t trashed) error {
	if _, err := conn.Exec(ctx, "DROP TABLE IF EXISTS "+t.copyName()); err != nil {
		return fmt.Errorf("delete the copy of %s: %w", t.Name(), err)
	}
	if _, err := conn.Exec(ctx, "DELETE FROM _shiplock_trash.entry WHERE id = $1", t.ID); err != nil {
		return fmt.Errorf("delete the copy of %s: %w", t.Name(), err)
	}
	return nil
}

// settleTrash notes what the end of a migration means for what was copied: it
// is dropped when the migration is done, and not when it is forgotten.
func settleTrash(ctx context.Context, conn *pgx.Conn, w ship.Work) error {
	all, err := readTrash(ctx, conn)
	if err != nil {
		return err
	}
	for _, t := range all {
		if t.Status != database.TrashCopied {
			continue
		}
		done := slices.ContainsFunc(w.Record, func(r ship.Record) bool { return r.Migration == t.Migration && r.Status == ship.RecordDone })
		if done || slices.Contains(w.Forget, t.Migration) {
			if err := settleOne(ctx, conn, t); err != nil {
				return err
			}
		}
	}
	return nil
}

// settleOne forgets what was copied and is there all the same. Another one that
// has its name is not the same: the migration changed a type in steps, or it was
// taken back, and something made it anew without its values. Then the copy is
// all there is of them.
func settleOne(ctx context.Context, conn *pgx.Conn, t trashed) error {
	var there bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_class c WHERE c.oid = $1 AND ($2::int2 = 0
		OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = $2::int2 AND NOT a.attisdropped)))`, t.Oid, t.Number).Scan(&there); err != nil {
		return fmt.Errorf("look for %s: %w", t.Name(), err)
	}
	if there {
		return forgetTrash(ctx, conn, t)
	}
	t.Status = database.TrashDropped
	return writeTrash(ctx, conn, t)
}

// present tells whether what was dropped is there, or another of its name.
func present(ctx context.Context, conn *pgx.Conn, t trashed) (there bool, err error) {
	err = conn.QueryRow(ctx, `SELECT CASE WHEN $2::text = '' THEN to_regclass($1) IS NOT NULL
		ELSE EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname::text = $2::text AND NOT attisdropped) END`, t.Ident, t.Column).Scan(&there)
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", t.Name(), err)
	}
	return there, nil
}

// Purge implements [database.Undropper]. The entry of what was dropped stays:
// what its migration dropped cannot all be brought back any more.
func (l *lock) Purge(ctx context.Context, ids []int64) error {
	return l.change(ctx, func(conn *pgx.Conn) error {
		all, err := readTrash(ctx, conn)
		if err != nil {
			return err
		}
		for _, t := range all {
			switch {
			case !slices.Contains(ids, t.ID) || t.Status == database.TrashBack:
				continue
			case t.Status == database.TrashCopied:
				err = forgetTrash(ctx, conn, t)
			default:
				t.Status = database.TrashPurged
				if _, err = conn.Exec(ctx, "DROP TABLE IF EXISTS "+t.copyName()); err == nil {
					err = writeTrash(ctx, conn, t)
				}
			}
			if err != nil {
				return fmt.Errorf("purge %s: %w", t.Name(), err)
			}
		}
		return nil
	})
}

// change calls do in a transaction that holds the fence.
func (l *lock) change(ctx context.Context, do func(*pgx.Conn) error) error {
	return l.withWorker(ctx, func(conn *pgx.Conn) error { return l.changeOn(ctx, conn, do) })
}

func (l *lock) changeOn(ctx context.Context, conn *pgx.Conn, do func(*pgx.Conn) error) error {
	return inTransaction(ctx, conn, l.db.lockTimeout, func() error {
		if err := l.check(ctx, conn); err != nil {
			return err
		}
		return do(conn)
	})
}
