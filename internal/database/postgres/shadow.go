package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

const (
	shadowInfix = "_rehearsal_"
	// keeper is the application_name of the session that shows that somebody
	// still needs a shadow. The server would cut a longer name than a token's.
	keeper    = "shiplock rehearsal="
	tokenSize = 4 // bytes; twice as many characters
)

// A shadow is a database beside ours, filled by pg_dump and pg_restore. It
// lives as long as the session that made it: another rehearsal drops what has
// no such session any more.
type shadow struct {
	*DB
	app    ship.Secret
	seen   []string
	admin  *pgx.Conn // keeps it; nil once it is dropped
	origin string    // name of the database it is a copy of
}

var (
	_ database.Shadower = (*DB)(nil)
	_ database.Shadow   = (*shadow)(nil)
)

// Shadow implements [database.Shadower].
func (d *DB) Shadow(ctx context.Context, o database.ShadowOptions) (database.Shadow, error) {
	size, err := d.Size(ctx)
	if err != nil {
		return nil, err
	}
	if !o.Empty && o.MaxSize > 0 && size > o.MaxSize {
		return nil, ship.Errorf(ship.Failed, "raise max_size, or rehearse in an environment with a smaller database",
			"%s has %d MiB, a rehearsal copies at most %d MiB", d.Name(), size>>20, o.MaxSize>>20)
	}
	s, err := d.newShadow(ctx, o.App)
	if err != nil {
		return nil, err
	}
	if o.Empty {
		err = s.empty(ctx, d)
	} else if s.seen, err = d.statementsSeen(ctx); err == nil {
		err = s.fill(ctx, d, o.From)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("copy %s: %w", d.Name(), d.explain(err)), s.Drop(ctx))
	}
	return s, nil
}

// newShadow names a shadow and opens the session that keeps it, after it
// dropped those that nobody keeps.
func (d *DB) newShadow(ctx context.Context, app ship.Secret) (*shadow, error) {
	var random [tokenSize]byte
	_, _ = rand.Read(random[:]) // it never fails
	token := hex.EncodeToString(random[:])
	prefix := shadowPrefix(d.conn.Database)
	copied := *d
	copied.conn = d.conn.Copy()
	copied.conn.Database = prefix + token
	s := &shadow{DB: &copied, app: app, origin: d.conn.Database}
	var err error
	if copied.url, err = elsewhere(d.url, copied.conn.Database); err != nil {
		return nil, err
	}
	if s.admin, err = d.connectAdmin(ctx); err != nil {
		return nil, err
	}
	if _, err := s.admin.Exec(ctx, "SELECT set_config('application_name', $1, false)", keeper+token); err != nil {
		return nil, errors.Join(err, s.Drop(ctx))
	}
	if err := settle(ctx, s.admin); err != nil {
		return nil, errors.Join(err, s.Drop(ctx))
	}
	if err := sweep(ctx, s.admin, prefix); err != nil {
		return nil, errors.Join(err, s.Drop(ctx))
	}
	return s, nil
}

// shadowPrefix is what the names of a database's shadows begin with.
func shadowPrefix(name string) string {
	name, _, _ = strings.Cut(name, shadowInfix) // a clone is named like its original
	room := min(len(name), nameLimit-len(shadowInfix)-2*tokenSize)
	return strings.ToValidUTF8(name[:room], "") + shadowInfix
}

// elsewhere returns a URL of another database with the same role.
func elsewhere(secret ship.Secret, name string) (ship.Secret, error) {
	u, err := url.Parse(strings.TrimSpace(secret.Reveal()))
	if err != nil {
		return ship.Secret{}, ship.Errorf(ship.Invalid, "", "the database URL cannot be parsed")
	}
	u.Path, u.RawPath = "/"+name, ""
	return ship.NewSecret(u.String()), nil
}

// sweep drops the shadows that no session keeps.
func sweep(ctx context.Context, admin *pgx.Conn, prefix string) error {
	rows, err := admin.Query(ctx, `SELECT d.datname FROM pg_database d WHERE starts_with(d.datname, $1) AND NOT EXISTS (
		SELECT FROM pg_stat_activity a WHERE a.application_name = $2 || right(d.datname, $3))`, prefix, keeper, 2*tokenSize)
	if err != nil {
		return fmt.Errorf("look for copies that were left: %w", err)
	}
	left, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look for copies that were left: %w", err)
	}
	for _, name := range left {
		if token, err := hex.DecodeString(name[len(prefix):]); err != nil || len(token) != tokenSize {
			continue // somebody else's
		}
		job := &restoration{admin: admin, fresh: name}
		if err := job.drop(ctx); err != nil {
			return fmt.Errorf("drop a copy that was left: %w", err)
		}
	}
	return nil
}

// fill makes the database and pipes a dump into it, or a backup.
func (s *shadow) fill(ctx context.Context, from *DB, backup io.Reader) error {
	bin, err := from.bin(ctx)
	if err != nil {
		return err
	}
	name := s.conn.Database
	job := &restoration{db: from, admin: s.admin, live: from.conn.Database, fresh: name}
	if err := job.create(ctx); err != nil {
		return err
	}
	if backup != nil {
		err = s.restored(ctx, from, bin, backup)
	} else {
		err = s.pipe(ctx, from, bin)
	}
	if err != nil {
		return err
	}
	if err := job.settings(ctx); err != nil {
		return fmt.Errorf("copy settings of the database: %w", err)
	}
	return s.read(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "ANALYZE")
		return err
	})
}

// empty makes the database with the extensions of the other, which a role that
// only migrates may not be able to make.
func (s *shadow) empty(ctx context.Context, from *DB) error {
	job := &restoration{db: from, admin: s.admin, live: from.conn.Database, fresh: s.conn.Database}
	if err := job.create(ctx); err != nil {
		return err
	}
	if err := job.settings(ctx); err != nil {
		return fmt.Errorf("copy settings of the database: %w", err)
	}
	var names []string
	err := from.read(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "SELECT extname::text FROM pg_extension")
		if err != nil {
			return err
		}
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return fmt.Errorf("list extensions: %w", err)
	}
	return s.read(ctx, func(conn *pgx.Conn) error {
		for _, name := range names {
			_, err := conn.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS "+quote(name))
			if err != nil && !hasCode(err, "42501", "3F000", "0A000", "55000") { // it is missing then, and named
				return fmt.Errorf("create extension %s: %w", name, err)
			}
		}
		return nil
	})
}

func (s *shadow) pipe(ctx context.Context, from *DB, bin string) error {
	ctx, stop := context.WithCancel(ctx) // ends the dump when nobody reads it any more
	defer stop()
	read, write := io.Pipe()
	dump := from.command(ctx, filepath.Join(bin, "pg_dump"), from.conn.Database,
		"--format=custom", "--compress=0", "--no-password", fmt.Sprintf("--lock-wait-timeout=%d", from.lockTimeout.Milliseconds()))
	dump.Stdout = write
	if err := dump.Start(); err != nil {
		return err
	}
	dumped := make(chan error, 1)
	go func() {
		err := dump.explain(dump.Wait())
		_ = write.CloseWithError(err) // a cut dump is not taken for a whole one
		dumped <- err
	}()
	err := feed(read, s.restore(ctx, from, bin))
	stop()
	_ = read.Close()
	if failed := <-dumped; err == nil {
		err = failed
	}
	return err
}

func (s *shadow) restore(ctx context.Context, from *DB, bin string) *tool {
	return from.command(ctx, filepath.Join(bin, "pg_restore"), s.conn.Database, "--exit-on-error", "--no-password", "--dbname="+s.conn.Database)
}

// restored pipes a backup into it, as a restore would.
func (s *shadow) restored(ctx context.Context, from *DB, bin string, backup io.Reader) error {
	plain, err := database.NewCopyReader(backup, from.key)
	if err != nil {
		return unusable(err)
	}
	if err := feed(plain, s.restore(ctx, from, bin)); err != nil {
		return ship.Errorf(ship.Failed, "make a new backup, and check the key of the encryption", "the backup cannot be restored into a copy: %w", errors.Join(ctx.Err(), err))
	}
	return nil
}

// URL implements [database.Shadow].
func (s *shadow) URL() ship.Secret { return s.url }

// AppURL implements [database.Shadow].
func (s *shadow) AppURL() (ship.Secret, error) {
	if s.app.Reveal() == "" {
		return s.url, nil
	}
	return elsewhere(s.app, s.conn.Database)
}

// Seen implements [database.Shadow].
func (s *shadow) Seen() []string { return s.seen }

// Clone copies the files of the shadow, which nobody else may be connected to.
func (s *shadow) Clone(ctx context.Context) (database.Shadow, error) {
	c, err := s.newShadow(ctx, s.app)
	if err != nil {
		return nil, err
	}
	c.gauge, c.origin = nil, s.origin
	job := &restoration{admin: c.admin}
	if err := job.empty(ctx, s.conn.Database); err == nil {
		err = job.exec(ctx, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", quote(c.conn.Database), quote(s.conn.Database)))
		if err == nil {
			return c, nil
		}
		return nil, errors.Join(fmt.Errorf("clone %s: %w", s.conn.Database, err), c.Drop(ctx))
	}
	return nil, errors.Join(fmt.Errorf("clone %s: %w", s.conn.Database, err), c.Drop(ctx))
}

// Drop implements [database.Shadow].
func (s *shadow) Drop(ctx context.Context) error {
	if s.admin == nil {
		return nil
	}
	ctx, cancel := cleanup(ctx)
	defer cancel()
	job := &restoration{admin: s.admin, fresh: s.conn.Database}
	err := job.drop(ctx)
	closeConn(ctx, s.admin)
	s.admin = nil
	if err != nil {
		return s.explain(err)
	}
	return nil
}

// mostSeen bounds how many statements are taken over.
const mostSeen = 500

// statementsSeen reads pg_stat_statements where it is there and may be read.
func (d *DB) statementsSeen(ctx context.Context) ([]string, error) {
	var all []string
	err := d.read(ctx, func(conn *pgx.Conn) error {
		var schema string
		err := conn.QueryRow(ctx, `SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
			WHERE e.extname = 'pg_stat_statements'`).Scan(&schema)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		rows, err := conn.Query(ctx, fmt.Sprintf(`SELECT query FROM %s.pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND query ~* '^\s*(select|insert|update|delete|with)\M' AND query !~ '_shiplock|pg_catalog|pg_stat_' ORDER BY calls DESC LIMIT %d`, schema, mostSeen))
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if hasCode(err, "55000", "42501") { // it is not loaded, or not ours to read
		return nil, nil
	}
	return all, err
}
