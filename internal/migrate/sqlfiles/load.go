package sqlfiles

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// A source is a file as it was read.
type source struct {
	name string // within the folder
	path string // within the release
	text string
}

// stem returns the name without its ending.
func (s source) stem() string { return strings.TrimSuffix(s.name, path.Ext(s.name)) }

// load reads the folder and finds out whose files they are.
func (t *Tool) load(tree fs.FS) (*folder, error) {
	sources, err := t.read(tree)
	if err != nil {
		return nil, err
	}
	c, err := t.convention(sources)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return &folder{}, nil
	}
	f := &folder{convention: c, table: t.cfg.Table}
	if f.table == "" {
		f.table = c.table
	}
	if f.files, err = c.files(sources); err != nil {
		return nil, invalid(c, err)
	}
	slices.SortStableFunc(f.files, func(a, b *file) int { return c.compare(a.version, b.version) })
	return f, f.check()
}

// check refuses two files of one version and reads the declarations.
func (f *folder) check() error {
	for i, file := range f.files {
		if i > 0 && f.files[i-1].version == file.version {
			return invalid(f.convention, fmt.Errorf("%s and %s have the same version", f.files[i-1].path, file.path))
		}
		var err error
		if file.declared, file.reason, err = sqltext.Declaration(file.up.text); err != nil {
			return fmt.Errorf("%s: %w", file.path, err)
		}
	}
	return nil
}

func invalid(c *convention, err error) error {
	return ship.Errorf(ship.Invalid, "mend the file, or set migrations.convention", "the files of %s cannot be read: %w", c.name, err)
}

// read returns the files of the folder that might matter to a tool.
func (t *Tool) read(tree fs.FS) ([]source, error) {
	entries, err := fs.ReadDir(tree, t.cfg.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ship.Errorf(ship.Invalid, "set migrations.dir to the folder of the SQL files", "the release has no folder %s", t.cfg.Dir)
	}
	if err != nil {
		return nil, fmt.Errorf("read the folder of migrations: %w", err)
	}
	var all []source
	left := maxBytes
	for _, e := range entries {
		s := source{name: e.Name(), path: path.Join(t.cfg.Dir, e.Name())}
		if e.IsDir() || !slices.Contains([]string{".sql", ".go", ".conf"}, path.Ext(s.name)) {
			continue
		}
		if s.text, err = readText(tree, s.path, min(left, sqltext.MaxSize)); err != nil {
			return nil, err
		}
		left -= len(s.text)
		if all = append(all, s); len(all) > maxFiles {
			return nil, ship.Errorf(ship.Invalid, "", "%s holds more than %d files", t.cfg.Dir, maxFiles)
		}
	}
	return all, nil
}

func readText(tree fs.FS, name string, limit int) (string, error) {
	f, err := tree.Open(name)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > limit {
		return "", ship.Errorf(ship.Invalid, "", "%s is longer than %d bytes", name, limit)
	}
	return string(text), nil
}

// convention returns the one that was set, or the only one the files follow.
func (t *Tool) convention(sources []source) (*convention, error) {
	if t.cfg.Convention != "" {
		return conventionNamed(t.cfg.Convention)
	}
	var found *convention
	var first, stray string
	for _, s := range sources {
		if path.Ext(s.name) != ".sql" {
			continue
		}
		c := whose(s)
		switch {
		case c == nil:
			if stray == "" && numbered.MatchString(s.name) {
				stray = s.path
			}
		case found == nil:
			found, first = c, s.path
		case found.name != c.name:
			return nil, ship.Errorf(ship.Invalid, "set migrations.convention, or keep the files of two tools in two folders",
				"%s is written for %s and %s for %s", first, found.name, s.path, c.name)
		}
	}
	if stray != "" {
		return nil, ship.Errorf(ship.Invalid, "name it N_name.up.sql, or begin it with -- +goose Up or -- migrate:up",
			"it cannot be told which tool %s is written for", stray)
	}
	return found, nil
}

// whose returns the convention a file follows, or nil.
func whose(s source) *convention {
	for _, c := range conventions() {
		if c.claims(s) {
			return c
		}
	}
	return nil
}
