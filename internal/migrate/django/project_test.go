package django_test

import (
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/migrate/django"
	"github.com/shiplock/shiplock/internal/migrate/migratetest"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

const example = "../../../examples/django"

// A project is the example shop with a database of its own.
type project struct {
	*migratetest.Lab
	t *testing.T
}

func newProject(t *testing.T, variants ...string) *project {
	t.Helper()
	return newProjectWith(t, testneed.Requirements(t, example+"/requirements.txt"), variants...)
}

func newProjectWith(t *testing.T, requirements []string, variants ...string) *project {
	t.Helper()
	return &project{Lab: migratetest.NewLab(t, newTool(t), example, requirements, variants...), t: t}
}

func newTool(t *testing.T) *django.Tool {
	t.Helper()
	return newToolOf(t, "")
}

func newToolOf(t *testing.T, python string) *django.Tool {
	t.Helper()
	tool, err := django.New(django.Config{Python: python}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return tool
}

// upToDate applies the base release by Django itself, which is quicker than
// one migration at a time.
func (p *project) upToDate() {
	p.t.Helper()
	res, err := p.Lab.Run.Run(p.t.Context(), migrate.Command{Argv: ship.Argv{"python", "manage.py", "migrate", "--noinput"}, Timeout: time.Minute})
	if err != nil || res.Code != 0 {
		p.t.Fatalf("migrate: %v %s", err, res.Stderr)
	}
}
