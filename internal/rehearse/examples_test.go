package rehearse_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/database/postgres"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/migrate/alembic"
	"github.com/shiplock/shiplock/internal/migrate/django"
	"github.com/shiplock/shiplock/internal/migrate/migratetest"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/rehearse"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

// A redirected runner leads a tool to a copy.
type redirected struct {
	migrate.Runner
	url string
}

func (r redirected) Run(ctx context.Context, c migrate.Command) (migrate.Result, error) {
	vars := map[string]string{"DATABASE_URL": r.url}
	maps.Copy(vars, c.Vars)
	c.Vars, c.Name = vars, ""
	return r.Runner.Run(ctx, c)
}

// rehearseExample brings the base release's schema up to date by its own
// command and rehearses what a variant adds.
func rehearseExample(t *testing.T, tool migrate.Tool, example string, upToDate ship.Argv, variants ...string) ship.Rehearsal {
	t.Helper()
	lab := migratetest.NewLab(t, tool, example, testneed.Requirements(t, example+"/requirements.txt"))
	if res, err := lab.Run.Run(t.Context(), migrate.Command{Argv: upToDate, Timeout: time.Minute}); err != nil || res.Code != 0 {
		t.Fatalf("migrate: %v %s", err, res.Stderr)
	}
	lab.Release(variants...)
	url := ship.NewSecret(lab.DB.Config().ConnString())
	db, err := postgres.New(database.Config{URL: url}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	shadow, err := db.Shadow(ctx, database.ShadowOptions{App: url})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := shadow.Drop(ctx); err != nil {
			t.Error(err)
		}
	}()
	project := func(s database.Shadow, lock database.Lock, f ship.Fence) migrate.Project {
		p := lab.Project
		p.Runner, p.Session, p.Fence = redirected{lab.Run, s.URL().Reveal()}, session{s, lock, "postgres"}, f
		return p
	}
	listing, err := tool.List(ctx, project(shadow, nil, ship.Fence{}))
	if err != nil {
		t.Fatal(err)
	}
	var pending []ship.Migration
	for _, m := range listing.Migrations {
		if !m.Applied {
			pending = append(pending, m)
		}
	}
	before, err := db.Catalog(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rehearse.Run(ctx, rehearse.Config{Shadow: shadow, Tool: tool, Project: project, Pending: pending, Downgrade: true, Run: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if after, err := db.Catalog(ctx); err != nil || len(database.Diff(before, after)) > 0 {
		t.Errorf("the real database was changed: %v %+v", err, database.Diff(before, after))
	}
	if len(r.Migrations) == 0 {
		t.Fatal("nothing was pending")
	}
	return r
}

// told gives a rehearsal as lines to look through.
func told(r ship.Rehearsal) string {
	var b strings.Builder
	for _, m := range r.Migrations {
		fmt.Fprintf(&b, "%s failed=%q down=%+v\n", m.Migration, m.Failed, m.Downgrade)
		for _, e := range m.Effects {
			fmt.Fprintf(&b, "  effect %s: %v rewritten=%v held=%.1f sampled=%t\n", e.Statement, e.Locks, e.Rewritten, e.HeldMS, e.Sampled)
		}
		for _, x := range m.Broken {
			fmt.Fprintf(&b, "  broken %s: %s: %s %s\n", x.Probe, x.Statement, x.Code, x.Message)
		}
	}
	return b.String()
}

func TestVariantsOfTheExamplesRehearse(t *testing.T) {
	djangoTool, err := django.New(django.Config{}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	alembicTool, err := alembic.New(alembic.Config{}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	const djangoExample, flaskExample = "../../examples/django", "../../examples/flask"
	up := map[string]ship.Argv{
		djangoExample: {"python", "manage.py", "migrate", "--noinput"}, flaskExample: {"flask", "--app", "wsgi", "db", "upgrade"},
	}
	for _, c := range []struct {
		name    string
		tool    migrate.Tool
		example string
		variant string
		want    []string
	}{
		{"Django adds a column", djangoTool, djangoExample, "additive", []string{"ACCESS EXCLUSIVE", "ALTER TABLE", "prepared select *", "Outcome:exact"}},
		{"Django drops a column", djangoTool, djangoExample, "destructive", []string{"42703", "broken select"}},
		{"Django renames a column", djangoTool, djangoExample, "rename", []string{"42703"}},
		{"Django fails", djangoTool, djangoExample, "failing", []string{"failed=\"migration"}},
		{"Django has no way down", djangoTool, djangoExample, "irreversible", []string{"Outcome:fails", "no way down"}},
		{"Alembic adds a column", alembicTool, flaskExample, "additive", []string{"ACCESS EXCLUSIVE", "ALTER TABLE", "Outcome:exact"}},
		{"Alembic fails", alembicTool, flaskExample, "failing", []string{"failed=\"migration"}},
		{"Alembic has no way down", alembicTool, flaskExample, "irreversible", []string{"Outcome:fails"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := told(rehearseExample(t, c.tool, c.example, up[c.example], c.variant))
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("it does not tell %q:\n%s", want, text)
				}
			}
		})
	}
}
