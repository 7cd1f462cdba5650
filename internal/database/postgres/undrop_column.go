package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/database"
)

// column adds the column as one that nobody has to wait for, brings its values
// back in pages, and then what belongs to it, one by one.
func (u *undropping) column(ctx context.Context) error {
	if u.t.Status != database.TrashReturning {
		if err := u.in(ctx, func() error { return u.add(ctx) }); err != nil {
			return err
		}
	}
	if err := u.values(ctx); err != nil {
		return err
	}
	for u.t.Done < len(u.t.Parts) {
		p := u.t.Parts[u.t.Done]
		u.tell(strings.TrimSpace(fmt.Sprintf("%s: %s %s", u.t.Name(), p.Kind, p.Name)))
		if err := u.part(ctx, p); err != nil {
			return err
		}
		u.t.Done++
		if err := u.in(ctx, func() error { return writeTrash(ctx, u.conn, u.t) }); err != nil {
			return err
		}
	}
	return nil
}

// add adds the column. A default that is the same for every row is given to
// those written since without touching them.
func (u *undropping) add(ctx context.Context) error {
	u.tell("bringing " + u.t.Name() + " back")
	for i, p := range u.t.Parts {
		if p.Kind != partSequence && p.Kind != partColumn && p.Kind != partDefault && p.Kind != "sequence owner" {
			break
		}
		statement := p.SQL
		if next := i + 1; p.Kind == partColumn && next < len(u.t.Parts) && u.t.Parts[next].Kind == partDefault {
			cheap, err := u.cheapDefault(ctx, p, u.t.Parts[next])
			if err != nil {
				return err
			}
			u.t.Filled = cheap
			if cheap {
				statement += " DEFAULT " + defaultOf(u.t.Parts[next])
			}
		}
		if err := u.exec(ctx, statement); err != nil {
			return err
		}
		u.t.Done = i + 1
	}
	u.t.Status = database.TrashReturning
	return writeTrash(ctx, u.conn, u.t)
}

func defaultOf(p database.Part) string {
	_, text, _ := strings.Cut(p.SQL, " SET DEFAULT ")
	return text
}

// cheapDefault asks the server whether a column with this default can be added
// without writing the table anew.
func (u *undropping) cheapDefault(ctx context.Context, column, def database.Part) (cheap bool, err error) {
	_, text, _ := strings.Cut(column.SQL, " ADD COLUMN ")
	for _, s := range []string{"CREATE TABLE _shiplock_trash.probe ()", "ALTER TABLE _shiplock_trash.probe ADD COLUMN " + text + " DEFAULT " + defaultOf(def)} {
		if err := u.exec(ctx, s); err != nil {
			return false, err
		}
	}
	err = u.conn.QueryRow(ctx, "SELECT atthasmissing FROM pg_attribute WHERE attrelid = '_shiplock_trash.probe'::regclass AND attnum = 1").Scan(&cheap)
	if err != nil {
		return false, err
	}
	return cheap, u.exec(ctx, "DROP TABLE _shiplock_trash.probe")
}

// values moves the values from the copy to their rows. A page leaves the copy
// in the transaction in which it arrives: after a crash nothing is lost, and nothing is done twice.
func (u *undropping) values(ctx context.Context) error {
	if u.t.computed() {
		return nil
	}
	name := u.t.Columns[len(u.t.Columns)-1]
	if !u.t.Filled && slices.ContainsFunc(u.t.Parts, func(p database.Part) bool { return p.Kind == partDefault }) {
		err := u.in(ctx, func() error {
			u.t.Filled = true
			if err := u.exec(ctx, fmt.Sprintf("UPDATE %s AS t SET %s = DEFAULT WHERE NOT EXISTS (SELECT FROM %s AS x WHERE %s)", u.t.Ident, quote(name.Name), u.t.copyName(), u.t.same())); err != nil {
				return err
			}
			return writeTrash(ctx, u.conn, u.t)
		})
		if err != nil {
			return err
		}
	}
	move := fmt.Sprintf(`WITH page AS (DELETE FROM %s WHERE ctid = ANY (ARRAY (SELECT ctid FROM %[1]s ORDER BY %s LIMIT %d)) RETURNING *),
		moved AS (UPDATE %s AS t SET %s = %s FROM page AS x WHERE %s RETURNING 1) SELECT (SELECT count(*) FROM page), (SELECT count(*) FROM moved)`,
		u.t.copyName(), u.t.keys(""), returnPage, u.t.Ident, quote(name.Name), name.back("x."+quote(name.Name)), u.t.same())
	for {
		var page, moved int64
		err := u.in(ctx, func() error {
			if err := u.conn.QueryRow(ctx, move).Scan(&page, &moved); err != nil {
				return err
			}
			u.t.Returned += moved
			return writeTrash(ctx, u.conn, u.t)
		})
		if err != nil || page == 0 {
			return err
		}
		u.tell(fmt.Sprintf("%s: %d of %d values are back", u.t.Name(), u.t.Returned, u.t.Rows))
	}
}

// part makes one thing again in the way that keeps others from waiting.
func (u *undropping) part(ctx context.Context, p database.Part) error {
	switch p.Kind {
	case partNotNull:
		return u.notNull(ctx, p)
	case partCheck, partForeign:
		err := u.in(ctx, func() error { return u.exec(ctx, notValid(p)) })
		if hasCode(err, "42809", "0A000") { // a table with partitions looks at its rows at once
			return u.in(ctx, func() error { return u.soft(ctx, p, p.SQL) })
		}
		if err != nil && !refused(err) {
			return err
		}
		if err != nil {
			u.note(p, err)
		}
		if there, err := u.constraint(ctx, p); err != nil || !there {
			return err
		}
		return u.validate(ctx, p)
	case partIndex, partUnique:
		return u.index(ctx, p)
	}
	return u.in(ctx, func() error { return u.soft(ctx, p, p.SQL) })
}

func (u *undropping) constraint(ctx context.Context, p database.Part) (there bool, err error) {
	table, _, _ := strings.Cut(strings.TrimPrefix(p.SQL, "ALTER TABLE "), " ADD CONSTRAINT ")
	err = u.in(ctx, func() error {
		return u.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = to_regclass($1) AND conname::text = $2)", table, p.Name).Scan(&there)
	})
	return there, err
}

// index is built while others write. On a table with partitions that cannot be.
func (u *undropping) index(ctx context.Context, p database.Part) error {
	concurrent := strings.Replace(p.SQL, "INDEX ", "INDEX CONCURRENTLY ", 1)
	err := u.l.concurrently(ctx, u.conn, concurrent)
	if hasCode(err, "0A000") {
		return u.in(ctx, func() error { return u.soft(ctx, p, strings.Replace(p.SQL, " ON ONLY ", " ON ", 1)) })
	}
	if err == nil || !refused(err) {
		return err
	}
	u.note(p, err)
	if hasCode(err, "42P07") {
		return nil
	}
	schema, _, _ := strings.Cut(u.t.Ident, ".") // an index is where its table is
	return u.l.concurrently(ctx, u.conn, "DROP INDEX CONCURRENTLY IF EXISTS "+schema+"."+quote(p.Name))
}

// notNull has the server know that there is no NULL before it takes the lock
// under which it would look.
func (u *undropping) notNull(ctx context.Context, p database.Part) error {
	var nulls int64
	err := u.in(ctx, func() error {
		return u.conn.QueryRow(ctx, fmt.Sprintf("SELECT count(*) FROM %s WHERE %s IS NULL", u.t.Ident, quote(p.Name))).Scan(&nulls)
	})
	if err != nil {
		return err
	}
	if nulls > 0 {
		u.t.Notes = append(u.t.Notes, fmt.Sprintf("%s may be NULL now: it has no default, and %d rows written since it was dropped have no value", u.t.Name(), nulls))
		return nil
	}
	known := "_shiplock_" + fmt.Sprint(u.t.ID)
	for _, s := range []string{
		fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s, ADD CONSTRAINT %[2]s CHECK (%s IS NOT NULL) NOT VALID", u.t.Ident, known, quote(p.Name)),
		fmt.Sprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", u.t.Ident, known),
		fmt.Sprintf("%s; ALTER TABLE %s DROP CONSTRAINT %s", p.SQL, u.t.Ident, known),
	} {
		if err := u.in(ctx, func() error { return u.exec(ctx, s) }); err != nil {
			return err
		}
	}
	return nil
}
