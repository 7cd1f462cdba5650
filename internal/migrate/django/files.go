package django

import (
	"cmp"
	"crypto/sha256"
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

var (
	classLine  = regexp.MustCompile(`(?m)^class\s+Migration\s*\(`)
	moduleName = regexp.MustCompile(`^[A-Za-z0-9]\w*\.py$`)
	listOf     = regexp.MustCompile(`(?ms)^\s+(dependencies|run_before|replaces)\s*(?::[^=]+)?=\s*[\[(](.*?)^?\s*[\])]\s*$`)
	pairOf     = regexp.MustCompile(`\(\s*["']([\w.]+)["']\s*,\s*["'](\w+)["']\s*,?\s*\)`)
	notAtomic  = regexp.MustCompile(`(?m)^\s+atomic\s*=\s*False\b`)
	labelLine  = regexp.MustCompile(`(?m)^\s+label\s*=\s*["'](\w+)["']`)
)

// Files lists the migrations in a tree: every module with a class Migration
// in a folder "migrations". The app's label is the label in the apps.py
// beside that folder, else the name of the folder around it; a label that is
// made in another way is found by [Tool.List], which says so. Whether a
// migration is reversible only Django can tell.
func (t *Tool) Files(tree fs.FS) ([]ship.Migration, error) {
	var found []file
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if name != "." && foreign(d.Name()) {
				return fs.SkipDir
			}
			return nil
		case path.Base(path.Dir(name)) != "migrations" || !d.Type().IsRegular() || !moduleName.MatchString(d.Name()):
			return nil
		case len(found) == migrate.MaxFiles:
			return ship.Errorf(ship.Invalid, "exclude folders of other projects from the release", "more than %d migrations", migrate.MaxFiles)
		}
		f, ok, err := readMigration(tree, name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if ok {
			found = append(found, f)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading migrations: %w", err)
	}
	return order(found)
}

// foreign tells whether a folder holds no code of the project itself.
func foreign(dir string) bool {
	switch dir {
	case "node_modules", "site-packages", "dist-packages", "venv", "__pycache__":
		return true
	}
	return strings.HasPrefix(dir, ".")
}

// A file is a migration and what only its order depends on.
type file struct {
	ship.Migration
	before []string // run_before
}

func readMigration(tree fs.FS, name string) (file, bool, error) {
	text, err := migrate.ReadFile(tree, name)
	if err != nil || !classLine.MatchString(text) {
		return file{}, false, err
	}
	app := path.Dir(path.Dir(name))
	label := path.Base(app)
	if apps, err := migrate.ReadFile(tree, path.Join(app, "apps.py")); err == nil {
		if m := labelLine.FindStringSubmatch(apps); m != nil {
			label = m[1]
		}
	}
	f := file{Migration: ship.Migration{
		ID:       label + "." + strings.TrimSuffix(path.Base(name), ".py"),
		File:     name,
		Checksum: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))),
		Atomic:   !notAtomic.MatchString(text),
		WhyNot:   "only Django can tell, and was not asked",
	}}
	f.Declared, f.Reason, err = sqltext.Declaration(text)
	if err != nil {
		return file{}, false, err
	}
	for _, list := range listOf.FindAllStringSubmatch(text, -1) {
		for _, pair := range pairOf.FindAllStringSubmatch(list[2], -1) {
			switch id := pair[1] + "." + pair[2]; list[1] {
			case "dependencies":
				f.Needs = append(f.Needs, id)
			case "run_before":
				f.before = append(f.before, id)
			}
		}
	}
	return f, true, nil
}

// order puts every migration after those it needs and those that want to run
// before it, and otherwise keeps the order of IDs.
func order(found []file) ([]ship.Migration, error) {
	slices.SortFunc(found, func(a, b file) int { return cmp.Compare(a.ID, b.ID) })
	earlier := map[string][]string{}
	for _, f := range found {
		for _, later := range f.before {
			earlier[later] = append(earlier[later], f.ID)
		}
	}
	all := make([]ship.Migration, len(found))
	for i, f := range found {
		all[i] = f.Migration
		all[i].Needs = slices.Concat(f.Needs, earlier[f.ID])
	}
	ordered, err := migrate.Order(all, migrate.OrderHints{
		Twice: "exclude one of the folders from the release", Circle: "python manage.py showmigrations --plan",
	})
	return ordered, err
}
