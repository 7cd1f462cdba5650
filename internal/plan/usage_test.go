package plan_test

import (
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/sqltext"
)

var (
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	taken = []sqltext.Taken{{Kind: "column", Table: "products", Column: "price"}}
)

// counted is what a server has counted at an hour after noon.
func counted(hour int, calls int64, change ...func(*database.Statements)) database.Statements {
	s := database.Statements{At: noon.Add(time.Duration(hour) * time.Hour), Reset: noon.Add(-24 * time.Hour), All: []database.Statement{
		{ID: "1", SQL: "SELECT price FROM products", Calls: calls},
		{ID: "2", SQL: "SELECT name FROM products", Calls: 1000},
		{ID: "3", SQL: "COPY public.products (id, name, price) TO stdout;", Calls: 7},
		{ID: "4", SQL: "ALTER TABLE products ALTER COLUMN price DROP NOT NULL", Calls: 1},
		{ID: "5", SQL: "INSERT INTO _shiplock_trash.t SELECT id, price FROM products", Calls: 1},
	}}
	for _, c := range change {
		c(&s)
	}
	return s
}

func TestUsesAreTheDifferenceOfTwoLooks(t *testing.T) {
	first := plan.Look(nil, counted(0, 12), taken)
	if len(first.Used) != 0 || !first.Since.Equal(noon) {
		t.Errorf("at first: %+v", first)
	}
	same := plan.Look(&first, counted(1, 12), taken)
	if len(same.Used) != 0 || !same.Since.Equal(noon) {
		t.Errorf("nothing was called, and: %+v", same)
	}
	more := plan.Look(&same, counted(2, 15), taken)
	if len(more.Used) != 1 || more.Used[0].Calls != 3 || !more.Used[0].After.Equal(noon.Add(time.Hour)) || !more.Used[0].Until.Equal(noon.Add(2*time.Hour)) {
		t.Errorf("three calls, and: %+v", more)
	}
	later := plan.Look(&more, counted(3, 15), taken)
	if len(later.Used) != 1 {
		t.Errorf("what was called is forgotten: %+v", later)
	}
}

func TestWhatWasNeverCalledIsKnownSinceTheLastReset(t *testing.T) {
	none := func(s *database.Statements) { s.All = s.All[1:] }
	if s := plan.Look(nil, counted(0, 0, none), taken); !s.Since.Equal(noon.Add(-24 * time.Hour)) {
		t.Errorf("known since %s", s.Since)
	}
	gone := func(s *database.Statements) { none(s); s.Evicted = 3 }
	if s := plan.Look(nil, counted(0, 0, gone), taken); !s.Since.Equal(noon) {
		t.Errorf("entries gave way, and it is known since %s", s.Since)
	}
}

func TestAResetAndEntriesThatGaveWayBeginTheCountAnew(t *testing.T) {
	first := plan.Look(nil, counted(0, 12), taken)
	reset := plan.Look(&first, counted(2, 2, func(s *database.Statements) { s.Reset = noon.Add(time.Hour) }), taken)
	if !reset.Since.Equal(noon.Add(time.Hour)) || reset.Lost == "" || len(reset.Used) != 1 || reset.Used[0].Calls != 2 {
		t.Errorf("after a reset: %+v", reset)
	}
	for name, change := range map[string]func(*database.Statements){
		"one statement was reset": func(s *database.Statements) { s.All = s.All[1:] },
		"and is called again":     func(s *database.Statements) { s.All[0].Calls = 3 },
		"a replica took over":     func(s *database.Statements) { s.Reset = noon.Add(-48 * time.Hour) },
	} {
		if got := plan.Look(&first, counted(2, 12, change), taken); !got.Since.Equal(noon.Add(2*time.Hour)) || got.Lost == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	gone := plan.Look(&first, counted(2, 12, func(s *database.Statements) { s.Evicted = 1 }), taken)
	if !gone.Since.Equal(noon.Add(2*time.Hour)) || gone.Lost == "" || len(gone.Used) != 0 {
		t.Errorf("after entries gave way: %+v", gone)
	}
}

func TestACountForSomethingElseBeginsAnew(t *testing.T) {
	first := plan.Look(nil, counted(0, 12), []sqltext.Taken{{Kind: "column", Table: "products", Column: "tax"}})
	if got := plan.Look(&first, counted(3, 12), taken); !got.Since.Equal(noon.Add(3 * time.Hour)) {
		t.Errorf("what used the price is known since %s, when nobody looked for it", got.Since)
	}
}
