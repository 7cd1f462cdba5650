// Package command is the migration tool for every tool that is a command: one
// that lists, one that applies a migration and one that takes it back. It
// knows how to read a listing; it refuses to know what the commands do, so it
// checks after each that the listing changed by that migration and no other.
package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/argv"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// The limits of what is read.
const (
	maxFiles  = 10_000
	listLimit = 2 * time.Minute // of the listing
)

// Config is the tool's part of shiplock.yaml. In up and down $MIGRATION is the
// migration as list names it, and $MIGRATION_FILE its file.
type Config struct {
	// List prints a line "[X] id" for a migration that is applied and "[ ] id"
	// for one that is not, in order of application, or JSON; see [Listing].
	List ship.Argv `json:"list"`
	// Up applies one migration, Down takes it back; without Down none can be.
	Up   ship.Argv `json:"up"`
	Down ship.Argv `json:"down,omitempty"`
	// Files is a pattern such as db/migrate/*.rb; a file's name without its
	// ending is the migration it holds.
	Files string `json:"files"`
}

// A Tool migrates by commands.
type Tool struct{ cfg Config }

var _ migrate.Tool = (*Tool)(nil)

// New returns a Tool.
func New(cfg Config, _ plugin.Deps) (*Tool, error) {
	for name, words := range map[string]ship.Argv{"list": cfg.List, "up": cfg.Up, "down": cfg.Down} {
		if name == "down" && len(words) == 0 {
			continue
		}
		if err := argv.Check(words); err != nil {
			return nil, ship.Errorf(ship.Invalid, "set migrations."+name, "the command %s of the migration tool: %w", name, err)
		}
	}
	if _, err := path.Match(cfg.Files, ""); err != nil || cfg.Files == "" || path.IsAbs(cfg.Files) {
		return nil, ship.Errorf(ship.Invalid, "set migrations.files, for example db/migrate/*.rb", "the pattern %q names no files of the release", cfg.Files)
	}
	return &Tool{cfg}, nil
}

// Files implements [migrate.Tool]. The order is that of the names.
func (t *Tool) Files(tree fs.FS) ([]ship.Migration, error) {
	names, err := fs.Glob(tree, t.cfg.Files)
	if err != nil {
		return nil, fmt.Errorf("find the files of migrations: %w", err)
	}
	if len(names) > maxFiles {
		return nil, ship.Errorf(ship.Invalid, "", "%s names more than %d files", t.cfg.Files, maxFiles)
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(path.Base(a), path.Base(b)) })
	all := make([]ship.Migration, 0, len(names))
	for _, name := range names {
		m, err := t.file(tree, name)
		if err != nil {
			return nil, err
		}
		if i := len(all) - 1; i >= 0 && all[i].ID == m.ID {
			return nil, ship.Errorf(ship.Invalid, "", "%s and %s are both called %s", all[i].File, name, m.ID)
		}
		all = append(all, m)
	}
	return all, nil
}

func (t *Tool) file(tree fs.FS, name string) (ship.Migration, error) {
	f, err := tree.Open(name)
	if err != nil {
		return ship.Migration{}, fmt.Errorf("read %s: %w", name, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, sqltext.MaxSize+1))
	if err != nil {
		return ship.Migration{}, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > sqltext.MaxSize {
		return ship.Migration{}, ship.Errorf(ship.Invalid, "", "%s is longer than %d bytes", name, sqltext.MaxSize)
	}
	sum := sha256.Sum256(text)
	m := ship.Migration{
		ID: strings.TrimSuffix(path.Base(name), path.Ext(name)), File: name, Checksum: "sha256:" + hex.EncodeToString(sum[:]),
		Reversible: len(t.cfg.Down) > 0, Operations: []string{"command"},
	}
	if !m.Reversible {
		m.WhyNot = "migrations.down is not set"
	}
	m.Declared, m.Reason, err = sqltext.Declaration(string(text))
	if err != nil {
		return m, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// List implements [migrate.Tool].
func (t *Tool) List(ctx context.Context, p migrate.Project) (migrate.Listing, error) {
	files, err := t.Files(p.Tree)
	if err != nil {
		return migrate.Listing{}, err
	}
	l, err := t.ask(ctx, p)
	if err != nil {
		return migrate.Listing{}, err
	}
	out := migrate.Listing{Dirty: l.Dirty, Problems: l.Problems}
	for _, e := range l.Migrations {
		i := slices.IndexFunc(files, func(m ship.Migration) bool { return m.ID == e.ID })
		switch {
		case i >= 0:
			out.Migrations = append(out.Migrations, e.fill(files[i]))
		case e.Applied:
			out.Unknown = append(out.Unknown, e.ID)
		default:
			out.Problems = append(out.Problems, fmt.Sprintf("the tool lists %s, which is none of the files %s", e.ID, t.cfg.Files))
		}
	}
	for _, m := range files {
		if _, ok := l.find(m.ID); !ok {
			out.Problems = append(out.Problems, fmt.Sprintf("the tool does not list %s", m.File))
		}
	}
	return out, nil
}

// Observe implements [migrate.Tool]. Of a migration that is not listed as
// applied and not said to be atomic nobody can tell how far it came.
func (t *Tool) Observe(ctx context.Context, p migrate.Project, m ship.Migration) (migrate.State, error) {
	l, err := t.ask(ctx, p)
	if err != nil {
		return migrate.StateUnknown, err
	}
	e, ok := l.find(m.ID)
	switch {
	case l.Dirty != "":
		return migrate.StateUnknown, nil
	case ok && e.Applied:
		return migrate.StateApplied, nil
	case m.Atomic || ok && e.Atomic:
		return migrate.StateNotApplied, nil
	}
	return migrate.StateUnknown, nil
}
