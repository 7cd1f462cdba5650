package detect

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of a scan. It stays well below two seconds with them.
const (
	maxEntries   = 20_000  // files and folders that are looked at, shallow ones first
	maxDepth     = 10      // levels of folders
	maxFile      = 1 << 19 // bytes; what is larger is not source code
	maxBytes     = 16 << 20
	maxLine      = 400 // characters; a longer line was written by a program
	maxProcesses = 12
	maxVariables = 200
)

// skipped are folders that hold what others wrote, or what a tool made.
var skipped = map[string]bool{
	".git": true, ".hg": true, ".svn": true, ".shiplock": true, ".idea": true, ".vscode": true,
	"node_modules": true, "bower_components": true, ".next": true, ".nuxt": true,
	"venv": true, ".venv": true, "env": true, "site-packages": true, "__pycache__": true, ".tox": true, ".nox": true, ".mypy_cache": true,
	"vendor": true, "target": true, "dist": true, "build": true, "tmp": true, "log": true, "coverage": true,
}

// A tree is the part of a folder that is looked at.
type tree struct {
	fsys  fs.FS
	files []string // plain files, shallow ones first, then by name
	known map[string]bool
	dirs  map[string]bool
	cut   bool // there is more than was looked at

	cache map[string]*source
	left  int // bytes that may still be read
}

// A source is a text file by lines.
type source struct {
	name  string
	lines []string
}

// readTree lists a folder. It follows no link.
func readTree(ctx context.Context, fsys fs.FS) (*tree, error) {
	t := &tree{fsys: fsys, known: map[string]bool{}, dirs: map[string]bool{}, cache: map[string]*source{}, left: maxBytes}
	for level, depth := []string{"."}, 0; len(level) > 0 && depth < maxDepth; depth++ {
		var next []string
		for _, dir := range level {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			sub, err := t.list(dir)
			if err != nil && dir == "." {
				return nil, err
			}
			next = append(next, sub...) // a folder we may not read has nothing for us
		}
		level = next
	}
	return t, nil
}

// list adds what is in a folder and returns the folders in it.
func (t *tree) list(dir string) (folders []string, err error) {
	room := maxEntries - len(t.files) - len(t.dirs)
	if room <= 0 {
		t.cut = true
		return nil, nil
	}
	f, err := t.fsys.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d, ok := f.(fs.ReadDirFile)
	if !ok {
		return nil, &fs.PathError{Op: "readdir", Path: dir, Err: fs.ErrInvalid}
	}
	entries, err := d.ReadDir(room)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	t.cut = t.cut || len(entries) == room
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case e.Type().IsRegular():
			t.files = append(t.files, name)
			t.known[name] = true
		case e.IsDir():
			t.dirs[name] = true
			if !skipped[e.Name()] {
				folders = append(folders, name)
			}
		}
	}
	return folders, err
}

// has tells whether the tree has a plain file.
func (t *tree) has(name string) bool { return t.known[name] }

// first returns the first of the files that the tree has.
func (t *tree) first(names ...string) (string, bool) {
	for _, name := range names {
		if t.has(name) {
			return name, true
		}
	}
	return "", false
}

// read returns a file's lines; of a file that is absent, too large or not
// text, none.
func (t *tree) read(name string) *source {
	if src, ok := t.cache[name]; ok {
		return src
	}
	src := &source{name: name}
	t.cache[name] = src
	if !t.has(name) {
		return src
	}
	f, err := t.fsys.Open(name)
	if err != nil {
		return src
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxFile || int(info.Size()) > t.left {
		return src
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil || !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return src
	}
	t.left -= len(data)
	for line := range strings.Lines(string(bytes.TrimPrefix(data, []byte("\ufeff")))) {
		src.lines = append(src.lines, strings.TrimRight(line, "\r\n"))
	}
	return src
}

// find returns the first line that matches, and the match with its groups.
func (s *source) find(re *regexp.Regexp) (Evidence, []string) {
	for i, line := range s.lines {
		if len(line) > maxLine {
			continue
		}
		if m := re.FindStringSubmatch(line); m != nil {
			return s.at(i), m
		}
	}
	return Evidence{}, nil
}

// at returns a line, counted from 0, as evidence.
func (s *source) at(i int) Evidence {
	text := strings.TrimSpace(s.lines[i])
	if r := []rune(text); len(r) > 80 {
		text = string(r[:79]) + "…"
	}
	return Evidence{s.name, i + 1, text}
}

// grep is find over several files, in their order.
func (t *tree) grep(re *regexp.Regexp, names ...string) (Evidence, []string) {
	for _, name := range names {
		if at, m := t.read(name).find(re); m != nil {
			return at, m
		}
	}
	return Evidence{}, nil
}

// code returns the files with one of the endings that are neither tests nor
// documents.
func (t *tree) code(endings ...string) []string {
	var names []string
	for _, name := range t.files {
		if slices.Contains(endings, path.Ext(name)) && !isTest(name) {
			names = append(names, name)
		}
	}
	return names
}

var testName = regexp.MustCompile(`^(tests?|specs?|testdata|fixtures|docs?|examples?|e2e|__tests__|__mocks__|cypress)$|^test_.*\.py$|_test\.(py|go|rb)$|_spec\.rb$|\.(test|spec)\.[jt]sx?$|^conftest\.py$`)

// isTest tells whether a file, or a folder it is in, is there for tests or for
// readers.
func isTest(name string) bool {
	return slices.ContainsFunc(strings.Split(name, "/"), testName.MatchString)
}
