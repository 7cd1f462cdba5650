package alembic

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// assigned matches, behind its name, a module's assignment of None, a string,
// or a tuple or list of strings, which may have a type and several lines.
const assigned = `\s*(?::[^=\n]+)?=\s*(None|["'][^"'\n]*["']|\([^)]*\)|\[[^\]]*\])`

var (
	revisionLine = regexp.MustCompile(`(?m)^revision\s*(?::[^=\n]+)?=\s*["']([^"'\n]+)["']`)
	downLine     = regexp.MustCompile(`(?m)^down_revision` + assigned)
	dependsLine  = regexp.MustCompile(`(?m)^depends_on` + assigned)
	quoted       = regexp.MustCompile(`["']([^"'\n]+)["']`)
	// notAtomic is what ends the transaction around a revision or runs outside.
	notAtomic    = regexp.MustCompile(`(?i)autocommit_block|concurrently|isolation_level|\bautocommit\b|\bcommit\b`)
	locationLine = regexp.MustCompile(`(?m)^(script_location|version_locations)\s*[=:]\s*(.+)$`)
	separator    = regexp.MustCompile(`[\s,:;]+`)
)

// Files lists the revisions in a tree: every module with an assignment to
// "revision" in the folders of versions. Whether a revision is reversible and
// what it does is left to [Tool.List]. Folders of versions that pyproject.toml
// names are not known.
func (t *Tool) Files(tree fs.FS) ([]ship.Migration, error) {
	var found []ship.Migration
	for _, folder := range t.folders(tree) {
		err := fs.WalkDir(tree, folder, func(name string, d fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist) && name == folder:
				return nil
			case err != nil:
				return err
			case d.IsDir() && d.Name() == "__pycache__":
				return fs.SkipDir
			case !d.Type().IsRegular() || path.Ext(name) != ".py":
				return nil
			case len(found) == migrate.MaxFiles:
				return ship.Errorf(ship.Invalid, "exclude folders of other projects from the release", "more than %d revisions", migrate.MaxFiles)
			}
			m, ok, err := readRevision(tree, name)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if ok {
				found = append(found, m)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading revisions: %w", err)
		}
	}
	slices.SortFunc(found, func(a, b ship.Migration) int { return cmp.Compare(a.File, b.File) })
	return migrate.Order(found, migrate.OrderHints{Twice: "give one of them another revision", Circle: "correct its down_revision"})
}

// folders returns where the revisions are, none within another.
func (t *Tool) folders(tree fs.FS) []string {
	if t.flavor(tree) == flask {
		return []string{path.Join(t.cfg.Directory, "versions")}
	}
	folders := []string{"alembic/versions"}
	ini, err := migrate.ReadFile(tree, t.cfg.Ini)
	if err != nil {
		return folders
	}
	for _, m := range locationLine.FindAllStringSubmatch(ini, -1) {
		here := path.Dir(t.cfg.Ini)
		value := strings.TrimSpace(strings.ReplaceAll(m[2], "%(here)s", here))
		if m[1] == "script_location" {
			folders = append(folders[:0], path.Join(value, "versions"))
			continue
		}
		folders = folders[:0]
		for _, folder := range separator.Split(value, -1) {
			if folder = path.Clean(folder); folder != "." && !slices.Contains(folders, folder) {
				folders = append(folders, folder)
			}
		}
		break // version_locations replaces the folder of script_location
	}
	return slices.DeleteFunc(folders, func(f string) bool { return !fs.ValidPath(f) })
}

func readRevision(tree fs.FS, name string) (ship.Migration, bool, error) {
	text, err := migrate.ReadFile(tree, name)
	if err != nil {
		return ship.Migration{}, false, err
	}
	revision := revisionLine.FindStringSubmatch(text)
	if revision == nil {
		return ship.Migration{}, false, nil
	}
	down := downLine.FindStringSubmatch(text)
	if down == nil {
		return ship.Migration{}, false, ship.Errorf(ship.Invalid, "write down_revision as None, a string or a tuple of strings",
			"revision %s does not say what it follows", revision[1])
	}
	m := ship.Migration{
		ID: revision[1], File: name,
		Checksum: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))),
		Atomic:   !notAtomic.MatchString(text),
		WhyNot:   "only Alembic can tell, and was not asked",
		Needs:    literals(down[1]),
	}
	if depends := dependsLine.FindStringSubmatch(text); depends != nil {
		m.Needs = append(m.Needs, literals(depends[1])...)
	}
	m.Declared, m.Reason, err = sqltext.Declaration(text)
	return m, err == nil, err
}

// literals returns the strings in a Python value.
func literals(value string) []string {
	var all []string
	for _, m := range quoted.FindAllStringSubmatch(value, -1) {
		all = append(all, m[1])
	}
	return all
}
