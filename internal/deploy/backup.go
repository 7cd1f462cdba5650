package deploy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/atomicfile"
	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/failpoint"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
)

// backup saves the database and proves that the copy can be restored from.
func backup(ctx context.Context, w *work) (string, any, error) {
	b := w.run.Request.Environment.Database.Backup
	if b.Kind == "command" {
		r, err := w.command(ctx, migrate.Command{Name: "backup", Argv: b.Command, Timeout: w.current.Timeout})
		if err != nil {
			return "", nil, err
		}
		if r.Code != 0 {
			return "", nil, ship.Errorf(ship.Failed, "shiplock logs "+w.env().Name+" --job "+w.run.ID+".backup", "the backup command ended with exit code %d", r.Code)
		}
		return "the backup command ended well", nil, nil
	}
	c, err := w.copyTo(ctx)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("%s of %s, %d KiB, verified, in %s", c.Info.Kind, w.db.Name(), c.Info.Size>>10, c.Path), c, nil
}

// copyTo writes the copy of a run, and beside it what is known of it.
func (w *work) copyTo(ctx context.Context) (Copy, error) {
	path, err := w.backupPath()
	if err != nil {
		return Copy{}, err
	}
	c := Copy{Path: path, Run: w.run.ID, Environment: w.env(), Release: w.run.Request.Release.Number}
	// Before the copy: what is written while it is made may not be in it.
	if c.Mark, _, err = w.db.Written(ctx, ""); err != nil {
		w.event(ctx, ship.EventNote, "what is written after the backup will not be known: "+err.Error(), nil)
	}
	if c.Info, err = Backup(ctx, w.db, path, w.progress(ctx)); err != nil {
		return Copy{}, err
	}
	return c, c.save()
}

func (w *work) backupDir() string {
	dir := filepath.Join(w.e.Dir, "backups")
	if to := w.run.Request.Environment.Database.Backup.To; to != "" {
		dir = strings.TrimPrefix(to, "file://")
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(w.e.Dir, dir)
		}
	}
	return filepath.Join(dir, w.env().App, w.env().Name)
}

func (w *work) backupPath() (string, error) {
	dir := w.backupDir()
	return filepath.Join(dir, w.run.ID+copySuffix), os.MkdirAll(dir, 0o700)
}

// Backup writes an encrypted, verified copy of db to path. A file of that name
// appears only when it is whole.
func Backup(ctx context.Context, db database.Database, path string, progress func(string)) (database.BackupInfo, error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".backup-*")
	if err != nil {
		return database.BackupInfo{}, fmt.Errorf("backup: %w", err)
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	if err := failpoint.Hit("write backup"); err != nil {
		return database.BackupInfo{}, fmt.Errorf("backup: %w", err)
	}
	last := time.Now()
	info, err := db.Backup(ctx, tmp, func(n int64) {
		if time.Since(last) > time.Second {
			last = time.Now()
			progress(fmt.Sprintf("%d MiB written", n>>20))
		}
	})
	if err != nil {
		return info, fmt.Errorf("backup: %w", err)
	}
	if err := errors.Join(failpoint.Hit("sync backup"), tmp.Sync()); err != nil {
		return info, fmt.Errorf("backup: %w", err)
	}
	if err := verify(ctx, db, tmp.Name(), info); err != nil {
		return info, err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return info, fmt.Errorf("backup: %w", err)
	}
	return info, atomicfile.SyncDir(filepath.Dir(path))
}

func verify(ctx context.Context, db database.Database, path string, want database.BackupInfo) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := db.Verify(ctx, f)
	if err != nil {
		return fmt.Errorf("verify backup: %w", err)
	}
	if got.SHA256 != want.SHA256 || got.Size != want.Size {
		return ship.Errorf(ship.Failed, "look at the disk", "verify backup: %d bytes were written, %d other ones read", want.Size, got.Size)
	}
	return nil
}

// restore puts the run's own backup back. It is only called where writes were
// closed before it was taken.
func (w *work) restore(ctx context.Context, served ship.Slot) (string, error) {
	var b Copy
	if !w.evidence(plan.Backup, &b) || b.Path == "" {
		return "", errors.New("this run has no backup that it can restore itself")
	}
	f, err := os.Open(b.Path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return w.putBack(ctx, f, served)
}
