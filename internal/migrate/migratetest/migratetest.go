package migratetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
)

// A Fixture is a real project of a tool with at least two migrations, and a
// database that knows none of them. Every test gets a new one.
type Fixture struct {
	Tool    migrate.Tool
	Project migrate.Project // Dir, Tree, Runner and Session
	DB      *DB

	// Tables names for each migration, in order, a table that exists exactly
	// while the migration is applied; "" is none.
	Tables []string
	// Fail returns the project with one more migration, the last, which makes
	// the table and then fails.
	Fail func(t *testing.T) (p migrate.Project, table string)
	// Without returns the project without its last migration.
	Without func(t *testing.T) migrate.Project
	// Dirty leaves the tool's own mark of a half-done migration in the
	// database; nil when the tool has none.
	Dirty func(t *testing.T)
}

// Run checks a tool against a real project that open returns.
func Run(t *testing.T, open func(t *testing.T) Fixture) {
	for name, test := range map[string]func(*testing.T, *suite){
		"a new database has nothing applied and reading it changes nothing": freshDatabase,
		"migrations go up one by one":                                       upOneByOne,
		"an applied migration is not applied again":                         upTwice,
		"a migration goes down and up again":                                downAndUp,
		"a migration without a file is noticed":                             unknownNoticed,
		"the tool's own mark of half-done work is noticed":                  dirtyNoticed,
		"a failing migration leaves a state that is said truthfully":        failureIsTold,
	} {
		t.Run(name, func(t *testing.T) {
			s := &suite{Fixture: open(t)}
			if len(s.Tables) < 2 {
				t.Fatalf("the project has %d migrations, want 2 or more", len(s.Tables))
			}
			test(t, s)
		})
	}
}

// A suite is a fixture under test. Each operation is a run of its own.
type suite struct {
	Fixture
	runs int64
}

func (s *suite) project(p migrate.Project) migrate.Project {
	s.runs++
	p.Fence = ship.Fence{Run: fmt.Sprintf("run-%d", s.runs), Epoch: s.runs}
	p.Release = "sha256:" + strings.Repeat("5", 64)
	p.Runner = &once{runner: p.Runner}
	return p
}

// reader is a session without the lock.
type reader struct {
	migrate.Session
	t *testing.T
}

func (r reader) Do(context.Context, ship.Work) error {
	r.t.Error("something was done to the database by only reading it")
	return errors.New("no lock")
}

func (s *suite) list(t *testing.T, p migrate.Project) migrate.Listing {
	t.Helper()
	p = s.project(p)
	p.Session = reader{p.Session, t}
	l, err := s.Tool.List(t.Context(), p)
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	return l
}

func (s *suite) observe(t *testing.T, p migrate.Project, m ship.Migration) migrate.State {
	t.Helper()
	p = s.project(p)
	p.Session = reader{p.Session, t}
	state, err := s.Tool.Observe(t.Context(), p, m)
	if err != nil {
		t.Fatalf("Observe %s: %v", m.ID, err)
	}
	return state
}

func (s *suite) up(t *testing.T, m ship.Migration) ship.Fence {
	t.Helper()
	p := s.project(s.Project)
	if err := s.Tool.Up(t.Context(), p, m); err != nil {
		t.Fatalf("Up %s: %v", m.ID, err)
	}
	return p.Fence
}

// upAll applies everything and returns what was listed before.
func (s *suite) upAll(t *testing.T) []ship.Migration {
	t.Helper()
	l := s.list(t, s.Project)
	for _, m := range l.Migrations {
		s.up(t, m)
	}
	return l.Migrations
}

// applied fails unless exactly the first n migrations are applied, according
// to the tool and to the schema.
func (s *suite) applied(t *testing.T, n int) {
	t.Helper()
	l := s.list(t, s.Project)
	if len(l.Migrations) != len(s.Tables) {
		t.Fatalf("the tool lists %d migrations, want %d: %+v", len(l.Migrations), len(s.Tables), l.Migrations)
	}
	if l.Dirty != "" || len(l.Problems) > 0 || len(l.Unknown) > 0 {
		t.Errorf("something is wrong: %+v", l)
	}
	there := s.DB.Tables()
	for i, m := range l.Migrations {
		if m.Applied != (i < n) {
			t.Errorf("%s is applied: %v, want %v", m.ID, m.Applied, i < n)
		}
		if table := s.Tables[i]; table != "" && slices.Contains(there, table) != (i < n) {
			t.Errorf("table %s of %s is there: %v, want %v", table, m.ID, !(i < n), i < n)
		}
		want := migrate.StateNotApplied
		if i < n {
			want = migrate.StateApplied
		}
		// A tool that cannot undo half of a migration cannot tell one that was
		// never begun from one that came half-way.
		unknown := want == migrate.StateNotApplied && !m.Atomic
		if got := s.observe(t, s.Project, m); got != want && !(unknown && got == migrate.StateUnknown) {
			t.Errorf("%s is observed as %s, want %s", m.ID, got, want)
		}
	}
}

// records tells whether the tool writes the ledger.
func (s *suite) records() bool {
	r, ok := s.Tool.(migrate.Recorder)
	return ok && r.Records()
}

func (s *suite) record(t *testing.T, id string) (ship.Record, bool) {
	t.Helper()
	all, err := s.DB.Ledger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(r ship.Record) bool { return r.Migration == id })
	if i < 0 {
		return ship.Record{}, false
	}
	return all[i], true
}
