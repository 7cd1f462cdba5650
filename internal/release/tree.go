package release

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
)

// choose lists the files of a tree that are to be packed, sorted by path, yet
// without their digests.
func choose(ctx context.Context, root *os.Root, ex *exclusion, l Limits) ([]File, error) {
	var files []File
	left := l.Bytes
	err := fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("pack: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if name != "." && ex.matches(name, d.IsDir()) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return ex.read(root, name)
		}
		f, err := inspectFile(root, name, d, ex)
		if err != nil {
			return err
		}
		files = append(files, f)
		if left -= f.Size; left < 0 || len(files) > l.Files {
			return ship.Errorf(ship.Invalid, "exclude folders that the application does not need (release.exclude)",
				"the tree has more than the %d files or %d bytes allowed", l.Files, l.Bytes)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

func inspectFile(root *os.Root, name string, d fs.DirEntry, ex *exclusion) (File, error) {
	if d.Type()&fs.ModeSymlink != 0 {
		if err := checkLink(root, name, ex); err != nil {
			return File{}, err
		}
	} else if !d.Type().IsRegular() {
		return File{}, ship.Errorf(ship.Invalid, "remove it, or add it to release.exclude",
			"%s cannot be packed: it is no plain file (%s)", name, d.Type())
	}
	info, err := root.Stat(name)
	if err != nil {
		return File{}, fmt.Errorf("pack: %w", err)
	}
	// Of the mode only the owner's execute bit is kept: the rest is a matter
	// of the umask of whoever checked the tree out.
	return File{Path: name, Size: info.Size(), Executable: info.Mode()&0o100 != 0}, nil
}

// checkLink allows a link only to a plain file that is packed as well. Any
// other could name something that is not in the release, or a secret that was
// kept out of it.
func checkLink(root *os.Root, name string, ex *exclusion) error {
	hint := "replace it by a copy, or add it to release.exclude"
	info, err := root.Stat(name)
	if err != nil {
		return ship.Errorf(ship.Invalid, hint, "%s is a link to something that is not in the tree", name)
	}
	if !info.Mode().IsRegular() {
		return ship.Errorf(ship.Invalid, hint, "%s is a link to something that is no plain file", name)
	}
	base, err := filepath.EvalSymlinks(root.Name())
	if err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	full, err := filepath.EvalSymlinks(filepath.Join(base, filepath.FromSlash(name)))
	if err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	target, err := filepath.Rel(base, full)
	if err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	if target = filepath.ToSlash(target); ex.excludes(target) {
		return ship.Errorf(ship.Invalid, hint, "%s is a link to %s, which is excluded", name, target)
	}
	return nil
}

// A selection is the part of a file system that is packed, so that whoever
// reads migrations from it sees what the release will have and no more.
type selection struct {
	base  fs.FS
	names map[string]bool // files and the folders they are in
}

func newSelection(base fs.FS, files []File) *selection {
	s := &selection{base: base, names: map[string]bool{".": true}}
	for _, f := range files {
		s.names[f.Path] = true
		for i, c := range f.Path {
			if c == '/' {
				s.names[f.Path[:i]] = true
			}
		}
	}
	return s
}

// Open implements fs.FS.
func (s *selection) Open(name string) (fs.File, error) {
	if !s.names[name] {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return s.base.Open(name)
}

// ReadDir implements fs.ReadDirFS.
func (s *selection) ReadDir(name string) ([]fs.DirEntry, error) {
	if !s.names[name] {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	all, err := fs.ReadDir(s.base, name)
	return slices.DeleteFunc(all, func(d fs.DirEntry) bool {
		if name == "." {
			return !s.names[d.Name()]
		}
		return !s.names[name+"/"+d.Name()]
	}), err
}
