package command_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/migrate/command"
	"github.com/shiplock/shiplock/internal/migrate/migratetest"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

func TestCommandsAreAMigrationTool(t *testing.T) {
	python := testneed.Command(t, "python3", "python3")
	for _, listing := range []string{"list", "json"} {
		t.Run(listing, func(t *testing.T) {
			migratetest.Run(t, func(t *testing.T) migratetest.Fixture { return fixture(t, python, listing) })
		})
	}
}

func fixture(t *testing.T, python, listing string) migratetest.Fixture {
	t.Helper()
	dir, db := t.TempDir(), migratetest.SQLite(t)
	if err := os.CopyFS(dir, os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Join(dir, "steps"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "steps", name+".sql"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("1_author", "CREATE TABLE author (id int)\n-- down\nDROP TABLE author")
	write("2_book", "-- shiplock: phase=expand reason=\"it is new\"\nCREATE TABLE book (id int)\n-- down\nDROP TABLE book")
	tool, err := command.New(command.Config{
		List: ship.Argv{python, "tool.py", listing}, Up: ship.Argv{python, "tool.py", "up", "$MIGRATION"}, Down: ship.Argv{python, "tool.py", "down", "$MIGRATION"},
		Files: "steps/*.sql",
	}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	p := migrate.Project{
		Dir: dir, Tree: os.DirFS(dir), Session: db,
		Runner: &migratetest.Runner{Dir: dir, Env: map[string]string{"DATABASE": db.URL}},
	}
	return migratetest.Fixture{
		Tool: tool, Project: p, DB: db, Tables: []string{"author", "book"},
		Fail: func(*testing.T) (migrate.Project, string) {
			write("3_bad", "CREATE TABLE halfway (id int);INSERT INTO nowhere VALUES (1)\n-- down\nDROP TABLE halfway")
			return p, "halfway"
		},
		Without: func(t *testing.T) migrate.Project {
			if err := os.Remove(filepath.Join(dir, "steps", "2_book.sql")); err != nil {
				t.Fatal(err)
			}
			return p
		},
	}
}

// A script answers commands by name, without running any.
type script struct {
	lists []string // one after the other, the last again and again
	ran   []migrate.Command
	end   migrate.Result
}

func (s *script) Run(_ context.Context, c migrate.Command) (migrate.Result, error) {
	if c.Name != "" {
		s.ran = append(s.ran, c)
		return s.end, nil
	}
	out := s.lists[0]
	if len(s.lists) > 1 {
		s.lists = s.lists[1:]
	}
	return migrate.Result{Stdout: []byte(out)}, nil
}

func scripted(t *testing.T, s *script) (*command.Tool, migrate.Project) {
	t.Helper()
	tool, err := command.New(command.Config{List: ship.Argv{"list"}, Up: ship.Argv{"up"}, Files: "*.rb"}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return tool, migrate.Project{Runner: s, Tree: fstest.MapFS{"a.rb": {}, "b.rb": {}, "c d.rb": {}}}
}

func TestACommandThatDoesMoreThanItWasAskedForFails(t *testing.T) {
	s := &script{lists: []string{"[ ] a\n[ ] b", "[X] a\n[X] b"}}
	tool, p := scripted(t, s)
	err := tool.Up(t.Context(), p, ship.Migration{ID: "a", File: "a.rb"})
	if ship.KindOf(err) != ship.MigrationFailed || !strings.Contains(err.Error(), "applied is now a, b instead of a") {
		t.Errorf("applying two instead of one: %v", err)
	}
	if len(s.ran) != 1 || s.ran[0].Name != "migrate-up-a" || s.ran[0].Vars["MIGRATION"] != "a" || s.ran[0].Vars["MIGRATION_FILE"] != "a.rb" {
		t.Errorf("ran %+v", s.ran)
	}
}

func TestACommandThatDoesNothingFails(t *testing.T) {
	tool, p := scripted(t, &script{lists: []string{"[ ] a"}})
	if err := tool.Up(t.Context(), p, ship.Migration{ID: "a"}); err == nil || !strings.Contains(err.Error(), "applied is now nothing instead of a") {
		t.Errorf("applying nothing: %v", err)
	}
}

func TestACommandWhoseEndNobodySawFails(t *testing.T) {
	s := &script{lists: []string{"[ ] x/y z"}, end: migrate.Result{Code: -1, Unknown: true, Stderr: []byte("one\n\ntwo\x1b[2J\n")}}
	tool, p := scripted(t, s)
	err := tool.Up(t.Context(), p, ship.Migration{ID: "x/y"})
	if err == nil || !strings.Contains(err.Error(), "nobody saw how it ended: one | two") || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("an unknown end: %q", err)
	}
	if name := s.ran[0].Name; !strings.HasPrefix(name, "migrate-up-x-y-") || len(name) != len("migrate-up-x-y-")+8 {
		t.Errorf("the name is %q", name)
	}
}

func TestListSaysWhatDoesNotFitTheFiles(t *testing.T) {
	tool, p := scripted(t, &script{lists: []string{`{"migrations":[{"id":"a","applied":true,"atomic":true,"reversible":false},{"id":"gone","applied":true},{"id":"new"},{"id":"b","sql":"SELECT 1"}],"dirty":"half"}`}})
	l, err := tool.List(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Migrations) != 2 || !l.Migrations[0].Applied || !l.Migrations[0].Atomic || l.Migrations[0].Reversible || l.Migrations[1].SQL != "SELECT 1" ||
		len(l.Unknown) != 1 || l.Unknown[0] != "gone" || l.Dirty != "half" || len(l.Problems) != 2 {
		t.Errorf("%+v", l)
	}
	if state, err := tool.Observe(t.Context(), p, l.Migrations[0]); err != nil || state != migrate.StateUnknown {
		t.Errorf("with half-done work it is observed as %s, %v", state, err)
	}
}

func TestAListingThatCannotBeReadIsAnError(t *testing.T) {
	for _, out := range []string{"Traceback", "[X] a\n[ ] a", `[{"id":""}]`} {
		tool, p := scripted(t, &script{lists: []string{out}})
		if l, err := tool.List(t.Context(), p); err == nil {
			t.Errorf("%q is read as %+v", out, l)
		}
	}
}

func TestNewRefusesSettingsThatCannotWork(t *testing.T) {
	good := command.Config{List: ship.Argv{"list"}, Up: ship.Argv{"up"}, Files: "*.rb"}
	for name, change := range map[string]func(*command.Config){
		"no list":     func(c *command.Config) { c.List = nil },
		"no up":       func(c *command.Config) { c.Up = nil },
		"no files":    func(c *command.Config) { c.Files = "" },
		"bad pattern": func(c *command.Config) { c.Files = "[" },
		"absolute":    func(c *command.Config) { c.Files = "/etc/*" },
	} {
		cfg := good
		change(&cfg)
		if _, err := command.New(cfg, plugin.Deps{}); ship.KindOf(err) != ship.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if tool, err := command.New(good, plugin.Deps{}); err != nil {
		t.Error(err)
	} else if err := tool.Down(t.Context(), migrate.Project{}, ship.Migration{ID: "a"}); ship.KindOf(err) != ship.Invalid {
		t.Errorf("down without a command: %v", err)
	}
}
