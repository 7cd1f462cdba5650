package release

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/shiplock/shiplock/internal/failpoint"
	"github.com/shiplock/shiplock/internal/ship"
)

// Unpack writes the files of an archive of size bytes into root, an empty
// folder, after it has found that the archive has the digest. It trusts
// nothing in the archive: names, modes, sizes and contents have to be such as
// [Pack] allows and as the manifest says, and every file is created through
// root. The zero Limits mean [DefaultLimits]. Files get mode 0644 or 0755
// whatever the umask is. What is there after an error is to be removed; after
// a crash [Verify] tells whether all of it has reached the disk.
func Unpack(ctx context.Context, r io.ReaderAt, size int64, digest string, root *os.Root, l Limits) (*Manifest, error) {
	l = l.orDefault()
	if err := checkDigest(digest); err != nil {
		return nil, err
	}
	if err := checkEmpty(root); err != nil {
		return nil, err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, cancellable(ctx, io.NewSectionReader(r, 0, size))); err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); got != digest {
		return nil, ship.Errorf(ship.Invalid, "upload the release again", "archive has digest %s instead of %s", got, digest)
	}
	a, err := openArchive(r, size, l)
	if err != nil {
		return nil, err
	}
	u := &unpacker{root: root, dirs: map[string]bool{".": true}}
	if err := a.each(func(f *zip.File, want File) error { return u.extract(ctx, f, want) }); err != nil {
		return nil, err
	}
	return a.manifest, nil
}

func checkEmpty(root *os.Root) error {
	found, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	if len(found) > 0 {
		return fmt.Errorf("unpack: %s is not empty, it has %q", root.Name(), found[0].Name())
	}
	return nil
}

type unpacker struct {
	root *os.Root
	dirs map[string]bool // made
}

func (u *unpacker) extract(ctx context.Context, f *zip.File, want File) (err error) {
	if err := u.mkdir(path.Dir(want.Path)); err != nil {
		return fmt.Errorf("unpack %s: %w", want.Path, err)
	}
	mode := fs.FileMode(want.mode())
	// O_EXCL: a name that is there already, as anything at all, is an error.
	dst, err := u.root.OpenFile(want.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	if err := dst.Chmod(mode); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	if err := failpoint.Hit("unpack"); err != nil {
		return fmt.Errorf("unpack %s: %w", want.Path, err)
	}
	return copyEntry(ctx, dst, f, want)
}

func (u *unpacker) mkdir(dir string) error {
	if u.dirs[dir] {
		return nil
	}
	if err := u.mkdir(path.Dir(dir)); err != nil {
		return err
	}
	if err := u.root.Mkdir(dir, 0o755); err != nil {
		return err
	}
	u.dirs[dir] = true
	return u.root.Chmod(dir, 0o755)
}
