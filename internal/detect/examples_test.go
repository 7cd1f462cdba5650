package detect_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shiplock/shiplock/internal/builtin"
	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

func noDeps() plugin.Deps { return plugin.Deps{Log: slog.New(slog.DiscardHandler)} }

// The examples have configurations that people wrote: what is guessed must not
// contradict them.
func TestTheExamplesAreFoundOutAsTheirAuthorsConfiguredThem(t *testing.T) {
	written, err := filepath.Glob(filepath.Join(root(t), "examples/*", config.FileName))
	if err != nil || len(written) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, path := range written {
		folder := filepath.Dir(path)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			p := scan(t, os.DirFS(folder), filepath.Base(folder))
			got := decided(t, loads(t, p), "dev")
			author, err := config.Load(path, builtin.Known())
			if err != nil {
				t.Fatal(err)
			}
			want := decided(t, author, author.Environments()[0])
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-author +guessed:\n%s\n%s%s", diff, guesses(p), notes(p))
			}
		})
	}
}

// root returns the folder of the module.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// settings are what an author and a guess should agree on.
type settings struct {
	Commands map[string]ship.Argv
	Prepare  []ship.Argv
	Setup    []ship.Argv
	Shared   []string
	Health   string
	Database string
	Tool     string
}

func decided(t *testing.T, f *config.File, name string) settings {
	t.Helper()
	env, err := f.Environment(name)
	if err != nil {
		t.Fatal(err)
	}
	s := settings{Commands: map[string]ship.Argv{}, Prepare: env.Run.Prepare, Setup: env.Run.Setup, Shared: env.Run.Shared, Health: env.Health.Path}
	for name, p := range env.Run.Processes {
		s.Commands[name] = p.Command
	}
	if env.Database != nil {
		s.Database = env.Database.Kind
	}
	if env.Migrate != nil {
		s.Tool = env.Migrate.Tool.Kind
	}
	return s
}
