package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/shiplock/shiplock/internal/ship"
)

// Verify checks that every file of the manifest is in the tree with its
// content and its execute bit, and names the first that is not. It is asked
// right before a release is started, because between unpacking and starting
// somebody may have written to the folder. Files that are in the tree besides
// are no concern of it: preparing a release makes some.
func Verify(ctx context.Context, dir *os.Root, m *Manifest) error {
	// Files are read side by side, each by the next reader that is free.
	var next atomic.Int64
	failed := make([]error, len(m.Files))
	var readers sync.WaitGroup
	for range min(maxReaders, runtime.GOMAXPROCS(0)) {
		readers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(m.Files) {
					return
				}
				if failed[i] = verifyFile(ctx, dir, m.Files[i]); failed[i] != nil {
					next.Store(int64(len(m.Files))) // nobody need go on
					return
				}
			}
		})
	}
	readers.Wait()
	for _, err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}

// maxReaders bounds how many files are read side by side.
const maxReaders = 4

func verifyFile(ctx context.Context, dir *os.Root, f File) error {
	changed := func(format string, args ...any) error {
		return ship.Errorf(ship.Failed, "remove the folder and deploy the release again",
			"release was changed after it was unpacked: %s %s", f.Path, fmt.Sprintf(format, args...))
	}
	// Lstat before Open: a pipe or a device in its place would hang us.
	info, err := dir.Lstat(f.Path)
	if err != nil {
		return changed("is gone or cannot be read (%v)", err)
	}
	if !info.Mode().IsRegular() {
		return changed("is no plain file any more (%s)", info.Mode())
	}
	if info.Size() != f.Size {
		return changed("has %d bytes instead of %d", info.Size(), f.Size)
	}
	if exec := info.Mode()&0o100 != 0; exec != f.Executable {
		return changed("has mode %s", info.Mode())
	}
	src, err := dir.Open(f.Path)
	if err != nil {
		return changed("cannot be read (%v)", err)
	}
	defer src.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, cancellable(ctx, io.LimitReader(src, f.Size+1))); err != nil {
		return fmt.Errorf("verify %s: %w", f.Path, err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return changed("has another content")
	}
	return nil
}
