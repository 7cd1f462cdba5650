package detect_test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/shiplock/shiplock/internal/builtin"
	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/detect"
)

var update = flag.Bool("update", false, "write what is found into the fixtures")

// Each fixture is an application; the files below want/ are what is found.
const (
	wantYAML    = "want/shiplock.yaml"
	wantGuesses = "want/guesses"
	wantNotes   = "want/notes"
)

func TestEveryFixtureIsFoundOutWithItsEvidence(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { checkFixture(t, name) })
	}
}

func checkFixture(t *testing.T, name string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	tree, want := fstest.MapFS{}, map[string]string{}
	var app []txtar.File
	for _, f := range archive.Files {
		if strings.HasPrefix(f.Name, "want/") {
			want[f.Name] = string(f.Data)
			continue
		}
		app = append(app, f)
		tree[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	p := scan(t, tree, "fixture")
	loads(t, p)
	got := []txtar.File{
		{Name: wantYAML, Data: p.YAML()},
		{Name: wantGuesses, Data: []byte(guesses(p))},
		{Name: wantNotes, Data: []byte(notes(p))},
	}
	if *update {
		archive.Files = append(app, got...)
		if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, f := range got {
		if diff := cmp.Diff(want[f.Name], string(f.Data)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", f.Name, diff)
		}
	}
}

func scan(t *testing.T, tree fs.FS, folder string) *detect.Project {
	t.Helper()
	p, err := detect.Scan(t.Context(), tree, folder)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// loads checks that what is written is a configuration without problems, and
// short.
func loads(t *testing.T, p *detect.Project) *config.File {
	t.Helper()
	text := p.YAML()
	if lines := strings.Count(string(text), "\n"); lines > 25 {
		t.Errorf("the configuration has %d lines, more than 25", lines)
	}
	f, err := config.Parse("shiplock.yaml", text, "/srv/app", builtin.Known())
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	env, err := f.Environment("dev")
	if err != nil {
		t.Fatal(err)
	}
	if env.Migrate != nil {
		if _, err := builtin.Tools().Open(env.Migrate.Tool, noDeps()); err != nil {
			t.Errorf("the settings of the migration tool: %v", err)
		}
	}
	return f
}

func guesses(p *detect.Project) string {
	var b strings.Builder
	for _, g := range p.Guesses {
		fmt.Fprintf(&b, "%s = %s (%s) %s\n", g.Key, g.Value, g.Why, g.At)
	}
	return b.String()
}

func notes(p *detect.Project) string {
	var b strings.Builder
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "%s %s\n", n.At, n.Text)
	}
	return b.String()
}
