package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/shiplock/shiplock/internal/atomicfile"
	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

// exclusiveTries is how many lock time-outs we wait for others to close the file.
const exclusiveTries = 10

// Restore restores the copy into a file beside the database and puts it in its
// place. Called again after a crash it looks at which files exist and goes on
// from there. A process that keeps the former file open would go on seeing
// that one: in WAL mode Restore waits a while for such processes and then
// fails; in other modes SQLite itself refuses their next write.
func (d *DB) Restore(ctx context.Context, f ship.Fence, r io.Reader) (kept string, err error) {
	fresh, kept := fmt.Sprintf("%s.shiplock-%d", d.path, f.Epoch), fmt.Sprintf("%s.before-%d", d.path, f.Epoch)
	live, err := os.Stat(d.path)
	if errors.Is(err, os.ErrNotExist) {
		return "", ship.Errorf(ship.NotFound, "", "there is no database %s", d.path)
	}
	if err != nil {
		return "", fmt.Errorf("restore %s: %w", d.path, err)
	}
	if former, err := os.Stat(kept); err == nil && !os.SameFile(former, live) {
		return kept, nil // an earlier call has switched
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("restore %s: %w", d.path, d.explain(err)), remove(fresh, fresh+"-wal", fresh+"-shm", fresh+"-journal"))
			kept = ""
		}
	}()
	if err := d.fill(ctx, f, r, fresh, live); err != nil {
		return "", err
	}
	return kept, d.swap(ctx, f, fresh, kept)
}

// fill makes the fresh file: sound, with the fence raised, on the disk.
func (d *DB) fill(ctx context.Context, f ship.Fence, r io.Reader, fresh string, live os.FileInfo) error {
	if err := remove(fresh, fresh+"-wal", fresh+"-shm", fresh+"-journal"); err != nil {
		return err
	}
	if _, err := d.decrypt(ctx, r, fresh); err != nil {
		return err
	}
	if _, err := inspect(ctx, fresh); err != nil {
		return unusable(err)
	}
	if err := raise(ctx, f, fresh); err != nil {
		return err
	}
	if owner, ok := live.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		if err := os.Chown(fresh, int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	if err := os.Chmod(fresh, live.Mode().Perm()); err != nil {
		return err
	}
	file, err := os.OpenFile(fresh, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// raise gives the restored file the fence: its own is as old as the copy.
func raise(ctx context.Context, f ship.Fence, path string) error {
	conn, done, err := connect(ctx, dsn(path, "rw"))
	if err != nil {
		return err
	}
	defer done() // the last connection moves the write-ahead log into the file
	return inTransaction(ctx, conn, func() error {
		if _, err := conn.ExecContext(ctx, ledgerSchema); err != nil {
			return fmt.Errorf("create ledger: %w", err)
		}
		return writeOwner(ctx, conn, owner{fence: f, holder: "restore"})
	})
}

// swap puts fresh in the place of the database while nobody else can read or
// write it. There is no moment without a file of the name.
func (d *DB) swap(ctx context.Context, f ship.Fence, fresh, kept string) error {
	conn, done, err := d.open(ctx, "rw", exclusiveTries*d.lockTimeout, "locking_mode(EXCLUSIVE)")
	if err != nil {
		return err
	}
	defer done()
	if err := d.exclude(ctx, conn); err != nil {
		return err
	}
	now, err := readOwner(ctx, conn)
	if err != nil {
		return err
	}
	if now.fence.Epoch > f.Epoch {
		return database.Fenced(f, now.fence.Epoch)
	}
	if err := remove(kept); err != nil { // of a call that ended before the switch; it is the database itself
		return err
	}
	if err := os.Link(d.path, kept); err != nil {
		return err
	}
	if err := os.Rename(fresh, d.path); err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(d.path))
}

// exclude waits until nobody else has the file open in WAL mode, empties the
// write-ahead log, and keeps everybody out until the connection is closed.
func (d *DB) exclude(ctx context.Context, conn *sql.Conn) error {
	for _, statement := range []string{"BEGIN EXCLUSIVE", "COMMIT", "PRAGMA wal_checkpoint(TRUNCATE)", "BEGIN EXCLUSIVE"} {
		if _, err := conn.ExecContext(ctx, statement); hasCode(err, codeBusy, codeLocked) {
			return ship.Errorf(ship.Locked, "stop the application's processes, then try again",
				"another process has %s open: %w", d.path, err)
		} else if err != nil {
			return fmt.Errorf("lock the file: %w", err)
		}
	}
	if info, err := os.Stat(d.path + "-wal"); err == nil && info.Size() > 0 {
		return fmt.Errorf("the write-ahead log of %s could not be emptied", d.path)
	}
	return nil
}

func remove(paths ...string) error {
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
