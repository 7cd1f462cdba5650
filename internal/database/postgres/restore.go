package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

// A restoration puts a copy into a database beside ours and switches the two.
type restoration struct {
	db    *DB
	fence ship.Fence
	admin *pgx.Conn // to another database: one cannot rename what one is connected to
	live  string
	fresh string // what is restored into
	kept  string // what the former database is called afterwards
}

// Restore restores the copy and switches. Called again after a crash it looks
// at which databases exist and goes on from there. The switch ends every
// session in the database, that of a migration lock included.
func (d *DB) Restore(ctx context.Context, f ship.Fence, r io.Reader) (kept string, err error) {
	admin, err := d.connectAdmin(ctx)
	if err != nil {
		return "", err
	}
	defer closeConn(ctx, admin)
	job := &restoration{
		db: d, fence: f, admin: admin, live: d.conn.Database,
		fresh: d.beside("_shiplock_", f.Epoch), kept: d.beside("_before_", f.Epoch),
	}
	if err := job.run(ctx, r); err != nil {
		return "", fmt.Errorf("restore %s: %w", d.Name(), d.explain(err))
	}
	return job.kept, nil
}

// beside returns the database's name with a suffix, within the server's limit.
func (d *DB) beside(infix string, epoch int64) string {
	suffix := fmt.Sprintf("%s%d", infix, epoch)
	room := min(len(d.conn.Database), nameLimit-len(suffix))
	return strings.ToValidUTF8(d.conn.Database[:room], "") + suffix
}

func (d *DB) connectAdmin(ctx context.Context) (*pgx.Conn, error) {
	var failed error
	for _, name := range []string{"postgres", "template1", "defaultdb"} {
		if name == d.conn.Database {
			continue
		}
		conn, err := d.connect(ctx, reader, name)
		if err == nil {
			return conn, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, unreachable("let the migration role connect to the database postgres", "no database to rename %s from: %w", d.Name(), failed)
}

func (j *restoration) run(ctx context.Context, r io.Reader) error {
	live, err := j.exists(ctx, j.live)
	if err != nil {
		return err
	}
	kept, err := j.exists(ctx, j.kept)
	if err != nil {
		return err
	}
	fresh, err := j.exists(ctx, j.fresh)
	if err != nil {
		return err
	}
	switch {
	case kept && live && !fresh:
		return j.finish(ctx) // an earlier call has switched
	case kept && !live && fresh:
		return j.replace(ctx) // it ended between the two renames
	case !live:
		return ship.Errorf(ship.NotFound, "", "there is no database %s", j.live)
	case kept:
		return ship.Errorf(ship.Failed, "rename or drop "+j.kept, "the name %s is taken", j.kept)
	}
	// What another call began to restore is of unknown worth.
	if err := j.check(ctx, true); err != nil {
		return err
	}
	if err := j.fill(ctx, r); err != nil {
		clean, cancel := cleanup(ctx)
		defer cancel()
		return errors.Join(err, j.drop(clean))
	}
	return j.change(ctx)
}

func (j *restoration) exists(ctx context.Context, name string) (found bool, err error) {
	err = j.admin.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&found)
	return found, err
}

// check fails when a newer epoch owns the database. A call that ended after it
// had closed the database to everybody left it closed: open lets it be looked at.
func (j *restoration) check(ctx context.Context, open bool) error {
	if open {
		if err := j.allow(ctx, j.live, true); err != nil {
			return err
		}
	}
	epoch, err := j.db.Epoch(ctx)
	if err != nil {
		return err
	}
	if epoch > j.fence.Epoch {
		return database.Fenced(j.fence, epoch)
	}
	return nil
}

// fill makes the fresh database, complete but for its name.
func (j *restoration) fill(ctx context.Context, r io.Reader) error {
	bin, err := j.db.bin(ctx)
	if err != nil {
		return err
	}
	plain, err := database.NewCopyReader(r, j.db.key)
	if err != nil {
		return unusable(err)
	}
	if err := j.drop(ctx); err != nil {
		return err
	}
	if err := j.create(ctx); err != nil {
		return err
	}
	restore := j.db.command(ctx, filepath.Join(bin, "pg_restore"), j.fresh, "--exit-on-error", "--no-password", "--dbname="+j.fresh)
	if err := feed(plain, restore); err != nil {
		return ship.Errorf(ship.Failed, "", "%w", errors.Join(ctx.Err(), err))
	}
	if err := j.settings(ctx); err != nil {
		return fmt.Errorf("copy settings of the database: %w", err)
	}
	return j.raise(ctx)
}

// raise gives the restored database the fence: its own is as old as the copy.
func (j *restoration) raise(ctx context.Context) error {
	conn, err := j.db.connect(ctx, reader, j.fresh)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	if _, err := conn.Exec(ctx, "ANALYZE"); err != nil {
		return fmt.Errorf("analyse: %w", err) // without statistics the first queries would be slow
	}
	return inTransaction(ctx, conn, j.db.lockTimeout, func() error {
		if err := createLedger(ctx, conn); err != nil {
			return err
		}
		// The copy may be of a database with a history elsewhere: its epoch is not ours.
		_, err := conn.Exec(ctx, "DELETE FROM _shiplock.fence")
		if err != nil {
			return fmt.Errorf("reset fence: %w", err)
		}
		return raise(ctx, conn, j.fence, "restore")
	})
}

// change closes the live database, and renames.
func (j *restoration) change(ctx context.Context) (err error) {
	if err := j.check(ctx, false); err != nil {
		return err
	}
	if err := j.allow(ctx, j.live, false); err != nil {
		return err
	}
	defer func() {
		if err != nil { // the old one goes on serving
			clean, cancel := cleanup(ctx)
			defer cancel()
			if still, _ := j.exists(clean, j.live); still {
				err = errors.Join(err, j.allow(clean, j.live, true))
			}
		}
	}()
	if err := j.empty(ctx, j.live); err != nil {
		return err
	}
	if err := j.rename(ctx, j.live, j.kept); err != nil {
		return err
	}
	return j.replace(ctx)
}

func (j *restoration) replace(ctx context.Context) error {
	// From here there is no database of the name: nobody is served by stopping.
	ctx, cancel := cleanup(ctx)
	defer cancel()
	if err := j.empty(ctx, j.fresh); err != nil {
		return err
	}
	if err := j.rename(ctx, j.fresh, j.live); err != nil {
		return err
	}
	return j.finish(ctx)
}

// finish opens both: the kept one for whoever has to fetch rows from it.
func (j *restoration) finish(ctx context.Context) error {
	return errors.Join(j.allow(ctx, j.live, true), j.allow(ctx, j.kept, true))
}

func (j *restoration) allow(ctx context.Context, name string, yes bool) error {
	if err := j.exec(ctx, fmt.Sprintf("ALTER DATABASE %s ALLOW_CONNECTIONS %t", quote(name), yes)); err != nil {
		return fmt.Errorf("open or close database %s: %w", name, err)
	}
	return nil
}

func (j *restoration) rename(ctx context.Context, from, to string) error {
	if err := j.exec(ctx, fmt.Sprintf("ALTER DATABASE %s RENAME TO %s", quote(from), quote(to))); err != nil {
		return fmt.Errorf("rename database %s to %s: %w", from, to, err)
	}
	return nil
}

func (j *restoration) drop(ctx context.Context) error {
	if err := j.empty(ctx, j.fresh); err != nil {
		return err
	}
	if err := j.exec(ctx, "DROP DATABASE IF EXISTS "+quote(j.fresh)); err != nil {
		return fmt.Errorf("drop %s: %w", j.fresh, err)
	}
	return nil
}

// empty ends the sessions in a database and waits until they are gone.
func (j *restoration) empty(ctx context.Context, name string) error {
	for pause := pollMin; ; pause = min(2*pause, pollMax) {
		left, err := sessions(ctx, j.admin, `SELECT pid, coalesce(application_name, '') FROM pg_stat_activity
			WHERE datname = $1 AND pid <> pg_backend_pid()`, name)
		if err != nil {
			return fmt.Errorf("list sessions of %s: %w", name, err)
		}
		if len(left) == 0 {
			return nil
		}
		for _, s := range left {
			if _, err := j.admin.Exec(ctx, "SELECT pg_terminate_backend($1)", s.pid); hasCode(err, "42501") {
				return unreachable("GRANT pg_signal_backend TO the migration role", "may not end session %s in %s: %w", s, name, err)
			} else if err != nil {
				return fmt.Errorf("end session %s: %w", s, err)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("session %s in %s has not ended: %w", left[0], name, ctx.Err())
		case <-time.After(pause):
		}
	}
}

func (j *restoration) exec(ctx context.Context, sql string) error {
	_, err := j.admin.Exec(ctx, sql)
	return err
}
