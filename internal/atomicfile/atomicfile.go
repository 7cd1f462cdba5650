// Package atomicfile replaces files so that a reader, or a crash, finds either
// the old content or the new, never a part.
package atomicfile

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/shiplock/shiplock/internal/failpoint"
)

// Write replaces the file at path by data with the given mode. When it returns
// without an error the content and the name have reached the disk.
func Write(path string, data []byte, mode os.FileMode) (err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = tmp.Close()
			_ = os.Remove(tmp.Name())
		}
	}()
	if err := tmp.Chmod(mode); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	name := filepath.Base(path)
	for _, act := range []func() error{
		func() error { return failpoint.Hit("write " + name) },
		func() error { _, err := tmp.Write(data); return err },
		func() error { return failpoint.Hit("sync " + name) },
		tmp.Sync,
		tmp.Close,
		func() error { return failpoint.Hit("rename " + name) },
		func() error { return os.Rename(tmp.Name(), path) },
	} {
		if err := act(); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	return SyncDir(dir)
}

// SyncDir makes the names in dir durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
