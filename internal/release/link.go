package release

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/shiplock/shiplock/internal/atomicfile"
	"github.com/shiplock/shiplock/internal/ship"
)

// Link keeps the archive that another store of ours has at path on the same
// file system, without copying it. It is refused when it is not a file of our
// own that nobody may write to, or has another digest. Whoever cannot be linked
// to can be copied: see [Store.Put].
func (s *Store) Link(ctx context.Context, digest, path string) (err error) {
	to, err := s.path(digest)
	if err != nil {
		return err
	}
	tmp := filepath.Join(s.dir, uploadPrefix+rand.Text())
	if err := os.Link(path, tmp); err != nil {
		return fmt.Errorf("link release: %w", err)
	}
	defer func() { _ = os.Remove(tmp) }() // gone already when it was renamed
	f, err := os.OpenFile(tmp, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("link release: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("link release: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) != os.Geteuid() || !info.Mode().IsRegular() || info.Mode().Perm()&0o222 != 0 {
		return ship.Errorf(ship.Invalid, "upload it", "%s is not a file of ours that nobody may write to", path)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, cancellable(ctx, f)); err != nil {
		return fmt.Errorf("link release: %w", err)
	}
	if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); got != digest {
		return ship.Errorf(ship.Invalid, "upload it again", "%s has digest %s instead of %s", path, got, digest)
	}
	if _, err := openArchive(f, info.Size(), s.limits); err != nil {
		return err
	}
	if err := os.Rename(tmp, to); err != nil {
		return fmt.Errorf("link release: %w", err)
	}
	return errors.Join(err, atomicfile.SyncDir(s.dir))
}
