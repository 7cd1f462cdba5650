package release

import (
	"fmt"
	"io/fs"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

const maxName = 255

// checkPath refuses every path that could mean something else than a file
// within the tree, on any system: what is a plain name on one may be a
// separator or a drive on another.
func checkPath(path string, l Limits) error {
	switch {
	case !utf8.ValidString(path):
		return fmt.Errorf("path %q is not UTF-8", path)
	case len(path) > l.Path:
		return fmt.Errorf("path %.60q… has %d bytes, %d are allowed", path, len(path), l.Path)
	case strings.ContainsFunc(path, unicode.IsControl):
		return fmt.Errorf("path %q has a control character", path)
	case strings.Contains(path, `\`):
		return fmt.Errorf("path %q has a backslash", path)
	case len(path) > 1 && path[1] == ':':
		return fmt.Errorf("path %q begins like a drive", path)
	case path == "." || !fs.ValidPath(path):
		return fmt.Errorf("path %q leads out of the tree or is not in its plain form", path)
	case isOwn(path):
		return fmt.Errorf("path %q is in the folder %s, which is shiplock's own", path, ownFolder)
	}
	names := strings.Split(path, "/")
	if len(names) > l.Depth {
		return fmt.Errorf("path %.60q… is %d levels deep, %d are allowed", path, len(names), l.Depth)
	}
	for _, name := range names {
		if len(name) > maxName {
			return fmt.Errorf("path %.60q… has a name of %d bytes, %d are allowed", path, len(name), maxName)
		}
	}
	return nil
}

// spellings finds paths that are one and the same on file systems that ignore
// case or Unicode normalisation. There the second would overwrite the first,
// so that what runs is not what was approved.
type spellings struct {
	fold cases.Caser
	dirs map[string]bool   // as spelled
	seen map[string]string // folded → as spelled, files and folders
}

func newSpellings() *spellings {
	return &spellings{fold: cases.Fold(), dirs: map[string]bool{}, seen: map[string]string{}}
}

// add takes note of a file and the folders it is in.
func (s *spellings) add(path string) error {
	for i, c := range path {
		if c != '/' || s.dirs[path[:i]] {
			continue
		}
		if err := s.claim(path[:i]); err != nil {
			return err
		}
		s.dirs[path[:i]] = true
	}
	return s.claim(path)
}

func (s *spellings) claim(path string) error {
	key := norm.NFC.String(s.fold.String(norm.NFD.String(path)))
	if other, ok := s.seen[key]; ok {
		return fmt.Errorf("%q and %q are the same name on some systems", other, path)
	}
	s.seen[key] = path
	return nil
}
