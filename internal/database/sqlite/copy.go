package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

const (
	backupKind = "sqlite"
	stepPages  = 1024
	// maxRestarts is how often a copy may begin again because somebody wrote
	// meanwhile, before it keeps writers out.
	maxRestarts = 3
)

// Backup writes an encrypted copy of the file, page by page, to w. The plain
// copy it is made from lies in a folder only our user can enter, until it ends.
func (d *DB) Backup(ctx context.Context, w io.Writer, progress func(int64)) (info database.BackupInfo, err error) {
	err = d.inTemp(func(dir string) error {
		plain := filepath.Join(dir, "copy.db")
		if err := d.copyTo(ctx, plain); err != nil {
			return err
		}
		items, err := inspect(ctx, plain)
		if err != nil {
			return err
		}
		file, err := os.Open(plain)
		if err != nil {
			return err
		}
		defer file.Close()
		out, err := database.NewCopyWriter(w, d.key, progress)
		if err != nil {
			return err
		}
		if _, err := io.Copy(out, &cancellable{ctx, file}); err != nil {
			return err
		}
		if err := out.Close(); err != nil {
			return err
		}
		info = out.Info(backupKind, items)
		return nil
	})
	if err != nil {
		return database.BackupInfo{}, fmt.Errorf("back up %s: %w", d.path, d.explain(err))
	}
	return info, nil
}

const tempPrefix = "sqlite-copy-"

// inTemp calls do with a folder that is removed afterwards, or by a later call
// when this process is killed.
func (d *DB) inTemp(do func(dir string) error) (err error) {
	d.sweep()
	us := self()
	dir, err := os.MkdirTemp(d.tempDir, fmt.Sprintf("%s%d-%s-", tempPrefix, us.pid, us.start)) // 0700
	if err != nil {
		return fmt.Errorf("make folder for a copy: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return do(dir)
}

// sweep removes the plain copies that dead processes left in our own folder.
func (d *DB) sweep() {
	if d.tempDir == "" {
		return
	}
	left, _ := filepath.Glob(filepath.Join(d.tempDir, tempPrefix+"*"))
	for _, dir := range left {
		p := process{boot: bootID()}
		_, err := fmt.Sscanf(strings.ReplaceAll(strings.TrimPrefix(filepath.Base(dir), tempPrefix), "-", " "), "%d %s", &p.pid, &p.start)
		if err == nil && !p.alive() {
			_ = os.RemoveAll(dir) // the next call tries again
		}
	}
}

// copyTo copies the database to a file that does not exist yet. A database in
// WAL mode is read in one snapshot, which keeps nobody from writing; in other
// modes readers keep writers out, so the copy lets go between its steps.
func (d *DB) copyTo(ctx context.Context, path string) error {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	return d.read(ctx, func(conn *sql.Conn) error {
		var mode string
		if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
			return err
		}
		if mode == "wal" {
			if err := hold(ctx, conn); err != nil {
				return err
			}
			return copyPages(ctx, conn, path, -1)
		}
		err := copyPages(ctx, conn, path, maxRestarts)
		if !errors.Is(err, errRestarts) {
			return err
		}
		if err := hold(ctx, conn); err != nil {
			return err
		}
		return copyPages(ctx, conn, path, -1)
	})
}

// hold begins a snapshot.
func hold(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	var n int
	return conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&n)
}

var errRestarts = errors.New("others write faster than we copy")

// copyPages runs the backup API. It gives up after so many restarts, unless
// that is negative.
func copyPages(ctx context.Context, conn *sql.Conn, path string, restarts int) error {
	return conn.Raw(func(c any) (err error) {
		source, ok := c.(interface {
			NewBackup(string) (*sqlite.Backup, error)
		})
		if !ok {
			return errors.New("the SQLite driver has no backup API")
		}
		backup, err := source.NewBackup(dsn(path, "rw"))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, backup.Finish()) }()
		for last := -1; ; {
			if err := ctx.Err(); err != nil {
				return err
			}
			more, err := backup.Step(stepPages)
			if err != nil || !more {
				return err
			}
			left := backup.Remaining()
			if last >= 0 && left >= last && restarts >= 0 {
				if restarts--; restarts < 0 {
					return errRestarts
				}
			}
			last = left
		}
	})
}

// Verify decrypts a copy to its end and has SQLite check the file.
func (d *DB) Verify(ctx context.Context, r io.Reader) (info database.BackupInfo, err error) {
	err = d.inTemp(func(dir string) error {
		plain := filepath.Join(dir, "copy.db")
		in, err := d.decrypt(ctx, r, plain)
		if err != nil {
			return err
		}
		items, err := inspect(ctx, plain)
		if err != nil {
			return unusable(err)
		}
		info = in.Info(backupKind, items)
		return nil
	})
	if err != nil {
		return database.BackupInfo{}, err
	}
	return info, nil
}

// decrypt writes a copy's content to a file that only our user can read.
func (d *DB) decrypt(ctx context.Context, r io.Reader, path string) (*database.CopyReader, error) {
	in, err := database.NewCopyReader(r, d.key)
	if err != nil {
		return nil, unusable(err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("decrypt copy: %w", err)
	}
	_, err = io.Copy(file, &cancellable{ctx, in})
	if err != nil {
		return nil, errors.Join(unusable(err), file.Close())
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return nil, fmt.Errorf("decrypt copy: %w", err)
	}
	return in, nil
}

func unusable(err error) error {
	return ship.Errorf(ship.Failed, "make a new backup, and check the key of the encryption", "the copy cannot be restored from: %w", err)
}

// inspect checks a file of which nobody else knows and counts its tables.
func inspect(ctx context.Context, path string) (tables int, err error) {
	conn, done, err := connect(ctx, dsn(path, "rw"))
	if err != nil {
		return 0, err
	}
	defer done()
	problems, err := textRows(ctx, conn, "PRAGMA integrity_check(3)", nil)
	if err != nil {
		return 0, fmt.Errorf("check integrity: %w", err)
	}
	if len(problems) != 1 || problems[0][0] != "ok" {
		return 0, fmt.Errorf("check integrity: %q", problems)
	}
	err = conn.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`).Scan(&tables)
	return tables, err
}

// A cancellable reader ends with its context.
type cancellable struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancellable) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
