package cli

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// lintFiles reads the files that are named.
func (s *session) lintFiles(args []string, q lintRequest) ([]lint.File, error) {
	var all []lint.File
	for _, arg := range args {
		names := []string{arg}
		var err error
		if arg != "-" {
			if names, err = sqlFiles(arg); err != nil {
				return nil, err
			}
		}
		for _, name := range names {
			text, err := readMigration(name, s.in)
			if err != nil {
				return nil, err
			}
			parts := lint.Parts(name, text)
			alone := outsideTransaction(name)
			for i := range parts {
				parts[i].Transaction = parts[i].Transaction && !alone
				parts[i].Down = parts[i].Down || q.down
				parts[i].Transaction = parts[i].Transaction || q.transaction
			}
			all = append(all, parts...)
		}
	}
	return all, nil
}

// outsideTransaction tells whether the settings beside a file of Flyway ask for
// no transaction around it.
func outsideTransaction(name string) bool {
	text, err := os.ReadFile(name + ".conf")
	if err != nil || len(text) > 1<<16 {
		return false
	}
	return strings.Contains(strings.Join(strings.Fields(strings.ToLower(string(text))), ""), "executeintransaction=false")
}

// inPython is what to do with the migrations of Django and Alembic.
const inPython = "migrations of Django and Alembic are read in the project's folder by shiplock lint without a file, or from `manage.py sqlmigrate` and `alembic upgrade --sql` by shiplock lint -"

// sqlFiles returns a file, or those of a folder in the order they are applied
// in.
func sqlFiles(name string) ([]string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, ship.Errorf(ship.Invalid, "", "%w", err)
	}
	if !info.IsDir() && strings.EqualFold(filepath.Ext(name), ".py") {
		return nil, ship.Errorf(ship.Invalid, inPython, "%s is written in Python, whose SQL only its tool can show", name)
	}
	if !info.IsDir() {
		return []string{name}, nil
	}
	var all []string
	err = filepath.WalkDir(name, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.EqualFold(filepath.Ext(path), ".sql") {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		return nil, ship.Errorf(ship.Invalid, "", "read the folder %s: %w", name, err)
	}
	if len(all) == 0 {
		return nil, ship.Errorf(ship.Invalid, inPython, "the folder %s has no .sql file", name)
	}
	slices.SortFunc(all, lint.CompareNames)
	return all, nil
}

// readMigration reads a file, or standard input, up to the limit of what is
// read as SQL.
func readMigration(name string, in io.Reader) (string, error) {
	r := in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", ship.Errorf(ship.Invalid, "", "%w", err)
		}
		defer func() { _ = f.Close() }()
		r = f
	}
	text, err := io.ReadAll(io.LimitReader(r, sqltext.MaxSize+1))
	if err != nil {
		return "", ship.Errorf(ship.Invalid, "", "read %s: %w", name, err)
	}
	return string(text), nil
}
