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
	"path/filepath"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/atomicfile"
	"github.com/shiplock/shiplock/internal/ship"
)

const (
	suffix       = ".zip"
	uploadPrefix = ".upload-"
	abandoned    = 24 * time.Hour
)

// A Store keeps archives in a folder, each under its digest. Several processes
// may use one folder: an archive appears whole and never changes.
type Store struct {
	dir    string
	limits Limits
	// Unread says that files are only ever read by unpacking an archive whole,
	// which checks each: putting one then does not check them as well.
	Unread bool
}

// NewStore opens the store in dir, which it makes when it is not there, and
// removes uploads that a crash left behind.
func NewStore(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open artifact store: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open artifact store: %w", err)
	}
	for _, e := range entries {
		// A young one may be another process's that is still being written.
		info, err := e.Info()
		if err == nil && strings.HasPrefix(e.Name(), uploadPrefix) && time.Since(info.ModTime()) > abandoned {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
	return &Store{dir: dir, limits: DefaultLimits()}, nil
}

// Put keeps the archive that r yields. It is refused, and nothing is kept,
// when it ends early, has another digest or is no release. To put what is
// there already is fine, and mends it should it be damaged.
func (s *Store) Put(ctx context.Context, digest string, r io.Reader) (a ship.Artifact, err error) {
	path, err := s.path(digest)
	if err != nil {
		return a, err
	}
	tmp, err := os.CreateTemp(s.dir, uploadPrefix+"*")
	if err != nil {
		return a, fmt.Errorf("keep release: %w", err)
	}
	defer func() {
		_ = tmp.Close()
		_ = os.Remove(tmp.Name()) // gone already when it was renamed
	}()
	size, err := s.receive(ctx, tmp, digest, r)
	if err != nil {
		return a, err
	}
	opened, err := openArchive(tmp, size, s.limits)
	if err != nil {
		return a, err
	}
	if !s.Unread {
		// So that whoever reads a single file later reads what the manifest says.
		err = opened.each(func(f *zip.File, want File) error { return copyEntry(ctx, io.Discard, f, want) })
	}
	if err != nil {
		return a, err
	}
	if err := errors.Join(tmp.Chmod(0o400), tmp.Sync()); err != nil {
		return a, fmt.Errorf("keep release: %w", err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return a, fmt.Errorf("keep release: %w", err)
	}
	return opened.manifest.artifact(digest, size), atomicfile.SyncDir(s.dir)
}

func (s *Store) receive(ctx context.Context, tmp *os.File, digest string, r io.Reader) (int64, error) {
	// Beside the files' bytes an archive has a manifest, and twice each name.
	most := s.limits.Bytes + maxManifest + int64(s.limits.Files)*int64(2*s.limits.Path)
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(tmp, sum), cancellable(ctx, io.LimitReader(r, most+1)))
	if err != nil {
		return 0, fmt.Errorf("receive release: %w", err)
	}
	if n > most {
		return 0, refuse("it has more than %d bytes", most)
	}
	if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); got != digest {
		return 0, ship.Errorf(ship.Invalid, "upload it again", "release was not received as it was packed: %d bytes with digest %s instead of %s", n, got, digest)
	}
	return n, nil
}

// Unpack writes the files of an archive into root, see [Unpack].
func (s *Store) Unpack(ctx context.Context, digest string, root *os.Root) (*Manifest, error) {
	f, err := s.Open(digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open release: %w", err)
	}
	return Unpack(ctx, f, info.Size(), digest, root, s.limits)
}

// Has tells whether the archive is kept.
func (s *Store) Has(digest string) bool {
	path, err := s.path(digest)
	if err != nil {
		return false
	}
	_, err = os.Lstat(path)
	return err == nil
}

// Open opens the archive's zip for reading. It fails with kind NotFound when
// it is not kept.
func (s *Store) Open(digest string) (*os.File, error) {
	path, err := s.path(digest)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ship.Errorf(ship.NotFound, "shiplock releases", "release %s is not kept here", digest)
	}
	if err != nil {
		return nil, fmt.Errorf("open release: %w", err)
	}
	return f, nil
}

// Stat describes an archive.
func (s *Store) Stat(digest string) (ship.Artifact, error) {
	v, err := s.FS(digest)
	if err != nil {
		return ship.Artifact{}, err
	}
	defer v.Close()
	return v.manifest.artifact(digest, v.size), nil
}

// Manifest returns an archive's manifest.
func (s *Store) Manifest(digest string) (*Manifest, error) {
	v, err := s.FS(digest)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	return v.manifest, nil
}

// List returns the digests of all archives, sorted.
func (s *Store) List() ([]string, error) {
	entries, err := os.ReadDir(s.dir) // sorted
	if err != nil {
		return nil, fmt.Errorf("list releases: %w", err)
	}
	var digests []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		if ok && sumForm.MatchString(name) {
			digests = append(digests, "sha256:"+name)
		}
	}
	return digests, nil
}

// Delete forgets an archive. That it is not there is no error.
func (s *Store) Delete(digest string) error {
	path, err := s.path(digest)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete release: %w", err)
	}
	return atomicfile.SyncDir(s.dir)
}

// A View is the files of an archive, read where they are. It was checked when
// it was put; reading a file checks its CRC.
type View struct {
	fs.FS
	manifest *Manifest
	size     int64
	file     *os.File
}

// Close ends the view.
func (v *View) Close() error { return v.file.Close() }

// FS opens an archive's files for reading without unpacking them.
func (s *Store) FS(digest string) (*View, error) {
	f, err := s.Open(digest)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open release: %w", err), f.Close())
	}
	a, err := openArchive(f, info.Size(), s.limits)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &View{FS: a.zip, manifest: a.manifest, size: info.Size(), file: f}, nil
}

// path is the only way from a digest to a file.
func (s *Store) path(digest string) (string, error) {
	if err := checkDigest(digest); err != nil {
		return "", err
	}
	return filepath.Join(s.dir, strings.TrimPrefix(digest, "sha256:")+suffix), nil
}
