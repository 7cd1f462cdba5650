package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

// A shadow is a file beside the database, named after the process that made
// it, so that another rehearsal can tell when nobody needs it any more.
type shadow struct {
	*DB
	origin  string
	dropped bool
}

var (
	_ database.Shadower = (*DB)(nil)
	_ database.Shadow   = (*shadow)(nil)
)

const shadowInfix = ".rehearsal-"

// Shadow implements [database.Shadower].
func (d *DB) Shadow(ctx context.Context, o database.ShadowOptions) (database.Shadow, error) {
	size, err := d.Size(ctx)
	if err != nil {
		return nil, err
	}
	if !o.Empty && o.MaxSize > 0 && size > o.MaxSize {
		return nil, ship.Errorf(ship.Failed, "raise max_size, or rehearse in an environment with a smaller database",
			"%s has %d MiB, a rehearsal copies at most %d MiB", d.path, size>>20, o.MaxSize>>20)
	}
	d.sweepShadows()
	switch {
	case o.Empty:
		return d.copied(ctx, d.path, func(_ context.Context, path string) error { return os.WriteFile(path, nil, 0o600) })
	case o.From != nil:
		return d.copied(ctx, d.path, func(ctx context.Context, path string) error { return d.restored(ctx, o.From, path) })
	}
	return d.copied(ctx, d.path, d.copyTo)
}

// sweepShadows removes the copies whose makers are gone.
func (d *DB) sweepShadows() {
	left, _ := filepath.Glob(escape(d.path) + shadowInfix + "*")
	for _, path := range left {
		p := process{boot: bootID()}
		name := strings.TrimPrefix(path, d.path+shadowInfix)
		_, err := fmt.Sscanf(strings.ReplaceAll(name, "-", " "), "%d %s", &p.pid, &p.start)
		if err == nil && !p.alive() {
			_ = os.Remove(path) // the next call tries again
		}
	}
}

// escape makes a path mean itself in a pattern.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// restored fills a file from a backup.
func (d *DB) restored(ctx context.Context, backup io.Reader, path string) error {
	if _, err := d.decrypt(ctx, backup, path); err != nil {
		return err
	}
	if _, err := inspect(ctx, path); err != nil {
		return unusable(err)
	}
	return nil
}

// copied makes a shadow and has it filled.
func (d *DB) copied(ctx context.Context, origin string, fill func(context.Context, string) error) (*shadow, error) {
	us := self()
	path := fmt.Sprintf("%s%s%d-%s-%s", origin, shadowInfix, us.pid, us.start, rand.Text()[:8])
	copied := *d
	copied.path, copied.expected, copied.gauge = path, false, nil
	copied.url = elsewhere(d.url, path)
	s := &shadow{DB: &copied, origin: origin}
	if err := fill(ctx, path); err != nil {
		return nil, errors.Join(fmt.Errorf("copy %s: %w", d.path, d.explain(err)), s.Drop(ctx))
	}
	if err := sameOwner(origin, path); err != nil {
		return nil, errors.Join(err, s.Drop(ctx))
	}
	return s, nil
}

// sameOwner lets whoever uses the database use its copy: a tool may run as the
// application's user.
func sameOwner(origin, path string) error {
	info, err := os.Stat(origin)
	if errors.Is(err, os.ErrNotExist) {
		return nil // there is none yet, and the copy is empty
	}
	if err != nil {
		return fmt.Errorf("look at the owner of the database: %w", err)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil {
			return fmt.Errorf("give the copy to the owner of the database: %w", err)
		}
	}
	return nil
}

// elsewhere returns the URL of another file, written as the first was.
func elsewhere(secret ship.Secret, path string) ship.Secret {
	text := strings.TrimSpace(secret.Reveal())
	scheme, rest, ok := strings.Cut(text, ":")
	if !ok || strings.Contains(scheme, "/") {
		return ship.NewSecret(path)
	}
	_, query, asked := strings.Cut(rest, "?")
	path = (&url.URL{Path: path}).EscapedPath()
	if !strings.HasPrefix(scheme, "file") {
		path = "/" + path
	}
	text = scheme + "://" + path
	if asked {
		text += "?" + query
	}
	return ship.NewSecret(text)
}

// URL implements [database.Shadow].
func (s *shadow) URL() ship.Secret { return s.url }

// AppURL implements [database.Shadow].
func (s *shadow) AppURL() (ship.Secret, error) { return s.url, nil }

// Seen returns nothing: SQLite keeps no statements.
func (s *shadow) Seen() []string { return nil }

// Clone implements [database.Shadow].
func (s *shadow) Clone(ctx context.Context) (database.Shadow, error) {
	return s.copied(ctx, s.origin, s.copyTo)
}

// Drop implements [database.Shadow].
func (s *shadow) Drop(context.Context) error {
	if s.dropped {
		return nil
	}
	s.dropped = true
	return remove(s.path, s.path+"-wal", s.path+"-shm", s.path+"-journal")
}

// An app is a connection like the application's, with foreign keys enforced.
type app struct {
	conn *sql.Conn
	done func()
}

// App implements [database.Shadow].
func (s *shadow) App(ctx context.Context) (database.Session, error) {
	conn, done, err := s.open(ctx, "rw", s.lockTimeout, "foreign_keys(1)")
	if err != nil {
		return nil, err
	}
	return &app{conn, done}, nil
}

func (a *app) Role() string { return "the application (SQLite has no roles)" }

// Prepare is not needed: SQLite prepares anew what a change made stale.
func (a *app) Prepare(context.Context, string) (string, error) { return "", errors.ErrUnsupported }

// exec counts the rows of a query by reading them.
func (a *app) exec(ctx context.Context, statement string) (n int64, err error) {
	rows, err := a.conn.QueryContext(ctx, statement)
	if err != nil {
		return 0, refused(ctx, err)
	}
	for rows.Next() {
		n++
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil { //nolint:sqlclosecheck // what follows needs the connection
		return 0, refused(ctx, err)
	}
	if n == 0 {
		err = a.conn.QueryRowContext(ctx, "SELECT changes()").Scan(&n)
	}
	return n, err
}

func refused(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return &database.Refused{Message: err.Error()}
}

// Try implements [database.Session].
func (a *app) Try(ctx context.Context, commit bool, statements ...string) (n int64, err error) {
	if _, err := a.conn.ExecContext(ctx, "BEGIN"); err != nil {
		return 0, err
	}
	for _, s := range statements {
		if n, err = a.exec(ctx, s); err != nil {
			break
		}
	}
	end := "ROLLBACK"
	if commit && err == nil {
		end = "COMMIT"
	}
	if _, failed := a.conn.ExecContext(ctx, end); failed != nil && err == nil {
		err = refused(ctx, failed)
		_, _ = a.conn.ExecContext(ctx, "ROLLBACK") // a deferred key that is broken leaves it open
	}
	return n, err
}

func (a *app) Close(context.Context) error {
	a.done()
	return nil
}
