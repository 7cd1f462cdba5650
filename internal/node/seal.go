package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/atomicfile"
	"github.com/shiplock/shiplock/internal/release"
	"github.com/shiplock/shiplock/internal/ship"
)

// A seal says that a release is prepared, and what its files were then. It is
// kept outside the release's folder, where no command of the release writes.
type seal struct {
	Digest   string           `json:"digest"`
	Settings string           `json:"settings"` // hash of what else decided how it was prepared
	Venv     string           `json:"venv,omitempty"`
	At       time.Time        `json:"at"`
	Files    release.Manifest `json:"files"`
}

func (e *environment) sealPath(digest string) string {
	return filepath.Join(e.seals(), short(digest)+".json")
}

// readSeal returns nil when the release is not prepared.
func (e *environment) readSeal(digest string) (*seal, error) {
	var s seal
	err := readJSON(e.sealPath(digest), &s)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read seal: %w", err)
	}
	if s.Digest != digest {
		return nil, ship.Errorf(ship.Internal, "", "release folder %s belongs to %s", short(digest), s.Digest)
	}
	return &s, nil
}

// verify looks whether the release's files still are what they were when it
// was sealed.
func (e *environment) verify(ctx context.Context, digest string) (*seal, error) {
	s, err := e.readSeal(digest)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, ship.Errorf(ship.Failed, "prepare it first", "release %s is not prepared for %s", short(digest), e.id)
	}
	root, err := os.OpenRoot(e.releaseDir(digest))
	if err != nil {
		return nil, ship.Errorf(ship.Failed, "deploy the release again", "folder of the release: %w", err)
	}
	defer root.Close()
	if err := release.Verify(ctx, root, &s.Files); err != nil {
		return nil, err
	}
	return s, nil
}

// close records the files of the manifest as the preparation left them, and
// takes the folder out of the hands of the user who prepared it. They are read
// again unless nothing ran since they were unpacked, when each was checked;
// before a start they are read in any case.
func (e *environment) close(ctx context.Context, spec prepareSpec, m *release.Manifest, venv string, untouched bool) error {
	root, err := os.OpenRoot(spec.dir)
	if err != nil {
		return fmt.Errorf("seal release: %w", err)
	}
	defer root.Close()
	if spec.user() != "" {
		if err := own(root, os.Getuid(), os.Getgid()); err != nil {
			return fmt.Errorf("seal release: %w", err)
		}
	}
	s := seal{Digest: spec.digest(), Settings: spec.settings(), Venv: venv, At: time.Now()}
	s.Files = *m
	s.Files.Files = nil
	for _, f := range m.Files {
		if spec.isShared(f.Path) {
			continue
		}
		now, err := f, error(nil)
		if !untouched {
			now, err = describe(ctx, root, f)
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue // the preparation removed it
		}
		if err != nil {
			return fmt.Errorf("seal release: %w", err)
		}
		s.Files.Files = append(s.Files.Files, now)
	}
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("seal release: %w", err)
	}
	return atomicfile.Write(e.sealPath(s.Digest), data, 0o600)
}

// describe returns a file as it is now.
func describe(ctx context.Context, root *os.Root, f release.File) (release.File, error) {
	if err := ctx.Err(); err != nil {
		return f, err
	}
	info, err := root.Lstat(f.Path)
	if err != nil {
		return f, err
	}
	if !info.Mode().IsRegular() {
		return f, fmt.Errorf("%s is no plain file any more (%s)", f.Path, info.Mode())
	}
	src, err := root.Open(f.Path)
	if err != nil {
		return f, err
	}
	defer src.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, src)
	if err != nil {
		return f, fmt.Errorf("read %s: %w", f.Path, err)
	}
	return release.File{Path: f.Path, Size: size, SHA256: hex.EncodeToString(sum.Sum(nil)), Executable: info.Mode()&0o100 != 0}, nil
}

// own gives every file below root to the user and leaves nobody else the
// right to write. It follows no link out of root.
func own(root *os.Root, uid, gid int) error {
	return fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := root.Lchown(path, uid, gid); err != nil {
			return err
		}
		if d.Type()&fs.ModeSymlink != 0 {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() && !info.IsDir() {
			return fmt.Errorf("%s is neither a file nor a folder (%s)", path, info.Mode())
		}
		return root.Chmod(path, info.Mode().Perm()&^0o022)
	})
}

// isShared tells whether the path is in a folder that outlives releases.
func (s prepareSpec) isShared(path string) bool {
	for _, dir := range s.Environment.Run.Shared {
		dir = filepath.ToSlash(filepath.Clean(dir))
		if path == dir || strings.HasPrefix(path, dir+"/") {
			return true
		}
	}
	return false
}
