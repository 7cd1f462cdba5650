package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

// returnPage is how many values are brought back in one transaction.
const returnPage = 5_000

// An undropping brings one entry back.
type undropping struct {
	l    *lock
	conn *pgx.Conn
	t    trashed
	tell func(string)
}

// Undrop implements [database.Undropper]. What is done is kept in the entry:
// after a crash it goes on there.
func (l *lock) Undrop(ctx context.Context, id int64, by string, rec *ship.Record, tell func(string)) (out database.Trashed, err error) {
	err = l.withWorker(ctx, func(conn *pgx.Conn) error {
		u := &undropping{l: l, conn: conn, tell: tell}
		defer func() { out = u.t.Trashed }()
		if err := u.begin(ctx, id); err != nil {
			return err
		}
		u.t.By = by
		var err error
		if u.t.Column == "" {
			err = u.table(ctx)
		} else {
			err = u.column(ctx)
		}
		if hasCode(err, "42704") { // a type that went, too
			return ship.Errorf(ship.Refused, "make what is missing again, by a migration or by hand, and give the command once more", "bring %s back: %w", u.t.Name(), err)
		}
		if err != nil {
			return fmt.Errorf("bring %s back: %w", u.t.Name(), err)
		}
		return u.end(ctx, rec)
	})
	return out, err
}

// in calls do in a transaction in which every name is qualified.
func (u *undropping) in(ctx context.Context, do func() error) error {
	return u.l.changeOn(ctx, u.conn, func(conn *pgx.Conn) error {
		if _, err := plainPath(ctx, conn); err != nil {
			return err
		}
		return do()
	})
}

func (u *undropping) exec(ctx context.Context, statement string) error {
	return u.l.run(ctx, u.conn, statement)
}

// begin finds the entry and refuses what would be put over something else.
func (u *undropping) begin(ctx context.Context, id int64) error {
	return u.in(ctx, func() error {
		all, err := readTrash(ctx, u.conn)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(t trashed) bool { return t.ID == id })
		if i < 0 {
			return ship.Errorf(ship.NotFound, "", "there is no %d in the trash", id)
		}
		u.t = all[i]
		if err := u.t.CanReturn(); err != nil || u.t.Status == database.TrashReturning {
			return err
		}
		taken, err := present(ctx, u.conn, u.t)
		if err != nil {
			return err
		}
		if taken {
			return database.NameTaken(u.t.Trashed)
		}
		return u.sameKey(ctx)
	})
}

// sameKey makes sure that values find their rows.
func (u *undropping) sameKey(ctx context.Context) error {
	if u.t.Column == "" {
		return nil
	}
	var there bool
	if err := u.conn.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", u.t.Ident).Scan(&there); err != nil {
		return fmt.Errorf("look for %s: %w", u.t.Table, err)
	}
	if !there {
		return ship.Errorf(ship.Refused, "bring the table back first", "there is no table %s any more", u.t.Table)
	}
	rows, err := u.conn.Query(ctx, `SELECT array_agg(a.attname::text ORDER BY k.n), array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY k.n)
		FROM pg_index i, LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, n) JOIN pg_attribute a ON a.attnum = k.attnum
		WHERE i.indrelid = $1::text::regclass AND a.attrelid = i.indrelid AND k.n <= i.indnkeyatts AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
		GROUP BY i.indexrelid, i.indisprimary ORDER BY i.indisprimary DESC, i.indexrelid`, u.t.Ident)
	if err != nil {
		return fmt.Errorf("look for the key of %s: %w", u.t.Table, err)
	}
	type key struct{ names, types []string }
	keys, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (k key, err error) { return k, row.Scan(&k.names, &k.types) })
	if err != nil {
		return fmt.Errorf("look for the key of %s: %w", u.t.Table, err)
	}
	var now []string
	for i, k := range keys {
		if slices.Equal(k.names, u.t.Key) && slices.Equal(k.types, u.t.KeyTypes) {
			return nil
		}
		if i == 0 {
			for j := range k.names {
				now = append(now, k.names[j]+" "+k.types[j])
			}
		}
	}
	return u.t.SameKey(now)
}

// end forgets the copy and writes the record.
func (u *undropping) end(ctx context.Context, rec *ship.Record) error {
	u.t.Status, u.t.Done, u.t.BackAt = database.TrashBack, len(u.t.Parts), time.Now().UTC()
	return u.in(ctx, func() error {
		if err := u.exec(ctx, "DROP TABLE IF EXISTS "+u.t.copyName()); err != nil {
			return err
		}
		if err := writeTrash(ctx, u.conn, u.t); err != nil || rec == nil {
			return err
		}
		return record(ctx, u.conn, ship.Work{Record: []ship.Record{*rec}})
	})
}

// soft carries out what may fail without the rest being in vain; it is noted
// then. Within a transaction.
func (u *undropping) soft(ctx context.Context, p database.Part, statement string) error {
	if err := u.exec(ctx, "SAVEPOINT part"); err != nil {
		return err
	}
	err := u.exec(ctx, statement)
	if err == nil {
		return u.exec(ctx, "RELEASE part")
	}
	if !refused(err) {
		return err
	}
	u.note(p, err)
	return u.exec(ctx, "ROLLBACK TO part; RELEASE part")
}

// refused tells whether the server said no, and no later try would change that.
func refused(err error) bool {
	_, said := errors.AsType[*pgconn.PgError](err)
	return said && !errors.Is(err, database.ErrBusy) && !hasCode(err, "57P01", "57P02", "57014", "40P01", "40001")
}

func (u *undropping) note(p database.Part, err error) {
	pgErr, _ := errors.AsType[*pgconn.PgError](err)
	name := strings.TrimSpace(p.Kind + " " + p.Name)
	u.t.Notes = append(u.t.Notes, fmt.Sprintf("%s of %s is not as it was: %s", name, u.t.Name(), pgErr.Message))
}

// table makes the table with all that belongs to it in one transaction, and
// then has its foreign keys validated.
func (u *undropping) table(ctx context.Context) error {
	if u.t.Status != database.TrashReturning {
		if err := u.in(ctx, func() error { return u.tableAtOnce(ctx) }); err != nil {
			return err
		}
	}
	for ; u.t.Done < len(u.t.Parts); u.t.Done++ {
		if p := u.t.Parts[u.t.Done]; p.Kind == partForeign {
			if err := u.validate(ctx, p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (u *undropping) tableAtOnce(ctx context.Context) error {
	u.tell("bringing " + u.t.Name() + " back")
	filled := false
	for _, p := range u.t.Parts {
		var err error
		switch {
		case p.Kind == partTable:
			if err = u.exec(ctx, p.SQL); err == nil {
				err = closeTable(ctx, u.conn, u.t.Ident)
			}
		case !filled && slices.Contains([]string{partSequence, partDefault, "sequence owner", partNotNull}, p.Kind):
			err = u.exec(ctx, p.SQL)
		default:
			if !filled { // what follows is quicker on rows that are there, or is about them
				filled, err = true, u.fillTable(ctx)
			}
			statement := p.SQL
			if p.Kind == partForeign {
				statement = notValid(p)
			}
			if err == nil {
				err = u.soft(ctx, p, statement)
			}
		}
		if err != nil {
			return err
		}
	}
	if !filled {
		if err := u.fillTable(ctx); err != nil {
			return err
		}
	}
	u.t.Status, u.t.Done = database.TrashReturning, 0
	return writeTrash(ctx, u.conn, u.t)
}

func (u *undropping) fillTable(ctx context.Context) error {
	if len(u.t.Columns) == 0 {
		return nil
	}
	done, err := u.conn.Exec(ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s AS x", u.t.Ident,
		u.t.list(func(c copyColumn) string { return quote(c.Name) }), u.t.list(func(c copyColumn) string { return c.back("x." + quote(c.Name)) }), u.t.copyName()))
	u.t.Returned = done.RowsAffected()
	return err
}

// notValid has a foreign key not look at the rows that are there.
func notValid(p database.Part) string {
	if (p.Kind == partForeign || p.Kind == partCheck) && !strings.HasSuffix(p.SQL, " NOT VALID") {
		return p.SQL + " NOT VALID"
	}
	return p.SQL
}

// validate looks at the rows that are there, which keeps nobody from writing.
func (u *undropping) validate(ctx context.Context, p database.Part) error {
	table, _, ok := strings.Cut(p.SQL, " ADD CONSTRAINT ")
	if !ok || strings.HasSuffix(p.SQL, " NOT VALID") {
		return nil
	}
	return u.in(ctx, func() error {
		return u.soft(ctx, database.Part{Kind: p.Kind, Name: p.Name + " (NOT VALID)"}, table+" VALIDATE CONSTRAINT "+quote(p.Name))
	})
}
