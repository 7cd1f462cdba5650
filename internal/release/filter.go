package release

import (
	"io/fs"
	"os"
	"path"
	"slices"
)

// Without returns the files of a tree that was not packed, such as a
// container's, without those that the patterns of [PackOptions].Exclude keep
// out of a release. The tree's own .gitignore files are not asked: what they
// name was made on the way to the container.
func Without(dir string, exclude []string) fs.FS {
	return &filtered{os.DirFS(dir), newExclusion(exclude)}
}

type filtered struct {
	base fs.FS
	ex   *exclusion
}

// Open implements fs.FS.
func (f *filtered) Open(name string) (fs.File, error) {
	if name != "." && f.ex.excludes(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return f.base.Open(name)
}

// ReadDir implements fs.ReadDirFS.
func (f *filtered) ReadDir(name string) ([]fs.DirEntry, error) {
	if name != "." && f.ex.excludes(name) {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	all, err := fs.ReadDir(f.base, name)
	return slices.DeleteFunc(all, func(d fs.DirEntry) bool { return f.ex.matches(path.Join(name, d.Name()), d.IsDir()) }), err
}
